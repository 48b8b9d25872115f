package neural

import (
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// Norm is how hidden layers normalise their sums before the activation.
type Norm string

// The normalisations.
const (
	NoNorm    Norm = ""
	LayerNorm Norm = "layer" // each row by the mean and variance of its own
	BatchNorm Norm = "batch" // each unit by those of the rows of a shard, and of running ones in predictions
)

func sqrt32(v float32) float32 { return float32(math.Sqrt(float64(v))) }

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
		return d.normGradient(norm, stats, in[0], in[1], gy)
	}
	return d.apply(o, x, scale, shift)
}

// normGradient returns the gradients of a layer norm with respect to its input x,
// its scale and its shift.
func (d *dense) normGradient(norm kernels.LayerNorm, stats []float32, x, scale, gy *G.Node) (nodes G.Nodes, err error) {
	dx := &op{name: "layer-norm-dx", shape: d.of(d.Out), inPlace: true, run: func(out []float32, in [][]float32) {
		d.takeOver(out, in[0], d.Out)
		norm.InputGrad(d.matrix(out, d.Out), d.matrix(in[1], d.Out), in[2], stats)
	}}
	dscale := &op{name: "layer-norm-dscale", shape: biasShape(d.Dense), run: func(out []float32, in [][]float32) {
		norm.ScaleGrad(out, d.matrix(in[0], d.Out), d.matrix(in[1], d.Out), stats)
	}}
	dshift := &op{name: "layer-norm-dshift", shape: biasShape(d.Dense), run: func(out []float32, in [][]float32) {
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

// joined is y plus x, the input of the layer that y is the output of. Its
// gradient goes to y; that with respect to x joins that of the layer's product,
// see dense.gradient, so that gorgonia need not add them.
func (d *dense) joined(y, x *G.Node) (*G.Node, error) {
	o := &op{name: "join", shape: d.of(d.Out), inPlace: true, active: 1}
	o.run = func(out []float32, in [][]float32) {
		d.takeOver(out, in[0], d.Out)
		kernels.Add(d.matrix(out, d.Out), d.matrix(in[1], d.Out))
	}
	o.diff = func(_ G.Nodes, _, gy *G.Node) (G.Nodes, error) {
		d.skip = gy
		return G.Nodes{gy, nil}, nil
	}
	return d.apply(o, y, x)
}
