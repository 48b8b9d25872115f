package main

import (
	"context"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/tracking"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
)

// mirror copies the run of a job that has ended to the server of MLflow that the
// environment names, if it does. The job is what it is: what goes wrong here is
// told and changes nothing.
func (a *app) mirror(ctx context.Context, b backend.Backend, end run.Summary) {
	cfg, ok := tracking.FromEnv(a.env)
	if !ok || !backend.Ended(end) {
		return
	}
	s, err := tracking.New(cfg)
	if err != nil {
		a.say("the run was not copied: %v", err)
		return
	}
	id := string(runs.IDOf(end.Job))
	if end.Unchanged { // what had been done before has no run of its own
		if id = end.Run; id == "" {
			return
		}
	}
	r, err := a.recorded(ctx, b, id)
	if err != nil {
		a.say("the run was not copied to %s: %v", cfg.URI, err)
		return
	}
	done, err := s.Mirror(ctx, r, func(path string) ([]byte, error) {
		return b.Artifact(ctx, registry.URI{Run: r.ID, Path: path}.String())
	})
	switch {
	case err != nil:
		a.say("run %s was not copied to %s: %v", r.ID, cfg.URI, err)
	case !done.Already:
		a.tell("copied to %s as run %s", cfg.URI, done.ID)
	}
	if len(done.Left) > 0 {
		a.say("not copied to %s, which keeps its artifacts elsewhere or takes less: %s", cfg.URI, strings.Join(done.Left, ", "))
	}
}

// recorded returns the run of a job. That of one that has failed is recorded a
// moment after its end.
func (a *app) recorded(ctx context.Context, b backend.Backend, id string) (runs.Run, error) {
	const tries, pause = 20, 250 * time.Millisecond
	for try := 1; ; try++ {
		r, err := b.Run(ctx, id)
		if err == nil && r.Status.Finished() || try == tries || err != nil && fault.Of(err) != fault.NotFound {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-a.clock.After(pause):
		}
	}
}
