package neural

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// The goldens are those of testdata/losses.py.
func TestWeightedLossesAreThoseOfPyTorch(t *testing.T) {
	t.Parallel()
	runLosses(t, "testdata/losses.json")
}

// The goldens are those of testdata/regressions.py.
func TestLossesOfRegressionsAreThoseOfPyTorch(t *testing.T) {
	t.Parallel()
	runLosses(t, "testdata/regressions.json")
}

// A network that minimises a pinball loss predicts a quantile: about so many rows are
// below.
func TestAQuantileCoversItsShareOfRows(t *testing.T) {
	t.Parallel()
	for _, q := range []float64{0.1, 0.8} {
		c := DefaultConfig()
		c.Hidden, c.Epochs, c.BatchSize, c.Optimizer.LearningRate = []int{16}, 40, 100, 0.01
		c.Loss.Row = metrics.RowLoss{Kind: metrics.Pinball, Parameter: q}
		c.EarlyStopping = &EarlyStopping{Metric: "pinball_loss", Patience: 50}
		train, validation := linear(1, 3000), linear(2, 1000)
		for _, table := range []models.Table{train, validation} {
			r := rng.New(uint64(table.NumRows), "noise")
			for i := range table.Y {
				table.Y[i] += float32(100 * r.NormFloat64())
			}
		}
		var last models.Epoch
		fitSolo(t, c, regression, train, validation, models.Options{Epoch: func(e models.Epoch) { last = e }})
		covered, err := last.Validation.Value("coverage")
		require.NoError(t, err)
		assert.InDelta(t, q, covered, 0.07)
		loss, err := last.Validation.Value("pinball_loss")
		require.NoError(t, err)
		assert.InEpsilon(t, loss, last.Loss, 0.2)
	}
}

// runLosses holds losses against those of PyTorch.
func runLosses(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []struct {
		golden
		Settings Loss
	}
	require.NoError(t, json.Unmarshal(text, &all))
	require.NotEmpty(t, all)
	for _, g := range all {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			c := g.config()
			c.Optimizer, c.Loss = Optimizer{Type: SGD, LearningRate: 0.05, Momentum: 0.9}, g.Settings
			g.run(t, c)
		})
	}
}

// As the loss is divided by what its rows weigh, a common factor changes nothing,
// however large or small, and equal weights are none.
func TestOnlyTheProportionOfClassWeightsCounts(t *testing.T) {
	t.Parallel()
	three := models.Problem{Task: metrics.Multiclass, NumClasses: 3}
	fit := func(weights ...float64) string {
		c := DefaultConfig()
		c.Hidden, c.Epochs, c.BatchSize = []int{8}, 2, 700
		c.Loss.ClassWeights = weights
		return must(fitSolo(t, c, three, blobs(1, 1500, 5, 3), blobs(2, 100, 5, 3), models.Options{}).MarshalBinary())
	}
	want := fit(3, 1, 0.5)
	for _, factor := range []float64{1.0 / (1 << 30), 1.0 / (1 << 10), 1 << 17} {
		assert.Equal(t, want, fit(3*factor, factor, 0.5*factor), factor)
	}
	assert.NotEqual(t, want, fit(3, 1, 0.25))
}

func TestBalancedClassesCountTheTrainingRows(t *testing.T) {
	t.Parallel()
	train := models.Table{NumRows: 8, NumFeatures: 1, X: make([]float32, 8), Y: []float32{0, 0, 0, 0, 0, 0, 2, 2}}
	for _, table := range []models.Table{train, elsewhere(train, 1<<30)} {
		o, err := newObjective(Loss{Balanced: true}, 4, table)
		require.NoError(t, err)
		// scikit-learn's n / (classes * count) is 1/3, -, 1 and -; what a row weighs has a mean of 1/2
		assert.InDeltaSlice(t, []float64{1.0 / 3, 1, 1, 1}, o.weights, 1e-15)
	}
	o, err := newObjective(Loss{}, 4, train)
	require.NoError(t, err)
	assert.Nil(t, o)
}

// A batch of rows that weigh nothing has no gradient and no loss.
func TestRowsThatWeighNothingTeachNothing(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{100, 1500} { // a shard, and several
		train := blobs(1, 2*rows, 5, 3)
		for i := range train.Y {
			train.Y[i] = float32(i / rows) // a class in each half
		}
		c := DefaultConfig()
		c.Hidden, c.BatchSize, c.Loss.ClassWeights, c.Optimizer = nil, rows, []float64{0, 1, 1}, Optimizer{Type: SGD, LearningRate: 0.1}
		e, err := New(c, models.Problem{Task: metrics.Multiclass, NumClasses: 3})
		require.NoError(t, err)
		f, err := e.newFit(collective.Solo{}, train, models.Table{}, models.Options{})
		require.NoError(t, err)
		defer f.crew.close()
		f.order.begin(1, 1)
		for i := range f.order.list {
			f.order.list[i] = uint32(i)
		}
		before := append([]float32(nil), f.weights...)
		require.NoError(t, f.step(t.Context()))
		assert.Equal(t, before, f.weights)
		assert.Zero(t, f.meanLoss())
		f.batch++
		require.NoError(t, f.step(t.Context()))
		assert.NotEqual(t, before, f.weights)
		assert.Positive(t, f.meanLoss())
	}
}

func TestClassesThatAllWeighNothingAreRefused(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Loss.ClassWeights = []float64{0, 0}
	e, err := New(c, twoClasses)
	require.NoError(t, err)
	_, err = e.Fit(t.Context(), collective.Solo{}, xor(1, 100), models.Table{}, models.Options{})
	require.ErrorContains(t, err, "every class of the training rows weighs 0")
	assert.Equal(t, fault.Invalid, fault.Of(err))
}
