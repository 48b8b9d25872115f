package sketch_test

import (
	"encoding/binary"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

func TestSumIsExactWhateverTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{
			math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1, 1e-300, 1e16, -1e16, 0,
		}))).Draw(t, "values")
		var a, b, c sketch.Sum
		exact := new(big.Float).SetPrec(4000)
		for i, v := range values {
			require.True(t, a.Add(v))
			if i%2 == 0 {
				b.Add(v)
			} else {
				c.Add(v)
			}
			exact.Add(exact, new(big.Float).SetFloat64(v))
		}
		want, _ := exact.Float64()
		c.Merge(&b)
		require.Equal(t, math.Float64bits(want+0), math.Float64bits(a.Value()))
		require.Equal(t, math.Float64bits(want+0), math.Float64bits(c.Value()))
	})
}

func TestSumRefusesWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	var s sketch.Sum
	s.Add(2)
	assert.False(t, s.Add(math.NaN()))
	assert.False(t, s.Add(math.Inf(-1)))
	assert.False(t, s.AddProduct(1e200, 1e200))
	assert.InDelta(t, 2, s.Value(), 0)
}

func TestASumHasOneForm(t *testing.T) {
	t.Parallel()
	var s sketch.Sum
	s.Add(3)
	b := s.Append(nil)
	back, rest, err := sketch.DecodeSum(append(b, 7))
	require.NoError(t, err)
	assert.Equal(t, []byte{7}, rest)
	assert.InDelta(t, 3, back.Value(), 0)
	for name, broken := range map[string][]byte{
		"a chunk that is not carried": binary.AppendVarint([]byte{0, 1}, 1<<40), "too many chunks": {60, 9}, "an early end": {0, 1},
	} {
		_, _, err := sketch.DecodeSum(broken)
		assert.Equal(t, fault.Corrupt, fault.Of(err), name)
	}
}
