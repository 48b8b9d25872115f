package split

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

func ints(values []int64) *data.Column { return &data.Column{Type: data.Int64, Int64s: values} }

// Whether a shard was beyond the bound, and when, leaves no trace: the state is
// that of the least k for all rows.
func TestCellsAreAFunctionOfTheRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-40, 40), rapid.Int64Range(1<<40, 1<<40+500), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64}))
		values := rapid.SliceOfN(value, 1, 200).Draw(t, "values")
		most := rapid.IntRange(4, 20).Draw(t, "most")
		whole, merged := Times{most: most}, Times{most: most}
		require.NoError(t, whole.Observe(ints(values)))
		shards := []Times{{most: most}, {most: most}, {most: most}}
		for _, v := range rapid.Permutation(values).Draw(t, "order") {
			s := &shards[rapid.IntRange(0, 2).Draw(t, "shard")]
			require.NoError(t, s.Observe(ints([]int64{v})))
			if rapid.Bool().Draw(t, "flush") {
				s.flush()
			}
		}
		for i := range shards {
			b, err := shards[i].MarshalBinary()
			require.NoError(t, err)
			back := Times{most: most}
			require.NoError(t, back.UnmarshalBinary(b))
			merged.Merge(&back)
		}
		a, err := whole.MarshalBinary()
		require.NoError(t, err)
		b, err := merged.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, a, b)

		require.LessOrEqual(t, len(whole.values), most)
		require.EqualValues(t, len(values), whole.numRows)
		cells := func(shift uint) map[int64]int64 {
			m := map[int64]int64{}
			for _, v := range values {
				m[v>>shift<<shift]++
			}
			return m
		}
		if whole.shift > 0 {
			require.Greater(t, len(cells(whole.shift-1)), most, "shorter cells would have done")
		}
		want := cells(whole.shift)
		require.Len(t, whole.values, len(want))
		for i, v := range whole.values {
			require.Equal(t, want[v], whole.counts[i])
		}
	})
}

// Millions of distinct times take no more than the bound, and are cut where
// they should be.
func TestManyTimesTakeLittleMemory(t *testing.T) {
	t.Parallel()
	const n, block = 2_000_000, 1 << 16
	var times Times
	values := make([]int64, block)
	for from := int64(0); from < n; from += block {
		values = values[:min(block, n-from)]
		for i := range values {
			at := (from + int64(i)) * 7_919_777 % n // every time once, in no order
			values[i] = 1_700_000_000_000_000 + at*1_000_003
		}
		require.NoError(t, times.Observe(ints(values)))
	}
	require.EqualValues(t, n, times.NumRows())
	times.flush()
	require.LessOrEqual(t, cap(times.values), 2*maxTimes)
	require.LessOrEqual(t, cap(times.pending), 2*maxTimes)
	cut, err := times.Cut(.1, .2)
	require.NoError(t, err)
	share := func(at int64) float64 { return float64(at-1_700_000_000_000_000) / 1_000_003 / n }
	require.InDelta(t, .7, share(cut.Validation), 4e-6)
	require.InDelta(t, .8, share(cut.Test), 4e-6)
}
