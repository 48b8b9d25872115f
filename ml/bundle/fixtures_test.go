package bundle

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
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
	b.Profile.Flush()
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

// trained holds the bundle of each shape, fitted once.
var trained struct {
	sync.Mutex
	bundles map[shape]*Bundle
}

// sample returns a bundle of the shape; what hangs on it is shared.
func sample(t testing.TB, s shape) *Bundle {
	t.Helper()
	trained.Lock()
	defer trained.Unlock()
	if trained.bundles[s] == nil {
		if trained.bundles == nil {
			trained.bundles = map[shape]*Bundle{}
		}
		trained.bundles[s] = train(t, s)
	}
	b := *trained.bundles[s]
	return &b
}

func eachShape(t *testing.T, test func(t *testing.T, s shape, b *Bundle)) {
	t.Helper()
	for _, s := range shapes {
		t.Run(fmt.Sprint(s.task, " ", s.target, " pipeline=", s.pipeline), func(t *testing.T) {
			t.Parallel()
			test(t, s, sample(t, s))
		})
	}
}
