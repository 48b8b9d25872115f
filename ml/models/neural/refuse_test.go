package neural

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

func TestConfigNamesAllItsFaults(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate(twoClasses))
	c := Config{
		Hidden: []int{5, 0}, Activation: "elu", Norm: "group", Residual: true, Embeddings: []Embedding{{Feature: 3, Codes: 1, Size: 2000}, {Feature: 3, Codes: 2, Size: 1}}, Dropout: 1, Epochs: 0, BatchSize: -1,
		Optimizer:     Optimizer{Type: Adam, LearningRate: math.NaN(), WeightDecay: -1, Beta1: 1, Beta2: 2, Epsilon: 1e-60, ClipNorm: 1, ClipValue: 1},
		Scheduler:     Scheduler{Type: "cyclic", WarmupStart: 2, WarmupEpochs: 1, WarmupIterations: 1},
		EarlyStopping: &EarlyStopping{Metric: "r2", Patience: 0, MinDelta: -1},
	}
	err := c.Validate(models.Problem{Task: metrics.Binary, NumClasses: 3})
	require.Error(t, err)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	for _, want := range []string{
		"hidden layer 1 has width 0", "embedding 0 of 1 codes", "embedding 0 of size 2000", "embedding 1 is of feature 3", `norm "group"`, "residual with hidden layers of [5 0]", `"elu"`, "dropout 1", "0 epochs", "batches of -1 rows", "learning rate NaN", "weight decay -1",
		"beta1 1", "beta2 2", "epsilon 1e-60", `scheduler "cyclic"`, "warm-up from 2", "by iterations and by epochs", "by norm and by value", `by "r2"`, "patience 0", "least change of -1", "binary task of 3 classes",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestOptimizersAndSchedulersNameTheirFaults(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		`optimizer "lamb"`:          func(c *Config) { c.Optimizer.Type = "lamb" },
		`format "fp16" of`:          func(c *Config) { c.Optimizer.Gradient = "fp16" },
		"momentum 1,":               func(c *Config) { c.Optimizer.Type, c.Optimizer.Momentum = SGD, 1 },
		"nesterov without momentum": func(c *Config) { c.Optimizer.Type, c.Optimizer.Nesterov = SGD, true },
		"norms above -1":            func(c *Config) { c.Optimizer.ClipNorm = -1 },
		"values above +Inf":         func(c *Config) { c.Optimizer.ClipValue = math.Inf(1) },
		`interval "day"`:            func(c *Config) { c.Scheduler.Type, c.Scheduler.Interval = Cosine, "day" },
		"least learning rate -1":    func(c *Config) { c.Scheduler.Type, c.Scheduler.MinLearningRate = Cosine, -1 },
		"steps every 0":             func(c *Config) { c.Scheduler.Type, c.Scheduler.Every = Step, 0 },
		"factor 1,":                 func(c *Config) { c.Scheduler.Type, c.Scheduler.Factor = Exponential, 1 },
		"label smoothing 1,":        func(c *Config) { c.Loss.LabelSmoothing = 1 },
		"class 1 weighs -1,":        func(c *Config) { c.Loss.ClassWeights = []float64{1, -1} },
		"3 class weights":           func(c *Config) { c.Loss.ClassWeights = []float64{1, 1, 1} },
		"balanced classes and":      func(c *Config) { c.Loss.Balanced, c.Loss.ClassWeights = true, []float64{1, 1} },
		"warm-up of -1 iterations":  func(c *Config) { c.Scheduler.WarmupIterations = -1 },
	} {
		c := DefaultConfig()
		change(&c)
		require.ErrorContains(t, c.Validate(twoClasses), want)
	}
	c := DefaultConfig()
	c.Loss.Balanced = true
	require.ErrorContains(t, c.Validate(regression), "in a regression")
}

// refused fits on two ranks and two threads and returns the error, which must
// be the same on both.
func refused(t *testing.T, c Config, p models.Problem, train, validation models.Table, o models.Options) error {
	t.Helper()
	e, err := New(c, p)
	require.NoError(t, err)
	o.Threads = 2
	errs := make([]error, 2)
	var ranks sync.WaitGroup
	for i, comm := range collective.Local(2) {
		ranks.Go(func() { _, errs[i] = e.Fit(t.Context(), comm, train, validation, o) })
	}
	ranks.Wait()
	require.Error(t, errs[0])
	require.Error(t, errs[1])
	require.Equal(t, errs[0].Error(), errs[1].Error())
	return errs[0]
}

