package memory

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGarbageIsCollectedLessOftenWhereThereIsMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit int64
		said  int
		want  int
	}{
		{112 << 20, 100, 100},
		{112 << 20, 300, 100}, // it was said of another limit
		{512 << 20, 100, 300},
		{8 << 30, 300, 300},
		{8 << 30, 50, 50},
		{8 << 30, -1, -1}, // GOGC=off
	} {
		require.Equal(t, c.want, garbage(c.limit, c.said), c)
	}
}

func TestTheCollectorIsToldOnce(t *testing.T) { //nolint:paralleltest // it changes the whole process
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(unsaid)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) })
	debug.SetMemoryLimit(math.MaxInt64)
	Limit(3 << 30)
	require.EqualValues(t, 3<<30, debug.SetMemoryLimit(-1))
	Limit(1 << 30)
	require.EqualValues(t, 3<<30, debug.SetMemoryLimit(-1), "somebody has said so")
	require.Equal(t, roomy, debug.SetGCPercent(roomy))
}
