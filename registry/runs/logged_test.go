package runs_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/disk"
	"github.com/troupe-ml/troupe/store/memory"
)

func logged(t *testing.T, l *runs.LoggedModels, m runs.Run) runs.Run {
	t.Helper()
	if m.Group == "" {
		m.Group = runs.DefaultGroup
	}
	if m.Started.IsZero() {
		m.Started = noon
	}
	m, err := l.Create(t.Context(), m)
	require.NoError(t, err)
	return m
}

func point(name string, run runs.ID, set string, step int64, v float64) runs.Measure {
	return runs.Measure{Metric: name, Run: run, Dataset: set, Point: runs.Point{Step: step, Value: runs.Value(v)}}
}

func TestALoggedModelSurvivesTheProgramThatMadeIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	with := func(do func(*runs.Book, *runs.LoggedModels)) {
		st, err := disk.Open(dir, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		do(runs.Open(st.Store), runs.OpenLoggedModels(st.Store))
		require.NoError(t, st.Close())
	}
	var m, r runs.Run
	ctx := t.Context()
	with(func(b *runs.Book, l *runs.LoggedModels) {
		r = created(t, b, runs.Run{})
		m = logged(t, l, runs.Run{Name: "fraud", Source: r.ID, ModelType: "Classifier", Params: map[string]string{"depth": "3"}, Tags: map[string]string{"a": "b"}})
		require.NoError(t, l.Log(ctx, m.ID, []runs.Measure{point("auc", r.ID, "test", 1, .5), point("auc", r.ID, "test", 2, .7), point("auc", r.ID, "train", 2, .9)}))
		require.NoError(t, b.AddOutputs(ctx, r.ID, []runs.Output{{Model: m.ID, Step: 2}}))
		require.NoError(t, b.AddInputs(ctx, r.ID, nil, []runs.ID{m.ID}))
		require.NoError(t, l.PutArtifact(ctx, m.ID, "MLmodel", runs.Artifact{Digest: digest, Bytes: 3}))
	})
	with(func(b *runs.Book, l *runs.LoggedModels) {
		got, err := l.Show(ctx, m.ID)
		require.NoError(t, err)
		assert.Equal(t, []any{"fraud", r.ID, "Classifier", runs.Running}, []any{got.Name, got.Source, got.ModelType, got.Status})
		assert.Equal(t, map[string]string{"depth": "3"}, got.Params)
		assert.Equal(t, []runs.Measure{point("auc", r.ID, "test", 2, .7), point("auc", r.ID, "train", 2, .9)}, got.ModelMetrics())
		assert.Equal(t, "mlflow-artifacts:/0/models/"+string(m.ID)+"/artifacts", got.ArtifactURI())
		assert.EqualValues(t, 3, got.Artifacts["MLmodel"].Bytes)
		run, err := b.Show(ctx, r.ID)
		require.NoError(t, err)
		assert.Equal(t, []runs.Output{{Model: m.ID, Step: 2}}, run.Outputs)
		assert.Equal(t, []runs.ID{m.ID}, run.ModelInputs)
		found, err := b.Search(ctx, runs.Search{})
		require.NoError(t, err)
		require.Len(t, found.Runs, 1, "a logged model is no run")
		assert.Equal(t, run.Outputs, found.Runs[0].Outputs)
		_, err = b.Show(ctx, m.ID)
		assert.Equal(t, fault.NotFound, fault.Of(err))

		got, err = l.Finalize(ctx, m.ID, runs.Succeeded, noon.Add(time.Hour))
		require.NoError(t, err)
		assert.Equal(t, []any{runs.Succeeded, noon.Add(time.Hour), noon}, []any{got.Status, got.Changed, got.Started})
		assert.Len(t, got.ModelMetrics(), 2)
	})
}

