package neural

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// Norm is how hidden layers normalise their sums before the activation.
type Norm string

// The normalisations.
const (
	NoNorm    Norm = ""
	LayerNorm Norm = "layer" // each row by the mean and variance of its own
)

// normEpsilon is what is added to a variance: PyTorch's default.
const normEpsilon = 1e-5

// layerNormed is the layer norm of the layer's sums x as a node; scale and shift
// are its parameters' nodes.
func (d *dense) layerNormed(x, scale, shift *G.Node) (*G.Node, error) {
	norm, stats := kernels.LayerNorm{Epsilon: normEpsilon}, make([]float32, 2*d.full)
	o := &op{name: "layer-norm", shape: d.of(d.Out), active: 3}
	o.run = func(out []float32, in [][]float32) {
		norm.Forward(d.matrix(out, d.Out), d.matrix(in[0], d.Out), in[1], in[2], stats)
	}
	o.diff = func(in G.Nodes, _, gy *G.Node) (G.Nodes, error) {
		x, scale := in[0], in[1]
		dx := &op{name: "layer-norm-dx", shape: d.of(d.Out), inPlace: true, run: func(out []float32, in [][]float32) {
			d.takeOver(out, in[0])
			norm.InputGrad(d.matrix(out, d.Out), d.matrix(in[1], d.Out), in[2], stats)
		}}
		dscale := &op{name: "layer-norm-dscale", shape: d.columns(), run: func(out []float32, in [][]float32) {
			norm.ScaleGrad(out, d.matrix(in[0], d.Out), d.matrix(in[1], d.Out), stats)
		}}
		return d.three(gy, dx, dscale, x, scale)
	}
	return d.apply(o, x, scale, shift)
}

// three returns the nodes of the gradients of a normalisation: dx of the
// gradient gy, its input and its scale, dscale of gy and the input, and that with
// respect to the shift.
func (d *dense) three(gy *G.Node, dx, dscale *op, x, scale *G.Node) (nodes G.Nodes, err error) {
	dshift := &op{name: "norm-dshift", shape: d.columns(), run: func(out []float32, in [][]float32) {
		d.BiasGrad(out, d.matrix(in[0], d.Out), false)
	}}
	nodes = make(G.Nodes, 3)
	if nodes[0], err = d.apply(dx, gy, x, scale); err != nil {
		return nil, err
	}
	if nodes[1], err = d.apply(dscale, gy, x); err != nil {
		return nil, err
	}
	nodes[2], err = d.apply(dshift, gy)
	return nodes, err
}

// columns is the shape of a number for each of the layer's outputs.
func (d *dense) columns() tensor.Shape { return biasShape(d.Dense) }

// joined is y plus x, the input of the layer that y is the output of. Its
// gradient goes to y; that with respect to x joins that of the layer's product,
// see dense.gradient, so that gorgonia need not add them.
func (d *dense) joined(y, x *G.Node) (*G.Node, error) {
	o := &op{name: "join", shape: d.of(d.Out), inPlace: true, active: 1}
	o.run = func(out []float32, in [][]float32) {
		d.takeOver(out, in[0])
		kernels.Add(d.matrix(out, d.Out), d.matrix(in[1], d.Out))
	}
	o.diff = func(_ G.Nodes, _, gy *G.Node) (G.Nodes, error) {
		d.skip = gy
		return G.Nodes{gy, nil}, nil
	}
	return d.apply(o, y, x)
}
