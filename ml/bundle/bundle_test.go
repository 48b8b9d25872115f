package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/drift"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// signature is the columns that the models of the tests read.
var signature = data.Schema{Fields: []data.Field{
	{Name: "amount", Type: data.Float64, Nullable: true},
	{Name: "count", Type: data.Int64},
	{Name: "category", Type: data.String, Nullable: true},
	{Name: "vip", Type: data.Bool},
	{Name: "rate", Type: data.Float32, Nullable: true},
	{Name: "ts", Type: data.Timestamp, UTC: true},
	{Name: "born", Type: data.Date, Nullable: true},
	{Name: "code", Type: data.Int32, Nullable: true},
}}

// table returns rows of the signature; every third value that may be null is.
func table(numRows int) *data.Batch {
	g := rng.New(7, "bundle test table")
	b := &data.Batch{Schema: signature, NumRows: numRows}
	for _, f := range signature.Fields {
		c := data.NewColumn(f.Type, numRows)
		if f.Nullable {
			c.Valid = data.NewBitmap(numRows)
		}
		b.Columns = append(b.Columns, c)
	}
	col := b.Columns
	col[2].Dict = []string{"food", "tools", "toys", "höhe \"x\""}
	for i := range numRows {
		for _, k := range []int{0, 2, 4, 6, 7} {
			if g.IntN(3) > 0 {
				col[k].Valid.Set(i)
			}
		}
		if col[0].Valid.Get(i) {
			col[0].Float64s[i] = math.Exp(g.NormFloat64())
		}
		if col[2].Valid.Get(i) {
			col[2].Codes[i] = uint32(g.IntN(4))
		}
		if col[4].Valid.Get(i) {
			col[4].Float32s[i] = float32(g.Float64())
		}
		if col[6].Valid.Get(i) {
			col[6].Int32s[i] = int32(g.IntN(20_000) - 5000)
		}
		if col[7].Valid.Get(i) {
			col[7].Int32s[i] = int32(g.IntN(9) - 4)
		}
		col[1].Int64s[i] = int64(g.IntN(50))
		col[3].Bools[i] = g.IntN(2) == 0
		col[5].Int64s[i] = g.Int64N(1 << 50)
	}
	return b
}

// targetOf returns what the models learn: whether count is above 24, as a
// column of any type, or in three classes, or count itself.
func targetOf(b *data.Batch, t data.Type, classes int) *data.Column {
	c := data.NewColumn(t, b.NumRows)
	c.Dict = []string{"low", ">=25", "high & more"}[:max(classes, 2)]
	for i, n := range b.Columns[1].Int64s {
		class := min(int(n)*max(classes, 2)/50, max(classes, 2)-1)
		switch t {
		case data.Bool:
			c.Bools[i] = class == 1
		case data.Int32:
			c.Int32s[i] = int32(class*7 - 3)
		case data.Int64:
			c.Int64s[i] = int64(class * 7)
		case data.String:
			c.Codes[i] = uint32(class)
		default:
			c.Float64s[i] = float64(n)*3 + 0.5
		}
	}
	return c
}

// shape is a kind of bundle that the tests try.
type shape struct {
	task     metrics.Task
	target   data.Type
	classes  int
	pipeline bool
}

var shapes = []shape{
	{metrics.Binary, data.Bool, 2, true},
	{metrics.Binary, data.String, 2, false},
	{metrics.Multiclass, data.Int32, 3, true},
	{metrics.Multiclass, data.Int64, 3, false},
	{metrics.Regression, data.Float64, 0, true},
}

