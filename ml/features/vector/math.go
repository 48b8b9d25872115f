package vector

import (
	"math"
	"math/big"
	"sync"
)

// The functions here are computed by the same steps on every processor, unlike
// those of package math: products are converted on their own, which forbids
// fusing them with an addition, or fused on purpose by math.FMA.

// Log returns the natural logarithm, with an error below 1 ulp: NaN of negative
// numbers, -inf of 0.
func Log(x float64) float64 {
	switch {
	case x >= 0x1p-1022 && x <= math.MaxFloat64:
		return logOf(x, 0, 0)
	case x > 0 && x < 1:
		return logOf(x*0x1p54, 0, -54)
	case x == 0:
		return math.Inf(-1)
	case x > 0:
		return x
	}
	return math.NaN()
}

// Log2 returns the logarithm to base 2, which is exact for powers of 2.
func Log2(x float64) float64 {
	const hi, lo = 1.4426950408889634, 2.0355273740931033e-17 // 1 / ln 2
	return logTo(x, hi, lo)
}

// Log10 returns the logarithm to base 10, which is exact for powers of 10.
func Log10(x float64) float64 {
	const hi, lo = 0.4342944819032518, 1.098319650216765e-17 // 1 / ln 10
	return logTo(x, hi, lo)
}

func logTo(x, hi, lo float64) float64 {
	if x == 0 {
		return math.Inf(-1)
	}
	h, l := logParts(x)
	if math.IsInf(h, 0) || h != h {
		return h
	}
	p, e := product(h, hi)
	return p + (e + (float64(h*lo) + float64(l*hi)))
}

// product is a * b as a sum of two numbers, exactly.
func product(a, b float64) (p, e float64) {
	p = float64(a * b)
	return p, math.FMA(a, b, -p)
}

// sum is a + b as a sum of two numbers, exactly.
func sum(a, b float64) (s, e float64) {
	s = a + b
	t := s - a
	return s, (a - (s - t)) + (b - t)
}

// logParts returns the natural logarithm as a sum of two numbers, good to about
// 2^-66 of it: k ln 2 + log(1 + f), with 1 + f in sqrt(1/2)..sqrt(2) and
// log(1 + f) = 2 (s + s^3/3 + s^5/5 + ...) of s = f / (2 + f).
func logParts(x float64) (hi, lo float64) {
	if !(x > 0 && x <= math.MaxFloat64) {
		if x > 0 {
			return x, 0 // +inf
		}
		return math.NaN(), 0
	}
	const (
		half  = 0x3fe6a09e667f3bcd // the bits of sqrt(2)/2
		ln2Hi = 0.6931471805598903 // of 42 bits, so that its products with exponents are exact
		ln2Lo = 5.497923018708371e-14
	)
	k := 0.0
	if x < 0x1p-1022 {
		x *= 0x1p54
		k = -54
	}
	bits := math.Float64bits(x)
	exponent := int64(bits-half) >> 52
	k += float64(exponent)
	f := math.Float64frombits(bits-uint64(exponent)<<52) - 1
	if f == 0 {
		return sum(float64(k*ln2Hi), float64(k*ln2Lo))
	}
	d, dLow := sum(2, f)
	s := f / d
	sLow := (math.FMA(-s, d, f) - float64(s*dLow)) / d
	z, zLow := product(s, s)
	zLow += float64(2 * s * sLow)
	cube, cubeLow := product(s, z)
	cubeLow += float64(s*zLow) + float64(sLow*z)
	third, thirdLow := product(cube, 1.0/3)
	thirdLow += float64(cubeLow*(1.0/3)) + float64(cube*1.850371707708594e-17) // 1/3 has more digits
	rest := 0.0
	for n := 25; n >= 5; n -= 2 {
		rest = float64(rest*z) + 1/float64(n)
	}
	fifth := float64(float64(cube*z) * rest)
	a, aLow := sum(float64(2*s), float64(2*third))
	aLow += float64(2 * (sLow + (thirdLow + fifth)))
	hi, e := sum(float64(k*ln2Hi), a)
	lo = e + (aLow + float64(k*ln2Lo))
	return sum(hi, lo)
}

