package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
)

const trainOverWindows = "kind: train\nname: v\ninput: in\ntarget: label\ntask: binary\nentity: user\ntimestamp: ts\nsplit: {by: random, validation: 0.1, test: 0.2}\n" +
	"columns: {exclude: [last_user_time, last_scaled]}\nmodel: {type: mlp, hidden: [8]}\nepochs: 1\nbatch_size: 128\nfeatures:" + windowSteps

// scratched is a bench whose workers share a scratch folder, and 600 rows.
func scratched(t *testing.T) *workbench {
	t.Helper()
	folder := t.TempDir()
	writeVisits(t, filepath.Join(folder, "in"), visits(600), 300, 100)
	w := bench(t, folder)
	w.env.Scratch = filepath.Join(folder, "scratch")
	return w
}

// inScratch returns what matches in the scratch folder.
func (w *workbench) inScratch(pattern string) []string {
	found, err := filepath.Glob(filepath.Join(w.env.Scratch, pattern))
	require.NoError(w.t, err)
	return found
}

// whenStage has the bench do something before the tasks of a stage.
func (w *workbench) whenStage(stage string, do func() error) {
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name == stage {
			if err := do(); err != nil {
				return jobs.Result{}, err
			}
		}
		return w.env.Body(ctx, task, r)
	}
}

func TestRowsOfATrainJobAreInTheScratchFolderOnTheirWay(t *testing.T) {
	t.Parallel()
	w := scratched(t)
	var files, answers atomic.Int64
	w.whenStage("train", func() error {
		files.Store(int64(len(w.inScratch("*/*-partition-?-0000?.blocks"))))
		answers.Store(int64(len(w.inScratch("*/*-window-?-0000?.blocks"))))
		return nil
	})
	made := w.succeed(trainOverWindows)
	require.EqualValues(t, 2*made.Shards, files.Load())
	require.EqualValues(t, 2, answers.Load())
	require.Empty(t, w.inScratch("*"), "it goes with the job")

	blobs := bench(t, w.folder)
	require.Equal(t, made.Digest, blobs.succeed(trainOverWindows).Digest)
}

func TestAJobThatWritesAFolderUsesNoScratch(t *testing.T) {
	t.Parallel()
	w := scratched(t)
	w.whenStage("apply", func() error {
		if len(w.inScratch("*")) > 0 {
			return errors.New("the scratch folder is in use")
		}
		return nil
	})
	s := w.succeed(windowSpec)
	j, err := joblog.Load(t.Context(), w.store, jobs.ID(s.Job))
	require.NoError(t, err)
	require.Empty(t, surveyOf(t.Context(), w.store.Blobs, j).Scratch)
}

func TestTheScratchOfAJobThatDoesNotSucceedIsRemoved(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(cancel func()) error{
		"it fails":         func(func()) error { return fault.New(fault.Invalid, "no room") },
		"it was cancelled": func(cancel func()) error { cancel(); return context.Canceled },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scratched(t)
			ctx, cancel := context.WithCancel(t.Context())
			w.whenStage("window-1", func() error { return ends(cancel) })
			s := w.parse(trainOverWindows)
			j, err := Local{Store: w.store, Body: w.body, Clock: clock.Real{}, Slots: 2}.Run(ctx, "job", string(s.Kind), s.Name, s.Canonical())
			require.NoError(t, err)
			require.True(t, j.Phase == jobs.Failed || j.Phase == jobs.Cancelled)
			require.NotEmpty(t, w.inScratch("job/*"), "it is there before")
			require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, nil, "test", j))
			require.Empty(t, w.inScratch("*"))
		})
	}
}

func TestAScratchFolderThatIsNotSharedIsNamed(t *testing.T) {
	t.Parallel()
	w := scratched(t)
	w.whenStage("window-0", func() error { return os.RemoveAll(w.env.Scratch) }) // as another machine sees it
	why := w.fails(trainOverWindows)
	require.Contains(t, why, w.env.Scratch)
	require.Contains(t, why, "must be one that all workers share")
}

// An attempt that was stopped leaves no folder behind, which nobody would remove.
func TestWhoWasStoppedStagesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "job")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := output{dir: dir, apart: dir}.stageAs(ctx, "x", nil, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NoDirExists(t, dir)
}

func TestWhatIsLeftInTheScratchFolderIsSweptUp(t *testing.T) {
	t.Parallel()
	w := scratched(t)
	require.NoError(t, w.env.SweepScratch(t.Context()), "there is none yet")
	submit := func(id jobs.ID, ends bool) {
		s := w.parse(trainOverWindows)
		if ends {
			_, err := Local{Store: w.store, Body: func(context.Context, Task, Reporter) (jobs.Result, error) {
				return jobs.Result{}, fault.New(fault.Invalid, "no")
			}, Clock: clock.Real{}, Slots: 1}.Run(t.Context(), id, string(s.Kind), s.Name, s.Canonical())
			require.NoError(t, err)
			return
		}
		require.NoError(t, joblog.Submit(t.Context(), w.store, id, string(s.Kind), s.Name, s.Canonical(), 0))
	}
	submit("ended", true)
	submit("fresh", true)
	submit("running", false)
	long := clock.Real{}.Now().Add(-2 * unusedScratch)
	for _, name := range []string{"ended", "fresh", "running", "strange"} {
		dir := filepath.Join(w.env.Scratch, name)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "x.blocks"), nil, 0o600))
		if name != "fresh" {
			require.NoError(t, os.Chtimes(dir, long, long))
		}
	}
	require.NoError(t, w.env.SweepScratch(t.Context()))
	var left []string
	for _, path := range w.inScratch("*") {
		left = append(left, filepath.Base(path))
	}
	require.Equal(t, "fresh running strange", strings.Join(left, " "))
}