// train fits a real bundle: features, encoders, a small network, golden rows.
func train(t testing.TB, s shape) *Bundle {
	t.Helper()
	b := &Bundle{Signature: signature, Kind: MLP}
	rows := table(600)
	seen := rows
	fields := signature.Fields[:5]
	if s.pipeline {
		steps := []features.Step{
			{Name: "amount_log", Op: "log1p", Of: []string{"amount"}},
			{Name: "count_scaled", Op: "standard_scale", Of: []string{"count"}},
			{Name: "category", Op: "one_hot", Of: []string{"category"}, Params: map[string]any{"min_count": 10}},
			{Name: "ts", Op: "datetime", Of: []string{"ts"}, Params: map[string]any{"parts": []any{"hour", "day_of_week"}}},
		}
		p, err := features.Compile(features.Config{Steps: steps, Seed: 1}, signature)
		require.NoError(t, err)
		for pass := range p.NumPasses() {
			state := p.NewState(pass)
			require.NoError(t, state.Observe(rows, nil))
			p, err = p.Fit(pass, state)
			require.NoError(t, err)
		}
		b.Pipeline = p
		seen, err = p.Apply(rows)
		require.NoError(t, err)
		fields = seen.Schema.Fields
		b.Signature = data.Schema{}
		for _, name := range p.Inputs() {
			b.Signature.Fields = append(b.Signature.Fields, signature.Fields[signature.Index(name)])
		}
	}
	encoder, err := features.NewEncoder(fields, features.DefaultEncoderConfig())
	require.NoError(t, err)
	encoding := encoder.NewState()
	require.NoError(t, encoding.Observe(seen, nil))
	b.Encoder, err = encoder.Fit(encoding)
	require.NoError(t, err)

	field := data.Field{Name: "label", Type: s.target}
	labels := &data.Batch{Schema: data.Schema{Fields: []data.Field{field}}, NumRows: rows.NumRows, Columns: []*data.Column{targetOf(rows, s.target, s.classes)}}
	target, err := features.NewTarget(s.task, field)
	require.NoError(t, err)
	classes := target.NewState()
	require.NoError(t, classes.Observe(labels, nil))
	b.Target, err = target.Fit(classes)
	require.NoError(t, err)
	b.Model = fit(t, b, s, seen, labels)

	b.Metrics = map[string]metrics.Report{"test": {{Name: "auc", Value: 0.75}}, "validation": {{Name: "auc", Value: 0.5}}}
	b.Profile = drift.NewProfile(b.Signature)
	require.NoError(t, b.Profile.Observe(rows, nil))
	require.NoError(t, b.SetGolden(slice(rows, 64, 96)))
	return b
}

func fit(t testing.TB, b *Bundle, s shape, seen, labels *data.Batch) models.Model {
	t.Helper()
	x, y := make([]float32, seen.NumRows*b.Encoder.NumFeatures()), make([]float32, seen.NumRows)
	require.NoError(t, b.Encoder.Encode(seen, x))
	_, err := b.Target.Encode(labels, y)
	require.NoError(t, err)
	cfg := neural.DefaultConfig()
	cfg.Hidden, cfg.Epochs, cfg.BatchSize, cfg.Optimizer.LearningRate = []int{8}, 40, 64, 0.02
	estimator, err := neural.New(cfg, models.Problem{Task: s.task, NumClasses: s.classes})
	require.NoError(t, err)
	m, err := estimator.Fit(context.Background(), collective.Solo{},
		models.Table{NumRows: seen.NumRows, NumFeatures: b.Encoder.NumFeatures(), X: x, Y: y}, models.Table{NumFeatures: b.Encoder.NumFeatures()}, models.Options{})
	require.NoError(t, err)
	return m
}

func eachShape(t *testing.T, test func(t *testing.T, s shape, b *Bundle)) {
	t.Helper()
	for _, s := range shapes {
		t.Run(fmt.Sprint(s.task, " ", s.target, " pipeline=", s.pipeline), func(t *testing.T) {
			t.Parallel()
			test(t, s, train(t, s))
		})
	}
}

