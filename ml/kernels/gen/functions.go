package main

import "math"

// The constants of functions.go in the kernels, which say where they are from.
var (
	log2e    = float32(1.44269504088896341)
	ln2High  = float32(0.693147182464599609375)
	ln2Low   = float32(-1.904654299957767e-9)
	expLimit = float32(88)
	expShift = float32(12582912 + 127)
	expTerms = []float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}
	logTerms = []float32{7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1}
	tanhTerms = []float32{-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1}
	geluTerms = []float32{-7.1655997583e-2, 2.8358701158e-1, -3.3025000333e-1, 3.4939694576e-1, -9.3922253978e-2, 1.2487139829e-1,
		6.9192528329e-2, 8.5068801213e-2, 8.3711576482e-2}
)

const (
	sqrtHalf  = 0x3f3504f3
	signBit   = 1 << 31
	tanhLimit = float32(0.625)
	tanhMost  = float32(20)
	geluPole  = float32(0.21)
	sqrt2Pi   = float32(0.398942280401432678)
)

// horner leaves the polynomial of vector register at, without the last factor,
// in register p.
func (u *unit) horner(terms []float32, at, p int) {
	u.load(u.float(terms[0]), p)
	for _, c := range terms[1:] {
		u.op("VFMADD213PS", u.float(c), u.v(at), u.v(p))
	}
}

// clamp keeps v(i) at or below limit, or at or above -limit, and NaN as it is.
func (u *unit) clamp(i, temporary int, name string, limit float32) {
	u.load(u.float(limit), temporary)
	u.op(name, u.v(i), u.v(temporary), u.v(i))
}

// exp replaces v(i) by its exponential, with registers t, t+1 and t+2 to work
// in. The upper clamp is left out where no argument reaches it.
func (u *unit) exp(i, t int, upper bool) {
	shift, n, p := u.v(t), u.v(t+1), u.v(t+2)
	if upper {
		u.clamp(i, t, "VMINPS", expLimit)
	}
	u.clamp(i, t, "VMAXPS", -expLimit)
	u.load(u.float(log2e), t)
	u.op("VFMADD213PS", u.float(expShift), u.v(i), shift)
	u.op("VSUBPS", u.float(expShift), shift, n)
	u.op("VFMADD231PS", u.float(-ln2High), n, u.v(i))
	u.op("VFMADD231PS", u.float(-ln2Low), n, u.v(i))
	u.horner(expTerms, i, t+2)
	u.op("VMULPS", u.v(i), u.v(i), n)
	u.op("VFMADD213PS", u.v(i), n, p)
	u.op("VADDPS", u.float(1), p, p)
	u.op("VPSLLD", "$23", shift, shift)
	u.op("VMULPS", shift, p, u.v(i))
}

// log replaces v(0) by its logarithm.
func (u *unit) log() {
	number, n, f, p, z := u.v(0), u.v(1), u.v(2), u.v(3), u.v(4)
	u.load(u.word(sqrtHalf), 1)
	u.op("VPSUBD", n, number, n)
	u.op("VPSRAD", "$23", n, n)
	u.op("VPSLLD", "$23", n, f)
	u.op("VPSUBD", f, number, f)
	u.op("VSUBPS", u.float(1), f, f)
	u.op("VCVTDQ2PS", n, n)
	u.horner(logTerms, 2, 3)
	u.op("VMULPS", f, f, z)
	u.op("VMULPS", f, p, p)
	u.op("VMULPS", z, p, p)
	u.op("VFMADD231PS", u.float(ln2Low), n, p)
	u.op("VFMADD231PS", u.float(-0.5), z, p)
	u.op("VADDPS", p, f, f)
	u.op("VFMADD231PS", u.float(ln2High), n, f)
	u.op("VSUBPS", number, number, number)
	u.op("VADDPS", number, f, number)
}

// logSums writes own = log(sum) - own.
func (u *unit) logSums() {
	u.begin(u.name("logSums"), "(own, sums *float32, vectors int64)", 24)
	u.op("MOVQ", "own+0(FP)", "DI")
	u.op("MOVQ", "sums+8(FP)", "SI")
	u.op("MOVQ", "vectors+16(FP)", "CX")
	u.label("next")
	u.op("VMOVUPS", "(SI)", u.v(0))
	u.log()
	u.op("VSUBPS", "(DI)", u.v(0), u.v(0))
	u.op("VMOVUPS", u.v(0), "(DI)")
	u.next("next", "CX", "SI", "DI")
	u.end()
}

// sigmoid replaces v(0) by 1 / (1 + exp(-v)).
func (u *unit) sigmoid() {
	u.op(u.bitwise("VPXOR"), u.word(signBit), u.v(0), u.v(0))
	u.exp(0, 1, true)
	u.op("VADDPS", u.float(1), u.v(0), u.v(0))
	u.load(u.float(1), 1)
	u.op("VDIVPS", u.v(0), u.v(1), u.v(0))
}

// tanh replaces v(0) by its hyperbolic tangent: both formulas, and a choice.
func (u *unit) tanh() {
	u.op(u.bitwise("VPAND"), u.word(signBit-1), u.v(0), u.v(4))
	u.op("VMULPS", u.v(0), u.v(0), u.v(5))
	u.horner(tanhTerms, 5, 6)
	u.op("VMULPS", u.v(5), u.v(6), u.v(6))
	u.op("VFMADD213PS", u.v(0), u.v(0), u.v(6)) // where it is small
	u.load(u.float(tanhLimit), 7)
	if u.isa == avx512 {
		u.op("VCMPPS", "$17", u.v(7), u.v(4), "K1")
	} else {
		u.op("VCMPPS", "$17", u.v(7), u.v(4), u.v(7))
	}
	u.op(u.bitwise("VPAND"), u.word(signBit), u.v(0), u.v(5))
	u.clamp(4, 1, "VMINPS", tanhMost)
	u.op("VADDPS", u.v(4), u.v(4), u.v(0))
	u.exp(0, 1, false)
	u.op("VADDPS", u.float(1), u.v(0), u.v(0))
	u.load(u.float(2), 1)
	u.op("VDIVPS", u.v(0), u.v(1), u.v(1))
	u.load(u.float(1), 0)
	u.op("VSUBPS", u.v(1), u.v(0), u.v(0))
	u.op(u.bitwise("VPOR"), u.v(5), u.v(0), u.v(0))
	if u.isa == avx512 {
		u.op("VMOVAPS", u.v(6), "K1", u.v(0))
	} else {
		u.op("VBLENDVPS", u.v(7), u.v(6), u.v(0), u.v(0))
	}
}

// mapRows writes a kernel that replaces each vector by f of it.
func (u *unit) mapRows(name string, f func()) {
	u.begin(u.name(name+"Rows"), "(y *float32, rows, vectors, stride int64)", 32)
	u.op("MOVQ", "y+0(FP)", "AX")
	u.op("MOVQ", "rows+8(FP)", "CX")
	u.op("MOVQ", "stride+24(FP)", "R8")
	u.label("row")
	u.op("MOVQ", "vectors+16(FP)", "DX")
	u.op("MOVQ", "AX", "BX")
	u.label("column")
	u.op("VMOVUPS", "(BX)", u.v(0))
	f()
	u.op("VMOVUPS", u.v(0), "(BX)")
	u.next("column", "DX", "BX")
	u.op("ADDQ", "R8", "AX")
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}

var negativeInfinity = float32(math.Inf(-1))
