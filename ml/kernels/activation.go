package kernels

// of returns the function of x.
func (f function) of(x float32) float32 {
	switch f {
	case tanhFunction:
		return tanh32(x)
	case sigmoidFunction:
		return sigmoid32(x)
	case geluFunction:
		return gelu32(x)
	case reluFunction:
		if 0 > x {
			return 0
		}
		return x
	}
	return silu32(x)
}

// slope returns the slope of the function where it gave a, or for gelu and silu,
// where it was given a.
func (f function) slope(a float32) float32 {
	switch f {
	case tanhFunction:
		return fma(-a, a, 1)
	case sigmoidFunction:
		return fma(-a, a, a)
	case geluFunction:
		return geluSlope32(a)
	}
	return siluSlope32(a)
}

// Tanh replaces each element of y by its hyperbolic tangent. y is padded.
func Tanh(y Matrix) { mapMatrix(Active(), tanhFunction, y) }

// Sigmoid replaces each element x of y by 1 / (1 + e^-x). y is padded.
func Sigmoid(y Matrix) { mapMatrix(Active(), sigmoidFunction, y) }

// Rectify replaces each element of y that is below 0 by 0; NaN stays NaN. y is
// padded. Its slope is that of [MaskMul].
func Rectify(y Matrix) { mapMatrix(Active(), reluFunction, y) }

// GELU replaces each element x of y by x times the share of a standard normal
// distribution below x, (1 + erf(x/sqrt(2))) / 2: the exact form, not that by
// tanh. y is padded.
//
// Source: Hendrycks and Gimpel, Gaussian error linear units, arXiv:1606.08415.
func GELU(y Matrix) { mapMatrix(Active(), geluFunction, y) }

// SiLU replaces each element x of y by x / (1 + e^-x). y is padded.
func SiLU(y Matrix) { mapMatrix(Active(), siluFunction, y) }

// TanhGrad multiplies each element of g by 1 - y^2, the slope of Tanh where it
// gave y. g and y are padded and of the same shape.
func TanhGrad(g, y Matrix) { slopeMatrix(Active(), tanhFunction, g, y) }

// SigmoidGrad multiplies each element of g by y * (1 - y), the slope of Sigmoid
// where it gave y. g and y are padded and of the same shape.
func SigmoidGrad(g, y Matrix) { slopeMatrix(Active(), sigmoidFunction, g, y) }

// GELUGrad multiplies each element of g by the slope of GELU at x, what GELU was
// given. g and x are padded and of the same shape.
func GELUGrad(g, x Matrix) { slopeMatrix(Active(), geluFunction, g, x) }

// SiLUGrad multiplies each element of g by the slope of SiLU at x, what SiLU was
// given. g and x are padded and of the same shape.
func SiLUGrad(g, x Matrix) { slopeMatrix(Active(), siluFunction, g, x) }

func mapMatrix(v Variant, f function, y Matrix) {
	y.padded("activation")
	if v != Portable && mapVector(v, f, y) {
		y.clearPadding()
		return
	}
	for i := range y.Rows {
		row := y.Row(i)
		for j, x := range row {
			row[j] = f.of(x)
		}
	}
	y.clearPadding()
}

func slopeMatrix(v Variant, f function, g, y Matrix) {
	g.padded("slope: g")
	y.padded("slope: y")
	check(g.Rows == y.Rows && g.Cols == y.Cols, "slope: g (%d, %d) and y (%d, %d)", g.Rows, g.Cols, y.Rows, y.Cols)
	if v != Portable && slopeVector(v, f, g, y) {
		g.clearPadding()
		return
	}
	for i := range g.Rows {
		row := g.Row(i)
		for j, a := range y.Row(i) {
			row[j] *= f.slope(a)
		}
	}
	g.clearPadding()
}
