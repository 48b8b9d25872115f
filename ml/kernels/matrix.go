package kernels

import "unsafe"

const (
	lanes      = 16 // floats in the widest vector; columns are padded to this
	panel      = 32 // columns of a panel of packed weights
	cacheLine  = 64 // bytes
	strideSkew = 16 // floats by which rows are kept off the same cache sets
)

// PadCols returns the number of floats that a row of n columns takes: n rounded
// up to a multiple of 16.
func PadCols(n int) int { return (n + lanes - 1) &^ (lanes - 1) }

// Stride returns the row stride, in floats, of a matrix of n columns as this
// package likes it: 16 for up to 16 columns, else PadCols(n) + 16.
func Stride(n int) int {
	if n <= lanes {
		return lanes
	}
	return PadCols(n) + strideSkew
}

// Aligned returns n zero floats that start on a cache line, with room up to
// PadCols(n) in the capacity. Kernels take any alignment; this one is faster.
func Aligned(n int) []float32 {
	padded := PadCols(n)
	b := make([]float32, padded+cacheLine/4)
	off := 0
	if r := uintptr(unsafe.Pointer(unsafe.SliceData(b))) % cacheLine; r != 0 {
		off = int(cacheLine-r) / 4
	}
	return b[off : off+n : off+padded]
}

// Matrix is a row-major matrix of shape (Rows, Cols) over Data: the element in
// row i and column j is Data[i*Stride+j]. One that a kernel writes needs a
// stride of at least PadCols(Cols), and Data up to the end of the padding of
// its last row. One that is only read, as the input of a layer or a target, may
// have any stride from Cols on and no padding.
type Matrix struct {
	Data               []float32
	Rows, Cols, Stride int
}

// NewMatrix returns a zero matrix in the layout that kernels like best.
func NewMatrix(rows, cols int) Matrix {
	return Matrix{Data: Aligned(rows * Stride(cols)), Rows: rows, Cols: cols, Stride: Stride(cols)}
}

// Row returns row i, without padding.
func (m Matrix) Row(i int) []float32 {
	return m.Data[i*m.Stride : i*m.Stride+m.Cols]
}

// Slice returns rows first to first+rows of m, over the same memory.
func (m Matrix) Slice(first, rows int) Matrix {
	check(first >= 0 && rows >= 0 && first+rows <= m.Rows, "rows %d to %d of a matrix of %d rows", first, first+rows, m.Rows)
	if rows == 0 {
		return Matrix{Cols: m.Cols, Stride: m.Stride}
	}
	return Matrix{Data: m.Data[first*m.Stride:], Rows: rows, Cols: m.Cols, Stride: m.Stride}
}

// readable panics unless every element of m is in Data.
func (m Matrix) readable(name string) { m.fits(name, m.Cols) }

// padded panics unless m has room for its padding, too.
func (m Matrix) padded(name string) { m.fits(name, PadCols(m.Cols)) }

// fits panics unless rows of so many floats fit into the stride and Data.
func (m Matrix) fits(name string, n int) {
	if m.Rows < 0 || m.Cols < 1 || m.Stride < n || m.Rows > 0 && len(m.Data) < (m.Rows-1)*m.Stride+n {
		fail(name+": shape (%d, %d), in rows of %d floats with stride %d, does not fit into %d floats", m.Rows, m.Cols, n, m.Stride, len(m.Data))
	}
}

// clearPadding makes the columns from Cols to PadCols(Cols) zero.
func (m Matrix) clearPadding() {
	if m.Cols%lanes == 0 {
		return
	}
	for i := range m.Rows {
		clear(m.Data[i*m.Stride+m.Cols : i*m.Stride+PadCols(m.Cols)])
	}
}
