package neural

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// bench is a trainer with its parameters and a block of rows.
type bench struct {
	network
	flat       []float32
	transposed [][]float32
	rate       float64
	trainer    *trainer
}

func (b *bench) dropout() kernels.Dropout { return kernels.Dropout{Seed: 1, Rate: b.rate} }

func newBench(t testing.TB, widths []int, a Activation, p models.Problem, dropout float64, rows int) *bench {
	t.Helper()
	last := len(widths) - 1
	s, err := newShape(widths[0], widths[1:last], widths[last], extras{})
	require.NoError(t, err)
	return benchOf(t, network{shape: s, activation: a, problem: p}, dropout, rows)
}

func benchOf(t testing.TB, n network, dropout float64, rows int) *bench {
	t.Helper()
	b := &bench{network: n, flat: n.initial(5), rate: dropout}
	b.transposed = make([][]float32, len(n.layers))
	for i, l := range n.layers {
		b.transposed[i] = make([]float32, l.Transposed().WeightLen())
	}
	b.refresh()
	var err error
	b.trainer, err = b.newTrainer(b.flat, b.transposed, b.dropout())
	require.NoError(t, err)
	b.trainer.rows = rows
	r := rng.New(1, "block")
	for i := range rows {
		for k := range b.trainer.x.Row(i) {
			b.trainer.x.Row(i)[k] = float32(r.NormFloat64())
		}
		for _, e := range n.tables {
			b.trainer.x.Row(i)[e.Feature] = float32(r.IntN(e.Codes))
		}
		b.trainer.targets[i] = float32(r.NormFloat64())
		if n.problem.NumClasses > 0 {
			b.trainer.targets[i] = float32(r.IntN(n.problem.NumClasses))
		}
	}
	return b
}

func (b *bench) refresh() {
	for i, l := range b.layers {
		l.Transpose(b.transposed[i], b.weights(b.flat, i))
	}
}

func (b *bench) loss(t testing.TB) float64 {
	t.Helper()
	require.NoError(t, b.trainer.machine.RunAll())
	return b.trainer.head.loss
}

var shapes = []struct {
	widths  []int
	problem models.Problem
}{
	{[]int{5, 2}, twoClasses},
	{[]int{3, 8, 2}, twoClasses},
	{[]int{7, 20, 40, 5}, models.Problem{Task: metrics.Multiclass, NumClasses: 5}},
	{[]int{4, 33, 18, 1}, regression},
	{[]int{3, 1}, regression},
}

func TestGradientsAreThoseOfCentralDifferences(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		for _, a := range []Activation{Tanh, Sigmoid, ReLU, GELU, SiLU} {
			for _, dropout := range []float64{0, 0.4} {
				b := newBench(t, s.widths, a, s.problem, dropout, 9)
				checked, wrong := b.differences(t)
				assert.Positive(t, checked)
				if a == ReLU {
					assert.LessOrEqual(t, wrong, checked/50) // kinks
				} else {
					assert.Zero(t, wrong)
				}
			}
		}
	}
}

// differences holds the gradient against central differences, at every seventh
// place.
func (b *bench) differences(t *testing.T) (checked, wrong int) {
	t.Helper()
	b.loss(t)
	grad := append([]float32(nil), b.trainer.grad...)
	for i := range b.numParts() {
		l := b.part(i)
		for at := l.first; at < l.end; at += 7 {
			numeric := b.difference(t, at)
			if numeric == 0 && grad[at] == 0 {
				continue
			}
			checked++
			if math.Abs(numeric-float64(grad[at])) > 0.02*max(1, math.Abs(numeric)) {
				wrong++
				t.Logf("%s, place %d: gradient %v, difference %v", l.name(), at, grad[at], numeric)
			}
		}
	}
	return checked, wrong
}

// rich returns networks with norms, residual blocks and embeddings.
func rich(t testing.TB) (all []network) {
	t.Helper()
	for i, a := range []Activation{Tanh, GELU, SiLU, Sigmoid} {
		for _, norm := range []Norm{NoNorm, LayerNorm, BatchNorm} {
			s, err := newShape(5, []int{18, 18, 40, 40, 40}, 3, extras{norm, []Embedding{{0, 4, 3}, {3, 6, 20}}[:i%3]})
			require.NoError(t, err)
			all = append(all, network{shape: s, activation: a, residual: i != 3, problem: three})
		}
	}
	return all
}

