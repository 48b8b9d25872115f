package kernels

// Activation is what [Dense.Forward] applies to its result.
type Activation uint8

// The activations that the product applies itself. See [Tanh] and [Sigmoid] for
// others, to be applied after.
const (
	Identity Activation = iota
	ReLU                // v where v is not below 0 (NaN stays NaN), else 0
)

// Dense is the shape of a dense layer, y = x * W + b, with In inputs and Out
// outputs. It holds no numbers: those are flat slices of the caller's, so that
// an optimizer may see all of a model as one vector.
//
// Weights are packed in panels: [panels][In][width], where width is 32, or 16
// for layers of up to 16 outputs; the weight from input i to output o is at
// (o/width*In+i)*width + o%width. What lies beyond the last output is padding;
// it is zero, and all kernels keep it so. A bias takes PadCols(Out) floats.
//
// The same type describes the transposed copy of the weights that InputGrad
// needs: see [Dense.Transposed].
type Dense struct {
	In, Out int
}

// Width returns the number of columns of a panel: 16 or 32.
func (d Dense) Width() int {
	if d.Out <= lanes {
		return lanes
	}
	return panel
}

// WeightLen returns the number of floats of the packed weights.
func (d Dense) WeightLen() int {
	w := d.Width()
	return (d.Out + w - 1) / w * w * d.In
}

// BiasLen returns the number of floats of the bias: PadCols(Out).
func (d Dense) BiasLen() int { return PadCols(d.Out) }

// Index returns the place in the packed weights of the weight from input in to
// output out.
func (d Dense) Index(in, out int) int {
	w := d.Width()
	return (out/w*d.In+in)*w + out%w
}

// Transposed returns the layer whose weights are the transposed ones of d.
func (d Dense) Transposed() Dense { return Dense{In: d.Out, Out: d.In} }

// Pack writes weights of shape (Out, In), row-major as PyTorch has them, to
// packed, WeightLen floats, padding included.
func (d Dense) Pack(packed, weights []float32) {
	check(len(packed) == d.WeightLen() && len(weights) == d.In*d.Out,
		"pack: %d packed and %d plain weights, expected %d and %d", len(packed), len(weights), d.WeightLen(), d.In*d.Out)
	clear(packed)
	for o := range d.Out {
		for i, v := range weights[o*d.In : (o+1)*d.In] {
			packed[d.Index(i, o)] = v
		}
	}
}

// Unpack is the inverse of Pack.
func (d Dense) Unpack(weights, packed []float32) {
	check(len(packed) == d.WeightLen() && len(weights) == d.In*d.Out,
		"unpack: %d packed and %d plain weights, expected %d and %d", len(packed), len(weights), d.WeightLen(), d.In*d.Out)
	for o := range d.Out {
		for i := range d.In {
			weights[o*d.In+i] = packed[d.Index(i, o)]
		}
	}
}

// Transpose writes the packed weights w of d to t, packed as those of
// d.Transposed(). t may hold anything before; its padding becomes zero.
func (d Dense) Transpose(t, w []float32) {
	d.transpose(Active(), t, w)
}

func (d Dense) transpose(v Variant, t, w []float32) {
	td := d.Transposed()
	check(len(t) == td.WeightLen() && len(w) == d.WeightLen(),
		"transpose: %d and %d floats, expected %d and %d", len(t), len(w), td.WeightLen(), d.WeightLen())
	if v != Portable && transposeVector(v, d, t, w) {
		return
	}
	clear(t)
	for o := range d.Out {
		for i := range d.In {
			t[td.Index(o, i)] = w[d.Index(i, o)]
		}
	}
}

// Forward writes act(x * w + bias) to y. Shapes: y (rows, Out), padded; x
// (rows, In), any stride; w packed; bias BiasLen floats, or nil for none. The
// product is summed from zero along the inputs, the bias is added last.
func (d Dense) Forward(y, x Matrix, w, bias []float32, act Activation) {
	d.forward(Active(), y, x, w, bias, act)
}

