package client_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/client"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

var _ backend.Backend = (*client.Client)(nil)

// cluster is some nodes over one store.
type cluster struct {
	t       *testing.T
	store   store.Store
	mu      sync.Mutex
	members []api.Node
	servers []*httptest.Server
	watches atomic.Int32
}

func (c *cluster) Nudge() {}

func (c *cluster) Nodes(context.Context) ([]api.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members, nil
}

func (c *cluster) Drain(_ context.Context, node string) error {
	return fault.New(fault.NotFound, "there is no node %q", node)
}

func (c *cluster) Watch(ctx context.Context, _ string, _ func(api.Progress)) error {
	c.watches.Add(1)
	<-ctx.Done()
	return ctx.Err()
}

// start starts n nodes.
func start(t *testing.T, n int, tokens api.Tokens) *cluster {
	t.Helper()
	c := &cluster{t: t, store: memory.New()}
	for range n {
		server := httptest.NewServer(api.New(api.Config{
			Store: c.store, Registry: registry.Open(c.store), Cluster: c, Tokens: tokens,
			Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		}))
		t.Cleanup(server.Close)
		c.servers = append(c.servers, server)
		c.members = append(c.members, api.Node{Address: server.Listener.Addr().String()})
	}
	return c
}

func (c *cluster) client(addresses ...string) *client.Client {
	c.t.Helper()
	cfg := client.DefaultConfig()
	cfg.Addresses, cfg.Patience = addresses, 10*time.Second
	cl, err := client.New(cfg)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, cl.Close()) })
	return cl
}

func (c *cluster) write(id string, place uint64, events ...jobs.Event) {
	record, err := jobs.EncodeRecord(1, events)
	require.NoError(c.t, err)
	require.NoError(c.t, c.store.Logs.Append(context.Background(), joblog.Name(jobs.ID(id)), place, record))
}

func someSpec(t *testing.T) spec.Spec {
	t.Helper()
	s, err := spec.Decode([]byte(`{"kind":"drift","name":"d","reference":"/r","current":"/c"}`))
	require.NoError(t, err)
	return s
}

func planned(name string) jobs.Event {
	return jobs.Event{Kind: jobs.StagePlanned, Stage: &jobs.Stage{Name: name, Shape: jobs.Merge, NumTasks: 1}}
}

// The node that a watcher listens to dies; it goes on at another, of which it
// has learnt from the first.
func TestAWatchSurvivesTheDeathOfItsNode(t *testing.T) {
	t.Parallel()
	c := start(t, 2, nil)
	cl := c.client(c.servers[0].URL)
	sum, err := cl.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
	var stages, notices []string
	killed := false
	end, err := cl.Watch(t.Context(), sum.Job, func(u backend.Update) {
		if u.Notice != "" {
			notices = append(notices, u.Notice)
			c.write(sum.Job, 2, jobs.Event{Kind: jobs.CancelRequested})
			return
		}
		if u.State == nil {
			return
		}
		stages = append(stages, u.State.Status+" "+u.State.Stage)
		if len(stages) == 1 {
			c.write(sum.Job, 1, planned("survey"))
		}
		if u.State.Stage == "survey" && !killed {
			killed = true
			c.servers[0].Listener.Close() //nolint:errcheck // it is to die
			c.servers[0].CloseClientConnections()
		}
	})
	require.NoError(t, err)
	assert.Equal(t, "cancelled", end.Status)
	require.Len(t, notices, 1)
	assert.Contains(t, notices[0], c.servers[1].URL)
	assert.Equal(t, "cancelled ", stages[len(stages)-1])
	assert.Contains(t, stages, "running survey")
	again, err := cl.Show(t.Context(), sum.Job)
	require.NoError(t, err, "other requests, too, go to the node that is left")
	assert.Equal(t, "cancelled", again.Status)
}

func TestSeveralAddressesMayBeGiven(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	cl := c.client("127.0.0.1:1", c.servers[0].URL)
	list, err := cl.List(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
}

func TestAClusterThatNeverAnsweredIsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t, 0, nil)
	_, err := c.client("127.0.0.1:1").List(t.Context())
	require.Error(t, err)
	assert.Equal(t, exit.Unreachable, exit.Of(err))
	assert.Contains(t, err.Error(), "127.0.0.1:1")
}

func TestAClusterThatIsGoneIsGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	cfg := client.DefaultConfig()
	cfg.Addresses, cfg.Patience = []string{c.servers[0].URL}, 600*time.Millisecond
	cl, err := client.New(cfg)
	require.NoError(t, err)
	sum, err := cl.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
	_, err = cl.Watch(t.Context(), sum.Job, func(u backend.Update) {
		c.servers[0].Listener.Close() //nolint:errcheck // it is to die
		c.servers[0].CloseClientConnections()
	})
	require.Error(t, err)
	assert.Equal(t, exit.Unreachable, exit.Of(err))
}

func TestAnInterruptedWatchSaysSoAndKnowsTheNewestState(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	cl := c.client(c.servers[0].URL)
	sum, err := cl.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
	c.write(sum.Job, 1, planned("survey"))
	ctx, cancel := context.WithCancelCause(t.Context())
	last, err := cl.Watch(ctx, sum.Job, func(u backend.Update) {
		if u.State != nil && u.State.Stage == "survey" {
			cancel(exit.ErrInterrupted)
		}
	})
	assert.Equal(t, exit.ErrInterrupted, err)
	assert.Equal(t, "survey", last.Stage)
}

