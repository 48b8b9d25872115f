package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/store/s3/s3test"
)

// places runs a test over a folder on disk and over a prefix in a bucket; at
// puts a spec's paths there.
func places(t *testing.T, test func(t *testing.T, w *workbench, at func(string) string)) {
	t.Helper()
	t.Run("on disk", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		sales(t, filepath.Join(folder, "in"), 2, 3, 300, 0)
		sales(t, filepath.Join(folder, "later"), 1, 2, 300, 40)
		test(t, bench(t, folder), func(s string) string { return s })
	})
	t.Run("in a bucket", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		sales(t, filepath.Join(folder, "in"), 2, 3, 300, 0)
		sales(t, filepath.Join(folder, "later"), 1, 2, 300, 40)
		server := s3test.Start(t)
		server.Fill(t, "in", filepath.Join(folder, "in"))
		server.Fill(t, "later", filepath.Join(folder, "later"))
		w := bench(t, folder)
		remote(t, w, server, nil)
		test(t, w, inBucket)
	})
}

func (w *workbench) output() string { return files.Join(w.folder, "out/features") }

// end runs one job and returns it.
func (w *workbench) end(id jobs.ID, body Body, text string) *jobs.Job {
	s := w.parse(text)
	j, err := Local{Store: w.store, Body: body, Clock: clock.Real{}, Slots: w.slots}.Run(context.Background(), id, string(s.Kind), s.Name, s.Canonical())
	if err != nil {
		panic(err) // of the machinery; it may be another goroutine's
	}
	return j
}

// Two jobs are ready to publish at the same moment: one wins, whole; the other
// says whose folder it is.
func TestOfTwoJobsThatPublishAtOnceOneWins(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, w *workbench, at func(string) string) {
		specs := []string{at(featuresSpec), replace(at(replace(featuresSpec, "input: in", "input: later")), "name: sales", "name: other")}
		for _, again := range []bool{false, true} { // and once more over the output of the first
			var ready, over sync.WaitGroup
			ready.Add(2)
			body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
				if task.Stage.Name == plan.Manifest && task.Attempt == 1 {
					ready.Done()
					ready.Wait()
				}
				return w.env.Body(ctx, task, r)
			}
			if again {
				specs[0] = replace(specs[0], "name: sales", "name: third")
				specs[1] = replace(specs[1], "name: other", "name: fourth")
			}
			ended := [2]*jobs.Job{}
			for i := range specs {
				over.Go(func() {
					ended[i] = w.end(jobs.ID(fmt.Sprintf("%s-%v", []string{"left", "right"}[i], again)), body, specs[i])
				})
			}
			over.Wait()
			winner, loser := ended[0], ended[1]
			if winner.Phase != jobs.Done {
				winner, loser = loser, winner
			}
			require.Equal(t, jobs.Done, winner.Phase, "%+v", winner.Failure)
			require.Equal(t, jobs.Failed, loser.Phase)
			require.Equal(t, fault.Conflict, loser.Failure.Kind, loser.Failure.Message)
			require.Contains(t, loser.Failure.Message, string(winner.ID))
			require.Contains(t, loser.Failure.Message, "out/features")
			m, errs := Verify(t.Context(), w.env.Files, w.output())
			require.Empty(t, errs)
			require.Equal(t, string(winner.ID), m.Job)
			require.Equal(t, Summarise(winner, 0).Digest, m.Digest)
			require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, w.env.Files, "test", loser))
			require.NoDirExists(t, filepath.Join(w.folder, "out/features", stagingName))
		}
	})
}

// A job began before another, which is through when the first comes to publish.
func TestWhatAnotherJobHasPublishedMeanwhileStays(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, w *workbench, at func(string) string) {
		later := replace(at(replace(featuresSpec, "input: in", "input: later")), "name: sales", "name: other")
		var winner *jobs.Job
		body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
			if task.Stage.Name == plan.Manifest {
				winner = w.end("winner", w.env.Body, later)
			}
			return w.env.Body(ctx, task, r)
		}
		j := w.end("slow", body, at(featuresSpec))
		require.Equal(t, jobs.Failed, j.Phase)
		require.Equal(t, fault.Conflict, j.Failure.Kind, j.Failure.Message)
		require.Contains(t, j.Failure.Message, "job winner has published to it")
		m, errs := Verify(t.Context(), w.env.Files, w.output())
		require.Empty(t, errs)
		require.Equal(t, Summarise(winner, 0).Digest, m.Digest)
		require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, w.env.Files, "test", j))
		require.Equal(t, "succeeded", w.run(at(featuresSpec)).Status, "a new job replaces it")
	})
}

