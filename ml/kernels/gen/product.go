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
	tileBPanel            // bytes from a panel of B to the next
	tileCPanel            // bytes from a panel of C to the next
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

// tile is a block of C that stays in registers: rows by so many vectors of each
// of some panels. More than one panel is for few rows, whose sums would wait
// for each other otherwise.
type tile struct {
	rows, vectors, panels int
}

func (s tile) columns() int { return s.vectors * s.panels }

func (u *unit) tileName(s tile) string {
	return fmt.Sprintf("tile%dx%dx%dx%d", u.bits, s.rows, s.vectors, s.panels)
}

// sum names the register of the sums of row i in vector j.
func (u *unit) sum(s tile, i, j int) string { return u.v(i*s.columns() + j) }

// vectorAt is the place of vector j of a row of B or C, with the distance of
// two panels in R11 and that of three in R12.
func (u *unit) vectorAt(s tile, j int, base string) string {
	panel := []string{"", "(R11*1)", "(R11*2)", "(R12*1)"}[j/s.vectors]
	return at(j%s.vectors*u.bytes(), base) + panel
}

// panelSteps loads the distances of panels.
func (u *unit) panelSteps(s tile, offset int) {
	if s.panels > 1 {
		u.op("MOVQ", at(offset, "DI"), "R11")
	}
	if s.panels > 3 {
		u.op("LEAQ", "(R11)(R11*2)", "R12")
	}
}

// product writes a tile: the sums stay in registers while k runs, one fused
// multiply-add after the other, for strip after strip of rows against the same
// panels of B.
func (u *unit) product(s tile) {
	free := s.rows * s.columns()
	left := []string{u.v(free), u.v(free + 1)}
	right := make([]string, s.columns()) // row of B
	for j := range right {
		right[j] = u.v(free + 2 + j%s.vectors)
	}
	u.begin(u.tileName(s), "(t *tile)", 8)
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
	u.startSums(s)
	u.label("begin")
	u.op("MOVQ", at(tileK, "DI"), "CX")
	u.op("MOVQ", at(tileAAt, "DI"), "AX")
	u.op("MOVQ", at(tileB, "DI"), "BX")
	u.panelSteps(s, tileBPanel)
	bases := rowBases[:(s.rows+2)/3]
	for b := 1; b < len(bases); b++ {
		u.op("LEAQ", fmt.Sprintf("(%s)(R8*2)", bases[b-1]), bases[b])
		u.op("ADDQ", "R8", bases[b])
	}
	u.label("loop")
	u.steps(s, left, right)
	for _, b := range bases {
		u.op("ADDQ", "R9", b)
	}
	u.op("ADDQ", "R10", "BX")
	u.op("DECQ", "CX")
	u.op("JNZ", "loop")
	u.finishSums(s, right)
	u.op("MOVQ", at(tileAJump, "DI"), "AX")
	u.op("ADDQ", "AX", at(tileAAt, "DI"))
	u.op("MOVQ", at(tileCJump, "DI"), "AX")
	u.op("ADDQ", "AX", at(tileCAt, "DI"))
	u.op("DECQ", at(tileStrips, "DI"))
	u.op("JNZ", "strip")
	u.end()
}

// steps writes the body of the loop over k.
func (u *unit) steps(s tile, left, right []string) {
	if s.panels == 1 {
		for j, r := range right {
			u.op("VMOVUPS", u.vectorAt(s, j, "BX"), r)
		}
		for i := range s.rows {
			u.op("VBROADCASTSS", rowAddress(i), left[i%2])
			for j := range right {
				u.op("VFMADD231PS", right[j], left[i%2], u.sum(s, i, j))
			}
		}
		return
	}
	rowLeft := []string{left[0], left[1], right[1]} // B takes turns in right[0]
	for i := range s.rows {
		u.op("VBROADCASTSS", rowAddress(i), rowLeft[i])
	}
	for j := range right {
		u.op("VMOVUPS", u.vectorAt(s, j, "BX"), right[0])
		for i := range s.rows {
			u.op("VFMADD231PS", right[0], rowLeft[i], u.sum(s, i, j))
		}
	}
}

// eachVector calls f for each vector of the tile's rows of C, from the place in
// tileCAt on, with its place.
func (u *unit) eachVector(s tile, f func(i, j int, place string)) {
	u.op("MOVQ", at(tileCAt, "DI"), "DX")
	u.op("MOVQ", at(tileCStep, "DI"), "CX")
	u.panelSteps(s, tileCPanel)
	for i := range s.rows {
		for j := range s.columns() {
			f(i, j, u.vectorAt(s, j, "DX"))
		}
		if i < s.rows-1 {
			u.op("ADDQ", "CX", "DX")
		}
	}
}

// startSums makes the sums zero or what C holds.
func (u *unit) startSums(s tile) {
	u.op("TESTQ", imm(flagContinue), "SI")
	u.op("JNZ", "resume")
	for i := range s.rows * s.columns() {
		u.zero(i)
	}
	u.op("JMP", "begin")
	u.label("resume")
	u.eachVector(s, func(i, j int, place string) { u.op("VMOVUPS", place, u.sum(s, i, j)) })
}

// finishSums adds the bias, applies the activation and writes C, as the flags
// say. The bias lies in one piece.
func (u *unit) finishSums(s tile, right []string) {
	u.op("TESTQ", imm(flagBias), "SI")
	u.op("JZ", "unbiased")
	u.op("MOVQ", at(tileBias, "DI"), "BX")
	for j := range s.columns() {
		u.op("VMOVUPS", at((j/s.vectors*panelWidth*4)+j%s.vectors*u.bytes(), "BX"), right[0])
		for i := range s.rows {
			u.op("VADDPS", right[0], u.sum(s, i, j), u.sum(s, i, j))
		}
	}
	u.label("unbiased")
	u.op("TESTQ", imm(flagReLU), "SI")
	u.op("JZ", "linear")
	u.op(u.bitwise("VPXOR"), right[0], right[0], right[0])
	for i := range s.rows * s.columns() {
		u.op("VMAXPS", u.v(i), right[0], u.v(i)) // 0 > sum ? 0 : sum, so NaN stays
	}
	u.label("linear")
	u.eachVector(s, func(i, j int, place string) { u.op("VMOVUPS", u.sum(s, i, j), place) })
}

const panelWidth = 32 // floats
