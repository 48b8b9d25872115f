package neural

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// blobs is rows around one centre for each class.
func blobs(seed uint64, numRows, numFeatures, numClasses int) models.Table {
	r := rng.New(seed, "rows")
	c := rng.New(99, "centres")
	centres := make([]float64, numClasses*numFeatures)
	for i := range centres {
		centres[i] = 3 * c.NormFloat64()
	}
	t := models.Table{NumRows: numRows, NumFeatures: numFeatures}
	for i := range numRows {
		class := i % numClasses
		t.Y = append(t.Y, float32(class))
		for k := range numFeatures {
			t.X = append(t.X, float32(centres[class*numFeatures+k]+r.NormFloat64()))
		}
	}
	return t
}

// linear is rows of a linear function with a little noise.
func linear(seed uint64, numRows int) models.Table {
	r := rng.New(seed, "rows")
	t := models.Table{NumRows: numRows, NumFeatures: 3}
	for range numRows {
		a, b, c := r.NormFloat64(), r.NormFloat64(), r.NormFloat64()
		t.X = append(t.X, float32(a), float32(b), float32(c))
		t.Y = append(t.Y, float32(1000+50*(2*a-3*b+0.5*c+0.01*r.NormFloat64())))
	}
	return t
}

func xor(seed uint64, numRows int) models.Table {
	r := rng.New(seed, "rows")
	t := models.Table{NumRows: numRows, NumFeatures: 2}
	for range numRows {
		a, b := r.NormFloat64(), r.NormFloat64()
		t.X = append(t.X, float32(a), float32(b))
		y := float32(0)
		if a*b > 0 {
			y = 1
		}
		t.Y = append(t.Y, y)
	}
	return t
}

// coded is blobs of seven features, of which two are codes, of 9 and 5 categories.
func coded(seed uint64, numRows int) models.Table {
	t, r := blobs(seed, numRows, 7, 3), rng.New(seed, "codes")
	for i := range numRows {
		t.Row(i)[2] = float32((int(t.Y[i]) + r.IntN(2)) % 8)
		t.Row(i)[4] = float32(r.IntN(4))
	}
	return t
}

var (
	twoClasses = models.Problem{Task: metrics.Binary, NumClasses: 2}
	regression = models.Problem{Task: metrics.Regression}
)

func fitSolo(t *testing.T, c Config, p models.Problem, train, validation models.Table, o models.Options) models.Model {
	t.Helper()
	e, err := New(c, p)
	require.NoError(t, err)
	m, err := e.Fit(t.Context(), collective.Solo{}, train, validation, o)
	require.NoError(t, err)
	return m
}

// score returns a metric of the model's predictions.
func score(t *testing.T, m models.Model, table models.Table, metric string) float64 {
	t.Helper()
	p := m.Problem()
	e, err := metrics.NewEvaluator(p.Task, p.NumClasses)
	require.NoError(t, err)
	out := make([]float32, table.NumRows*p.NumOutputs())
	require.NoError(t, m.Predict(table.X, table.NumRows, out))
	require.NoError(t, newObserver(p, table.NumRows)(e, models.Block{Y: table.Y}, out))
	v, _, err := measure(e, metric)
	require.NoError(t, err)
	return v
}

func TestLearnsXor(t *testing.T) {
	t.Parallel()
	for _, activation := range []Activation{ReLU, Tanh, Sigmoid, GELU, SiLU} {
		c := DefaultConfig()
		c.Hidden, c.Activation, c.Epochs, c.BatchSize = []int{16, 8}, activation, 60, 100
		c.Optimizer.LearningRate = 0.02
		m := fitSolo(t, c, twoClasses, xor(1, 1000), models.Table{}, models.Options{Threads: 2})
		assert.Greater(t, score(t, m, xor(2, 1000), "accuracy"), 0.95, activation)
	}
}

func TestLearnsBlobsWithDropout(t *testing.T) {
	t.Parallel()
	p := models.Problem{Task: metrics.Multiclass, NumClasses: 5}
	for _, activation := range []Activation{ReLU, Tanh, Sigmoid, GELU, SiLU} {
		c := DefaultConfig()
		c.Hidden, c.Activation, c.Dropout, c.Epochs, c.BatchSize = []int{32}, activation, 0.3, 30, 128
		c.Optimizer.LearningRate = 0.01
		m := fitSolo(t, c, p, blobs(1, 2000, 4, 5), blobs(2, 300, 4, 5), models.Options{})
		assert.Greater(t, score(t, m, blobs(3, 1000, 4, 5), "accuracy"), 0.93, activation)
	}
}

func TestLearnsALinearFunction(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Hidden, c.Epochs, c.BatchSize = nil, 60, 64
	c.Optimizer = Optimizer{Type: AdamW, LearningRate: 0.02, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
	m := fitSolo(t, c, regression, linear(1, 2000), models.Table{}, models.Options{})
	assert.Less(t, score(t, m, linear(2, 1000), "rmse"), 2.0)
	assert.Greater(t, score(t, m, linear(2, 1000), "r2"), 0.999)
}
