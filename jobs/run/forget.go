package run

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// forget removes what the windows of this job have left on their way, once nobody
// will read it.
func (w *work) forget() {
	if j, err := joblog.Load(w.ctx, w.Store, w.task.Job); err == nil {
		forget(w.ctx, w.Store, j)
		_ = dropScratch(surveyOf(w.ctx, w.Store.Blobs, j)) //nolint:errcheck // a later sweep tries again
	}
}

// forget removes the blobs of a job that are of use to its own tasks alone. What
// cannot be removed stays; it may be called again.
func forget(ctx context.Context, st store.Store, j *jobs.Job) {
	var g errgroup.Group
	g.SetLimit(atATime)
	defer g.Wait() //nolint:errcheck // of no consequence
	for _, s := range j.Stages {
		partition, window := strings.HasPrefix(s.Name, plan.Partition+"-"), strings.HasPrefix(s.Name, plan.Window+"-")
		if !partition && !window {
			continue
		}
		for _, t := range j.StageTasks(s.Name) {
			if t.Phase != jobs.Done {
				continue
			}
			raw, err := st.Passing().Get(ctx, store.Digest(t.Result.Output))
			if err != nil {
				continue
			}
			var left struct { // sorted or answered
				shelf
				Runs []json.RawMessage `json:"runs"`
			}
			if json.Unmarshal(raw, &left) != nil {
				continue
			}
			for _, run := range left.Runs {
				dropBlocks(ctx, &g, st.Passing(), left.shelf, blocksOf(run, partition))
			}
			g.Go(func() error { return st.Passing().Delete(ctx, store.Digest(t.Result.Output)) })
		}
	}
}

// blocksOf returns the blobs that a run of a partition or window task names.
func blocksOf(run json.RawMessage, partition bool) []ref {
	if !partition {
		var answers []ref
		_ = json.Unmarshal(run, &answers) // null where there are none
		return answers
	}
	var s sortedRun
	if json.Unmarshal(run, &s) != nil {
		return nil
	}
	return append(slices.Concat(s.Parts...), s.Alone...)
}