func TestTablesThatCannotBeLearnedAreRefused(t *testing.T) {
	t.Parallel()
	plain := DefaultConfig()
	stopping := plain
	stopping.EarlyStopping = &EarlyStopping{Metric: "loss", Patience: 1}
	plateau := plain
	plateau.Scheduler = Scheduler{Type: ReduceOnPlateau, Factor: 0.1}
	change := func(f func(*models.Table)) models.Table {
		table := xor(1, 50)
		f(&table)
		return table
	}
	nan, good := float32(math.NaN()), xor(1, 50)
	for want, c := range map[string]struct {
		config            Config
		train, validation models.Table
	}{
		"no training rows":                        {plain, models.Table{NumFeatures: 2}, good},
		"0 features":                              {plain, models.Table{NumRows: 1, Y: []float32{0}}, models.Table{}},
		"feature 1 of training row 7 is NaN":      {plain, change(func(t *models.Table) { t.X[15] = nan }), good},
		"feature 0 of validation row 1 is +Inf":   {plain, good, change(func(t *models.Table) { t.X[2] = float32(math.Inf(1)) })},
		"target of training row 3 is NaN":         {plain, change(func(t *models.Table) { t.Y[3] = nan }), good},
		"target of training row 3 is 2, expected": {plain, change(func(t *models.Table) { t.Y[3] = 2 }), good},
		"row 3 is 0.5, expected a class":          {plain, change(func(t *models.Table) { t.Y[3] = 0.5 }), good},
		"has 99 values":                           {plain, change(func(t *models.Table) { t.X = t.X[:99] }), good},
		"2 features in the training rows":         {plain, good, blobs(1, 10, 3, 2)},
		"early stopping needs validation":         {stopping, good, models.Table{}},
		"reduce_on_plateau needs validation":      {plateau, good, models.Table{}},
	} {
		err := refused(t, c.config, twoClasses, c.train, c.validation, models.Options{})
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.Invalid, fault.Of(err), want)
	}
}

func TestTrainingThatDivergesSaysSo(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Optimizer.LearningRate, c.BatchSize, c.Epochs = 10, 600, 200
	err := refused(t, c, regression, linear(1, 3000), models.Table{}, models.Options{})
	assert.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, "lower the learning rate (now 10)")

	huge := linear(1, 1000)
	for i := range huge.X {
		huge.X[i] *= 1e30
	}
	err = refused(t, DefaultConfig(), regression, huge, models.Table{}, models.Options{})
	assert.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, "training diverged in epoch 1, iteration 1: the loss")

	large := blobs(1, 1000, 4, 3)
	large.X[0] = 1e9
	err = refused(t, DefaultConfig(), models.Problem{Task: metrics.Multiclass, NumClasses: 3}, large, models.Table{}, models.Options{})
	require.ErrorContains(t, err, "the gradient of layer 1 is no number or beyond 134217728")
}

// Of two ranks only one has the row in its share.
func TestValidationRowsThatCannotBePredictedAreRefusedByAllRanks(t *testing.T) {
	t.Parallel()
	validation := linear(2, 300)
	validation.X[3*290] = 3e38
	c := DefaultConfig()
	c.Hidden = nil
	err := refused(t, c, regression, linear(1, 1000), validation, models.Options{})
	assert.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, "validation rows from 256: errors: ")
}

func TestFitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Epochs = 100000
	e, err := New(c, twoClasses)
	require.NoError(t, err)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	calls := 0
	_, err = e.Fit(ctx, collective.Solo{}, xor(1, 5000), xor(2, 100), models.Options{
		Threads: 2,
		Progress: func(rows, total int64, loss float64) {
			if calls++; calls == 3 {
				assert.Equal(t, int64(3*1024), rows)
				assert.Equal(t, int64(100000*5000), total)
				assert.Positive(t, loss)
				cancel(enough)
			}
		},
	})
	require.ErrorIs(t, err, enough)
	assert.Equal(t, fault.Canceled, fault.Of(err))
	assert.Equal(t, 3, calls)
}

