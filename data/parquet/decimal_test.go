package parquet

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever way is taken, the result is what the digits say.
func TestDecimalsAreRoundedToTheNearest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 0xff, 0x80, 0x7f})), 1, 20).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "half way") { // between two neighbours, and next to it
			v := uint64(1)<<rapid.IntRange(54, 63).Draw(t, "bit") + uint64(rapid.IntRange(-1, 1).Draw(t, "nudge"))
			v |= rapid.Uint64Range(0, 3).Draw(t, "low") << rapid.IntRange(0, 11).Draw(t, "shift")
			b = new(big.Int).SetUint64(v).FillBytes(make([]byte, 9))
		}
		scale := int32(rapid.IntRange(0, 40).Draw(t, "scale"))
		v := new(big.Int).SetBytes(b)
		if b[0] >= 0x80 {
			v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		want := parseDecimal([]byte(v.String()), scale)
		got, err := decimalBytes(b, scale)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(want), math.Float64bits(got), "%v e-%d", v, scale)
		if v.IsInt64() {
			require.Equal(t, math.Float64bits(want), math.Float64bits(decimal(v.Int64(), scale)), "%v e-%d", v, scale)
		}
	})
	for _, v := range []int64{math.MinInt64, math.MaxInt64, -1, 0, 1<<53 + 1} {
		require.InDelta(t, float64(v), decimal(v, 0), 0)
	}
}

func TestDecimalsHaveALength(t *testing.T) {
	t.Parallel()
	small := []byte(strings.Repeat("\xff", 5000) + "\x85")
	got, err := decimalBytes(small, 2)
	require.NoError(t, err, "what only repeats the sign does not count")
	require.InDelta(t, -1.23, got, 0)
	_, err = decimalBytes(append([]byte{1}, make([]byte, maxDecimal)...), 2)
	require.ErrorContains(t, err, "a DECIMAL of 129 bytes is longer than the 128")
	got, err = decimalBytes(append([]byte{0x7f}, make([]byte, maxDecimal-1)...), 0)
	require.NoError(t, err)
	require.InEpsilon(t, 0x7f*math.Pow(2, 1016), got, 1e-15)
}
