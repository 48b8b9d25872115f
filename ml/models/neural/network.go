package neural

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// network is what graphs are made of.
type network struct {
	shape
	activation Activation
	residual   bool
	problem    models.Problem
	objective  *objective      // nil: the plain loss of rows without weights
	row        metrics.RowLoss // of a regression
	std        float64         // of its target
	fine       bool            // gradients are added in finer steps
}

// joins reports whether the input of hidden layer i is added to its output.
func (n network) joins(i int) bool {
	return n.residual && i > 0 && n.layers[i].In == n.layers[i].Out
}

// nodes are a graph's inputs: a block of rows, and the parameters of layers.
type nodes struct {
	*G.ExprGraph
	x          *G.Node
	flat       []float32 // of weights, whose running statistics predictions are made with
	running    []float32 // where a shard's statistics go in training, else nil
	parameters []*G.Node // weights, then bias, of each layer; then scale and shift of each hidden one, if it has them; then the embeddings' tables
}

// parameter is the place of a parameter in flat vectors.
type parameter struct {
	name  string
	shape tensor.Shape
	part  func(flat []float32) []float32
}

// parameters are those of nodes, in their order.
func (n network) parameters() (all []parameter) {
	for i, l := range n.layers {
		all = append(all,
			parameter{fmt.Sprintf("w%d", i), weightShape(l.Dense), func(flat []float32) []float32 { return n.weights(flat, i) }},
			parameter{fmt.Sprintf("b%d", i), biasShape(l.Dense), func(flat []float32) []float32 { return n.bias(flat, i) }})
	}
	for i, l := range n.layers {
		if l.norm {
			all = append(all,
				parameter{fmt.Sprintf("scale%d", i), biasShape(l.Dense), func(flat []float32) []float32 { return n.scale(flat, i) }},
				parameter{fmt.Sprintf("shift%d", i), biasShape(l.Dense), func(flat []float32) []float32 { return n.shift(flat, i) }})
		}
	}
	for i, t := range n.tables {
		all = append(all, parameter{fmt.Sprintf("table%d", i), t.shape(), t.of})
	}
	return all
}

// inputs makes the input nodes of a graph. The rows are x's, the parameters
// those of the flat vector, of whose memory the graph sees every change.
func (n network) inputs(b *builder, x kernels.Matrix, flat []float32) nodes {
	g := nodes{ExprGraph: G.NewGraph(), flat: flat}
	add := func(name string, shape tensor.Shape, memory []float32) *G.Node {
		return G.NewMatrix(g.ExprGraph, tensor.Float32, G.WithName(name), G.WithShape(shape...), G.WithValue(newTensor(shape, memory)))
	}
	g.x = add("x", b.of(x.Cols), x.Data)
	for _, p := range n.parameters() {
		g.parameters = append(g.parameters, add(p.name, p.shape, p.part(flat)))
	}
	return g
}

// outputs returns the node of the last layer's outputs. transposed, of each
// layer, may be nil where no gradient is wanted.
func (n network) outputs(b *builder, g nodes, drop kernels.Dropout, transposed [][]float32) (*G.Node, error) {
	y := g.x
	if first := len(g.parameters) - len(n.tables); len(n.tables) > 0 {
		var err error
		if y, err = newEmbed(b, n.shape).node(g.x, g.parameters[first:]); err != nil {
			return nil, err
		}
	}
	for i, l := range n.layers {
		d := &dense{builder: b, Dense: l.Dense}
		if transposed != nil {
			d.transposed = transposed[i]
		}
		var err error
		if i < len(n.layers)-1 {
			d.dropout = drop
			d.dropout.Layer = uint64(i)
			y, err = n.hidden(d, g, i, y)
		} else {
			y, err = d.node(y, g.parameters[2*i], g.parameters[2*i+1])
		}
		if err != nil {
			return nil, err
		}
	}
	return y, nil
}

// hidden returns the output of hidden layer i of x.
func (n network) hidden(d *dense, g nodes, i int, x *G.Node) (*G.Node, error) {
	y, err := n.block(d, g, i, x)
	if err != nil || !n.joins(i) {
		return y, err
	}
	return d.joined(y, x)
}

// block is hidden but for what is added to it.
func (n network) block(d *dense, g nodes, i int, x *G.Node) (*G.Node, error) {
	w, bias := g.parameters[2*i], g.parameters[2*i+1]
	if n.norm == NoNorm && n.activation.fused() {
		d.activation = n.activation
		return d.node(x, w, bias)
	}
	y, err := d.sums(x, w, bias)
	if err != nil {
		return nil, err
	}
	if n.norm != NoNorm {
		if y, err = n.normed(d, g, i, y); err != nil {
			return nil, err
		}
	}
	if y, err = d.activated(n.activation, y); err != nil {
		return nil, err
	}
	return d.dropped(y)
}

