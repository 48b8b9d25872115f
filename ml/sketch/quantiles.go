package sketch

import (
	"iter"
	"math"
)

// DefaultMaxDistinct is how many distinct values Quantiles keeps as they are
// unless told otherwise.
const DefaultMaxDistinct = 65_536

// Quantiles is the distribution of one numeric column: how often each value
// occurs. Up to MaxDistinct distinct values it is exact; beyond, every value is
// rounded to Round's grid, whose points are less than 1 % off, and Distinct
// estimates how many values there were. Which of the two it is, and all of its
// state, is a function of the multiset of values seen: any order and any split
// over shards gives the same bytes.
//
// Space is 16 bytes a distinct value: at most 1 MiB while exact, and about 2 KiB
// for each factor of two that the values span beyond. While values are added, it
// may be thrice that.
//
// The zero value has seen no values and keeps DefaultMaxDistinct. It is not safe
// for concurrent use; what UnmarshalBinary or Flush has left may be read by many.
//
// Source: the grid is DDSketch with the mapping that interpolates the logarithm
// linearly between powers of two, 64 buckets each: Masson, Rim and Lee, VLDB
// 12(12), 2019, sections 2.2 and 3.3; it needs no logarithm, so its buckets are
// the same on every processor.
type Quantiles struct {
	maxDistinct int       // 0: DefaultMaxDistinct
	values      []float64 // ascending, distinct, never NaN or -0
	counts      []int64   // of the same length, each positive
	numValues   int64     // the sum of counts
	min, max    float64   // of all values, never rounded
	distinct    *Distinct // nil while exact
	pending     tally     // observed, and in values, counts and numValues not yet; rounded unless exact
}

// NewQuantiles returns a summary that is exact for up to maxDistinct distinct
// values; 0 means DefaultMaxDistinct. It panics when maxDistinct is negative.
func NewQuantiles(maxDistinct int) *Quantiles {
	if maxDistinct < 0 {
		panic("sketch: negative maxDistinct")
	}
	return &Quantiles{maxDistinct: maxDistinct}
}

// MaxDistinct returns how many distinct values are kept as they are.
func (q *Quantiles) MaxDistinct() int {
	if q.maxDistinct == 0 {
		return DefaultMaxDistinct
	}
	return q.maxDistinct
}

// Observe adds values, of shape (rows,). NaN marks a null and is skipped;
// infinities are values like any other.
func (q *Quantiles) Observe(values []float64) {
	for _, v := range values {
		q.Add(v)
	}
}

// Add adds one value; NaN is skipped.
func (q *Quantiles) Add(v float64) { q.AddN(v, 1) }

// AddN adds a value n times; NaN is skipped. It panics when n is negative.
func (q *Quantiles) AddN(v float64, n int64) {
	if n < 0 {
		panic("sketch: a negative number of values")
	}
	if v != v || n == 0 {
		return
	}
	v += 0 // -0 is 0
	if q.distinct != nil {
		q.min, q.max = min(q.min, v), max(q.max, v)
		q.distinct.AddFloat(v)
		v = Round(v)
	}
	q.pending.add(v, n)
	switch pending := len(q.pending.entries); {
	case q.distinct == nil && pending > q.MaxDistinct():
		q.roundPending()
	case q.distinct != nil && pending >= 4096:
		q.Flush()
	}
}

// roundPending leaves the exact form when the values set aside alone are too
// many for it.
func (q *Quantiles) roundPending() {
	q.round()
	exact := q.pending.entries
	q.pending = tally{}
	for i, e := range exact {
		v := fromSortKey(e.key)
		if i == 0 && q.numValues == 0 {
			q.min, q.max = v, v
		}
		q.min, q.max = min(q.min, v), max(q.max, v)
		q.distinct.AddFloat(v)
		q.pending.add(Round(v), e.n)
	}
}

// Merge adds the values that o has seen. When the two differ in MaxDistinct,
// the smaller of both holds from then on.
func (q *Quantiles) Merge(o *Quantiles) {
	q.Flush()
	o.Flush()
	if o.MaxDistinct() < q.MaxDistinct() {
		q.maxDistinct = o.maxDistinct
	}
	if o.numValues == 0 {
		q.overflow()
		return
	}
	if o.distinct != nil {
		q.round()
		q.distinct.Merge(o.distinct)
		q.insert(o.values, o.counts, o.min, o.max)
		return
	}
	q.observe(o.values, o.counts)
}

// Flush brings values that Add has set aside into the summary. All methods do
// so themselves; one that finds nothing set aside changes nothing.
func (q *Quantiles) Flush() {
	if q.pending.total == 0 {
		return
	}
	values, counts := q.pending.take()
	if q.distinct != nil {
		q.insert(values, counts, q.min, q.max)
		return
	}
	q.observe(values, counts)
}

// observe adds exact values, ascending and distinct.
func (q *Quantiles) observe(values []float64, counts []int64) {
	first, last := values[0], values[len(values)-1]
	if q.distinct != nil {
		q.distinct.addFloats(values)
		values, counts = rounded(values, counts)
	}
	q.insert(values, counts, first, last)
	q.overflow()
}

// overflow rounds once there are too many distinct values.
func (q *Quantiles) overflow() {
	if q.distinct == nil && len(q.values) > q.MaxDistinct() {
		q.round()
	}
}