func TestAJobThatCannotBeFollowedIsSaidToBeSo(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	cl := c.client(c.servers[0].URL)
	sum, err := cl.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
	seen := 0
	_, err = cl.Watch(t.Context(), sum.Job, func(u backend.Update) {
		if seen++; seen == 1 {
			require.NoError(t, c.store.Logs.Append(t.Context(), joblog.Name(jobs.ID(sum.Job)), 1, []byte("no record")))
		}
	})
	require.ErrorContains(t, err, "cannot be followed")
	assert.Equal(t, exit.Failed, exit.Of(err))
}

// A server that has been cut off does not know the newest jobs for a moment: who has
// submitted one asks on, and is told of jobs that are nobody's at once.
func TestAJobThatWasSubmittedIsThereThoughAServerLags(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	var shows, streams atomic.Int32
	inner := c.servers[0].Config.Handler
	lagging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count := &shows
		if strings.HasSuffix(r.URL.Path, "/events") {
			count = &streams
		}
		if strings.HasPrefix(r.URL.Path, "/v1/jobs/") && count.Add(1) <= 2 {
			_, rest, _ := strings.Cut(r.URL.Path[len("/v1/jobs/"):], "/")
			r.URL.Path = strings.TrimSuffix("/v1/jobs/none/"+rest, "/") // which it does not know
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(lagging.Close)
	c.members = nil
	cl := c.client(lagging.URL)
	sum, err := cl.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
	told := false
	end, err := cl.Watch(t.Context(), sum.Job, func(u backend.Update) {
		if u.State != nil && !told {
			told = true
			c.write(sum.Job, 1, jobs.Event{Kind: jobs.CancelRequested})
		}
	})
	require.NoError(t, err)
	assert.Equal(t, jobs.Cancelled.String(), end.Status)
	assert.EqualValues(t, 3, shows.Load())
	assert.EqualValues(t, 3, streams.Load())
}

func TestErrorsKeepTheirKind(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	cl := c.client(c.servers[0].URL)
	_, err := cl.Show(t.Context(), "none")
	assert.Equal(t, fault.NotFound, fault.Of(err))
	require.ErrorContains(t, err, "no such job")
	_, err = cl.Watch(t.Context(), "none", func(backend.Update) {})
	assert.Equal(t, fault.NotFound, fault.Of(err), "one does not wait for a job that is not there")
	assert.Equal(t, fault.NotFound, fault.Of(cl.Drain(t.Context(), "n9")))
	_, err = cl.Run(t.Context(), "ffff")
	assert.Equal(t, fault.NotFound, fault.Of(err))
	_, err = cl.Rollback(t.Context(), api.RollbackRequest{Model: "m", Environment: "p"})
	assert.Equal(t, fault.NotFound, fault.Of(err))
	_, err = cl.Deploy(t.Context(), api.DeployRequest{ModelURI: "models:x", Environment: "p"})
	assert.Equal(t, fault.Invalid, fault.Of(err))
	all, err := cl.SearchRuns(t.Context(), runs.Search{})
	require.NoError(t, err)
	assert.Empty(t, all)
	models, err := cl.Models(t.Context())
	require.NoError(t, err)
	assert.Empty(t, models)
}

func TestTokensAreSentAndMissed(t *testing.T) {
	t.Parallel()
	c := start(t, 1, api.Tokens{"secret": api.Submit})
	_, err := c.client(c.servers[0].URL).List(t.Context())
	require.ErrorContains(t, err, "TROUPE_TOKEN")
	assert.Equal(t, exit.Unreachable, exit.Of(err))
	cfg := client.DefaultConfig()
	cfg.Addresses, cfg.Token = []string{c.servers[0].URL}, "secret"
	cl, err := client.New(cfg)
	require.NoError(t, err)
	_, err = cl.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
}

// A node that has just started cannot serve yet: its store is still away.
func TestANodeThatCannotServeYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"status":503,"detail":"the store does not answer"}`)
			return
		}
		_, _ = io.WriteString(w, `{"jobs":[]}`)
	}))
	defer server.Close()
	c := start(t, 0, nil)
	_, err := c.client(server.URL).List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int32(3), asked.Load())
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "ftp://x", "http://", "http://h:1/path", "h:1?x"} {
		cfg := client.DefaultConfig()
		cfg.Addresses = []string{bad}
		_, err := client.New(cfg)
		assert.Equal(t, fault.Invalid, fault.Of(err), bad)
	}
}

// A proxy, or some other program on the port, answers anything.
func TestWhoIsNotTroupeIsNotBelieved(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/jobs/teapot" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "<html>hello</html>")
	}))
	defer server.Close()
	c := start(t, 0, nil)
	_, err := c.client(server.URL).List(t.Context())
	require.ErrorContains(t, err, "does not answer as Troupe does")
	assert.Equal(t, exit.Unreachable, exit.Of(err))
	_, err = c.client(server.URL).Show(t.Context(), "teapot")
	require.ErrorContains(t, err, "418")
}
