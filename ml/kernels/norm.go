package kernels

import "math"

// LayerNorm is the normalisation of each row to a mean of 0 and a variance of 1:
// y = (x - mean) / sqrt(variance + Epsilon) * scale + shift, with a scale and a
// shift for each column. The variance is that of the row itself (of n, not
// n-1). Sums over the columns are made as in [CrossEntropy].
//
// Source: Ba, Kiros and Hinton, Layer normalization, arXiv:1607.06450.
type LayerNorm struct {
	Epsilon float32 // above 0
}

// layerNorm is what the kernels are given; the assembly knows its layout.
type layerNorm struct {
	scale, shift, stats *float32
	cols, epsilon       float32
	tail                [lanes]uint32
}

// Forward writes the normalised rows of x to y, and the mean of each row and
// what it was multiplied by, 1/sqrt(variance + Epsilon), to stats, of shape
// (rows, 2). y and x are padded and of the same shape; scale and shift have
// PadCols(columns) floats, of which the padding is zero.
func (l LayerNorm) Forward(y, x Matrix, scale, shift, stats []float32) {
	l.forward(Active(), y, x, scale, shift, stats)
}

func (l LayerNorm) forward(v Variant, y, x Matrix, scale, shift, stats []float32) {
	checkNorm(y, x, scale, stats)
	check(len(shift) == len(scale), "layer norm: a scale of %d and a shift of %d", len(scale), len(shift))
	if v == Portable || !layerNormVector(v, l.Epsilon, y, x, scale, shift, stats) {
		for i := range x.Rows {
			row, n := x.Row(i), float32(x.Cols)
			mean := laneSum(row, func(v, sum float32) float32 { return sum + v }) / n
			variance := laneSum(row, func(v, sum float32) float32 { return fma(v-mean, v-mean, sum) }) / n
			factor := 1 / sqrt32(variance+l.Epsilon)
			stats[2*i], stats[2*i+1] = mean, factor
			to := y.Row(i)
			for j, v := range row {
				to[j] = fma(float32((v-mean)*factor), scale[j], shift[j])
			}
		}
	}
	y.clearPadding()
}

// InputGrad replaces g, the gradient with respect to y, by that with respect to
// x, of which Forward has left stats.
func (l LayerNorm) InputGrad(g, x Matrix, scale, stats []float32) {
	l.inputGrad(Active(), g, x, scale, stats)
}

func (l LayerNorm) inputGrad(v Variant, g, x Matrix, scale, stats []float32) {
	checkNorm(g, x, scale, stats)
	if v == Portable || !layerSlopeVector(v, g, x, scale, stats) {
		for i := range x.Rows {
			layerSlope(g.Row(i), x.Row(i), scale, stats[2*i], stats[2*i+1])
		}
	}
	g.clearPadding()
}

// layerSlope is inputGrad of one row.
func layerSlope(g, x, scale []float32, mean, factor float32) {
	var plain, products [lanes]float32
	for j, v := range x {
		g[j] *= scale[j]
		plain[j%lanes] += g[j]
		products[j%lanes] = fma(g[j], float32((v-mean)*factor), products[j%lanes])
	}
	n := float32(len(x))
	meanGrad, meanProduct := foldLanes(&plain)/n, foldLanes(&products)/n
	for j, v := range x {
		g[j] = float32(fma(-float32((v-mean)*factor), meanProduct, g[j]-meanGrad) * factor)
	}
}

// ScaleGrad writes to sum, of PadCols(columns) floats, the gradient with respect
// to the scale: the sum over the rows, one after the other, of g times the
// normalised x. That with respect to the shift is [Dense.BiasGrad].
func (l LayerNorm) ScaleGrad(sum []float32, g, x Matrix, stats []float32) {
	l.scaleGrad(Active(), sum, g, x, stats)
}

func (l LayerNorm) scaleGrad(v Variant, sum []float32, g, x Matrix, stats []float32) {
	checkNorm(g, x, sum, stats)
	clear(sum)
	if v == Portable || !scaleSlopeVector(v, sum, g, x, stats) {
		for i := range x.Rows {
			row, mean, factor := x.Row(i), stats[2*i], stats[2*i+1]
			for j, v := range g.Row(i) {
				sum[j] = fma(v, float32((row[j]-mean)*factor), sum[j])
			}
		}
	}
	clear(sum[x.Cols:])
}

func checkNorm(y, x Matrix, scale, stats []float32) {
	y.padded("layer norm: y")
	x.padded("layer norm: x")
	check(y.Rows == x.Rows && y.Cols == x.Cols && len(scale) == PadCols(x.Cols) && len(stats) >= 2*x.Rows,
		"layer norm: y (%d, %d) and x (%d, %d), a scale of %d and room for %d numbers", y.Rows, y.Cols, x.Rows, x.Cols, len(scale), len(stats))
}

// laneSum folds f over the elements of a row in 16 lanes, and adds those up.
func laneSum(row []float32, f func(v, sum float32) float32) float32 {
	var sums [lanes]float32
	for j, v := range row {
		sums[j%lanes] = f(v, sums[j%lanes])
	}
	return foldLanes(&sums)
}

func sqrt32(v float32) float32 { return float32(math.Sqrt(float64(v))) }

// Add adds x to y, element by element. y and x are padded and of the same shape.
func Add(y, x Matrix) { add(Active(), y, x) }

func add(v Variant, y, x Matrix) {
	y.padded("add: y")
	x.padded("add: x")
	check(y.Rows == x.Rows && y.Cols == x.Cols, "add: y (%d, %d) and x (%d, %d)", y.Rows, y.Cols, x.Rows, x.Cols)
	if v == Portable || !addVector(v, y, x) {
		for i := range y.Rows {
			row := y.Row(i)
			for j, v := range x.Row(i) {
				row[j] += v
			}
		}
	}
	y.clearPadding()
}
