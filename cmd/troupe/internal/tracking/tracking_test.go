package tracking_test

import (
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/tracking"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/gateway/mlflow"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// other is a server that speaks MLflow's API; it answers 503 to the requests of
// which fails says so.
type other struct {
	url      string
	registry *registry.Registry
	fails    atomic.Value // string
}

func serve(t *testing.T, tokens api.Tokens) *other {
	t.Helper()
	st := memory.New()
	o := &other{registry: registry.Open(st)}
	o.fails.Store("none")
	tracking := mlflow.New(mlflow.Config{Registry: o.registry, Blobs: st.Blobs, Clock: clock.Real{}})
	door := api.New(api.Config{
		Store: st, Registry: o.registry, Tokens: tokens, Doors: []api.Door{tracking.Door()},
		Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails, _ := o.fails.Load().(string); strings.Contains(r.URL.Path, fails) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		door.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func ended(numPoints int) runs.Run {
	start := time.UnixMilli(1_700_000_000_000).UTC()
	r := runs.Run{
		ID: runs.IDOf("j"), Job: "j", Kind: "train", Name: "fraud", Experiment: "e", Status: runs.Succeeded, Started: start, Ended: start.Add(time.Minute),
		Params: map[string]string{}, Metrics: map[string][]runs.Point{}, Tags: map[string]string{"team": "a"},
		Artifacts: map[string]runs.Artifact{"model": {Digest: store.DigestOf([]byte("bundle")), Bytes: 6}},
	}
	for i := range numPoints {
		r.Metrics["loss"] = append(r.Metrics["loss"], runs.Point{Step: int64(i), Value: runs.Value(i)})
	}
	r.Metrics["bad"] = []runs.Point{{Value: runs.Value(math.NaN())}}
	for _, c := range strings.Split(strings.Repeat("x", 130), "") {
		r.Params["p"+string(rune('a'+len(r.Params)%26))+strings.Repeat(c, 1+len(r.Params)/26)] = "v"
	}
	return r
}

func read(string) ([]byte, error) { return []byte("bundle"), nil }

func (o *other) all(t *testing.T) []runs.Run {
	t.Helper()
	found, err := o.registry.Runs.Search(t.Context(), runs.Search{View: runs.Everything})
	require.NoError(t, err)
	return found.Runs
}

func TestARunIsCopiedWholeAndOnce(t *testing.T) {
	t.Parallel()
	o := serve(t, api.Tokens{"secret": api.Submit})
	s, err := tracking.New(tracking.Config{URI: o.url + "/", Token: "secret"})
	require.NoError(t, err)
	r := ended(2500)
	first, err := s.Mirror(t.Context(), r, read)
	require.NoError(t, err)
	assert.False(t, first.Already)
	assert.Empty(t, first.Left)
	again, err := s.Mirror(t.Context(), r, read)
	require.NoError(t, err)
	assert.Equal(t, tracking.Copy{ID: first.ID, Already: true}, again)
	require.Len(t, o.all(t), 1)

	got, err := o.registry.Runs.Whole(t.Context(), runs.ID(first.ID))
	require.NoError(t, err)
	assert.Equal(t, []any{runs.Succeeded, "e", "fraud", r.Started, r.Ended}, []any{got.Status, got.Experiment, got.Name, got.Started, got.Ended})
	assert.Equal(t, r.Params, got.Params)
	assert.Len(t, got.Metrics["loss"], 2500)
	assert.Equal(t, r.Ended.UnixMilli(), got.Metrics["loss"][7].Time)
	assert.True(t, math.IsNaN(float64(got.Metrics["bad"][0].Value)))
	assert.Equal(t, []string{"a", string(r.ID), "j"}, []string{got.Tags["team"], got.Tags["troupe.run"], got.Tags["troupe.job"]})
	assert.Equal(t, store.DigestOf([]byte("bundle")), got.Artifacts["model"].Digest)
}

func TestACopyThatWasCutOffIsCompleted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"log-batch", "mlflow-artifacts", "runs/update"} {
		o := serve(t, nil)
		s, err := tracking.New(tracking.Config{URI: o.url})
		require.NoError(t, err)
		o.fails.Store(at)
		_, err = s.Mirror(t.Context(), ended(10), read)
		assert.Equal(t, fault.Unavailable, fault.Of(err), at)
		o.fails.Store("none")
		done, err := s.Mirror(t.Context(), ended(10), read)
		require.NoError(t, err)
		assert.False(t, done.Already)
		require.Len(t, o.all(t), 1, at)
		got, err := o.registry.Runs.Whole(t.Context(), runs.ID(done.ID))
		require.NoError(t, err)
		assert.Equal(t, runs.Succeeded, got.Status)
		assert.Len(t, got.Metrics["loss"], 10)
	}
}

func TestTheClusterThatRanAJobGetsNoCopy(t *testing.T) {
	t.Parallel()
	o := serve(t, nil)
	r := ended(1)
	_, err := o.registry.Runs.Record(t.Context(), r)
	require.NoError(t, err)
	s, err := tracking.New(tracking.Config{URI: o.url})
	require.NoError(t, err)
	same, err := s.Mirror(t.Context(), r, read)
	require.NoError(t, err)
	assert.Equal(t, tracking.Copy{ID: string(r.ID), Already: true}, same)
	assert.Len(t, o.all(t), 1)
}

func TestTheExperimentOfTheEnvironmentIsThatOfRunsWithoutOne(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{{"", "", "Default"}, {"default", "", "default"}, {"", "mine", "mine"}, {"default", "mine", "mine"}, {"churn", "mine", "churn"}} {
		o := serve(t, nil)
		s, err := tracking.New(tracking.Config{URI: o.url, Experiment: c[1]})
		require.NoError(t, err)
		r := ended(1)
		r.Experiment = c[0]
		copied, err := s.Mirror(t.Context(), r, read)
		require.NoError(t, err)
		got, err := o.registry.Runs.Whole(t.Context(), runs.ID(copied.ID))
		require.NoError(t, err)
		group, err := o.registry.Runs.Experiments.Show(t.Context(), got.Group)
		require.NoError(t, err)
		assert.Equal(t, c[2], group.Name, c)
	}
}

func TestAServerThatSaysNothingIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, silent.Close()) })
	s, err := tracking.New(tracking.Config{URI: "http://" + silent.Addr().String(), FirstAnswer: 50 * time.Millisecond})
	require.NoError(t, err)
	_, err = s.Mirror(t.Context(), ended(1), read)
	require.ErrorContains(t, err, "no answer within 50ms")
	assert.Equal(t, fault.Unavailable, fault.Of(err))
}

func TestWhatCannotBeCopiedSaysWhy(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"sqlite:///mlflow.db", "./mlruns", "databricks", "http://"} {
		_, err := tracking.New(tracking.Config{URI: uri})
		require.ErrorContains(t, err, "MLFLOW_TRACKING_URI", uri)
	}
	o := serve(t, api.Tokens{"secret": api.Submit})
	s, err := tracking.New(tracking.Config{URI: o.url})
	require.NoError(t, err)
	_, err = s.Mirror(t.Context(), ended(1), read)
	require.ErrorContains(t, err, "UNAUTHENTICATED")
	r := ended(1)
	r.Status = runs.Running
	_, err = s.Mirror(t.Context(), r, read)
	require.ErrorContains(t, err, "not ended")
	s, err = tracking.New(tracking.Config{URI: o.url, Token: "secret", MaxArtifactBytes: 3})
	require.NoError(t, err)
	done, err := s.Mirror(t.Context(), ended(1), read)
	require.NoError(t, err)
	assert.Equal(t, []string{"model"}, done.Left)
	_, ok := tracking.FromEnv(func(string) (string, bool) { return "", false })
	assert.False(t, ok)
}
