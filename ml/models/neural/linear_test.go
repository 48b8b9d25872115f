package neural

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// fitLinear returns a model by so many ranks, which all must have the same.
func fitLinear(t *testing.T, c LinearConfig, p models.Problem, train, validation models.Table, ranks, threads int, told func(models.Epoch)) *Model {
	t.Helper()
	l, err := NewLinear(c, p)
	require.NoError(t, err)
	made, errs := make([]models.Model, ranks), make([]error, ranks)
	var all sync.WaitGroup
	for i, comm := range collective.Local(ranks) {
		o := models.Options{Threads: threads, Epoch: told}
		all.Go(func() { made[i], errs[i] = l.Fit(t.Context(), comm, train, validation, o) })
	}
	all.Wait()
	for i := range made {
		require.NoError(t, errs[i])
		require.Equal(t, bytesOfModel(t, made[0]), bytesOfModel(t, made[i]), "rank %d", i)
	}
	m, ok := made[0].(*Model)
	require.True(t, ok)
	return m
}

func bytesOfModel(t *testing.T, m models.Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	require.NoError(t, err)
	return b
}

func TestLinearModelsAreThoseOfScikitLearn(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/linear.json")
	require.NoError(t, err)
	var golden struct {
		Cases []struct {
			Name         string
			Task         metrics.Task
			Classes      int
			L1, L2       float64
			Huber        float64
			Balanced     bool
			ClassWeights []float64 `json:"class_weights"`
			X            [][]float32
			Y, W         []float32
			Coefficients [][]float64
			Intercepts   []float64
		}
	}
	require.NoError(t, json.Unmarshal(text, &golden))
	require.Len(t, golden.Cases, 37)
	for _, c := range golden.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			train := models.Table{NumRows: len(c.X), NumFeatures: len(c.X[0]), X: slices.Concat(c.X...), Y: c.Y, W: c.W, Weighted: c.W != nil}
			config := DefaultLinearConfig()
			config.L1, config.L2 = c.L1, c.L2
			config.Loss = Loss{Balanced: c.Balanced, ClassWeights: c.ClassWeights}
			if c.Huber > 0 {
				config.Loss.Row = metrics.RowLoss{Kind: metrics.Huber, Parameter: c.Huber}
			}
			m := fitLinear(t, config, models.Problem{Task: c.Task, NumClasses: c.Classes}, train, models.Table{NumFeatures: train.NumFeatures}, 1, 1, nil)
			l := m.network.layers[0]
			weights := make([]float32, l.In*l.Out)
			l.Unpack(weights, m.network.weights(m.weights, 0))
			by, err := newScaling(train)
			require.NoError(t, err)
			first := l.Out - len(c.Coefficients) // of two classes the first has none
			for k, want := range c.Coefficients {
				for j, w := range want {
					got := float64(weights[(first+k)*l.In+j]) * m.target.std
					near := 2e-4 * math.Max(math.Abs(w), 0.03)
					if c.W != nil { // the problem is steeper here and flatter there
						near = 2.5*near + 2e-6/by.std[j]
					}
					if c.Huber > 0 || c.L1 > 0 { // scikit-learn does not go to the end
						near += 2e-5
					}
					assert.InDelta(t, w, got, near, "class %d, feature %d", k, j)
					if c.L1 > 0 && w == 0 {
						assert.Zero(t, got, "class %d, feature %d", k, j)
					}
				}
				b := float64(m.network.bias(m.weights, 0)[first+k])*m.target.std + m.target.mean
				assert.InDelta(t, c.Intercepts[k], b, 2e-4*math.Max(math.Abs(c.Intercepts[k]), 1), "class %d", k)
			}
		})
	}
}

func TestALinearModelDoesNotDependOnRanksAndThreads(t *testing.T) {
	t.Parallel()
	three := models.Problem{Task: metrics.Multiclass, NumClasses: 3}
	for name, c := range map[string]struct {
		problem           models.Problem
		train, validation models.Table
		l1                float64
		loss              Loss
	}{
		"two classes": {problem: twoClasses, train: xor(1, 2000), validation: xor(2, 300)}, "three classes": {problem: three, train: blobs(1, 1999, 7, 3), validation: blobs(2, 301, 7, 3)},
		"a number": {problem: regression, train: linear(1, 1500), validation: linear(2, 800)}, "weights": {problem: twoClasses, train: weighted(xor(1, 2000)), validation: weighted(xor(2, 300))},
		"classes with weights": {problem: three, train: blobs(1, 1999, 7, 3), validation: blobs(2, 301, 7, 3), l1: 5, loss: Loss{ClassWeights: []float64{3, 0, 0.5}, LabelSmoothing: 0.1}},
		"huber":                {problem: regression, train: weighted(linear(1, 1500)), validation: weighted(linear(2, 800)), l1: 5, loss: Loss{Row: metrics.RowLoss{Kind: metrics.Huber, Parameter: 0.5}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var epochs []models.Epoch
			config := DefaultLinearConfig()
			config.L1, config.Loss = c.l1, c.loss
			want := bytesOfModel(t, fitLinear(t, config, c.problem, c.train, c.validation, 1, 1, func(e models.Epoch) { epochs = append(epochs, e) }))
			for _, ranks := range []int{2, 3} {
				require.True(t, bytes.Equal(want, bytesOfModel(t, fitLinear(t, config, c.problem, c.train, c.validation, ranks, 2, nil))), "%d ranks", ranks)
			}
			for i, e := range epochs {
				require.Equal(t, i+1, e.Number)
				require.Equal(t, i == len(epochs)-1, e.Best)
				require.Equal(t, i == len(epochs)-1, len(e.Validation) > 0)
				if i > 0 {
					require.LessOrEqual(t, e.Loss, epochs[i-1].Loss*(1+1e-6))
				}
			}
		})
	}
}