// Exp returns e to the power of x, with an error below 1 ulp.
func Exp(x float64) float64 { return expSum(x, 0) }

// expSum returns e to the power of x + low, low being small beside x.
//
// Source: FreeBSD's e_exp.c (Sun Microsystems, 2004): x = k ln 2 + r, and
// exp(r) = 1 + r + r c / (2 - c) with a polynomial c.
func expSum(x, low float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
		p1    = 1.66666666666666019037e-01
		p2    = -2.77777777770155933842e-03
		p3    = 6.61375632143793436117e-05
		p4    = -1.65339022054652515390e-06
		p5    = 4.13813679705723846039e-08
	)
	switch {
	case x != x:
		return x
	case x > 709.782712893384:
		return math.Inf(1)
	case x < -745.1332191019412:
		return 0
	}
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	hi := x - float64(k*ln2Hi)
	lo := float64(k*ln2Lo) - low
	r := hi - lo
	t := float64(r * r)
	c := r - float64(t*(p1+float64(t*(p2+float64(t*(p3+float64(t*(p4+float64(t*p5)))))))))
	y := 1 - ((lo - float64(r*c)/(2-c)) - hi)
	return scale(y, int(k))
}

// scale returns y * 2^k of y near 1.
func scale(y float64, k int) float64 {
	if k >= -1021 && k <= 1023 {
		return float64(y * math.Float64frombits(uint64(k+1023)<<52))
	}
	if k > 1023 {
		return float64(y * 2 * math.Float64frombits(uint64(k-1+1023)<<52))
	}
	return float64(y * math.Float64frombits(uint64(k+1023+100)<<52) * 0x1p-100)
}

// Pow returns x to the power of y, with an error below 1 ulp where the result is
// a normal number; special cases are those of math.Pow.
func Pow(x, y float64) float64 {
	switch {
	case y == 0 || x == 1:
		return 1
	case y == 1:
		return x
	case y == 2:
		return float64(x * x)
	case x != x || y != y || x == 0 || math.IsInf(x, 0) || math.IsInf(y, 0) || x < 0 && math.Trunc(y) != y:
		return math.Pow(x, y) // which computes nothing here
	}
	h, l := logParts(math.Abs(x))
	p, e := product(h, y)
	e += float64(l * y)
	if p != p || math.IsInf(p, 0) || math.Abs(p) > 800 {
		e = 0
	}
	out := expSum(max(-800, min(p, 800)), e)
	if x < 0 && math.Abs(math.Mod(y, 2)) == 1 {
		return -out
	}
	return out
}

// Sin returns the sine of an angle in radians, with an error below 1 ulp; NaN of
// infinities.
func Sin(x float64) float64 {
	n, r, low := quarters(x)
	switch n {
	case 0:
		return sinNear(r, low)
	case 1:
		return cosNear(r, low)
	case 2:
		return -sinNear(r, low)
	}
	return -cosNear(r, low)
}

// Cos returns the cosine of an angle in radians, with an error below 1 ulp; NaN
// of infinities.
func Cos(x float64) float64 {
	n, r, low := quarters(x)
	switch n {
	case 0:
		return cosNear(r, low)
	case 1:
		return -sinNear(r, low)
	case 2:
		return -cosNear(r, low)
	}
	return sinNear(r, low)
}

// Tan returns the tangent of an angle in radians, with an error below 3 ulp; NaN
// of infinities.
func Tan(x float64) float64 {
	n, r, low := quarters(x)
	if n%2 == 0 {
		return sinNear(r, low) / cosNear(r, low)
	}
	return -cosNear(r, low) / sinNear(r, low)
}

