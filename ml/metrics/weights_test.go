package metrics_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// A row that weighs as much as n others has the metrics of n rows, to the last bit.
func TestWeightsAreRepeatedRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := rapid.SampledFrom([]metrics.Task{metrics.Binary, metrics.Multiclass, metrics.Regression}).Draw(t, "task")
		numClasses := map[metrics.Task]int{metrics.Binary: 2, metrics.Multiclass: 3}[task]
		rows := drawRows(t, max(numClasses, 1))
		times := rapid.SliceOfN(rapid.IntRange(0, 4), len(rows), len(rows)).Draw(t, "times")
		factor := math.Ldexp(1, rapid.IntRange(-80, 80).Draw(t, "factor"))
		repeated, err := metrics.NewFullEvaluator(task, numClasses)
		require.NoError(t, err)
		weighed, err := metrics.NewFullEvaluator(task, numClasses)
		require.NoError(t, err)
		require.NoError(t, weighed.Weigh(metrics.WeightUnit(200*factor)))
		for i, r := range rows {
			for range times[i] {
				observe(t, repeated, r)
			}
			w := []float64{float64(times[i]) * factor}
			if task == metrics.Regression {
				require.NoError(t, weighed.ObserveWeighedValues([]float64{r.truth}, []float64{r.pred}, w))
			} else {
				require.NoError(t, weighed.ObserveWeighedClasses([]int{r.label}, r.p, w))
			}
		}
		require.EqualValues(t, len(rows), weighed.NumRows())
		require.EqualValues(t, len(rows), weighed.Detail(nil).Rows)
		if repeated.NumRows() == 0 {
			return
		}
		want, err := repeated.Report()
		require.NoError(t, err)
		got, err := weighed.Report()
		require.NoError(t, err)
		for i, v := range want {
			require.Equal(t, v.Name, got[i].Name)
			require.Equal(t, v.Undefined == "", got[i].Undefined == "", v.Name)
			// sums are exact, but for products that are rounded before they are added
			require.InDelta(t, v.Value, got[i].Value, 1e-14*max(1, math.Abs(v.Value)), v.Name)
		}
	})
}

func TestLossesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	newOne := func(task metrics.Task) *metrics.Evaluator {
		e, err := metrics.NewEvaluator(task, 2)
		require.NoError(t, err)
		return e
	}
	quantile := metrics.RowLoss{Kind: metrics.Pinball, Parameter: 0.5}
	for _, l := range []metrics.RowLoss{{Kind: "rank"}, {Kind: metrics.Pinball}, {Kind: metrics.Pinball, Parameter: 1}, {Kind: metrics.Huber}, {Kind: metrics.Huber, Parameter: math.Inf(1)}, {Parameter: 1}} {
		require.Error(t, newOne(metrics.Regression).Judge(l), l)
	}
	require.Error(t, newOne(metrics.Binary).Judge(quantile))
	used := newOne(metrics.Regression)
	require.NoError(t, used.ObserveValues([]float64{1}, []float64{2}))
	require.Error(t, used.Judge(quantile), "what it has seen would be missing")
	judged := newOne(metrics.Regression)
	require.NoError(t, judged.Judge(quantile))
	require.ErrorContains(t, judged.Merge(newOne(metrics.Regression)), `evaluators of a loss "quantile" of 0.5`)
	require.Equal(t, quantile, judged.Loss())
}

func TestWeightsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	newOne := func(unit float64) *metrics.Evaluator {
		e, err := metrics.NewEvaluator(metrics.Binary, 2)
		require.NoError(t, err)
		if unit > 0 {
			require.NoError(t, e.Weigh(unit))
		}
		return e
	}
	p := []float64{0.4, 0.6}
	unit := metrics.WeightUnit(10)
	assert.InDelta(t, math.Ldexp(1, 4-52), unit, 0)
	used := newOne(0)
	require.NoError(t, used.ObserveClasses([]int{1}, p))
	for message, err := range map[string]error{
		"0 weights for 1 rows":                  newOne(unit).ObserveClasses([]int{1}, p),
		"weights of rows for an evaluator":      newOne(0).ObserveWeighedClasses([]int{1}, p, []float64{1}),
		"the weight of row 0 is -1":             newOne(unit).ObserveWeighedClasses([]int{1}, p, []float64{-1}),
		"the weight of row 0 is NaN":            newOne(unit).ObserveWeighedClasses([]int{1}, p, []float64{math.NaN()}),
		"the weight of row 0 is 17":             newOne(unit).ObserveWeighedClasses([]int{1}, p, []float64{17}),
		"expected a power of two":               newOne(0).Weigh(3),
		"of an evaluator of 1 rows":             used.Weigh(1),
		"units of +Inf":                         newOne(0).Weigh(math.Inf(1)),
		"merge of rows that are weighed":        newOne(unit).Merge(newOne(0)),
		"rows that are not, or in another unit": newOne(unit).Merge(newOne(unit / 2)),
	} {
		require.ErrorContains(t, err, message)
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
	nothing := newOne(unit)
	require.NoError(t, nothing.ObserveWeighedClasses([]int{1}, p, []float64{0}))
	report, err := nothing.Report()
	require.NoError(t, err)
	assert.Equal(t, "auc: not defined by the rows that weigh more than 0", report[0].Undefined)
}

// What an encoded evaluator says of weights and of a loss must fit the rest of it.
func TestBytesOfWeightsAndLossesThatDoNotFitAreCorrupt(t *testing.T) {
	t.Parallel()
	newOne := func(task metrics.Task, classes int) *metrics.Evaluator {
		e, err := metrics.NewEvaluator(task, classes)
		require.NoError(t, err)
		return e
	}
	le := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	corrupt := func(e *metrics.Evaluator, after []byte, at int, to ...byte) {
		t.Helper()
		b := encode(t, e)
		require.NoError(t, new(metrics.Evaluator).UnmarshalBinary(b))
		i := bytes.Index(b, after)
		require.GreaterOrEqual(t, i, 0)
		copy(b[i+at:], to)
		err := new(metrics.Evaluator).UnmarshalBinary(b)
		require.Error(t, err)
		assert.Equal(t, fault.Corrupt, fault.Of(err))
	}
	unit := metrics.WeightUnit(10)
	weighed := newOne(metrics.Binary, 2)
	require.NoError(t, weighed.Weigh(unit))
	require.NoError(t, weighed.ObserveWeighedClasses([]int{1, 0}, []float64{0.4, 0.6, 0.3, 0.7}, []float64{2, 3}))
	corrupt(weighed, []byte(metrics.Binary), len(metrics.Binary), 10) // a part that nobody knows
	corrupt(weighed, le(unit), 0, le(3)...)
	corrupt(weighed, le(unit), 8, 1) // a row less than classes
	judged := newOne(metrics.Regression, 0)
	require.NoError(t, judged.Judge(metrics.RowLoss{Kind: metrics.Pinball, Parameter: 0.37}))
	require.NoError(t, judged.ObserveValues([]float64{1, 2, 3}, []float64{3, 2, 1}))
	corrupt(judged, le(0.37), -1, 9)         // the kind
	corrupt(judged, le(0.37), 0, le(1.5)...) // the quantile
	corrupt(judged, le(0.37), 8, 4)          // covered, of 3 rows
	corrupt(judged, le(0.37), 9, 5)          // the rows
}
