package neural

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// batch is the rows of one update, while executors take its shards.
type batch struct {
	ctx  context.Context //nolint:containedctx // that of the call which waits for the executors
	rows []uint32
	next atomic.Int64 // of this rank's shards
}

// smallUpdate is up to how many floats one executor updates alone: to wake the
// others would take longer.
const smallUpdate = 4 * piece

// step makes one update: gradients of this rank's shards, their sum over all,
// and the move of the weights.
func (f *fit) step(ctx context.Context) error {
	first := f.batch * f.config.BatchSize
	rows := f.order[first:min(first+f.config.BatchSize, len(f.order))]
	f.todo.ctx, f.todo.rows = ctx, rows
	f.todo.next.Store(0)
	shards := (len(rows) + f.network.rows - 1) / f.network.rows
	mine := (shards - f.comm.Rank() + f.comm.WorldSize() - 1) / f.comm.WorldSize()
	if err := f.crew.run(mine, f.shards); err != nil {
		return err
	}
	if err := f.reduceSums(ctx, len(rows)); err != nil {
		return err
	}
	f.optimizer.LearningRate = f.learningRate
	if err := f.overPieces(f.update); err != nil {
		return err
	}
	f.transpose()
	return nil
}

// shards computes shards until none of this rank's is left.
func (f *fit) shards(e *executor) error {
	t, b := e.trainer, &f.todo
	t.iteration = uint64(f.iteration)
	for {
		if b.ctx.Err() != nil {
			return canceled(b.ctx)
		}
		i := int(b.next.Add(1)-1)*f.comm.WorldSize() + f.comm.Rank()
		first := i * f.network.rows
		if first >= len(b.rows) {
			return nil
		}
		t.firstRow, t.rows = uint64(first), min(f.network.rows, len(b.rows)-first)
		for k, row := range b.rows[first : first+t.rows] {
			copy(t.x.Row(k), f.train.Row(int(row)))
			t.targets[k] = f.targets[row]
		}
		if err := e.shard(&f.network); err != nil {
			return err
		}
	}
}

// reduceSums adds the sums of all executors of all ranks in those of the first.
// Ranks learn of each other's bad shards by the same sums, so that all of them
// return the same error.
func (f *fit) reduceSums(ctx context.Context, numRows int) error {
	if err := f.overPieces(f.merge); err != nil {
		return err
	}
	sums := f.crew.members[0].sums
	rest := sums[f.network.numParams:]
	for _, e := range f.crew.members[1:] {
		for i, v := range e.sums[f.network.numParams:] {
			rest[i] += v
		}
		clear(e.sums[f.network.numParams:])
	}
	if err := f.comm.AllReduce(ctx, sums); err != nil {
		return fmt.Errorf("neural: sum of the gradients: %w", err)
	}
	if rest[badLossAt] > 0 {
		return f.diverged(fmt.Sprintf("the loss of %d of %d rows or more is no number or beyond %d", f.network.rows, numRows, maxLoss))
	}
	for i := range f.network.layers {
		if rest[badLayerAt+i] > 0 {
			return f.diverged(fmt.Sprintf("the gradient of layer %d is no number or beyond %d", i, maxGrad))
		}
	}
	if rest[rowsAt] != int64(numRows) {
		return fault.New(fault.Internal, "neural: the ranks computed %d rows of a batch of %d", rest[rowsAt], numRows)
	}
	f.loss += rest[lossAt]
	clear(rest)
	return nil
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
	if len(f.crew.members) == 1 {
		return nil
	}
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

// update divides the summed gradient by the number of rows and moves the
// weights against it, piece by piece, and makes the sums zero.
func (f *fit) update(e *executor) error {
	scale := 1 / (gradScale * float64(len(f.todo.rows)))
	for {
		first, end, ok := f.pieces.take()
		if !ok {
			return nil
		}
		sums, grad := f.crew.members[0].sums[first:end], e.scratch[:end-first]
		kernels.FromFixed(grad, sums, scale)
		f.optimizer.Update(f.weights[first:end], f.first[first:end], f.second[first:end], grad, f.iteration+1)
		clear(sums)
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

func canceled(ctx context.Context) error {
	return fault.New(fault.Canceled, "neural: %w", context.Cause(ctx))
}

// isNumber reports whether v is finite.
func isNumber(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