func TestACheckpointThatCannotBeKeptEndsTheFit(t *testing.T) {
	t.Parallel()
	e, err := New(DefaultConfig(), twoClasses)
	require.NoError(t, err)
	full := fault.New(fault.Exhausted, "the disk is full")
	_, err = e.Fit(t.Context(), collective.Solo{}, xor(1, 500), models.Table{}, models.Options{
		Checkpoint: func(context.Context, []byte) error { return full },
	})
	require.ErrorIs(t, err, full)
	assert.Equal(t, fault.Exhausted, fault.Of(err))
}

func TestCheckpointsOfOtherFitsAndDamagedOnesAreRefused(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Hidden, c.Epochs = []int{3}, 2
	var state []byte
	keep := models.Options{Checkpoint: func(_ context.Context, b []byte) error { state = b; return nil }}
	want := fitSolo(t, c, twoClasses, xor(1, 300), xor(2, 50), keep)
	resumed := fitSolo(t, c, twoClasses, xor(1, 300), xor(2, 50), models.Options{Resume: state})
	assert.Equal(t, must(want.MarshalBinary()), must(resumed.MarshalBinary()), "nothing was left to do")

	refuse := func(c Config, p models.Problem, train models.Table, b []byte) error {
		e, err := New(c, p)
		require.NoError(t, err)
		validation := xor(2, 50)
		if train.Weighted {
			validation = weighted(validation)
		}
		_, err = e.Fit(t.Context(), collective.Solo{}, train, validation, models.Options{Resume: b})
		return err
	}
	other := c
	other.Seed++
	wider := c
	wider.Hidden = []int{4}
	for _, err := range []error{
		refuse(other, twoClasses, xor(1, 300), state),
		refuse(wider, twoClasses, xor(1, 300), state),
		refuse(c, twoClasses, xor(1, 301), state),
		refuse(c, regression, xor(1, 300), state),
		refuse(c, twoClasses, weighted(xor(1, 300)), state),
	} {
		require.ErrorContains(t, err, "the checkpoint is of another fit")
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
	for i := range state {
		bad := slices.Clone(state)
		bad[i] ^= 0x10
		err := refuse(c, twoClasses, xor(1, 300), bad)
		require.Error(t, err, "byte %d", i)
		if !strings.Contains(err.Error(), "version") {
			require.Equal(t, fault.Corrupt, fault.Of(err), "byte %d: %v", i, err)
		}
		err = refuse(c, twoClasses, xor(1, 300), state[:i])
		require.Error(t, err)
		require.Equal(t, fault.Corrupt, fault.Of(err))
	}

	longer := c // a checkpoint may be gone on from with more epochs
	longer.Epochs = 5
	assert.Equal(t,
		must(fitSolo(t, longer, twoClasses, xor(1, 300), xor(2, 50), models.Options{}).MarshalBinary()),
		must(fitSolo(t, longer, twoClasses, xor(1, 300), xor(2, 50), models.Options{Resume: state}).MarshalBinary()))
}

func must(b []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// What all ranks know from the sums is looked at before anything moves: one bad shard,
// and a shard that was computed by none or twice.
func TestTheSumsTellWhatIsWrong(t *testing.T) {
	t.Parallel()
	e, err := New(DefaultConfig(), twoClasses)
	require.NoError(t, err)
	f, err := e.newFit(collective.Solo{}, xor(1, 600), models.Table{}, models.Options{})
	require.NoError(t, err)
	defer f.crew.close()
	f.deal(t.Context(), make([]uint32, 600))
	rest := make([]int64, f.network.numSums()-f.network.numParams)
	for rows, want := range map[int64]string{599: "computed 599 rows of a batch of 600", 856: "856 rows", 600: ""} {
		rest[rowsAt] = rows
		if err := f.check(rest); want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
			assert.Equal(t, fault.Internal, fault.Of(err))
		}
	}
	rest[badLossAt] = 1
	require.ErrorContains(t, f.check(rest), "the loss is no number or beyond")
}

func TestPanicsAreErrorsAtTheDoor(t *testing.T) {
	t.Parallel()
	c := newCrew([]*executor{{}, {}})
	defer c.close()
	for _, at := range c.members {
		err := c.run(2, func(e *executor) error {
			if e == at {
				panic("gorgonia has had enough")
			}
			return nil
		})
		require.ErrorContains(t, err, "gorgonia has had enough")
		assert.Equal(t, fault.Internal, fault.Of(err))
		require.NoError(t, c.run(2, func(*executor) error { return nil }))
	}
}
