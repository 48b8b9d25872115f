package neural

import (
	G "gorgonia.org/gorgonia"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// fused reports whether a layer applies a as part of its product.
func (a Activation) fused() bool { return a == ReLU || a == Tanh || a == Sigmoid }

// fromInput reports whether the slope of a follows from what it was given, not
// from its result.
func (a Activation) fromInput() bool { return a == GELU || a == SiLU }

// apply replaces each element of y by the activation of it.
func (a Activation) apply(y kernels.Matrix) {
	switch a {
	case ReLU:
		kernels.Rectify(y)
	case Tanh:
		kernels.Tanh(y)
	case Sigmoid:
		kernels.Sigmoid(y)
	case GELU:
		kernels.GELU(y)
	case SiLU:
		kernels.SiLU(y)
	}
}

// slope multiplies g by the slope of the activation: at x, or where it gave x;
// see fromInput.
func (a Activation) slope(g, x kernels.Matrix) {
	switch a {
	case ReLU:
		kernels.MaskMul(g, x, 1)
	case Tanh:
		kernels.TanhGrad(g, x)
	case Sigmoid:
		kernels.SigmoidGrad(g, x)
	case GELU:
		kernels.GELUGrad(g, x)
	case SiLU:
		kernels.SiLUGrad(g, x)
	}
}

// activated is an activation of the layer's values as a node of its own.
func (d *dense) activated(a Activation, x *G.Node) (*G.Node, error) {
	o := &op{name: string(a), shape: d.of(d.Out), inPlace: true, active: 1}
	o.run = func(out []float32, in [][]float32) {
		d.takeOver(out, in[0], d.Out)
		a.apply(d.matrix(out, d.Out))
	}
	o.diff = func(in G.Nodes, y, gy *G.Node) (G.Nodes, error) {
		if a.fromInput() {
			y = in[0]
		}
		slope := &op{name: string(a) + "-slope", shape: d.of(d.Out), inPlace: true}
		slope.run = func(out []float32, in [][]float32) {
			d.takeOver(out, in[0], d.Out)
			a.slope(d.matrix(out, d.Out), d.matrix(in[1], d.Out))
		}
		gx, err := d.apply(slope, gy, y)
		return G.Nodes{gx}, err
	}
	return d.apply(o, x)
}