func (d Dense) forward(v Variant, y, x Matrix, w, bias []float32, act Activation) {
	y.padded("forward: y")
	x.readable("forward: x")
	check(y.Rows == x.Rows && y.Cols == d.Out && x.Cols == d.In, "forward: x (%d, %d) and y (%d, %d) for a layer of %d inputs and %d outputs",
		x.Rows, x.Cols, y.Rows, y.Cols, d.In, d.Out)
	check(len(w) == d.WeightLen() && (bias == nil || len(bias) == d.BiasLen()), "forward: %d weights and %d biases, expected %d and %d",
		len(w), len(bias), d.WeightLen(), d.BiasLen())
	multiply(v, &product{
		m: x.Rows, n: d.Out, k: d.In,
		a: x.Data, rowStep: x.Stride, innerStep: 1,
		b: w, bStride: d.Width(), bPanel: d.In * d.Width(),
		c: y.Data, cStride: y.Stride, cPanel: panel,
		bias: bias, relu: act == ReLU,
	})
}

// InputGrad writes dz * w^T to dx: the gradient with respect to the input.
// Shapes: dx (rows, In), padded; dz (rows, Out), any stride; wt the weights as
// Transpose has written them. It may not overwrite dz.
func (d Dense) InputGrad(dx, dz Matrix, wt []float32) {
	d.Transposed().Forward(dx, dz, wt, nil, Identity)
}

// WeightGrad writes x^T * dz to dw, or adds it to dw: the gradient with respect
// to the weights, packed as they are. Shapes: x (rows, In), any stride; dz
// (rows, Out), padded, its padding zero. The product is summed along the rows,
// from zero or, with accumulate, from what dw holds: as if the rows had followed
// those before. The padding of dw must be zero before and is zero after.
func (d Dense) WeightGrad(dw []float32, x, dz Matrix, accumulate bool) {
	d.weightGrad(Active(), dw, x, dz, accumulate)
}

func (d Dense) weightGrad(v Variant, dw []float32, x, dz Matrix, accumulate bool) {
	dz.padded("weight gradient: dz")
	x.readable("weight gradient: x")
	check(dz.Rows == x.Rows && dz.Cols == d.Out && x.Cols == d.In && len(dw) == d.WeightLen(),
		"weight gradient: x (%d, %d), dz (%d, %d) and %d floats for a layer of %d inputs and %d outputs",
		x.Rows, x.Cols, dz.Rows, dz.Cols, len(dw), d.In, d.Out)
	multiply(v, &product{
		m: d.In, n: d.Out, k: x.Rows,
		a: x.Data, rowStep: 1, innerStep: x.Stride,
		b: dz.Data, bStride: dz.Stride, bPanel: panel,
		c: dw, cStride: d.Width(), cPanel: d.In * d.Width(),
		accumulate: accumulate,
	})
}

// BiasGrad writes the sum over the rows of dz to db, or adds them to db one
// after the other: the gradient with respect to the bias. Shapes: db BiasLen
// floats; dz (rows, Out), padded, its padding zero.
func (d Dense) BiasGrad(db []float32, dz Matrix, accumulate bool) {
	d.biasGrad(Active(), db, dz, accumulate)
}

func (d Dense) biasGrad(v Variant, db []float32, dz Matrix, accumulate bool) {
	dz.padded("bias gradient: dz")
	check(dz.Cols == d.Out && len(db) == d.BiasLen(), "bias gradient: dz (%d, %d) and %d floats for a layer of %d outputs",
		dz.Rows, dz.Cols, len(db), d.Out)
	if !accumulate {
		clear(db)
	}
	if v != Portable && sumColumnsVector(v, db, dz) {
		return
	}
	for i := range dz.Rows {
		for j, g := range dz.Data[i*dz.Stride : i*dz.Stride+len(db)] {
			db[j] += g
		}
	}
}
