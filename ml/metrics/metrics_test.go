package metrics_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// pairsAUC is the definition: every pair of a positive and a negative row.
func pairsAUC(scores []float64, positive []bool) *big.Rat {
	var won, pairs int64
	for i := range scores {
		for j := range scores {
			if !positive[i] || positive[j] {
				continue
			}
			pairs += 2
			switch {
			case scores[i] > scores[j]:
				won += 2
			case scores[i] == scores[j]:
				won++
			}
		}
	}
	return big.NewRat(won, pairs)
}

func TestAUCIsTheShareOfPairsInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		score := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 0.5, 1}))
		scores := rapid.SliceOfN(score, 2, 60).Draw(t, "scores")
		positive := rapid.SliceOfN(rapid.Bool(), len(scores), len(scores)).Draw(t, "positive")
		positive[0], positive[1] = true, false
		var a metrics.AUC
		cut := rapid.IntRange(0, len(scores)).Draw(t, "cut")
		var rest metrics.AUC
		require.NoError(t, a.Observe(scores[:cut], positive[:cut]))
		require.NoError(t, rest.Observe(scores[cut:], positive[cut:]))
		a.Merge(&rest)
		got, err := a.Value()
		require.NoError(t, err)
		want, _ := pairsAUC(scores, positive).Float64()
		require.Equal(t, want, got) //nolint:testifylint // to the last bit
	})
}

func TestAUCOfManyRowsIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	var up, down metrics.AUC
	const n = 50_000
	for i := range n {
		j := n - 1 - i
		require.NoError(t, up.Observe([]float64{float64(i * 7919 % 10007)}, []bool{i%3 == 0}))
		require.NoError(t, down.Observe([]float64{float64(j * 7919 % 10007)}, []bool{j%3 == 0}))
	}
	a, err := up.Value()
	require.NoError(t, err)
	b, err := down.Value()
	require.NoError(t, err)
	assert.Equal(t, math.Float64bits(a), math.Float64bits(b))
	assert.InDelta(t, 0.5, a, 0.01)
}

// The examples and values are those of scikit-learn's documentation (R2, there
// ...679, here correctly rounded).
func TestValuesAreThoseOfScikitLearn(t *testing.T) {
	t.Parallel()
	binary, err := metrics.NewEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	require.NoError(t, binary.ObserveClasses([]int{0, 0, 1, 1}, []float64{.9, .1, .6, .4, .65, .35, .2, .8}))
	report, err := binary.Report()
	require.NoError(t, err)
	b, err := json.Marshal(report)
	require.NoError(t, err)
	assert.JSONEq(t, `{"auc":0.75,"log_loss":0.47228795380917615,"accuracy":0.75}`, string(b))

	spam, err := metrics.NewEvaluator(metrics.Multiclass, 2)
	require.NoError(t, err)
	require.NoError(t, spam.ObserveClasses([]int{1, 0, 0, 1}, []float64{.1, .9, .9, .1, .8, .2, .35, .65}))
	report, err = spam.Report()
	require.NoError(t, err)
	loss, err := report.Value("log_loss")
	require.NoError(t, err)
	assert.InDelta(t, 0.21616187468057912, loss, 1e-16)

	c, err := metrics.NewConfusion(3)
	require.NoError(t, err)
	require.NoError(t, c.Observe([]int{0, 1, 2, 0, 1, 2}, []int{0, 2, 1, 0, 0, 1}))
	f1, err := c.MacroF1()
	require.NoError(t, err)
	assert.InDelta(t, 0.26666666666666666, f1, 1e-16)

	var brier metrics.Mean
	for i, p := range []float64{0.1, 0.9, 0.8, 0.3} {
		brier.Add(metrics.Brier(p, i == 1 || i == 2))
	}
	v, err := brier.Value()
	require.NoError(t, err)
	assert.InDelta(t, 0.0375, v, 1e-16)

	var e metrics.Errors
	require.NoError(t, e.Observe([]float64{3, -0.5, 2, 7}, []float64{2.5, 0, 2, 8}))
	r2, err := e.R2()
	require.NoError(t, err)
	rmse, err := e.RMSE()
	require.NoError(t, err)
	mae, err := e.MAE()
	require.NoError(t, err)
	assert.Equal(t, []float64{0.9486081370449678, 0.6123724356957945, 0.5}, []float64{r2, rmse, mae})
}

