package kernels

import "math"

// function is one that is applied to each element of a matrix.
type function uint8

const (
	tanhFunction function = iota
	sigmoidFunction
	geluFunction
	siluFunction
	reluFunction
	numFunctions
)

// Constants of exp and log. Source of the polynomials: Moshier, Cephes, expf.c,
// logf.c and tanhf.c; that of gelu is a minimax fit of ours, see gelu32.
const (
	log2e     = float32(1.44269504088896341)
	ln2High   = float32(0.693147182464599609375)
	ln2Low    = float32(-1.904654299957767e-9) // ln 2 - ln2High
	expLimit  = float32(88)                    // |x| from here on is as this
	expShift  = float32(12582912 + 127)        // 1.5*2^23 rounds to an integer, 127 is the bias of an exponent
	sqrtHalf  = 0x3f3504f3                     // bits of sqrt(1/2)
	tanhLimit = float32(0.625)                 // below, tanh is a polynomial
	tanhMost  = float32(20)                    // from here on tanh is 1
	geluPole  = float32(0.21)                  // the polynomial is one of 1/(1+|x|*geluPole)
	sqrt2Pi   = float32(0.398942280401432678)  // 1/sqrt(2*pi)
)

// The polynomials, from the highest power down.
var (
	expTerms = [...]float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}
	logTerms = [...]float32{7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1}
	tanhTerms = [...]float32{-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1}
	geluTerms = [...]float32{-7.1655997583e-2, 2.8358701158e-1, -3.3025000333e-1, 3.4939694576e-1, -9.3922253978e-2, 1.2487139829e-1,
		6.9192528329e-2, 8.5068801213e-2, 8.3711576482e-2}
)

// exp32 returns e^x within about 1e-7 of it, relatively, for x from -87.3 to
// 88. Below it goes to 0, which it is from -87.7 on; above it stays at e^88.
func exp32(x float32) float32 {
	if expLimit < x {
		x = expLimit
	}
	if -expLimit > x {
		x = -expLimit
	}
	t := fma(x, log2e, expShift)
	n := t - expShift
	r := fma(n, -ln2Low, fma(n, -ln2High, x))
	p := expTerms[0]
	for _, c := range expTerms[1:] {
		p = fma(p, r, c)
	}
	p = fma(p, float32(r*r), r) + 1
	return float32(p * math.Float32frombits(math.Float32bits(t)<<23))
}

// log32 returns the natural logarithm of x, a normal number above zero, within
// about 1e-7 of it, relatively. Of infinity and NaN it is NaN.
func log32(x float32) float32 {
	bits := math.Float32bits(x)
	e := int32(bits-sqrtHalf) >> 23
	f := math.Float32frombits(bits-uint32(e)<<23) - 1
	n := float32(e)
	p := logTerms[0]
	for _, c := range logTerms[1:] {
		p = fma(p, f, c)
	}
	z := float32(f * f)
	p = float32(float32(p*f) * z)
	p = fma(n, ln2Low, p)
	p = fma(z, -0.5, p)
	return fma(n, ln2High, f+p) + float32(x-x) // which is NaN for infinity and NaN
}

// tanh32 returns the hyperbolic tangent of x within about 2e-7, relatively.
func tanh32(x float32) float32 {
	bits := math.Float32bits(x)
	a := math.Float32frombits(bits &^ (1 << 31))
	if a < tanhLimit {
		z := float32(x * x)
		p := tanhTerms[0]
		for _, c := range tanhTerms[1:] {
			p = fma(p, z, c)
		}
		return fma(float32(p*z), x, x)
	}
	if tanhMost < a {
		a = tanhMost
	}
	y := 1 - float32(2/(exp32(a+a)+1))
	return math.Float32frombits(math.Float32bits(y) | bits&(1<<31))
}

// sigmoid32 returns 1 / (1 + e^-x) within about 2e-7, relatively.
func sigmoid32(x float32) float32 {
	return 1 / (1 + exp32(-x))
}

// normal32 returns the share of a standard normal distribution below x, within
// about 7e-7 of it, relatively, for x down to -4.3, and e^(-x^2/2).
//
// The tail above |x| is e^(-x^2/2) times a polynomial of t = 1/(1+0.21|x|)
// without constant term, of degree 9, with the least greatest relative error
// (4e-8) from 0 to 14: a weighted least squares fit (Lawson's algorithm).
func normal32(x float32) (share, e float32) {
	bits := math.Float32bits(x)
	t := 1 / fma(math.Float32frombits(bits&^(1<<31)), geluPole, 1)
	p := geluTerms[0]
	for _, c := range geluTerms[1:] {
		p = fma(p, t, c)
	}
	e = exp32(float32(float32(x*x) * -0.5))
	tail := float32(float32(p*t) * e)
	if bits>>31 == 1 {
		return tail, e
	}
	return 1 - tail, e
}

// gelu32 returns x times the share of a standard normal distribution below x.
func gelu32(x float32) float32 {
	share, _ := normal32(x)
	return float32(x * share)
}

func geluSlope32(x float32) float32 {
	share, e := normal32(x)
	return fma(x, float32(e*sqrt2Pi), share)
}

// silu32 returns x / (1 + e^-x).
func silu32(x float32) float32 { return float32(x * sigmoid32(x)) }

func siluSlope32(x float32) float32 {
	s := sigmoid32(x)
	return fma(float32(x*s), 1-s, s)
}

// MaskMul replaces each element of g by itself times scale where a is above 0,
// and by 0 elsewhere. It is the gradient of ReLU, and of ReLU and dropout at
// once: then a is the output after dropout, in which both show as 0, and scale
// is [Dropout.Scale]. g and a are padded and of the same shape.
func MaskMul(g, a Matrix, scale float32) { maskMul(Active(), g, a, scale) }

func maskMul(v Variant, g, a Matrix, scale float32) {
	g.padded("mask: g")
	a.padded("mask: a")
	check(g.Rows == a.Rows && g.Cols == a.Cols, "mask: g (%d, %d) and a (%d, %d)", g.Rows, g.Cols, a.Rows, a.Cols)
	if v != Portable && maskVector(v, g, a, scale) {
		return
	}
	n := PadCols(g.Cols)
	for i := range g.Rows {
		row := g.Data[i*g.Stride : i*g.Stride+n]
		for j, x := range a.Data[i*a.Stride : i*a.Stride+n] {
			if x > 0 {
				row[j] *= scale
			} else {
				row[j] = 0
			}
		}
	}
}
