package run

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/registry/runs"
)

const slicedSpec = trainSpec + "slices: [kind, count]\n"

// What is measured, slices and baseline included, is the same for any world size.
func TestMeasuresDoNotDependOnTheWorldSize(t *testing.T) {
	t.Parallel()
	var first string
	for _, world := range []int{1, 2, 3, 5} {
		w := ganged(t, world, 2, 3, 5000) // blocks for every rank
		s := w.succeed(slicedSpec)
		b, err := json.Marshal([]any{s.Digest, s.Metrics, s.Details, s.Slices, s.Baseline})
		require.NoError(t, err)
		if first == "" {
			first = string(b)
		}
		require.Equal(t, first, string(b), "%d ranks", world)
	}
}

func TestSlicesAreTheMetricsOfTheirRows(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 2, 700, 0)
	w := bench(t, folder)
	s := w.succeed(slicedSpec)
	plain := bench(t, folder)
	require.Equal(t, plain.succeed(trainSpec).Digest, s.Digest, "slices change no model")

	w.succeed("kind: predict\nname: score\nmodel: " + s.ModelURI + "\ninput: in\noutput: out/scored\nkeep: [label, kind, count]\n")
	right, rows := map[string]int64{}, map[string]int64{}
	at := 0 // rows are in order of time: the last fifth tests
	files, err := filepath.Glob(w.path("out/scored/*.parquet"))
	require.NoError(t, err)
	for _, file := range files {
		for _, b := range readTable(t, file) {
			kind, count := b.Column("kind"), b.Column("count")
			for r := range b.NumRows {
				if at++; at <= 2240 {
					continue
				}
				for _, name := range []string{"kind " + kind.Dict[kind.Codes[r]], fmt.Sprint("count ", count.Int64s[r])} {
					rows[name]++
					if b.Column("prediction").Int64s[r] == b.Column("label").Int64s[r] {
						right[name]++
					}
				}
			}
		}
	}
	require.Equal(t, 2800, at)
	seen := 0
	for _, one := range s.Slices {
		if one.Part != "test" {
			continue
		}
		name := one.Column + " " + one.Value
		require.Equal(t, rows[name], one.Rows, name)
		require.InDelta(t, float64(right[name])/float64(rows[name]), one.Metrics["accuracy"], 1e-12, name)
		seen++
	}
	require.Len(t, rows, seen)
	require.Equal(t, 9, seen, "four kinds and five counts")

	run, err := w.env.Registry.Runs.Show(t.Context(), runs.ID(s.Run))
	require.NoError(t, err)
	require.Len(t, run.Slices, len(s.Slices))
	require.Equal(t, *s.BeatsBaseline, *run.BeatsBaseline)
	require.Contains(t, run.Last(), "baseline.test.log_loss")
	require.Contains(t, run.Artifacts, evaluationPath)
}

func TestRareValuesAndNullsAreSlicesTogether(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "in"), 0o755))
	b := sale(0, 3000, 0)
	user := data.NewColumn(data.Int64, b.NumRows)
	user.Valid = data.NewBitmap(b.NumRows)
	for i := range b.NumRows {
		if i%10 > 0 {
			user.Valid.Set(i)
			user.Int64s[i] = int64(min(i%100, 50+i%7))
		}
	}
	b = with(b, "user", user)
	b.Schema.Fields[len(b.Schema.Fields)-1].Nullable = true
	writeTable(t, filepath.Join(folder, "in", "a.parquet"), []*data.Batch{b})
	w := bench(t, folder)
	s := w.succeed(trainSpec + "slices: [user]\n")
	rows, names := map[string]int64{}, 0
	for _, one := range s.Slices {
		if one.Part == "test" {
			rows[one.Value] = one.Rows
			names++
		}
	}
	require.LessOrEqual(t, names, mostNamed+2)
	require.EqualValues(t, 60, rows[nulls])
	require.Positive(t, rows[others])
	var all int64
	for _, n := range rows {
		all += n
	}
	require.Equal(t, s.Details["test"].Rows, all)
}

