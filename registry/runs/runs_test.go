package runs_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func created(t *testing.T, b *runs.Book, r runs.Run) runs.Run {
	t.Helper()
	if r.Group == "" {
		r.Group = runs.DefaultGroup
	}
	r.Name, r.Status, r.Started = "run", runs.Running, noon
	run, err := b.Create(t.Context(), r)
	require.NoError(t, err)
	return run
}

func metric(name string, step, at int64, v float64) runs.Measure {
	return runs.Measure{Metric: name, Point: runs.Point{Step: step, Time: at, Value: runs.Value(v)}}
}

func TestARunIsFoundByTheBeginningOfItsIDAndByItsAddress(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	r := created(t, b, runs.Run{})
	for _, name := range []runs.ID{r.ID, r.ID[:6], "runs:/" + r.ID, "runs:/" + r.ID + "/model", "runs://" + r.ID[:6] + "/a/b"} {
		got, err := b.Show(t.Context(), name)
		require.NoError(t, err, name)
		assert.Equal(t, r.ID, got.ID, name)
	}
	for _, name := range []runs.ID{"runs:/", "runs:/nope/model", "models:/" + r.ID, r.ID + "/model"} {
		_, err := b.Show(t.Context(), name)
		assert.Error(t, err, name)
	}
}

func TestTheNewestPointIsThatOfTheHighestStepThenTimeThenValue(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	r := created(t, b, runs.Run{})
	for _, m := range []runs.Measure{
		metric("m", 2, 10, 1), metric("m", 1, 99, 7), metric("m", 2, 10, 3), metric("m", 2, 10, 2), metric("m", 2, 10, math.NaN()), metric("m", 2, 9, 8),
		metric("m", 2, 10, 3), // again: it is no new point
	} {
		require.NoError(t, b.Log(t.Context(), r.ID, runs.Batch{Metrics: []runs.Measure{m}}))
	}
	got, err := b.Show(t.Context(), r.ID)
	require.NoError(t, err)
	last, ok := got.Metric("m")
	assert.True(t, ok)
	assert.Equal(t, runs.Point{Step: 2, Time: 10, Value: 3}, last)
	points, err := b.History(t.Context(), got, "m")
	require.NoError(t, err)
	assert.Len(t, points, 6)
	assert.Equal(t, runs.Point{Step: 2, Time: 10, Value: 1}, points[0])
	assert.True(t, math.IsNaN(float64(points[4].Value)))
}

func TestNoPointIsLostWhenManyLogAtOnce(t *testing.T) {
	t.Parallel()
	st := memory.New()
	r := created(t, runs.Open(st), runs.Run{})
	var wait sync.WaitGroup
	for w := range 6 {
		wait.Go(func() {
			b := runs.Open(st) // as on another node
			for i := range 20 {
				assert.NoError(t, b.Log(context.WithoutCancel(t.Context()), r.ID, runs.Batch{Metrics: []runs.Measure{metric("m", int64(w*100+i), 1, 1)}}))
			}
		})
	}
	wait.Wait()
	b := runs.Open(st)
	got, err := b.Show(t.Context(), r.ID)
	require.NoError(t, err)
	points, err := b.History(t.Context(), got, "m")
	require.NoError(t, err)
	assert.Len(t, points, 120)
	last, _ := got.Metric("m")
	assert.EqualValues(t, 519, last.Step)
}

func TestParamsDoNotChange(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	r := created(t, b, runs.Run{})
	log := func(v string) error {
		return b.Log(t.Context(), r.ID, runs.Batch{Params: []runs.Pair{{Key: "p", Value: v}}, Metrics: []runs.Measure{metric("m"+v, 0, 0, 1)}})
	}
	require.NoError(t, log("1"))
	require.NoError(t, log("1"))
	err := log("2")
	require.ErrorContains(t, err, `"p"`)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	got, err := b.Show(t.Context(), r.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"m1"}, got.MetricNames(), "nothing of a refused batch is logged")
}

