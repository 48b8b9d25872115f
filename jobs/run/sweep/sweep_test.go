package sweep_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/run/sweep"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/disk"
	"github.com/troupe-ml/troupe/store/memory"
	"github.com/troupe-ml/troupe/store/s3"
	"github.com/troupe-ml/troupe/store/s3/s3test"
)

// house is a store with what jobs and clients have left in it.
type house struct {
	t     *testing.T
	st    store.Store
	reg   *registry.Registry
	start time.Time
}

// houses runs a test over stores of every kind that one process can have; that of
// a cluster is seen to in cmd/troupe.
func houses(t *testing.T, test func(h *house)) {
	t.Helper()
	for name, open := range map[string]func(t *testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return memory.New() },
		"disk": func(t *testing.T) store.Store {
			t.Helper()
			s, err := disk.Open(t.TempDir(), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s.Store
		},
		"a bucket": func(t *testing.T) store.Store {
			t.Helper()
			st := memory.New()
			st.Blobs = s3test.Start(t).Client(t, nil).Blobs(s3.URL{Bucket: s3test.Bucket, Key: "blobs"})
			return st
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t)
			test(&house{t, st, registry.Open(st), clock.Real{}.Now()})
		})
	}
}

func (h *house) put(text string) store.Digest {
	h.t.Helper()
	d, err := h.st.Blobs.Put(h.t.Context(), []byte(text))
	require.NoError(h.t, err)
	return d
}

func (h *house) has(d store.Digest) bool {
	h.t.Helper()
	has, err := h.st.Blobs.Has(h.t.Context(), d)
	require.NoError(h.t, err)
	return has
}

// job makes the log of a job with a result, and its run with a model.
func (h *house) job(name string, model store.Digest, left ...store.Digest) runs.Run {
	h.t.Helper()
	ctx := h.t.Context()
	require.NoError(h.t, joblog.Submit(ctx, h.st, jobs.ID(name), "train", name, []byte(`{}`), h.start.UnixMilli()))
	for i, d := range left {
		record, err := jobs.EncodeRecord(0, []jobs.Event{{Kind: jobs.TaskDone, Task: "t/0", Attempt: 1, Result: &jobs.Result{Output: string(d)}}})
		require.NoError(h.t, err)
		require.NoError(h.t, h.st.Logs.Append(ctx, joblog.Name(jobs.ID(name)), uint64(i+1), record))
	}
	r, err := h.reg.Runs.Record(ctx, runs.Run{
		Job: name, Kind: "train", Name: name, Status: runs.Succeeded, Started: h.start, Ended: h.start,
		Artifacts: map[string]runs.Artifact{"model": {Digest: model, Bytes: 1}},
	})
	require.NoError(h.t, err)
	_, revision, err := h.st.Refs.Get(ctx, joblog.OpenPrefix+name)
	require.NoError(h.t, err)
	require.NoError(h.t, h.st.Refs.Delete(ctx, joblog.OpenPrefix+name, revision))
	return r
}

func (h *house) gc(cfg sweep.Config, after time.Duration) *sweep.Report {
	h.t.Helper()
	r, err := sweep.Run(h.t.Context(), h.st, h.reg, cfg, h.start.Add(after))
	require.NoError(h.t, err)
	return r
}

const day = 24 * time.Hour

