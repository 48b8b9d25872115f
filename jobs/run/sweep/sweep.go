// Package sweep gives up what nobody wants any more: deleted runs, logged models and
// experiments after a while, and blobs that nothing refers to (mark and sweep). It may run
// beside jobs, clients and other sweeps.
//
// What a blob is kept by: a run or logged model that is not purged, a live version of a model, the
// log of a job whose run is not purged (of checkpoints the last one), any other ref
// or log of the store, or a blob of JSON that is kept itself. A reference is a digest
// in the text, wherever it stands: what looks like one keeps a blob, so that no format
// need be known here.
// Whatever was put within a time of grace stays: its reference may be on its way.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// Config is what may go.
type Config struct {
	// RunsAfter is how long a deleted run or experiment can be restored, and how long
	// a deleted logged model is there.
	// Default 30 days.
	RunsAfter time.Duration
	// BlobsAfter is how long a blob stays that nothing refers to. It has to be longer
	// than any task takes between putting a blob and naming it. Default 24 hours, at
	// least MinGrace.
	BlobsAfter time.Duration
	// Do gives up what is found; without it, it is only counted.
	Do bool
}

// MinGrace is the least BlobsAfter.
const MinGrace = time.Hour

// DefaultConfig returns what the verb does when it is told nothing.
func DefaultConfig() Config {
	return Config{RunsAfter: 30 * 24 * time.Hour, BlobsAfter: 24 * time.Hour}
}

// Validate returns an error of kind Invalid that says all that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.RunsAfter < 0 {
		errs = append(errs, fmt.Errorf("deleted runs are kept for %v: give a time of 0 or more", c.RunsAfter))
	}
	if c.BlobsAfter < MinGrace {
		errs = append(errs, fmt.Errorf("the grace of blobs is %v: give at least %v, for what is written at this moment", c.BlobsAfter, MinGrace))
	}
	if len(errs) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "gc: %w", errors.Join(errs...))
}

// Gone is a run, a logged model or an experiment that is given up.
type Gone struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Deleted time.Time `json:"deleted"`
}

// Report is what was found, and given up if Done.
type Report struct {
	Done        bool   `json:"done"`
	Runs        []Gone `json:"runs"`
	Models      []Gone `json:"logged_models"`
	Experiments []Gone `json:"experiments"`
	Blobs       int    `json:"blobs"` // that nothing refers to, and that are old enough
	Bytes       int64  `json:"bytes"` // of those
	Young       int    `json:"young"` // that nothing refers to, but too young
	Kept        int    `json:"kept"`  // that something refers to
}

// Run sweeps a store at an instant. It may be cut off at any point and run again.
//
// Invalid for a configuration that makes no sense, or a store that does not know
// what it keeps.
func Run(ctx context.Context, st store.Store, reg *registry.Registry, cfg Config, now time.Time) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	blobs, ok := st.Blobs.(store.Inventory)
	if !ok {
		return nil, fault.New(fault.Invalid, "gc: this store does not know what it keeps")
	}
	r := &Report{Done: cfg.Do, Runs: []Gone{}, Models: []Gone{}, Experiments: []Gone{}}
	purged := map[runs.ID]bool{}
	if err := retireModels(ctx, reg.Logged, cfg, now, r, purged); err != nil { // before their experiments
		return nil, err
	}
	if err := retire(ctx, reg.Runs, cfg, now, r, purged); err != nil {
		return nil, err
	}
	m := newMarker(st, reg, purged)
	if err := blobs.List(ctx, func(d store.Digest) error {
		m.there[d] = false
		return nil
	}); err != nil {
		return nil, err
	}
	if err := m.mark(ctx); err != nil {
		return nil, err
	}
	return r, sweep(ctx, blobs, m, cfg, now, r)
}

// keeper is the runs or the logged models.
type keeper interface {
	Purged(ctx context.Context) ([]runs.ID, error)
	Purge(ctx context.Context, id runs.ID, at time.Time) error
}

// purge purges what is doomed of a keeper, and says of all that is purged then, or
// would be, that it is.
func purge(ctx context.Context, k keeper, doomed []runs.Run, cfg Config, now time.Time, purged map[runs.ID]bool) (gone []Gone, err error) {
	ids, err := k.Purged(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		purged[id] = true
	}
	gone = []Gone{}
	for _, run := range doomed {
		if cfg.Do {
			if err := k.Purge(ctx, run.ID, now); fault.Of(err) == fault.Conflict { // restored at this moment
				continue
			} else if err != nil {
				return nil, err
			}
		}
		purged[run.ID] = true
		gone = append(gone, Gone{string(run.ID), run.Name, run.Deleted})
	}
	return gone, nil
}

// retireModels purges the logged models that were deleted long ago.
func retireModels(ctx context.Context, l *runs.LoggedModels, cfg Config, now time.Time, r *Report, purged map[runs.ID]bool) error {
	doomed, err := l.Doomed(ctx, now.Add(-cfg.RunsAfter))
	if err != nil {
		return err
	}
	r.Models, err = purge(ctx, l, doomed, cfg, now, purged)
	return err
}

// retire purges the runs and experiments that were deleted long ago.
func retire(ctx context.Context, book *runs.Book, cfg Config, now time.Time, r *Report, purged map[runs.ID]bool) error {
	doomed, err := book.Doomed(ctx, now.Add(-cfg.RunsAfter))
	if err != nil {
		return err
	}
	if r.Runs, err = purge(ctx, book, doomed.Runs, cfg, now, purged); err != nil {
		return err
	}
	for _, e := range doomed.Experiments {
		if cfg.Do {
			if err := book.Experiments.Purge(ctx, e.ID); fault.Of(err) == fault.Conflict {
				continue
			} else if err != nil {
				return err
			}
		}
		r.Experiments = append(r.Experiments, Gone{e.ID, e.Name, e.Deleted})
	}
	return nil
}

// sweep gives up the blobs that are not marked.
func sweep(ctx context.Context, blobs store.Inventory, m *marker, cfg Config, now time.Time, r *Report) error {
	before := now.Add(-cfg.BlobsAfter)
	for d, marked := range m.there {
		if marked {
			r.Kept++
			continue
		}
		kept, err := blobs.Stat(ctx, d)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		gone := kept.Put.Before(before)
		if gone && cfg.Do {
			if gone, err = blobs.DeleteOld(ctx, d, before); err != nil {
				return err
			}
		}
		if !gone {
			r.Young++
			continue
		}
		r.Blobs, r.Bytes = r.Blobs+1, r.Bytes+kept.Bytes
	}
	return nil
}

// Words is the report in a sentence, for people.
func (r *Report) Words() string {
	verb := "would give up"
	if r.Done {
		verb = "gave up"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d deleted runs, %d logged models, %d experiments and %d blobs of %d bytes; %d blobs are in use, %d too young", verb, len(r.Runs), len(r.Models), len(r.Experiments), r.Blobs, r.Bytes, r.Kept, r.Young)
	if !r.Done && len(r.Runs)+len(r.Models)+len(r.Experiments)+r.Blobs > 0 {
		b.WriteString("; pass --yes to do it")
	}
	return b.String()
}
