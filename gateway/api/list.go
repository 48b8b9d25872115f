package api

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// Lister lists jobs. It remembers those that have ended, which do not change any
// more, so that only the logs of the others are read again. The zero value is
// ready to use, and safe for concurrent use.
type Lister struct {
	mu    sync.Mutex
	ended map[jobs.ID]listed
}

// listed is a job in a list.
type listed struct {
	run.Summary
	submitted int64
}

const (
	// maxListed is how many jobs are remembered, of about a kilobyte each.
	maxListed = 20_000
	// listReaders is how many logs are read at a time.
	listReaders = 16
)

// Damaged is the status, in a list, of a job whose log cannot be read.
const Damaged = "damaged"

// Jobs returns what users see of every job in the store, the newest first; now,
// in milliseconds since 1970, ends the clocks of those that still run. A job
// whose log is damaged is listed as such.
func (l *Lister) Jobs(ctx context.Context, st store.Store, now int64) ([]run.Summary, error) {
	ids, err := joblog.List(ctx, st)
	if err != nil {
		return nil, err
	}
	all := make([]listed, len(ids))
	g, readCtx := errgroup.WithContext(ctx)
	g.SetLimit(listReaders)
	for i, id := range ids {
		if known, ok := l.known(id); ok {
			all[i] = known
			continue
		}
		g.Go(func() (err error) {
			all[i], err = l.load(readCtx, st, id, now)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b listed) int {
		return cmp.Or(cmp.Compare(b.submitted, a.submitted), cmp.Compare(a.Job, b.Job))
	})
	out := make([]run.Summary, len(all))
	for i, j := range all {
		out[i] = j.Summary
	}
	return out, nil
}

func (l *Lister) known(id jobs.ID) (listed, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j, ok := l.ended[id]
	return j, ok
}

func (l *Lister) load(ctx context.Context, st store.Store, id jobs.ID, now int64) (listed, error) {
	j, err := joblog.Load(ctx, st, id)
	switch kind := fault.Of(err); {
	case err == nil:
	case kind == fault.Corrupt, kind == fault.Invalid: // damaged, or of a newer Troupe
		return listed{Summary: run.Summary{Job: string(id), Status: Damaged, Error: &jobs.Failure{Kind: kind, Message: err.Error()}}}, nil
	default:
		return listed{}, err
	}
	out := listed{run.Summarise(j, now), j.SubmittedAt}
	if j.Phase.Ended() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ended == nil || len(l.ended) >= maxListed {
			l.ended = map[jobs.ID]listed{}
		}
		l.ended[id] = out
	}
	return out, nil
}
