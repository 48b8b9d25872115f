package registry_test

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))

func open() (*registry.Registry, *mapStore) {
	s := newMapStore()
	return registry.Open(store.Store{Blobs: blobs{s}, Refs: refs{s}, Logs: memory.New().Logs}), s
}

func finished(job string) runs.Run {
	return runs.Run{
		Job: job, Kind: "train", Name: "fraud", Experiment: "exp 1/a", Status: runs.Succeeded,
		Started: noon, Ended: noon.Add(time.Minute),
		Params:    map[string]string{"epochs": "20"},
		Metrics:   map[string][]runs.Point{"validation.auc": {{Step: 2, Value: 0.9}, {Step: 1, Value: 0.8}}, "loss": {{Step: 1, Value: runs.Value(math.NaN())}}},
		Artifacts: map[string]runs.Artifact{"model": {Digest: store.DigestOf([]byte("m")), Bytes: 1}},
		Data:      []runs.Dataset{{Role: "input", Path: "out", Digest: store.DigestOf([]byte("d")), Rows: 7}},
	}
}

func TestTheEndOfAJobIsRecordedOnce(t *testing.T) {
	t.Parallel()
	r, s := open()
	first, err := r.Runs.Record(t.Context(), finished("job-1"))
	require.NoError(t, err)
	again := finished("job-1")
	again.Ended, again.Status = noon.Add(time.Hour), runs.Failed
	second, err := r.Runs.Record(t.Context(), again)
	require.NoError(t, err)
	assert.Equal(t, first.Ended, second.Ended, "the first record of an end stands")
	assert.Equal(t, runs.Succeeded, second.Status)
	assert.Equal(t, 2, s.sets, "one of the experiment, one of the run")
	all, err := r.Runs.Search(t.Context(), runs.Search{})
	require.NoError(t, err)
	assert.Len(t, all.Runs, 1)
}

func TestTwoCoordinatorsThatRecordAtOnceLeaveOneRun(t *testing.T) {
	t.Parallel()
	r, _ := open()
	var wait sync.WaitGroup
	ended := make([]time.Time, 8)
	for i := range ended {
		wait.Go(func() {
			run := finished("job-1")
			run.Ended = noon.Add(time.Duration(i) * time.Second)
			stored, err := r.Runs.Record(t.Context(), run)
			assert.NoError(t, err)
			ended[i] = stored.Ended
		})
	}
	wait.Wait()
	for _, e := range ended {
		assert.Equal(t, ended[0], e, "all are told the same")
	}
}

func TestARunningRunMayChangeAndKeepsTheTagsOfPeople(t *testing.T) {
	t.Parallel()
	r, _ := open()
	run := finished("job-1")
	run.Status, run.Ended = runs.Running, time.Time{}
	stored, err := r.Runs.Record(t.Context(), run)
	require.NoError(t, err)
	assert.Equal(t, runs.IDOf("job-1"), stored.ID)
	assert.True(t, stored.Ended.IsZero())
	_, err = r.Runs.Tag(t.Context(), stored.ID, map[string]string{"note": "keep", "gone": "x"})
	require.NoError(t, err)
	stored, err = r.Runs.Record(t.Context(), finished("job-1"))
	require.NoError(t, err)
	assert.Equal(t, runs.Succeeded, stored.Status)
	stored, err = r.Runs.Tag(t.Context(), stored.ID, map[string]string{"gone": ""})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"note": "keep"}, stored.Tags)
}

func TestARunComesBackAsItWasRecorded(t *testing.T) {
	t.Parallel()
	r, _ := open()
	want, err := r.Runs.Record(t.Context(), finished("job-1"))
	require.NoError(t, err)
	got, err := r.Runs.Show(t.Context(), want.ID)
	require.NoError(t, err)
	assert.True(t, math.IsNaN(float64(got.Metrics["loss"][0].Value)), "a NaN is kept")
	delete(got.Metrics, "loss")
	delete(want.Metrics, "loss")
	assert.Equal(t, want, got)
	assert.Equal(t, []runs.Point{{Step: 1, Value: 0.8}, {Step: 2, Value: 0.9}}, got.Metrics["validation.auc"], "steps ascend")
	assert.Equal(t, map[string]float64{"validation.auc": 0.9}, got.Last())
	byPrefix, err := r.Runs.Show(t.Context(), want.ID[:6])
	require.NoError(t, err)
	assert.Equal(t, want.ID, byPrefix.ID)
}

func TestMetricValuesSurviveJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		v := runs.Value(rapid.Float64().Draw(rt, "v"))
		b, err := v.MarshalJSON()
		require.NoError(rt, err)
		var got runs.Value
		require.NoError(rt, got.UnmarshalJSON(b))
		require.Equal(rt, math.Float64bits(float64(v)), math.Float64bits(float64(got)))
	})
}

