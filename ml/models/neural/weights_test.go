package neural

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// weighted gives rows whole numbers as weights, 0 to 4.
func weighted(t models.Table) models.Table {
	r := rng.New(5, "weights")
	t.Weighted = true
	for range t.NumRows {
		t.W = append(t.W, float32(r.IntN(5)))
	}
	return t
}

// repeated has each row as often as it weighs.
func repeated(t models.Table) models.Table {
	out := models.Table{NumFeatures: t.NumFeatures}
	for i, w := range t.W {
		for range int(w) {
			out.X, out.Y = append(out.X, t.Row(i)...), append(out.Y, t.Y[i])
			out.NumRows++
		}
	}
	return out
}

// The goldens are those of testdata/weights.py.
func TestRowsWithWeightsAreThoseOfPyTorch(t *testing.T) {
	t.Parallel()
	runLosses(t, "testdata/weights.json")
}

// Each weight is as good as so many rows: of a linear model, whose rows are not cut
// into batches, up to rounding.
func TestARowThatWeighsThreeIsThreeRows(t *testing.T) {
	t.Parallel()
	three := models.Problem{Task: metrics.Multiclass, NumClasses: 3}
	for _, c := range []struct {
		problem           models.Problem
		train, validation models.Table
	}{
		{twoClasses, xor(1, 700), xor(2, 300)}, {three, blobs(1, 700, 4, 3), blobs(2, 300, 4, 3)}, {regression, linear(1, 700), linear(2, 300)},
	} {
		train, validation := weighted(c.train), weighted(c.validation)
		var weighs, repeats []models.Epoch
		a := fitLinear(t, DefaultLinearConfig(), c.problem, train, validation, 1, 1, func(e models.Epoch) { weighs = append(weighs, e) })
		b := fitLinear(t, DefaultLinearConfig(), c.problem, repeated(train), repeated(validation), 1, 1, func(e models.Epoch) { repeats = append(repeats, e) })
		assert.InDelta(t, b.target.mean, a.target.mean, 1e-12*math.Abs(b.target.mean))
		assert.InDelta(t, b.target.std, a.target.std, 1e-12*b.target.std)
		n := c.validation.NumRows
		said, wanted := make([]float32, n*c.problem.NumOutputs()), make([]float32, n*c.problem.NumOutputs())
		require.NoError(t, a.Predict(c.validation.X, n, said))
		require.NoError(t, b.Predict(c.validation.X, n, wanted))
		assert.InDeltaSlice(t, wanted, said, 1e-3*a.target.std)
		last, want := weighs[len(weighs)-1], repeats[len(repeats)-1]
		assert.InEpsilon(t, want.Loss, last.Loss, 1e-4)
		for i, v := range want.Validation {
			assert.InDelta(t, v.Value, last.Validation[i].Value, 1e-4*max(1, math.Abs(v.Value)), v.Name)
		}
	}
}

// As the loss is divided by what rows weigh, a common factor changes nothing.
func TestOnlyTheProportionOfWeightsCounts(t *testing.T) {
	t.Parallel()
	fit := func(factor float32, p models.Problem, train, validation models.Table) string {
		for _, table := range []*models.Table{&train, &validation} {
			*table = weighted(*table)
			for i := range table.W {
				table.W[i] *= factor
			}
		}
		c := DefaultConfig()
		c.Hidden, c.Epochs, c.BatchSize = []int{8}, 2, 700
		return must(fitSolo(t, c, p, train, validation, models.Options{}).MarshalBinary())
	}
	for _, p := range []models.Problem{twoClasses, regression} {
		table := func(seed uint64) models.Table {
			if p == twoClasses {
				return xor(seed, 1500)
			}
			return linear(seed, 1500)
		}
		want := fit(1, p, table(1), table(2))
		for _, factor := range []float32{1.0 / (1 << 30), 1 << 40} {
			assert.Equal(t, want, fit(factor, p, table(1), table(2)), "%v", factor)
		}
	}
}

func TestWeightsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	nothing := weighted(xor(1, 100))
	clear(nothing.W)
	change := func(w float32) models.Table {
		table := weighted(xor(1, 100))
		table.W[7] = w
		return table
	}
	short := weighted(xor(1, 100))
	short.W = short.W[:99]
	for message, c := range map[string]struct{ train, validation models.Table }{
		"every training row weighs 0":                               {nothing, models.Table{}},
		"every validation row weighs 0":                             {change(1), nothing},
		"only some have weights":                                    {change(1), xor(1, 100)},
		"the weight of training row 7 is -1, expected a finite":     {change(-1), models.Table{}},
		"the weight of training row 7 is NaN, expected a finite":    {change(float32(math.NaN())), models.Table{}},
		"the weight of validation row 7 is +Inf, expected a finite": {change(1), change(float32(math.Inf(1)))},
		"100 targets and 99 weights":                                {short, models.Table{}},
	} {
		err := refused(t, DefaultConfig(), twoClasses, c.train, c.validation, models.Options{})
		assert.ErrorContains(t, err, message)
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
}

// Rows that weigh nothing are not learned from and not measured.
func TestRowsThatWeighNothingAreNotMeasured(t *testing.T) {
	t.Parallel()
	some, all := weighted(linear(2, 300)), linear(2, 300)
	for i := range some.W {
		some.W[i] = float32(i % 2)
	}
	half := models.Table{NumFeatures: 3}
	for i := range all.NumRows {
		if i%2 == 1 {
			half.X, half.Y, half.NumRows = append(half.X, all.Row(i)...), append(half.Y, all.Y[i]), half.NumRows+1
		}
	}
	c := DefaultConfig()
	c.Epochs = 1
	e, err := New(c, regression)
	require.NoError(t, err)
	train := linear(1, 500)
	flat := train
	flat.Weighted, flat.W = true, make([]float32, train.NumRows)
	for i := range flat.W {
		flat.W[i] = 2
	}
	f, err := e.newFit(collective.Solo{}, flat, some, models.Options{})
	require.NoError(t, err)
	defer f.crew.close()
	g, err := e.newFit(collective.Solo{}, train, half, models.Options{})
	require.NoError(t, err)
	defer g.crew.close()
	require.NoError(t, f.run(t.Context()))
	require.NoError(t, g.run(t.Context()))
	require.InDeltaSlice(t, g.weights, f.weights, 1e-6, "equal weights are none, but for the rounding of sums")
	for i, v := range g.history[0].Validation {
		require.InDelta(t, v.Value, f.history[0].Validation[i].Value, 1e-5, v.Name)
	}
	require.InEpsilon(t, g.history[0].Loss, f.history[0].Loss, 1e-9)
}
