package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/ml/features/parity"
)

// Features of a spec, and those and the predictions of a model, are the same for a
// row alone, and nothing is left behind.
func TestABatchIsHeldAgainstSingleRows(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	p := newPlace(t, "TMPDIR="+tmp)
	p.stones("stones/part-000.parquet", 3000)
	steps := "features: [{name: w, op: log1p, of: carat}, {name: c, op: one_hot, of: cut}, {name: k, op: target_encode, of: cut}]\n"
	p.write("features.yaml", "kind: features\nname: f\ninput: stones\noutput: out\ntarget: price\nkeep: [price]\n"+steps)
	v := p.ok("features", "parity", "-f", "features.yaml", "--rows", "700")
	assert.Equal(t, []any{true, 700.0, 3000.0}, []any{v["equal"], v["rows"], v["input_rows"]})
	all, ok := v["features"].([]any)
	require.True(t, ok)
	require.Len(t, all, 3)
	assert.Len(t, v["notes"], 1)
	people := p.run("features", "parity", "features.yaml")
	assert.Equal(t, 0, people.code, people.stderr)
	assert.Contains(t, people.stdout, "equal, to the bit")
	assert.NoFileExists(t, filepath.Join(p.dir, "out"))
	assert.NoFileExists(t, filepath.Join(p.dir, ".troupe"))

	p.write("train.yaml", "kind: train\nname: t\ninput: stones\ntarget: price\ntask: regression\nmodel: {type: mlp, hidden: [4]}\nepochs: 1\n"+steps)
	uri, ok := p.ok("train", "-f", "train.yaml")["model_uri"].(string)
	require.True(t, ok)
	p.ok("models", "export", uri, "--out", "m.bundle")
	for _, m := range []string{uri, "m.bundle"} {
		v = p.ok("features", "parity", "--model", m, "--input", "stones")
		assert.Equal(t, []any{true, 3000.0, m}, []any{v["equal"], v["rows"], v["model"]})
		all, ok = v["features"].([]any)
		require.True(t, ok)
		assert.Len(t, all, 4)
	}
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	require.NoError(t, err)
	assert.Empty(t, left)

	p.write("raw.yaml", "kind: train\nname: t\ninput: stones\ntarget: price\ntask: regression\nmodel: {type: mlp}\n")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "name a features or train spec"},
		{[]string{"features.yaml", "--model", uri}, 2, "name a features or train spec"},
		{[]string{"features.yaml", "train.yaml"}, 2, "2 jobs in these files"},
		{[]string{"features.yaml", "--rows", "0"}, 2, "expected at least 1"},
		{[]string{"raw.yaml"}, 1, "computes no features"},
		{[]string{"features.yaml", "--set", "input=none"}, 1, "there is no such file or folder"},
		{[]string{"--model", "none.bundle", "--input", "stones"}, 1, "none.bundle"},
	} {
		got := p.run(append([]string{"features", "parity"}, c.args...)...)
		assert.Equal(t, c.code, got.code, "%v: %s", c.args, got.stderr)
		assert.Contains(t, got.stderr, c.says)
	}
}

// What differs is told to people, and by the exit code.
func TestADifferenceIsShown(t *testing.T) {
	t.Parallel()
	v := parityView{Kind: "features", Name: "f", Rows: 9, InputRows: 90, Entities: 3, Features: []*parity.Tally{
		{Name: "a", Op: "log1p", Columns: []string{"a"}, Rows: 9},
		{Name: "b", Op: "lag", Columns: []string{"b"}, Rows: 9, Different: 2, First: &parity.Difference{File: "in.parquet", Row: 7, Column: "b", Batch: "1.5", Online: "null"}},
	}}
	var out strings.Builder
	require.NoError(t, render.Write(&out, render.Table, v))
	assert.Contains(t, out.String(), "9 of 90; entities: 3")
	assert.Contains(t, out.String(), "in.parquet row 7: b is 1.5 in a batch, null alone")
	assert.Contains(t, out.String(), "1 feature that a row alone has otherwise than its batch")
	told := verdictOf(v.Equal)
	assert.Equal(t, exit.Refused, exit.Of(told))
	assert.NoError(t, verdictOf(true))
}