func TestADeletedRunIsHiddenAndUnchangedUntilItIsRestored(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	r := created(t, b, runs.Run{})
	found := func(v runs.View) int {
		f, err := b.Search(t.Context(), runs.Search{View: v})
		require.NoError(t, err)
		return len(f.Runs)
	}
	require.NoError(t, b.Delete(t.Context(), r.ID, noon))
	require.NoError(t, b.Delete(t.Context(), r.ID, noon.Add(time.Hour)))
	assert.Equal(t, []int{0, 1, 1}, []int{found(runs.Active), found(runs.OnlyDeleted), found(runs.Everything)})
	assert.Equal(t, fault.Invalid, fault.Of(b.Log(t.Context(), r.ID, runs.Batch{Tags: []runs.Pair{{Key: "a", Value: "b"}}})))
	_, err := b.Set(t.Context(), r.ID, runs.Change{Name: "x"})
	assert.Equal(t, fault.Invalid, fault.Of(err))
	got, err := b.Show(t.Context(), r.ID)
	require.NoError(t, err)
	assert.Equal(t, noon, got.Deleted)
	require.NoError(t, b.Restore(t.Context(), r.ID))
	assert.Equal(t, []int{1, 0, 1}, []int{found(runs.Active), found(runs.OnlyDeleted), found(runs.Everything)})
	require.NoError(t, b.Log(t.Context(), r.ID, runs.Batch{Tags: []runs.Pair{{Key: "a", Value: ""}}}))
	assert.Equal(t, fault.NotFound, fault.Of(b.Untag(t.Context(), r.ID, "b")))
	require.NoError(t, b.Untag(t.Context(), r.ID, "a"))
}

func TestAnExperimentHasItsNameAloneAndTakesItsRunsAlong(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), runs.Open(memory.New())
	e, err := b.Experiments.Create(ctx, runs.Experiment{Name: "churn", Created: noon})
	require.NoError(t, err)
	assert.Equal(t, "1", e.ID)
	_, err = b.Experiments.Create(ctx, runs.Experiment{Name: "churn"})
	assert.Equal(t, fault.Conflict, fault.Of(err))
	r := created(t, b, runs.Run{Group: e.ID})

	require.NoError(t, b.Experiments.Rename(ctx, e.ID, "churn 2", noon))
	require.NoError(t, b.Experiments.Rename(ctx, e.ID, "churn 2", noon), "to rename twice is no conflict")
	job, err := b.Record(ctx, runs.Run{Job: "j", Kind: "train", Name: "j", Experiment: "churn", Status: runs.Succeeded, Started: noon})
	require.NoError(t, err)
	assert.Equal(t, "2", job.Group, "the old name is free, and names another experiment")
	found, err := b.Search(ctx, runs.Search{Filter: "experiment = 'churn 2'"})
	require.NoError(t, err)
	require.Len(t, found.Runs, 1)
	assert.Equal(t, r.ID, found.Runs[0].ID)

	require.NoError(t, b.Experiments.Delete(ctx, e.ID, noon))
	found, err = b.Search(ctx, runs.Search{Groups: []string{e.ID}})
	require.NoError(t, err)
	assert.Empty(t, found.Runs)
	found, err = b.Search(ctx, runs.Search{Groups: []string{e.ID}, View: runs.OnlyDeleted})
	require.NoError(t, err)
	assert.Len(t, found.Runs, 1)
	_, err = b.Create(ctx, runs.Run{Group: e.ID, Name: "x", Status: runs.Running, Started: noon})
	assert.Equal(t, fault.Invalid, fault.Of(err))
	_, err = b.Experiments.Create(ctx, runs.Experiment{Name: "churn 2"})
	require.ErrorContains(t, err, "deleted")
	require.NoError(t, b.Experiments.Restore(ctx, e.ID, noon))
	assert.Equal(t, fault.NotFound, fault.Of(b.Experiments.Restore(ctx, e.ID, noon)))
	assert.Equal(t, fault.Invalid, fault.Of(b.Experiments.Delete(ctx, runs.DefaultGroup, noon)))
	for _, bad := range []string{"", " ", "a\nb", strings.Repeat("x", 501)} {
		_, err = b.Experiments.Create(ctx, runs.Experiment{Name: bad})
		assert.Equal(t, fault.Invalid, fault.Of(err), bad)
	}
}

