package neural

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

func TestMachineRunsGorgoniasOwnOps(t *testing.T) {
	t.Parallel()
	building.Lock()
	defer building.Unlock()
	build := func() (g *G.ExprGraph, x, cost *G.Node, grads G.Nodes) {
		must := func(n *G.Node, err error) *G.Node {
			require.NoError(t, err)
			return n
		}
		g = G.NewGraph()
		x = G.NewMatrix(g, tensor.Float32, G.WithName("x"), G.WithShape(2, 3),
			G.WithValue(tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float32{1, -2, 3, .5, .25, -1}))))
		w := G.NewMatrix(g, tensor.Float32, G.WithName("w"), G.WithShape(3, 2),
			G.WithValue(tensor.New(tensor.WithShape(3, 2), tensor.WithBacking([]float32{.1, .2, .3, -.4, .5, -.6}))))
		y := must(G.Tanh(must(G.Mul(x, w))))
		cost = must(G.Sum(must(G.Square(must(G.Sub(y, G.NewConstant(float32(0.5))))))))
		grads, err := G.Grad(cost, w)
		require.NoError(t, err)
		return g, x, cost, grads
	}
	g, x, cost, grads := build()
	m, err := newMachine(g, append(G.Nodes{cost}, grads...), nil)
	require.NoError(t, err)
	other, otherX, otherCost, otherGrads := build()
	tape := G.NewTapeMachine(other)
	for _, v := range []float32{1, 7, -2} {
		x.Value().Data().([]float32)[0] = v // new rows, in the same memory
		otherX.Value().Data().([]float32)[0] = v
		require.NoError(t, m.RunAll())
		require.NoError(t, tape.RunAll())
		assert.InDelta(t, otherCost.Value().Data(), m.value(cost).Data(), 1e-6)
		assert.InDeltaSlice(t, otherGrads[0].Value().Data(), m.value(grads[0]).Data(), 1e-6)
		tape.Reset()
		m.Reset()
	}
	require.NoError(t, m.Close())
	require.NoError(t, tape.Close())
}

// The same graph of our ops gives the same bits on gorgonia's machine.
func TestOpsRunOnGorgoniasMachine(t *testing.T) {
	t.Parallel()
	for _, a := range []Activation{ReLU, Tanh, Sigmoid, GELU, SiLU} {
		b := newBench(t, []int{6, 40, 17, 3}, a, models.Problem{Task: metrics.Multiclass, NumClasses: 3}, 0.3, 50)
		b.trainer.iteration, b.trainer.firstRow = 9, 1000
		want := b.loss(t)
		wanted := append([]float32(nil), b.trainer.grad...)
		g, cost, grads, tr := b.graph(t)
		tape := G.NewTapeMachine(g)
		require.NoError(t, tape.RunAll())
		assert.InDelta(t, float32(want), cost.Value().Data(), 0)
		assert.InDelta(t, want, tr.head.loss, 0)
		for i := range b.layers {
			assert.Equal(t, b.weights(wanted, i), grads[2*i].Value().Data(), "%s: weights of layer %d", a, i)
			assert.Equal(t, b.bias(wanted, i), grads[2*i+1].Value().Data(), "%s: bias of layer %d", a, i)
		}
		require.NoError(t, tape.Close())
	}
}

func TestRichNetworksRunOnGorgoniasMachine(t *testing.T) {
	t.Parallel()
	for _, n := range rich(t) {
		b := benchOf(t, n, 0.3, 50)
		b.trainer.iteration, b.trainer.firstRow = 9, 1000
		b.loss(t)
		wanted := append([]float32(nil), b.trainer.grad...)
		g, _, grads, _ := b.graph(t)
		tape := G.NewTapeMachine(g)
		require.NoError(t, tape.RunAll())
		for i, p := range n.parameters() {
			assert.Equal(t, p.part(wanted), grads[i].Value().Data(), "%s norm %q: %s", n.activation, n.norm, p.name)
		}
		require.NoError(t, tape.Close())
	}
}

func TestMachineLeavesOutWhatNobodyNeedsAndSharesMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t, []int{6, 40, 40, 40, 40, 3}, Tanh, models.Problem{Task: metrics.Multiclass, NumClasses: 3}, 0.3, 50)
	count := map[string]int{}
	buffers := map[*float32]bool{}
	for _, c := range b.trainer.machine.code {
		o := c.op.(*op)
		kind, _, _ := strings.Cut(o.name, "#")
		count[kind]++
		if d, ok := c.into.(*tensor.Dense); ok {
			buffers[&d.Data().([]float32)[0]] = true
		}
	}
	assert.Equal(t, map[string]int{
		"dense": 5, "dropout": 8, "loss": 1, "loss-dz": 1, "dense-dz": 4, "dense-dw": 5, "dense-db": 5,
		"dense-dx": 4, // none of the features
	}, count)
	// Ten gradients of parameters, the outputs and their gradient; of each hidden
	// layer tanh and dropout; the gradient takes buffers that are free by then.
	assert.LessOrEqual(t, len(buffers), 10+2+2*4+2)
}

func TestAStepAllocatesNothing(t *testing.T) {
	c := DefaultConfig()
	c.Dropout, c.BatchSize = 0.3, 1000
	for _, a := range []Activation{ReLU, Sigmoid, GELU, SiLU} {
		c.Activation = a
		if a == GELU {
			c.Hidden, c.Norm = []int{32, 32}, BatchNorm
		}
		if a == SiLU {
			c.Hidden, c.Norm, c.Residual = []int{32, 32}, LayerNorm, true
			c.Embeddings = []Embedding{{Feature: 1, Codes: 9, Size: 3}}
			c.Loss = Loss{Balanced: true, LabelSmoothing: 0.1}
		}
		e, err := New(c, twoClasses)
		require.NoError(t, err)
		f, err := e.newFit(collective.Solo{}, xor(1, 1000), models.Table{}, models.Options{Threads: 2})
		require.NoError(t, err)
		for _, e := range f.crew.members { // the first run looks up where its arguments are
			e.trainer.rows = 1
			require.NoError(t, e.trainer.machine.RunAll())
		}
		ctx := t.Context()
		assert.Zero(t, testing.AllocsPerRun(20, func() {
			if err := f.step(ctx); err != nil {
				t.Fatal(err)
			}
		}), a)
		f.crew.close()
	}
}

// graph builds the trainer's graph once more, for a machine of gorgonia's.
func (b *bench) graph(t *testing.T) (*G.ExprGraph, *G.Node, G.Nodes, *trainer) {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	tr, g, cost, grads, err := b.network.gradient(b.flat, b.transposed, b.dropout())
	require.NoError(t, err)
	*tr.pass = *b.trainer.pass
	copy(tr.x.Data, b.trainer.x.Data)
	copy(tr.targets, b.trainer.targets)
	return g.ExprGraph, cost, grads, tr
}
