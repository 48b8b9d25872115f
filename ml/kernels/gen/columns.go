package main

// affineRows writes the kernel of ScaleColumns.
func (u *unit) affineRows() {
	u.columnRows("affineRows", "y", []string{"scale", "shift"}, func(of func(string) string) {
		u.op("VMOVUPS", of("x"), u.v(1))
		u.op("VMOVUPS", of("shift"), u.v(0))
		u.op("VFMADD231PS", of("scale"), u.v(1), u.v(0))
	})
}

// blendRows writes the kernel of BlendColumns.
func (u *unit) blendRows() {
	u.columnRows("blendRows", "grad", []string{"a", "b", "c"}, func(of func(string) string) {
		u.op("VMOVUPS", of("grad"), u.v(1))
		u.op("VMOVUPS", of("c"), u.v(0))
		u.op("VFMADD231PS", of("a"), u.v(1), u.v(0))
		u.op("VMOVUPS", of("x"), u.v(2))
		u.op("VFMADD231PS", of("b"), u.v(2), u.v(0))
	})
}

// columnRows writes a kernel that replaces the vectors of the matrix called first
// by what f makes, in v(0), of them, of those of a matrix x, and of some numbers for
// each column; f is given the operands by their names.
func (u *unit) columnRows(name, first string, columns []string, f func(of func(string) string)) {
	registers, size := []string{"SI", "DI", "R13"}, 16
	pointers := first + ", x"
	for _, c := range columns {
		pointers += ", " + c
		size += 8
	}
	at0 := size // of the numbers
	u.begin(u.name(name), "("+pointers+" *float32, rows, vectors, "+first+"Stride, xStride int64)", size+32)
	where := map[string]string{first: "(AX)(R12*1)", "x": "(BX)(R12*1)"}
	u.op("MOVQ", first+"+0(FP)", "AX")
	u.op("MOVQ", "x+8(FP)", "BX")
	for i, c := range columns {
		u.op("MOVQ", argument(c, 16+8*i), registers[i])
		where[c] = "(" + registers[i] + ")(R12*1)"
	}
	u.op("MOVQ", argument("rows", at0), "CX")
	u.op("MOVQ", argument(first+"Stride", at0+16), "R8")
	u.op("MOVQ", argument("xStride", at0+24), "R9")
	u.label("row")
	u.op("MOVQ", argument("vectors", at0+8), "DX")
	u.op("XORQ", "R12", "R12")
	u.label("column")
	f(func(name string) string { return where[name] })
	u.op("VMOVUPS", u.v(0), where[first])
	u.op("ADDQ", imm(u.bytes()), "R12")
	u.op("DECQ", "DX")
	u.op("JNZ", "column")
	u.op("ADDQ", "R8", "AX")
	u.op("ADDQ", "R9", "BX")
	u.op("DECQ", "CX")
	u.op("JNZ", "row")
	u.end()
}