func TestIncompleteRunsAreRefused(t *testing.T) {
	t.Parallel()
	r, _ := open()
	for want, spoil := range map[string]func(*runs.Run){
		"job is missing":         func(r *runs.Run) { r.Job = "" },
		"kind is missing":        func(r *runs.Run) { r.Kind = "" },
		"name is missing":        func(r *runs.Run) { r.Name = "" },
		`the status "" is none`:  func(r *runs.Run) { r.Status = "" },
		"started is missing":     func(r *runs.Run) { r.Started = time.Time{} },
		`"model" has no digest`:  func(r *runs.Run) { r.Artifacts["model"] = runs.Artifact{} },
		`is that of job "job-1"`: func(r *runs.Run) { r.ID = runs.IDOf("job-1") },
	} {
		_, err := r.Runs.Record(t.Context(), finished("job-1"))
		require.NoError(t, err)
		run := finished("job-2")
		spoil(&run)
		_, err = r.Runs.Record(t.Context(), run)
		assert.ErrorContains(t, err, want)
	}
}

func TestRunsAreListedTheNewestFirst(t *testing.T) {
	t.Parallel()
	r, _ := open()
	for i, job := range []string{"a", "b", "c"} {
		run := finished(job)
		run.Started = noon.Add(time.Duration(i) * time.Hour)
		if job == "b" {
			run.Status = runs.Failed
		}
		_, err := r.Runs.Record(t.Context(), run)
		require.NoError(t, err)
	}
	jobs := func(s runs.Search) (names []string) {
		all, err := r.Runs.Search(t.Context(), s)
		require.NoError(t, err)
		for _, run := range all.Runs {
			names = append(names, run.Job)
		}
		return names
	}
	assert.Equal(t, []string{"c", "b", "a"}, jobs(runs.Search{}))
	assert.Equal(t, []string{"c", "b"}, jobs(runs.Search{Limit: 2}))
	assert.Equal(t, []string{"b"}, jobs(runs.Search{Filter: "status = 'FAILED'"}))
	assert.Empty(t, jobs(runs.Search{Filter: "experiment = 'other'"}))
}

func register(t *testing.T, r *registry.Registry, name string, bundles ...string) {
	t.Helper()
	for _, b := range bundles {
		_, err := r.Models.Register(t.Context(), name, models.Version{Digest: store.DigestOf([]byte(b)), Created: noon})
		require.NoError(t, err)
	}
}

func TestVersionsAreNumberedWithoutGapsAndRegisteredOnce(t *testing.T) {
	t.Parallel()
	r, _ := open()
	register(t, r, "fraud", "a", "b", "a", "c", "b")
	m, err := r.Models.Show(t.Context(), "fraud")
	require.NoError(t, err)
	require.Len(t, m.Versions, 3)
	for i, v := range m.Versions {
		assert.Equal(t, i+1, v.Number)
	}
	assert.Equal(t, store.DigestOf([]byte("c")), m.Latest().Digest)
}

func TestAnAliasMovesOnlyFromWhereItIsExpected(t *testing.T) {
	t.Parallel()
	r, _ := open()
	register(t, r, "fraud", "a", "b", "c")
	move := func(to, expect int) error {
		_, err := r.Models.MoveAlias(t.Context(), "fraud", "production", models.Move{Version: to, Time: noon, By: "ann"}, expect)
		return err
	}
	require.NoError(t, move(1, 0))
	require.NoError(t, move(2, 1))
	err := move(3, 1)
	require.ErrorContains(t, err, "fraud@production names version 2, not 1")
	assert.Equal(t, fault.Conflict, fault.Of(err))
	require.NoError(t, move(2, models.AnyVersion), "where it stands already")
	require.ErrorContains(t, move(4, models.AnyVersion), "has no version 4; it has versions 1 to 3")
	m, err := r.Models.Show(t.Context(), "fraud")
	require.NoError(t, err)
	require.Len(t, m.Aliases, 1)
	assert.Len(t, m.Aliases[0].History, 2)
}

func TestRollingBackWalksTheHistoryBackwards(t *testing.T) {
	t.Parallel()
	r, _ := open()
	register(t, r, "fraud", "a", "b", "c")
	for v := 1; v <= 3; v++ {
		_, err := r.Models.MoveAlias(t.Context(), "fraud", "production", models.Move{Version: v, Time: noon}, models.AnyVersion)
		require.NoError(t, err)
	}
	for _, want := range []int{2, 1} {
		m, err := r.Models.Rollback(t.Context(), "fraud", "production", models.Move{Time: noon, Reason: "worse"})
		require.NoError(t, err)
		assert.Equal(t, want, m.Alias("production").Version)
	}
	_, err := r.Models.Rollback(t.Context(), "fraud", "production", models.Move{Time: noon})
	require.ErrorContains(t, err, "has named no version before 1")
	_, err = r.Models.Rollback(t.Context(), "fraud", "staging", models.Move{Time: noon})
	require.ErrorContains(t, err, `no alias "staging"; it has production`)
}

