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

// Here the exact sum misses a midpoint of float32 by less than float64 shows:
// rounding twice goes the wrong way about half the time.
func TestFMAIsRightWhereTwoRoundingsAreNot(t *testing.T) {
	t.Parallel()
	wrong := 0
	for i := range 200 {
		c := float32(1 + i)
		half := (math.Nextafter32(c, 1e9) - c) / 2 // from c to the midpoint above
		below, above := float32(1-0x1p-20), float32(1+0x1p-20)
		for _, p := range [][3]float32{
			{half * above, below, c},                         // half * (1 - 2^-40)
			{half * above, below, math.Nextafter32(c, 1e9)},  // likewise, where a tie goes up
			{half * above, -below, -c},                       // and below zero
			{half * above, -below, math.Nextafter32(c, 1e9)}, // towards c, from above
		} {
			want := exactFMA(p[0], p[1], p[2])
			if got := fma(p[0], p[1], p[2]); !same(got, want) {
				t.Fatalf("fma(%x, %x, %x) = %x, expected %x", p[0], p[1], p[2], got, want)
			}
			if float32(float64(p[0])*float64(p[1])+float64(p[2])) != want {
				wrong++
			}
		}
	}
	if wrong < 100 {
		t.Fatalf("two roundings were wrong %d times only: this test shows little", wrong)
	}
}
