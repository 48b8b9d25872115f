package main

// Registers of the softmax kernels: the exponentials of a group of 16 classes
// take one vector, or two; so do their sums.
const (
	softGroup = 0 // and 1
	softTemp  = 2 // to 4
	softSum   = 5 // and 6
	softMax   = 7
	softScale = 8
)

// parts returns the number of vectors that hold 16 classes.
func (u *unit) parts() int { return 512 / u.bits }

// softmaxRows writes the kernel of Softmax.
func (u *unit) softmaxRows() {
	u.begin(u.name("softmaxRows"), "(z *float32, rows, groups, stride int64, tail *[16]uint32)", 40)
	u.op("MOVQ", "z+0(FP)", "AX")
	u.op("MOVQ", "rows+8(FP)", "CX")
	u.op("MOVQ", "groups+16(FP)", "R9")
	u.op("MOVQ", "stride+24(FP)", "R8")
	u.op("MOVQ", "tail+32(FP)", "R10")
	u.label("row")
	u.rowMax()
	u.rowSum()
	u.divideRow(false)
	u.op("ADDQ", "R8", "AX")
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}

// crossRows writes the kernel of CrossEntropy, all but the logarithm: it leaves
// z[label] - max in own and the sum of the exponentials in sums.
func (u *unit) crossRows() {
	u.begin(u.name("crossRows"), "(z *float32, labels *int32, rows, groups, stride int64, scale float32, tail *[16]uint32, sums, own *float32)", 72)
	u.op("MOVQ", "z+0(FP)", "AX")
	u.op("MOVQ", "labels+8(FP)", "BX")
	u.op("MOVQ", "rows+16(FP)", "CX")
	u.op("MOVQ", "groups+24(FP)", "R9")
	u.op("MOVQ", "stride+32(FP)", "R8")
	u.op("VBROADCASTSS", "scale+40(FP)", u.v(softScale))
	u.op("MOVQ", "tail+48(FP)", "R10")
	u.op("MOVQ", "sums+56(FP)", "SI")
	u.op("MOVQ", "own+64(FP)", "DI")
	u.label("row")
	u.rowMax()
	u.op("MOVLQSX", "(BX)", "R13")
	u.op("VMOVSS", "(AX)(R13*4)", x(9))
	u.op("VSUBSS", x(softMax), x(9), x(9))
	u.op("VMOVSS", x(9), "(DI)")
	u.rowSum()
	u.op("VMOVSS", x(softSum), "(SI)")
	u.op("VMOVSS", "(AX)(R13*4)", x(9)) // the label's own gradient, on its own
	u.op("VDIVSS", x(softSum), x(9), x(9))
	u.op("VSUBSS", u.float(1), x(9), x(9))
	u.op("VMULSS", x(softScale), x(9), x(9))
	u.divideRow(true)
	u.op("VMOVSS", x(9), "(AX)(R13*4)")
	u.op("ADDQ", "R8", "AX")
	for _, p := range []string{"BX", "SI", "DI"} {
		u.op("ADDQ", "$4", p)
	}
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}

// rowMax leaves the largest of the row at AX in all of softMax. It makes the
// padding of the row -Inf first, whose exponential is 0.
func (u *unit) rowMax() {
	u.op("MOVQ", "R9", "R11")
	u.op("DECQ", "R11")
	u.op("SHLQ", "$6", "R11")
	u.op("ADDQ", "AX", "R11") // the last group
	u.load(u.float(negativeInfinity), softMax)
	for i := range u.parts() {
		u.op("VMOVUPS", at(i*u.bytes(), "R11"), u.v(softGroup))
		u.op("VMOVUPS", at(i*u.bytes(), "R10"), u.v(softTemp))
		if u.isa == avx512 {
			u.op("VPMOVD2M", u.v(softTemp), "K1")
			u.op("VBLENDMPS", u.v(softGroup), u.v(softMax), "K1", u.v(softGroup))
		} else {
			u.op("VBLENDVPS", u.v(softTemp), u.v(softGroup), u.v(softMax), u.v(softGroup))
		}
		u.op("VMOVUPS", u.v(softGroup), at(i*u.bytes(), "R11"))
	}
	u.eachGroup("max", func(i int) { u.op("VMAXPS", at(i*u.bytes(), "R12"), u.v(softMax), u.v(softMax)) })
	u.fold("VMAXPS", softMax)
	u.op("VBROADCASTSS", x(softMax), u.v(softMax))
}

// rowSum replaces the row at AX by the exponentials of its distances from
// softMax and leaves their sum in all of softSum.
func (u *unit) rowSum() {
	for i := range u.parts() {
		u.zero(softSum + i)
	}
	u.eachGroup("sum", func(i int) {
		u.op("VMOVUPS", at(i*u.bytes(), "R12"), u.v(softGroup))
		u.op("VSUBPS", u.v(softMax), u.v(softGroup), u.v(softGroup))
		u.exp(softGroup, softTemp, false)
		u.op("VMOVUPS", u.v(softGroup), at(i*u.bytes(), "R12"))
		u.op("VADDPS", u.v(softGroup), u.v(softSum+i), u.v(softSum+i))
	})
	if u.parts() == 2 {
		u.op("VADDPS", u.v(softSum+1), u.v(softSum), u.v(softSum))
	}
	u.fold("VADDPS", softSum)
	u.op("VBROADCASTSS", x(softSum), u.v(softSum))
}

// divideRow divides the row by softSum, and multiplies it by softScale. It
// makes the padding zero.
func (u *unit) divideRow(scale bool) {
	u.eachGroup("divide", func(i int) {
		u.op("VMOVUPS", at(i*u.bytes(), "R12"), u.v(softGroup))
		u.op("VDIVPS", u.v(softSum), u.v(softGroup), u.v(softGroup))
		if scale {
			u.op("VMULPS", u.v(softScale), u.v(softGroup), u.v(softGroup))
		}
		u.op("VMOVUPS", u.v(softGroup), at(i*u.bytes(), "R12"))
	})
	for i := range u.parts() { // the padding, which is NaN where the row is
		u.op("VMOVUPS", at(i*u.bytes(), "R10"), u.v(softTemp))
		u.op("VANDPS", at(i*u.bytes()-64, "R12"), u.v(softTemp), u.v(softGroup))
		u.op("VMOVUPS", u.v(softGroup), at(i*u.bytes()-64, "R12"))
	}
}

// eachGroup writes a loop over the groups of 16 classes of the row; R12 points
// at the group, of which f takes part i.
func (u *unit) eachGroup(label string, f func(i int)) {
	u.op("MOVQ", "AX", "R12")
	u.op("MOVQ", "R9", "DX")
	u.label(label)
	for i := range u.parts() {
		f(i)
	}
	u.op("ADDQ", "$64", "R12")
	u.op("DECQ", "DX")
	u.op("JNZ", label)
}

// fold combines the lanes of register i in halves: lane l with l+8 (where there
// are 16), with l+4, with l+2, with l+1. The result is in the lowest lane.
func (u *unit) fold(op string, i int) {
	const t = softTemp
	if u.isa == avx512 {
		u.op("VEXTRACTF64X4", "$1", u.v(i), y(t))
		u.op(op, y(t), y(i), y(i))
	}
	u.op("VEXTRACTF128", "$1", y(i), x(t))
	u.op(op, x(t), x(i), x(i))
	u.op("VPERMILPS", "$0x4e", x(i), x(t))
	u.op(op, x(t), x(i), x(i))
	u.op("VPERMILPS", "$0xb1", x(i), x(t))
	u.op(op, x(t), x(i), x(i))
}