func TestR2SurvivesAMeanFarFromZero(t *testing.T) {
	t.Parallel()
	var near, far metrics.Errors
	truth, predicted := []float64{0, 1, 2, 3}, []float64{0, 1, 2, 4}
	require.NoError(t, near.Observe(truth, predicted))
	const away = 1 << 52
	for i := range truth {
		truth[i] += away
		predicted[i] += away
	}
	require.NoError(t, far.Observe(truth, predicted))
	a, err := near.R2()
	require.NoError(t, err)
	b, err := far.R2()
	require.NoError(t, err)
	assert.Equal(t, math.Float64bits(a), math.Float64bits(b))
}

func TestWhatIsNotDefinedSaysWhy(t *testing.T) {
	t.Parallel()
	e, err := metrics.NewEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	_, err = e.Report()
	require.ErrorContains(t, err, "no rows")
	require.NoError(t, e.ObserveClasses([]int{1, 1}, []float64{.5, .5, .25, .75}))
	report, err := e.Report()
	require.NoError(t, err)
	b, err := json.Marshal(report)
	require.NoError(t, err)
	assert.Contains(t, string(b), `{"auc":null,"log_loss":0.49`)
	_, err = report.Value("auc")
	require.ErrorContains(t, err, "2 positive and 0 negative rows")
	assert.Equal(t, fault.Invalid, fault.Of(err))
	accuracy, err := report.Value("accuracy")
	require.NoError(t, err)
	assert.InDelta(t, 0.5, accuracy, 0, "a tie goes to class 0")
	_, err = report.Value("rmse")
	assert.Equal(t, fault.NotFound, fault.Of(err))

	var constant metrics.Errors
	require.NoError(t, constant.Observe([]float64{.1, .1, .1}, []float64{1, 2, 3}))
	_, err = constant.R2()
	require.ErrorContains(t, err, "all 3 rows are equal")
}

func TestBadRowsAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	e, err := metrics.NewEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	nan := math.NaN()
	for want, f := range map[string]func() error{
		"class 2 in row 1":               func() error { return e.ObserveClasses([]int{0, 2}, []float64{1, 0, 1, 0}) },
		"class -1 in row 0":              func() error { return e.ObserveClasses([]int{-1}, []float64{1, 0}) },
		"class 1 in row 1 is NaN":        func() error { return e.ObserveClasses([]int{0, 1}, []float64{1, 0, 1, nan}) },
		"is 1.5, expected 0 to 1":        func() error { return e.ObserveClasses([]int{0}, []float64{1.5, 0}) },
		"3 probabilities for 2 rows":     func() error { return e.ObserveClasses([]int{0, 1}, []float64{1, 0, 1}) },
		"values observed for a binary":   func() error { return e.ObserveValues([]float64{1}, []float64{1}) },
		"prediction of row 1 is NaN":     func() error { return new(metrics.Errors).Observe([]float64{1, 2}, []float64{1, nan}) },
		"true value of row 0 is +Inf":    func() error { return new(metrics.Errors).Observe([]float64{math.Inf(1)}, []float64{1}) },
		"is beyond":                      func() error { return new(metrics.Errors).Observe([]float64{1e200}, []float64{1}) },
		"auc: score of row 0 is NaN":     func() error { return new(metrics.AUC).Observe([]float64{nan}, []bool{true}) },
		"auc: 1 scores for 0 labels":     func() error { return new(metrics.AUC).Observe([]float64{1}, nil) },
		"a binary task of 3 classes":     func() error { _, err := metrics.NewEvaluator(metrics.Binary, 3); return err },
		`unknown task "rank"`:            func() error { _, err := metrics.NewEvaluator("rank", 3); return err },
		"a multiclass task of 1 classes": func() error { _, err := metrics.NewEvaluator(metrics.Multiclass, 1); return err },
	} {
		err := f()
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.Invalid, fault.Of(err), want)
	}
	assert.Zero(t, e.NumRows())
}

func TestTheAreaOfManyRowsIsExact(t *testing.T) {
	t.Parallel()
	var a metrics.AUC
	require.NoError(t, a.Observe([]float64{0, 1, 0.5, 0.5, 0.25}, []bool{false, true, true, false, true}))
	for range 50 { // then the pairs are more than 64 bits hold
		v, err := a.Value()
		require.NoError(t, err)
		require.Equal(t, float64(2+1.5+1)/6, v)
		a.Merge(&a)
	}
}
