package main

const goldenHalf uint32 = 0x9e3779b9

// dropRows writes the kernel of Dropout: R9 is the key of the row before
// mixing, the registers of the mix are in the order of dropRow in Go.
func (u *unit) dropRows() {
	const golden = "$0x9e3779b97f4a7c15"
	u.begin(u.name("dropRows"), "(y *float32, rows, vectors, stride int64, s *dropping)", 40)
	u.op("MOVQ", "y+0(FP)", "DI")
	u.op("MOVQ", "rows+8(FP)", "CX")
	u.op("MOVQ", "stride+24(FP)", "R8")
	u.op("MOVQ", "s+32(FP)", "SI")
	u.op("MOVQ", golden, "R10")
	u.op("MOVQ", "8(SI)", "R9")
	u.op("IMULQ", "R10", "R9")
	u.op("ADDQ", "0(SI)", "R9")
	u.op("MOVQ", "$0xbf58476d1ce4e5b9", "R11")
	u.op("MOVQ", "$0x94d049bb133111eb", "R12")
	u.op("VPBROADCASTD", "16(SI)", u.v(8)) // threshold
	u.op("VBROADCASTSS", "20(SI)", u.v(9)) // scale
	u.load(u.word(0x21f0aaad), 10)
	u.load(u.word(0xd35a2d97), 11)
	u.load(u.multiples(goldenHalf), 12)
	u.load(u.word(uint32(uint64(u.bits/32)*uint64(goldenHalf))), 13)
	u.label("row")
	u.op("MOVQ", "R9", "AX")
	u.shiftXor(30)
	u.op("IMULQ", "R11", "AX")
	u.shiftXor(27)
	u.op("IMULQ", "R12", "AX")
	u.shiftXor(31)
	u.op("VMOVD", "AX", x(5))
	u.op("VPBROADCASTD", x(5), u.v(5)) // low half of the key
	u.op("SHRQ", "$32", "AX")
	u.op("VMOVD", "AX", x(6))
	u.op("VPBROADCASTD", x(6), u.v(6)) // high half
	u.op("VMOVUPS", u.v(12), u.v(7))   // column times the odd constant
	u.op("MOVQ", "DI", "BX")
	u.op("MOVQ", "vectors+16(FP)", "DX")
	u.label("column")
	u.op(u.bitwise("VPXOR"), u.v(5), u.v(7), u.v(0))
	u.vectorShiftXor(16)
	u.op("VPMULLD", u.v(10), u.v(0), u.v(0))
	u.vectorShiftXor(15)
	u.op("VPADDD", u.v(6), u.v(0), u.v(0))
	u.op("VPMULLD", u.v(11), u.v(0), u.v(0))
	u.vectorShiftXor(15)
	if u.isa == avx512 {
		u.op("VPCMPUD", "$5", u.v(8), u.v(0), "K1") // not below
		u.op("VMULPS.Z", "(BX)", u.v(9), "K1", u.v(2))
	} else {
		u.op("VPMAXUD", u.v(8), u.v(0), u.v(1))
		u.op("VPCMPEQD", u.v(0), u.v(1), u.v(1))
		u.op("VMULPS", "(BX)", u.v(9), u.v(2))
		u.op("VPAND", u.v(1), u.v(2), u.v(2))
	}
	u.op("VMOVUPS", u.v(2), "(BX)")
	u.op("VPADDD", u.v(13), u.v(7), u.v(7))
	u.next("column", "DX", "BX")
	u.op("ADDQ", "R10", "R9")
	u.op("ADDQ", "R8", "DI")
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}

// shiftXor writes AX ^= AX >> n.
func (u *unit) shiftXor(n int) {
	u.op("MOVQ", "AX", "DX")
	u.op("SHRQ", imm(n), "DX")
	u.op("XORQ", "DX", "AX")
}

// vectorShiftXor writes v0 ^= v0 >> n, by way of v1.
func (u *unit) vectorShiftXor(n int) {
	u.op("VPSRLD", imm(n), u.v(0), u.v(1))
	u.op(u.bitwise("VPXOR"), u.v(1), u.v(0), u.v(0))
}

// next advances the pointers by a vector and loops while there are more.
func (u *unit) next(label, counter string, pointers ...string) {
	for _, p := range pointers {
		u.op("ADDQ", imm(u.bytes()), p)
	}
	u.op("DECQ", counter)
	u.op("JNZ", label)
}