// quarters returns x as n quarters of a turn, mod 4, and the rest as a sum of
// two numbers.
func quarters(x float64) (n int, r, low float64) {
	const p1, p2, p3 = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33 // pi / 2
	switch a := math.Abs(x); {
	case a <= math.Pi/4:
		return 0, x, 0
	case !(a <= math.MaxFloat64):
		return 0, math.NaN(), 0
	case a > 1<<28:
		return quartersOfLarge(x)
	}
	k := math.Floor(float64(x*(2/math.Pi)) + 0.5)
	h := math.FMA(-k, p1, x) // exact: a multiple of 2^-53 below 1
	p, e := product(k, p2)
	r, low = sum(h, -p)
	low -= e + float64(k*p3)
	r, low = sum(r, low)
	return int(int64(k) & 3), r, low
}

// halfPi is pi/2 to 1280 bits, by pi/4 = 4 arctan(1/5) - arctan(1/239) (Machin).
var halfPi = sync.OnceValue(func() *big.Float {
	const precision = 1300
	arctan := func(of int64) *big.Int {
		one := new(big.Int).Lsh(big.NewInt(1), precision)
		term, total := new(big.Int).Div(one, big.NewInt(of)), new(big.Int)
		for k := int64(1); term.Sign() != 0; k += 2 {
			part := new(big.Int).Div(term, big.NewInt(k))
			if k%4 == 3 {
				part.Neg(part)
			}
			total.Add(total, part)
			term.Div(term, big.NewInt(of*of))
		}
		return total
	}
	quarter := new(big.Int).Sub(new(big.Int).Mul(big.NewInt(4), arctan(5)), arctan(239))
	out := new(big.Float).SetPrec(1280).SetInt(quarter)
	return out.SetMantExp(out, 1-precision)
})

// quartersOfLarge is quarters with as many digits as it takes.
func quartersOfLarge(x float64) (n int, r, low float64) {
	v := new(big.Float).SetPrec(1280).SetFloat64(x)
	q := new(big.Float).SetPrec(1280).Quo(v, halfPi())
	half := 0.5
	if x < 0 {
		half = -0.5
	}
	k, _ := new(big.Float).SetPrec(1280).Add(q, big.NewFloat(half)).Int(nil)
	rest := v.Sub(v, new(big.Float).SetPrec(1280).Mul(new(big.Float).SetPrec(1280).SetInt(k), halfPi()))
	r, _ = rest.Float64()
	low, _ = rest.Sub(rest, big.NewFloat(r)).Float64()
	return int(new(big.Int).And(k, big.NewInt(3)).Int64()), r, low
}

// sinNear and cosNear are the sine and the cosine of r + low, r in -pi/4..pi/4.
//
// Source: FreeBSD's k_sin.c and k_cos.c (Sun Microsystems, 1993).
func sinNear(r, low float64) float64 {
	const (
		s1 = -1.66666666666666324348e-01
		s2 = 8.33333333332248946124e-03
		s3 = -1.98412698298579493134e-04
		s4 = 2.75573137070700676789e-06
		s5 = -2.50507602534068634195e-08
		s6 = 1.58969099521155010221e-10
	)
	z := float64(r * r)
	v := float64(z * r)
	p := s2 + float64(z*(s3+float64(z*(s4+float64(z*(s5+float64(z*s6)))))))
	return r - ((float64(z*(float64(0.5*low)-float64(v*p))) - low) - float64(v*s1))
}

func cosNear(r, low float64) float64 {
	const (
		c1 = 4.16666666666666019037e-02
		c2 = -1.38888888888741095749e-03
		c3 = 2.48015872894767294178e-05
		c4 = -2.75573143513906633035e-07
		c5 = 2.08757232129817482790e-09
		c6 = -1.13596475577881948265e-11
	)
	z := float64(r * r)
	p := float64(z * (c1 + float64(z*(c2+float64(z*(c3+float64(z*(c4+float64(z*(c5+float64(z*c6)))))))))))
	h := float64(0.5 * z)
	w := 1 - h
	return w + (((1 - w) - h) + (float64(z*p) - float64(r*low)))
}
