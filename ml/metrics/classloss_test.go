package metrics_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// judgedClasses returns an evaluator of three classes and a loss of them.
func judgedClasses(t require.TestingT, smoothing float64, weights ...float64) *metrics.Evaluator {
	e, err := metrics.NewEvaluator(metrics.Multiclass, len(weights))
	require.NoError(t, err)
	require.NoError(t, e.JudgeClasses(metrics.ClassLoss{Weights: weights, Smoothing: smoothing}))
	return e
}

func valueOf(t require.TestingT, e *metrics.Evaluator, name string) float64 {
	r, err := e.Report()
	require.NoError(t, err)
	v, err := r.Value(name)
	require.NoError(t, err)
	return v
}

// By hand: rows of class 0 and 2, of weights 1 and 10, predicted with 1/2 and 1/4.
func TestTheLossOfClassesIsThatOfTheirWeights(t *testing.T) {
	t.Parallel()
	rows := func(e *metrics.Evaluator) *metrics.Evaluator {
		require.NoError(t, e.ObserveClasses([]int{0, 2}, []float64{0.5, 0.25, 0.25, 0.5, 0.25, 0.25}))
		return e
	}
	e := rows(judgedClasses(t, 0, 1, 3, 10))
	assert.InDelta(t, (1*math.Log(2)+10*math.Log(4))/11, valueOf(t, e, "loss"), 1e-15)
	assert.InDelta(t, (math.Log(2)+math.Log(4))/2, valueOf(t, e, "log_loss"), 1e-15, "which knows nothing of weights")

	// Of a smoothing of 0.3 each class has a share of 0.1, times its weight: of both rows
	// 0.1 (1 log 2 + 3 log 4 + 10 log 4).
	e = rows(judgedClasses(t, 0.3, 1, 3, 10))
	spread := 0.1 * (math.Log(2) + 13*math.Log(4))
	assert.InDelta(t, (0.7*math.Log(2)+spread+7*math.Log(4)+spread)/11, valueOf(t, e, "loss"), 1e-15)

	// Rows that weigh 1 and 3 are one and three rows.
	weighed := judgedClasses(t, 0, 1, 3, 10)
	require.NoError(t, weighed.Weigh(metrics.WeightUnit(4)))
	require.NoError(t, weighed.ObserveWeighedClasses([]int{0, 2}, []float64{0.5, 0.25, 0.25, 0.5, 0.25, 0.25}, []float64{1, 3}))
	assert.InDelta(t, (1*math.Log(2)+30*math.Log(4))/31, valueOf(t, weighed, "loss"), 1e-15)
}

func TestShardsOfALossOfClassesMergeInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t, 3)
		newOne := func() *metrics.Evaluator { return judgedClasses(t, 0.1, 0.5, 1e6, 3) }
		whole, merged := newOne(), newOne()
		observe(t, whole, rows...)
		shards := []*metrics.Evaluator{newOne(), newOne()}
		for _, r := range rapid.Permutation(rows).Draw(t, "order") {
			observe(t, shards[rapid.IntRange(0, 1).Draw(t, "shard")], r)
		}
		for _, s := range rapid.Permutation(shards).Draw(t, "merge order") {
			var back metrics.Evaluator
			require.NoError(t, back.UnmarshalBinary(encode(t, s)))
			require.NoError(t, merged.Merge(&back))
		}
		require.Equal(t, encode(t, whole), encode(t, merged))
		require.Equal(t, valueOf(t, whole, "loss"), valueOf(t, merged, "loss")) //nolint:testifylint // to the bit
	})
}

func TestLossesOfClassesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	newOne := func(task metrics.Task) *metrics.Evaluator {
		e, err := metrics.NewEvaluator(task, 2)
		require.NoError(t, err)
		return e
	}
	for _, l := range []metrics.ClassLoss{
		{}, {Weights: []float64{1}}, {Weights: []float64{1, -1}}, {Weights: []float64{1, math.NaN()}}, {Weights: []float64{1, math.Inf(1)}},
		{Weights: []float64{1, 1}, Smoothing: 1}, {Weights: []float64{1, 1}, Smoothing: -0.1}, {Weights: []float64{1, 1}, Smoothing: math.NaN()},
	} {
		require.Error(t, newOne(metrics.Binary).JudgeClasses(l), l)
	}
	fine := metrics.ClassLoss{Weights: []float64{1, 0}}
	require.Error(t, newOne(metrics.Regression).JudgeClasses(fine))
	used := newOne(metrics.Binary)
	require.NoError(t, used.ObserveClasses([]int{1}, []float64{0.5, 0.5}))
	require.Error(t, used.JudgeClasses(fine), "what it has seen would be missing")

	e := newOne(metrics.Binary)
	require.NoError(t, e.JudgeClasses(fine))
	for _, o := range []metrics.ClassLoss{{Weights: []float64{1, 1}}, {Weights: []float64{1, 0}, Smoothing: 0.5}} {
		other := newOne(metrics.Binary)
		require.NoError(t, other.JudgeClasses(o))
		require.ErrorContains(t, e.Merge(other), "other weights of classes")
	}
	require.ErrorContains(t, e.Merge(newOne(metrics.Binary)), "other weights of classes")
	require.ErrorContains(t, newOne(metrics.Binary).Merge(e), "other weights of classes")
	require.NoError(t, e.ObserveClasses([]int{1}, []float64{0.5, 0.5}))
	r, err := e.Report()
	require.NoError(t, err)
	_, err = r.Value("loss")
	require.ErrorContains(t, err, "every class of the rows weighs 0")

	b := encode(t, e)
	for n := range b {
		err := new(metrics.Evaluator).UnmarshalBinary(b[:n])
		require.Equal(t, fault.Corrupt, fault.Of(err), n)
	}
}
