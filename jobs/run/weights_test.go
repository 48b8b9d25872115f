package run

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/models/neural"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

func TestClassWeightsAreByTheNumbersOfClasses(t *testing.T) {
	t.Parallel()
	classes := []string{"cat", "dog", "owl"}
	for name, c := range map[string]struct {
		train spec.Train
		want  neural.Loss
	}{
		"none":      {spec.Train{}, neural.Loss{}},
		"smoothing": {spec.Train{LabelSmoothing: 0.1}, neural.Loss{LabelSmoothing: 0.1}},
		"balanced":  {spec.Train{ClassWeights: &spec.ClassWeights{Balanced: true}}, neural.Loss{Balanced: true}},
		"some":      {spec.Train{ClassWeights: &spec.ClassWeights{Of: map[string]float64{"owl": 3, "cat": 0}}}, neural.Loss{ClassWeights: []float64{0, 1, 3}}},
	} {
		got, err := lossOf(&c.train, classes)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
	_, err := lossOf(&spec.Train{Target: "kind", ClassWeights: &spec.ClassWeights{Of: map[string]float64{"owls": 3}}}, classes)
	require.EqualError(t, err, `class_weights: "owls" is no class of the target "kind": there are ["cat","dog","owl"]`)
	_, err = lossOf(&spec.Train{Target: "income", ClassWeights: &spec.ClassWeights{Of: map[string]float64{">51K": 3}}}, []string{"<=50K", ">50K"})
	require.ErrorContains(t, err, `there are ["<=50K",">50K"]`)
	assert.Equal(t, fault.Invalid, fault.Of(err))
}

// weighedBy is a train spec whose rows weigh what is in a column, 0 to 4.
func weighedBy(text string) string { return text + "weight: count\n" }

// The model, metrics, slices and baseline of rows with weights are the same for any
// world size, and metrics are those of the weighted rows.
func TestRowsCountAsMuchAsTheyWeigh(t *testing.T) {
	t.Parallel()
	var first string
	for _, world := range []int{1, 2, 3} {
		w := ganged(t, world, 2, 3, 5000)
		s := w.succeed(weighedBy(slicedSpec))
		b, err := json.Marshal([]any{s.Digest, s.Metrics, s.Details, s.Slices, s.Baseline})
		require.NoError(t, err)
		if first == "" {
			first = string(b)
			require.NotEqual(t, s.Digest, bench(t, w.folder).succeed(slicedSpec).Digest, "weights change the model")
			checkWeighedMetrics(t, w, s)
		}
		require.Equal(t, first, string(b), "%d ranks", world)
	}
}

// checkWeighedMetrics computes metrics of the test rows, the last fifth in order of
// time, from predictions.
func checkWeighedMetrics(t *testing.T, w *workbench, s Summary) {
	t.Helper()
	w.succeed("kind: predict\nname: score\nmodel: " + s.ModelURI + "\ninput: in\noutput: out/scored\nkeep: [label, count]\n")
	files, err := filepath.Glob(w.path("out/scored/*.parquet"))
	require.NoError(t, err)
	var at, rows int64
	var right, loss, all, ones, trained, positive float64
	for _, file := range files {
		for _, b := range readTable(t, file) {
			for r := range b.NumRows {
				weight, label := float64(b.Column("count").Int64s[r]), b.Column("label").Int64s[r]
				if at++; at <= 21000 {
					trained += weight
					positive += weight * float64(label)
				}
				if at <= 24000 {
					continue
				}
				rows++
				all += weight
				ones += weight * float64(label)
				p := float64(b.Column("probability_1").Float32s[r])
				if label == 0 {
					p = float64(b.Column("probability_0").Float32s[r])
				}
				loss -= weight * math.Log(p)
				if b.Column("prediction").Int64s[r] == label {
					right += weight
				}
			}
		}
	}
	require.EqualValues(t, 30000, at)
	assert.InDelta(t, right/all, s.Metrics["test"]["accuracy"], 1e-12)
	assert.InDelta(t, loss/all, s.Metrics["test"]["log_loss"], 1e-9)
	assert.Equal(t, rows, s.Details["test"].Rows)
	share := positive / trained
	assert.InDelta(t, -(ones*math.Log(share)+(all-ones)*math.Log(1-share))/all, s.Baseline.Models[0].Metrics["test"]["log_loss"], 1e-9)
}

// What a linear model minimises is told by the spec as it is of networks: classes with
// weights are predicted more often, and outliers of a target count less.
func TestALinearModelHasWeightsOfClassesHuberAndL1(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 2000, 0)
	w := bench(t, folder)
	train := func(task, target, more string) Summary {
		return w.succeed("kind: train\nname: m\ninput: in\ntarget: " + target + "\ntask: " + task + "\ncolumns: {exclude: [ts, label, count]}\n" + more + "\n")
	}
	plain := train("binary", "label", "model: {type: linear}")
	ones := plain.Details["test"].Classes[1]
	heavy := train("binary", "label", "model: {type: linear}\nclass_weights: {1: 20}")
	require.Greater(t, heavy.Details["test"].Classes[1].Predicted, ones.Predicted+20)
	require.NotEqual(t, plain.Digest, train("binary", "label", "model: {type: linear}\nlabel_smoothing: 0.1").Digest)
	require.Contains(t, w.fails("kind: train\nname: m\ninput: in\ntarget: label\ntask: binary\ncolumns: {exclude: [ts]}\nmodel: {type: linear}\nclass_weights: {2: 20}\n"), `"2" is no class`)

	none := train("binary", "label", "model: {type: linear, l1: 1e9, l2: 0}")
	require.InDelta(t, none.Baseline.Models[0].Metrics["test"]["log_loss"], none.Metrics["test"]["log_loss"], 1e-5, "no feature is left")
	square, huber := train("regression", "count", "model: {type: linear}"), train("regression", "count", "model: {type: linear}\nloss: {huber: 0.1}")
	require.Less(t, huber.Metrics["test"]["mae"], square.Metrics["test"]["mae"])
	require.Contains(t, huber.Metrics["test"], "huber_loss")
}

