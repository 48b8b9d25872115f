package neural

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models"
)

// imported is a golden of testdata/imports.py, whose Start has PyTorch's own keys.
func imported(t *testing.T) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/imports.json")
	require.NoError(t, err)
	var all []golden
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// like is a network of the golden's kind, with other weights, layers and sizes.
func (g *golden) like(t *testing.T) *Model {
	t.Helper()
	x := extras{norm: g.Norm}
	for _, e := range g.Embeddings {
		x.embeddings = append(x.embeddings, Embedding{Feature: e.Feature, Codes: e.Codes, Size: 1})
	}
	s, err := newShape(g.Features, []int{4}, g.Classes, x)
	require.NoError(t, err)
	n := network{shape: s, activation: g.Activation, residual: g.Residual, problem: models.Problem{Task: three.Task, NumClasses: g.Classes}}
	m, err := newModel(n, standard{std: 1}, s.initial(1))
	require.NoError(t, err)
	return m
}

// tensors are those of the golden, of which change may change some.
func (g *golden) tensors(change func(map[string]array)) []array {
	all := map[string]array{}
	for name, v := range g.Start {
		a := array{name: name, shape: v.Shape, values: slices.Clone(v.Values)}
		if len(v.Shape) == 0 {
			whole := int64(v.Values[0])
			a = array{name: name, shape: []int{}, whole: &whole}
		}
		all[name] = a
	}
	if change != nil {
		change(all)
	}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int { // whole numbers first
		return map[bool]int{true: -1, false: 1}[all[a].whole != nil && all[b].whole == nil || (all[a].whole == nil) == (all[b].whole == nil) && a < b]
	})
	var out []array
	for _, name := range names {
		a := all[name]
		a.name = name
		out = append(out, a)
	}
	return out
}

// What PyTorch's users have written predicts what it does there, and goes out and
// comes in again to the same bytes.
func TestNetworksOfPyTorchComeIn(t *testing.T) {
	t.Parallel()
	for _, g := range imported(t) {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			m, err := g.like(t).WithWeights(file(t, nil, g.tensors(nil)...))
			require.NoError(t, err)
			rows := len(g.X) / g.Features
			out := make([]float32, rows*g.Classes)
			require.NoError(t, m.Predict(g.X, rows, out))
			assert.InDeltaSlice(t, g.Probabilities, out, 1e-5)

			b := mustMarshal(t, m)
			again, err := g.like(t).WithWeights(b)
			require.NoError(t, err)
			require.Equal(t, b, mustMarshal(t, again))
			if g.Norm == BatchNorm {
				require.EqualValues(t, 20, again.updates)
			}
		})
	}
}

// Statistics may come without the number of batches that they have seen.
func TestTheNumberOfBatchesMayBeLeftOut(t *testing.T) {
	t.Parallel()
	g := imported(t)[0]
	whole, err := g.like(t).WithWeights(file(t, nil, g.tensors(nil)...))
	require.NoError(t, err)
	for _, left := range [][]string{{"norms.0"}, {"norms.0", "norms.1", "norms.2", "norms.3"}} {
		m, err := g.like(t).WithWeights(file(t, nil, g.tensors(func(all map[string]array) {
			for _, name := range left {
				delete(all, name+".num_batches_tracked")
			}
		})...))
		require.NoError(t, err)
		require.Zero(t, m.updates)
		require.Equal(t, whole.weights, m.weights)
	}
}

// resized gives a tensor another shape.
func resized(name string, shape ...int) func(map[string]array) {
	return func(all map[string]array) {
		n := 1
		for _, v := range shape {
			n *= v
		}
		all[name] = array{shape: shape, values: make([]float32, n)}
	}
}

func holds(name string, v float32) func(map[string]array) {
	return func(all map[string]array) { all[name].values[0] = v }
}

func without(name string) func(map[string]array) {
	return func(all map[string]array) { delete(all, name) }
}

// moved gives a module another name.
func moved(from, to string) func(map[string]array) {
	return func(all map[string]array) {
		for _, part := range append([]string{"weight", "bias"}, statistics...) {
			if a, ok := all[from+"."+part]; ok {
				all[to+"."+part] = a
				delete(all, from+"."+part)
			}
		}
	}
}