func TestPagesTogetherAreTheWholeAnswer(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), runs.Open(memory.New())
	for i := range 25 {
		r := created(t, b, runs.Run{})
		require.NoError(t, b.Log(ctx, r.ID, runs.Batch{Metrics: []runs.Measure{metric("m", 0, 0, float64(i%7))}}))
	}
	whole, err := b.Search(ctx, runs.Search{Filter: "metrics.m >= 1", Order: []string{"metrics.m DESC"}})
	require.NoError(t, err)
	assert.Empty(t, whole.Next)
	var paged []runs.Run
	for s := (runs.Search{Filter: "metrics.m >= 1", Order: []string{"metrics.m DESC"}, Limit: 4}); ; {
		f, err := b.Search(ctx, s)
		require.NoError(t, err)
		paged = append(paged, f.Runs...)
		if s.Page = f.Next; s.Page == "" {
			break
		}
	}
	assert.Len(t, whole.Runs, 21)
	assert.Equal(t, whole.Runs, paged)
	for _, bad := range []string{"!", "e30x", "eyJvZmZzZXQiOi0xfQ=="} {
		_, err := b.Search(ctx, runs.Search{Page: bad})
		assert.Equal(t, fault.Invalid, fault.Of(err), bad)
	}
}

// counting counts the changes that are told.
type counting struct {
	store.Refs
	told int
}

func (c *counting) Since(ctx context.Context, prefix string, revision uint64, fn func(string, []byte, uint64) error) error {
	return c.Refs.Since(ctx, prefix, revision, func(name string, value []byte, revision uint64) error {
		c.told++
		return fn(name, value, revision)
	})
}

func TestASearchReadsOnlyWhatHasChanged(t *testing.T) {
	t.Parallel()
	ctx, st := t.Context(), memory.New()
	writer := runs.Open(st)
	var ids []runs.ID
	for range 20 {
		ids = append(ids, created(t, writer, runs.Run{}).ID)
	}
	refs := &counting{Refs: st.Refs}
	st.Refs = refs
	reader := runs.Open(st)
	search := func() int {
		before := refs.told
		_, err := reader.Search(ctx, runs.Search{Filter: "tags.x = '1'"})
		require.NoError(t, err)
		return refs.told - before
	}
	assert.Equal(t, 20, search())
	assert.Equal(t, 0, search())
	require.NoError(t, writer.Log(ctx, ids[3], runs.Batch{Tags: []runs.Pair{{Key: "x", Value: "1"}}}))
	assert.Equal(t, 1, search())
	f, err := reader.Search(ctx, runs.Search{Filter: "tags.x = '1'"})
	require.NoError(t, err)
	require.Len(t, f.Runs, 1)
	assert.Equal(t, ids[3], f.Runs[0].ID)
}

func TestARunOfAJobIsSetByItsJobAlone(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), runs.Open(memory.New())
	record := func(status runs.Status) runs.Run {
		r, err := b.Record(ctx, runs.Run{Job: "j", Kind: "train", Name: "j", Status: status, Started: noon, Params: map[string]string{"a": "1"},
			Artifacts: map[string]runs.Artifact{"model": {Digest: store.DigestOf(nil)}}})
		require.NoError(t, err)
		return r
	}
	r := record(runs.Running)
	require.NoError(t, b.Log(ctx, r.ID, runs.Batch{Tags: []runs.Pair{{Key: "team", Value: "x"}}, Metrics: []runs.Measure{metric("m", 1, 1, 1)}, Params: []runs.Pair{{Key: "b", Value: "2"}}}))
	assert.Equal(t, fault.Conflict, fault.Of(b.Delete(ctx, r.ID, noon)))
	done := record(runs.Succeeded)
	assert.Equal(t, map[string]string{"a": "1", "b": "2"}, done.Params, "what was logged meanwhile stays")
	assert.Equal(t, []string{"m"}, done.MetricNames())
	assert.Equal(t, "x", done.Tags["team"])
	_, err := b.Set(ctx, r.ID, runs.Change{Status: runs.Failed})
	assert.Equal(t, fault.Invalid, fault.Of(err))
	_, err = b.Set(ctx, r.ID, runs.Change{Status: runs.Succeeded, Name: "new"})
	require.NoError(t, err)
	assert.Equal(t, fault.Conflict, fault.Of(b.PutArtifact(ctx, r.ID, "model", runs.Artifact{Digest: store.DigestOf([]byte("x"))})))
	assert.Equal(t, fault.Conflict, fault.Of(b.DropArtifacts(ctx, r.ID, "model")))
}

