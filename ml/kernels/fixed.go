package kernels

import "math"

const (
	// MaxFixed bounds what AddFixed adds to one element at once: the scaled
	// value's magnitude must be below it. So up to 4,095 blocks can be added,
	// whoever adds them and in whatever order, without overflow.
	MaxFixed = 1 << 51

	roundShift = 3 << 51 // 1.5*2^52: adding it to a float64 rounds that to an integer
)

// AddFixed adds g, in fixed point, to acc: round(g * scale), ties to even.
// Because integers are added, sums over blocks do not depend on their order or
// grouping. It reports false if an element is NaN or its scaled magnitude is
// not below MaxFixed: such elements add nothing, all others are added as usual.
// Shapes: acc and g (n,). A scale that is a power of two loses nothing but what
// is below 1/scale.
func AddFixed(acc []int64, g []float32, scale float64) bool {
	return addFixed(Active(), acc, g, scale)
}

func addFixed(v Variant, acc []int64, g []float32, scale float64) bool {
	check(len(acc) == len(g), "add fixed: %d sums and %d values", len(acc), len(g))
	done, ok := 0, true
	if v != Portable {
		done, ok = addFixedVector(v, acc, g, scale)
	}
	for i := done; i < len(g); i++ {
		x := float64(float64(g[i]) * scale)
		if !(math.Abs(x) < MaxFixed) {
			ok = false
			continue
		}
		acc[i] += int64(math.Float64bits(x+roundShift)) - fixedBase
	}
	return ok
}

// fixedBase is the bits of roundShift as a float64.
const fixedBase = (1023+52)<<52 | 1<<51

// FromFixed writes acc * scale to g: the inverse of AddFixed with the
// reciprocal of its scale, or that over the number of rows for a mean. Each
// element is rounded to float64, multiplied, and rounded to float32.
func FromFixed(g []float32, acc []int64, scale float64) {
	fromFixed(Active(), g, acc, scale)
}

func fromFixed(v Variant, g []float32, acc []int64, scale float64) {
	check(len(acc) == len(g), "from fixed: %d sums and %d values", len(acc), len(g))
	done := 0
	if v != Portable {
		done = fromFixedVector(v, g, acc, scale)
	}
	for i := done; i < len(g); i++ {
		g[i] = float32(float64(float64(acc[i]) * scale))
	}
}

// Narrow puts the lower halves of src in dst, and reports whether all numbers fit
// in them. Shapes: dst and src (n,). What is in dst if they do not is of no use.
func Narrow(dst []int32, src []int64) bool { return narrow(Active(), dst, src) }

func narrow(v Variant, dst []int32, src []int64) bool {
	check(len(dst) == len(src), "narrow: %d numbers into %d", len(src), len(dst))
	done, fits := 0, true
	if v != Portable {
		done, fits = narrowVector(v, dst, src)
	}
	for i := done; i < len(src) && fits; i++ {
		dst[i] = int32(src[i])
		fits = int64(dst[i]) == src[i]
	}
	return fits
}

// AddNarrow adds src to acc. Shapes: acc and src (n,).
func AddNarrow(acc []int64, src []int32) { addNarrow(Active(), acc, src) }

func addNarrow(v Variant, acc []int64, src []int32) {
	check(len(acc) == len(src), "add narrow: %d sums and %d numbers", len(acc), len(src))
	done := 0
	if v != Portable {
		done = addNarrowVector(v, acc, src)
	}
	for i := done; i < len(src); i++ {
		acc[i] += int64(src[i])
	}
}