// A job is cut off when it has moved its first part: what is there is no output,
// and the next attempt goes on.
func TestAJobThatIsKilledWhileItPublishesGoesOn(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, w *workbench, at func(string) string) {
		ctx := t.Context()
		older := replace(at(replace(featuresSpec, "input: in", "input: later")), "name: sales", "name: older")
		w.succeed(older)
		killed := false
		body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
			if task.Stage.Name != plan.Manifest || killed {
				return w.env.Body(ctx, task, r)
			}
			killed = true
			assert.NoError(t, half(ctx, w, task))
			_, err := List(ctx, w.env.Files, w.output())
			assert.ErrorContains(t, err, "has not ended, or has failed")
			return jobs.Result{}, fault.New(fault.Unavailable, "the process is gone")
		}
		j := w.end("killed", body, at(featuresSpec))
		require.Equal(t, jobs.Done, j.Phase, "%+v", j.Failure)
		require.True(t, killed)
		m, errs := Verify(ctx, w.env.Files, w.output())
		require.Empty(t, errs)
		require.Equal(t, Summarise(j, 0).Digest, m.Digest)
	})
}

// A job that has failed in the middle of publishing leaves no output, also for
// those who do not know of manifests that count as none; the next job need not
// wait for it.
func TestAJobThatFailsWhileItPublishesLeavesNoOutput(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, w *workbench, at func(string) string) {
		body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
			if task.Stage.Name != plan.Manifest {
				return w.env.Body(ctx, task, r)
			}
			assert.NoError(t, half(ctx, w, task))
			return jobs.Result{}, fault.New(fault.Invalid, "no more")
		}
		j := w.end("failed", body, at(featuresSpec))
		require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, w.env.Files, "test", j))
		_, err := List(t.Context(), w.env.Files, w.output())
		require.ErrorContains(t, err, "has not ended, or has failed")
		w.env.Clock = noWaiting{t: t}
		w.succeed(at(featuresSpec))
		_, errs := Verify(t.Context(), w.env.Files, w.output())
		require.Empty(t, errs)
	})
}

// half does what publishing does up to its middle.
func half(ctx context.Context, w *workbench, task Task) error {
	s, err := spec.Decode(task.Spec)
	if err != nil {
		return err
	}
	o := output{dir: outputOf(s), job: string(task.Job), attempt: task.Attempt, files: w.env.Files}
	j, err := joblog.Load(ctx, w.store, task.Job)
	if err != nil {
		return err
	}
	var p stagedPart
	if err := json.Unmarshal(j.StageTasks(plan.Apply)[0].Result.Meta, &p); err != nil {
		return err
	}
	if !files.Remote(o.dir) {
		return errors.Join(o.writeManifest(lease{Job: o.job, Attempt: o.attempt}.text()), o.move(ctx, []Part{p.Part}))
	}
	b, err := o.bucket()
	if err != nil {
		return err
	}
	old, _, err := b.manifest(ctx)
	if err != nil {
		return err
	}
	b.replaces = seen(old)
	if _, err := b.claim(ctx, &Manifest{}); err != nil {
		return err
	}
	return b.place(ctx, []stagedPart{p})
}

// noWaiting is a clock on which nobody waits.
type noWaiting struct {
	clock.Real
	t *testing.T
}

func (c noWaiting) After(d time.Duration) <-chan time.Time {
	c.t.Errorf("something waits for %v", d)
	return c.Real.After(0)
}

// busy is a clock on which waits are over at once, and something happens in each.
type busy struct {
	*leaping
	meanwhile func()
}

func (c busy) After(d time.Duration) <-chan time.Time {
	c.meanwhile()
	return c.leaping.After(d)
}