func TestNamesThatCouldNotBeFilesAreRefused(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"loss", "validation.auc.epoch", "a/b c-d_e:f", "größe"} {
		require.NoError(t, runs.CheckKey("metric", good), good)
	}
	for _, bad := range []string{"", ".", "..", "../a", "/a", "a//b", "a/", "a/../b", "a\nb", "a$", strings.Repeat("x", 251)} {
		assert.Equal(t, fault.Invalid, fault.Of(runs.CheckKey("metric", bad)), bad)
		if !slices.Contains([]string{"a$", strings.Repeat("x", 251)}, bad) {
			assert.Equal(t, fault.Invalid, fault.Of(runs.CheckPath(bad)), bad)
		}
	}
	require.NoError(t, runs.CheckPath("model/..data/MLmodel"))
}

func TestAnArtifactIsAFileOrAFolder(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), runs.Open(memory.New())
	r := created(t, b, runs.Run{})
	for _, p := range []string{"model/a", "model/b/c", "modelling"} {
		require.NoError(t, b.PutArtifact(ctx, r.ID, p, runs.Artifact{Digest: store.DigestOf(nil)}))
	}
	for _, p := range []string{"model", "model/a/x"} {
		assert.Equal(t, fault.Conflict, fault.Of(b.PutArtifact(ctx, r.ID, p, runs.Artifact{})), p)
	}
	require.NoError(t, b.DropArtifacts(ctx, r.ID, "model"))
	assert.Equal(t, fault.NotFound, fault.Of(b.DropArtifacts(ctx, r.ID, "model")))
	got, err := b.Show(ctx, r.ID)
	require.NoError(t, err)
	assert.Len(t, got.Artifacts, 1)
}