func TestAddressesAreResolvedToDigests(t *testing.T) {
	t.Parallel()
	r, _ := open()
	run, err := r.Runs.Record(t.Context(), finished("job-1"))
	require.NoError(t, err)
	byRun := "runs:/" + string(run.ID) + "/model"
	from, err := registry.ParseURI(byRun)
	require.NoError(t, err)
	v, err := r.Register(t.Context(), "fraud", from, models.Version{Created: noon})
	require.NoError(t, err)
	assert.Equal(t, run.ID, v.Run)
	_, err = r.Models.MoveAlias(t.Context(), "fraud", "production", models.Move{Version: 1, Time: noon}, 0)
	require.NoError(t, err)
	for address, fixed := range map[string]string{
		byRun: byRun, "models:/fraud/1": "models:/fraud/1", "models:/fraud@production": "models:/fraud/1",
	} {
		got, err := r.Resolve(t.Context(), address)
		require.NoError(t, err, address)
		assert.Equal(t, fixed, got.URI.String())
		assert.Equal(t, store.DigestOf([]byte("m")), got.Digest)
		assert.Equal(t, run.ID, got.Run)
	}
}

func TestAddressesOfNothingSayWhatThereIs(t *testing.T) {
	t.Parallel()
	r, _ := open()
	run, err := r.Runs.Record(t.Context(), finished("job-1"))
	require.NoError(t, err)
	register(t, r, "fraud", "a")
	register(t, r, "churn", "a")
	for address, want := range map[string]string{
		"models:/fruad/1":                    `resolve models:/fruad/1: there is no model "fruad"; there is churn, fraud`,
		"models:/fraud/2":                    `the model "fraud" has no version 2; it has version 1 alone`,
		"models:/fraud@production":           `the model "fraud" has no alias "production"; it has none`,
		"runs:/" + string(run.ID) + "/modle": `the run has no artifact "modle"; it has model`,
		"runs:/ffff/model":                   `there is no run "ffff"`,
	} {
		_, err := r.Resolve(t.Context(), address)
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.NotFound, fault.Of(err))
	}
}

func TestMalformedAddressesAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"fraud":              "it has no scheme",
		"model:/fraud/1":     `the scheme "model" is unknown`,
		"models:/":           "the model's name is missing",
		"models:/fraud":      "the version or alias is missing",
		"models:/fraud/":     "the version or alias is missing",
		"models:/fraud/one":  `the version "one" is not a whole number from 1`,
		"models:/fraud/0":    "not a whole number",
		"models:/fraud/01":   "not a whole number",
		"models:/fraud@":     "the alias is missing",
		"models:/fraud@a/1":  "an alias and a version",
		"runs:/abc":          "the run's id or the path is missing",
		"runs:/abc/":         "the run's id or the path is missing",
		"models:/@champion":  "the model's name is missing",
		"s3:/bucket/model":   "is unknown",
		"models:/fraud/1.5":  "not a whole number",
		"models:/fraud/+1":   "not a whole number",
		"models:/fraud/-1":   "not a whole number",
		"models:/fraud/1e99": "not a whole number",
	} {
		_, err := registry.ParseURI(address)
		require.ErrorContains(t, err, want, address)
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
}

func TestAddressesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[A-Za-z][A-Za-z0-9_.-]{0,10}`)
	rapid.Check(t, func(rt *rapid.T) {
		u := registry.URI{Model: word.Draw(rt, "model"), Version: rapid.IntRange(1, math.MaxInt).Draw(rt, "version")}
		switch rapid.IntRange(0, 2).Draw(rt, "form") {
		case 1:
			u = registry.URI{Model: u.Model, Alias: word.Draw(rt, "alias")}
		case 2:
			u = registry.URI{Run: runs.ID(word.Draw(rt, "run")), Path: word.Draw(rt, "a") + "/" + word.Draw(rt, "b")}
		}
		got, err := registry.ParseURI(u.String())
		require.NoError(rt, err)
		require.Equal(rt, u, got)
	})
}

func TestMalformedNamesAreRefused(t *testing.T) {
	t.Parallel()
	r, _ := open()
	for _, name := range []string{"", "a/b", "a@b", " a", "a\n", "a:b"} {
		_, err := r.Models.Register(t.Context(), name, models.Version{Digest: "sha256:0", Created: noon})
		assert.Equal(t, fault.Invalid, fault.Of(err), "%q", name)
	}
	register(t, r, "grün & gut", "a")
	for _, alias := range []string{"", "3", "a/b", "a b", "a.b", "v2", "V10", "latest", "Latest", strings.Repeat("a", 201)} {
		_, err := r.Models.MoveAlias(t.Context(), "grün & gut", alias, models.Move{Version: 1, Time: noon}, 0)
		assert.Equal(t, fault.Invalid, fault.Of(err), "%q", alias)
	}
	for _, alias := range []string{"v", "vier", "eu-west_1", "größe"} {
		_, err := r.Models.MoveAlias(t.Context(), "grün & gut", alias, models.Move{Version: 1, Time: noon}, 0)
		assert.NoError(t, err, "%q", alias)
	}
	all, err := r.Models.List(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, "grün & gut", all[0].Name)
}