func TestABundleComesBackTheSame(t *testing.T) {
	t.Parallel()
	eachShape(t, func(t *testing.T, s shape, b *Bundle) {
		file, err := b.Encode()
		require.NoError(t, err)
		again, err := b.Encode()
		require.NoError(t, err)
		require.Equal(t, file, again, "the same bundle is the same bytes")
		back, err := Decode(file)
		require.NoError(t, err)
		again, err = back.Encode()
		require.NoError(t, err)
		require.Equal(t, file, again, "and so is what was read from them")
		assert.Equal(t, b.Signature, back.Signature)
		assert.Equal(t, b.Metrics, back.Metrics)
		assert.Equal(t, 32, back.Golden().NumRows)
		assert.Equal(t, b.Profile.Columns(), back.Profile.Columns())
		assert.Equal(t, s.pipeline, back.Pipeline != nil)

		rows := table(300)
		want, err := b.Predict(rows)
		require.NoError(t, err)
		got, err := back.Predict(rows)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	})
}

// The models have learned something: else what follows would be of constants.
func TestPredictionsAreOfTheTargetsOwnType(t *testing.T) {
	t.Parallel()
	eachShape(t, func(t *testing.T, s shape, b *Bundle) {
		rows := table(500)
		truth := targetOf(rows, s.target, s.classes)
		p, err := b.Predict(rows)
		require.NoError(t, err)
		fields, err := b.OutputFields([]string{"amount"})
		require.NoError(t, err)
		columns := p.Columns()
		_, err = data.NewBatch(data.Schema{Fields: fields}, columns)
		require.NoError(t, err)
		if s.task == metrics.Regression {
			require.Len(t, columns, 1)
			value, _, _ := p.Row(3)
			assert.InDelta(t, truth.Float64s[3], value, 15)
			assert.Equal(t, p.Values[3], value)
			return
		}
		require.Len(t, columns, 2+s.classes)
		assert.Equal(t, s.target, columns[0].Type)
		right := 0
		for i := range rows.NumRows {
			if same(truth, columns[0], i) {
				right++
			}
			class, probability, all := p.Row(i)
			require.InDelta(t, float64(slices.Max(all)), float64(probability), 0)
			require.Equal(t, math.Float32bits(probability), math.Float32bits(columns[1].Float32s[i]))
			k := slices.Index(all, probability)
			require.Equal(t, fmt.Sprint(class), b.Target.Classes()[k])
			require.Equal(t, "probability_"+fmt.Sprint(class), fields[2+k].Name)
			require.Equal(t, math.Float32bits(probability), math.Float32bits(columns[2+k].Float32s[i]))
		}
		assert.Greater(t, right, rows.NumRows*8/10)
		_, err = b.OutputFields([]string{"probability"})
		require.ErrorContains(t, err, `"probability"`)
		require.Equal(t, fault.Invalid, fault.Of(err))
	})
}

// A row has the same bits alone, in a batch beyond the size of a block, and
// through JSON, whoever predicts beside it.
func TestARowsPredictionDoesNotDependOnItsNeighbours(t *testing.T) {
	t.Parallel()
	eachShape(t, func(t *testing.T, _ shape, b *Bundle) {
		rows := table(blockRows + 1000)
		whole, err := b.Predict(rows)
		require.NoError(t, err)
		texts := toJSON(t, b, rows)
		var wait sync.WaitGroup
		for worker := range 4 {
			wait.Go(func() {
				for _, i := range []int{0, 64, blockRows - 64, blockRows + 64*worker} {
					one, err := b.Predict(slice(rows, i, i+1))
					assert.NoError(t, err)
					batch, faults := b.Rows(texts[i : i+1])
					assert.Empty(t, faults)
					parsed, err := b.Predict(batch)
					assert.NoError(t, err)
					for _, p := range []*Prediction{one, parsed} {
						class, probability, all := p.Row(0)
						wantClass, wantProbability, wantAll := whole.Row(i)
						assert.Equal(t, wantClass, class)
						assert.Equal(t, math.Float32bits(wantProbability), math.Float32bits(probability))
						assert.Equal(t, wantAll, all)
					}
				}
			})
		}
		wait.Wait()
		batch, faults := b.Rows(texts)
		require.Empty(t, faults)
		parsed, err := b.Predict(batch)
		require.NoError(t, err)
		require.Equal(t, whole, parsed)
	})
}

func TestDamageIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	file, err := train(t, shapes[0]).Encode()
	require.NoError(t, err)
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	require.Len(t, z.File, 10)
	for _, f := range z.File {
		at, err := f.DataOffset()
		require.NoError(t, err)
		b := slices.Clone(file)
		b[at+int64(f.UncompressedSize64)/2] ^= 1
		_, err = Decode(b)
		require.ErrorContains(t, err, f.Name)
		require.Equal(t, fault.Corrupt, fault.Of(err), f.Name)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(file)
		b[rapid.IntRange(2, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		_, err := Decode(b)
		require.Error(t, err)
		require.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
		_, err = Decode(file[:rapid.IntRange(0, len(file)-1).Draw(t, "length")])
		require.Error(t, err)
		require.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
	})
	_, err = Decode(append(slices.Clone(file), 0))
	require.Equal(t, fault.Corrupt, fault.Of(err))
}

// Parts that are sound each, with a manifest that agrees, and yet no bundle.
func TestPartsThatDoNotBelongTogetherAreCorrupt(t *testing.T) {
	t.Parallel()
	file, err := train(t, shapes[0]).Encode()
	require.NoError(t, err)
	m, p, err := unpack(file)
	require.NoError(t, err)
	for part, change := range map[string]func(m *manifest, p parts){
		"signature.json":     func(_ *manifest, p parts) { delete(p, signaturePart) },
		"the features need":  func(_ *manifest, p parts) { p[signaturePart] = []byte(`{"fields":[{"name":"x","type":"bool"}]}`) },
		"target.json":        func(_ *manifest, p parts) { p[targetPart] = []byte(`{}`) },
		"encoder.json":       func(_ *manifest, p parts) { p[encoderPart] = []byte(`{"a":1}`) },
		"pipeline.json":      func(_ *manifest, p parts) { p[pipelinePart] = []byte(`[]`) },
		"model":              func(_ *manifest, p parts) { p[modelPart] = p[profilePart] },
		"metrics.json":       func(_ *manifest, p parts) { p[metricsPart] = []byte(`{} {}`) },
		"profile":            func(_ *manifest, p parts) { p[profilePart] = nil },
		"expected.parquet":   func(_ *manifest, p parts) { p[expectedPart] = p[expectedPart][:9] },
		"the predictions di": func(_ *manifest, p parts) { p[expectedPart] = p[goldenPart] },
	} {
		changed := parts{}
		for name, content := range p {
			changed[name] = content
		}
		change(&m, changed)
		b, err := pack(m, changed)
		require.NoError(t, err)
		_, err = Decode(b)
		require.ErrorContains(t, err, part)
		require.Equal(t, fault.Corrupt, fault.Of(err), part)
	}
	for want, change := range map[string]func(m *manifest){
		"format 2":  func(m *manifest) { m.Format = 2 },
		`kind "gb"`: func(m *manifest) { m.Model = "gb" },
	} {
		m := m
		change(&m)
		b, err := pack(m, p)
		require.NoError(t, err)
		_, err = Decode(b)
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err), want)
	}
}

