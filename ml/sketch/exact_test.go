package sketch_test

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

func encoded(t require.TestingT, m encoding.BinaryMarshaler) []byte {
	b, err := m.MarshalBinary()
	require.NoError(t, err)
	return b
}

func TestMomentsAreAFunctionOfTheValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(anyValue(), 1, 200).Draw(t, "values")
		var whole sketch.Moments
		whole.Observe(values)
		var merged sketch.Moments
		shuffled := rapid.Permutation(values).Draw(t, "order")
		for len(shuffled) > 0 {
			n := rapid.IntRange(0, len(shuffled)).Draw(t, "shard")
			if n == 0 {
				n = 1
			}
			var shard, back sketch.Moments
			shard.Observe(shuffled[:n])
			shuffled = shuffled[n:]
			require.NoError(t, back.UnmarshalBinary(encoded(t, &shard)))
			if rapid.Bool().Draw(t, "the other way round") {
				back.Merge(&merged)
				merged = back
			} else {
				merged.Merge(&back)
			}
		}
		require.Equal(t, encoded(t, &whole), encoded(t, &merged))
	})
}

// dumbMoments computes with rational numbers.
func dumbMoments(values []float64) (mean, std float64) {
	sum, squares := new(big.Rat), new(big.Rat)
	n := int64(0)
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		r := new(big.Rat).SetFloat64(v)
		sum.Add(sum, r)
		squares.Add(squares, r.Mul(r, r))
		n++
	}
	count := new(big.Rat).SetInt64(n)
	sum.Quo(sum, count)
	mean, _ = sum.Float64()
	squares.Quo(squares, count)
	variance := squares.Sub(squares, sum.Mul(sum, sum))
	f := new(big.Float).SetPrec(500).SetRat(variance)
	std, _ = f.Sqrt(f).Float64()
	return mean, std
}

func TestMomentsAreTheExactOnesRounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := append(rapid.SliceOfN(anyValue(), 0, 30).Draw(t, "values"), 1.5)
		var m sketch.Moments
		m.Observe(values)
		mean, std := dumbMoments(values)
		require.Equal(t, mean, m.Mean()) //nolint:testifylint // to the last bit
		require.Equal(t, std, m.Std())   //nolint:testifylint // to the last bit
	})
}

// Many values at once take another way than few.
func TestMomentsOfBlocksAreThoseOfSingleValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SliceOfN(anyValue(), 1, 60).Draw(t, "values")
		times := rapid.IntRange(1, 100).Draw(t, "times")
		var one, block sketch.Moments
		for range times {
			for _, v := range few {
				one.Add(v)
			}
		}
		block.Observe(slices.Repeat(few, times))
		require.Equal(t, encoded(t, &one), encoded(t, &block))
	})
	largest := slices.Repeat([]float64{math.MaxFloat64, -math.MaxFloat64, math.Nextafter(2, 0)}, 5000)
	var one, block sketch.Moments
	for _, v := range largest {
		one.Add(v)
	}
	block.Observe(largest)
	require.Equal(t, encoded(t, &one), encoded(t, &block))
}

func TestMomentsOfSimpleValues(t *testing.T) {
	t.Parallel()
	var m sketch.Moments
	assert.True(t, math.IsNaN(m.Mean()) && math.IsNaN(m.Std()) && math.IsNaN(m.Min()) && math.IsNaN(m.Max()))
	m.Observe([]float64{2, 4, math.NaN(), 4, 4, 5, 5, 7, 9, math.Inf(1)})
	assert.Equal(t, int64(8), m.N())
	assert.Equal(t, []float64{5, 2, 2, 9}, []float64{m.Mean(), m.Std(), m.Min(), m.Max()})

	var far sketch.Moments // where a difference of rounded sums would give nonsense
	far.Observe([]float64{1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16})
	assert.InDelta(t, math.Sqrt(22.5), far.Std(), 1e-15)

	var equal sketch.Moments
	equal.AddN(0.1, 1_000_003)
	assert.Equal(t, []float64{0.1, 0}, []float64{equal.Mean(), equal.Std()})

	var wide sketch.Moments // squares beyond the range of float64
	wide.Observe([]float64{-1e300, 1e300})
	assert.Equal(t, []float64{0, 1e300}, []float64{wide.Mean(), wide.Std()})
}

func TestAddNIsAddNTimes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, n := anyValue().Draw(t, "v"), rapid.IntRange(0, 40).Draw(t, "n")
		var a, b sketch.Moments
		q, r := sketch.NewQuantiles(1), sketch.NewQuantiles(1)
		a.Add(3)
		b.Add(3)
		q.Add(3)
		r.Add(3)
		a.AddN(v, int64(n))
		q.AddN(v, int64(n))
		for range n {
			b.Add(v)
			r.Add(v)
		}
		require.Equal(t, encoded(t, &b), encoded(t, &a))
		require.Equal(t, encoded(t, r), encoded(t, q))
	})
}

func TestCountsAreAFunctionOfTheValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.StringMatching("[ab]{0,4}"), 1, 60).Draw(t, "values")
		maxDistinct := rapid.IntRange(1, 20).Draw(t, "max distinct")
		whole := sketch.NewCounts(maxDistinct)
		for _, v := range values {
			whole.Add(v, 1)
		}
		shards := make([]*sketch.Counts, 4)
		for i := range shards {
			shards[i] = sketch.NewCounts(maxDistinct)
		}
		for _, v := range rapid.Permutation(values).Draw(t, "order") {
			shards[rapid.IntRange(0, 3).Draw(t, "shard")].Add(v, 1)
		}
		merged := sketch.NewCounts(0) // the smaller cap of the others holds
		for _, s := range shards {
			var back sketch.Counts
			require.NoError(t, back.UnmarshalBinary(encoded(t, s)))
			require.Equal(t, encoded(t, s), encoded(t, &back))
			merged.Merge(&back)
		}
		require.Equal(t, encoded(t, whole), encoded(t, merged))
		require.Equal(t, int64(len(values)), merged.N())
		distinct := slices.Compact(slices.Sorted(slices.Values(values)))
		require.Equal(t, len(distinct) <= maxDistinct, merged.Exact())
		if merged.Exact() {
			require.Equal(t, int64(len(distinct)), merged.NumDistinct())
		}
	})
}

func TestCountsListTheMostFrequentFirst(t *testing.T) {
	t.Parallel()
	var c sketch.Counts
	for _, v := range strings.Fields("b a c b a d d d") {
		c.Add(v, 1)
	}
	c.Add("never", 0)
	assert.Equal(t, []sketch.ValueCount{{"d", 3}, {"a", 2}, {"b", 2}, {"c", 1}}, c.MostFrequent())
	assert.Equal(t, int64(2), c.Count("a"))
	assert.Equal(t, int64(0), c.Count("never"))
	assert.Equal(t, int64(4), c.NumDistinct())
}

func TestCountsBeyondTheCapEstimate(t *testing.T) {
	t.Parallel()
	c := sketch.NewCounts(100)
	for i := range 5000 {
		c.Add(fmt.Sprint(i), 2)
	}
	assert.False(t, c.Exact())
	assert.Empty(t, c.MostFrequent())
	assert.Equal(t, int64(10_000), c.N())
	assert.InEpsilon(t, 5000, c.NumDistinct(), 0.06)
}

// What is not a summary is refused, without a panic, or is one that can be used.
func TestExactSummariesRefuseOtherBytes(t *testing.T) {
	t.Parallel()
	var m sketch.Moments
	m.Observe([]float64{1, -2, 3.5})
	var c, many sketch.Counts
	c.Add("a", 1)
	c.Add("bc", 300)
	many = *sketch.NewCounts(1)
	many.Add("x", 1)
	many.Add("y", 1)
	good := [][]byte{encoded(t, &m), encoded(t, &c), encoded(t, &many)}
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(rapid.SampledFrom(good).Draw(t, "bytes"))
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			b[rapid.IntRange(0, min(len(b)-1, 40)).Draw(t, "at")] = rapid.Byte().Draw(t, "to")
		}
		b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
		var m sketch.Moments
		if err := m.UnmarshalBinary(b); err != nil {
			require.Equal(t, fault.Corrupt, fault.Of(err))
		} else {
			_ = m.Std()
		}
		var c sketch.Counts
		if err := c.UnmarshalBinary(b); err != nil {
			require.Equal(t, fault.Corrupt, fault.Of(err))
		} else {
			_ = c.MostFrequent()
		}
	})
	var c2 sketch.Counts
	require.ErrorContains(t, c2.UnmarshalBinary([]byte{9}), "version 9, expected 1")
	require.ErrorContains(t, c2.UnmarshalBinary(append(encoded(t, &c), 0)), "after the end")
}

// The bound on bytes is on the values seen by all shards together, too.
func TestCountsOfLongValuesHaveABound(t *testing.T) {
	t.Parallel()
	const n, size = 40, 1 << 20
	long := func(i int) string { return strings.Repeat("x", size-2) + fmt.Sprintf("%02d", i) }
	var whole, merged sketch.Counts
	shards := make([]sketch.Counts, 2)
	for i := range n {
		whole.Add(long(i), 1)
		shards[i%2].Add(long(i), 1)
	}
	require.False(t, whole.Exact())
	require.InDelta(t, n, whole.NumDistinct(), 3)
	for i := range shards {
		require.True(t, shards[i].Exact())
		b, err := shards[i].MarshalBinary()
		require.NoError(t, err)
		var back sketch.Counts
		require.NoError(t, back.UnmarshalBinary(b))
		merged.Merge(&back)
	}
	a, err := whole.MarshalBinary()
	require.NoError(t, err)
	b, err := merged.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, a, b)
}
