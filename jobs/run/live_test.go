package run

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/registry/runs"
)

// While a job is at work it is a run, with its metrics as far as they have come.
func TestAJobIsARunFromItsBeginning(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	w := bench(t, folder)
	book := w.env.Registry.Runs
	var atFit, atEnd runs.Run
	body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		var err error
		switch task.Stage.Name {
		case plan.Train:
			atFit, err = book.Show(ctx, runs.IDOf(string(task.Job)))
			assert.NoError(t, err)
		case plan.Bundle:
			atEnd, err = book.Show(ctx, runs.IDOf(string(task.Job)))
			assert.NoError(t, err)
		}
		return w.env.Body(ctx, task, r)
	}
	j := w.end("live", body, trainSpec)
	require.Equal(t, jobs.Done, j.Phase, "%+v", j.Failure)
	require.Equal(t, runs.Running, atFit.Status)
	require.Equal(t, "RUNNING", atFit.Status.Word())
	require.Equal(t, "train", atFit.Kind)
	require.Equal(t, "mlp", atFit.Params["model.type"])
	require.Len(t, atFit.Data, 1)
	require.Empty(t, atFit.Metrics)
	require.Zero(t, atFit.Ended)

	require.Equal(t, runs.Running, atEnd.Status)
	require.Len(t, atEnd.Metrics["train.loss"], 3)
	require.Len(t, atEnd.Metrics["validation.auc.epoch"], 3)
	for i, p := range atEnd.Metrics["train.loss"] {
		require.EqualValues(t, i+1, p.Step)
		require.Positive(t, p.Time)
	}
	end, err := book.Show(t.Context(), atEnd.ID)
	require.NoError(t, err)
	require.Equal(t, runs.Succeeded, end.Status)
	require.Equal(t, atEnd.Metrics["train.loss"], end.Metrics["train.loss"], "with their times")
	require.Contains(t, end.Metrics, "test.auc")
	require.NoError(t, book.Advance(t.Context(), end.ID, map[string][]runs.Point{"late": {{Step: 9}}}))
	again, err := book.Show(t.Context(), end.ID)
	require.NoError(t, err)
	require.Equal(t, end, again, "what comes late changes nothing")

	same := w.end("again", w.env.Body, trainSpec) // which is a look alone
	require.True(t, Summarise(same, 0).Unchanged)
	_, err = book.Show(t.Context(), runs.IDOf("again"))
	require.Equal(t, fault.NotFound, fault.Of(err), "it would run for ever")
}

func TestARunThatFailsKeepsItsMetrics(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	w := bench(t, folder)
	body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name == plan.Bundle {
			return jobs.Result{}, fault.New(fault.Invalid, "no room")
		}
		return w.env.Body(ctx, task, r)
	}
	w.end("fails", body, trainSpec)
	j, err := joblog.Load(t.Context(), w.store, "fails")
	require.NoError(t, err)
	require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, w.env.Files, "test", j))
	r, err := w.env.Registry.Runs.Show(t.Context(), runs.IDOf("fails"))
	require.NoError(t, err)
	require.Equal(t, runs.Failed, r.Status)
	require.Contains(t, r.Error, "no room")
	require.Len(t, r.Metrics["train.loss"], 3)
	require.NotZero(t, r.Ended)
}
