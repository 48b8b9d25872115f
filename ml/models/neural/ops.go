package neural

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// pass is which rows a graph is about to compute; the ops of the graph read it.
type pass struct {
	rows      int     // of the block, at most the graph's
	firstRow  uint64  // the number of the first one in its batch, for dropout
	iteration uint64  // likewise
	scale     float32 // of the gradient
	mean      bool    // whether it is divided by what the rows weigh
}

// builder makes the nodes of one graph of full blocks of so many rows.
type builder struct {
	*pass
	full   int
	numOps int
}

// matrix returns the block's rows over data, which is padded.
func (b *builder) matrix(data []float32, cols int) kernels.Matrix {
	return kernels.Matrix{Data: data, Rows: b.rows, Cols: cols, Stride: kernels.Stride(cols)}
}

// of returns the shape of the values of a node with so many columns.
func (b *builder) of(cols int) tensor.Shape { return tensor.Shape{b.full, kernels.Stride(cols)} }

// takeOver makes out what in is, of so many columns, unless they are the same memory.
func (b *builder) takeOver(out, in []float32, cols int) {
	if &out[0] != &in[0] {
		copy(out, in[:b.rows*kernels.Stride(cols)])
	}
}

// apply adds the node of an op.
func (b *builder) apply(o *op, in ...*G.Node) (*G.Node, error) {
	b.numOps++
	o.name = fmt.Sprintf("%s#%d", o.name, b.numOps)
	o.arity = len(in)
	slots := o.arity + 1
	o.seen, o.args, o.units = make([]G.Value, slots), make([][]float32, slots), make([]float32, slots)
	n, err := G.ApplyOp(o, in...)
	if err != nil {
		return nil, fmt.Errorf("neural: graph: %s: %w", o.name, err)
	}
	return n, nil
}

// dense is act(x*W + b), with dropout after it when the rate is above 0. The
// activation is one whose slope follows from its result.
type dense struct {
	*builder
	kernels.Dense
	activation Activation // none for the last layer, and where it is a node of its own
	dropout    kernels.Dropout
	transposed []float32 // of the weights, kept up to date by their owner
	skip       *G.Node   // the gradient of what the layer's output was added to, if it was
}

// node returns the layer's output of x; w and bias are its parameters' nodes.
func (d *dense) node(x, w, bias *G.Node) (*G.Node, error) {
	y, err := d.sums(x, w, bias)
	if err != nil || d.activation == ReLU {
		return y, err
	}
	return d.dropped(y)
}

// sums is node but for dropout that is a node of its own.
func (d *dense) sums(x, w, bias *G.Node) (*G.Node, error) {
	o := &op{name: "dense", shape: d.of(d.Out), active: 3, diff: d.gradient}
	o.run = func(out []float32, in [][]float32) {
		act, y := kernels.Identity, d.matrix(out, d.Out)
		if d.activation == ReLU {
			act = kernels.ReLU
		}
		d.Forward(y, d.matrix(in[0], d.In), in[1], in[2], act)
		if d.activation == ReLU {
			d.drop(y) // the gradient sees it in what is 0
		} else {
			d.activation.apply(y)
		}
	}
	return d.apply(o, x, w, bias)
}

// drop drops elements of y.
func (d *dense) drop(y kernels.Matrix) {
	if d.dropout.Rate == 0 {
		return
	}
	draw := d.dropout
	draw.Iteration = d.iteration
	draw.Apply(y, d.firstRow)
}

// dropped is dropout as a node of its own, when the rate is above 0. Its gradient
// is that of the same draw.
func (d *dense) dropped(x *G.Node) (*G.Node, error) {
	if d.dropout.Rate == 0 {
		return x, nil
	}
	o := &op{name: "dropout", shape: d.of(d.Out), inPlace: true, active: 1}
	o.run = func(out []float32, in [][]float32) {
		d.takeOver(out, in[0], d.Out)
		d.drop(d.matrix(out, d.Out))
	}
	o.diff = func(_ G.Nodes, _, gy *G.Node) (G.Nodes, error) {
		gx, err := d.dropped(gy)
		return G.Nodes{gx}, err
	}
	return d.apply(o, x)
}

// gradient returns the gradients with respect to x, the weights and the bias.
func (d *dense) gradient(in G.Nodes, y, gy *G.Node) (G.Nodes, error) {
	dz, err := d.slope(y, gy)
	if err != nil {
		return nil, err
	}
	from := G.Nodes{dz}
	if d.skip != nil {
		from = append(from, d.skip)
	}
	dx := &op{name: "dense-dx", shape: d.of(d.In), run: func(out []float32, in [][]float32) {
		d.InputGrad(d.matrix(out, d.In), d.matrix(in[0], d.Out), d.transposed)
		if len(in) > 1 {
			kernels.Add(d.matrix(out, d.In), d.matrix(in[1], d.In))
		}
	}}
	dw := &op{name: "dense-dw", shape: weightShape(d.Dense), run: func(out []float32, in [][]float32) {
		d.WeightGrad(out, d.matrix(in[0], d.In), d.matrix(in[1], d.Out), false)
	}}
	db := &op{name: "dense-db", shape: biasShape(d.Dense), run: func(out []float32, in [][]float32) {
		d.BiasGrad(out, d.matrix(in[0], d.Out), false)
	}}
	nodes := make(G.Nodes, 3)
	if nodes[0], err = d.apply(dx, from...); err != nil {
		return nil, err
	}
	if nodes[1], err = d.apply(dw, in[0], dz); err != nil {
		return nil, err
	}
	nodes[2], err = d.apply(db, dz)
	return nodes, err
}