func TestAModelThatLearnsNothingDoesNotBeatTheBaseline(t *testing.T) {
	t.Parallel()
	for task, metric := range map[string]string{"binary": "log_loss", "regression": "rmse"} {
		folder := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(folder, "in"), 0o755))
		b, random := sale(0, 2000, 0), rng.New(1, "noise")
		noise := data.NewColumn(data.Int64, b.NumRows)
		for i := range noise.Int64s {
			noise.Int64s[i] = int64(random.IntN(2))
		}
		writeTable(t, filepath.Join(folder, "in", "a.parquet"), []*data.Batch{with(b, "label", noise)})
		w := bench(t, folder)
		s := w.succeed("kind: train\nname: noise\ninput: in\ntarget: label\ntask: " + task +
			"\nmodel: {type: mlp, hidden: [64]}\noptimizer: {learning_rate: 0.05}\nepochs: 30\nbatch_size: 64\n")
		require.NotNil(t, s.BeatsBaseline)
		require.False(t, *s.BeatsBaseline, "%s: %+v", task, s.Baseline)
		require.Equal(t, map[string]string{"binary": "prior", "regression": "mean"}[task], s.Baseline.Models[0].Model)
		require.Equal(t, "linear", s.Baseline.Models[1].Model)
		best := min(*s.Baseline.Models[0].Value, *s.Baseline.Models[1].Value) // of both metrics less is better
		assert.InDelta(t, best, s.Baseline.Value, 0)
		assert.Equal(t, metric, s.Baseline.Metric)
		assert.Equal(t, "test", s.Baseline.Part)
		assert.InDelta(t, s.Metrics["test"][metric], s.Baseline.Trained, 0)
		assert.InDelta(t, s.Baseline.Metrics["test"][metric], s.Baseline.Value, 0)
	}
}

func TestSlicesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 300, 0)
	w := bench(t, folder)
	for column, want := range map[string]string{
		"amount": `slices: column "amount" is float64, expected a text`,
		"kin":    `did you mean "kind"?`,
	} {
		require.Contains(t, w.fails(trainSpec+"slices: ["+column+"]\n"), want)
	}
}

// Rows that are in one shard or in several have the same slices.
func TestSlicesDoNotDependOnTheShards(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "c", strings.Repeat("x", mostSliceBytes+1)}), 1, 50).Draw(t, "values")
		if rapid.Bool().Draw(t, "many") {
			for i := range 2 * mostNamed {
				values = append(values, fmt.Sprint("v", i%(mostNamed+i/mostNamed*4)))
			}
		}
		observe := func(rows []string) shardSlice {
			c, parts := texts(rows), make([]split.Part, len(rows))
			c.Valid = data.NewBitmap(len(rows))
			for i, v := range rows {
				parts[i] = split.Test
				if v != "" {
					c.Valid.Set(i)
				}
			}
			s := newSlicers([]string{"v"})[0]
			b := &data.Batch{NumRows: len(rows), Columns: []*data.Column{c}, Schema: data.Schema{Fields: []data.Field{{Name: "v", Type: data.String}}}}
			require.NoError(t, s.observe(b, ints(make([]int64, len(rows))), parts))
			return s.shardSlice
		}
		var shards []shardSlice
		for rest := values; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "rows")
			shards, rest = append(shards, observe(rest[:n])), rest[n:]
		}
		whole, err := joinSlices("v", []shardSlice{observe(values)})
		require.NoError(t, err)
		cut, err := joinSlices("v", shards)
		require.NoError(t, err)
		require.Equal(t, whole, cut)
		for i, code := range whole.Codes["test"] {
			want := values[i]
			switch {
			case want == "":
				want = nulls
			case !slices.Contains(whole.Values, want):
				want = others
			}
			require.Equal(t, want, whole.name(int(code)))
		}
	})
}

