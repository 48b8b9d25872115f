package vector_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/ml/features/vector"
)

const wide = 400 // bits

func bigFloat(x float64) *big.Float { return new(big.Float).SetPrec(wide).SetFloat64(x) }

// exactLog sums 2 atanh((x - 1) / (x + 1)) of a mantissa, and adds exponents.
func exactLog(x *big.Float) *big.Float {
	mantissa := new(big.Float).SetPrec(wide)
	exponent := x.MantExp(mantissa)
	sum := atanh2(mantissa)
	two := atanh2(bigFloat(2))
	return sum.Add(sum, two.Mul(two, bigFloat(float64(exponent))))
}

func atanh2(x *big.Float) *big.Float {
	f := func() *big.Float { return new(big.Float).SetPrec(wide) }
	s := f().Quo(f().Sub(x, bigFloat(1)), f().Add(x, bigFloat(1)))
	s2, power, sum := f().Mul(s, s), f().Set(s), f()
	for k := 1; k < 400; k += 2 {
		sum.Add(sum, f().Quo(power, bigFloat(float64(k))))
		power.Mul(power, s2)
	}
	return sum.Mul(sum, bigFloat(2))
}

// exactExp sums the power series of x / 2^20, and squares.
func exactExp(x *big.Float) *big.Float {
	f := func() *big.Float { return new(big.Float).SetPrec(wide) }
	small := f().SetMantExp(x, -20)
	sum, term := bigFloat(1), bigFloat(1)
	for k := 1; k < 60; k++ {
		term.Quo(term.Mul(term, small), bigFloat(float64(k)))
		sum.Add(sum, term)
	}
	for range 20 {
		sum.Mul(sum, sum)
	}
	return sum
}

// exactSin sums the power series: with 400 bits, good for angles up to 60.
func exactSin(x float64) *big.Float {
	f := func() *big.Float { return new(big.Float).SetPrec(wide) }
	x2, term, sum := f().Mul(bigFloat(x), bigFloat(x)), bigFloat(x), bigFloat(x)
	for k := 2; k < 500; k += 2 {
		term.Quo(term.Mul(term, x2), bigFloat(float64(k*(k+1))))
		term.Neg(term)
		sum.Add(sum, term)
	}
	return sum
}

// ulps is how far a result is from the exact one.
func ulps(got float64, exact *big.Float) float64 {
	rounded, _ := exact.Float64()
	ulp := math.Nextafter(math.Abs(rounded), math.Inf(1)) - math.Abs(rounded)
	off, _ := new(big.Float).Quo(new(big.Float).Sub(exact, bigFloat(got)), bigFloat(ulp)).Float64()
	return math.Abs(off)
}

func TestFunctionsAreWithinTheirUlps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64Range(0.5, 2), rapid.Float64Range(1e-310, 1e300), rapid.SampledFrom([]float64{5e-324, 0.1, 1e-300, math.MaxFloat64, math.E})).Draw(t, "x")
		log := exactLog(bigFloat(x))
		if x != 1 {
			require.LessOrEqual(t, ulps(vector.Log(x), log), 1.0, "log %v", x)
			ten := new(big.Float).SetPrec(wide).Quo(log, exactLog(bigFloat(10)))
			require.LessOrEqual(t, ulps(vector.Log10(x), ten), 0.51, "log10 %v", x)
			two := new(big.Float).SetPrec(wide).Quo(log, exactLog(bigFloat(2)))
			require.LessOrEqual(t, ulps(vector.Log2(x), two), 0.51, "log2 %v", x)
		}
		y := rapid.Float64Range(-700, 700).Draw(t, "y")
		require.LessOrEqual(t, ulps(vector.Exp(y), exactExp(bigFloat(y))), 1.0, "exp %v", y)
		logOfPower, _ := new(big.Float).Mul(log, bigFloat(y)).Float64()
		if math.Abs(logOfPower) < 700 {
			power := exactExp(new(big.Float).SetPrec(wide).Mul(log, bigFloat(y)))
			require.LessOrEqual(t, ulps(vector.Pow(x, y), power), 1.0, "%v ** %v", x, y)
		}
		angle := rapid.OneOf(rapid.Float64Range(-60, 60), rapid.SampledFrom([]float64{math.Pi, math.Pi / 2, 3 * math.Pi, 22, math.Pi / 4, 1e-9, 11})).Draw(t, "angle")
		sin := exactSin(angle)
		if angle != 0 {
			require.LessOrEqual(t, ulps(vector.Sin(angle), sin), 1.0, "sin %v", angle)
		}
		cos := new(big.Float).SetPrec(wide).Sqrt(new(big.Float).SetPrec(wide).Sub(bigFloat(1), new(big.Float).SetPrec(wide).Mul(sin, sin)))
		if math.Cos(angle) < 0 {
			cos.Neg(cos)
		}
		require.LessOrEqual(t, ulps(vector.Cos(angle), cos), 1.0, "cos %v", angle)
		if angle != 0 {
			require.LessOrEqual(t, ulps(vector.Tan(angle), new(big.Float).SetPrec(wide).Quo(sin, cos)), 3.0, "tan %v", angle)
		}
	})
}

