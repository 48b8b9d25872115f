package neural

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// golden is a network in PyTorch, and what it does: testdata/networks.py.
type golden struct {
	Name       string
	Hidden     []int
	Activation Activation
	Norm       Norm
	Residual   bool
	Embeddings []Embedding

	Features, Classes    int
	X                    []float32
	Y, W                 []float32 // W of rows that have weights
	Loss                 float64
	Probabilities, Final []float32 // before the first step, and after the last
	Start, Gradient      map[string]tensorOf
	After1, After50      map[string]tensorOf
}

type tensorOf struct {
	Shape  []int
	Values []float32
}

func (g *golden) config() Config {
	c := DefaultConfig()
	c.Hidden, c.Activation = g.Hidden, g.Activation
	c.Embeddings = g.Embeddings
	c.Norm, c.Residual = g.Norm, g.Residual
	if g.Norm == BatchNorm {
		c.Optimizer = Optimizer{Type: SGD, LearningRate: 0.05, Momentum: 0.9}
	}
	return c
}

// assertNear compares the parameters of a flat vector with those of PyTorch.
func (g *golden) assertNear(t *testing.T, s shape, flat []float32, want map[string]tensorOf, what string) {
	t.Helper()
	found := 0
	for _, a := range s.arrays(flat) {
		if w, ok := want[a.name]; ok {
			found++
			assert.Equal(t, w.Shape, a.shape, "%s: %s", what, a.name)
			for i, v := range w.Values {
				assert.InDelta(t, v, a.values[i], 1e-5*max(1, math.Abs(float64(v))), "%s: %s: %d", what, a.name, i)
			}
		}
	}
	assert.Len(t, want, found, what)
}

func TestNetworksAreThoseOfPyTorch(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"networks", "batchnorm"} {
		text, err := os.ReadFile("testdata/" + file + ".json")
		require.NoError(t, err)
		var all []golden
		require.NoError(t, json.Unmarshal(text, &all))
		for _, g := range all {
			t.Run(g.Name, func(t *testing.T) {
				t.Parallel()
				g.run(t, g.config())
			})
		}
	}
}

func (g *golden) run(t *testing.T, c Config) {
	t.Helper()
	table := models.Table{NumRows: len(g.Y), NumFeatures: g.Features, X: g.X, Y: g.Y, W: g.W, Weighted: g.W != nil}
	problem := models.Problem{Task: metrics.Multiclass, NumClasses: g.Classes}
	if g.Classes == 0 {
		problem = regression
	}
	e, err := New(c, problem)
	require.NoError(t, err)
	f, err := e.newFit(collective.Solo{}, table, models.Table{}, models.Options{})
	require.NoError(t, err)
	defer f.crew.close()
	f.startFrom(t, g.Start)
	f.order.begin(1, 1)
	for i := range f.order.list { // shards are cut in the order of the rows
		f.order.list[i] = uint32(i)
	}
	predictions := make([]float32, len(g.Probabilities))
	for step := 1; step <= 50; step++ {
		require.NoError(t, f.step(t.Context()))
		f.iteration++
		if step == 1 {
			assert.InDelta(t, g.Loss, f.meanLoss(), 1e-5*max(1, g.Loss))
			g.assertNear(t, f.network.shape, f.gradientOf(g), g.Gradient, "gradient")
			g.assertNear(t, f.network.shape, f.weights, g.After1, "after one step")
		}
	}
	g.assertNear(t, f.network.shape, f.weights, g.After50, "after 50 steps")
	require.NoError(t, f.crew.members[0].predictor.predict(g.X, table.NumRows, predictions))
	assert.InDeltaSlice(t, g.Final, predictions, 1e-5)
	f.startFrom(t, g.Start)
	require.NoError(t, f.crew.members[0].predictor.predict(g.X, table.NumRows, predictions))
	if g.Probabilities != nil {
		assert.InDeltaSlice(t, g.Probabilities, predictions, 1e-5)
	}
	if g.Norm != BatchNorm { // which has other sums in training
		g.assertValidated(t, f, table)
	}
}

// assertValidated measures the rows as those of validation: by the loss of PyTorch,
// which training minimises.
func (g *golden) assertValidated(t *testing.T, f *fit, table models.Table) {
	t.Helper()
	var err error
	if f.validation = table; table.Weighted {
		f.unit, err = weightUnit(table)
		require.NoError(t, err)
	}
	e, err := f.evaluate(t.Context())
	require.NoError(t, err)
	loss, _, err := measure(e, lossName)
	require.NoError(t, err)
	assert.InDelta(t, g.Loss, loss, 1e-5*max(1, g.Loss))
}

// gradientOf returns the mean gradient of the first step, behind which are no running
// statistics; of several shards, whose sums are gone, it is SGD's first moment.
func (f *fit) gradientOf(g *golden) []float32 {
	grad := f.crew.members[0].trainer.grad
	if len(g.Y) > f.network.rows {
		grad = f.first[:len(grad)]
	}
	return append(append([]float32(nil), grad...), make([]float32, f.network.numRunning)...)
}

// startFrom gives f the weights of a golden.
func (f *fit) startFrom(t *testing.T, start map[string]tensorOf) {
	t.Helper()
	arrays := map[string]array{}
	for name, v := range start {
		arrays[name] = array{name: name, shape: v.Shape, values: v.Values}
	}
	n := f.network
	flat, err := n.assemble(arrays, f.config.Embeddings)
	require.NoError(t, err)
	require.Equal(t, f.network.shape, n.shape)
	copy(f.weights, flat)
	f.transpose()
}
