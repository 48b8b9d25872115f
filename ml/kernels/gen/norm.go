package main

import "fmt"

// Registers of the normalisations: what a group of 16 columns is computed in
// (0 to 4, of which fold uses 2), two pairs of sums, and the row's numbers.
const (
	normSum     = 5 // and 6
	normMean    = 7
	normFactor  = 8
	normProduct = 9 // and 10
)

// eachColumns writes a loop over the groups of 16 columns of a row, of which f
// does part i at offset R12; it says whether the group is the last one, which is
// to be masked.
func (u *unit) eachColumns(label string, f func(i int, last bool)) {
	u.op("XORQ", "R12", "R12")
	u.op("MOVQ", "R9", "DX")
	u.op("DECQ", "DX")
	u.op("JZ", label+"Last")
	u.label(label)
	for i := range u.parts() {
		f(i, false)
	}
	u.op("ADDQ", "$64", "R12")
	u.op("DECQ", "DX")
	u.op("JNZ", label)
	u.label(label + "Last")
	for i := range u.parts() {
		f(i, true)
	}
}

// column returns the operand for part i of the group at offset R12 of a row.
func (u *unit) column(i int, row string) string {
	return fmt.Sprintf("%d(%s)(R12*1)", i*u.bytes(), row)
}

// mask makes the padding in register r zero, if the group is the last.
func (u *unit) mask(i, r int, last bool) {
	if last {
		u.op("VANDPS", at(32+i*u.bytes(), "SI"), u.v(r), u.v(r))
	}
}

// clearSums and meanOf begin and end the sum over a row in two registers; the
// mean is in the lowest lane of the first.
func (u *unit) clearSums(r int) {
	for i := range u.parts() {
		u.zero(r + i)
	}
}

func (u *unit) meanOf(r int) {
	if u.parts() == 2 {
		u.op("VADDPS", u.v(r+1), u.v(r), u.v(r))
	}
	u.fold("VADDPS", r)
	u.op("VDIVSS", "24(SI)", x(r), x(r))
}

// beginNorm loads the arguments of a kernel over two matrices, at DI and AX.
func (u *unit) beginNorm(name, first string) {
	u.begin(u.name(name), fmt.Sprintf("(%s, x *float32, rows, groups, %sStride, xStride int64, n *layerNorm)", first, first), 56)
	u.op("MOVQ", first+"+0(FP)", "DI")
	u.op("MOVQ", "x+8(FP)", "AX")
	u.op("MOVQ", "rows+16(FP)", "CX")
	u.op("MOVQ", "groups+24(FP)", "R9")
	u.op("MOVQ", first+"Stride+32(FP)", "R10")
	u.op("MOVQ", "xStride+40(FP)", "R8")
	u.op("MOVQ", "n+48(FP)", "SI")
	u.op("MOVQ", "0(SI)", "R11") // scale
	u.op("MOVQ", "8(SI)", "BX")  // shift
	u.op("MOVQ", "16(SI)", "R13")
	u.label("row")
}

func (u *unit) endNorm() {
	u.op("ADDQ", "R8", "AX")
	u.op("ADDQ", "R10", "DI")
	u.op("ADDQ", "$8", "R13")
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}

// normalised leaves the normalised part i of x in register r.
func (u *unit) normalised(i, r int) {
	u.op("VMOVUPS", u.column(i, "AX"), u.v(r))
	u.op("VSUBPS", u.v(normMean), u.v(r), u.v(r))
	u.op("VMULPS", u.v(normFactor), u.v(r), u.v(r))
}

