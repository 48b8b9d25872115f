// Package vector holds the loops that features are made of, over slices of one
// length, without allocations and with the same bits on every processor. Nulls
// are the caller's: a loop computes every row, and what it makes of a null is
// never looked at.
package vector

import (
	"math"

	"github.com/troupe-ml/troupe/data"
)

// Scale writes (src - shift) / by.
func Scale(dst, src []float64, shift, by float64) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = (v - shift) / by
	}
}

// Log1p writes the natural logarithm of 1 + src, and reports whether every
// value has one: those of -1 and below have not, and become NaN. The error is
// below 1 ulp.
//
// Source: FreeBSD's s_log1p.c and e_log.c (Sun Microsystems, 1993): with
// u = 1 + x rounded, log1p(x) = log(u) + (x - (u - 1)) / u, and log as in
// ml/metrics.
func Log1p(dst, src []float64) (all bool) {
	dst = dst[:len(src)]
	all = true
	for i, v := range src {
		if v <= -1 {
			all = false
		}
		dst[i] = log1p(v)
	}
	return all
}

func log1p(x float64) float64 {
	u := 1 + x
	if !(u > 0 && u <= math.MaxFloat64) { // also true of NaN
		if math.IsInf(u, 1) {
			return u
		}
		return math.NaN()
	}
	if math.Abs(x) < 0x1p-54 {
		return x
	}
	c := x - (u - 1) // what rounding u has lost, exact up to 2^53, where it no longer counts
	return logOf(u, c, 0)
}

// logOf is the natural logarithm of u 2^k, with lost added to u, of a normal u.
func logOf(u, lost, k float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
		l1    = 6.666666666666735130e-01
		l2    = 3.999999999940941908e-01
		l3    = 2.857142874366239149e-01
		l4    = 2.222219843214978396e-01
		l5    = 1.818357216161805012e-01
		l6    = 1.531383769920937332e-01
		l7    = 1.479819860510658591e-01
		half  = 0x3fe6a09e667f3bcd // the bits of sqrt(2)/2
	)
	bits := math.Float64bits(u)
	exponent := int64(bits-half) >> 52
	k += float64(exponent)
	f := math.Float64frombits(bits-uint64(exponent)<<52) - 1
	// Each product is converted on its own, which forbids fusing it with the
	// addition that follows.
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	t1 := float64(s2 * (l1 + float64(s4*(l3+float64(s4*(l5+float64(s4*l7)))))))
	t2 := float64(s4 * (l2 + float64(s4*(l4+float64(s4*l6)))))
	r := t1 + t2
	hfsq := float64(float64(0.5*f) * f)
	return float64(k*ln2Hi) - ((hfsq - (float64(s*(hfsq+r)) + (float64(k*ln2Lo) + lost/u))) - f)
}

// Ratio writes a / b, and reports whether b is never 0.
func Ratio(dst, a, b []float64) (all bool) {
	a, b = a[:len(dst)], b[:len(dst)]
	all = true
	for i := range dst {
		d := b[i]
		if d == 0 {
			all = false
		}
		dst[i] = a[i] / d
	}
	return all
}

// Multiply writes dst * src to dst.
func Multiply(dst, src []float64) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] *= v
	}
}

// Bin writes the place of the interval that holds each value, and reports
// whether every value is in one. The first interval is edges[0]..edges[1] with
// both ends, the others are without their lower one. Edges ascend, and are two
// at least. The place of a value in no interval is one that exists.
func Bin(dst []uint32, src, edges []float64) (all bool) {
	dst = dst[:len(src)]
	low, high := edges[0], edges[len(edges)-1]
	inner := edges[1 : len(edges)-1]
	all = true
	const block, few = 1024, 24
	for from := 0; from < len(src); from += block {
		to := min(from+block, len(src))
		values, places := src[from:to], dst[from:to]
		for i, v := range values {
			if !(v >= low && v <= high) {
				all = false
			}
			places[i] = 0
		}
		if len(inner) > few {
			for i, v := range values {
				places[i] = above(inner, v)
			}
			continue
		}
		for _, e := range inner {
			count(places, values, e)
		}
	}
	return all
}

// count adds 1 to the place of every value above the edge.
func count(places []uint32, values []float64, edge float64) {
	places = places[:len(values)]
	for i, v := range values {
		var one uint32
		if v > edge {
			one = 1
		}
		places[i] += one
	}
}

// above returns how many edges v is above.
func above(edges []float64, v float64) uint32 {
	low, high := 0, len(edges)
	for low < high {
		if mid := (low + high) / 2; v > edges[mid] {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return uint32(low)
}

// Gather writes table[codes].
func Gather[T any](dst []T, codes []uint32, table []T) {
	dst = dst[:len(codes)]
	for i, c := range codes {
		dst[i] = table[c]
	}
}

// Clip writes src cut to low..high; NaN stays NaN.
func Clip(dst, src []float64, low, high float64) {
	dst = dst[:len(src)]
	for i, v := range src {
		if v < low {
			v = low
		}
		if v > high {
			v = high
		}
		dst[i] = v
	}
}

// Float64s writes the values of any numeric slice as float64.
func Float64s[T int32 | int64 | float32](dst []float64, src []T) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = float64(v)
	}
}

// Clear clears the rows of valid whose value in src is bad. A nil valid means
// that all of the rows are valid before; it is not changed but replaced.
func Clear(valid data.Bitmap, src []float64, bad func(v float64) bool) data.Bitmap {
	out := Clone(valid, len(src))
	for i, v := range src {
		if bad(v) {
			out.Clear(i)
		}
	}
	return out
}

// Clone copies a bitmap of numRows rows, of which a nil one has all set.
func Clone(valid data.Bitmap, numRows int) data.Bitmap {
	out := data.NewBitmap(numRows)
	if valid != nil {
		copy(out, valid)
		return out
	}
	for i := range out {
		out[i] = ^uint64(0)
	}
	if rest := numRows & 63; rest != 0 {
		out[len(out)-1] = 1<<uint(rest) - 1
	}
	return out
}

// And returns the rows that are set in both; nil has all set.
func And(a, b data.Bitmap) data.Bitmap {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := make(data.Bitmap, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] & b[i]
	}
	return out
}
