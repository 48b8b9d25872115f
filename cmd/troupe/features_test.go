package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What features have learned is shown wherever they are: behind the folder that a
// features job has written, its run, a model, and a model's file.
func TestFittedFeaturesAreShownAndCompared(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.stones("stones/part-000.parquet", 2000)
	p.stones("fewer/part-000.parquet", 1000)
	p.write("features.yaml", "kind: features\nname: f\ninput: stones\noutput: out\ntarget: price\nfeatures: [{name: weight, op: standard_scale, of: carat}, {name: cut, op: one_hot, of: cut}]\n")
	p.write("train.yaml", "kind: train\nname: t\ninput: stones\ntarget: price\ntask: regression\nfeatures: features.yaml\nmodel: {type: mlp, hidden: [2]}\nepochs: 1\n")
	p.write("raw.yaml", "kind: train\nname: r\ninput: stones\ntarget: price\ntask: regression\ncolumns: {include: [carat]}\nmodel: {type: mlp, hidden: [2]}\nepochs: 1\n")
	p.ok("features", "run", "features.yaml")
	p.ok("features", "run", "features.yaml", "--input", "fewer", "--out", "less")
	model := p.ok("train", "train.yaml")["model_uri"].(string)
	p.ok("models", "export", model, "--out", "m.bundle")

	first := p.ok("features", "show", "out")["steps"].([]any)
	require.Len(t, first, 2)
	weight := first[0].(map[string]any)
	assert.Equal(t, []any{"weight", "standard_scale", []any{"carat"}}, []any{weight["name"], weight["op"], weight["of"]})
	assert.InDelta(t, 1.2, weight["learned"].(map[string]any)["mean"], 0.05)
	assert.Equal(t, p.ok("features", "show", model)["steps"], p.ok("features", "show", "m.bundle")["steps"])
	runs := p.run("runs", "list", "--kind", "features", "-o", "json").stdout
	assert.Contains(t, runs, `"features": {`, "they are an artifact of the run")

	equal := p.ok("features", "diff", "out", "out", "--strict")
	assert.Equal(t, []any{true, []any{}}, []any{equal["equal"], equal["differences"]})
	differ := p.ok("features", "diff", "out", "less")
	assert.Equal(t, false, differ["equal"])
	d := differ["differences"].([]any)[0].(map[string]any)
	assert.Equal(t, []any{"weight", "learned.mean"}, []any{d["step"], d["what"]})
	assert.Equal(t, 3, p.run("features", "diff", "out", model, "--strict").code, "training rows are not all rows")
	assert.Regexp(t, `weight +learned\.mean +1\.\d+ +1\.\d+ +[+-]`, p.run("features", "diff", "out", "less").stdout)

	raw := p.ok("train", "raw.yaml")["model_uri"].(string)
	for _, c := range []struct{ where, says string }{
		{raw, "the model has no features"}, {"nowhere", "expected a model"}, {"stones/part-000.parquet", "bundle"}, {"models:/none/1", "none"},
	} {
		got := p.run("features", "show", c.where)
		assert.NotEqual(t, 0, got.code, c.where)
		assert.Contains(t, got.stderr, c.says)
	}
}
