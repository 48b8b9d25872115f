package neural

import (
	"context"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// Fit learns from the rows of train. Every rank of comm calls it with the same
// tables, of which each computes its share, and has the same model returned.
//
// The model is that of the epoch which was the best on the rows of validation,
// by the metric that early stopping watches or else the loss; without
// validation rows it is that of the last epoch. A regression's target is
// standardised by the training rows on the way in and out.
//
// Errors: Invalid for tables that do not fit the problem or hold NaN or
// infinities, for a checkpoint of another fit, and when training diverges, on
// every rank alike; Canceled when ctx has ended; and what comm and
// o.Checkpoint return.
func (e *Estimator) Fit(
	ctx context.Context, comm collective.Comm, train, validation models.Table, o models.Options,
) (model models.Model, err error) {
	defer door(&err)
	f, err := e.newFit(comm, train, validation, o)
	if err != nil {
		return nil, err
	}
	defer f.crew.close()
	if err := f.leave(f.run(ctx)); err != nil {
		return nil, err
	}
	return f.model()
}

// model is what has been learned: the best of it, if that was watched.
func (f *fit) model() (models.Model, error) {
	weights, updates := f.weights, f.iteration
	if f.bestWeights != nil {
		weights, updates = f.bestWeights, int64(f.bestEpoch)*int64(f.numBatches())
	}
	m, err := newModel(f.network, f.target, weights)
	if err == nil {
		m.updates = updates
	}
	return m, err
}

// run makes the epochs that are left.
func (f *fit) run(ctx context.Context) error {
	for f.epoch < f.config.Epochs && !f.stop(f.config.EarlyStopping) {
		if err := f.runEpoch(ctx); err != nil {
			return err
		}
	}
	return nil
}

// leave hands the state over to whoever goes on from it. Updates are all or
// nothing: an error comes before the first weight has moved, or after the last.
func (f *fit) leave(err error) error {
	if f.options.Left == nil {
		return err
	}
	b, e := f.state.encode(f.print)
	if e != nil {
		return errors.Join(err, e)
	}
	f.options.Left(b)
	return err
}

// fit is one call of Fit.
type fit struct {
	config  Config
	network network
	target  standard
	comm    collective.Comm
	options models.Options
	print   xxh3.Uint128 // the fingerprint

	train, validation models.Table
	unit              float64 // of the weights of validation rows, as they are measured
	order             *order

	*state
	mover      mover
	rates      rates
	squaresOf  []float64   // the sum of the squared gradient, of each piece
	transposed [][]float32 // of the weights of each layer, for the gradient
	crew       *crew
	current    batch
	dealing    *dealing
	pieces     pieces
	work       work
}

func (e *Estimator) newFit(comm collective.Comm, train, validation models.Table, o models.Options) (*fit, error) {
	if err := e.check(train, validation); err != nil {
		return nil, err
	}
	s, err := newShape(train.NumFeatures, e.config.Hidden, e.problem.NumOutputs(), extras{e.config.Norm, e.config.Embeddings})
	if err != nil {
		return nil, err
	}
	s.limit(e.config.BatchSize)
	f := &fit{
		config: e.config, comm: comm, options: o, train: train, validation: validation,
		network: network{shape: s, activation: e.config.Activation, residual: e.config.Residual, problem: e.problem},
		order:   newOrder(train.NumRows, e.config.BatchSize),
	}
	if f.network.objective, err = newObjective(e.config.Loss, e.problem.NumClasses, train); err != nil {
		return nil, err
	}
	if validation.Weighted {
		if f.unit, err = weightUnit(validation); err != nil {
			return nil, err
		}
	}
	if f.print, err = e.fingerprint(train, validation); err != nil {
		return nil, err
	}
	f.target = standard{std: 1}
	if e.problem.Task == metrics.Regression {
		if f.target, err = standardise(train); err != nil {
			return nil, err
		}
	}
	f.network.row, f.network.std = e.config.Loss.Row, f.target.std
	if err := f.begin(); err != nil {
		return nil, err
	}
	f.mover, f.rates = newMover(e.config.Optimizer), newRates(e.config, f.numBatches())
	f.dealing = newDealing(comm.Rank(), comm.WorldSize(), o.Clock)
	f.pieces.size = s.numParams
	f.squaresOf = make([]float64, (s.numParams+piece-1)/piece)
	f.work = work{alone: f.alone, shards: f.shards, merge: f.merge, squares: f.squares, update: f.update}
	return f, f.hire()
}

// begin makes the state that training starts from.
func (f *fit) begin() error {
	n := f.network.numWeights()
	if f.options.Resume == nil {
		f.state = &state{
			schedule: newSchedule(f.config),
			weights:  f.network.initial(f.config.Seed),
			first:    kernels.Aligned(n),
		}
		if f.config.Optimizer.twoMoments() {
			f.second = kernels.Aligned(n)
		}
		return nil
	}
	s, print, err := decodeState(f.options.Resume)
	if err != nil {
		return err
	}
	if print != f.print || len(s.weights) != n || (s.second != nil) != f.config.Optimizer.twoMoments() || s.epoch < 0 || s.batch < 0 || s.batch > f.numBatches() {
		return fault.New(fault.Invalid,
			"neural: the checkpoint is of another fit: model, settings, seed, features and numbers of rows must be the same: train anew, or mend them")
	}
	if s.epoch > f.config.Epochs || s.epoch == f.config.Epochs && s.batch > 0 {
		return fault.New(fault.Invalid, "neural: epochs: the checkpoint is of epoch %d, behind the last of %d: what was learned does not go back, so give more epochs, or train anew",
			s.epoch+min(s.batch, 1), f.config.Epochs)
	}
	f.options.Resume = nil // it is no longer needed
	if f.state = s; s.batch > 0 {
		f.order.begin(f.config.Seed, s.epoch+1)
	}
	return nil
}

// hire makes the executors: as many as may work at once and find something to do.
func (f *fit) hire() error {
	f.transposed = make([][]float32, len(f.network.layers))
	for i, l := range f.network.layers {
		if i > 0 || len(f.network.tables) > 0 { // there is a gradient of its input
			f.transposed[i] = kernels.Aligned(l.Transposed().WeightLen())
		}
	}
	rows := max(min(f.config.BatchSize, f.train.NumRows), f.validation.NumRows)
	threads := max(1, min(f.options.Threads, (rows+f.network.rows-1)/f.network.rows))
	drop := kernels.Dropout{Seed: f.config.Seed, Rate: f.config.Dropout}
	members := make([]*executor, threads)
	for i := range members {
		t, err := f.network.newTrainer(f.weights, f.transposed, drop)
		if err != nil {
			return err
		}
		p, err := f.network.newPredictor(f.weights)
		if err != nil {
			return err
		}
		members[i] = &executor{
			trainer: t, predictor: p, scratch: kernels.Aligned(piece),
			sums: make([]int64, f.network.numSums()+f.comm.WorldSize()),
		}
	}
	f.crew = newCrew(members)
	f.transpose()
	return nil
}

func (f *fit) numBatches() int {
	return (f.train.NumRows + f.config.BatchSize - 1) / f.config.BatchSize
}

// runEpoch goes once over the training rows, from where the state says.
func (f *fit) runEpoch(ctx context.Context) error {
	if f.batch == 0 {
		f.order.begin(f.config.Seed, f.epoch+1)
	}
	for n := f.numBatches(); f.batch < n; {
		if err := f.step(ctx); err != nil {
			return err
		}
		f.batch++
		f.iteration++
		if err := f.report(ctx, f.batch < n); err != nil {
			return err
		}
	}
	return f.endEpoch(ctx)
}

// report tells how training stands after an update, and keeps a checkpoint when
// it is time for one in the middle of an epoch.
func (f *fit) report(ctx context.Context, middle bool) error {
	if f.comm.Rank() != 0 {
		return nil
	}
	rows := min(f.batch*f.config.BatchSize, f.train.NumRows)
	if f.options.Progress != nil {
		all := int64(f.train.NumRows)
		f.options.Progress(int64(f.epoch)*all+int64(rows), int64(f.config.Epochs)*all, f.meanLoss())
	}
	if k := int64(f.options.CheckpointEvery); middle && k > 0 && f.iteration%k == 0 {
		return f.checkpoint(ctx)
	}
	return nil
}

// meanLoss is that of the epoch so far, by what rows weigh, in the unit of the
// target; 0 while they weigh nothing.
func (f *fit) meanLoss() float64 {
	if f.weight == 0 {
		return 0
	}
	mean := float64(f.loss) / lossScale / (float64(f.weight) / weightScale) * f.target.std
	if k := f.network.row.Kind; k == metrics.SquaredError || k == metrics.Huber {
		mean *= f.target.std
	}
	return mean
}

func (f *fit) checkpoint(ctx context.Context) error {
	if f.options.Checkpoint == nil || f.comm.Rank() != 0 {
		return nil
	}
	b, err := f.state.encode(f.print)
	if err != nil {
		return err
	}
	if err := f.options.Checkpoint(ctx, b); err != nil {
		return fmt.Errorf("neural: checkpoint: %w", err)
	}
	return nil
}

// endEpoch looks at the validation rows and decides what follows from them.
func (f *fit) endEpoch(ctx context.Context) error {
	for i, w := range f.weights {
		if !isNumber(w) {
			return f.diverged(fmt.Sprintf("a weight of %s is %v", f.network.partOf(i), w))
		}
	}
	e := models.Epoch{Number: f.epoch + 1, Loss: f.meanLoss(), LearningRate: f.rates.at(f.learningRate, f.iteration-1)}
	if f.validation.NumRows > 0 {
		evaluator, err := f.evaluate(ctx)
		if err != nil {
			return err
		}
		if err := f.judge(evaluator, &e); err != nil {
			return err
		}
	}
	f.history = append(f.history, e)
	f.epoch, f.batch, f.loss, f.weight = f.epoch+1, 0, 0, 0
	if f.options.Epoch != nil && f.comm.Rank() == 0 {
		f.options.Epoch(e)
	}
	return f.checkpoint(ctx)
}

// judge takes the epoch's validation metrics: is it the best, and what is the
// next learning rate?
func (f *fit) judge(evaluator *metrics.Evaluator, e *models.Epoch) error {
	watched := lossName
	if f.config.EarlyStopping != nil {
		watched = f.config.EarlyStopping.Metric
	}
	value, maximize, err := measure(evaluator, watched)
	if err != nil {
		return err
	}
	loss, _, err := measure(evaluator, lossName)
	if err != nil {
		return err
	}
	if e.Validation, err = evaluator.Report(); err != nil {
		return err
	}
	if e.Best = f.observe(e.Number, value, maximize, f.config.EarlyStopping); e.Best {
		f.bestWeights = append(f.bestWeights[:0], f.weights...)
	}
	f.reduce(f.config.Scheduler, loss)
	return nil
}

var errDiverged = errors.New("training diverged")

// diverged is the error of a training that cannot go on.
func (f *fit) diverged(how string) error {
	return fault.New(fault.Invalid,
		"neural: %w in epoch %d, iteration %d: %s: lower the learning rate (now %v), or look for extreme values in the features",
		errDiverged, f.epoch+1, f.iteration+1, how, f.rates.at(f.learningRate, f.iteration))
}
