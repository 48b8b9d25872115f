package neural

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// batch is the rows of one update, while executors take its shards.
type batch struct {
	ctx    context.Context //nolint:containedctx // that of the call which waits for the executors
	rows   []uint32
	shards int
	first  int          // of this rank's shards, which are
	count  int          // so many
	mean   bool         // the first executor's trainer has the mean gradient, and no longer the sums
	weight float64      // what the rows weigh together
	normed int          // rows whose statistics the first executor's trainer has, of a batch norm
	next   atomic.Int64 // of this rank's shards
}

// work is what executors do in a step, made once: a method becomes a function by
// an allocation.
type work struct{ alone, shards, merge, squares, update func(*executor) error }

// smallUpdate is up to how many floats one executor updates alone: to wake the
// others would take longer.
const smallUpdate = 4 * piece

// step makes one update: gradients of this rank's shards, their sum over all,
// and the move of the weights.
//
// A batch of a single shard is computed by every rank for itself: that is the
// same on all of them, and takes less time than to send the sums.
func (f *fit) step(ctx context.Context) error {
	first := f.batch * f.config.BatchSize
	rows := f.order.rows(first, min(first+f.config.BatchSize, f.train.NumRows))
	f.deal(ctx, rows)
	if err := f.gradient(ctx); err != nil {
		return err
	}
	f.mover.begin(f.rates.at(f.learningRate, f.iteration))
	if f.mover.ClipNorm > 0 {
		if err := f.clip(); err != nil {
			return err
		}
	}
	if err := f.overPieces(f.work.update); err != nil {
		return err
	}
	if f.network.numRunning > 0 {
		f.follow()
	}
	f.transpose()
	return nil
}

// deal makes rows the batch that executors take shards of.
func (f *fit) deal(ctx context.Context, rows []uint32) {
	b := &f.current
	b.ctx, b.rows, b.shards = ctx, rows, (len(rows)+f.network.rows-1)/f.network.rows
	b.mean = b.shards == 1
	b.next.Store(0)
}

// gradient computes the batch's gradient: the first executor has its mean in its
// trainer, or its sums.
func (f *fit) gradient(ctx context.Context) error {
	if f.current.shards == 1 {
		return f.crew.run(1, f.work.alone)
	}
	return f.sum(ctx, f.comm.WorldSize() > 1 && f.network.numParams >= leastApart)
}

// leastApart is from how many parameters on each rank makes the mean of a part of
// the sums: of fewer, one operation of the ranks takes less time than two.
const leastApart = 1 << 15

// sum computes the sums of the batch over all shards of all ranks; apart, those of
// the gradient become its mean on the way.
func (f *fit) sum(ctx context.Context, apart bool) error {
	sums, err := f.sumShards()
	if err != nil {
		return err
	}
	gradient, rest := sums[:f.network.numParams], sums[f.network.numParams:]
	if apart {
		err = f.comm.ReduceScatter(ctx, gradient, rest)
	} else {
		err = f.comm.AllReduce(ctx, sums)
	}
	if err != nil {
		return fmt.Errorf("neural: sums of a batch: %w", err)
	}
	if err := f.check(rest); err != nil {
		return err
	}
	if apart {
		if err := f.meanApart(ctx, gradient); err != nil {
			return err
		}
	}
	f.take(rest)
	return nil
}

// meanApart makes the mean gradient of this rank's part of the sums, which it has of
// all ranks, and gives it to the others: that takes half as many bytes as sums have.
func (f *fit) meanApart(ctx context.Context, sums []int64) error {
	grad := f.crew.members[0].trainer.grad
	first, end := collective.Part(len(sums), f.comm.Rank(), f.comm.WorldSize())
	f.mean(grad[first:end], sums[first:end])
	clear(sums[:first]) // of what the other parts have is of no use
	clear(sums[end:])
	if err := f.comm.AllGather(ctx, grad); err != nil {
		return fmt.Errorf("neural: gathering of the gradient: %w", err)
	}
	f.current.mean = true
	return nil
}

// alone computes the mean gradient of a batch that is one shard.
func (f *fit) alone(e *executor) error {
	if f.current.ctx.Err() != nil {
		return canceled(f.current.ctx)
	}
	if err := f.load(e.trainer, 0); err != nil {
		return err
	}
	e.trainer.mean = true
	if err := e.trainer.machine.RunAll(); err != nil {
		return err
	}
	loss, ok := fixedLoss(e.trainer.head.loss)
	if !ok {
		return f.lossDiverged()
	}
	f.rounded(e.trainer.grad)
	f.current.weight, f.current.normed = e.trainer.head.weight, e.trainer.rows
	f.loss, f.weight = f.loss+loss, f.weight+fixedWeight(f.current.weight)
	return nil
}

// shards computes shards until none of this rank's is left.
func (f *fit) shards(e *executor) error {
	b := &f.current
	for {
		if b.ctx.Err() != nil {
			return canceled(b.ctx)
		}
		i := int(b.next.Add(1) - 1)
		if i >= b.count {
			return nil
		}
		if err := f.load(e.trainer, b.first+i); err != nil {
			return err
		}
		e.trainer.mean = false
		if err := e.shard(&f.network); err != nil {
			return err
		}
	}
}

