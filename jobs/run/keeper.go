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
}

func newKeeper(w *work) *keeper { return &keeper{work: w, busy: make(chan struct{}, 1)} }

// keep takes over a state and returns at once. A store that is away for a while
// does not stop training; any other error of an earlier call does.
func (k *keeper) keep(ctx context.Context, state []byte) error {
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
	k.last = now
	k.wg.Go(func() {
		defer func() { <-k.busy }()
		d, err := k.work.Store.Blobs.Put(ctx, state)
		switch {
		case err == nil:
			k.work.report.Checkpoint(string(d))
		case !fault.Of(err).Retryable():
			k.err = fmt.Errorf("checkpoint: %w", err)
		}
	})
	return nil
}

// close waits until nothing is on its way.
func (k *keeper) close() { k.wg.Wait() }
