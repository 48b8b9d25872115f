package window

import (
	"math"
)

// sumCleanRows adds windows of rows without NaN, from first to last; as means if
// so told. Four windows at a time keep the processor's adders busy.
func sumCleanRows(dst, v []float64, from, rows, ahead int, mean bool) {
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

// sumRows does the same where some are no values; it gives sums alone.
func (r *rolling) sumRows(dst, v []float64, from int) {
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

// deviateRows takes the deviation of each window in two passes.
func (r *rolling) deviateRows(dst, v []float64, from int) {
	for i, lo := range r.lo {
		if n := r.num[i]; n >= r.minValues {
			dst[i] = deviation(v[lo:from+i+r.ahead], float64(n))
		}
	}
}

// deviateCleanRows does the same where there is no NaN, four windows at a time.
func deviateCleanRows(dst, v []float64, from, rows, ahead int) {
	i := from
	for ; i < len(v) && i+ahead < rows; i++ { // windows that begin with the entity
		if i+ahead > 0 {
			dst[i-from] = deviation(v[:i+ahead], float64(i+ahead))
		}
	}
	for ; i+4 <= len(v); i += 4 {
		at := i + ahead - rows
		deviateFour(dst[i-from:], v[at:at+rows+3], rows)
	}
	for ; i < len(v); i++ {
		dst[i-from] = deviation(v[i+ahead-rows:i+ahead], float64(rows))
	}
}

// deviateFour takes the deviations of v[0:rows] to v[3:rows+3], among which
// there is no NaN, as deviation does.
func deviateFour(dst, v []float64, rows int) {
	w0 := v[:rows]
	w1, w2, w3 := v[1:][:len(w0)], v[2:][:len(w0)], v[3:][:len(w0)]
	from0, from1, from2, from3 := w0[0], w1[0], w2[0], w3[0]
	var s0, s1, s2, s3 float64
	for k := range w0 {
		s0 += w0[k] - from0
		s1 += w1[k] - from1
		s2 += w2[k] - from2
		s3 += w3[k] - from3
	}
	n := float64(rows)
	mean0, mean1, mean2, mean3 := s0/n, s1/n, s2/n, s3/n
	s0, s1, s2, s3 = 0, 0, 0, 0
	for k := range w0 {
		d0, d1, d2, d3 := w0[k]-from0-mean0, w1[k]-from1-mean1, w2[k]-from2-mean2, w3[k]-from3-mean3
		s0 += float64(d0 * d0)
		s1 += float64(d1 * d1)
		s2 += float64(d2 * d2)
		s3 += float64(d3 * d3)
	}
	dst[0], dst[1] = math.Sqrt(s0/(n-1)), math.Sqrt(s1/(n-1))
	dst[2], dst[3] = math.Sqrt(s2/(n-1)), math.Sqrt(s3/(n-1))
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

// block returns the rows from first to end that are in block b, which begins at
// mid. Their windows have at most v[least:mid] of the block before.
func (r *rolling) block(b, from int) (least, mid, first, end int) {
	mid, end = r.blocks[b], from+len(r.lo)
	if b+1 < len(r.blocks) {
		end = r.blocks[b+1]
	}
	first = max(mid, from)
	return min(int(r.lo[first-from]), mid), mid, first, end
}

// sumBlocks adds windows block by block.
func (r *rolling) sumBlocks(dst, v []float64, from int) {
	current := r.ahead == 1
	for b := range r.blocks {
		least, mid, first, end := r.block(b, from)
		ends, sum := resize(&r.sums, mid-least+1), 0.0
		ends[mid-least] = sum
		for i := mid - 1; i >= least; i-- {
			if x := v[i]; !math.IsNaN(x) {
				sum += x
			}
			ends[i-least] = sum
		}
		sum = 0
		for _, x := range v[mid:first] {
			if !math.IsNaN(x) {
				sum += x
			}
		}
		lo, to := r.lo[first-from:end-from], dst[first-from:end-from]
		for i, x := range v[first:end] {
			if math.IsNaN(x) {
				x = 0
			}
			with := sum + x
			if current {
				sum = with
			}
			to[i] = ends[min(int(lo[i]), mid)-least] + sum
			sum = with
		}
	}
}

// least finds the smallest value of each window; the largest when flip is -1,
// which turns the order of keys around. NaN is behind all values.
func (r *rolling) least(dst, v []float64, from int, flip int64) {
	keys := resize(&r.keys, len(v))
	for i, x := range v {
		word := int64(math.Float64bits(x))
		keys[i] = word ^ int64(uint64(word>>63)>>1) ^ flip
		if math.IsNaN(x) {
			keys[i] = math.MaxInt64
		}
	}
	if r.short() {
		leastOfRows(dst, keys, from, r.config.Rows, r.ahead, flip)
	} else {
		r.leastOfBlocks(dst, keys, from, flip)
	}
}

// valueOf is the value of a key, 0 for -0.
func valueOf(key, flip int64) float64 {
	key ^= flip
	return math.Float64frombits(uint64(key^int64(uint64(key>>63)>>1))) + 0
}

// leastOfRows makes each key the smallest of the 2, 4, 8 and so on that begin
// with it; two of those cover a window.
func leastOfRows(dst []float64, keys []int64, from, rows, ahead int, flip int64) {
	i, low, next := from, int64(math.MaxInt64), 0
	for ; i < from+len(dst) && i+ahead < rows; i++ { // windows that begin with the entity
		for ; next < i+ahead; next++ {
			low = min(low, keys[next])
		}
		dst[i-from] = valueOf(low, flip)
	}
	width := 1
	for ; 2*width <= rows; width *= 2 {
		for k, other := range keys[min(width, len(keys)):] {
			keys[k] = min(keys[k], other)
		}
	}
	for ; i < from+len(dst); i++ {
		lo := i + ahead - rows
		dst[i-from] = valueOf(min(keys[lo], keys[lo+rows-width]), flip)
	}
}

// leastOfBlocks goes block by block.
func (r *rolling) leastOfBlocks(dst []float64, keys []int64, from int, flip int64) {
	current := r.ahead == 1
	for b := range r.blocks {
		least, mid, first, end := r.block(b, from)
		ends, low := resize(&r.ends, mid-least+1), int64(math.MaxInt64)
		ends[mid-least] = low
		for i := mid - 1; i >= least; i-- {
			low = min(low, keys[i])
			ends[i-least] = low
		}
		low = math.MaxInt64
		for _, k := range keys[mid:first] {
			low = min(low, k)
		}
		lo, to := r.lo[first-from:end-from], dst[first-from:end-from]
		for i, k := range keys[first:end] {
			with := min(low, k)
			if current {
				low = with
			}
			to[i] = valueOf(min(low, ends[min(int(lo[i]), mid)-least]), flip)
			low = with
		}
	}
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
	s.mean += float64(d * (1 / s.n)) // the quotient does not wait for d
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

// deviateBlocks takes the deviation of windows block by block.
func (r *rolling) deviateBlocks(dst, v []float64, from int) {
	current := r.ahead == 1
	for b := range r.blocks {
		least, mid, first, end := r.block(b, from)
		ends := resize(&r.spreads, mid-least+1)
		var s spread
		ends[mid-least] = s
		for i := mid - 1; i >= least; i-- {
			s.add(v[i])
			ends[i-least] = s
		}
		s = spread{}
		for _, x := range v[mid:first] {
			s.add(x)
		}
		for i := first; i < end; i++ {
			if current {
				s.add(v[i])
			}
			if r.num[i-from] >= r.minValues {
				dst[i-from] = s.deviation(&ends[min(int(r.lo[i-from]), mid)-least])
			}
			if !current {
				s.add(v[i])
			}
		}
	}
}
