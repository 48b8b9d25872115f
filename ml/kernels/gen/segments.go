package main

import "fmt"

// Rows of few classes share a vector: each takes a segment of 4, 8 or 16 lanes.
// Registers of these kernels; those of softmax.go up to softScale are as there.
const (
	segOwn    = 6
	segLabel  = 9
	segSpread = 10 // which label goes to which lane
	segClass  = 11 // the class in each lane
	segValid  = 12 // AVX2: all ones where there is a class
	segPick   = 13 // the first lanes of the segments
	segNone   = 14 // -Inf, for lanes without a class
	segZero   = 15
)

// segments returns the sizes of segments that this instruction set has, for up
// to so many classes.
func (u *unit) segments() []int {
	if u.isa == avx512 {
		return []int{4, 8, 16}
	}
	return []int{4, 8}
}

// perVector returns the number of rows in a vector.
func (u *unit) perVector(segment int) int { return u.bits / 32 / segment }

// segmentSetup fills the registers that stay, with the number of classes in R9.
func (u *unit) segmentSetup(segment int) {
	lane := func(f func(lane int) int) func(int) uint32 {
		return func(i int) uint32 { return uint32(f(i)) }
	}
	n := u.perVector(segment)
	u.load(u.constant(fmt.Sprintf("spread%d", segment), lane(func(i int) int { return i / segment })), segSpread)
	u.load(u.constant(fmt.Sprintf("class%d", segment), lane(func(i int) int { return i % segment })), segClass)
	u.load(u.constant(fmt.Sprintf("pick%d", segment), lane(func(i int) int { return i % n * segment })), segPick)
	u.load(u.float(negativeInfinity), segNone)
	u.zero(segZero)
	u.op("VMOVD", "R9", x(segLabel))
	u.op("VPBROADCASTD", x(segLabel), u.v(segLabel))
	if u.isa == avx512 {
		u.op("VPCMPD", "$1", u.v(segLabel), u.v(segClass), "K1")
	} else {
		u.op("VPCMPGTD", u.v(segClass), u.v(segLabel), u.v(segValid))
	}
}

// segmentLoad gathers the rows from AX on, R8 bytes apart, into softGroup.
func (u *unit) segmentLoad(segment int) {
	u.op("MOVQ", "AX", "R12")
	u.op("VMOVUPS", "(R12)", register(segment, softGroup))
	insert := map[int]string{4: "VINSERTF32X4", 8: "VINSERTF64X4"}[segment]
	if u.isa == avx2 {
		insert = "VINSERTF128"
	}
	for i := 1; i < u.perVector(segment); i++ {
		u.op("ADDQ", "R8", "R12")
		u.op(insert, imm(i), "(R12)", u.v(softGroup), u.v(softGroup))
	}
	if u.isa == avx512 {
		u.op("VBLENDMPS", u.v(softGroup), u.v(segNone), "K1", u.v(softGroup))
	} else {
		u.op("VBLENDVPS", u.v(segValid), u.v(softGroup), u.v(segNone), u.v(softGroup))
	}
}

// segmentStore writes softGroup back, each segment and zeros after it, and
// moves AX on.
func (u *unit) segmentStore(segment int) {
	extract := map[int]string{4: "VEXTRACTF32X4", 8: "VEXTRACTF64X4"}[segment]
	if u.isa == avx2 {
		extract = "VEXTRACTF128"
	}
	n := u.perVector(segment)
	for i := range n {
		from := softTemp
		switch {
		case n == 1:
			from = softGroup
		case i == 0:
			u.op("VMOVAPS", register(segment, softGroup), register(segment, softTemp))
		default:
			u.op(extract, imm(i), u.v(softGroup), register(segment, softTemp))
		}
		u.op("VMOVUPS", u.v(from), "(AX)")
		if u.isa == avx2 {
			u.op("VMOVUPS", u.v(segZero), "32(AX)")
		}
		u.op("ADDQ", "R8", "AX")
	}
}

// register names the part of a register that holds a segment.
func register(segment, i int) string {
	return fmt.Sprintf("%s%d", map[int]string{4: "X", 8: "Y", 16: "Z"}[segment], i)
}

// segmentFold combines the lanes of each segment of register i in halves, as
// fold does; the result is in all of them.
func (u *unit) segmentFold(op string, segment, i int) {
	const t = softTemp
	if segment == 16 {
		u.op("VSHUFF32X4", "$0x4e", u.v(i), u.v(i), u.v(t))
		u.op(op, u.v(t), u.v(i), u.v(i))
	}
	if segment >= 8 {
		if u.isa == avx512 {
			u.op("VSHUFF32X4", "$0xb1", u.v(i), u.v(i), u.v(t))
		} else {
			u.op("VPERM2F128", "$1", u.v(i), u.v(i), u.v(t))
		}
		u.op(op, u.v(t), u.v(i), u.v(i))
	}
	for _, swap := range []string{"$0x4e", "$0xb1"} {
		u.op("VPERMILPS", swap, u.v(i), u.v(t))
		u.op(op, u.v(t), u.v(i), u.v(i))
	}
}

