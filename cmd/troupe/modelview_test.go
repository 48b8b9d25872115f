package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Coefficients are in the unit of the target: with them and the intercept the mean of
// the rows is predicted, as least squares does, and a column that says nothing of the
// target has none.
func TestALinearModelShowsItsCoefficients(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	rows := "a,b,y\n"
	for i := range 400 {
		a, b := i%20, i/20 // the one does not depend on the other
		rows += fmt.Sprintf("%d,%d,%d\n", a, b, 1000+3*a)
	}
	p.write("in.csv", rows)
	require.Equal(t, 0, p.run("data", "import", "in.csv", "--out", "in").code)
	p.write("train.yaml", "kind: train\nname: l\ninput: in\ntarget: y\ntask: regression\nmodel: {type: linear, l2: 0, l1: 0.001}\nsplit: {by: random, validation: 0, test: 0.1}\n")
	made := p.ok("train", "-f", "train.yaml")
	shown := p.ok("models", "show", made["model_uri"].(string))
	require.Equal(t, []any{"a", "b"}, shown["features"])
	weights := map[string]float64{}
	for _, c := range shown["coefficients"].([]any) {
		c := c.(map[string]any)
		weights[c["feature"].(string)] = c["weights"].(map[string]any)["y"].(float64)
	}
	// a is standardised: from 0 to 19 it has a deviation of sqrt((20*20-1)/12).
	assert.InDelta(t, 3*5.766, weights["a"], 0.3)
	assert.InDelta(t, 0, weights["b"], 0.01)
	assert.InDelta(t, 1000+3*9.5, weights[""], 1)
	assert.Contains(t, p.run("models", "show", made["model_uri"].(string)).stdout, "(intercept)")
}

func TestLayersAndLongTextsOfAModelAreShownOnALine(t *testing.T) {
	t.Parallel()
	v := modelView{Features: []string{"a", "b"}, Layers: []layerView{{2, 8, "relu", "batch", true}, {Inputs: 8, Outputs: 3}}}
	assert.Equal(t, "2 numbers > 8 batch relu residual > 3", v.network())
	assert.Equal(t, "one, two, ...", cut("one, two, three", 12))
	assert.Equal(t, "one", cut("one", 3))
	assert.Equal(t, "ää ...", cut("ääöö", 5))
}
