package expr

import (
	"math"
	"math/bits"
)

func intsToFloats(dst []float64, a []int64) bool {
	a = a[:len(dst)]
	for i, v := range a {
		dst[i] = float64(v)
	}
	return true
}

// Sums, differences and products of whole numbers that are beyond 64 bits have
// no value. The loops find out whether there is one, the other functions which.

func addInts(dst, a, b []int64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	beyond := int64(0)
	for i := range dst {
		x, y := a[i], b[i]
		s := x + y
		dst[i] = s
		beyond |= (x ^ s) & (y ^ s)
	}
	return beyond >= 0
}

func addBeyond(a, b int64) bool { return (a^(a+b))&(b^(a+b)) < 0 }

func subtractInts(dst, a, b []int64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	beyond := int64(0)
	for i := range dst {
		x, y := a[i], b[i]
		d := x - y
		dst[i] = d
		beyond |= (x ^ y) & (x ^ d)
	}
	return beyond >= 0
}

func subtractBeyond(a, b int64) bool { return (a^b)&(a^(a-b)) < 0 }

func multiplyInts(dst, a, b []int64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	large := uint64(0)
	for i := range dst {
		x, y := a[i], b[i]
		dst[i] = x * y
		large |= uint64(x+1<<31) | uint64(y+1<<31) // of numbers of 32 bits, the product has 64
	}
	return large>>32 == 0
}

func multiplyBeyond(a, b int64) bool {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if a < 0 {
		hi -= uint64(b)
	}
	if b < 0 {
		hi -= uint64(a)
	}
	return int64(hi) != int64(lo)>>63
}

func floorDivideInts(dst, a, b []int64) bool {
	all := true
	for i, y := range b[:len(dst)] {
		x := a[i]
		if y == 0 || y == -1 && x == math.MinInt64 {
			dst[i], all = 0, false
			continue
		}
		q := x / y
		if x%y != 0 && (x < 0) != (y < 0) {
			q--
		}
		dst[i] = q
	}
	return all
}

func floorDivideBeyond(a, b int64) bool { return b == 0 || b == -1 && a == math.MinInt64 }

func moduloInts(dst, a, b []int64) bool {
	all := true
	for i, y := range b[:len(dst)] {
		if y == 0 {
			dst[i], all = 0, false
			continue
		}
		m := a[i] % y
		if m != 0 && (m < 0) != (y < 0) {
			m += y
		}
		dst[i] = m
	}
	return all
}

func byZero[T int64 | float64](_, b T) bool { return b == 0 }

func addFloats(dst, a, b []float64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
	return true
}

func subtractFloats(dst, a, b []float64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
	return true
}

func multiplyFloats(dst, a, b []float64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
	return true
}

func floorDivideFloats(dst, a, b []float64) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	all := true
	for i, y := range b {
		all = all && y != 0
		dst[i] = math.Floor(a[i] / y)
	}
	return all
}

// moduloFloats has the sign of b, as floor division asks for.
func moduloFloats(dst, a, b []float64) bool {
	all := true
	for i, y := range b[:len(dst)] {
		all = all && y != 0
		m := math.Mod(a[i], y) // exact
		if m != 0 && (m < 0) != (y < 0) {
			m += y
		}
		dst[i] = m
	}
	return all
}

func negateInts(dst, a []int64) bool {
	all := true
	for i, v := range a[:len(dst)] {
		all = all && v != math.MinInt64
		dst[i] = -v
	}
	return all
}

func absInts(dst, a []int64) bool {
	all := true
	for i, v := range a[:len(dst)] {
		all = all && v != math.MinInt64
		sign := v >> 63
		dst[i] = (v ^ sign) - sign
	}
	return all
}

func isLeast(v int64) bool { return v == math.MinInt64 }

func signInts(dst, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = v>>63 | int64(uint64(-v)>>63)
	}
	return true
}

func signFloats(dst, a []float64) bool {
	for i, v := range a[:len(dst)] {
		switch {
		case v > 0:
			dst[i] = 1
		case v < 0:
			dst[i] = -1
		default:
			dst[i] = v
		}
	}
	return true
}

func minOf[T int64 | float64](dst, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = min(a[i], b[i])
	}
	return true
}

func maxOf[T int64 | float64](dst, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = max(a[i], b[i])
	}
	return true
}

// always makes a loop of a function that has a value for everything.
func always(of func(v float64) float64) func(dst, a []float64) bool {
	return func(dst, a []float64) bool {
		for i, v := range a[:len(dst)] {
			dst[i] = of(v)
		}
		return true
	}
}

// unless makes a loop of a function that has no value for what is bad.
func unless(of func(v float64) float64, bad func(v float64) bool) func(dst, a []float64) bool {
	return func(dst, a []float64) bool {
		all := true
		for i, v := range a[:len(dst)] {
			all = all && !bad(v)
			dst[i] = of(v)
		}
		return all
	}
}

// Comparisons: yes and no are asked for apart, so that NaN is neither.

func less[T int64 | float64](dst []uint8, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		x, y := a[i], b[i]
		dst[i] = one(x < y) | one(x >= y)<<1
	}
	return true
}

func lessEqual[T int64 | float64](dst []uint8, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		x, y := a[i], b[i]
		dst[i] = one(x <= y) | one(x > y)<<1
	}
	return true
}

func equal[T int64 | float64](dst []uint8, a, b []T) bool {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		x, y := a[i], b[i]
		dst[i] = one(x == y) | (one(x < y)|one(x > y))<<1
	}
	return true
}

// mixed compares whole numbers with fractions exactly.
type mixed struct {
	ints, floats node
	truth        [3]uint8 // of less, equal and greater
}

func (m mixed) eval(f *frame) vec {
	a, b := m.ints.eval(f), m.floats.eval(f)
	out := take[uint8](f)
	for i, x := range a.ints {
		out[i] = 0
		if y := b.floats[i]; y == y {
			out[i] = m.truth[1+order(x, y)]
		}
	}
	valid := f.both(a, b)
	f.release(a, b)
	return made(f, out, valid)
}

// order is -1, 0 or 1 for less, equal or greater; y is not NaN.
func order(x int64, y float64) int {
	switch r := float64(x); { // rounding keeps the order, save that it makes equals
	case r < y:
		return -1
	case r > y:
		return 1
	case y >= 1<<63:
		return -1
	}
	switch w := int64(y); {
	case x < w:
		return -1
	case x > w:
		return 1
	}
	return 0
}