// A regression of a quantile is measured, stopped and compared by its loss.
func TestAQuantileIsComparedByItsLoss(t *testing.T) {
	t.Parallel()
	var first string
	for _, world := range []int{1, 2} {
		w := ganged(t, world, 1, 2, 1500)
		s := w.succeed("kind: train\nname: q\ninput: in\ntarget: count\ntask: regression\ncolumns: {exclude: [ts]}\nloss: {quantile: 0.75}\nslices: [kind]\nmodel: {type: mlp, hidden: [8]}\n" +
			"epochs: 3\nearly_stopping: {metric: pinball_loss, patience: 3}\n")
		require.Equal(t, "pinball_loss", s.Baseline.Metric)
		require.Equal(t, "quantile", s.Baseline.Models[0].Model)
		require.InDelta(t, 0.75, s.Baseline.Models[1].Metrics["test"]["coverage"], 0.1, "the linear model is moved there")
		require.Contains(t, s.Metrics["test"], "pinball_loss")
		require.Contains(t, s.Slices[0].Metrics, "coverage")
		b, err := json.Marshal([]any{s.Digest, s.Metrics, s.Baseline, s.Slices})
		require.NoError(t, err)
		if first == "" {
			first = string(b)
		}
		require.Equal(t, first, string(b))
	}
}

// The linear baseline reads all features but codes of embeddings, and of many rows
// some, the same ones each time.
func TestTheLinearBaselineLearnsFromSomeRowsAndNoCodes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 4, 1500, 0)
	w := bench(t, folder)
	s := w.succeed(strings.Replace(richSpec, "epochs: 4", "epochs: 1", 1))
	linear := s.Baseline.Models[1]
	require.Equal(t, "linear", linear.Model)
	require.EqualValues(t, leastRivalRows, linear.Rows)
	require.EqualValues(t, 4200, s.Baseline.Models[0].Rows)
	require.Greater(t, linear.Metrics["test"]["auc"], 0.7, "amount alone tells much")
	require.Less(t, linear.Metrics["test"]["auc"], 0.97, "kind tells the rest")
	onlyCodes := strings.Replace(richSpec, "task: binary", "task: binary\ncolumns: {include: [kind, count]}", 1)
	require.Len(t, w.succeed(onlyCodes).Baseline.Models, 1)
	require.Len(t, w.succeed("kind: train\nname: l\ninput: in\ntarget: label\ntask: binary\ncolumns: {exclude: [ts]}\nmodel: {type: linear}\n").Baseline.Models, 1)
}

func TestARivalSamplesEachPartOfTheRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table := models.Table{NumRows: rapid.IntRange(1, 300).Draw(t, "rows"), NumFeatures: 3, Weighted: rapid.Bool().Draw(t, "weighted")}
		for i := range table.NumRows {
			v := float32(i)
			table.X, table.Y, table.W = append(table.X, v, v+0.25, v+0.5), append(table.Y, -v), append(table.W, v/2)
		}
		r := &rival{numRows: rapid.IntRange(1, table.NumRows).Draw(t, "sampled")}
		if rapid.Bool().Draw(t, "codes") {
			r.keep = []int{0, 2}
		}
		some, err := r.sample(table, 7)
		require.NoError(t, err)
		require.Equal(t, r.numRows, some.NumRows)
		for i := range some.NumRows {
			row := some.Row(i)
			at := int(row[0])
			require.True(t, at >= i*table.NumRows/r.numRows && at < (i+1)*table.NumRows/r.numRows, "row %d is %d", i, at)
			require.Equal(t, float32(at)+0.5, row[len(row)-1]) //nolint:testifylint // the same bits
			require.Equal(t, table.Y[at], some.Y[i])           //nolint:testifylint // likewise
			if table.Weighted {
				require.Equal(t, table.W[at], some.W[i]) //nolint:testifylint // likewise
			}
		}
	})
}