func TestWhatDoesNotFitIsRefusedWithTheTensor(t *testing.T) {
	t.Parallel()
	all := imported(t)
	blocks, sequential, layerNorm := all[0], all[1], all[2]
	for want, c := range map[string]struct {
		into, from golden
		change     func(map[string]array)
	}{
		"embeddings.1.weight has shape [6 2], expected [7 N]: a row for each category of feature 4": {blocks, blocks, resized("embeddings.1.weight", 6, 2)},
		"embeddings.0.weight has shape [5 1025], expected [5 N]":                                    {blocks, blocks, resized("embeddings.0.weight", 5, 1025)},
		"1 embeddings, expected 2": {blocks, blocks, without("embeddings.0.weight")},
		"0 embeddings, expected 2": {blocks, sequential, nil},
		"2 embeddings, expected 0": {sequential, blocks, nil},
		"layers.0.weight has shape [6 8], expected [N 9]: of the model's 6 features the embeddings make 9": {blocks, blocks, resized("layers.0.weight", 6, 8)},
		"layers.2.weight has shape [6 5], expected [N 6]: layers.1.weight has 6 outputs":                   {blocks, blocks, resized("layers.2.weight", 6, 5)},
		"layers.4.weight has shape [2 4], expected [3 4]: layers.3.weight has 4 outputs":                   {blocks, blocks, resized("layers.4.weight", 2, 4)},
		"layers.4.bias has shape [4], expected [3]":                                                        {blocks, blocks, resized("layers.4.bias", 4)},
		"norms.2.running_var has shape [5], expected [6]: layers.2.weight has shape [6 6]":                 {blocks, blocks, resized("norms.2.running_var", 5)},
		"norms.1.running_mean is missing":                                                                  {blocks, blocks, without("norms.1.running_mean")},
		"norms.0.running_var holds -1":                                                                     {blocks, blocks, holds("norms.0.running_var", -1)},
		"layers.1.weight holds NaN":                                                                        {blocks, blocks, holds("layers.1.weight", float32(math.NaN()))},
		"norms.3.num_batches_tracked has shape [2], and is of another type":                                {blocks, blocks, resized("norms.3.num_batches_tracked", 2)},
		"num_batches_tracked is not the same number": {blocks, blocks, func(all map[string]array) {
			other := int64(3)
			all["norms.3.num_batches_tracked"] = array{shape: []int{}, whole: &other}
		}},
		"3 norms, expected 4: the model they are put into has a batch norm": {blocks, blocks, func(all map[string]array) {
			maps.DeleteFunc(all, func(name string, _ array) bool { return strings.HasPrefix(name, "norms.3.") })
		}},
		"layers.5 is a norm, expected behind layers.0 and before layers.4": {sequential, sequential, moved("layers.1", "layers.6")},
		"layers.1.num_batches_tracked is of another kind of layer":         {layerNorm, sequential, nil},
		"layers.1.running_mean is missing":                                 {sequential, layerNorm, nil},
		"layers.12.bias is missing":                                        {layerNorm, layerNorm, without("layers.12.bias")},
		`there is a tensor "layers.00.bias"`:                               {sequential, sequential, moved("layers.1", "layers.00")},
		`save {k.removeprefix("module."): v for`:                           {sequential, sequential, moved("layers.1", "module.layers.1")},
		`save {k.removeprefix("net.model."): v for`:                        {sequential, sequential, moved("layers.1", "net.model.layers.1")},
		`save {f"layers.{k}": v for`:                                       {sequential, sequential, moved("layers.1", "1")},
		`save {f"layers.{k.removeprefix('net.')}": v for`:                  {sequential, sequential, moved("layers.1", "net.1")},
	} {
		_, err := c.into.like(t).WithWeights(file(t, nil, c.from.tensors(c.change)...))
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.Invalid, fault.Of(err), want)
	}
	plain := sequential
	plain.Norm = NoNorm
	_, err := plain.like(t).WithWeights(file(t, nil, sequential.tensors(nil)...))
	require.ErrorContains(t, err, "there is a norm, layers.1, and the model they are put into has none")
}

// Doubles are refused with what to do, always by the same tensor.
func TestDoublesAreRefused(t *testing.T) {
	t.Parallel()
	g := imported(t)[0]
	b := bytes.ReplaceAll(file(t, nil, g.tensors(nil)...), []byte(`"F32"`), []byte(`"F64"`))
	for range 20 {
		_, err := g.like(t).WithWeights(b)
		require.ErrorContains(t, err, `tensor "embeddings.0.weight" of shape [5 3] holds F64, expected F32: save model.float().state_dict()`)
	}
}