// segmentExps leaves the distances from the row's largest in segOwn, the
// exponentials in softGroup and their sums in softSum.
func (u *unit) segmentExps(segment int) {
	u.op("VMOVAPS", u.v(softGroup), u.v(softMax))
	u.segmentFold("VMAXPS", segment, softMax)
	u.op("VSUBPS", u.v(softMax), u.v(softGroup), u.v(softGroup))
	u.op("VMOVAPS", u.v(softGroup), u.v(segOwn))
	u.exp(softGroup, softTemp, false)
	u.op("VMOVAPS", u.v(softGroup), u.v(softSum))
	u.segmentFold("VADDPS", segment, softSum)
}

// keep makes the lanes of softGroup without a class zero, also of NaN.
func (u *unit) keep() {
	if u.isa == avx512 {
		u.op("VMOVAPS.Z", u.v(softGroup), "K1", u.v(softGroup))
	} else {
		u.op("VANDPS", u.v(segValid), u.v(softGroup), u.v(softGroup))
	}
}

func (u *unit) softmaxSegments(segment int) {
	u.begin(fmt.Sprintf("softmax%dx%d", segment, u.bits), "(z *float32, vectors, stride, classes int64)", 32)
	u.op("MOVQ", "z+0(FP)", "AX")
	u.op("MOVQ", "vectors+8(FP)", "CX")
	u.op("MOVQ", "stride+16(FP)", "R8")
	u.op("MOVQ", "classes+24(FP)", "R9")
	u.segmentSetup(segment)
	u.label("next")
	u.segmentLoad(segment)
	u.segmentExps(segment)
	u.op("VDIVPS", u.v(softSum), u.v(softGroup), u.v(softGroup))
	u.keep()
	u.segmentStore(segment)
	u.op("DECQ", "CX")
	u.op("JNZ", "next")
	u.end()
}

func (u *unit) crossSegments(segment int) {
	u.begin(fmt.Sprintf("cross%dx%d", segment, u.bits),
		"(z *float32, labels *int32, vectors, stride int64, scale float32, classes int64, sums, own *float32)", 64)
	u.op("MOVQ", "z+0(FP)", "AX")
	u.op("MOVQ", "labels+8(FP)", "BX")
	u.op("MOVQ", "vectors+16(FP)", "CX")
	u.op("MOVQ", "stride+24(FP)", "R8")
	u.op("VBROADCASTSS", "scale+32(FP)", u.v(softScale))
	u.op("MOVQ", "classes+40(FP)", "R9")
	u.op("MOVQ", "sums+48(FP)", "SI")
	u.op("MOVQ", "own+56(FP)", "DI")
	u.segmentSetup(segment)
	n := u.perVector(segment)
	move := map[int]string{1: "VMOVSS", 2: "VMOVSD", 4: "VMOVUPS"}[n]
	u.label("next")
	u.segmentLoad(segment)
	u.segmentExps(segment)
	u.op(move, "(BX)", x(segLabel))
	u.op("VPERMD", u.v(segLabel), u.v(segSpread), u.v(segLabel))
	u.op("VDIVPS", u.v(softSum), u.v(softGroup), u.v(softGroup))
	if u.isa == avx512 {
		u.op("VPCMPEQD", u.v(segClass), u.v(segLabel), "K2")
		u.op("VMOVAPS.Z", u.v(segOwn), "K2", u.v(segOwn))
		u.op("VSUBPS", u.float(1), u.v(softGroup), "K2", u.v(softGroup))
	} else {
		u.op("VPCMPEQD", u.v(segClass), u.v(segLabel), u.v(segLabel))
		u.op("VANDPS", u.v(segLabel), u.v(segOwn), u.v(segOwn))
		u.op("VANDPS", u.float(1), u.v(segLabel), u.v(segLabel))
		u.op("VSUBPS", u.v(segLabel), u.v(softGroup), u.v(softGroup))
	}
	u.op("VMULPS", u.v(softScale), u.v(softGroup), u.v(softGroup))
	u.keep()
	u.segmentFold("VADDPS", segment, segOwn)
	for _, p := range []struct {
		from int
		to   string
	}{{softSum, "SI"}, {segOwn, "DI"}} {
		u.op("VPERMPS", u.v(p.from), u.v(segPick), u.v(softTemp))
		u.op(move, x(softTemp), "("+p.to+")")
		u.op("ADDQ", imm(4*n), p.to)
	}
	u.op("ADDQ", imm(4*n), "BX")
	u.segmentStore(segment)
	u.op("DECQ", "CX")
	u.op("JNZ", "next")
	u.end()
}
