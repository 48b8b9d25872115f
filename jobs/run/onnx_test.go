package run

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/store"
)

// onnxInput is a tensor for testdata/onnx.mjs.
type onnxInput struct {
	Type   string `json:"type"`
	Width  int    `json:"width"`
	Values []any  `json:"values"`
}

// onnxCase is a model to run, and what it should say.
type onnxCase struct {
	Model  string               `json:"model"`
	Inputs map[string]onnxInput `json:"inputs"`
	want   *bundle.Prediction
	name   string
}

// columnInputs are the columns of a batch that a model of a whole bundle takes:
// numbers as JavaScript reads them from texts, null as nothing.
func columnInputs(b *bundle.Bundle, rows *data.Batch) map[string]onnxInput {
	out := map[string]onnxInput{}
	for _, f := range b.Signature.Fields {
		c := rows.Column(f.Name)
		null, in := any(nil), onnxInput{Type: "float64", Width: 1}
		switch c.Type {
		case data.String:
			null, in.Type = "", "string"
		case data.Timestamp, data.Date:
			null, in.Type = strconv.Itoa(math.MinInt64), "int64"
		}
		for i := range rows.NumRows {
			v := null
			if c.Valid.Get(i) {
				v = onnxValue(c, i)
			}
			in.Values = append(in.Values, v)
		}
		out[f.Name] = in
	}
	return out
}

func onnxValue(c *data.Column, i int) any {
	switch c.Type {
	case data.String:
		return c.Dict[c.Codes[i]]
	case data.Int64, data.Timestamp:
		return strconv.FormatInt(c.Int64s[i], 10)
	case data.Int32, data.Date:
		return strconv.Itoa(int(c.Int32s[i]))
	case data.Bool:
		return map[bool]string{true: "1", false: "0"}[c.Bools[i]]
	}
	if c.Type == data.Float32 { // as people write it, in fewer digits than the double has
		return strconv.FormatFloat(float64(c.Float32s[i]), 'g', -1, 32)
	}
	v := c.Float64s[i]
	if math.IsInf(v, 0) {
		return map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0]
	}
	return strconv.FormatFloat(v, 'g', -1, 64) // also NaN
}

// newONNXCase exports a trained model, whole or without what is before it.
func newONNXCase(t *testing.T, w *workbench, uri string, rows *data.Batch, modelOnly bool) onnxCase {
	t.Helper()
	b, err := w.env.load(t.Context(), store.Digest(uri))
	require.NoError(t, err)
	text, err := b.ONNX(modelOnly)
	require.NoError(t, err)
	again, err := b.ONNX(modelOnly)
	require.NoError(t, err)
	require.Equal(t, text, again)
	c := onnxCase{Model: filepath.Join(t.TempDir(), "model.onnx")}
	require.NoError(t, os.WriteFile(c.Model, text, 0o600))
	c.want, err = b.Predict(rows)
	require.NoError(t, err)
	if !modelOnly {
		c.Inputs = columnInputs(b, rows)
		return c
	}
	seen := rows
	if b.Pipeline != nil {
		seen, err = b.Pipeline.Apply(rows)
		require.NoError(t, err)
	}
	x := make([]float32, rows.NumRows*b.Encoder.NumFeatures())
	require.NoError(t, b.Encoder.Encode(seen, x))
	in := onnxInput{Type: "float32", Width: b.Encoder.NumFeatures()}
	for _, v := range x {
		in.Values = append(in.Values, v)
	}
	c.Inputs = map[string]onnxInput{"features": in}
	return c
}

// onnxRuntime returns a folder with ONNX Runtime for node, or skips.
func onnxRuntime(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: ONNX Runtime is not fetched, so no exported model is run")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "onnxruntime-web@1.20.1")
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("npm does not get ONNX Runtime, so no exported model is run: %v: %.300s", err, out)
	}
	script, err := os.ReadFile("testdata/onnx.mjs")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "onnx.mjs"), script, 0o600))
	return dir
}