func TestFeaturesOfOneValueAndOfEveryScaleAreFitted(t *testing.T) {
	t.Parallel()
	train := linear(1, 1500)
	wide := models.Table{NumRows: train.NumRows, NumFeatures: train.NumFeatures + 1, Y: train.Y}
	for i := range train.NumRows {
		row := append([]float32{5}, train.Row(i)...)
		row[1] = row[1]*1e-6 + 3
		wide.X = append(wide.X, row...)
	}
	c := DefaultLinearConfig()
	c.L2 = 0
	want := fitLinear(t, c, regression, train, models.Table{NumFeatures: train.NumFeatures}, 1, 1, nil)
	got := fitLinear(t, c, regression, wide, models.Table{NumFeatures: wide.NumFeatures}, 1, 1, nil)
	a, b := make([]float32, train.NumRows), make([]float32, train.NumRows)
	require.NoError(t, want.Predict(train.X, train.NumRows, a))
	require.NoError(t, got.Predict(wide.X, wide.NumRows, b))
	for i := range a {
		require.InDelta(t, a[i], b[i], 0.5*float64(want.target.std), "row %d", i) // 3 + 1e-6 x has few digits left
	}
}

func TestALinearFitThatIsCancelledSaysSo(t *testing.T) {
	t.Parallel()
	l, err := NewLinear(DefaultLinearConfig(), twoClasses)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.Fit(ctx, collective.Solo{}, xor(1, 500), models.Table{NumFeatures: 2}, models.Options{})
	require.Equal(t, fault.Canceled, fault.Of(err), "%v", err)
}

func TestSettingsOfALinearModelThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*LinearConfig){
		func(c *LinearConfig) { c.L2 = -1 }, func(c *LinearConfig) { c.L2 = math.NaN() }, func(c *LinearConfig) { c.L2 = math.Inf(1) },
		func(c *LinearConfig) { c.Iterations = 0 }, func(c *LinearConfig) { c.Tolerance = 0 },
	} {
		c := DefaultLinearConfig()
		change(&c)
		_, err := NewLinear(c, twoClasses)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}

func TestAFirstStepThatIsFarTooLongIsHalved(t *testing.T) {
	t.Parallel()
	const numRows, numFeatures = 300, 700
	train := models.Table{NumRows: numRows, NumFeatures: numFeatures}
	for i := range numRows {
		v := float32(i%7) - 3
		for range numFeatures { // all of them say the same, so each takes the whole way
			train.X = append(train.X, v)
		}
		train.Y = append(train.Y, 2*v+1)
	}
	m := fitLinear(t, DefaultLinearConfig(), models.Problem{Task: metrics.Regression}, train, models.Table{NumFeatures: numFeatures}, 2, 1, nil)
	out := make([]float32, 7)
	require.NoError(t, m.Predict(train.X[:7*numFeatures], 7, out))
	assert.InDeltaSlice(t, train.Y[:7], out, 0.01)
}

// A first guess of the curve that is far too flat leads far too far: the way is
// halved until it leads down, and the end is found all the same.
func TestAStepThatIsTooLongIsHalved(t *testing.T) {
	t.Parallel()
	value := func(at []float64) (float64, []float64, error) {
		a, b := at[0]-3, at[1]+1
		return a*a*a*a + 5*b*b, []float64{4 * a * a * a, 10 * b}, nil
	}
	d := descent{scale: []float64{1e4, 1e4}}
	at := []float64{0, 0}
	v, g, err := value(at)
	require.NoError(t, err)
	for range 60 {
		next, lower, slope, moved, err := d.step(at, v, g, value)
		require.NoError(t, err)
		if !moved {
			break
		}
		require.Less(t, lower, v*(1+rounding))
		at, v, g = next, lower, slope
	}
	require.InDelta(t, 3, at[0], 0.02)
	require.InDelta(t, -1, at[1], 1e-4)
}