// layerRows writes the kernel of LayerNorm.Forward.
func (u *unit) layerRows() {
	u.beginNorm("layerRows", "y")
	u.clearSums(normSum)
	u.eachColumns("mean", func(i int, last bool) {
		u.op("VMOVUPS", u.column(i, "AX"), u.v(0))
		u.mask(i, 0, last)
		u.op("VADDPS", u.v(0), u.v(normSum+i), u.v(normSum+i))
	})
	u.meanOf(normSum)
	u.op("VMOVSS", x(normSum), "(R13)")
	u.op("VBROADCASTSS", x(normSum), u.v(normMean))
	u.clearSums(normSum)
	u.eachColumns("variance", func(i int, last bool) {
		u.op("VMOVUPS", u.column(i, "AX"), u.v(0))
		u.op("VSUBPS", u.v(normMean), u.v(0), u.v(0))
		u.mask(i, 0, last)
		u.op("VFMADD231PS", u.v(0), u.v(0), u.v(normSum+i))
	})
	u.meanOf(normSum)
	u.op("VADDSS", "28(SI)", x(normSum), x(normSum))
	u.op("VSQRTSS", x(normSum), x(normSum), x(normSum))
	u.load(u.float(1), 0)
	u.op("VDIVSS", x(normSum), x(0), x(normSum))
	u.op("VMOVSS", x(normSum), "4(R13)")
	u.op("VBROADCASTSS", x(normSum), u.v(normFactor))
	u.eachColumns("write", func(i int, _ bool) {
		u.normalised(i, 0)
		u.op("VMOVUPS", u.column(i, "BX"), u.v(1))
		u.op("VFMADD231PS", u.column(i, "R11"), u.v(0), u.v(1))
		u.op("VMOVUPS", u.v(1), u.column(i, "DI"))
	})
	u.endNorm()
}

// layerSlopes writes the kernel of LayerNorm.InputGrad.
func (u *unit) layerSlopes() {
	u.beginNorm("layerSlopes", "grad")
	u.op("VBROADCASTSS", "(R13)", u.v(normMean))
	u.op("VBROADCASTSS", "4(R13)", u.v(normFactor))
	u.clearSums(normSum)
	u.clearSums(normProduct)
	u.eachColumns("sum", func(i int, last bool) {
		u.normalised(i, 1)
		u.op("VMOVUPS", u.column(i, "DI"), u.v(0))
		u.op("VMULPS", u.column(i, "R11"), u.v(0), u.v(0))
		u.mask(i, 0, last)
		u.mask(i, 1, last)
		u.op("VMOVUPS", u.v(0), u.column(i, "DI"))
		u.op("VADDPS", u.v(0), u.v(normSum+i), u.v(normSum+i))
		u.op("VFMADD231PS", u.v(1), u.v(0), u.v(normProduct+i))
	})
	for _, r := range []int{normSum, normProduct} {
		u.meanOf(r)
		u.op("VBROADCASTSS", x(r), u.v(r))
	}
	u.eachColumns("write", func(i int, _ bool) {
		u.normalised(i, 1)
		u.op("VMOVUPS", u.column(i, "DI"), u.v(0))
		u.op("VSUBPS", u.v(normSum), u.v(0), u.v(0))
		u.op("VFNMADD231PS", u.v(normProduct), u.v(1), u.v(0))
		u.op("VMULPS", u.v(normFactor), u.v(0), u.v(0))
		u.op("VMOVUPS", u.v(0), u.column(i, "DI"))
	})
	u.endNorm()
}

// scaleSlopes writes the kernel of LayerNorm.ScaleGrad.
func (u *unit) scaleSlopes() {
	u.begin(u.name("scaleSlopes"), "(sum, grad, x, stats *float32, rows, vectors, gStride, xStride int64)", 64)
	u.op("MOVQ", "sum+0(FP)", "DI")
	u.op("MOVQ", "grad+8(FP)", "SI")
	u.op("MOVQ", "x+16(FP)", "BX")
	u.op("MOVQ", "vectors+40(FP)", "DX")
	u.op("MOVQ", "gStride+48(FP)", "R8")
	u.op("MOVQ", "xStride+56(FP)", "R9")
	u.sumRows("rows+32(FP)", []string{"SI", "DI", "BX"}, func() {
		u.op("MOVQ", "stats+24(FP)", "R13")
		u.op("MOVQ", "SI", "AX")
		u.op("MOVQ", "BX", "R10")
	}, func(n int) {
		u.op("VBROADCASTSS", "(R13)", u.v(4))
		u.op("VBROADCASTSS", "4(R13)", u.v(5))
		for i := range n {
			u.op("VMOVUPS", at(i*u.bytes(), "R10"), u.v(6+i))
			u.op("VSUBPS", u.v(4), u.v(6+i), u.v(6+i))
			u.op("VMULPS", u.v(5), u.v(6+i), u.v(6+i))
			u.op("VFMADD231PS", at(i*u.bytes(), "AX"), u.v(6+i), u.v(i))
		}
		u.op("ADDQ", "R8", "AX")
		u.op("ADDQ", "R9", "R10")
		u.op("ADDQ", "$8", "R13")
	})
	u.end()
}