// bundle returns a model by its digest.
func (w *workbench) bundle(digest string) *bundle.Bundle {
	w.t.Helper()
	b, err := w.env.load(w.t.Context(), store.Digest(digest))
	require.NoError(w.t, err)
	return b
}

// The column of weights is no feature, unless it is asked for by name, and nobody
// needs it to predict.
func TestTheColumnOfWeightsIsNoFeature(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 900, 0)
	w := bench(t, folder)
	for _, model := range []string{"{type: mlp, hidden: [8]}", "{type: linear}"} {
		s := w.succeed("kind: train\nname: m\ninput: in\ntarget: label\ntask: binary\ncolumns: {exclude: [ts]}\nweight: count\nmodel: " + model + "\n")
		b := w.bundle(s.Digest)
		require.ElementsMatch(t, []string{"amount", "kind"}, b.Signature.Names())
	}
	made := w.succeed(strings.Replace(featuresSpec, "timestamp: ts", "timestamp: ts\nkeep: [ts, label, count]", 1))
	require.NotEmpty(t, made.Digest)
	s := w.succeed("kind: train\nname: m\ninput: out/features\ntarget: label\ntask: binary\nweight: count\nmodel: {type: linear}\n")
	require.NotContains(t, w.bundle(s.Digest).Signature.Names(), "count")
}