func TestAnglesOfAnySizeAreThoseOfTheMathPackage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64Range(-1e6, 1e6), rapid.Float64Range(-1e9, 1e9), rapid.Float64(),
			rapid.SampledFrom([]float64{1 << 28, 1<<28 + 1, 1e22, math.MaxFloat64})).Draw(t, "x")
		require.InDelta(t, math.Sin(x), vector.Sin(x), 3e-16, "%v", x)
		require.InDelta(t, math.Cos(x), vector.Cos(x), 3e-16, "%v", x)
	})
}

func TestFunctionsOfSpecialNumbers(t *testing.T) {
	t.Parallel()
	inf, nan := math.Inf(1), math.NaN()
	special := []float64{0, math.Copysign(0, -1), 1, -1, 2, -2, 3, -3, 0.5, -0.5, inf, -inf, nan, math.MaxFloat64, -math.MaxFloat64, 5e-324, 1e-310, 1e15 + 1, -745.5, 710, -700}
	same := func(want, got float64, name string, of ...float64) {
		t.Helper()
		if math.IsNaN(want) {
			assert.True(t, math.IsNaN(got), "%s of %v is %v", name, of, got)
			return
		}
		if want == 0 || math.IsInf(want, 0) {
			assert.Equal(t, math.Float64bits(want), math.Float64bits(got), "%s of %v is %v, not %v", name, of, got, want)
			return
		}
		assert.InEpsilon(t, want, got, 1e-14, "%s of %v", name, of)
	}
	for _, x := range special {
		if !(x > 0 && x < 1e-300) { // of which package math has logarithms that are off on some processors
			same(math.Log(x), vector.Log(x), "log", x)
			same(math.Log2(x), vector.Log2(x), "log2", x)
			same(math.Log10(x), vector.Log10(x), "log10", x)
		}
		same(math.Exp(x), vector.Exp(x), "exp", x)
		if math.Abs(x) < 1e300 {
			same(math.Sin(x), vector.Sin(x), "sin", x)
			same(math.Cos(x), vector.Cos(x), "cos", x)
		}
		for _, y := range special {
			same(math.Pow(x, y), vector.Pow(x, y), "pow", x, y)
		}
	}
	for _, f := range []func(float64) float64{vector.Sin, vector.Cos, vector.Tan} {
		assert.True(t, math.IsNaN(f(inf)) && math.IsNaN(f(-inf)) && math.IsNaN(f(nan)))
	}
	assert.True(t, math.Signbit(vector.Sin(math.Copysign(0, -1))))
	for k := -300; k <= 300; k++ {
		power, _ := new(big.Float).SetPrec(2000).SetString("1e" + itoa(k))
		x, _ := power.Float64()
		assert.Equal(t, float64(k), vector.Log10(x), "log10 of 1e%d", k)
		assert.Equal(t, float64(k), vector.Log2(math.Ldexp(1, k)), "log2 of 2^%d", k)
	}
}

func itoa(k int) string { return big.NewInt(int64(k)).String() }

// A compiler that fuses products with sums, as for arm64 or with GOAMD64=v3,
// must not change a bit.
func TestTheBitsAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	sum, state := uint64(0), uint64(1)
	for range 200_000 {
		state = state*6364136223846793005 + 1442695040888963407
		x := (float64(state>>11)*0x1p-53 - 0.3) * 40
		y := math.Ldexp(1+float64(state>>20&0xff)/256, int(state>>40%200)-100)
		for _, v := range []float64{
			vector.Log(y), vector.Log2(y), vector.Log10(y), vector.Exp(x), vector.Pow(y, x), vector.Sin(x), vector.Cos(x), vector.Tan(x),
			vector.Sin(y), vector.Log(math.Trunc(y)), vector.Log2(math.Ldexp(1, int(x))), vector.Log10(math.Ldexp(1, int(x))), vector.Pow(2, x),
		} {
			sum = sum*0x9e3779b97f4a7c15 + math.Float64bits(v)
		}
	}
	require.Equal(t, "944900b52a504948", fmt.Sprintf("%x", sum))
}