// load gives t the rows of shard i.
func (f *fit) load(t *trainer, i int) error {
	first := i * f.network.rows
	t.iteration, t.firstRow = uint64(f.iteration), uint64(first)
	t.rows = min(f.network.rows, len(f.current.rows)-first)
	for k, row := range f.current.rows[first : first+t.rows] {
		own := t.head.own
		if own != nil {
			own = own[k : k+1]
		}
		if err := f.train.Copy(int(row), t.x.Row(k)[:f.train.NumFeatures], t.targets[k:k+1], own); err != nil {
			return err
		}
	}
	if f.network.problem.Task == metrics.Regression {
		f.target.scale(t.targets[:t.rows])
	}
	return nil
}

// sumShards computes this rank's shards, and adds the sums of all executors in
// those of the first.
func (f *fit) sumShards() ([]int64, error) {
	b := &f.current
	b.first, b.count = f.dealing.mine(b.shards)
	f.dealing.begin()
	if err := f.crew.run(b.count, f.work.shards); err != nil {
		return nil, err
	}
	f.dealing.done()
	sums := f.crew.members[0].sums
	sums[len(sums)-f.comm.WorldSize()+f.comm.Rank()] = f.dealing.pace
	if len(f.crew.members) == 1 {
		return sums, nil
	}
	if err := f.overPieces(f.work.merge); err != nil {
		return nil, err
	}
	rest := sums[f.network.numParams:]
	for _, e := range f.crew.members[1:] {
		for i, v := range e.sums[f.network.numParams:] {
			rest[i] += v
		}
		clear(e.sums[f.network.numParams:])
	}
	return sums, nil
}

// check looks at what follows the gradient in the sums over all ranks, and knows
// then what the rows weigh. Ranks learn of each other's bad shards by the same sums,
// so that all of them return the same error.
func (f *fit) check(rest []int64) error {
	if rest[badLossAt] > 0 {
		return f.lossDiverged()
	}
	for i := range f.network.numParts() {
		if rest[badPartAt+i] > 0 {
			return f.partDiverged(i)
		}
	}
	if rest[rowsAt] != int64(len(f.current.rows)) {
		return fault.New(fault.Internal, "neural: the ranks computed %d rows of a batch of %d", rest[rowsAt], len(f.current.rows))
	}
	f.current.weight = float64(rest[weightAt]) / weightScale
	return nil
}

// take adds what follows the gradient to the state, when nothing of the update can
// fail any more, and makes it zero.
func (f *fit) take(rest []int64) {
	f.loss, f.weight = f.loss+rest[lossAt], f.weight+rest[weightAt]
	if f.network.numRunning > 0 {
		at := f.network.runningAt() - f.network.numParams
		f.takeRunning(rest[at : at+1+f.network.numRunning])
	}
	copy(f.dealing.paces, rest[len(rest)-f.comm.WorldSize():])
	clear(rest)
}

// overPieces has work done on all pieces of the flat vector.
func (f *fit) overPieces(work func(*executor) error) error {
	f.pieces.next.Store(0)
	if f.network.numParams <= smallUpdate {
		return f.crew.run(1, work)
	}
	return f.crew.run(len(f.crew.members), work)
}

// merge adds the gradients of the executors, piece by piece, and makes those of
// all but the first zero.
func (f *fit) merge(*executor) error {
	for {
		first, end, ok := f.pieces.take()
		if !ok {
			return nil
		}
		sums := f.crew.members[0].sums[first:end]
		for _, e := range f.crew.members[1:] {
			other := e.sums[first:end]
			for i, v := range other {
				sums[i] += v
			}
			clear(other)
		}
	}
}

// update moves the weights against the gradient, piece by piece. Of sums it
// makes the mean over the rows first, unless clip has.
func (f *fit) update(e *executor) error {
	leader := f.crew.members[0]
	for {
		first, end, ok := f.pieces.take()
		if !ok {
			return nil
		}
		grad := leader.trainer.grad[first:end]
		if !f.current.mean && f.mover.ClipNorm == 0 {
			grad = e.scratch[:end-first]
			f.mean(grad, leader.sums[first:end])
		}
		f.mover.move(f.state, first, end, grad, f.iteration+1)
	}
}

// transpose refreshes the transposed copies of the weights.
func (f *fit) transpose() {
	for i, t := range f.transposed {
		if t != nil {
			f.network.layers[i].Transpose(t, f.network.weights(f.weights, i))
		}
	}
}

func (f *fit) lossDiverged() error {
	return f.diverged(fmt.Sprintf("the loss is no number or beyond %d", maxLoss))
}

// partDiverged is of a part whose gradient, or that of a batch norm whose statistics,
// cannot be added.
func (f *fit) partDiverged(i int) error {
	n := &f.network
	if n.norm == BatchNorm && i < len(n.layers)-1 {
		return f.diverged(fmt.Sprintf("the gradient of %s, or a mean or variance of its batch norm, is no number or too large", n.part(i).name()))
	}
	return f.diverged(fmt.Sprintf("the gradient of %s is no number or beyond %d", n.part(i).name(), n.maxGrad()))
}

func canceled(ctx context.Context) error {
	return fault.New(fault.Canceled, "neural: %w", context.Cause(ctx))
}

// isNumber reports whether v is finite.
func isNumber(v float32) bool {
	const exponent = 0x7f800000 // all ones in NaN and infinities
	return math.Float32bits(v)&exponent != exponent
}