func TestGradientsOfRichNetworksAreThoseOfCentralDifferences(t *testing.T) {
	t.Parallel()
	for _, n := range rich(t) {
		for _, dropout := range []float64{0, 0.4} {
			b := benchOf(t, n, dropout, 9)
			checked, wrong := b.differences(t)
			assert.Positive(t, checked)
			assert.Zero(t, wrong, "%s norm %q residual %v dropout %v", n.activation, n.norm, n.residual, dropout)
		}
	}
}

func (b *bench) difference(t *testing.T, at int) float64 {
	t.Helper()
	const h = 1.0 / 256
	kept := b.flat[at]
	defer func() { b.flat[at] = kept; b.refresh() }()
	b.flat[at] = kept + h
	up := b.loss(t)
	b.flat[at] = kept - h
	return (up - b.loss(t)) / (2 * h)
}

// stock builds the same network from gorgonia's own ops and returns its loss
// and gradients, as its own machine has them.
func (b *bench) stock(t *testing.T) (loss float64, grads [][]float32) {
	t.Helper()
	must := func(n *G.Node, err error) *G.Node {
		require.NoError(t, err)
		return n
	}
	rows, g := b.trainer.rows, G.NewGraph()
	matrix := func(name string, r, c int, data []float32) *G.Node {
		return G.NewMatrix(g, tensor.Float32, G.WithName(name), G.WithShape(r, c), G.WithValue(tensor.New(tensor.WithShape(r, c), tensor.WithBacking(data))))
	}
	var x []float32
	for i := range rows {
		x = append(x, b.trainer.x.Row(i)...)
	}
	y := matrix("x", rows, b.layers[0].In, x)
	var parameters G.Nodes
	for i, l := range b.layers {
		w := make([]float32, l.In*l.Out)
		l.Unpack(w, b.weights(b.flat, i))
		wn := matrix(fmt.Sprintf("w%d", i), l.Out, l.In, w)
		bn := matrix(fmt.Sprintf("b%d", i), 1, l.Out, append([]float32(nil), b.bias(b.flat, i)[:l.Out]...))
		parameters = append(parameters, wn, bn)
		y = must(G.BroadcastAdd(must(G.Mul(y, must(G.Transpose(wn)))), bn, nil, []byte{0}))
		if i < len(b.layers)-1 {
			switch b.activation {
			case Tanh:
				y = must(G.Tanh(y))
			case Sigmoid:
				y = must(G.Sigmoid(y))
			default:
				y = must(G.Rectify(y))
			}
		}
	}
	cost := b.stockLoss(must, y, matrix)
	_, err := G.Grad(cost, parameters...)
	require.NoError(t, err)
	m := G.NewTapeMachine(g, G.BindDualValues(parameters...))
	defer m.Close()
	require.NoError(t, m.RunAll())
	for _, n := range parameters {
		v, err := n.Grad()
		require.NoError(t, err)
		grads = append(grads, v.Data().([]float32))
	}
	return float64(cost.Value().Data().(float32)), grads
}

func (b *bench) stockLoss(must func(*G.Node, error) *G.Node, y *G.Node, matrix func(string, int, int, []float32) *G.Node) *G.Node {
	rows, outputs := b.trainer.rows, b.problem.NumOutputs()
	if b.problem.Task == metrics.Regression {
		targets := matrix("y", rows, 1, append([]float32(nil), b.trainer.targets[:rows]...))
		return must(G.Sum(must(G.Square(must(G.Sub(y, targets))))))
	}
	hot := make([]float32, rows*outputs)
	for i := range rows {
		hot[i*outputs+int(b.trainer.targets[i])] = 1
	}
	// log(sum(exp(z))) - z[label], without gorgonia's own softmax, which is wrong
	own := must(G.Sum(must(G.HadamardProd(y, matrix("y", rows, outputs, hot)))))
	return must(G.Sub(must(G.Sum(must(G.Log(must(G.Sum(must(G.Exp(y)), 1)))))), own))
}

func TestGradientsAreThoseOfGorgoniasOwnOps(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		for _, a := range []Activation{Tanh, Sigmoid, ReLU} {
			b := newBench(t, s.widths, a, s.problem, 0, 11)
			want := b.loss(t)
			loss, grads := b.stock(t)
			assert.InDelta(t, want, loss, 1e-5*max(1, want))
			for i, l := range b.layers {
				dw := make([]float32, l.In*l.Out)
				l.Unpack(dw, b.weights(b.trainer.grad, i))
				assert.InDeltaSlice(t, grads[2*i], dw, 2e-5, "%v %s: weights of layer %d", s.widths, a, i)
				assert.InDeltaSlice(t, grads[2*i+1], b.bias(b.trainer.grad, i)[:l.Out], 2e-5, "%v %s: bias of layer %d", s.widths, a, i)
			}
		}
	}
}

