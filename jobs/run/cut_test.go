package run

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/store"
)

// failing is a rank's comm that fails once training is over.
type failing struct {
	collective.Comm
	over *atomic.Bool
}

func (f failing) AllReduce(ctx context.Context, v []int64) error {
	if f.over.Load() {
		return fault.New(fault.Invalid, "this rank cannot grade")
	}
	return f.Comm.AllReduce(ctx, v)
}

// overAt notes that training is over, once a checkpoint of it is on its way: that
// of the first epoch is begun in any case.
type overAt struct {
	over  *atomic.Bool
	begun chan struct{}
}

func (o overAt) Progress(rows, total int64, _ string) {
	if total > 0 && rows >= total {
		<-o.begun
		o.over.Store(true)
	}
}
func (overAt) Checkpoint(string) {}

// slow is a store that takes a checkpoint in only when the rank's links are cut.
type slow struct {
	store.Blobs
	cut   chan struct{}
	ended context.Context //nolint:containedctx // of the test
	begin func()
	late  *atomic.Bool
}

func (s slow) Put(ctx context.Context, b []byte) (store.Digest, error) {
	s.begin()
	select {
	case <-s.cut:
	case <-s.ended.Done():
		s.late.Store(true)
	}
	return s.Blobs.Put(ctx, b)
}

// The other ranks of a gang hear of one that fails while it grades by its links:
// it must not keep them until the store has taken in what it has left.
func TestARankThatCannotGradeCutsItsLinksFirst(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 3, 500, 0)
	w := bench(t, folder)
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name != plan.Train {
			return w.env.Body(ctx, task, r)
		}
		patient, end := context.WithTimeout(ctx, time.Minute) // only a failing test waits so long
		defer end()
		others, cutOff := context.WithCancel(ctx)
		defer cutOff()
		var over, late atomic.Bool
		cut, begun := make(chan struct{}), make(chan struct{})
		a, b := newProcess(w), newProcess(w)
		comms := collective.Local(2)
		a.comm, b.comm = failing{comms[0], &over}, comms[1]
		a.env.Store.Blobs = slow{a.env.Store.Blobs, cut, patient, sync.OnceFunc(func() { close(begun) }), &late}
		a.env.Comm = func(context.Context, Task) (collective.Comm, func() error, error) {
			return a.comm, func() error {
				close(cut)
				cutOff()
				return nil
			}, nil
		}
		var all sync.WaitGroup
		var errs [2]error
		for rank, p := range []*process{a, b} {
			one := task
			one.Rank, one.WorldSize, one.Attempt = rank, 2, 1
			all.Go(func() { _, errs[rank] = p.env.Body([]context.Context{ctx, others}[rank], one, overAt{&over, begun}) })
		}
		all.Wait()
		assert.ErrorContains(t, errs[0], "cannot grade")
		assert.Error(t, errs[1])
		assert.False(t, late.Load(), "the links were cut after the store had answered")
		return jobs.Result{}, fault.New(fault.Invalid, "that was all")
	}
	require.Contains(t, w.fails(replace(trainSpec, "batch_size: 128", "batch_size: 512")), "that was all")
}
