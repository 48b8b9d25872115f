package run

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/registry/runs"
)

// resuming is a train spec with so many epochs that goes on from a run, and has some
// texts changed.
func resuming(run, epochs string, changes ...string) string {
	text := strings.NewReplacer("epochs: 3", "epochs: "+epochs, "early_stopping: {metric: auc, patience: 2}\n", "").Replace(trainSpec)
	if run != "" {
		text = strings.Replace(text, "epochs:", "resume: \""+run+"\"\nepochs:", 1)
	}
	return strings.NewReplacer(changes...).Replace(text)
}

func TestARunGoesOnWithMoreEpochsToTheBytesOfALongOne(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 2000, 0)
	w, other := bench(t, folder), bench(t, folder)
	short := w.succeed(resuming("", "3"))
	long := other.succeed(resuming("", "7"))
	require.NotEqual(t, short.Digest, long.Digest)

	var rows int64
	body := w.env.Body
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name == plan.Train {
			state, err := (&work{Env: w.env, ctx: ctx, task: task, spec: w.parse(resuming(short.Run, "7"))}).checkpoint()
			require.NoError(t, err)
			epochs, err := history(state)
			require.NoError(t, err)
			rows = int64(len(epochs))
		}
		return body(ctx, task, r)
	}
	again := w.succeed(resuming(short.Run, "7"))
	require.Equal(t, long.Digest, again.Digest)
	require.Equal(t, int64(3), rows, "epochs that were not made again")
	require.Equal(t, long.Metrics, again.Metrics)
	require.Equal(t, 7, again.Epochs)
}

func TestAFailedRunGoesOnFromItsLastCheckpoint(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 2000, 0)
	w := bench(t, folder)
	want := bench(t, folder).succeed(resuming("", "5"))
	var id jobs.ID
	body := w.env.Body
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		id = task.Job
		if task.Stage.Name == plan.Bundle {
			return jobs.Result{}, fault.New(fault.Invalid, "no room")
		}
		return body(ctx, task, r)
	}
	require.Contains(t, w.fails(resuming("", "5")), "no room")
	j, err := joblog.Load(t.Context(), w.store, id)
	require.NoError(t, err)
	require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, nil, "test", j))
	run := runOfJob(t, w, id)
	w.body = nil
	require.Equal(t, want.Digest, w.succeed(resuming(run, "5")).Digest)
}

// runOfJob returns the id of a job's run.
func runOfJob(t *testing.T, w *workbench, id jobs.ID) string {
	t.Helper()
	all, err := w.env.Registry.Runs.Search(t.Context(), runs.Search{})
	require.NoError(t, err)
	for _, r := range all.Runs {
		if r.Job == string(id) {
			return string(r.ID)
		}
	}
	require.Fail(t, "the job is no run")
	return ""
}

func TestARunOfAnotherSpecOrOtherRowsIsNotResumed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 2, 500, 0)
	sales(t, filepath.Join(folder, "later"), 2, 2, 500, 0)
	w := bench(t, folder)
	first := w.succeed(resuming("", "3"))
	require.Contains(t, w.fails(resuming(first.Run, "5", "batch_size: 128", "batch_size: 77")), "had another batch_size: 128 there, 77 here")
	require.Contains(t, w.fails(resuming(first.Run, "5", "epochs:", "seed: 9\nepochs:")), "had another seed: 42 there, 9 here")
	require.Contains(t, w.fails(resuming(first.Run, "5", "test: 0.2", "test: 0.1")), "had another split", "it would be tested on rows that it has learned from")
	require.Contains(t, w.fails(resuming(first.Run, "5", "input: in", "input: later")), "are not those that run "+first.Run)
	require.Contains(t, w.fails(resuming("00000000000000000000000000000000", "5")), `there is no run "00000000000000000000000000000000"`)
	require.Contains(t, w.fails(resuming(first.Run, "2")), "the checkpoint is of epoch 3, behind the last of 2")
	scored := w.succeed(predictSpec("runs:/" + first.Run + "/model"))
	require.Contains(t, w.fails(resuming(runOfJob(t, w, jobs.ID(scored.Job)), "5")), "is no train job")
}
