package neural

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// trial is a fit whose result must not depend on how it is run.
type trial struct {
	name              string
	config            Config
	problem           models.Problem
	train, validation models.Table
}

func trials() []trial {
	base := DefaultConfig()
	base.Hidden, base.Epochs, base.Seed = []int{20, 33}, 4, 7
	base.Optimizer.LearningRate = 0.01
	dropout := base
	dropout.Dropout, dropout.BatchSize = 0.25, 700 // three shards, and a batch of another size at the end
	dropout.Scheduler = Scheduler{Type: ReduceOnPlateau, Factor: 0.5}
	dropout.EarlyStopping = &EarlyStopping{Metric: "auc", Patience: 2}
	tanh := base
	tanh.Activation, tanh.Dropout, tanh.BatchSize = Tanh, 0.1, 1000
	sigmoid := base
	sigmoid.Activation, sigmoid.BatchSize = Sigmoid, 900
	gelu := sigmoid
	gelu.Activation, gelu.Dropout = GELU, 0.1
	silu := base
	silu.Activation, silu.Hidden, silu.BatchSize = SiLU, []int{40, 20}, 600
	flat := base
	flat.Hidden, flat.BatchSize = nil, 513
	wide := base
	wide.Hidden, wide.BatchSize, wide.Epochs, wide.Dropout = []int{300, 140}, 300, 2, 0.1
	single := dropout
	single.BatchSize, single.EarlyStopping = 200, nil // one shard: every rank computes it
	nesterov := dropout                               // a warm-up into a cosine, clipped in batches of three shards
	nesterov.Optimizer = Optimizer{Type: SGD, LearningRate: 0.1, WeightDecay: 1e-4, Momentum: 0.9, Nesterov: true, ClipNorm: 0.05}
	nesterov.Scheduler = Scheduler{Type: Cosine, Interval: ByIteration, WarmupIterations: 4, WarmupStart: 0.1}
	adam := single
	adam.Optimizer.Type, adam.Optimizer.ClipNorm, adam.Scheduler = Adam, 0.05, Scheduler{Type: Step, Interval: ByEpoch, Every: 1, Factor: 0.5, WarmupEpochs: 1}
	bounded := wide
	bounded.Optimizer.ClipValue = 0.001
	clipped := wide
	clipped.Optimizer.ClipNorm = 0.1
	brief := clipped
	brief.Optimizer.Gradient, brief.Optimizer.ClipNorm = BF16, 0
	single16, few16 := single, dropout
	single16.Optimizer.Gradient, few16.Optimizer.Gradient = BF16, BF16
	weighed := base
	weighed.BatchSize, weighed.Loss = 600, Loss{ClassWeights: []float64{1, 0.3, 7}, LabelSmoothing: 0.1}
	balanced := single
	balanced.Loss = Loss{Balanced: true}
	return append([]trial{
		{"two classes with dropout", dropout, twoClasses, xor(1, 2000), xor(2, 700)},
		{"three classes with tanh", tanh, three, blobs(1, 1999, 7, 3), blobs(2, 301, 7, 3)},
		{"regression with sigmoid", sigmoid, regression, linear(1, 1500), linear(2, 800)},
		{"regression with gelu", gelu, regression, linear(1, 1500), linear(2, 800)},
		{"three classes with silu", silu, three, blobs(1, 1500, 7, 3), blobs(2, 301, 7, 3)},
		{"class weights and label smoothing", weighed, three, blobs(1, 1500, 7, 3), blobs(2, 301, 7, 3)},
		{"balanced classes in batches of one shard", balanced, twoClasses, xor(1, 900), xor(2, 300)},
		{"batches of one shard", single, twoClasses, xor(1, 900), xor(2, 300)},
		{"wide, updated by all threads", wide, three, blobs(1, 500, 5, 3), blobs(2, 50, 5, 3)},
		{"nesterov, cosine and clipping", nesterov, twoClasses, xor(1, 2000), xor(2, 700)},
		{"adam with steps and clipping", adam, twoClasses, xor(1, 900), xor(2, 300)},
		{"wide, clipped by value", bounded, three, blobs(1, 500, 5, 3), models.Table{}},
		{"wide, clipped by norm", clipped, three, blobs(1, 500, 5, 3), models.Table{}},
		{"wide, with gradients in bf16", brief, three, blobs(1, 500, 5, 3), models.Table{}},
		{"one shard, with gradients in bf16", single16, twoClasses, xor(1, 900), xor(2, 300)},
		{"gradients in bf16", few16, twoClasses, xor(1, 2000), xor(2, 700)},
		{"linear without validation", flat, regression, linear(3, 1100), models.Table{}},
		pinballTrial(base), weightedTrial(dropout, twoClasses, xor(1, 2000), xor(2, 700)), weightedTrial(sigmoid, regression, linear(1, 1500), linear(2, 800)),
	}, richTrials(base)...)
}

