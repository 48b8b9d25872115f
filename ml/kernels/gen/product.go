package main

import "fmt"

// Offsets in the Go type tile.
const (
	tileK      = 8 * iota // number of steps
	tileA                 // first element of A
	tileRow               // bytes from a row of A to the next
	tileInner             // bytes from a step of A to the next
	tileB                 // first element of the panel of B
	tileBStep             // bytes from a row of B to the next
	tileC                 // first element of C
	tileCStep             // bytes from a row of C to the next
	tileBias              // first element of the bias
	tileFlags             // what to do with the sums
	tileStrips            // number of strips of so many rows
	tileAJump             // bytes from a strip of A to the next
	tileCJump             // bytes from a strip of C to the next
	tileAAt               // scratch: place in A
	tileCAt               // scratch: place in C
)

const (
	flagContinue = 1
	flagBias     = 2
	flagReLU     = 4
)

// rowBases point at rows 0, 3, 6 and 9 of a strip of A.
var rowBases = []string{"AX", "R11", "R12", "R13"}

func rowAddress(i int) string {
	base := rowBases[i/3]
	if i%3 == 0 {
		return "(" + base + ")"
	}
	return fmt.Sprintf("(%s)(R8*%d)", base, i%3)
}

func (u *unit) tileName(rows, vectors int) string {
	return fmt.Sprintf("tile%dx%dx%d", u.bits, rows, vectors)
}

// product writes a tile of so many rows and vectors: the sums stay in registers
// while k runs, one fused multiply-add after the other, for strip after strip
// of rows against one panel of B.
func (u *unit) product(rows, vectors int) {
	sum := func(i, j int) string { return u.v(i*vectors + j) }
	free := rows * vectors
	right := []string{u.v(free), u.v(free + 1)}[:vectors] // row of B
	left := []string{u.v(free + vectors), u.v(free + vectors + 1)}
	each := func(f func(i, j int)) {
		for i := range rows {
			for j := range vectors {
				f(i, j)
			}
		}
	}
	u.begin(u.tileName(rows, vectors), "(t *tile)", 8)
	u.op("MOVQ", "t+0(FP)", "DI")
	u.op("MOVQ", at(tileA, "DI"), "AX")
	u.op("MOVQ", "AX", at(tileAAt, "DI"))
	u.op("MOVQ", at(tileC, "DI"), "DX")
	u.op("MOVQ", "DX", at(tileCAt, "DI"))
	u.op("MOVQ", at(tileRow, "DI"), "R8")
	u.op("MOVQ", at(tileInner, "DI"), "R9")
	u.op("MOVQ", at(tileBStep, "DI"), "R10")
	u.op("MOVQ", at(tileFlags, "DI"), "SI")
	u.label("strip")
	u.op("MOVQ", at(tileAAt, "DI"), "AX")
	u.op("MOVQ", at(tileB, "DI"), "BX")
	u.op("MOVQ", at(tileCAt, "DI"), "DX")
	bases := rowBases[:(rows+2)/3]
	for b := 1; b < len(bases); b++ {
		u.op("LEAQ", fmt.Sprintf("(%s)(R8*2)", bases[b-1]), bases[b])
		u.op("ADDQ", "R8", bases[b])
	}
	u.startSums(rows, vectors, sum)
	u.label("begin")
	u.op("MOVQ", at(tileK, "DI"), "CX")
	u.label("loop")
	for j, r := range right {
		u.op("VMOVUPS", at(j*u.bytes(), "BX"), r)
	}
	for i := range rows {
		u.op("VBROADCASTSS", rowAddress(i), left[i%2])
		for j := range vectors {
			u.op("VFMADD231PS", right[j], left[i%2], sum(i, j))
		}
	}
	for _, b := range bases {
		u.op("ADDQ", "R9", b)
	}
	u.op("ADDQ", "R10", "BX")
	u.op("DECQ", "CX")
	u.op("JNZ", "loop")
	u.finishSums(rows, vectors, sum, right, each)
	u.op("MOVQ", at(tileAJump, "DI"), "AX")
	u.op("ADDQ", "AX", at(tileAAt, "DI"))
	u.op("MOVQ", at(tileCJump, "DI"), "AX")
	u.op("ADDQ", "AX", at(tileCAt, "DI"))
	u.op("DECQ", at(tileStrips, "DI"))
	u.op("JNZ", "strip")
	u.end()
}

// startSums makes the sums zero or what C holds.
func (u *unit) startSums(rows, vectors int, sum func(i, j int) string) {
	u.op("TESTQ", imm(flagContinue), "SI")
	u.op("JNZ", "resume")
	for i := range rows * vectors {
		u.zero(i)
	}
	u.op("JMP", "begin")
	u.label("resume")
	u.op("MOVQ", at(tileCStep, "DI"), "CX")
	for i := range rows {
		for j := range vectors {
			u.op("VMOVUPS", at(j*u.bytes(), "DX"), sum(i, j))
		}
		if i < rows-1 {
			u.op("ADDQ", "CX", "DX")
		}
	}
	u.op("MOVQ", at(tileCAt, "DI"), "DX")
}

// finishSums adds the bias, applies the activation and writes
// C, as the flags say.
func (u *unit) finishSums(rows, vectors int, sum func(i, j int) string, right []string, each func(func(i, j int))) {
	u.op("MOVQ", at(tileCStep, "DI"), "CX")
	u.op("TESTQ", imm(flagBias), "SI")
	u.op("JZ", "unbiased")
	u.op("MOVQ", at(tileBias, "DI"), "BX")
	for j, r := range right {
		u.op("VMOVUPS", at(j*u.bytes(), "BX"), r)
	}
	each(func(i, j int) { u.op("VADDPS", right[j], sum(i, j), sum(i, j)) })
	u.label("unbiased")
	u.op("TESTQ", imm(flagReLU), "SI")
	u.op("JZ", "linear")
	u.op(u.bitwise("VPXOR"), right[0], right[0], right[0])
	each(func(i, j int) { u.op("VMAXPS", sum(i, j), right[0], sum(i, j)) }) // 0 > sum ? 0 : sum, so NaN stays
	u.label("linear")
	each(func(i, j int) {
		u.op("VMOVUPS", sum(i, j), at(j*u.bytes(), "DX"))
		if j == vectors-1 && i < rows-1 {
			u.op("ADDQ", "CX", "DX")
		}
	})
}
