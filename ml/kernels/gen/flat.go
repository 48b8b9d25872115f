package main

import "fmt"

// adam writes the kernel of Adam and AdamW; a holds the constants in the order of the
// Go type adam.
func (u *unit) adam() {
	u.begin(u.name("adam"), "(w, m, v, grad *float32, vectors int64, a *adam)", 48)
	u.op("MOVQ", "w+0(FP)", "AX")
	u.op("MOVQ", "m+8(FP)", "BX")
	u.op("MOVQ", "v+16(FP)", "CX")
	u.op("MOVQ", "grad+24(FP)", "DX")
	u.op("MOVQ", "vectors+32(FP)", "R8")
	u.op("MOVQ", "a+40(FP)", "DI")
	for i := range 8 {
		u.op("VBROADCASTSS", at(4*i, "DI"), u.v(6+i))
	}
	rest1, beta2, rest2, decay, step, correction2, epsilon, l2 := u.v(6), u.v(7), u.v(8), u.v(9), u.v(10), u.v(11), u.v(12), u.v(13)
	u.label("next")
	u.op("VMOVUPS", "(AX)", u.v(3)) // w
	u.op("VMOVUPS", "(DX)", u.v(0)) // g
	u.op("VFMADD231PS", l2, u.v(3), u.v(0))
	u.op("VMOVUPS", "(BX)", u.v(1)) // m
	u.op("VSUBPS", u.v(1), u.v(0), u.v(2))
	u.op("VFMADD231PS", u.v(2), rest1, u.v(1))
	u.op("VMOVUPS", u.v(1), "(BX)")
	u.op("VMULPS", u.v(0), u.v(0), u.v(0))
	u.op("VMULPS", rest2, u.v(0), u.v(0))
	u.op("VFMADD231PS", "(CX)", beta2, u.v(0)) // v
	u.op("VMOVUPS", u.v(0), "(CX)")
	u.op("VSQRTPS", u.v(0), u.v(0))
	u.op("VFMADD213PS", epsilon, correction2, u.v(0))
	u.op("VDIVPS", u.v(0), u.v(1), u.v(1))
	u.op("VMULPS", u.v(3), decay, u.v(2))
	u.op("VFMADD231PS", u.v(1), step, u.v(2))
	u.op("VMOVUPS", u.v(2), "(AX)")
	u.next("next", "R8", "AX", "BX", "CX", "DX")
	u.end()
}

// sgd writes the kernel of SGD; s holds the constants in the order of the Go
// type sgd.
func (u *unit) sgd() {
	u.begin(u.name("sgd"), "(w, buffer, grad *float32, vectors int64, s *sgd)", 40)
	u.op("MOVQ", "w+0(FP)", "AX")
	u.op("MOVQ", "buffer+8(FP)", "BX")
	u.op("MOVQ", "grad+16(FP)", "DX")
	u.op("MOVQ", "vectors+24(FP)", "R8")
	u.op("MOVQ", "s+32(FP)", "DI")
	for i := range 5 {
		u.op("VBROADCASTSS", at(4*i, "DI"), u.v(6+i))
	}
	l2, momentum, own, ahead, step := u.v(6), u.v(7), u.v(8), u.v(9), u.v(10)
	u.label("next")
	u.op("VMOVUPS", "(AX)", u.v(0)) // w
	u.op("VMOVUPS", "(DX)", u.v(1)) // g
	u.op("VFMADD231PS", l2, u.v(0), u.v(1))
	u.op("VMOVUPS", "(BX)", u.v(2)) // buffer
	u.op("VFMADD213PS", u.v(1), momentum, u.v(2))
	u.op("VMOVUPS", u.v(2), "(BX)")
	u.op("VMULPS", own, u.v(1), u.v(1))
	u.op("VFMADD231PS", ahead, u.v(2), u.v(1))
	u.op("VFMADD231PS", step, u.v(1), u.v(0))
	u.op("VMOVUPS", u.v(0), "(AX)")
	u.next("next", "R8", "AX", "BX", "DX")
	u.end()
}