func twoBuckets(t *testing.T) (a, b bucket) {
	t.Helper()
	w := bench(t, t.TempDir())
	remote(t, w, s3test.Start(t), nil)
	for i, o := range []*bucket{&a, &b} {
		var err error
		*o, err = output{dir: "s3://lake/out", job: []string{"first", "second"}[i], attempt: 1, files: w.env.Files, clock: &leaping{now: time.Unix(1, 0)}}.bucket()
		require.NoError(t, err)
	}
	return a, b
}

func TestAClaimThatIsKeptAliveIsNotTakenOver(t *testing.T) {
	t.Parallel()
	a, b := twoBuckets(t)
	held, err := a.claim(t.Context(), &Manifest{})
	require.NoError(t, err)
	waits := 0
	b.clock = busy{&leaping{now: time.Unix(1, 0)}, func() {
		if waits++; waits == 5 {
			require.NoError(t, held.beat(t.Context()))
		}
	}}
	_, err = b.claim(t.Context(), &Manifest{})
	require.Equal(t, fault.Conflict, fault.Of(err), err)
	require.ErrorContains(t, err, "s3://lake/out: job first is publishing to it")
	require.Equal(t, 5, waits)
	require.NoError(t, held.beat(t.Context()), "it is still its own")
}

func TestAClaimThatNobodyKeepsAliveIsTakenOver(t *testing.T) {
	t.Parallel()
	a, b := twoBuckets(t)
	old, err := a.claim(t.Context(), &Manifest{})
	require.NoError(t, err)
	c := &leaping{now: time.Unix(1, 0)}
	b.clock = c
	_, err = b.claim(t.Context(), &Manifest{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, c.Now().Sub(time.Unix(1, 0)), watchFor)
	require.Greater(t, watchFor, 2*beatLimit)

	// The old one is not dead but was asleep: it may not write any more, and hears it.
	ticks := make(chan time.Time, 1)
	old.clock = ticking{&leaping{now: time.Unix(1, 0)}, ticks}
	err = old.while(t.Context(), func(ctx context.Context) error {
		ticks <- time.Unix(4, 0)
		<-ctx.Done()
		return ctx.Err()
	})
	require.Equal(t, fault.Conflict, fault.Of(err), err)
	err = old.lost(t.Context(), &Manifest{}, err)
	require.ErrorContains(t, err, "s3://lake/out: job second has taken it over")
	require.Equal(t, fault.Conflict, fault.Of(old.write(t.Context(), []byte("{}"))))
}

// ticking is a clock whose tickers fire when the test says so.
type ticking struct {
	*leaping
	c chan time.Time
}

func (c ticking) NewTicker(time.Duration) clock.Ticker { return c }
func (c ticking) C() <-chan time.Time                  { return c.c }
func (c ticking) Stop()                                {}

func TestALaterAttemptOfTheSameJobNeedNotWait(t *testing.T) {
	t.Parallel()
	a, _ := twoBuckets(t)
	_, err := a.claim(t.Context(), &Manifest{})
	require.NoError(t, err)
	later := a
	later.attempt, later.clock = 2, noWaiting{t: t}
	h, err := later.claim(t.Context(), &Manifest{})
	require.NoError(t, err)
	_, err = a.claim(t.Context(), &Manifest{})
	require.ErrorContains(t, err, "later attempt")
	require.NoError(t, h.beat(t.Context()))
}

func TestAFolderInWhichAnotherJobPublishesIsTaken(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	a, b := output{dir: dir, job: "first"}, output{dir: dir, job: "second"}
	unlock, err := a.lock(t.Context())
	require.NoError(t, err)
	_, err = b.lock(t.Context())
	require.Equal(t, fault.Conflict, fault.Of(err))
	require.ErrorContains(t, err, dir+": job first is publishing to it")

	waits := 0
	again := output{dir: dir, job: "first", attempt: 2, clock: busy{&leaping{}, func() {
		if waits++; waits == 3 {
			require.NoError(t, os.RemoveAll(a.stagingRoot())) // as the end of publishing does
			unlock()
		}
	}}}
	unlock2, err := again.lock(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, waits)
	_, err = b.lock(t.Context())
	require.ErrorContains(t, err, "job first", "the lock is of the file that is there now")
	require.NoError(t, again.unstage(t.Context()), "as the end of a cancelled job does while an attempt still publishes")
	_, err = b.lock(t.Context())
	require.ErrorContains(t, err, "job first", "who holds the lock keeps it")
	unlock2()
	require.NoError(t, again.unstage(t.Context()))
	require.NoDirExists(t, a.stagingRoot())
	unlock3, err := b.lock(t.Context())
	require.NoError(t, err)
	unlock3()
}

// A process that is being started has all files open for a moment.
func TestALockThatWasLetGoIsFreeWhileProcessesStart(t *testing.T) {
	t.Parallel()
	nothing, err := exec.LookPath("true")
	if err != nil {
		t.Skip("there is no program to start")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() {
			for ctx.Err() == nil {
				assert.NoError(t, exec.Command(nothing).Run())
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "out")
	for i := range 100 {
		unlock, err := output{dir: dir, job: fmt.Sprint("job", i)}.lock(t.Context())
		if assert.NoError(t, err) {
			unlock()
		}
	}
	cancel()
	starts.Wait()
}

// The folder is the user's who has made it, also when nothing comes into it.
func TestAFailedJobKeepsTheUsersEmptyFolder(t *testing.T) {
	t.Parallel()
	for _, users := range []bool{true, false} {
		folder := t.TempDir()
		sales(t, filepath.Join(folder, "in"), 1, 1, 100, 0)
		w := bench(t, folder)
		if users {
			require.NoError(t, os.MkdirAll(w.path("out/features"), 0o755))
		}
		body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
			if task.Stage.Name == plan.Manifest {
				return jobs.Result{}, fault.New(fault.Invalid, "no room")
			}
			return w.env.Body(ctx, task, r)
		}
		j := w.end("failed", body, featuresSpec)
		require.Equal(t, jobs.Failed, j.Phase)
		require.NoError(t, RecordEnd(t.Context(), w.env.Registry.Runs, w.store, w.env.Files, "test", j))
		if !users {
			require.NoDirExists(t, w.path("out/features"))
			continue
		}
		entries, err := os.ReadDir(w.path("out/features"))
		require.NoError(t, err)
		require.Empty(t, entries)
	}
}

// What another job has cleared away with its output is not told as damage.
func TestAJobWhoseStagedFilesAreGoneSaysWhoHasTheFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 100, 0)
	w := bench(t, folder)
	body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name == plan.Apply {
			sp, err := spec.Decode(task.Spec)
			assert.NoError(t, err)
			assert.NoError(t, imported(ctx, w.path("out/features")))
			return jobs.Result{}, (&work{Env: w.env, ctx: ctx, task: task, spec: sp}).overtaken(fault.New(fault.NotFound, "no such file"))
		}
		return w.env.Body(ctx, task, r)
	}
	j := w.end("late", body, featuresSpec)
	require.Equal(t, fault.Conflict, j.Failure.Kind)
	require.Contains(t, j.Failure.Message, "job import-1 has published to it")
	require.Contains(t, j.Failure.Message, "no such file")
}

// imported publishes to a folder as an import does.
func imported(ctx context.Context, dir string) error {
	f, err := NewFolder(ctx, nil, dir, "import-1")
	if err != nil {
		return err
	}
	p, err := f.StagePart(ctx, 0, func(o io.Writer) error {
		_, err := o.Write([]byte("x"))
		return err
	})
	if err != nil {
		return err
	}
	return f.Publish(ctx, &Manifest{Kind: "import", Parts: []Part{p}})
}

// Two jobs compute the same: who comes second finds its output there already.
func TestAJobWhoseOutputAnotherHasPublishedMeanwhileEndsWell(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, w *workbench, at func(string) string) {
		body := func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
			if task.Stage.Name == plan.Manifest {
				assert.Equal(t, jobs.Done, w.end("first", w.env.Body, at(featuresSpec)).Phase)
			}
			return w.env.Body(ctx, task, r)
		}
		j := w.end("second", body, at(featuresSpec))
		require.Equal(t, jobs.Done, j.Phase, "%+v", j.Failure)
		m, errs := Verify(t.Context(), w.env.Files, w.output())
		require.Empty(t, errs)
		require.Equal(t, "first", m.Job)
		require.Equal(t, Summarise(j, 0).Digest, m.Digest)
	})
}
