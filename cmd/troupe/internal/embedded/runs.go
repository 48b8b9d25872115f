package embedded

import (
	"context"

	"github.com/troupe-ml/troupe/jobs/run/sweep"
	"github.com/troupe-ml/troupe/registry/runs"
)

// SearchRuns returns the records of this folder that are asked for.
func (e *Engine) SearchRuns(ctx context.Context, s runs.Search) ([]runs.Run, error) {
	if err := e.endCutOff(ctx); err != nil {
		return nil, err
	}
	found, err := e.registry.Runs.Search(ctx, s)
	return found.Runs, err
}

// Run returns the record of an id, or of the only one that begins so.
func (e *Engine) Run(ctx context.Context, id string) (runs.Run, error) {
	return e.registry.Runs.Whole(ctx, runs.ID(id))
}

// DeleteRun hides a run.
func (e *Engine) DeleteRun(ctx context.Context, id string) (runs.Run, error) {
	return e.registry.Runs.Hide(ctx, runs.ID(id), e.cfg.Clock.Now())
}

// Collect gives up what nobody wants any more, or counts it.
func (e *Engine) Collect(ctx context.Context, r sweep.Request) (*sweep.Report, error) {
	cfg, err := r.Config()
	if err != nil {
		return nil, err
	}
	if err := e.endCutOff(ctx); err != nil {
		return nil, err
	}
	return sweep.Run(ctx, e.store.Store, e.registry, cfg, e.cfg.Clock.Now())
}

// RestoreRun shows a deleted run again.
func (e *Engine) RestoreRun(ctx context.Context, id string) (runs.Run, error) {
	return e.registry.Runs.Unhide(ctx, runs.ID(id))
}