func TestWhatIsLoggedToAModelIsChecked(t *testing.T) {
	t.Parallel()
	l := runs.OpenLoggedModels(memory.New())
	ctx := t.Context()
	m := logged(t, l, runs.Run{})
	assert.Equal(t, "model-"+string(m.ID[2:10]), m.Name)
	kind := func(want fault.Kind, err error) {
		t.Helper()
		assert.Equal(t, want, fault.Of(err), err)
	}
	_, err := l.Create(ctx, runs.Run{Group: runs.DefaultGroup, Name: "a/b", Started: noon})
	kind(fault.Invalid, err)
	_, err = l.Create(ctx, runs.Run{Group: "9", Started: noon})
	kind(fault.NotFound, err)
	_, err = l.Create(ctx, runs.Run{Group: runs.DefaultGroup, Started: noon, Params: map[string]string{"../x": "1"}})
	kind(fault.Invalid, err)
	require.NoError(t, l.AddParams(ctx, m.ID, []runs.Pair{{Key: "p", Value: "1"}}))
	require.NoError(t, l.AddParams(ctx, m.ID, []runs.Pair{{Key: "p", Value: "1"}}))
	kind(fault.Invalid, l.AddParams(ctx, m.ID, []runs.Pair{{Key: "p", Value: "2"}}))
	require.NoError(t, l.Tag(ctx, m.ID, []runs.Pair{{Key: runs.NameTag, Value: "x"}}))
	got, err := l.Show(ctx, m.ID)
	require.NoError(t, err)
	assert.Equal(t, m.Name, got.Name, "the tag is the name of runs alone")
	kind(fault.Invalid, l.Log(ctx, m.ID, []runs.Measure{point("m", "r", "a\x00b", 1, 1)}))
	kind(fault.Invalid, l.Log(ctx, m.ID, []runs.Measure{point("../m", "r", "", 1, 1)}))
	require.NoError(t, l.Untag(ctx, m.ID, runs.NameTag))
	kind(fault.NotFound, l.Untag(ctx, m.ID, runs.NameTag))

	require.NoError(t, l.Check(ctx, m.ID))
	require.NoError(t, l.Delete(ctx, m.ID, noon))
	require.NoError(t, l.Delete(ctx, m.ID, noon))
	for _, id := range []runs.ID{m.ID, "m-none"} {
		_, err = l.Show(ctx, id)
		kind(fault.NotFound, err)
		_, err = l.Finalize(ctx, id, runs.Succeeded, noon)
		kind(fault.NotFound, err)
		kind(fault.NotFound, l.Check(ctx, id))
		kind(fault.NotFound, l.Tag(ctx, id, nil))
		kind(fault.NotFound, l.AddParams(ctx, id, nil))
		kind(fault.NotFound, l.Untag(ctx, id, "x"))
		kind(fault.NotFound, l.Log(ctx, id, []runs.Measure{point("m", "", "", 1, 1)}))
		kind(fault.NotFound, l.PutArtifact(ctx, id, "x", runs.Artifact{Digest: digest}))
	}
}

// Two nodes log to one model and its run at the same time.
func TestNothingOfALoggedModelIsLostWhenManyLogAtOnce(t *testing.T) {
	t.Parallel()
	st := memory.New()
	m := logged(t, runs.OpenLoggedModels(st), runs.Run{})
	r := created(t, runs.Open(st), runs.Run{})
	var all sync.WaitGroup
	const writers, each = 4, 100
	ctx := context.WithoutCancel(t.Context())
	for w := range writers {
		l, b := runs.OpenLoggedModels(st), runs.Open(st)
		all.Go(func() {
			for n := range each {
				name := fmt.Sprintf("m%d.%d", w, n)
				assert.NoError(t, l.Log(ctx, m.ID, []runs.Measure{point(name, r.ID, "d", 1, 1)}))
				assert.NoError(t, b.AddOutputs(ctx, r.ID, []runs.Output{{Model: runs.ID(name)}, {Model: m.ID}}))
				if n%20 == 0 {
					assert.NoError(t, l.Tag(ctx, m.ID, []runs.Pair{{Key: name, Value: "x"}}))
					assert.NoError(t, l.Registered(ctx, m.ID, name, "1"))
					assert.NoError(t, l.PutArtifact(ctx, m.ID, name, runs.Artifact{Digest: digest}))
				}
			}
		})
	}
	all.Wait()
	got, err := runs.OpenLoggedModels(st).Show(ctx, m.ID)
	require.NoError(t, err)
	assert.Len(t, got.ModelMetrics(), writers*each)
	assert.Len(t, got.Artifacts, writers*each/20)
	assert.Len(t, got.Tags, writers*each/20+1)
	run, err := runs.Open(st).Show(ctx, r.ID)
	require.NoError(t, err)
	assert.Len(t, run.Outputs, writers*each+1, "each once")
}

