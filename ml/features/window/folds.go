package window

import (
	"math"
	"slices"
)

// directSums adds windows of rows without NaN, from first to last; as means if
// so told. Four windows at a time keep the processor's adders busy.
func directSums(dst, v []float64, from, rows, ahead int, mean bool) {
	i, sum, by := from, 0.0, 1.0
	for next := 0; i < len(v) && i+ahead < rows; i++ { // windows that begin with the entity
		for ; next < i+ahead; next++ {
			sum += v[next]
		}
		if mean {
			by = float64(i + ahead)
		}
		dst[i-from] = sum / by
	}
	if mean {
		by = float64(rows)
	}
	for ; i+4 <= len(v); i += 4 {
		at := i + ahead - rows
		w0 := v[at : at+rows]
		w1, w2, w3 := v[at+1:][:len(w0)], v[at+2:][:len(w0)], v[at+3:][:len(w0)]
		var s0, s1, s2, s3 float64
		for k := range w0 {
			s0 += w0[k]
			s1 += w1[k]
			s2 += w2[k]
			s3 += w3[k]
		}
		to := dst[i-from : i-from+4]
		to[0], to[1], to[2], to[3] = s0/by, s1/by, s2/by, s3/by
	}
	for ; i < len(v); i++ {
		sum := 0.0
		for _, x := range v[i+ahead-rows : i+ahead] {
			sum += x
		}
		dst[i-from] = sum / by
	}
}

// directSums does the same where some are no values; it gives sums alone.
func (r *rolling) directSums(dst, v []float64, from int) {
	for i, lo := range r.lo {
		sum := 0.0
		for _, x := range v[lo : from+i+r.ahead] {
			if !math.IsNaN(x) {
				sum += x
			}
		}
		dst[i] = sum
	}
}

// directDeviations takes the deviation of each window in two passes.
func (r *rolling) directDeviations(dst, v []float64, from int) {
	for i, lo := range r.lo {
		if n := r.num[i]; n >= r.minValues {
			dst[i] = deviation(v[lo:from+i+r.ahead], float64(n))
		}
	}
}

// deviation is that of n values, those of v that are not NaN. Differences from
// the first value are as good as the values, and 0 when all are equal.
func deviation(v []float64, n float64) float64 {
	first := 0
	for math.IsNaN(v[first]) {
		first++
	}
	v = v[first:]
	shift, sum, squares := v[0], 0.0, 0.0
	for _, x := range v {
		if !math.IsNaN(x) {
			sum += x - shift
		}
	}
	mean := sum / n
	for _, x := range v {
		if !math.IsNaN(x) {
			d := x - shift - mean
			squares += float64(d * d)
		}
	}
	return math.Sqrt(squares / (n - 1))
}

// eachBlock calls visit with the rows from first to end of each block that
// begins at mid. Windows have v[lo:mid] of the block before, for which lo is at
// least least.
func (r *rolling) eachBlock(from int, visit func(least, mid, first, end int)) {
	numRows := from + len(r.lo)
	for b, mid := range r.blocks {
		end := numRows
		if b+1 < len(r.blocks) {
			end = r.blocks[b+1]
		}
		first := max(mid, from)
		visit(min(int(r.lo[first-from]), mid), mid, first, end)
	}
}

// sums adds windows block by block.
func (r *rolling) sums(dst, v []float64, from int) {
	r.eachBlock(from, func(least, mid, first, end int) {
		r.ends = slices.Grow(r.ends[:0], mid-least+1)[:mid-least+1]
		ends, sum := r.ends, 0.0
		ends[mid-least] = sum
		for i := mid - 1; i >= least; i-- {
			if x := v[i]; !math.IsNaN(x) {
				sum += x
			}
			ends[i-least] = sum
		}
		sum = 0
		next := mid
		for i := first; i < end; i++ {
			for ; next < i+r.ahead; next++ {
				if x := v[next]; !math.IsNaN(x) {
					sum += x
				}
			}
			dst[i-from] = ends[min(int(r.lo[i-from]), mid)-least] + sum
		}
	})
}

// extremes finds the smallest values of windows block by block; the largest
// when sign is -1.
func (r *rolling) extremes(dst, v []float64, from int, sign float64) {
	r.eachBlock(from, func(least, mid, first, end int) {
		r.ends = slices.Grow(r.ends[:0], mid-least+1)[:mid-least+1]
		ends, low := r.ends, math.Inf(1)
		ends[mid-least] = low
		for i := mid - 1; i >= least; i-- {
			if x := sign * v[i]; x < low { // NaN is not
				low = x
			}
			ends[i-least] = low
		}
		low = math.Inf(1)
		next := mid
		for i := first; i < end; i++ {
			for ; next < i+r.ahead; next++ {
				if x := sign * v[next]; x < low {
					low = x
				}
			}
			lowest := ends[min(int(r.lo[i-from]), mid)-least]
			if low < lowest {
				lowest = low
			}
			dst[i-from] = sign*lowest + 0
		}
	})
}

// spread is how far values are apart: their number, one of them, the mean of
// the differences from it, and the sum of the squared differences from the mean.
type spread struct {
	n, shift, mean, squares float64
}

// add adds a value, unless it is NaN, by Welford's formula.
func (s *spread) add(x float64) {
	if math.IsNaN(x) {
		return
	}
	if s.n == 0 {
		s.shift = x
	}
	s.n++
	x -= s.shift
	d := x - s.mean
	s.mean += d / s.n
	s.squares += float64(d * (x - s.mean))
}

// deviation is that of the values of two spreads, which have two or more.
func (s *spread) deviation(o *spread) float64 {
	n, squares := s.n+o.n, s.squares+o.squares
	if s.n > 0 && o.n > 0 {
		d := o.shift - s.shift + (o.mean - s.mean)
		squares += float64(float64(d*d) * (s.n * o.n / n))
	}
	return math.Sqrt(squares / (n - 1))
}

// deviations takes the deviation of windows block by block.
func (r *rolling) deviations(dst, v []float64, from int) {
	r.eachBlock(from, func(least, mid, first, end int) {
		r.spreads = slices.Grow(r.spreads[:0], mid-least+1)[:mid-least+1]
		var s spread
		r.spreads[mid-least] = s
		for i := mid - 1; i >= least; i-- {
			s.add(v[i])
			r.spreads[i-least] = s
		}
		s = spread{}
		next := mid
		for i := first; i < end; i++ {
			for ; next < i+r.ahead; next++ {
				s.add(v[next])
			}
			if r.num[i-from] >= r.minValues {
				dst[i-from] = s.deviation(&r.spreads[min(int(r.lo[i-from]), mid)-least])
			}
		}
	})
}