func TestAPickleIsNeverRead(t *testing.T) {
	t.Parallel()
	var torch bytes.Buffer
	z := zip.NewWriter(&torch)
	w, err := z.Create("archive/data.pkl")
	require.NoError(t, err)
	_, err = w.Write([]byte("\x80\x02}q\x00."))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, file := range [][]byte{[]byte("\x80\x04\x95\x0b\x00."), torch.Bytes()} {
		_, err := Decode(file)
		require.ErrorContains(t, err, "safetensors.torch.save_file")
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
	_, err = Decode([]byte("\x89HDF\r\n\x1a\n......"))
	require.ErrorContains(t, err, "HDF5")
	for _, file := range []string{"", "PK", "not a model", `{"a": 1}`} {
		_, err := Decode([]byte(file))
		require.Equal(t, fault.Corrupt, fault.Of(err), "%q", file)
	}
}

func TestGoldenRowsAreCheckedToTheBit(t *testing.T) {
	t.Parallel()
	b := train(t, shapes[0])
	require.NoError(t, b.CheckGolden())
	at := &b.expected.Columns[2].Float32s[5]
	*at = math.Nextafter32(*at, 2)
	require.ErrorContains(t, b.CheckGolden(), "golden row 5: probability_false")
	file, err := b.Encode()
	require.NoError(t, err)
	_, err = Decode(file)
	require.Equal(t, fault.Corrupt, fault.Of(err))
	require.Error(t, b.SetGolden(table(0)))
	require.Error(t, b.SetGolden(table(1001)))
}

func TestABatchThatDoesNotFitIsInvalid(t *testing.T) {
	t.Parallel()
	b := train(t, shapes[1])
	rows := table(10)
	without := &data.Batch{Schema: data.Schema{Fields: rows.Schema.Fields[1:]}, Columns: rows.Columns[1:], NumRows: 10}
	retyped := func(name string, c *data.Column) *data.Batch {
		out := &data.Batch{NumRows: 10, Columns: slices.Clone(rows.Columns), Schema: data.Schema{Fields: slices.Clone(rows.Schema.Fields)}}
		i := out.Schema.Index(name)
		out.Columns[i], out.Schema.Fields[i].Type = c, c.Type
		return out
	}
	nulls := data.NewColumn(data.Int64, 10)
	nulls.Valid = data.NewBitmap(10)
	for want, in := range map[string]*data.Batch{
		`no column "amount"`:                   without,
		`"count" is of type string`:            retyped("count", data.NewColumn(data.String, 10)),
		`"count" is of type float64`:           retyped("count", data.NewColumn(data.Float64, 10)),
		`column "count" has 10 nulls, and the`: retyped("count", nulls),
	} {
		_, err := b.Predict(in)
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
	// Narrower numbers, columns in another order, and more of them are fine.
	narrow := data.NewColumn(data.Int32, 10)
	for i := range narrow.Int32s {
		narrow.Int32s[i] = int32(rows.Columns[1].Int64s[i])
	}
	other := retyped("count", narrow)
	slices.Reverse(other.Columns)
	slices.Reverse(other.Schema.Fields)
	want, err := b.Predict(rows)
	require.NoError(t, err)
	got, err := b.Predict(other)
	require.NoError(t, err)
	require.Equal(t, want, got)
	none, err := b.Predict(table(0))
	require.NoError(t, err)
	require.Zero(t, none.NumRows)
}

func TestABundleOfPartsThatDoNotFitIsNotWritten(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(b *Bundle){
		"is not set":             func(b *Bundle) { b.Model = nil },
		"has no columns":         func(b *Bundle) { b.Signature = data.Schema{} },
		"features, and the mode": func(b *Bundle) { b.Encoder = train(t, shapes[1]).Encoder },
		"the model is for bina":  func(b *Bundle) { b.Target = train(t, shapes[4]).Target },
		"the features need":      func(b *Bundle) { b.Signature.Fields = b.Signature.Fields[1:] },
		"the encoder needs":      func(b *Bundle) { b.Pipeline = nil },
	} {
		b := train(t, shapes[0])
		change(b)
		_, err := b.Encode()
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}

// toJSON writes rows as clients do: by name, nulls now as null and now left out.
func toJSON(t testing.TB, b *Bundle, rows *data.Batch) []json.RawMessage {
	t.Helper()
	out := make([]json.RawMessage, rows.NumRows)
	for i := range out {
		var fields []string
		for _, f := range b.Signature.Fields {
			value := jsonValue(t, f, rows.Column(f.Name), i)
			if value == "null" && i%2 == 0 {
				continue
			}
			fields = append(fields, fmt.Sprintf("%q: %s", f.Name, value))
		}
		out[i] = json.RawMessage("{" + strings.Join(fields, ", ") + "}")
	}
	return out
}