// richTrials are of networks with norms, residual blocks and embeddings.
func richTrials(base Config) []trial {
	normed := base
	normed.Norm, normed.Residual, normed.Hidden, normed.BatchSize, normed.Dropout = LayerNorm, true, []int{20, 20, 20}, 600, 0.1
	batched := normed
	batched.Norm, batched.BatchSize = BatchNorm, 513 // three shards, of which one has a single row
	wide := batched                                  // over ranks, each makes the mean of a part of the sums
	wide.Hidden, wide.BatchSize, wide.Epochs, wide.Residual = []int{300, 140}, 300, 2, false
	embedding := normed
	embedding.Embeddings = []Embedding{{Feature: 2, Codes: 9, Size: 5}, {Feature: 4, Codes: 5, Size: 17}}
	return []trial{
		{"layer norm and residual blocks", normed, three, blobs(1, 1500, 7, 3), blobs(2, 301, 7, 3)},
		{"batch norm and residual blocks", batched, three, blobs(1, 1500, 7, 3), blobs(2, 301, 7, 3)},
		{"wide, with batch norm", wide, three, blobs(1, 500, 7, 3), blobs(2, 50, 7, 3)},
		{"embeddings", embedding, three, coded(1, 1500), coded(2, 301)},
	}
}

// pinballTrial is one of a quantile.
func pinballTrial(base Config) trial {
	base.Loss.Row = metrics.RowLoss{Kind: metrics.Pinball, Parameter: 0.8}
	base.BatchSize = 600
	return trial{"a quantile", base, regression, linear(1, 1500), linear(2, 800)}
}

// weightedTrial is one whose rows have weights.
func weightedTrial(c Config, p models.Problem, train, validation models.Table) trial {
	if p != regression {
		c.Loss = Loss{Balanced: true, LabelSmoothing: 0.1}
	}
	return trial{fmt.Sprintf("%s with weights", p.Task), c, p, weighted(train), weighted(validation)}
}

var errInterrupted = errors.New("the power is gone")

// interrupted runs a gang of so many ranks to the end, stopped after each of
// the given numbers of checkpoints and resumed from the last one; the model's
// bytes are returned.
func (tr trial) interrupted(ctx context.Context, world, threads, every int, stops []int) ([]byte, error) {
	var resume []byte
	for _, stop := range append(stops, -1) {
		b, state, err := tr.gang(ctx, world, threads, every, resume, stop)
		if !errors.Is(err, errInterrupted) {
			return b, err
		}
		resume = state
	}
	return nil, errors.New("interrupted without end")
}

func (tr trial) gang(ctx context.Context, world, threads, every int, resume []byte, stop int) (model, state []byte, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	comms, result := collective.Local(world), make([][]byte, world)
	errs := make([]error, world)
	var ranks sync.WaitGroup
	for i, comm := range comms {
		o := models.Options{Resume: resume, Threads: threads, CheckpointEvery: every}
		o.Checkpoint = func(_ context.Context, b []byte) error {
			state = b
			if stop--; stop == 0 {
				cancel(errInterrupted)
			}
			return nil
		}
		ranks.Go(func() {
			result[i], errs[i] = tr.fit(ctx, comm, o)
		})
	}
	ranks.Wait()
	for i := range errs {
		switch {
		case errors.Is(context.Cause(ctx), errInterrupted) && errs[i] != nil:
			return nil, state, errInterrupted
		case errs[i] != nil:
			return nil, nil, fmt.Errorf("rank %d of %d: %w", i, world, errs[i])
		case string(result[i]) != string(result[0]):
			return nil, nil, fmt.Errorf("ranks 0 and %d of %d have different models", i, world)
		}
	}
	return result[0], state, nil
}

func (tr trial) fit(ctx context.Context, comm collective.Comm, o models.Options) ([]byte, error) {
	e, err := New(tr.config, tr.problem)
	if err != nil {
		return nil, err
	}
	m, err := e.Fit(ctx, comm, tr.train, tr.validation, o)
	if err != nil {
		return nil, err
	}
	return m.MarshalBinary()
}

func TestTheModelIsTheSameHoweverItIsMade(t *testing.T) {
	t.Parallel()
	for _, tr := range trials() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			want, err := tr.fit(t.Context(), collective.Solo{}, models.Options{})
			require.NoError(t, err)
			r := rng.New(3, tr.name)
			for _, world := range []int{1, 2, 3, 5} {
				for _, threads := range []int{1, 2, 3} {
					every := r.IntN(3)
					var stops []int
					for range r.IntN(4) {
						stops = append(stops, 1+r.IntN(4))
					}
					got, err := tr.interrupted(t.Context(), world, threads, every, stops)
					require.NoError(t, err)
					assert.Equal(t, want, got, "world %d, threads %d, checkpoints every %d, stops %v", world, threads, every, stops)
				}
			}
		})
	}
}

