package neural

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/models"
)

func TestRoundingToBF16(t *testing.T) {
	t.Parallel()
	inf := float32(math.Inf(1))
	for _, c := range []struct{ x, want uint32 }{
		{0x3f800000, 0x3f800000}, // 1
		{0x3f807fff, 0x3f800000}, // below a half
		{0x3f808000, 0x3f800000}, // a half, to even
		{0x3f808001, 0x3f810000}, // above it
		{0x3f818000, 0x3f820000}, // a half, to even
		{0xbf818000, 0xbf820000}, // likewise of a negative number
		{0x3fffffff, 0x40000000}, // into the next power of two
		{0x7f7fffff, math.Float32bits(inf)},
		{0xff7f8000, math.Float32bits(-inf)},
		{math.Float32bits(inf), math.Float32bits(inf)},
		{0x80000000, 0x80000000}, // -0
		{0x00000001, 0x00000000},
		{0x00018000, 0x00020000},
	} {
		v := []float32{math.Float32frombits(c.x)}
		roundBF16(v)
		require.Equal(t, c.want, math.Float32bits(v[0]), "%#x", c.x)
	}
	for _, nan := range []uint32{0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001} {
		v := []float32{math.Float32frombits(nan)}
		roundBF16(v)
		require.True(t, v[0] != v[0], "%#x", nan)
		require.Zero(t, math.Float32bits(v[0])&0xffff)
	}
}

// There is no number of the format that is nearer.
func TestNothingIsNearerThanWhatBF16RoundsTo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float32Range(-1e30, 1e30), rapid.Just(float32(0)), rapid.Float32Range(-1e-38, 1e-38)).Draw(t, "x")
		v := []float32{x}
		roundBF16(v)
		b := math.Float32bits(v[0])
		require.Zero(t, b&0xffff)
		far := math.Abs(float64(v[0]) - float64(x))
		others := []uint32{b + 1<<16}
		if b&^(1<<31) > 0 { // else there is none that is nearer to 0
			others = append(others, b-1<<16)
		}
		for _, other := range others {
			require.LessOrEqual(t, far, math.Abs(float64(math.Float32frombits(other))-float64(x)))
		}
		roundBF16(v)
		require.Equal(t, b, math.Float32bits(v[0]), "twice is once")
	})
}

// It is what the optimizer sees, in batches of one shard and of several.
func TestAGradientInBF16IsAnotherModel(t *testing.T) {
	t.Parallel()
	for _, tr := range trials() {
		if tr.name != "batches of one shard" && tr.name != "two classes with dropout" && tr.name != "nesterov, cosine and clipping" {
			continue
		}
		full, err := tr.fit(t.Context(), collective.Solo{}, models.Options{})
		require.NoError(t, err)
		tr.config.Optimizer.Gradient = BF16
		rounded, err := tr.fit(t.Context(), collective.Solo{}, models.Options{})
		require.NoError(t, err)
		require.NotEqual(t, full, rounded, tr.name)
	}
}
