package split_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
)

func intColumn(values []int64) *data.Column {
	return &data.Column{Type: data.Int64, Int64s: values}
}

func timesBytes(t require.TestingT, x *split.Times) []byte {
	b, err := x.MarshalBinary()
	require.NoError(t, err)
	return b
}

func TestTimesAreAFunctionOfTheRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-5, 5), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64}))
		values := rapid.SliceOfN(value, 1, 60).Draw(t, "values")
		var whole, merged split.Times
		require.NoError(t, whole.Observe(intColumn(values)))
		shards := make([]split.Times, 3)
		for _, v := range rapid.Permutation(values).Draw(t, "order") {
			s := &shards[rapid.IntRange(0, 2).Draw(t, "shard")]
			require.NoError(t, s.Observe(intColumn([]int64{v})))
			if rapid.Bool().Draw(t, "flush") {
				timesBytes(t, s)
			}
		}
		for i := range shards {
			var back split.Times
			require.NoError(t, back.UnmarshalBinary(timesBytes(t, &shards[i])))
			require.Equal(t, shards[i].NumRows(), back.NumRows())
			merged.Merge(&back)
		}
		require.Equal(t, timesBytes(t, &whole), timesBytes(t, &merged))
		require.Equal(t, int64(len(values)), merged.NumRows())
		a, errA := whole.Cut(.2, .3)
		b, errB := merged.Cut(.2, .3)
		require.Equal(t, a, b)
		require.Equal(t, errA == nil, errB == nil)
	})
}

// Of all cuts there are, the boundary taken leaves the number of older rows
// nearest to what was asked for.
func TestNoOtherCutIsNearerToTheShares(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(-10, 10), 1, 40).Draw(t, "values")
		validation := rapid.SampledFrom([]float64{0, .1, .25, .5}).Draw(t, "validation")
		test := rapid.SampledFrom([]float64{0, .1, .25, .5}).Draw(t, "test")
		var times split.Times
		require.NoError(t, times.Observe(intColumn(values)))
		cut, err := times.Cut(validation, test)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.Of(err))
			return
		}
		require.LessOrEqual(t, cut.Validation, cut.Test)
		off := func(at int64, share float64) float64 {
			n := 0
			for _, v := range values {
				if v < at {
					n++
				}
			}
			return math.Abs(float64(n) - share*float64(len(values)))
		}
		for at := int64(-11); at <= 11; at++ {
			require.LessOrEqual(t, off(cut.Test, 1-test), off(at, 1-test))
			require.LessOrEqual(t, off(cut.Validation, 1-test-validation), off(at, 1-test-validation))
		}
	})
}

func TestTheNewestRowsAreTestRows(t *testing.T) {
	t.Parallel()
	var times split.Times
	values := make([]int64, 100)
	for i := range values {
		values[i] = int64(1000 - i)
	}
	require.NoError(t, times.Observe(intColumn(values)))
	cut, err := times.Cut(.1, .2)
	require.NoError(t, err)
	assert.Equal(t, split.Cut{Validation: 971, Test: 981}, cut)
	cut, err = times.Cut(0, 0)
	require.NoError(t, err)
	assert.Equal(t, split.Cut{Validation: 1001, Test: 1001}, cut)
}

func TestCutsThatLeaveAPartEmptyAreRefused(t *testing.T) {
	t.Parallel()
	var times split.Times
	_, err := times.Cut(.1, .1)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	require.NoError(t, times.Observe(intColumn(slices.Repeat([]int64{7}, 50))))
	_, err = times.Cut(0, .2)
	require.ErrorContains(t, err, "no test rows")
	cut, err := times.Cut(0, 0)
	require.NoError(t, err)
	assert.Equal(t, split.Cut{Validation: 8, Test: 8}, cut)
	assert.Panics(t, func() { _, _ = times.Cut(.9, .9) })

	nulls := &data.Column{Type: data.Timestamp, Int64s: []int64{1, 0}, Valid: data.Bitmap{1}}
	require.ErrorContains(t, times.Observe(nulls), "row 1")
	require.Error(t, times.Observe(data.NewColumn(data.String, 1)))
	assert.Equal(t, int64(50), times.NumRows())
}

func TestDamagedTimesAreCorrupt(t *testing.T) {
	t.Parallel()
	var times split.Times
	require.NoError(t, times.Observe(intColumn([]int64{5, 5, 9, -3, 1 << 40})))
	whole := timesBytes(t, &times)
	for n := range whole {
		var back split.Times
		require.Equal(t, fault.Corrupt, fault.Of(back.UnmarshalBinary(whole[:n])), n)
	}
	var back split.Times
	require.Equal(t, fault.Corrupt, fault.Of(back.UnmarshalBinary(append(slices.Clone(whole), 0))))
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(whole)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		var back split.Times
		if back.UnmarshalBinary(b) == nil { // then it is some multiset, whole
			require.Positive(t, back.NumRows())
			_, err := back.Cut(0, 0)
			require.NoError(t, err)
		}
	})
}
