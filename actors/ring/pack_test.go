package ring

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// numbers are some of every width, and the extremes of each.
func numbers() *rapid.Generator[int64] {
	return rapid.Custom(func(t *rapid.T) int64 {
		x := rapid.Int64().Draw(t, "number") >> rapid.IntRange(0, 63).Draw(t, "shift")
		edge := int64(1) << rapid.IntRange(0, 63).Draw(t, "edge")
		return rapid.SampledFrom([]int64{x, 0, -1, edge, edge - 1, -edge, -edge - 1, math.MaxInt64, math.MinInt64}).Draw(t, "which")
	})
}

func TestPackedNumbersComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SliceOfN(numbers(), 0, 40).Draw(t, "few")
		v := make([]int64, rapid.IntRange(0, 2*groupLen+3).Draw(t, "numbers"))
		for i := range v {
			if len(few) > 0 && rapid.IntRange(0, 30).Draw(t, "at") == 0 {
				v[i] = few[i%len(few)]
			}
		}
		b := pack(make([]byte, 0, packedLen(len(v))+slack), v)
		require.LessOrEqual(t, len(b), packedLen(len(v)))
		got := make([]int64, len(v))
		require.NoError(t, unpack(got, b[:len(b):cap(b)], false))
		require.Equal(t, v, got)
		require.NoError(t, unpack(got, b, true))
		for i := range v {
			require.Equal(t, v[i]+v[i], got[i])
		}
	})
}

func TestSmallNumbersTakeFewBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    int64
		want int
	}{{0, 0}, {1, 1}, {-1, 1}, {127, 1}, {-128, 1}, {128, 2}, {-129, 2}, {1<<31 - 1, 4}, {1 << 31, 5}, {-1 << 39, 5}, {math.MaxInt64, 8}, {math.MinInt64, 8}} {
		v := make([]int64, 10)
		v[7] = c.v
		require.Len(t, pack(make([]byte, 0, packedLen(10)+slack), v), 1+10*c.want, "%d", c.v)
	}
}

func TestBytesThatAreNoPackedNumbersAreRefused(t *testing.T) {
	t.Parallel()
	v := []int64{1, 2, 300}
	good := pack(make([]byte, 0, packedLen(3)+slack), v)
	for name, b := range map[string][]byte{"none": {}, "one too few": good[:len(good)-1], "one too many": append(good[:len(good):len(good)], 1), "too wide": append([]byte{9}, make([]byte, 27)...)} {
		room := append(make([]byte, 0, len(b)+slack), b...)
		require.ErrorIs(t, unpack(make([]int64, 3), room, false), errDisagree, name)
	}
}

func BenchmarkPack(b *testing.B) {
	v := make([]int64, 32<<10)
	for i := range v {
		v[i] = int64(i) * 1e6 * (1 - 2*int64(i%2))
	}
	buf := make([]byte, 0, packedLen(len(v))+slack)
	b.Run("pack", func(b *testing.B) {
		b.SetBytes(int64(8 * len(v)))
		for range b.N {
			buf = pack(buf[:0], v)
		}
	})
	b.Run("unpack", func(b *testing.B) {
		b.SetBytes(int64(8 * len(v)))
		for range b.N {
			if err := unpack(v, buf, true); err != nil {
				b.Fatal(err)
			}
		}
	})
}