// normed returns the normalised sums x of hidden layer i.
func (n network) normed(d *dense, g nodes, i int, x *G.Node) (*G.Node, error) {
	at := 2 * (len(n.layers) + i)
	scale, shift := g.parameters[at], g.parameters[at+1]
	switch {
	case n.norm == LayerNorm:
		return d.layerNormed(x, scale, shift)
	case g.running != nil:
		mean, variance := n.running(g.running, i)
		return d.batchNormed(x, scale, shift, mean, variance)
	}
	mean, variance := n.running(n.runningOf(g.flat), i)
	return d.runningNormed(x, scale, shift, mean, variance)
}

// trainer computes the gradient of a block of rows.
type trainer struct {
	*pass
	machine *machine
	head    *head
	x       kernels.Matrix // the rows, to be filled in
	targets []float32      // likewise
	grad    []float32      // the flat gradient of the sum of the rows' losses, times scale
	running []float32      // the means and variances over the rows, of a batch norm
}

// newTrainer makes the graph of the network and its gradient, over the flat
// parameters and their transposed copies, and a machine for it.
func (n network) newTrainer(flat []float32, transposed [][]float32, drop kernels.Dropout) (*trainer, error) {
	building.Lock()
	defer building.Unlock()
	t, g, cost, grads, err := n.gradient(flat, transposed, drop)
	if err != nil {
		return nil, err
	}
	memory := map[*G.Node]G.Value{}
	outputs := []*G.Node{cost}
	for i, p := range n.parameters() {
		memory[grads[i]] = newTensor(p.shape, p.part(t.grad))
	}
	for i := len(n.layers) - 1; i >= 0; i-- { // the order in which they can be computed
		if n.layers[i].norm {
			at := 2 * (len(n.layers) + i)
			outputs = append(outputs, grads[at], grads[at+1])
		}
		outputs = append(outputs, grads[2*i], grads[2*i+1])
	}
	outputs = append(outputs, grads[len(grads)-len(n.tables):]...)
	t.machine, err = newMachine(g.ExprGraph, outputs, memory)
	return t, err
}

// gradient makes a trainer without a machine, and its graph: the loss, and the
// gradient with respect to each parameter.
func (n network) gradient(flat []float32, transposed [][]float32, drop kernels.Dropout) (
	t *trainer, g nodes, cost *G.Node, grads G.Nodes, err error,
) {
	t = &trainer{
		pass:    &pass{scale: 1},
		x:       kernels.NewMatrix(n.rows, n.numFeatures),
		targets: make([]float32, n.rows),
		grad:    kernels.Aligned(n.numParams),
		running: kernels.Aligned(n.numRunning),
	}
	b := &builder{pass: t.pass, full: n.rows}
	g = n.inputs(b, t.x, flat)
	g.running = t.running
	y, err := n.outputs(b, g, drop, transposed)
	if err != nil {
		return nil, g, nil, nil, err
	}
	targets := G.NewMatrix(g.ExprGraph, tensor.Float32, G.WithName("targets"), G.WithShape(n.rows, 1),
		G.WithValue(newTensor(tensor.Shape{n.rows, 1}, t.targets)))
	t.head = &head{builder: b, outputs: n.problem.NumOutputs(), classes: n.problem.Task != metrics.Regression, objective: n.objective, row: n.row, std: n.std}
	if cost, err = t.head.node(y, targets); err != nil {
		return nil, g, nil, nil, err
	}
	if grads, err = G.Grad(cost, g.parameters...); err != nil {
		err = fmt.Errorf("neural: gradient: %w", err)
	}
	return t, g, cost, grads, err
}

// predictor computes the predictions of a block of rows: probabilities, or the
// standardised value.
type predictor struct {
	*pass
	machine *machine
	x       kernels.Matrix
	y       kernels.Matrix
}

func (n network) newPredictor(flat []float32) (*predictor, error) {
	building.Lock()
	defer building.Unlock()
	outputs := n.problem.NumOutputs()
	p := &predictor{pass: &pass{}, x: kernels.NewMatrix(n.rows, n.numFeatures), y: kernels.NewMatrix(n.rows, outputs)}
	b := &builder{pass: p.pass, full: n.rows}
	g := n.inputs(b, p.x, flat)
	y, err := n.outputs(b, g, kernels.Dropout{}, nil)
	if err == nil && n.problem.Task != metrics.Regression {
		y, err = b.probabilities(y, outputs)
	}
	if err != nil {
		return nil, err
	}
	p.machine, err = newMachine(g.ExprGraph, []*G.Node{y}, map[*G.Node]G.Value{y: newTensor(b.of(outputs), p.y.Data)})
	return p, err
}

// predict writes the predictions of rows x, of shape (rows, features), to out,
// of shape (rows, outputs).
func (p *predictor) predict(x []float32, numRows int, out []float32) error {
	in, outputs := p.x.Cols, p.y.Cols
	for first := 0; first < numRows; first += p.x.Rows {
		p.rows = min(p.x.Rows, numRows-first)
		for i := range p.rows {
			copy(p.x.Row(i), x[(first+i)*in:(first+i+1)*in])
		}
		if err := p.machine.RunAll(); err != nil {
			return err
		}
		for i := range p.rows {
			copy(out[(first+i)*outputs:(first+i+1)*outputs], p.y.Row(i))
		}
	}
	return nil
}
