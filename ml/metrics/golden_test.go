package metrics_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/ml/metrics"
)

// golden is rows, and what scikit-learn makes of them: testdata/golden.py.
type golden struct {
	Task        metrics.Task
	Y, P        []float64
	W           []float64 // of rows with weights
	Loss        metrics.RowLoss
	Classes     int
	Want        map[string]float64
	Confusion   [][]int64
	Share, Mean []float64 // of the bins with rows
}

func readGolden(t *testing.T) (cases []golden) {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &cases))
	return cases
}

func (g golden) observe(t require.TestingT, e *metrics.Evaluator, from, to int) {
	if g.Task == metrics.Regression {
		require.NoError(t, e.ObserveWeighedValues(g.Y[from:to], g.P[from:to], g.weights(from, to)))
		return
	}
	var labels []int
	for _, y := range g.Y[from:to] {
		labels = append(labels, int(y))
	}
	k := max(g.Classes, 2)
	require.NoError(t, e.ObserveWeighedClasses(labels, g.P[from*k:to*k], g.weights(from, to)))
}

// weights returns those of some rows, nil without any.
func (g golden) weights(from, to int) []float64 {
	if g.W == nil {
		return nil
	}
	return g.W[from:to]
}

// evaluator returns one for rows like these.
func (g golden) evaluator(t require.TestingT) *metrics.Evaluator {
	e, err := metrics.NewFullEvaluator(g.Task, max(g.Classes, 2))
	require.NoError(t, err)
	if g.Loss.Kind != "" {
		require.NoError(t, e.Judge(g.Loss))
	}
	if g.W != nil {
		all := 0.0
		for _, w := range g.W {
			all += w
		}
		require.NoError(t, e.Weigh(metrics.WeightUnit(all)))
	}
	return e
}

func TestAllMetricsAreThoseOfScikitLearn(t *testing.T) {
	t.Parallel()
	for _, g := range readGolden(t) {
		e := g.evaluator(t)
		g.observe(t, e, 0, len(g.Y))
		report, err := e.Report()
		require.NoError(t, err)
		require.Len(t, report, len(g.Want))
		for name, want := range g.Want {
			got, err := report.Value(name)
			require.NoError(t, err)
			assert.InDelta(t, want, got, 1e-12, "%s of %s, %d rows", name, g.Task, len(g.Y))
		}
		names := []string{"a", "b", "c", "d", "e"}[:max(g.Classes, 2)]
		d := e.Detail(names)
		assert.Empty(t, d.Undefined)
		assert.EqualValues(t, len(g.Y), d.Rows)
		if g.Task != metrics.Regression {
			assert.Equal(t, g.Confusion, d.Confusion)
		}
		if g.Task == metrics.Binary {
			var share, mean []float64
			for _, b := range d.Calibration {
				if b.Rows > 0 {
					share, mean = append(share, b.Share), append(mean, b.Probability)
				}
			}
			assert.InDeltaSlice(t, g.Share, share, 1e-12)
			assert.InDeltaSlice(t, g.Mean, mean, 1e-12)
		}
	}
}

func TestFullEvaluatorsOfPartsMergeToTheBytesOfTheWhole(t *testing.T) {
	t.Parallel()
	cases := readGolden(t)
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.SampledFrom(cases).Draw(t, "rows")
		newOne := func() *metrics.Evaluator { return g.evaluator(t) }
		whole, merged := newOne(), newOne()
		g.observe(t, whole, 0, len(g.Y))
		var parts []*metrics.Evaluator
		for from := 0; from < len(g.Y); {
			to := min(from+rapid.IntRange(1, len(g.Y)).Draw(t, "rows"), len(g.Y))
			e := newOne()
			g.observe(t, e, from, to)
			back := &metrics.Evaluator{}
			require.NoError(t, back.UnmarshalBinary(encode(t, e)))
			parts, from = append(parts, back), to
		}
		for _, p := range rapid.Permutation(parts).Draw(t, "order") {
			require.NoError(t, merged.Merge(p))
		}
		require.Equal(t, encode(t, whole), encode(t, merged))
		a, err := whole.Report()
		require.NoError(t, err)
		b, err := merged.Report()
		require.NoError(t, err)
		require.Equal(t, a, b)
		require.Equal(t, whole.Detail(nil), merged.Detail(nil))
	})
}