// sumSquares writes the kernel of SumSquares: it adds the squares to 16 sums of
// float64, each of which takes every sixteenth element.
func (u *unit) sumSquares() {
	u.begin(u.name("sumSquares"), "(sums *float64, grad *float32, groups int64)", 24)
	u.op("MOVQ", "sums+0(FP)", "DI")
	u.op("MOVQ", "grad+8(FP)", "SI")
	u.op("MOVQ", "groups+16(FP)", "CX")
	low, parts, size := y, 2, 32
	if u.isa == avx2 {
		low, parts, size = x, 4, 16
	}
	for i := range parts {
		u.op("VMOVUPD", at(u.bytes()*i, "DI"), u.v(i))
	}
	u.label("next")
	for i := range parts {
		u.op("VMOVUPS", at(size*i, "SI"), low(4+i))
		u.op("VCVTPS2PD", low(4+i), u.v(4+i))
		u.op("VFMADD231PD", u.v(4+i), u.v(4+i), u.v(i))
	}
	u.op("ADDQ", "$64", "SI")
	u.op("DECQ", "CX")
	u.op("JNZ", "next")
	for i := range parts {
		u.op("VMOVUPD", u.v(i), at(u.bytes()*i, "DI"))
	}
	u.end()
}

// addFixed writes the kernel of AddFixed, which returns whether all elements
// were in range. A vector holds half as many float64 as float32.
func (u *unit) addFixed() {
	u.begin(u.name("addFixed"), "(acc *int64, grad *float32, vectors int64, scale float64) bool", 33)
	u.op("MOVQ", "acc+0(FP)", "DI")
	u.op("MOVQ", "grad+8(FP)", "SI")
	u.op("MOVQ", "vectors+16(FP)", "CX")
	u.op("VBROADCASTSD", "scale+24(FP)", u.v(8))
	u.broadcastQuad(0x7fffffffffffffff, 9)
	u.broadcastQuad(0x4320000000000000, 10) // 2^51
	u.broadcastQuad(0x4338000000000000, 11) // 1.5*2^52, as a float64 and as bits
	half := map[isa]string{avx512: y(0), avx2: x(0)}[u.isa]
	if u.isa == avx512 {
		u.op("KXNORB", "K2", "K2", "K2")
	} else {
		u.op("VPCMPEQD", u.v(7), u.v(7), u.v(7))
	}
	u.label("next")
	u.op("VMOVUPS", "(SI)", half)
	u.op("VCVTPS2PD", half, u.v(0))
	u.op("VMULPD", u.v(8), u.v(0), u.v(0))
	u.op("VADDPD", u.v(11), u.v(0), u.v(1))
	u.op("VPSUBQ", u.v(11), u.v(1), u.v(1))
	if u.isa == avx512 {
		u.op("VPANDQ", u.v(9), u.v(0), u.v(0))
		u.op("VCMPPD", "$17", u.v(10), u.v(0), "K1")
		u.op("KANDB", "K1", "K2", "K2")
		u.op("VMOVDQU64", "(DI)", u.v(2))
		u.op("VPADDQ", u.v(1), u.v(2), "K1", u.v(2))
	} else {
		u.op("VPAND", u.v(9), u.v(0), u.v(0))
		u.op("VCMPPD", "$17", u.v(10), u.v(0), u.v(0))
		u.op("VPAND", u.v(0), u.v(7), u.v(7))
		u.op("VPAND", u.v(0), u.v(1), u.v(1))
		u.op("VPADDQ", "(DI)", u.v(1), u.v(2))
	}
	u.op("VMOVUPS", u.v(2), "(DI)")
	u.op("ADDQ", imm(u.bytes()/2), "SI")
	u.next("next", "CX", "DI")
	if u.isa == avx512 {
		u.op("KMOVB", "K2", "AX")
		u.op("CMPB", "AX", "$0xff")
	} else {
		u.op("VMOVMSKPD", u.v(7), "AX")
		u.op("CMPB", "AX", "$0x0f")
	}
	u.op("SETEQ", "ret+32(FP)")
	u.end()
}

// broadcastQuad fills register i with a 64-bit constant.
func (u *unit) broadcastQuad(q uint64, i int) {
	u.op("MOVQ", fmt.Sprintf("$0x%x", q), "AX")
	u.op("VMOVQ", "AX", x(i))
	u.op("VPBROADCASTQ", x(i), u.v(i))
}