func TestWeightsThatAreNoneAreNamedByColumnRowAndValue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		weight string
		change func(b *data.Batch)
		want   string
	}{
		"negative": {"amount", func(b *data.Batch) { b.Column("amount").Float64s[77] = -2.5; b.Column("amount").Valid.Set(77) }, `column "amount" is -2.5 in row 77, expected a finite number of at least 0`},
		"not a number": {"amount", func(b *data.Batch) {
			b.Column("amount").Float64s[3] = math.NaN()
			b.Column("amount").Valid.Set(3)
		}, `column "amount" is NaN in row 3`},
		"infinite":        {"amount", func(b *data.Batch) { b.Column("amount").Float64s[5] = math.Inf(1); b.Column("amount").Valid.Set(5) }, `column "amount" is +Inf in row 5`},
		"null":            {"amount", func(b *data.Batch) { b.Column("amount").Valid[0] &^= 1 << 9 }, `column "amount" is null in row 9`},
		"zero everywhere": {"count", func(b *data.Batch) { clear(b.Column("count").Int64s) }, `weight: column "count" is 0 in all`},
		"text":            {"kind", func(*data.Batch) {}, `weight: column "kind" is string, expected numbers`},
		"unknown":         {"counts", func(*data.Batch) {}, `weight: input in has no column "counts"; did you mean "count"?`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(folder, "in"), 0o755))
			b := sale(0, 500, 0)
			amount := b.Column("amount")
			for i := range b.NumRows { // no other row is null
				amount.Valid.Set(i)
			}
			c.change(b)
			writeTable(t, filepath.Join(folder, "in", "a.parquet"), []*data.Batch{b})
			w := bench(t, folder)
			require.Contains(t, w.fails("kind: train\nname: m\ninput: in\ntarget: label\ntask: binary\nmodel: {type: linear}\ncolumns: {exclude: [ts]}\nweight: "+c.weight+"\n"), c.want)
		})
	}
}

// The loss that class weights make of the validation rows is a curve of the run, the
// same of any world size, and none of the metrics of the end.
func TestTheWeightedLossOfValidationIsACurveOfTheRun(t *testing.T) {
	t.Parallel()
	text := strings.Replace(trainSpec, "metric: auc, patience: 2", "patience: 5", 1) + "class_weights: {1: 20}\nlabel_smoothing: 0.1\n"
	var first string
	for _, world := range []int{1, 3} {
		w := ganged(t, world, 2, 3, 700)
		s := w.succeed(text)
		require.NotContains(t, s.Metrics["validation"], "loss")
		run, err := w.env.Registry.Runs.Show(t.Context(), runs.IDOf(s.Job))
		require.NoError(t, err)
		require.Len(t, run.Metrics["validation.loss.epoch"], 3)
		for i, p := range run.Metrics["validation.loss.epoch"] {
			require.Greater(t, math.Abs(float64(run.Metrics["validation.log_loss.epoch"][i].Value-p.Value)), 0.01)
		}
		curve := make([]runs.Value, 3)
		for i, p := range run.Metrics["validation.loss.epoch"] {
			curve[i] = p.Value
		}
		b, err := json.Marshal([]any{s.Digest, curve})
		require.NoError(t, err)
		if first == "" {
			first = string(b)
		}
		require.Equal(t, first, string(b), "%d ranks", world)
	}
}

// A metric that early stopping watches is a curve of the run, and has the best epoch's
// value at the end, on one rank and on three.
func TestTheMetricThatIsWatchedIsACurveOfTheRun(t *testing.T) {
	t.Parallel()
	for _, metric := range []string{"average_precision", "f1"} {
		var first string
		for _, world := range []int{1, 3} {
			w := ganged(t, world, 2, 3, 700)
			s := w.succeed(strings.Replace(trainSpec, "metric: auc", "metric: "+metric, 1))
			run, err := w.env.Registry.Runs.Show(t.Context(), runs.IDOf(s.Job))
			require.NoError(t, err)
			curve := run.Metrics["validation."+metric+".epoch"]
			require.Len(t, curve, 3)
			best := curve[0].Value
			for _, p := range curve {
				best = max(best, p.Value)
			}
			require.InDelta(t, s.Metrics["validation"][metric], float64(best), 1e-12)
			b, err := json.Marshal([]any{s.Digest, curve[0].Value, curve[1].Value, curve[2].Value})
			require.NoError(t, err)
			if first == "" {
				first = string(b)
			}
			require.Equal(t, first, string(b), "%s, %d ranks", metric, world)
		}
	}
}