// onnxFeatures are of all operations that ONNX has words for.
const onnxFeatures = `
  - {name: scaled, op: standard_scale, of: amount}
  - {name: robust, op: robust_scale, of: amount}
  - {name: ranged, op: min_max_scale, of: amount, range: [-1, 2], clip: true}
  - {name: logged, op: log1p, of: scaled}
  - {name: cut, op: clip, of: amount, min: 5, max: 40}
  - {name: low, op: clip, of: amount, max: 10}
  - {name: filled, op: impute, of: amount, strategy: median, indicator: true}
  - {name: zero, op: impute, of: amount, strategy: constant, value: 0}
  - {name: bucket, op: bin, of: amount, edges: [0, 10, 50, .inf], labels: [low, mid, high]}
  - {name: piece, op: bin, of: amount, edges: [3, 80]}
  - {name: quarter, op: quantile_bin, of: amount, bins: 4}
  - {name: each, op: ratio, of: [amount, count]}
  - {name: product, op: interact, of: [scaled, count]}
  - {name: kind, op: one_hot, of: kind, max_categories: 2}
  - {name: number, op: one_hot, of: count}
  - {name: rank, op: ordinal_encode, of: kind, order: [toys, books]}
  - {name: often, op: frequency_encode, of: kind}
  - {name: times, op: frequency_encode, of: count, normalize: false}
  - {name: same, op: clip, of: amount, min: 5, max: 5}
  - {name: same_scaled, op: standard_scale, of: same}
  - {name: same_robust, op: robust_scale, of: same}
  - {name: same_ranged, op: min_max_scale, of: same}
  - {name: beyond_log, op: log1p, of: ranged}
`

// Exported models are run by ONNX Runtime, and predict what troupe predicts.
func TestExportedModelsPredictTheSameInONNXRuntime(t *testing.T) {
	t.Parallel()
	dir := onnxRuntime(t)
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 600, 0)
	w := bench(t, folder)
	rows := sale(99, 200, 0)
	head := "kind: train\nname: m\ninput: in\nepochs: 3\nbatch_size: 64\ncolumns: {exclude: [ts]}\n"
	all := strings.Replace(head, "columns: {exclude: [ts]}\n", "", 1)
	var cases []onnxCase
	for _, text := range []string{
		head + "target: label\ntask: binary\nmodel: {type: mlp, hidden: [16, 8], activation: relu}\n",
		head + "target: kind\ntask: multiclass\nmodel: {type: mlp, hidden: [16], activation: gelu}\n",
		head + "target: count\ntask: regression\nmodel: {type: mlp, hidden: [16], activation: silu}\n",
		head + "target: label\ntask: binary\nmodel: {type: mlp, hidden: [16], activation: tanh}\n",
		head + "target: count\ntask: multiclass\nmodel: {type: mlp, hidden: [16], activation: sigmoid}\n",
		head + "target: count\ntask: regression\nmodel: {type: mlp, hidden: []}\n",
		head + "target: label\ntask: binary\nmodel: {type: mlp, hidden: [16, 16, 8], activation: gelu, norm: layer, residual: true, embeddings: [{column: kind, size: 4}, {column: count, size: 3}]}\n",
		head + "target: count\ntask: regression\nmodel: {type: mlp, hidden: [16, 16], norm: batch, residual: true, embeddings: [{column: kind, size: 2}]}\n",
		head + "target: label\ntask: binary\nmodel: {type: mlp, hidden: [16, 8], norm: batch, activation: tanh}\n",
		all + "target: label\ntask: binary\nmodel: {type: mlp, hidden: [16]}\nfeatures:" + onnxFeatures,
		all + "target: label\ntask: binary\nmodel: {type: mlp, hidden: [16], embeddings: [{column: often, size: 2}]}\nfeatures:" + strings.Replace(onnxFeatures, "often, op: frequency_encode", "often, op: ordinal_encode", 1),
	} {
		digest := w.succeed(text).Digest
		cases = append(cases, newONNXCase(t, w, digest, rows, false), newONNXCase(t, w, digest, rows, true))
	}
	cases = append(cases, newONNXCase(t, w, w.succeed(trainSpec).Digest, rows, true))
	checkONNX(t, dir, cases, rows.NumRows)
}

// checkONNX runs models in ONNX Runtime, and compares.
func checkONNX(t *testing.T, dir string, cases []onnxCase, numRows int) {
	t.Helper()
	list, err := json.Marshal(cases)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cases.json"), list, 0o600))
	node := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "onnx.mjs"), filepath.Join(dir, "cases.json"))
	node.Stderr = os.Stderr
	raw, err := node.Output()
	require.NoError(t, err)
	var got []struct {
		Prediction    []any     `json:"prediction"`
		Probabilities []float64 `json:"probabilities"`
	}
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Len(t, got, len(cases))
	for k, c := range cases {
		require.Len(t, got[k].Prediction, numRows)
		require.Len(t, got[k].Probabilities, len(c.want.Probabilities))
		for i, p := range c.want.Probabilities {
			require.InDelta(t, p, got[k].Probabilities[i], 1e-5, c.name)
		}
		for i, said := range got[k].Prediction {
			want, _, _ := c.want.Row(i)
			if text, ok := want.(string); ok {
				require.Equal(t, text, said)
			} else if !assert.InDelta(t, toFloat(want), toFloat(said), 1e-5*max(1, math.Abs(toFloat(want))), "%s, row %d", c.name, i) {
				break
			}
		}
	}
}

func toFloat(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return -1e9
}