func TestWhatIsDeletedGoesAfterAWhileAndNothingElse(t *testing.T) {
	t.Parallel()
	houses(t, func(h *house) {
		t, ctx := h.t, h.t.Context()
		inner := h.put("inner")
		names := map[string]store.Digest{
			"kept":     h.put("model of a run that stays"),
			"deleted":  h.put("model of a run that is deleted"),
			"deployed": h.put("model of a deleted run that has a name"),
			"state":    h.put(`{"parts": ["` + string(inner) + `"]}`), // of the job that stays
			"left":     h.put("what the deleted job has left"),
			"none":     h.put("nothing refers to it"),
			"retired":  h.put("a version that was deleted"),
			"open":     h.put("what a job that runs has left"),
		}
		h.job("stays", names["kept"], names["state"])
		gone := h.job("goes", names["deleted"], names["left"])
		named := h.job("named", names["deployed"])
		for _, from := range []runs.Run{gone, named} {
			require.NoError(t, h.reg.Runs.Delete(ctx, from.ID, h.start))
		}
		_, err := h.reg.Models.Register(ctx, "fraud", models.Version{Run: named.ID, Path: "model", Digest: names["deployed"], Created: h.start})
		require.NoError(t, err)
		_, err = h.reg.Models.Register(ctx, "fraud", models.Version{Run: "x", Path: "model", Digest: names["retired"], Created: h.start})
		require.NoError(t, err)
		require.NoError(t, h.reg.Models.DeleteVersion(ctx, "fraud", 2, h.start))
		running := h.job("runs", h.put("model of a job that runs"), names["open"])
		_, err = h.st.Refs.Set(ctx, joblog.OpenPrefix+"runs", []byte("train"), 0)
		require.NoError(t, err)
		require.NoError(t, h.reg.Runs.Delete(ctx, running.ID, h.start))

		r := h.looksAlone(names, gone)
		cfg := sweep.DefaultConfig()
		cfg.Do = true
		done := h.gc(cfg, 31*day)
		r.Done = true
		require.ElementsMatch(t, r.Runs, done.Runs)
		require.Equal(t, []any{r.Blobs, r.Bytes, r.Kept}, []any{done.Blobs, done.Bytes, done.Kept}, "what was said is what was done")
		for name, stays := range map[string]bool{"kept": true, "deployed": true, "state": true, "open": true, "deleted": false, "left": false, "none": false, "retired": false} {
			require.Equal(t, stays, h.has(names[name]), name)
		}
		require.True(t, h.has(inner), "what a kept blob refers to")
		_, err = h.reg.Runs.Show(ctx, gone.ID)
		require.Equal(t, fault.NotFound, fault.Of(err))
		require.ErrorContains(t, err, "purged on")
		require.Error(t, h.reg.Runs.Restore(ctx, gone.ID))
		_, err = h.reg.Resolve(ctx, "models:/fraud/1")
		require.NoError(t, err)
		again := h.gc(cfg, 31*day)
		require.Zero(t, again.Blobs+len(again.Runs)+len(again.Experiments))
	})
}

// looksAlone returns what a sweep would do, and sees to it that it does nothing.
func (h *house) looksAlone(names map[string]store.Digest, gone runs.Run) *sweep.Report {
	h.t.Helper()
	t, ctx, cfg := h.t, h.t.Context(), sweep.DefaultConfig()
	r := h.gc(cfg, time.Hour)
	require.Zero(t, r.Blobs)
	require.Equal(t, 2, r.Young, "%+v", r)
	r = h.gc(cfg, 29*day)
	require.Empty(t, r.Runs)
	require.Equal(t, 2, r.Blobs, "%+v", r) // none and retired
	r = h.gc(cfg, 31*day)
	require.Len(t, r.Runs, 3)
	require.False(t, r.Done)
	require.Equal(t, 5, r.Blobs, "%+v", r) // and of the purged: deleted, left, that of the job that runs
	require.EqualValues(t, len("nothing refers to it")+len("a version that was deleted")+len("model of a run that is deleted")+len("what the deleted job has left")+len("model of a job that runs"), r.Bytes)
	for name, d := range names {
		require.True(t, h.has(d), name)
	}
	require.NoError(t, h.reg.Runs.Restore(ctx, gone.ID), "looking has changed nothing")
	require.NoError(t, h.reg.Runs.Delete(ctx, gone.ID, h.start))
	return r
}

