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
	}
}

// forget removes the blobs of a job that are of use to its own tasks alone. What
// cannot be removed stays; it may be called again.
func forget(ctx context.Context, st store.Store, j *jobs.Job) {
	var g errgroup.Group
	g.SetLimit(atATime)
	defer g.Wait() //nolint:errcheck // of no consequence
	drop := func(from store.Blobs, ds ...store.Digest) {
		for _, d := range ds {
			if d != "" {
				g.Go(func() error { return from.Delete(ctx, d) })
			}
		}
	}
	for _, s := range j.Stages {
		partition, window := strings.HasPrefix(s.Name, plan.Partition+"-"), strings.HasPrefix(s.Name, plan.Window+"-")
		if !partition && !window {
			continue
		}
		for _, t := range j.StageTasks(s.Name) {
			raw, err := st.Blobs.Get(ctx, store.Digest(t.Result.Output))
			if t.Phase != jobs.Done || err != nil {
				continue
			}
			var left struct { // sorted or answered
				Runs []json.RawMessage `json:"runs"`
			}
			if json.Unmarshal(raw, &left) != nil {
				continue
			}
			for _, run := range left.Runs {
				drop(st.Passing(), blocksOf(run, partition)...)
			}
			drop(st.Blobs, store.Digest(t.Result.Output))
		}
	}
}

// blocksOf returns the blobs that a run of a partition or window task names.
func blocksOf(run json.RawMessage, partition bool) []store.Digest {
	if !partition {
		var answers []store.Digest
		_ = json.Unmarshal(run, &answers) // null where there are none
		return answers
	}
	var s sortedRun
	if json.Unmarshal(run, &s) != nil {
		return nil
	}
	return append(slices.Concat(s.Parts...), s.Alone)
}
