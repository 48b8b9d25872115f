package sketch

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// After half a billion additions chunks are full, and must be carried before
// the next.
func TestFullChunksAreCarried(t *testing.T) {
	t.Parallel()
	const most = 1<<62 - 1
	s := Sum{adds: maxAdds}
	m := Moments{adds: maxAdds, numValues: 1}
	s.chunks[0], m.squares[0] = most, most
	s.Add(1)
	m.Add(1)
	require.Equal(t, 1, s.adds)
	require.Equal(t, 1, m.adds)
	require.Less(t, s.chunks[0], int64(1<<32))
	require.Less(t, m.squares[0], int64(1<<32))

	m = Moments{adds: maxAdds, numValues: 1, sum: Sum{adds: maxAdds}}
	m.squares[0] = most
	m.Observe(make([]float64, 2*minBlock))
	require.Equal(t, 1, m.adds)
	require.Less(t, m.squares[0], int64(1<<32))
	require.False(t, math.IsNaN(m.Std()))
}