// It is not parallel, as the variant is the whole process's.
func TestTheModelIsTheSameOnAnyProcessor(t *testing.T) {
	defer func() { assert.NoError(t, kernels.Use("auto")) }()
	for _, tr := range trials() {
		var want []byte
		for v := kernels.Portable; v <= kernels.AVX512; v++ {
			if err := kernels.Use(v.String()); err != nil {
				t.Logf("not tested: %v", err)
				continue
			}
			got, err := tr.fit(t.Context(), collective.Solo{}, models.Options{})
			require.NoError(t, err)
			if want == nil {
				want = got
			}
			assert.Equal(t, want, got, "%s: %s", tr.name, v)
		}
	}
}

func TestTheSeedAndTheDataDecide(t *testing.T) {
	t.Parallel()
	tr := trials()[0]
	a, err := tr.fit(t.Context(), collective.Solo{}, models.Options{})
	require.NoError(t, err)
	tr.config.Seed++
	b, err := tr.fit(t.Context(), collective.Solo{}, models.Options{})
	require.NoError(t, err)
	assert.NotEqual(t, a, b)
}

func TestCheckpointsAreTheSameForAnyGang(t *testing.T) {
	t.Parallel()
	tr := trials()[1]
	all := func(world, threads int) (states [][]byte) {
		comms := collective.Local(world)
		var ranks sync.WaitGroup
		for _, comm := range comms {
			ranks.Go(func() {
				_, err := tr.fit(t.Context(), comm, models.Options{
					Threads: threads, CheckpointEvery: 1,
					Checkpoint: func(_ context.Context, b []byte) error {
						states = append(states, b)
						return nil
					},
				})
				assert.NoError(t, err)
			})
		}
		ranks.Wait()
		return states
	}
	want := all(1, 1)
	assert.Len(t, want, 8) // two batches in each of four epochs
	assert.Equal(t, want, all(3, 2))
	history, err := History(want[7])
	require.NoError(t, err)
	assert.Len(t, history, 4)
	assert.Greater(t, history[0].Loss, history[3].Loss)
}

// From whichever checkpoint it goes on, the fit ends with the same checkpoint:
// weights, moments, best weights, history, and what the schedule remembers. The
// rows are few, so that the best epoch is not the last one.
func TestAnyCheckpointLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Hidden, c.Epochs, c.BatchSize, c.Dropout, c.Optimizer.LearningRate = []int{64, 64}, 60, 50, 0.1, 0.02
	c.EarlyStopping = &EarlyStopping{Metric: "loss", Patience: 6, MinDelta: 1e-3}
	c.Scheduler = Scheduler{Type: ReduceOnPlateau, Factor: 0.5, Patience: 2}
	run := func(resume []byte) (states [][]byte, epochs []models.Epoch, model string) {
		m := fitSolo(t, c, twoClasses, xor(1, 120), xor(2, 400), models.Options{
			Resume: resume, CheckpointEvery: 1,
			Checkpoint: func(_ context.Context, b []byte) error {
				states = append(states, b)
				return nil
			},
			Epoch: func(e models.Epoch) { epochs = append(epochs, e) },
		})
		return states, epochs, must(m.MarshalBinary())
	}
	states, epochs, want := run(nil)
	last := states[len(states)-1]
	require.Len(t, states, 3*len(epochs))
	assert.Less(t, len(epochs), c.Epochs, "it stops early")
	assert.Less(t, epochs[len(epochs)-1].LearningRate, c.Optimizer.LearningRate, "the learning rate falls")
	assert.False(t, epochs[len(epochs)-1].Best)
	history, err := History(last)
	require.NoError(t, err)
	assert.Equal(t, epochs, history)
	for i, state := range states[:len(states)-1] {
		rest, _, got := run(state)
		require.Equal(t, want, got, "from checkpoint %d of %d", i+1, len(states))
		require.Len(t, rest, len(states)-1-i)
		require.Equal(t, last, rest[len(rest)-1])
	}
}

// stored has a table's rows elsewhere.
type stored struct {
	models.Table
	fails int // reads from here on fail
}

func (s *stored) Read(first int, x, y, w []float32) error {
	if first >= s.fails {
		return fault.New(fault.Unavailable, "the disk is gone")
	}
	return s.Copy(first, x, y, w)
}

func elsewhere(t models.Table, fails int) models.Table {
	return models.Table{NumRows: t.NumRows, NumFeatures: t.NumFeatures, Weighted: t.Weighted, Stored: &stored{t, fails}}
}

func TestRowsThatAreStoredGiveTheSameModelAsThoseInMemory(t *testing.T) {
	t.Parallel()
	for _, c := range trials() {
		want := fitSolo(t, c.config, c.problem, c.train, c.validation, models.Options{Threads: 2})
		got := fitSolo(t, c.config, c.problem, elsewhere(c.train, 1<<30), elsewhere(c.validation, 1<<30), models.Options{Threads: 2})
		a, err := want.MarshalBinary()
		require.NoError(t, err)
		b, err := got.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, a, b, c.name)
		e, err := New(c.config, c.problem)
		require.NoError(t, err)
		_, err = e.Fit(t.Context(), collective.Solo{}, elsewhere(c.train, 0), c.validation, models.Options{})
		require.Equal(t, fault.Unavailable, fault.Of(err), c.name)
	}
}