// A job leaves a checkpoint a second: the last one is what it can be resumed from.
func TestOfCheckpointsTheLastOneIsKept(t *testing.T) {
	t.Parallel()
	houses(t, func(h *house) {
		t, ctx := h.t, h.t.Context()
		all := []store.Digest{h.put("first"), h.put("second"), h.put("third"), h.put("of another task")}
		result := h.put("result")
		h.job("stays", h.put("model"))
		event := func(kind jobs.EventKind, task jobs.TaskID, d store.Digest) jobs.Event {
			return jobs.Event{Kind: kind, Task: task, Attempt: 1, Result: &jobs.Result{Output: string(d)}}
		}
		for i, events := range [][]jobs.Event{
			{event(jobs.TaskCheckpoint, "fit/0", all[0])},
			{event(jobs.TaskCheckpoint, "fit/0", all[1]), event(jobs.TaskDone, "more/0", result)},
			{event(jobs.TaskCheckpoint, "fit/1", all[3])},
			{event(jobs.TaskCheckpoint, "fit/0", all[2])},
		} {
			record, err := jobs.EncodeRecord(0, events)
			require.NoError(t, err)
			require.NoError(t, h.st.Logs.Append(ctx, joblog.Name("stays"), uint64(i+1), record))
		}
		require.Equal(t, 2, h.gc(sweep.Config{RunsAfter: day, BlobsAfter: time.Hour, Do: true}, 2*time.Hour).Blobs)
		require.Equal(t, []bool{false, false, true, true, true}, []bool{h.has(all[0]), h.has(all[1]), h.has(all[2]), h.has(all[3]), h.has(result)})
	})
}

func TestADeletedExperimentGoesWithItsRuns(t *testing.T) {
	t.Parallel()
	houses(t, func(h *house) {
		t, ctx := h.t, h.t.Context()
		x, err := h.reg.Runs.Experiments.Create(ctx, runs.Experiment{Name: "old", Created: h.start})
		require.NoError(t, err)
		r, err := h.reg.Runs.Create(ctx, runs.Run{Group: x.ID, Name: "logged", Status: runs.Running, Started: h.start})
		require.NoError(t, err)
		d := h.put("logged")
		require.NoError(t, h.reg.Runs.PutArtifact(ctx, r.ID, "a", runs.Artifact{Digest: d, Bytes: 6}))
		require.NoError(t, h.reg.Runs.Experiments.Delete(ctx, x.ID, h.start))
		cfg := sweep.Config{RunsAfter: day, BlobsAfter: time.Hour, Do: true}
		require.Zero(t, h.gc(cfg, day-time.Minute).Blobs)
		got := h.gc(cfg, day+time.Minute)
		require.Len(t, got.Runs, 1)
		require.Len(t, got.Experiments, 1)
		require.False(t, h.has(d))
		_, err = h.reg.Runs.Experiments.Named(ctx, "old")
		require.Equal(t, fault.NotFound, fault.Of(err))
		again, err := h.reg.Runs.Experiments.Create(ctx, runs.Experiment{Name: "old", Created: h.start})
		require.NoError(t, err)
		require.NotEqual(t, x.ID, again.ID)
	})
}

// A logged model outlives its run, and goes some time after it was itself deleted, or
// with its experiment.
func TestALoggedModelGoesWhenItWasDeleted(t *testing.T) {
	t.Parallel()
	houses(t, func(h *house) {
		t, ctx := h.t, h.t.Context()
		x, err := h.reg.Runs.Experiments.Create(ctx, runs.Experiment{Name: "old", Created: h.start})
		require.NoError(t, err)
		r, err := h.reg.Runs.Create(ctx, runs.Run{Group: runs.DefaultGroup, Name: "r", Status: runs.Running, Started: h.start})
		require.NoError(t, err)
		made, blobs := map[string]runs.ID{}, map[string]store.Digest{}
		for name, group := range map[string]string{"lives": runs.DefaultGroup, "deleted": runs.DefaultGroup, "grouped": x.ID} {
			m, err := h.reg.Logged.Create(ctx, runs.Run{Group: group, Name: name, Source: r.ID, Started: h.start})
			require.NoError(t, err)
			made[name], blobs[name] = m.ID, h.put(name)
			require.NoError(t, h.reg.Logged.PutArtifact(ctx, m.ID, "MLmodel", runs.Artifact{Digest: blobs[name], Bytes: 1}))
		}
		require.NoError(t, h.reg.Logged.Delete(ctx, made["deleted"], h.start))
		require.NoError(t, h.reg.Runs.Delete(ctx, r.ID, h.start))
		require.NoError(t, h.reg.Runs.Experiments.Delete(ctx, x.ID, h.start))
		cfg := sweep.Config{RunsAfter: day, BlobsAfter: time.Hour, Do: true}
		early := h.gc(cfg, day-time.Minute)
		require.Empty(t, early.Models)
		require.Zero(t, early.Blobs)
		look := cfg
		look.Do = false
		said := h.gc(look, day+time.Minute)
		require.True(t, h.has(blobs["deleted"]))
		got := h.gc(cfg, day+time.Minute)
		require.Len(t, got.Models, 2)
		require.Len(t, got.Runs, 1)
		require.Len(t, got.Experiments, 1)
		require.Equal(t, []int{2, 2}, []int{said.Blobs, got.Blobs})
		for name, stays := range map[string]bool{"lives": true, "deleted": false, "grouped": false} {
			require.Equal(t, stays, h.has(blobs[name]), name)
			_, err := h.reg.Logged.Show(ctx, made[name])
			require.Equal(t, stays, err == nil, name)
		}
		again := h.gc(cfg, day+2*time.Minute)
		require.Zero(t, again.Blobs+len(again.Models))
	})
}

