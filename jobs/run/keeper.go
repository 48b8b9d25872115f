package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

// keepEvery is the least time between two checkpoints: what is lost with a whole
// gang takes no longer than that to compute again.
const keepEvery = time.Second

// keeper stores a gang's checkpoints beside its training, one at a time. What
// comes while one is on its way, or soon after, is not kept: the next may be.
type keeper struct {
	work *work
	busy chan struct{} // holds an item while a checkpoint is on its way
	last time.Time     // that one was begun; of whoever holds busy
	err  error         // likewise: of the last one, unless it may pass
	wg   sync.WaitGroup
	left []byte // the last state, if it was not kept
}

func newKeeper(w *work) *keeper { return &keeper{work: w, busy: make(chan struct{}, 1)} }

// keep takes over a state and returns at once. A store that is away for a while
// does not stop training; any other error of an earlier call does.
func (k *keeper) keep(ctx context.Context, state []byte) error {
	k.left = state
	select {
	case k.busy <- struct{}{}:
	default:
		return nil
	}
	now := k.work.Clock.Now()
	if err := k.err; err != nil || now.Sub(k.last) < keepEvery {
		<-k.busy
		return err
	}
	k.last, k.left = now, nil
	k.wg.Go(func() {
		defer func() { <-k.busy }()
		if err := k.store(ctx, state); err != nil && !fault.Of(err).Retryable() {
			k.err = fmt.Errorf("checkpoint: %w", err)
		}
	})
	return nil
}

func (k *keeper) store(ctx context.Context, state []byte) error {
	d, err := k.work.Store.Blobs.Put(ctx, state)
	if err == nil {
		k.work.report.Checkpoint(string(d))
	}
	return err
}

// close waits until nothing is on its way, and keeps the last state of all, from
// which another run may go on. That it cannot be kept is no reason to fail.
func (k *keeper) close() {
	k.wg.Wait()
	if k.left != nil && k.work.ctx.Err() == nil {
		_ = k.store(k.work.ctx, k.left) //nolint:errcheck // the run has its model all the same
		k.left = nil
	}
}