// drops returns a graph of nothing but dropout, of ones: so many rows of 100.
func drops(t *testing.T, layer uint64, rate float64) (*pass, func() kernels.Matrix) {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	const rows, cols = 256, 100
	p := &pass{rows: rows}
	b := &builder{pass: p, full: rows}
	d := &dense{builder: b, Dense: kernels.Dense{In: 4, Out: cols}, activation: Tanh, dropout: kernels.Dropout{Seed: 3, Rate: rate, Layer: layer}}
	ones := kernels.NewMatrix(rows, cols)
	for i := range rows {
		for k := range ones.Row(i) {
			ones.Row(i)[k] = 1
		}
	}
	g := G.NewGraph()
	in := G.NewMatrix(g, tensor.Float32, G.WithName("x"), G.WithShape(b.of(cols)...), G.WithValue(newTensor(b.of(cols), ones.Data)))
	y, err := d.dropped(in)
	require.NoError(t, err)
	m, err := newMachine(g, []*G.Node{y}, nil)
	require.NoError(t, err)
	return p, func() kernels.Matrix {
		require.NoError(t, m.RunAll())
		return b.matrix(m.value(y).Data().([]float32), cols)
	}
}

func TestDropoutDropsItsShare(t *testing.T) {
	t.Parallel()
	const rate = 0.3
	p, run := drops(t, 0, rate)
	dropped, all := 0, 0
	for p.iteration = range uint64(4) {
		out := run()
		for i := range out.Rows {
			for _, v := range out.Row(i) {
				all++
				switch v {
				case 0:
					dropped++
				case float32(1 / (1 - rate)):
				default:
					t.Fatalf("a kept 1 has become %v", v)
				}
			}
		}
	}
	share := float64(dropped) / float64(all)
	assert.InDelta(t, rate, share, 4*math.Sqrt(rate*(1-rate)/float64(all)))
}

// What is dropped depends on the iteration, the row of the batch and the layer,
// not on the block that the row is in.
func TestDropoutIsKeyed(t *testing.T) {
	t.Parallel()
	p, run := drops(t, 0, 0.5)
	copied := func(m kernels.Matrix) (rows [][]float32) {
		for i := range m.Rows {
			rows = append(rows, append([]float32(nil), m.Row(i)...))
		}
		return rows
	}
	first := copied(run())
	assert.NotEqual(t, first[0], first[1])
	p.firstRow = 100
	assert.Equal(t, first[100:], copied(run())[:156])
	p.firstRow, p.iteration = 0, 1
	assert.NotEqual(t, first, copied(run()))
	p.iteration = 0
	assert.Equal(t, first, copied(run()))
	_, other := drops(t, 1, 0.5)
	assert.NotEqual(t, first, copied(other()))
}

func TestEachLayerDropsItsOwn(t *testing.T) {
	t.Parallel()
	building.Lock()
	defer building.Unlock()
	const width = 64
	// last returns what the network's last hidden layer hands on, of which all
	// are tanh(1) but those that it drops.
	last := func(hidden ...int) []float32 {
		s, err := newShape(4, hidden, width, extras{})
		require.NoError(t, err)
		flat := make([]float32, s.numParams)
		one, plain := s.layers[len(hidden)], make([]float32, width*width)
		for i := range width {
			s.bias(flat, len(hidden)-1)[i] = 1
			plain[i*width+i] = 1
		}
		one.Pack(s.weights(flat, len(hidden)), plain)
		n := network{shape: s, activation: Tanh}
		b := &builder{pass: &pass{rows: 1}, full: 1}
		g := n.inputs(b, kernels.NewMatrix(1, 4), flat)
		y, err := n.outputs(b, g, kernels.Dropout{Rate: 0.5}, nil)
		require.NoError(t, err)
		m, err := newMachine(g.ExprGraph, []*G.Node{y}, nil)
		require.NoError(t, err)
		require.NoError(t, m.RunAll())
		return append([]float32(nil), m.value(y).Data().([]float32)[:width]...)
	}
	first, second := last(width), last(width, width)
	assert.Equal(t, first, last(width))
	assert.NotEqual(t, first, second)
	for _, v := range append(first, second...) {
		assert.Contains(t, []float32{0, 2 * float32(math.Tanh(1))}, v)
	}
}