// fromFixed writes the kernel of FromFixed. AVX2 has no conversion from 64-bit
// integers: the two halves become float64 exactly, by way of large powers of
// two, and their sum is rounded once.
func (u *unit) fromFixed() {
	u.begin(u.name("fromFixed"), "(grad *float32, acc *int64, vectors int64, scale float64)", 32)
	u.op("MOVQ", "grad+0(FP)", "DI")
	u.op("MOVQ", "acc+8(FP)", "SI")
	u.op("MOVQ", "vectors+16(FP)", "CX")
	u.op("VBROADCASTSD", "scale+24(FP)", u.v(8))
	if u.isa == avx2 {
		u.broadcastQuad(0x4330000000000000, 9)  // 2^52
		u.broadcastQuad(0x4530000080000000, 10) // 2^84 + 2^63
		u.broadcastQuad(0x4530000080100000, 11) // 2^84 + 2^63 + 2^52
	}
	u.label("next")
	if u.isa == avx512 {
		u.op("VCVTQQ2PD", "(SI)", u.v(0))
		u.op("VMULPD", u.v(8), u.v(0), u.v(0))
		u.op("VCVTPD2PS", u.v(0), y(0))
		u.op("VMOVUPS", y(0), "(DI)")
	} else {
		u.op("VMOVDQU", "(SI)", u.v(0))
		u.op("VPBLENDD", "$0x55", u.v(0), u.v(9), u.v(1))
		u.op("VPSRLQ", "$32", u.v(0), u.v(0))
		u.op("VPXOR", u.v(10), u.v(0), u.v(0))
		u.op("VSUBPD", u.v(11), u.v(0), u.v(0))
		u.op("VADDPD", u.v(1), u.v(0), u.v(0))
		u.op("VMULPD", u.v(8), u.v(0), u.v(0))
		u.op("VCVTPD2PSY", u.v(0), x(0))
		u.op("VMOVUPS", x(0), "(DI)")
	}
	u.op("ADDQ", imm(u.bytes()/2), "DI")
	u.next("next", "CX", "SI")
	u.end()
}

// narrow writes the kernel of Narrow, which returns whether all numbers fit: those
// that come back from their lower half.
func (u *unit) narrow() {
	u.begin(u.name("narrow"), "(dst *int32, src *int64, vectors int64) bool", 25)
	u.op("MOVQ", "dst+0(FP)", "DI")
	u.op("MOVQ", "src+8(FP)", "SI")
	u.op("MOVQ", "vectors+16(FP)", "CX")
	u.zero(3) // what is lost
	u.label("next")
	if u.isa == avx512 {
		u.op("VMOVDQU64", "(SI)", u.v(0))
		u.op("VPMOVQD", u.v(0), y(1))
		u.op("VMOVDQU", y(1), "(DI)")
		u.op("VPMOVSXDQ", y(1), u.v(2))
		u.op("VPXORQ", u.v(0), u.v(2), u.v(2))
		u.op("VPORQ", u.v(2), u.v(3), u.v(3))
	} else {
		u.op("VMOVDQU", "(SI)", u.v(0))
		u.op("VPSHUFD", "$0x08", u.v(0), u.v(1)) // the lower halves of each pair side by side
		u.op("VPERMQ", "$0x08", u.v(1), u.v(1))
		u.op("VMOVDQU", x(1), "(DI)")
		u.op("VPMOVSXDQ", x(1), u.v(2))
		u.op("VPXOR", u.v(0), u.v(2), u.v(2))
		u.op("VPOR", u.v(2), u.v(3), u.v(3))
	}
	u.op("ADDQ", imm(u.bytes()/2), "DI")
	u.next("next", "CX", "SI")
	if u.isa == avx512 {
		u.op("VEXTRACTI64X4", "$1", u.v(3), y(2))
		u.op("VPOR", y(2), y(3), y(3))
	}
	u.op("VPTEST", y(3), y(3))
	u.op("SETEQ", "ret+24(FP)")
	u.end()
}

// addNarrow writes the kernel of AddNarrow.
func (u *unit) addNarrow() {
	u.begin(u.name("addNarrow"), "(acc *int64, src *int32, vectors int64)", 24)
	u.op("MOVQ", "acc+0(FP)", "DI")
	u.op("MOVQ", "src+8(FP)", "SI")
	u.op("MOVQ", "vectors+16(FP)", "CX")
	u.label("next")
	u.op("VPMOVSXDQ", "(SI)", u.v(0))
	u.op("VPADDQ", "(DI)", u.v(0), u.v(0))
	u.op("VMOVUPS", u.v(0), "(DI)")
	u.op("ADDQ", imm(u.bytes()/2), "SI")
	u.next("next", "CX", "DI")
	u.end()
}
