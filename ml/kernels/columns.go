package kernels

// ScaleColumns writes x * scale + shift to y, with a scale and a shift for each
// column, fused. y and x are padded and of the same shape, and may be the same
// matrix; scale and shift have PadCols(columns) floats, of which the padding is
// finite.
func ScaleColumns(y, x Matrix, scale, shift []float32) { scaleColumns(Active(), y, x, scale, shift) }

func scaleColumns(v Variant, y, x Matrix, scale, shift []float32) {
	checkColumns(y, x, min(len(scale), len(shift)))
	if v == Portable || !affineVector(v, y, x, scale, shift) {
		for i := range x.Rows {
			to := y.Row(i)
			for j, v := range x.Row(i) {
				to[j] = fma(v, scale[j], shift[j])
			}
		}
	}
	y.clearPadding()
}

// BlendColumns replaces g by g * a + c + x * b, added in this order, each product
// fused with the sum, with an a, b and c for each column. g and x are padded and of
// the same shape; a, b and c have PadCols(columns) floats, of which the padding is
// finite.
func BlendColumns(g, x Matrix, a, b, c []float32) { blendColumns(Active(), g, x, a, b, c) }

func blendColumns(v Variant, g, x Matrix, a, b, c []float32) {
	checkColumns(g, x, min(len(a), len(b), len(c)))
	if v == Portable || !blendVector(v, g, x, a, b, c) {
		for i := range x.Rows {
			row := g.Row(i)
			for j, v := range x.Row(i) {
				row[j] = fma(v, b[j], fma(row[j], a[j], c[j]))
			}
		}
	}
	g.clearPadding()
}

func checkColumns(y, x Matrix, numbers int) {
	y.padded("columns: y")
	x.padded("columns: x")
	check(y.Rows == x.Rows && y.Cols == x.Cols && numbers == PadCols(x.Cols), "columns: y (%d, %d) and x (%d, %d), and %d numbers",
		y.Rows, y.Cols, x.Rows, x.Cols, numbers)
}