// slope returns the gradient with respect to the sums, from that of the output y.
func (d *dense) slope(y, gy *G.Node) (*G.Node, error) {
	if d.activation == "" {
		return gy, nil
	}
	o := &op{name: "dense-dz", shape: d.of(d.Out), inPlace: true}
	o.run = func(out []float32, in [][]float32) {
		d.takeOver(out, in[0], d.Out)
		g, y := d.matrix(out, d.Out), d.matrix(in[1], d.Out)
		if d.activation == ReLU {
			kernels.MaskMul(g, y, d.dropout.Scale())
		} else {
			d.activation.slope(g, y)
		}
	}
	return d.apply(o, gy, y)
}

// weightShape and biasShape are those of the nodes of a layer's parameters.
func weightShape(d kernels.Dense) tensor.Shape {
	return tensor.Shape{d.WeightLen() / d.Width(), d.Width()}
}

func biasShape(d kernels.Dense) tensor.Shape { return tensor.Shape{1, d.BiasLen()} }

// head is the loss of the last layer's outputs, summed over the block's rows.
type head struct {
	*builder
	outputs int
	classes bool
	labels  []int32   // scratch
	losses  []float32 // of each row
	slope   []float32 // of the loss of each row with respect to the outputs
	loss    float64   // the sum of losses, in the order of rows
	weight  float64   // what the rows weigh together

	objective *objective      // nil: the plain loss of rows without weights
	own       []float32       // the rows' weights, to be filled in; nil without
	behind    []float64       // scratch of the objective
	row       metrics.RowLoss // of a regression
	std       float64         // of its target
}

// node returns the loss of outputs for targets: cross entropy of the class's
// number, or the error. The result is the float32 nearest to head.loss.
func (h *head) node(outputs, targets *G.Node) (*G.Node, error) {
	h.labels, h.losses = make([]int32, h.full), make([]float32, h.full)
	h.slope = kernels.Aligned(h.of(h.outputs).TotalSize())
	h.behind = make([]float64, h.full)
	if h.objective != nil && h.objective.rows > 0 {
		h.own = make([]float32, h.full)
	}
	o := &op{name: "loss", active: 1, diff: h.gradient}
	o.run = func(out []float32, in [][]float32) {
		copy(h.slope, in[0][:h.rows*kernels.Stride(h.outputs)])
		z := h.matrix(h.slope, h.outputs)
		losses := h.losses[:h.rows]
		if h.classes {
			for i, t := range in[1][:h.rows] {
				h.labels[i] = int32(t)
			}
			if h.objective.byClass() {
				h.objective.crossEntropy(z, h.labels[:h.rows], losses, h.behind)
			} else {
				kernels.CrossEntropy(z, h.labels[:h.rows], 1, losses)
			}
		} else {
			distances(h.row, h.std, z, in[1], losses)
		}
		h.weight, h.loss = h.objective.weigh(z, h.labels[:h.rows], h.own, losses), 0
		for _, l := range losses {
			h.loss += float64(l)
		}
		out[0] = float32(h.loss)
	}
	return h.apply(o, outputs, targets)
}

// gradient returns that of the outputs, which the loss has left in h.slope;
// loss is an input so that it has been computed before.
func (h *head) gradient(_ G.Nodes, loss, gy *G.Node) (G.Nodes, error) {
	o := &op{name: "loss-dz", shape: h.of(h.outputs), scalars: 2}
	o.run = func(out []float32, in [][]float32) {
		scale := in[1][0] * h.scale
		if h.mean {
			scale *= inverse(h.weight)
		}
		for i, v := range h.slope[:h.rows*kernels.Stride(h.outputs)] {
			out[i] = v * scale
		}
	}
	dz, err := h.apply(o, loss, gy)
	return G.Nodes{dz, nil}, err
}

// probabilities is the softmax of x as a node; there is no gradient of it.
func (b *builder) probabilities(x *G.Node, classes int) (*G.Node, error) {
	o := &op{name: "softmax", shape: b.of(classes), inPlace: true}
	o.run = func(out []float32, in [][]float32) {
		b.takeOver(out, in[0], classes)
		kernels.Softmax(b.matrix(out, classes))
	}
	return b.apply(o, x)
}