func TestLoggedModelsAreSearched(t *testing.T) {
	t.Parallel()
	st := memory.New()
	l := runs.OpenLoggedModels(st)
	ctx := t.Context()
	for i, name := range []string{"a", "b", "c"} {
		m := logged(t, l, runs.Run{Name: name, Started: noon.Add(time.Duration(i) * time.Second), Params: map[string]string{"p": fmt.Sprint(i % 2)}})
		require.NoError(t, l.Log(ctx, m.ID, []runs.Measure{point("auc", "r", "test", 1, float64(i)/10), point("auc", "r", "train", 2, 1-float64(i)/10)}))
	}
	require.NoError(t, l.Log(ctx, logged(t, l, runs.Run{Name: "d", Started: noon.Add(time.Minute)}).ID, nil))
	gone := logged(t, l, runs.Run{Name: "gone"})
	require.NoError(t, l.Delete(ctx, gone.ID, noon))
	names := func(s runs.LoggedSearch) (names string) {
		t.Helper()
		found, err := runs.OpenLoggedModels(st).Search(ctx, s)
		require.NoError(t, err)
		for _, m := range found.Runs {
			names += m.Name
		}
		return names
	}
	test, train := runs.DatasetName{Name: "test"}, runs.DatasetName{Name: "train"}
	assert.Equal(t, "dcba", names(runs.LoggedSearch{}))
	assert.Equal(t, "b", names(runs.LoggedSearch{Filter: "params.p = '1' AND status = 'PENDING' AND creation_time > 0"}))
	assert.Equal(t, "cba", names(runs.LoggedSearch{Filter: "metrics.auc > 0.75"}), "on any data set")
	assert.Equal(t, "", names(runs.LoggedSearch{Filter: "metrics.auc > 0.75", Datasets: []runs.DatasetName{test}}))
	assert.Equal(t, "c", names(runs.LoggedSearch{Filter: "metrics.auc > 0.15", Datasets: []runs.DatasetName{test}}))
	assert.Equal(t, "cba", names(runs.LoggedSearch{Datasets: []runs.DatasetName{test}}))
	assert.Equal(t, "", names(runs.LoggedSearch{Datasets: []runs.DatasetName{{Name: "test", Digest: "x"}}}))
	assert.Equal(t, "cbad", names(runs.LoggedSearch{Order: []runs.LoggedOrder{{Field: "metrics.auc"}}}), "by the newest point")
	assert.Equal(t, "abcd", names(runs.LoggedSearch{Order: []runs.LoggedOrder{{Field: "metrics.auc", Dataset: test}}}))
	assert.Equal(t, "abcd", names(runs.LoggedSearch{Order: []runs.LoggedOrder{{Field: "metrics.auc", Dataset: train, Down: true}}}))
	assert.Equal(t, "", names(runs.LoggedSearch{Groups: []string{"7"}}))
	for _, s := range []runs.LoggedSearch{
		{Filter: "speed > 1"},
		{Order: []runs.LoggedOrder{{Field: "name", Dataset: test}}}, {Order: []runs.LoggedOrder{{Field: "metrics.auc", Dataset: runs.DatasetName{Digest: "x"}}}},
		{Order: []runs.LoggedOrder{{Field: "name DESC", Down: true}}}, {Order: []runs.LoggedOrder{{Field: "metrics.a`b"}}}, {Page: "?"},
	} {
		_, err := l.Search(ctx, s)
		assert.Equal(t, fault.Invalid, fault.Of(err), s)
	}
}

// Logging metric after metric and output after output reads and writes as much as is
// logged, not as much as there is already.
func TestLoggingToAModelCostsWhatIsLogged(t *testing.T) {
	t.Parallel()
	written := func(n int) int {
		m, st := metered()
		l, b := runs.OpenLoggedModels(st), runs.Open(st)
		model, r := logged(t, l, runs.Run{}), created(t, b, runs.Run{})
		m.reset()
		for i := range n {
			require.NoError(t, l.Log(t.Context(), model.ID, []runs.Measure{point(fmt.Sprint("m", i), r.ID, "d", 1, 1)}))
			require.NoError(t, b.AddOutputs(t.Context(), r.ID, []runs.Output{{Model: runs.ID(fmt.Sprint("m", i))}}))
		}
		return m.written
	}
	few, many := written(500), written(4000)
	assert.Less(t, many, few*8*3/2)
}

const digest = store.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")

// A job's run is recorded again and again; what others have tied to it stays.
func TestTheModelsOfAJobsRunStayWhenItEnds(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	ctx := t.Context()
	r := runs.Run{Job: "j", Kind: "train", Name: "n", Status: runs.Running, Started: noon}
	r, err := b.Record(ctx, r)
	require.NoError(t, err)
	require.NoError(t, b.AddInputs(ctx, r.ID, nil, []runs.ID{"m-1"}))
	require.NoError(t, b.AddOutputs(ctx, r.ID, []runs.Output{{Model: "m-2", Step: 1}}))
	_, err = b.Tag(ctx, r.ID, map[string]string{runs.ModelsTag: "[]"}) // folds the log
	require.NoError(t, err)
	_, err = b.Record(ctx, runs.Run{Job: "j", Kind: "train", Name: "n", Status: runs.Succeeded, Started: noon, Ended: noon.Add(time.Minute)})
	require.NoError(t, err)
	got, err := b.Show(ctx, r.ID)
	require.NoError(t, err)
	assert.Equal(t, []any{runs.Succeeded, []runs.ID{"m-1"}, []runs.Output{{Model: "m-2", Step: 1}}}, []any{got.Status, got.ModelInputs, got.Outputs})
}
