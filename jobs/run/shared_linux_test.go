package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
)

// quickTrain trains for as long as it takes to see that the rows were right.
var quickTrain = strings.NewReplacer("epochs: 3", "epochs: 1", "batch_size: 128", "batch_size: 4096").Replace(trainSpec)

func TestRanksOfAMachineShareOneTable(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 8000, 0)
	scattered := strings.Replace(quickTrain, "by: time, column: ts", "by: random", 1)
	for _, text := range []string{quickTrain, scattered} {
		alone := bench(t, folder).succeed(text)
		for _, world := range []int{1, 3} {
			w := bench(t, folder)
			w.env.Cache = t.TempDir()
			used := false
			inner := gang(w, world)
			w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
				result, err := inner(ctx, task, r)
				_, gone := os.Stat(filepath.Join(w.env.Cache, tablesFolder))
				used = used || gone == nil
				return result, err
			}
			require.Equal(t, alone.Digest, w.succeed(text).Digest, "%d ranks", world)
			require.True(t, used, "the table was shared")
			left, err := os.ReadDir(filepath.Join(w.env.Cache, tablesFolder))
			require.NoError(t, err)
			require.Empty(t, left, "the job is done with it")
		}
	}
}

// trainTask runs a train job up to its gang, and hands its work over to f in
// place of the gang's body.
func trainTask(t *testing.T, w *workbench, f func(w *work)) {
	t.Helper()
	enough := errors.New("enough")
	w.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name != plan.Train {
			return w.env.Body(ctx, task, r)
		}
		f(&work{Env: w.env, ctx: ctx, task: task, spec: w.parse(quickTrain), report: r})
		return jobs.Result{}, enough
	}
	require.Equal(t, "failed", w.run(quickTrain).Status)
}

func (w *work) openTables(t *testing.T) (*tables, error) {
	t.Helper()
	var s Survey
	require.NoError(t, w.input(plan.Survey, &s))
	l, p, err := w.preparation(&s)
	require.NoError(t, err)
	return w.tables(l, p)
}

func TestAGangThatFormsAnewReadsNoInputAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 6, 8000, 0)
	b := bench(t, folder)
	b.env.Cache = t.TempDir()
	trainTask(t, b, func(w *work) {
		dir, err := w.tableFolder(false)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(dir, 0o700))
		other, err := claim(filepath.Join(dir, "0"))
		require.NoError(t, err)
		require.NotNil(t, other.file, "another rank writes the first shard")
		ctx := w.ctx
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		w.ctx = short
		_, err = w.openTables(t)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, "it is waited for")
		require.NoError(t, other.file.Close(), "and dies")
		w.ctx = ctx
		first, err := w.openTables(t)
		require.NoError(t, err)

		require.NoError(t, os.RemoveAll(filepath.Join(folder, "in")))
		again, err := w.openTables(t)
		require.NoError(t, err)
		require.Equal(t, first.parts, again.parts)
		require.NotZero(t, again.parts[split.Test].NumRows)
		first.release(true)
		require.NotZero(t, again.parts[split.Train].Row(100), "who has it open keeps it")
		again.release(false)

		w.Cache = ""
		_, err = w.openTables(t)
		require.Error(t, err, "in memory the input is needed")
	})
}

func TestTablesThatNobodyUsesAreSweptAway(t *testing.T) {
	t.Parallel()
	w := &work{Env: &Env{Clock: clock.Real{}}}
	folder := t.TempDir()
	old := clock.Real{}.Now().Add(-2 * unusedAfter)
	for _, name := range []string{"new", "old", "used", "kept"} {
		f, err := enter(filepath.Join(folder, name))
		require.NoError(t, err)
		if name != "new" {
			require.NoError(t, os.Chtimes(f.Name(), old, old))
		}
		if name == "used" {
			t.Cleanup(func() { f.Close() })
		} else {
			letGo(f)
		}
	}
	w.sweep(folder, "kept")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{"kept", "new", "used"}, names)
}

func TestAFolderThatCannotBeWrittenIsDoneWithout(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 3, 8000, 0)
	alone := bench(t, folder).succeed(quickTrain)
	w := bench(t, folder)
	w.env.Cache = filepath.Join(folder, "in", "part-00.parquet") // is a file
	require.Equal(t, alone.Digest, w.succeed(quickTrain).Digest)
}
