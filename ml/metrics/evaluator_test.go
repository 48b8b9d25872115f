package metrics_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// row is one row of any task: truth and prediction as both kinds need them.
type row struct {
	label       int
	p           []float64
	truth, pred float64
}

func drawRows(t *rapid.T, numClasses int) []row {
	p := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 0.5, 1}))
	v := rapid.Float64Range(-1e9, 1e9)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) row {
		return row{
			label: rapid.IntRange(0, numClasses-1).Draw(t, "label"),
			p:     rapid.SliceOfN(p, numClasses, numClasses).Draw(t, "p"),
			truth: v.Draw(t, "truth"), pred: v.Draw(t, "pred"),
		}
	}), 1, 40).Draw(t, "rows")
}

func observe(t require.TestingT, e *metrics.Evaluator, rows ...row) {
	for _, r := range rows {
		if e.Task() == metrics.Regression {
			require.NoError(t, e.ObserveValues([]float64{r.truth}, []float64{r.pred}))
		} else {
			require.NoError(t, e.ObserveClasses([]int{r.label}, r.p))
		}
	}
}

func encode(t require.TestingT, e *metrics.Evaluator) []byte {
	b, err := e.MarshalBinary()
	require.NoError(t, err)
	return b
}

func TestShardsMergedInAnyOrderHaveTheBytesOfTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := rapid.SampledFrom([]metrics.Task{metrics.Binary, metrics.Multiclass, metrics.Regression}).Draw(t, "task")
		numClasses := 2
		if task == metrics.Multiclass {
			numClasses = 4
		}
		rows := drawRows(t, numClasses)
		newOne := func() *metrics.Evaluator {
			e, err := metrics.NewEvaluator(task, numClasses)
			require.NoError(t, err)
			return e
		}
		whole := newOne()
		observe(t, whole, rows...)

		shards := []*metrics.Evaluator{newOne(), newOne(), newOne()}
		for _, r := range rapid.Permutation(rows).Draw(t, "order") {
			observe(t, shards[rapid.IntRange(0, 2).Draw(t, "shard")], r)
		}
		merged := newOne()
		for _, s := range rapid.Permutation(shards).Draw(t, "merge order") {
			back := newOne()
			require.NoError(t, back.UnmarshalBinary(encode(t, s)))
			require.NoError(t, merged.Merge(back))
		}
		require.Equal(t, encode(t, whole), encode(t, merged))
		a, err := whole.Report()
		require.NoError(t, err)
		b, err := merged.Report()
		require.NoError(t, err)
		require.Equal(t, a, b)
	})
}

func TestBytesThatAreNoSummaryAreCorrupt(t *testing.T) {
	t.Parallel()
	e, err := metrics.NewEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	observe(t, e, row{label: 1, p: []float64{.2, .8}}, row{label: 0, p: []float64{.7, .3}})
	whole := encode(t, e)
	for n := range whole {
		var back metrics.Evaluator
		err := back.UnmarshalBinary(whole[:n])
		require.Error(t, err, "%d of %d bytes", n, len(whole))
		assert.Equal(t, fault.Corrupt, fault.Of(err))
	}
	require.Error(t, new(metrics.Evaluator).UnmarshalBinary(append(whole, 0)))
	rapid.Check(t, func(t *rapid.T) {
		b := append([]byte(nil), whole...)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		var back metrics.Evaluator
		if back.UnmarshalBinary(b) == nil {
			_, _ = back.Report() // whatever it says, it must not panic
		}
	})
}

func TestEvaluatorsOfDifferentTasksDoNotMerge(t *testing.T) {
	t.Parallel()
	three, err := metrics.NewEvaluator(metrics.Multiclass, 3)
	require.NoError(t, err)
	four, err := metrics.NewEvaluator(metrics.Multiclass, 4)
	require.NoError(t, err)
	number, err := metrics.NewEvaluator(metrics.Regression, 0)
	require.NoError(t, err)
	require.ErrorContains(t, three.Merge(four), "merge of 3 and 4 classes")
	require.ErrorContains(t, three.Merge(number), "merge of a multiclass and a regression task")
}

func TestReportsKeepTheirOrderThroughJSON(t *testing.T) {
	t.Parallel()
	report := metrics.Report{
		{Name: "rmse", Value: 0.1}, {Name: "mae", Value: 1e-9},
		{Name: "r2", Undefined: "r2: not defined"},
	}
	b, err := json.Marshal(report)
	require.NoError(t, err)
	assert.Equal(t, `{"rmse":0.1,"mae":1e-9,"r2":null}`, string(b)) //nolint:testifylint // byte for byte
	var back metrics.Report
	require.NoError(t, json.Unmarshal(b, &back))
	assert.Equal(t, report, back)
	for _, bad := range []string{`[1]`, `{"a":"b"}`, `{"a":1,"a":2}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &back), bad)
	}
}

func TestArgmaxTakesTheFirstOfEqualValues(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 1, metrics.Argmax([]float64{.2, .4, .4}))
	assert.Equal(t, 2, metrics.Argmax([]float64{math.NaN(), .1, .4}))
	assert.Equal(t, -1, metrics.Argmax(nil))
	for _, task := range []metrics.Task{metrics.Binary, metrics.Multiclass, metrics.Regression} {
		for _, name := range task.Names() {
			_, err := metrics.Maximize(name)
			require.NoError(t, err, name)
		}
	}
	_, err := metrics.Maximize("ndcg")
	require.ErrorContains(t, err, `no metric "ndcg"`)
}
