package drift

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/troupe-ml/troupe/ml/sketch"
)

// numQuantiles is how many bins numbers are divided in, if they differ enough.
const numQuantiles = 10

// The names of the bins that are no value and no range.
const (
	missingBin = "(missing)"
	unseenBin  = "(unseen)"
)

// bins are the counts of the same bins of two tables.
type bins struct {
	names              []string
	reference, current []int64
}

func (b *bins) add(name string, reference, current int64) {
	b.names = append(b.names, name)
	b.reference = append(b.reference, reference)
	b.current = append(b.current, current)
}

// edgesOf returns the deciles of numbers, each once, ascending. Infinite ones,
// and those between infinities, are left out: the outer bins hold infinities.
func edgesOf(q *sketch.Quantiles) []float64 {
	if q.N() == 0 {
		return nil
	}
	var edges []float64
	for i := 1; i < numQuantiles; i++ {
		e := q.Quantile(float64(i) / numQuantiles)
		if math.IsNaN(e) || math.IsInf(e, 0) || len(edges) > 0 && e <= edges[len(edges)-1] {
			continue
		}
		edges = append(edges, e)
	}
	return edges
}

// numberBins counts numbers in the bins (-inf, e1], (e1, e2], ..., (ek, inf).
func numberBins(reference, current *sketch.Quantiles, edges []float64) *bins {
	b := &bins{reference: countIn(reference, edges), current: countIn(current, edges)}
	for i := range len(edges) + 1 {
		switch {
		case len(edges) == 0:
			b.names = append(b.names, "any number")
		case i == 0:
			b.names = append(b.names, "to "+short(edges[0]))
		case i == len(edges):
			b.names = append(b.names, "above "+short(edges[i-1]))
		default:
			b.names = append(b.names, short(edges[i-1])+" to "+short(edges[i]))
		}
	}
	return b
}

func countIn(q *sketch.Quantiles, edges []float64) []int64 {
	counts := make([]int64, len(edges)+1)
	i := 0
	for v, n := range q.All() {
		for i < len(edges) && v > edges[i] {
			i++
		}
		counts[i] += n
	}
	return counts
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// valueBins has one bin for each value of the reference, the most frequent
// first, equals by name; those that only current has are one bin more, or with
// apart a bin each.
func valueBins(reference, current *values, apart bool) *bins {
	groups := reference.groups != nil || current.groups != nil
	r, c := reference.byName(groups), current.byName(groups)
	b := &bins{}
	for _, name := range byFrequency(r) {
		b.add(name, r[name], c[name])
	}
	var unseen int64
	for _, name := range byFrequency(c) {
		switch {
		case r[name] > 0:
		case apart:
			b.add(name, 0, c[name])
		default:
			unseen += c[name]
		}
	}
	if unseen > 0 {
		b.add(unseenBin, 0, unseen)
	}
	return b
}

func byFrequency(counts map[string]int64) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
	return names
}

// binsOf returns the bins that two columns of one kind are compared by, that of
// missing values among them where there are any, and the edges of numbers.
func binsOf(reference, current *column) (b *bins, edges []float64) {
	if reference.kind == Number {
		r, c := alike(reference.numbers, current.numbers)
		edges = edgesOf(r)
		b = numberBins(r, c, edges)
	} else {
		b = valueBins(reference.values, current.values, false)
	}
	if r, c := reference.missing, current.missing; r > 0 || c > 0 {
		b.add(missingBin, r, c)
	}
	return b, edges
}

// alike returns two summaries that are both exact or both rounded, since values
// that are rounded on one side only would seem to have moved.
func alike(a, b *sketch.Quantiles) (*sketch.Quantiles, *sketch.Quantiles) {
	if a.Exact() == b.Exact() {
		return a, b
	}
	return a.Rounded(), b.Rounded()
}

// step is a point at which the distribution of either table steps up.
type step struct {
	value              float64
	reference, current int64 // values up to and at it
}

// steps yields the distinct values of both tables in ascending order, with the
// number of values up to each.
func steps(reference, current *sketch.Quantiles) iter.Seq[step] {
	return func(yield func(step) bool) {
		next, stop := iter.Pull2(current.All())
		defer stop()
		v, n, more := next()
		var s step
		upTo := func(limit float64) bool { // the values of current below limit
			for more && v < limit {
				s.value, s.current = v, s.current+n
				if !yield(s) {
					return false
				}
				v, n, more = next()
			}
			return true
		}
		for rv, rn := range reference.All() {
			if !upTo(rv) {
				return
			}
			s.value, s.reference = rv, s.reference+rn
			if more && v == rv {
				s.current += n
				v, n, more = next()
			}
			if !yield(s) {
				return
			}
		}
		for more {
			s.value, s.current = v, s.current+n
			if !yield(s) {
				return
			}
			v, n, more = next()
		}
	}
}
