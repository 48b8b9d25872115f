package sketch_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

func quantileBytes(t require.TestingT, q *sketch.Quantiles) []byte {
	b, err := q.MarshalBinary()
	require.NoError(t, err)
	return b
}

func anyValue() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), 1, 2, 3, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64,
	}))
}

// The law of the house: any order and any split gives the bytes of the whole,
// on both sides of the cap.
func TestQuantilesAreAFunctionOfTheValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(anyValue(), 0, 60).Draw(t, "values")
		maxDistinct := rapid.IntRange(1, 30).Draw(t, "max distinct")
		whole := sketch.NewQuantiles(maxDistinct)
		whole.Observe(values)

		shards := make([]*sketch.Quantiles, 4)
		for i := range shards {
			shards[i] = sketch.NewQuantiles(maxDistinct)
		}
		shuffled := slices.Clone(values)
		if len(values) > 0 {
			shuffled = rapid.Permutation(values).Draw(t, "order")
		}
		for _, v := range shuffled {
			s := shards[rapid.IntRange(0, 3).Draw(t, "shard")]
			s.Add(v)
			if rapid.Bool().Draw(t, "flush") {
				s.Flush()
			}
		}
		merged := sketch.NewQuantiles(maxDistinct)
		for _, s := range rapid.Permutation(shards).Draw(t, "merge order") {
			var back sketch.Quantiles
			require.NoError(t, back.UnmarshalBinary(quantileBytes(t, s)))
			merged.Merge(&back)
		}
		require.Equal(t, quantileBytes(t, whole), quantileBytes(t, merged))
		require.Equal(t, whole.N(), merged.N())
		require.Equal(t, quantileBytes(t, whole.Rounded()), quantileBytes(t, merged.Rounded()))
	})
}

// dumbQuantile is numpy.quantile on the sorted values.
func dumbQuantile(sorted []float64, p float64) float64 {
	at := float64(len(sorted)-1) * p
	i := int(at)
	if i+1 >= len(sorted) || at == float64(i) {
		return sorted[i]
	}
	a, b, g := sorted[i], sorted[i+1], at-float64(i)
	switch {
	case a == b:
		return a
	case g >= 0.5:
		return b - (b-a)*(1-g)
	default:
		return a + (b-a)*g
	}
}

func TestQuantilesAreThoseOfTheSortedValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.Float64Range(-1e6, 1e6), rapid.SampledFrom([]float64{0, 1, 2}))
		values := rapid.SliceOfN(v, 1, 50).Draw(t, "values")
		p := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, .1, .5, 1})).Draw(t, "p")
		var q sketch.Quantiles
		q.Observe(values)
		slices.Sort(values)
		require.Equal(t, math.Float64bits(dumbQuantile(values, p)+0), math.Float64bits(q.Quantile(p)+0))
		require.Equal(t, []float64{values[0], values[len(values)-1]}, []float64{q.Min(), q.Max()})
	})
}

// The values are those of numpy.quantile([1, 2, 4, 8], [0.1, 0.5, 0.9]).
func TestQuantilesInterpolateAsNumpyDoes(t *testing.T) {
	t.Parallel()
	var q sketch.Quantiles
	q.Observe([]float64{8, 1, 4, 2})
	assert.InDelta(t, 1.3, q.Quantile(.1), 1e-15)
	assert.InDelta(t, 3, q.Quantile(.5), 1e-15)
	assert.InDelta(t, 6.8, q.Quantile(.9), 1e-15)
}

func TestBeyondTheCapQuantilesAreWithinOnePercent(t *testing.T) {
	t.Parallel()
	q := sketch.NewQuantiles(100)
	var values []float64
	for i := range 20_000 {
		v := math.Exp(float64(i)/2000) * float64(1-2*(i&1))
		values = append(values, v)
		q.Add(v)
	}
	slices.Sort(values)
	assert.False(t, q.Exact())
	for p := 0.0; p <= 1; p += 0.01 {
		want := dumbQuantile(values, p)
		assert.InDelta(t, want, q.Quantile(p), 0.01*max(1, math.Abs(want)), "%v", p) // the values at the ranks are at least 1 apart from 0
	}
	assert.InDelta(t, 20_000, q.NumDistinct(), 20_000*0.05)
	n := 0
	for range q.All() {
		n++
	}
	assert.Less(t, n, 3000, "the space does not grow with the values")
	assert.InDelta(t, -math.Exp(19_999./2000), q.Min(), 0, "min and max stay exact")
}

func TestRoundIsMonotonicAndIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
		if a > b {
			a, b = b, a
		}
		require.LessOrEqual(t, sketch.Round(a), sketch.Round(b))
		require.Equal(t, math.Float64bits(sketch.Round(a)), math.Float64bits(sketch.Round(sketch.Round(a))))
		if math.Abs(a) > 1e-300 {
			require.InDelta(t, 1, sketch.Round(a)/a, 1.0/128)
		}
	})
	assert.True(t, math.IsInf(sketch.Round(math.Inf(1)), 1))
	assert.Zero(t, sketch.Round(0))
}

func TestQuantilesOfNothingAreNaN(t *testing.T) {
	t.Parallel()
	var q, other sketch.Quantiles
	q.Add(math.NaN())
	q.Merge(&other)
	assert.True(t, math.IsNaN(q.Quantile(.5)))
	assert.True(t, math.IsNaN(q.Min()) && math.IsNaN(q.Max()))
	assert.Zero(t, q.N())
	var back sketch.Quantiles
	require.NoError(t, back.UnmarshalBinary(quantileBytes(t, &q)))
	assert.Zero(t, back.N())
}

func TestTheSmallerCapHoldsAfterAMerge(t *testing.T) {
	t.Parallel()
	wide, narrow := sketch.NewQuantiles(10), sketch.NewQuantiles(2)
	wide.Observe([]float64{1.111, 2.222, 3.333})
	wide.Merge(narrow)
	assert.Equal(t, 2, wide.MaxDistinct())
	assert.False(t, wide.Exact())
	assert.Equal(t, int64(3), wide.NumDistinct())
}

func TestWholeNumbersEncodeInFewBytes(t *testing.T) {
	t.Parallel()
	var whole, single sketch.Quantiles
	for i := range 10_000 {
		whole.Add(float64(i))
		single.Add(float64(float32(i) / 7))
	}
	assert.Less(t, len(quantileBytes(t, &whole)), 10_000*7)
	assert.Less(t, len(quantileBytes(t, &single)), 10_000*5)
}

func TestDamagedQuantilesAreCorrupt(t *testing.T) {
	t.Parallel()
	for _, maxDistinct := range []int{0, 2} {
		q := sketch.NewQuantiles(maxDistinct)
		q.Observe([]float64{-1.5, 2, 2, 7.25, 1e9})
		whole := quantileBytes(t, q)
		for n := range whole {
			var back sketch.Quantiles
			err := back.UnmarshalBinary(whole[:n])
			require.Error(t, err, n)
			require.Equal(t, fault.Corrupt, fault.Of(err))
		}
		rapid.Check(t, func(t *rapid.T) {
			b := slices.Clone(whole)
			b[rapid.IntRange(0, min(len(b)-1, 60)).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
			var back sketch.Quantiles
			if back.UnmarshalBinary(b) == nil {
				back.Quantile(.5)
				back.Add(3)
				back.Flush()
			}
		})
	}
}

func TestDistinctIsAFunctionOfTheSetAndNearTheTruth(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 10, 1000, 30_000, 300_000} {
		var all, even, odd sketch.Distinct
		for i := range n {
			s := fmt.Sprint("user-", i)
			all.AddString(s)
			all.AddString(s)
			if i%2 == 0 {
				even.AddString(s)
			} else {
				odd.AddString(s)
			}
		}
		odd.Merge(&even)
		assert.Equal(t, all, odd)
		assert.InDelta(t, n, all.Estimate(), 0.05*float64(n), "%d", n)
		b, err := all.MarshalBinary()
		require.NoError(t, err)
		var back sketch.Distinct
		require.NoError(t, back.UnmarshalBinary(b))
		assert.Equal(t, all, back)
	}
	var d sketch.Distinct
	d.AddFloat(0)
	d.AddFloat(math.Copysign(0, -1))
	assert.Equal(t, int64(1), d.Estimate())
	require.Error(t, d.UnmarshalBinary([]byte{1}))
	require.Error(t, d.UnmarshalBinary(slices.Repeat([]byte{99}, 4096)))
}

func BenchmarkQuantilesAdd(b *testing.B) {
	values := make([]float64, 1<<16)
	for i := range values {
		values[i] = math.Sin(float64(i)) * 1000
	}
	for _, maxDistinct := range []int{0, 1000} {
		b.Run(fmt.Sprint("max_distinct=", maxDistinct), func(b *testing.B) {
			q := sketch.NewQuantiles(maxDistinct)
			for b.Loop() {
				q.Observe(values)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(values)), "ns/value")
		})
	}
}