// Whoever writes while a sweep is on its way keeps what it has written: it is young.
func TestWritersKeepWhatTheyWriteDuringASweep(t *testing.T) {
	t.Parallel()
	houses(t, func(h *house) {
		var all sync.WaitGroup
		const writers = 4
		made := make([]store.Digest, writers)
		stop := make(chan struct{})
		for w := range writers {
			all.Go(func() {
				for n := range 60 { // enough for all sweeps, few enough for a bucket
					d, err := h.st.Blobs.Put(context.Background(), fmt.Appendf(nil, "blob %d of %d", n, w))
					if err == nil {
						_, err = h.st.Refs.Set(context.Background(), fmt.Sprintf("of.%d.%d", w, n), []byte(d), 0)
					}
					if err != nil {
						panic(err) // of a store that works
					}
					made[w] = d
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		for range 5 {
			h.gc(sweep.Config{BlobsAfter: time.Hour, Do: true}, 0)
		}
		close(stop)
		all.Wait()
		for _, d := range made {
			require.True(h.t, h.has(d))
		}
		r := h.gc(sweep.Config{BlobsAfter: time.Hour, Do: true}, day)
		require.Zero(h.t, r.Blobs)
		require.GreaterOrEqual(h.t, r.Kept, writers)
	})
}

// moving is refs of which one is renamed while they are looked at: the new name
// is told no more, the old one is gone before it is told.
type moving struct {
	store.Refs
	once sync.Once
	move func()
}

func (m *moving) Since(ctx context.Context, prefix string, revision uint64, fn func(string, []byte, uint64) error) error {
	defer m.once.Do(m.move)
	return m.Refs.Since(ctx, prefix, revision, func(name string, value []byte, revision uint64) error {
		if name == "old" {
			return nil
		}
		return fn(name, value, revision)
	})
}

func TestAReferenceThatMovesDuringTheSweepCounts(t *testing.T) {
	t.Parallel()
	h := &house{t, memory.New(), nil, clock.Real{}.Now()}
	h.reg = registry.Open(h.st)
	d := h.put("precious")
	rev, err := h.st.Refs.Set(t.Context(), "old", []byte(d), 0)
	require.NoError(t, err)
	refs := h.st.Refs
	h.st.Refs = &moving{Refs: refs, move: func() {
		_, err := refs.Set(context.Background(), "new", []byte(d), 0)
		require.NoError(t, err)
		require.NoError(t, refs.Delete(context.Background(), "old", rev))
	}}
	require.Zero(t, h.gc(sweep.Config{BlobsAfter: time.Hour, Do: true}, day).Blobs)
	require.True(t, h.has(d))
}

func TestASweepThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"1x": "no span of time", "59m": "at least 1h", "-3d": "no span", "": ""} {
		_, err := sweep.Request{UnusedFor: text}.Config()
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, fault.Invalid, fault.Of(err))
		require.ErrorContains(t, err, want)
	}
	c, err := sweep.Request{DeletedFor: "7d", UnusedFor: "90m", Yes: true}.Config()
	require.NoError(t, err)
	require.Equal(t, sweep.Config{RunsAfter: 7 * day, BlobsAfter: 90 * time.Minute, Do: true}, c)
	st := memory.New()
	st.Blobs = struct{ store.Blobs }{st.Blobs}
	_, err = sweep.Run(t.Context(), st, registry.Open(st), sweep.DefaultConfig(), clock.Real{}.Now())
	require.ErrorContains(t, err, "does not know what it keeps")
}
