package kernels

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// exactFMA rounds the exact value once, with numbers of any precision.
func exactFMA(a, b, c float32) float32 {
	if math.IsNaN(float64(a+b+c)) || math.IsInf(float64(a), 0) || math.IsInf(float64(b), 0) || math.IsInf(float64(c), 0) {
		return float32(float64(a)*float64(b) + float64(c))
	}
	x := new(big.Float).SetPrec(2000).SetFloat64(float64(a))
	x.Mul(x, new(big.Float).SetFloat64(float64(b)))
	if x.Sign() == 0 || c == 0 {
		return float32(float64(a)*float64(b) + float64(c)) // one rounding, and the sign of zero
	}
	x.Add(x, new(big.Float).SetFloat64(float64(c)))
	if x.Sign() == 0 {
		return 0
	}
	f, _ := x.Float32()
	return f
}

func genFloat(t *rapid.T, name string) float32 {
	bits := rapid.Uint32().Draw(t, name)
	switch rapid.IntRange(0, 3).Draw(t, name+" kind") {
	case 0: // few bits set: sums near midpoints
		bits &= 0xff800000 | 1<<rapid.IntRange(0, 22).Draw(t, "bit") | 1<<rapid.IntRange(0, 22).Draw(t, "bit")
	case 1: // near one
		bits = bits&0x807fffff | uint32(rapid.IntRange(100, 150).Draw(t, "exponent"))<<23
	case 2: // near the smallest
		bits = bits&0x807fffff | uint32(rapid.IntRange(0, 64).Draw(t, "exponent"))<<23
	}
	return math.Float32frombits(bits)
}

func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func TestFMARoundsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genFloat(t, "a"), genFloat(t, "b"), genFloat(t, "c")
		if got, want := fma(a, b, c), exactFMA(a, b, c); !same(got, want) {
			t.Fatalf("fma(%x, %x, %x) = %x, expected %x", a, b, c, got, want)
		}
	})
}

// Products and addends built so that the float64 sum falls on a midpoint of
// float32 which the exact sum misses: two roundings would go the wrong way.
func TestFMAIsRightWhereTwoRoundingsAreNot(t *testing.T) {
	t.Parallel()
	wrong := 0
	for i := range 4000 {
		a := 1 + float32(2*(i%1000)+1)*0x1p-23
		b := 0x1p-24 * (1 + float32(i/1000)*0x1p-22)
		c := float32(1 + 2*(i%7))
		for _, s := range []float32{1, -1} {
			got, want := fma(s*a, b, s*c), exactFMA(s*a, b, s*c)
			if !same(got, want) {
				t.Fatalf("fma(%x, %x, %x) = %x, expected %x", s*a, b, s*c, got, want)
			}
		}
		tiny := float32(0x1p-60)
		x, y := float32(1+0x1p-12), float32(0x1p-24)
		z := fma(x*float32(1+i%2), y*(1-tiny), c)
		if !same(z, exactFMA(x*float32(1+i%2), y*(1-tiny), c)) {
			t.Fatalf("fma near the midpoint above %v", c)
		}
		if float32(float64(a)*float64(b)+float64(c)) != exactFMA(a, b, c) {
			wrong++
		}
	}
	a, b, c := float32(1+0x1p-23), float32(0x1p-24*(1-0x1p-23)), float32(1)
	d := float32(0x1p-77)
	_ = d
	if got, want := fma(a, b, c), exactFMA(a, b, c); got != want {
		t.Fatalf("fma(%x, %x, %x) = %x, expected %x (naive wrong %d times)", a, b, c, got, want, wrong)
	}
}