// round leaves the exact form.
func (q *Quantiles) round() {
	if q.distinct == nil {
		q.distinct = new(Distinct)
		q.distinct.addFloats(q.values)
		q.values, q.counts = rounded(q.values, q.counts)
	}
}

// insert merges values, ascending and distinct, into those there are.
func (q *Quantiles) insert(values []float64, counts []int64, low, high float64) {
	if q.numValues == 0 {
		q.min, q.max = low, high
	}
	q.min, q.max = min(q.min, low), max(q.max, high)
	merged := make([]float64, 0, max(len(q.values), len(values)))
	sums := make([]int64, 0, cap(merged))
	for i, j := 0, 0; i < len(q.values) || j < len(values); {
		switch {
		case j == len(values) || i < len(q.values) && q.values[i] < values[j]:
			merged, sums = append(merged, q.values[i]), append(sums, q.counts[i])
			i++
		case i == len(q.values) || values[j] < q.values[i]:
			merged, sums = append(merged, values[j]), append(sums, counts[j])
			j++
		default:
			merged, sums = append(merged, values[j]), append(sums, q.counts[i]+counts[j])
			i, j = i+1, j+1
		}
	}
	for _, n := range counts {
		q.numValues += n
	}
	q.values, q.counts = merged, sums
}

// N returns the number of values seen.
func (q *Quantiles) N() int64 { return q.numValues + q.pending.total }

// Exact reports whether values are kept as they are, not rounded.
func (q *Quantiles) Exact() bool {
	q.Flush()
	return q.distinct == nil
}

// NumDistinct returns the number of distinct values, estimated when Exact is
// false.
func (q *Quantiles) NumDistinct() int64 {
	q.Flush()
	if q.distinct != nil {
		return q.distinct.Estimate()
	}
	return int64(len(q.values))
}

// Min returns the smallest value, never rounded; NaN when there are none.
func (q *Quantiles) Min() float64 {
	if q.Flush(); q.numValues == 0 {
		return math.NaN()
	}
	return q.min
}

// Max returns the largest value, never rounded; NaN when there are none.
func (q *Quantiles) Max() float64 {
	if q.Flush(); q.numValues == 0 {
		return math.NaN()
	}
	return q.max
}

// All yields the values in ascending order, each with its count; rounded values
// when Exact is false.
func (q *Quantiles) All() iter.Seq2[float64, int64] {
	q.Flush()
	return func(yield func(float64, int64) bool) {
		for i, v := range q.values {
			if !yield(v, q.counts[i]) {
				return
			}
		}
	}
}

// Quantile returns the value below which the share p of the values lies,
// interpolated linearly between the two values at the ranks around p (N-1), as
// numpy.quantile does; to the last bit so when Exact, else less than 1 % off the
// values at those ranks. NaN when there are no values. It panics when p is not
// in 0..1.
//
// Source: Hyndman and Fan, The American Statistician 50(4), 1996, definition 7.
func (q *Quantiles) Quantile(p float64) float64 {
	if !(p >= 0 && p <= 1) {
		panic("sketch: quantile of a share outside 0..1")
	}
	q.Flush()
	if q.numValues == 0 {
		return math.NaN()
	}
	at := float64(float64(q.numValues-1) * p)
	rank := int64(at)
	i, seen := 0, int64(0)
	for seen+q.counts[i] <= rank {
		seen += q.counts[i]
		i++
	}
	v, next := q.values[i], q.values[i]
	if rank+1 < q.numValues && seen+q.counts[i] == rank+1 {
		next = q.values[i+1]
	}
	return min(max(interpolate(v, next, at-float64(rank)), q.min), q.max)
}

// interpolate is numpy's: it goes from a or from b, whichever is nearer.
func interpolate(a, b, share float64) float64 {
	if a == b || share == 0 {
		return a
	}
	d := b - a
	if share >= 0.5 {
		return b - float64(d*(1-share))
	}
	return a + float64(d*share)
}

// Rounded returns a copy whose values are rounded as if there had been too many.
func (q *Quantiles) Rounded() *Quantiles {
	q.Flush()
	c := &Quantiles{
		maxDistinct: q.maxDistinct, numValues: q.numValues, min: q.min, max: q.max,
		values: q.values, counts: q.counts, // insert and rounded make new slices
	}
	if q.distinct != nil {
		d := *q.distinct
		c.distinct = &d
	}
	c.round()
	return c
}

// rounded applies Round to values, ascending and distinct, and joins those that
// become equal.
func rounded(values []float64, counts []int64) ([]float64, []int64) {
	var to []float64
	var sums []int64
	for i, v := range values {
		r := Round(v)
		if n := len(to); n > 0 && to[n-1] == r {
			sums[n-1] += counts[i]
		} else {
			to, sums = append(to, r), append(sums, counts[i])
		}
	}
	return to, sums
}

// Round returns the point of the grid nearest to v: 64 points between powers of
// two, each in the middle of its bucket, so that it is at most 1/128 of v away.
// Zero, infinities and NaN are points of the grid themselves. It is monotonic.
func Round(v float64) float64 {
	const shift = 52 - 6
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	return math.Float64frombits(math.Float64bits(v)>>shift<<shift | 1<<(shift-1))
}
