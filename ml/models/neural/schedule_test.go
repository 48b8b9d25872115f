package neural

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// The expected rates are those that PyTorch's ReduceLROnPlateau gives for the
// same losses, by its documentation.
func TestReduceOnPlateauIsPyTorchs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scheduler Scheduler
		losses    []float64
		rates     []float64 // after each
	}{
		"falling losses keep the rate": {
			Scheduler{Type: ReduceOnPlateau, Factor: 0.1, Patience: 0}, []float64{3, 2, 1}, []float64{1, 1, 1},
		},
		"patience 0 reduces at the first bad epoch": {
			Scheduler{Type: ReduceOnPlateau, Factor: 0.1, Patience: 0}, []float64{3, 3, 3}, []float64{1, 0.1, 0.01},
		},
		"patience 2 reduces at the third, and counts anew": {
			Scheduler{Type: ReduceOnPlateau, Factor: 0.5, Patience: 2}, []float64{1, 1, 1, 1, 1, 1, 1, .9}, []float64{1, 1, 1, .5, .5, .5, .25, .25},
		},
		"a gain of less than a ten-thousandth is none": {
			Scheduler{Type: ReduceOnPlateau, Factor: 0.5, Patience: 1}, []float64{1, 0.99995, 0.99991}, []float64{1, 1, .5},
		},
		"a gain in between starts the count anew": {
			Scheduler{Type: ReduceOnPlateau, Factor: 0.5, Patience: 1}, []float64{1, 2, .5, 2, 2}, []float64{1, 1, 1, 1, .5},
		},
		"never below the least": {
			Scheduler{Type: ReduceOnPlateau, Factor: 0.1, MinLearningRate: 0.05}, []float64{1, 1, 1, 1}, []float64{1, .1, .05, .05},
		},
		"constant stays": {
			Scheduler{Type: Constant, Factor: 0.1}, []float64{1, 2, 3, 4}, []float64{1, 1, 1, 1},
		},
	} {
		s := newSchedule(Config{Optimizer: Optimizer{LearningRate: 1}})
		var rates []float64
		for _, l := range c.losses {
			s.reduce(c.scheduler, l)
			rates = append(rates, s.learningRate)
		}
		assert.InDeltaSlice(t, c.rates, rates, 1e-15, name)
	}
	s := schedule{learningRate: 1e-8, plateauBest: math.Inf(-1)}
	s.reduce(Scheduler{Type: ReduceOnPlateau, Factor: 0.5}, 1)
	assert.InDelta(t, 1e-8, s.learningRate, 0, "a change of less than 1e-8 is not made")
}

func TestEarlyStoppingCountsEpochsWithoutGain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stopping  *EarlyStopping
		maximize  bool
		values    []float64
		best      int
		stopsWith int // the epoch after which training stops, 0: never
	}{
		"loss falls":                   {&EarlyStopping{Patience: 1}, false, []float64{3, 2, 1}, 3, 0},
		"loss rises":                   {&EarlyStopping{Patience: 2}, false, []float64{1, 2, 3}, 1, 3},
		"more is better":               {&EarlyStopping{Patience: 2}, true, []float64{1, 2, 3, 3, 3}, 3, 5},
		"the first of equal ones":      {&EarlyStopping{Patience: 9}, true, []float64{1, 2, 2}, 2, 0},
		"a small gain is best, no use": {&EarlyStopping{Patience: 2, MinDelta: 0.5}, false, []float64{3, 2.9, 2.8}, 3, 3},
		"never without":                {nil, false, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 1, 0},
	} {
		var s schedule
		stops := 0
		for i, v := range c.values {
			isBest := s.observe(i+1, v, c.maximize, c.stopping)
			assert.Equal(t, s.bestEpoch == i+1, isBest, name)
			if s.stop(c.stopping) && stops == 0 {
				stops = i + 1
			}
		}
		assert.Equal(t, c.best, s.bestEpoch, name)
		assert.Equal(t, c.stopsWith, stops, name)
	}
}

func TestTheBestEpochIsKept(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Hidden, c.Epochs, c.BatchSize, c.Optimizer.LearningRate = []int{64, 64}, 40, 50, 0.02
	c.EarlyStopping = &EarlyStopping{Metric: "loss", Patience: 6}
	train, validation := xor(1, 120), xor(2, 400) // few rows: it will learn them by heart
	var epochs []models.Epoch
	m := fitSolo(t, c, twoClasses, train, validation, models.Options{Epoch: func(e models.Epoch) { epochs = append(epochs, e) }})
	best, at := math.Inf(1), 0
	for i, e := range epochs {
		v, err := e.Validation.Value("log_loss")
		require.NoError(t, err)
		if v < best {
			best, at = v, i
		}
		assert.Equal(t, i+1, e.Number)
		assert.Equal(t, at == i, e.Best, "epoch %d", e.Number)
	}
	assert.Len(t, epochs, at+1+6, "it stops after six epochs without gain")
	assert.InDelta(t, best, score(t, m, validation, "loss"), 0, "to the last bit: the model is that of the best epoch")
}

func TestValidationMetricsAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	for _, tr := range trials()[:3] {
		var epochs []models.Epoch
		tr.config.Epochs, tr.config.EarlyStopping = 1, nil
		m := fitSolo(t, tr.config, tr.problem, tr.train, tr.validation, models.Options{Epoch: func(e models.Epoch) { epochs = append(epochs, e) }})
		require.Len(t, epochs, 1)
		for _, name := range tr.problem.Task.Names() {
			v, err := epochs[0].Validation.Value(name)
			require.NoError(t, err)
			assert.InDelta(t, score(t, m, tr.validation, name), v, 0, "%s: %s, to the last bit", tr.name, name)
		}
	}
}

func TestMetricsToWatch(t *testing.T) {
	t.Parallel()
	e, err := metrics.NewEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	// hits 2, missed 1, alarms 3, and one rightly called 0
	require.NoError(t, e.ObserveClasses([]int{1, 1, 1, 0, 0, 0, 0}, []float64{0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0}))
	e.Also("average_precision")
	v, maximize, err := measure(e, "average_precision") // five rows score 1, two of them hits; the last hit comes with all rows
	require.NoError(t, err)
	assert.True(t, maximize)
	assert.InDelta(t, 2.0/3*2/5+1.0/3*3/7, v, 1e-15)
	for name, want := range map[string]float64{"precision": 2.0 / 5, "recall": 2.0 / 3, "f1": 0.5, "accuracy": 3.0 / 7} {
		v, maximize, err := measure(e, name)
		require.NoError(t, err)
		assert.True(t, maximize)
		assert.InDelta(t, want, v, 1e-15, name)
	}
	_, maximize, err = measure(e, "loss")
	require.NoError(t, err)
	assert.False(t, maximize)

	one, err := metrics.NewEvaluator(metrics.Binary, 2)
	require.NoError(t, err)
	require.NoError(t, one.ObserveClasses([]int{0}, []float64{1, 0}))
	v, _, err = measure(one, "f1")
	require.NoError(t, err)
	assert.Zero(t, v)
	_, _, err = measure(one, "auc")
	require.ErrorContains(t, err, "early stopping watches auc")
	assert.Equal(t, fault.Invalid, fault.Of(err))
}