func TestDamagedBytesOfFullEvaluatorsAreRefused(t *testing.T) {
	t.Parallel()
	for _, g := range readGolden(t) {
		e := g.evaluator(t)
		g.observe(t, e, 0, 5)
		whole := encode(t, e)
		for n := range whole {
			require.Error(t, new(metrics.Evaluator).UnmarshalBinary(whole[:n]))
		}
		require.Error(t, new(metrics.Evaluator).UnmarshalBinary(append(whole, 0)))
		rapid.Check(t, func(t *rapid.T) {
			b := append([]byte(nil), whole...)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
			var back metrics.Evaluator
			if back.UnmarshalBinary(b) == nil {
				_, _ = back.Report() // whatever it says, it must not panic
				back.Detail([]string{"a", "b"})
			}
		})
	}
}

func TestWhatAFullReportCannotSayHasAReason(t *testing.T) {
	t.Parallel()
	e, err := metrics.NewFullEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	require.NoError(t, e.ObserveClasses([]int{0, 0}, []float64{.5, .5, .75, .25}))
	reasons := e.Detail([]string{"no", "yes"}).Undefined
	assert.Equal(t, map[string]string{
		"auc":               "auc: not defined: 0 positive and 2 negative rows, at least one of each is needed",
		"average_precision": "average_precision: not defined: none of the 2 rows is positive",
		"precision":         "precision: not defined: none of the 2 rows is predicted as class 1",
		"recall":            "recall: not defined: none of the 2 rows is of class 1",
		"f1":                "f1: not defined: none of the 2 rows is of class 1 or predicted as it",
	}, reasons)
	three, err := metrics.NewFullEvaluator(metrics.Multiclass, 3)
	require.NoError(t, err)
	require.NoError(t, three.ObserveClasses([]int{0, 1}, []float64{.5, .3, .2, .1, .8, .1}))
	d := three.Detail([]string{"a", "b", "c"})
	assert.Equal(t, map[string]string{"auc_ovr": "auc_ovr: not defined: of 2 rows, 0 are of class 2"}, d.Undefined)
	assert.Nil(t, d.Classes[2].AUC)
	assert.NotNil(t, d.Classes[0].AUC)
	many, err := metrics.NewFullEvaluator(metrics.Multiclass, metrics.MaxDetailed+1)
	require.NoError(t, err)
	require.NoError(t, many.ObserveClasses([]int{0}, append([]float64{1}, make([]float64, metrics.MaxDetailed)...)))
	assert.Contains(t, many.Detail(make([]string, metrics.MaxDetailed+1)).Undefined["confusion"], "51 classes, and at most 50")
	plain, err := metrics.NewEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	require.ErrorContains(t, e.Merge(plain), "full evaluator and one that is not")
}

func TestBinsEndWithTheirUpperBound(t *testing.T) {
	t.Parallel()
	for bin := range 10 {
		var c metrics.Calibration
		c.Add(float64(bin+1)/10, true)
		bins := c.Bins()
		assert.EqualValues(t, 1, bins[bin].Rows)
		assert.InDelta(t, float64(bin+1)/10, bins[bin].UpTo, 0)
	}
	var c metrics.Calibration
	c.Add(0, false)
	assert.EqualValues(t, 1, c.Bins()[0].Rows)
	_, err := new(metrics.Calibration).Error()
	require.ErrorContains(t, err, "no rows")
}

func TestEveryMetricHasADirection(t *testing.T) {
	t.Parallel()
	for _, task := range []metrics.Task{metrics.Binary, metrics.Multiclass, metrics.Regression} {
		assert.Subset(t, task.AllNames(), task.Names())
		for _, name := range task.AllNames() {
			_, err := metrics.Maximize(name)
			require.NoError(t, err, name)
		}
	}
	more, err := metrics.Maximize("median_absolute_error")
	require.NoError(t, err)
	assert.False(t, more)
}

func TestEqualRowsAtOnceAreThoseOneByOne(t *testing.T) {
	t.Parallel()
	for task, p := range map[metrics.Task][]float64{metrics.Binary: {.3, .7}, metrics.Multiclass: {.2, .5, .3}} {
		one, err := metrics.NewFullEvaluator(task, len(p))
		require.NoError(t, err)
		times, err := metrics.NewFullEvaluator(task, len(p))
		require.NoError(t, err)
		for label, n := range []int64{0, 13} {
			for range n {
				require.NoError(t, one.ObserveClasses([]int{label}, p))
			}
			require.NoError(t, times.ObserveClassTimes(label, p, n))
		}
		require.Equal(t, encode(t, one), encode(t, times))
		require.ErrorContains(t, times.ObserveClassTimes(0, p, -1), "-1 rows")
		require.ErrorContains(t, times.ObserveClassTimes(7, p, 1), "class 7")
	}
	number, err := metrics.NewFullEvaluator(metrics.Regression, 0)
	require.NoError(t, err)
	require.ErrorContains(t, number.ObserveClassTimes(0, []float64{1}, 1), "regression")
}
