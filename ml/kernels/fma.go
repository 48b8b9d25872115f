package kernels

import "math"

// fma returns a*b + c, rounded once to float32, as the fused multiply-add of
// the vector units does.
//
// The product of two float32 is exact in float64 (48 of 53 bits), so only the
// sum is rounded, and then again to float32. Two roundings differ from one only
// if the first lands on a midpoint between two float32, which the low 29 bits
// of the float64 show as long as the result is not below the smallest normal
// float32; then, and for such small results, fmaExact does it with care.
func fma(a, b, c float32) float32 {
	s := float64(float64(a)*float64(b)) + float64(c)
	if bits := math.Float64bits(s); bits&(1<<29-1) != 1<<28 && bits<<1 >= smallestNormal<<1 {
		return float32(s)
	}
	return fmaExact(a, b, c)
}

// smallestNormal is 2^-126 as bits of a float64.
const smallestNormal = (1023 - 126) << 52

// fmaExact rounds the sum to odd first: if it is not exact, the last bit is
// made one, towards the exact value. An odd last bit is on no midpoint of
// float32 and on the right side of it, so the second rounding is right.
//
// Source: Boldo and Melquiond, Emulation of FMA and correctly rounded sums:
// proved algorithms using rounding to odd, IEEE ToC 57(4), 2008, theorem 1.
func fmaExact(a, b, c float32) float32 {
	p, d := float64(float64(a)*float64(b)), float64(c)
	s := p + d
	if s == 0 || s-s != 0 {
		return float32(s) // zero is exact; infinities and NaN are what they are
	}
	t := s - p
	e := (p - (s - t)) + (d - t) // what the sum lost, exactly (Knuth's TwoSum)
	if bits := math.Float64bits(s); e != 0 && bits&1 == 0 {
		if (e > 0) == (s > 0) {
			bits++ // the exact value is farther from zero
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}
