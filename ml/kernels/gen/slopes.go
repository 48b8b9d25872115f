package main

// tanhSlope and sigmoidSlope leave in v(1) the slope where the function gave
// v(0): 1 - v*v and v - v*v.
func (u *unit) tanhSlope() {
	u.load(u.float(1), 1)
	u.op("VFNMADD231PS", u.v(0), u.v(0), u.v(1))
}

func (u *unit) sigmoidSlope() {
	u.op("VMOVAPS", u.v(0), u.v(1))
	u.op("VFNMADD231PS", u.v(0), u.v(0), u.v(1))
}

// normal leaves the share of a normal distribution below v(0) in v(7), and
// exp(-v*v/2) in v(4).
func (u *unit) normal() {
	u.op("VMULPS", u.v(0), u.v(0), u.v(4))
	u.op("VMULPS", u.float(-0.5), u.v(4), u.v(4))
	u.exp(4, 1, false)
	u.op(u.bitwise("VPAND"), u.word(signBit-1), u.v(0), u.v(5))
	u.load(u.float(geluPole), 6)
	u.op("VFMADD213PS", u.float(1), u.v(6), u.v(5))
	u.load(u.float(1), 7)
	u.op("VDIVPS", u.v(5), u.v(7), u.v(5))
	u.horner(geluTerms, 5, 6)
	u.op("VMULPS", u.v(5), u.v(6), u.v(6))
	u.op("VMULPS", u.v(4), u.v(6), u.v(6)) // the tail
	u.op("VSUBPS", u.v(6), u.v(7), u.v(7))
	if u.isa == avx512 {
		u.op("VPMOVD2M", u.v(0), "K1")
		u.op("VMOVAPS", u.v(6), "K1", u.v(7))
	} else {
		u.op("VBLENDVPS", u.v(0), u.v(6), u.v(7), u.v(7))
	}
}

// gelu replaces v(0) by it times the share of a normal distribution below it.
func (u *unit) gelu() {
	u.normal()
	u.op("VMULPS", u.v(7), u.v(0), u.v(0))
}

// geluSlope leaves in v(1) the slope of gelu at v(0).
func (u *unit) geluSlope() {
	u.normal()
	u.op("VMULPS", u.float(sqrt2Pi), u.v(4), u.v(1))
	u.op("VFMADD213PS", u.v(7), u.v(0), u.v(1))
}

// relu replaces v(0) by 0 where it is below.
func (u *unit) relu() {
	u.zero(1)
	u.op("VMAXPS", u.v(0), u.v(1), u.v(0)) // NaN is that of the first operand
}

// silu replaces v(0) by v / (1 + exp(-v)).
func (u *unit) silu() {
	u.op("VMOVAPS", u.v(0), u.v(4))
	u.sigmoid()
	u.op("VMULPS", u.v(4), u.v(0), u.v(0))
}

// siluSlope leaves in v(1) the slope of silu at v(0).
func (u *unit) siluSlope() {
	u.op("VMOVAPS", u.v(0), u.v(4))
	u.sigmoid()
	u.op("VMULPS", u.v(0), u.v(4), u.v(4))
	u.load(u.float(1), 1)
	u.op("VSUBPS", u.v(0), u.v(1), u.v(1))
	u.op("VFMADD213PS", u.v(0), u.v(4), u.v(1))
}

// slopeRows writes a kernel that multiplies g by the slope that f makes in v(1)
// of v(0).
func (u *unit) slopeRows(name string, f func()) {
	u.pairRows(name+"Slopes", func() {
		f()
		u.op("VMULPS", "(R10)", u.v(1), u.v(1))
	})
}

// plus adds to v(0) what is at R10, in v(1).
func (u *unit) plus() { u.op("VADDPS", "(R10)", u.v(0), u.v(1)) }

// pairRows writes a kernel that replaces the vectors of grad, at R10, by what f
// makes in v(1) of v(0), the vector of y.
func (u *unit) pairRows(name string, f func()) {
	u.begin(u.name(name), "(grad, y *float32, rows, vectors, gStride, yStride int64)", 48)
	u.op("MOVQ", "grad+0(FP)", "AX")
	u.op("MOVQ", "y+8(FP)", "BX")
	u.op("MOVQ", "rows+16(FP)", "CX")
	u.op("MOVQ", "gStride+32(FP)", "R8")
	u.op("MOVQ", "yStride+40(FP)", "R9")
	u.label("row")
	u.op("MOVQ", "vectors+24(FP)", "DX")
	u.op("MOVQ", "AX", "R10")
	u.op("MOVQ", "BX", "R11")
	u.label("column")
	u.op("VMOVUPS", "(R11)", u.v(0))
	f()
	u.op("VMOVUPS", u.v(1), "(R10)")
	u.next("column", "DX", "R10", "R11")
	u.op("ADDQ", "R8", "AX")
	u.op("ADDQ", "R9", "BX")
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}