func BenchmarkSearchOf10000Runs(b *testing.B) {
	ctx, book := context.Background(), runs.Open(memory.New())
	for i := range 10_000 {
		r := runs.Run{Job: fmt.Sprint("j", i), Kind: "train", Name: "r", Status: runs.Succeeded, Started: noon.Add(time.Duration(i) * time.Second), Params: map[string]string{}, Metrics: map[string][]runs.Point{}}
		for p := range 40 {
			r.Params[fmt.Sprint("model.p", p)] = fmt.Sprint(i % 50)
		}
		for m := range 8 {
			for e := range 30 {
				name := fmt.Sprint("validation.m", m)
				r.Metrics[name] = append(r.Metrics[name], runs.Point{Step: int64(e), Value: runs.Value(i % 97)})
			}
		}
		if _, err := book.Record(ctx, r); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := book.Search(ctx, runs.Search{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := book.Search(ctx, runs.Search{Filter: "metrics.validation.m3 > 50 AND params.model.p7 = '7'", Order: []string{"metrics.validation.m1 DESC"}, Limit: 100})
		if err != nil || len(f.Runs) < 90 {
			b.Fatal(len(f.Runs), err)
		}
	}
}

// One rule for points that have no time: over REST, in exports and in copies.
func TestAPointWithoutATimeIsOfTheEndOfItsRun(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(1000)
	for want, r := range map[int64]*runs.Run{
		1000: {Started: start}, 5000: {Started: start, Ended: time.UnixMilli(5000)}, 1001: {Started: time.UnixMilli(1001), Ended: time.UnixMilli(900)}, 0: {},
	} {
		require.Equal(t, want, r.TimeOf(runs.Point{Step: 3}))
		require.Equal(t, int64(42), r.TimeOf(runs.Point{Time: 42}))
	}
}

// An earlier attempt that is still at work does not set a run back, and points
// keep the times at which they were known first.
func TestARunAdvancesAndDoesNotGoBack(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	ctx := t.Context()
	r, err := b.Record(ctx, runs.Run{Job: "j", Kind: "train", Name: "n", Status: runs.Running, Started: noon})
	require.NoError(t, err)
	upTo := func(n int64, at int64) map[string][]runs.Point {
		var points []runs.Point
		for step := int64(1); step <= n; step++ {
			points = append(points, runs.Point{Step: step, Time: at, Value: runs.Value(step)})
		}
		return map[string][]runs.Point{"loss": points}
	}
	require.NoError(t, b.Advance(ctx, r.ID, upTo(3, 100)))
	require.NoError(t, b.Advance(ctx, r.ID, upTo(2, 200)))
	require.NoError(t, b.Advance(ctx, r.ID, upTo(4, 0)))
	r, err = b.Show(ctx, r.ID)
	require.NoError(t, err)
	require.Len(t, r.Metrics["loss"], 4)
	require.Equal(t, []int64{100, 0}, []int64{r.Metrics["loss"][2].Time, r.Metrics["loss"][3].Time})
	require.Equal(t, fault.NotFound, fault.Of(b.Advance(ctx, runs.IDOf("none"), upTo(1, 0))))
	found, err := b.Search(ctx, runs.Search{Filter: "status = 'RUNNING' AND metrics.loss = 4"})
	require.NoError(t, err)
	require.Len(t, found.Runs, 1)
}

// A client of MLflow may log to the run of a job that is at work.
func TestTheEndOfAJobKeepsWhatOthersHaveLogged(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	ctx := t.Context()
	job := runs.Run{Job: "j", Kind: "train", Name: "fraud", Status: runs.Running, Started: noon}
	r, err := b.Record(ctx, job)
	require.NoError(t, err)
	note, model := runs.Artifact{Digest: "sha256:a", Bytes: 1}, runs.Artifact{Digest: "sha256:b", Bytes: 2}
	require.NoError(t, b.PutArtifact(ctx, r.ID, "notes.txt", note))
	require.NoError(t, b.Log(ctx, r.ID, runs.Batch{Tags: []runs.Pair{{Key: runs.NameTag, Value: "the one for Monday"}}}))
	job.Status, job.Ended, job.Artifacts = runs.Succeeded, noon, map[string]runs.Artifact{"model": model}
	r, err = b.Record(ctx, job)
	require.NoError(t, err)
	require.Equal(t, map[string]runs.Artifact{"notes.txt": note, "model": model}, r.Artifacts)
	require.Equal(t, "the one for Monday", r.Name)
}

func TestOnlyWhatIsDeletedIsPurged(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	ctx := t.Context()
	restored := created(t, b, runs.Run{})
	require.NoError(t, b.Delete(ctx, restored.ID, noon))
	require.NoError(t, b.Restore(ctx, restored.ID))
	require.Equal(t, fault.Conflict, fault.Of(b.Purge(ctx, restored.ID, noon)))

	job := runs.Run{Job: "j", Kind: "train", Name: "n", Experiment: "x", Status: runs.Running, Started: noon}
	r, err := b.Record(ctx, job)
	require.NoError(t, err)
	require.NoError(t, b.Experiments.Delete(ctx, r.Group, noon))
	doomed, err := b.Doomed(ctx, noon.Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, doomed, "the job is at work")
	require.Equal(t, fault.Conflict, fault.Of(b.Purge(ctx, r.ID, noon)))
	job.Status = runs.Succeeded
	_, err = b.Record(ctx, job)
	require.NoError(t, err)
	doomed, err = b.Doomed(ctx, noon.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, doomed.Runs, 1)
	require.Len(t, doomed.Experiments, 1)
	require.NoError(t, b.Purge(ctx, r.ID, noon))
}
