package neural

import (
	"encoding/json"
	"math"
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

// What steers training, the best epoch and the learning rate, is the loss with its
// weights of classes and smoothing, as PyTorch's users have one criterion for both.
func TestTheLossOfValidationHasTheWeightsOfClasses(t *testing.T) {
	t.Parallel()
	problem := models.Problem{Task: metrics.Multiclass, NumClasses: 3}
	train, validation := blobs(1, 600, 2, 3), blobs(2, 300, 2, 3)
	for i := range train.Y { // some rows are what they do not look like
		if i%7 == 0 {
			train.Y[i] = float32(int(train.Y[i]+1) % 3)
		}
	}
	c := DefaultConfig()
	c.Hidden, c.Epochs, c.BatchSize, c.Optimizer.LearningRate = []int{32}, 20, 50, 0.03
	c.Loss = Loss{ClassWeights: []float64{8, 0.5, 1}, LabelSmoothing: 0.1}
	c.Scheduler = Scheduler{Type: ReduceOnPlateau, Factor: 0.5, Patience: 0}
	fit := func(l Loss) (epochs []models.Epoch) {
		c.Loss = l
		fitSolo(t, c, problem, train, validation, models.Options{Epoch: func(e models.Epoch) { epochs = append(epochs, e) }})
		return epochs
	}
	epochs := fit(c.Loss)
	least, leastLog, rate, differ := math.Inf(1), math.Inf(1), c.Optimizer.LearningRate, false
	for _, e := range epochs {
		loss, err := e.Validation.Value("loss")
		require.NoError(t, err)
		logLoss, err := e.Validation.Value("log_loss")
		require.NoError(t, err)
		assert.InDelta(t, rate, e.LearningRate, 1e-12, "epoch %d", e.Number)
		assert.Equal(t, loss < least, e.Best, "epoch %d", e.Number)
		differ = differ || (loss < least) != (logLoss < leastLog)
		if loss >= least {
			rate /= 2
		}
		least, leastLog = min(least, loss), min(leastLog, logLoss)
	}
	require.True(t, differ, "both losses choose alike, so nothing is shown")

	_, err := fit(Loss{})[0].Validation.Value("loss")
	require.ErrorContains(t, err, `no "loss"`, "without weights of classes it is the log loss")
}

// Validation rows of classes that weigh nothing have no loss to steer by.
func TestValidationRowsThatWeighNothingAreRefused(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Epochs, c.Loss.ClassWeights = 1, []float64{0, 1}
	validation := xor(2, 50)
	clear(validation.Y)
	err := refused(t, c, twoClasses, xor(1, 300), validation, models.Options{})
	require.ErrorContains(t, err, "the validation rows have no loss")
	require.ErrorContains(t, err, "every class of the rows weighs 0")
	require.Equal(t, fault.Invalid, fault.Of(err))
}