// maskRows writes the kernel of MaskMul.
func (u *unit) maskRows() {
	u.begin(u.name("maskRows"), "(grad, a *float32, rows, vectors, gStride, aStride int64, scale float32)", 52)
	u.op("MOVQ", "grad+0(FP)", "AX")
	u.op("MOVQ", "a+8(FP)", "BX")
	u.op("MOVQ", "rows+16(FP)", "CX")
	u.op("MOVQ", "gStride+32(FP)", "R8")
	u.op("MOVQ", "aStride+40(FP)", "R9")
	u.op("VBROADCASTSS", "scale+48(FP)", u.v(3))
	u.zero(2)
	u.label("row")
	u.op("MOVQ", "vectors+24(FP)", "DX")
	u.op("MOVQ", "AX", "R10")
	u.op("MOVQ", "BX", "R11")
	u.label("column")
	if u.isa == avx512 {
		u.op("VCMPPS", "$17", "(R11)", u.v(2), "K1") // 0 < a
		u.op("VMULPS.Z", "(R10)", u.v(3), "K1", u.v(0))
	} else {
		u.op("VCMPPS", "$17", "(R11)", u.v(2), u.v(1))
		u.op("VMULPS", "(R10)", u.v(3), u.v(0))
		u.op("VPAND", u.v(1), u.v(0), u.v(0))
	}
	u.op("VMOVUPS", u.v(0), "(R10)")
	u.next("column", "DX", "R10", "R11")
	u.op("ADDQ", "R8", "AX")
	u.op("ADDQ", "R9", "BX")
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}

// addRows writes the kernel of BiasGrad.
func (u *unit) addRows() {
	u.begin(u.name("addRows"), "(sum, grad *float32, rows, vectors, stride int64)", 40)
	u.op("MOVQ", "sum+0(FP)", "DI")
	u.op("MOVQ", "grad+8(FP)", "SI")
	u.op("MOVQ", "vectors+24(FP)", "DX")
	u.op("MOVQ", "stride+32(FP)", "R8")
	u.sumRows("rows+16(FP)", []string{"SI", "DI"}, func() {
		u.op("MOVQ", "SI", "AX")
	}, func(n int) {
		for i := range n {
			u.op("VADDPS", at(i*u.bytes(), "AX"), u.v(i), u.v(i))
		}
		u.op("ADDQ", "R8", "AX")
	})
	u.end()
}

// sumRows writes the sums over rows of columns of vectors, DX of them, to DI:
// four columns at once while there are so many, so that the additions of one do
// not wait for each other's. first goes to the first row, and add adds a row of n
// columns to v(0) and so on and goes to the next; pointers move on by columns.
func (u *unit) sumRows(rows string, pointers []string, first func(), add func(n int)) {
	for _, n := range []int{4, 1} {
		label := map[int]string{4: "four", 1: "one"}[n]
		u.label(label)
		u.op("CMPQ", "DX", imm(n))
		u.op("JLT", label+"End")
		u.op("MOVQ", rows, "CX")
		first()
		for i := range n {
			u.op("VMOVUPS", at(i*u.bytes(), "DI"), u.v(i))
		}
		u.label(label + "Row")
		add(n)
		u.op("DECQ", "CX")
		u.op("JNZ", label+"Row")
		for i := range n {
			u.op("VMOVUPS", u.v(i), at(i*u.bytes(), "DI"))
		}
		for _, p := range pointers {
			u.op("ADDQ", imm(n*u.bytes()), p)
		}
		u.op("SUBQ", imm(n), "DX")
		u.op("JMP", label)
		u.label(label + "End")
	}
}

// transpose writes the transpose of blocks of 8 by 8 floats that lie side by
// side in the source, and one below the other in the destination.
func (u *unit) transpose() {
	u.begin("transpose8", "(t, w *float32, tStride, wStride, blocks int64)", 40)
	u.op("MOVQ", "t+0(FP)", "DI")
	u.op("MOVQ", "w+8(FP)", "SI")
	u.op("MOVQ", "tStride+16(FP)", "R8")
	u.op("MOVQ", "wStride+24(FP)", "R9")
	u.op("MOVQ", "blocks+32(FP)", "CX")
	u.label("block")
	u.op("MOVQ", "SI", "AX")
	for i := range 8 {
		u.op("VMOVUPS", "(AX)", y(i))
		u.op("ADDQ", "R9", "AX")
	}
	for i := 0; i < 8; i += 2 {
		u.op("VUNPCKLPS", y(i+1), y(i), y(8+i))
		u.op("VUNPCKHPS", y(i+1), y(i), y(9+i))
	}
	for i := 0; i < 8; i += 4 {
		u.op("VUNPCKLPD", y(10+i), y(8+i), y(i))
		u.op("VUNPCKHPD", y(10+i), y(8+i), y(i+1))
		u.op("VUNPCKLPD", y(11+i), y(9+i), y(i+2))
		u.op("VUNPCKHPD", y(11+i), y(9+i), y(i+3))
	}
	for _, half := range []string{"$0x20", "$0x31"} {
		for i := range 4 {
			u.op("VPERM2F128", half, y(4+i), y(i), y(8))
			u.op("VMOVUPS", y(8), "(DI)")
			u.op("ADDQ", "R8", "DI")
		}
	}
	u.op("ADDQ", "$32", "SI")
	u.op("DECQ", "CX")
	u.op("JNZ", "block")
	u.end()
}
