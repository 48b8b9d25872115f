package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// cluster is the test's: what it was asked, and what it says.
type cluster struct {
	mu      sync.Mutex
	nudges  int
	drained []string
	fails   error
	watched chan func(api.Progress) // who listens to progress
}

func (c *cluster) Nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nudges++
}

func (c *cluster) Nodes(context.Context) ([]api.Node, error) {
	return []api.Node{{ID: "b1", Name: "n1", Address: "127.0.0.1:1", Roles: []string{"worker"}, Slots: 2, State: "ready"}}, c.fails
}

func (c *cluster) Drain(_ context.Context, node string) error {
	c.drained = append(c.drained, node)
	return c.fails
}

func (c *cluster) Watch(ctx context.Context, _ string, fn func(api.Progress)) error {
	select {
	case c.watched <- fn:
	case <-ctx.Done():
	}
	<-ctx.Done()
	return ctx.Err()
}

// predictor adds up a and b.
type predictor struct{ refreshed int }

func (p *predictor) Predict(_ context.Context, model string, rows []json.RawMessage) ([]api.Answer, error) {
	if model != "sum" {
		return nil, fault.New(fault.NotFound, "no model %q is deployed", model)
	}
	var answers []api.Answer
	for i, row := range rows {
		var values map[string]float64
		if row[0] == '[' {
			var list []float64
			if err := json.Unmarshal(row, &list); err != nil || len(list) != 2 {
				return nil, fault.Wrap(fault.Invalid, api.FieldErrors{{Row: i, Field: "b", Message: "missing"}})
			}
			values = map[string]float64{"a": list[0], "b": list[1]}
		} else if err := json.Unmarshal(row, &values); err != nil {
			return nil, fault.Wrap(fault.Invalid, api.FieldErrors{{Row: i, Field: "a", Message: "expected a number"}, {Row: i, Field: "c", Message: "unknown"}})
		}
		probability := 0.75
		answers = append(answers, api.Answer{Prediction: values["a"] + values["b"], Probability: &probability, ClassProbabilities: []float64{0.25, 0.75}, ModelVersion: "3"})
	}
	return answers, nil
}

func (p *predictor) Served() []string { return []string{"sum"} }
func (p *predictor) Refresh()         { p.refreshed++ }

// door is a server over a store in memory, on a port of its own.
type door struct {
	t         *testing.T
	url       string
	store     store.Store
	registry  *registry.Registry
	cluster   *cluster
	predictor *predictor
	token     string
	why       atomic.Value // why nothing can be written
	preview   func(context.Context, spec.Spec) (*run.Preview, error)
}

func open(t *testing.T, tokens api.Tokens) *door {
	t.Helper()
	st := memory.New()
	d := &door{t: t, store: st, registry: registry.Open(st), cluster: &cluster{watched: make(chan func(api.Progress), 4)}, predictor: &predictor{}}
	server := httptest.NewServer(api.New(api.Config{
		Version: "1.2.3", Store: st, Registry: d.registry, Cluster: d.cluster, Predictor: d.predictor, Tokens: tokens,
		Preview: func(ctx context.Context, s spec.Spec) (*run.Preview, error) { return d.preview(ctx, s) },
		Unwritable: func() string {
			why, _ := d.why.Load().(string)
			return why
		},
		Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// ask sends a request and returns the status and the decoded answer.
func (d *door) ask(method, path, body string) (int, map[string]any) {
	d.t.Helper()
	resp := d.send(method, path, body)
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	b, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	var out map[string]any
	if len(bytes.TrimSpace(b)) > 0 && strings.Contains(resp.Header.Get("Content-Type"), "json") {
		require.NoError(d.t, json.Unmarshal(b, &out), string(b))
	}
	return resp.StatusCode, out
}

func (d *door) send(method, path, body string) *http.Response {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(d.t, err)
	return resp
}

const driftSpec = `{"kind":"drift","name":"d","reference":"/r","current":"/c"}`

func (d *door) submit(id string) map[string]any {
	d.t.Helper()
	status, out := d.ask("POST", "/v1/jobs", fmt.Sprintf(`{"id":%q,"spec":%s}`, id, driftSpec))
	require.Equal(d.t, http.StatusAccepted, status, out)
	return out
}

// write adds a record of events to a job's log, as its coordinator does.
func (d *door) write(id string, place uint64, events ...jobs.Event) {
	d.t.Helper()
	record, err := jobs.EncodeRecord(1, events)
	require.NoError(d.t, err)
	require.NoError(d.t, d.store.Logs.Append(d.t.Context(), joblog.Name(jobs.ID(id)), place, record))
}

func TestASubmittedJobIsInTheStoreOnce(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	out := d.submit("j1")
	assert.Equal(t, "j1", out["job"])
	assert.Equal(t, "running", out["status"])
	d.submit("j1")
	records, err := d.store.Logs.Read(t.Context(), joblog.Name("j1"), 0)
	require.NoError(t, err)
	assert.Len(t, records, 1, "the same submission again changes nothing")
	_, _, err = d.store.Refs.Get(t.Context(), joblog.OpenPrefix+"j1")
	require.NoError(t, err, "the coordinator finds it there")
	assert.Equal(t, 2, d.cluster.nudges)
	j, err := joblog.Load(t.Context(), d.store, "j1")
	require.NoError(t, err)
	assert.Contains(t, string(j.Spec), `"threshold":{"share":0.5}`, "the spec is kept with its defaults")
	status, out := d.ask("POST", "/v1/jobs", `{"spec":`+driftSpec+`}`)
	assert.Equal(t, http.StatusAccepted, status)
	assert.Len(t, out["job"], 12, "an id is made up")
}

func TestBadSubmissionsAreRefusedAndLeaveNothing(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"spec":`, 400, "EOF"},
		{`{"spec":` + driftSpec + `}{}`, 400, "more than one"},
		{`{"spec":` + driftSpec + `,"sepc":1}`, 400, "sepc"},
		{`{"spec":{"kind":"drift","name":"d","reference":"r","curent":"c"}}`, 400, `did you mean \"current\"?`},
		{`{}`, 400, "spec"},
		{`{"id":"a/b","spec":` + driftSpec + `}`, 422, "a/b"},
		{`{"id":"a.b","spec":` + driftSpec + `}`, 422, "a.b"},
		{`{"id":"` + strings.Repeat("a", 65) + `","spec":` + driftSpec + `}`, 422, "64"},
	} {
		status, out := d.ask("POST", "/v1/jobs", c.body)
		text, err := json.Marshal(out)
		require.NoError(t, err)
		assert.Equal(t, c.status, status, "%s: %s", c.body, text)
		assert.Contains(t, string(text), c.says)
	}
	ids, err := joblog.List(t.Context(), d.store)
	require.NoError(t, err)
	assert.Empty(t, ids)
}

func TestAStoreThatCannotBeWrittenTakesNoJobAndSaysWhy(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.why.Store("1 of 3 servers is here")
	body := `{"id":"j1","spec":` + driftSpec + `}`
	status, out := d.ask("POST", "/v1/jobs", body)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "submit j1: 1 of 3 servers is here", out["detail"])
	ids, err := joblog.List(t.Context(), d.store)
	require.NoError(t, err)
	assert.Empty(t, ids)
	d.why.Store("")
	d.submit("j1")
}

func TestJobsAreListedShownAndTold(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	status, out := d.ask("GET", "/v1/jobs", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, []any{}, out["jobs"], "an empty list is a list")
	for i, id := range []string{"old", "new"} {
		record, err := jobs.EncodeRecord(0, []jobs.Event{{Kind: jobs.Submitted, JobKind: "drift", Name: "d", Spec: []byte(driftSpec), At: int64(1000 * (i + 1))}})
		require.NoError(t, err)
		require.NoError(t, d.store.Logs.Append(t.Context(), joblog.Name(jobs.ID(id)), 0, record))
	}
	d.write("old", 1, jobs.Event{Kind: jobs.StagePlanned, Stage: &jobs.Stage{Name: "survey", Shape: jobs.Merge, NumTasks: 1}},
		jobs.Event{Kind: jobs.TaskAssigned, Task: "survey/0", Attempt: 1, Members: []jobs.MemberID{"m1"}})
	d.write("old", 2, jobs.Event{Kind: jobs.TaskFailed, Task: "survey/0", Attempt: 1, At: 4000, Failure: &jobs.Failure{Kind: fault.NotFound, Message: "no such file"}})
	_, out = d.ask("GET", "/v1/jobs", "")
	list := out["jobs"].([]any)
	require.Len(t, list, 2)
	assert.Equal(t, "new", list[0].(map[string]any)["job"], "the newest is first")
	status, out = d.ask("GET", "/v1/jobs/old", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "failed", out["status"])
	assert.InDelta(t, 3, out["seconds"], 1e-9)
	assert.Contains(t, out["error"].(map[string]any)["message"], "no such file")
	status, out = d.ask("GET", "/v1/jobs/old/log", "")
	assert.Equal(t, 200, status)
	var events []string
	for _, e := range out["events"].([]any) {
		events = append(events, e.(map[string]any)["event"].(string))
	}
	assert.Equal(t, []string{"submitted", "stage planned", "task assigned", "task failed"}, events)
	for _, path := range []string{"/v1/jobs/none", "/v1/jobs/none/log"} {
		status, out = d.ask("GET", path, "")
		assert.Equal(t, 404, status)
		assert.Contains(t, out["detail"], "no such job")
	}
}

func TestACancellationWaitsForTheCoordinator(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.submit("j1")
	for range 2 { // asking twice is asking once
		status, _ := d.ask("POST", "/v1/jobs/j1/cancel", "")
		assert.Equal(t, 200, status)
	}
	why, _, err := d.store.Refs.Get(t.Context(), joblog.CancelPrefix+"j1")
	require.NoError(t, err)
	assert.Contains(t, string(why), "user")
	d.write("j1", 1, jobs.Event{Kind: jobs.CancelRequested})
	status, out := d.ask("POST", "/v1/jobs/j1/cancel", "")
	assert.Equal(t, 409, status)
	assert.Contains(t, out["detail"], "already cancelled")
	status, _ = d.ask("POST", "/v1/jobs/none/cancel", "")
	assert.Equal(t, 404, status)
}

// events reads a stream to its end and passes each event on.
func events(t *testing.T, body io.Reader, hear func(name, data string)) {
	t.Helper()
	s := bufio.NewScanner(body)
	name := ""
	for s.Scan() {
		key, value, _ := strings.Cut(s.Text(), ": ")
		switch key {
		case "event":
			name = value
		case "data":
			hear(name, value)
		}
	}
}

func TestAWatcherHearsAJobToItsEnd(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.submit("j1")
	resp := d.send("GET", "/v1/jobs/j1/events", "")
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	var states, progress []string
	told := <-d.cluster.watched
	events(t, resp.Body, func(name, data string) {
		switch name {
		case "progress":
			progress = append(progress, data)
			d.write("j1", 2, jobs.Event{Kind: jobs.CancelRequested})
		case "state":
			var s run.Summary
			require.NoError(t, json.Unmarshal([]byte(data), &s))
			states = append(states, s.Status+" "+s.Stage)
			switch len(states) {
			case 1:
				d.write("j1", 1, jobs.Event{Kind: jobs.StagePlanned, Stage: &jobs.Stage{Name: "survey", Shape: jobs.Merge, NumTasks: 1}})
			case 2:
				told(api.Progress{Job: "j1", Task: "survey/0", Rows: 5, Total: 10, Text: "half"})
			}
		}
	})
	assert.Equal(t, []string{"running ", "running survey", "cancelled "}, states)
	require.Len(t, progress, 1)
	assert.JSONEq(t, `{"job":"j1","task":"survey/0","rows":5,"total":10,"text":"half"}`, progress[0])
}

// A log that cannot be read ends the watching with a reason, not in silence.
func TestAWatcherIsToldThatTheJobCannotBeFollowed(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.submit("j1")
	require.NoError(t, d.store.Logs.Append(t.Context(), joblog.Name("j1"), 1, []byte("no record")))
	for _, c := range []struct {
		job    string
		states int
		status int
		says   string
	}{{"j1", 1, 500, "job j1 cannot be followed"}, {"none", 0, 404, "there is no such job"}} {
		resp := d.send("GET", "/v1/jobs/"+c.job+"/events", "")
		states, told := 0, []api.WatchError{}
		events(t, resp.Body, func(name, data string) {
			switch name {
			case "state":
				states++
			case "error":
				var e api.WatchError
				require.NoError(t, json.Unmarshal([]byte(data), &e))
				told = append(told, e)
			}
		})
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, c.states, states)
		require.Len(t, told, 1, c.job)
		assert.Equal(t, c.status, told[0].Status)
		assert.Contains(t, told[0].Detail, c.says)
	}
}

func TestAWatcherWhoLeavesIsForgotten(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.submit("j1")
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/v1/jobs/j1/events", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	<-d.cluster.watched
	cancel()
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err)
	require.NoError(t, resp.Body.Close())
	// The server's Close, at the end of the test, waits for every handler: were
	// one still listening, the test would not end.
}

func TestKindsOfErrorsHaveTheirStatus(t *testing.T) {
	t.Parallel()
	for kind, want := range map[fault.Kind]int{
		fault.Invalid: 422, fault.NotFound: 404, fault.Conflict: 409, fault.Unavailable: 503, fault.Exhausted: 429, fault.Canceled: 499, fault.Internal: 500, fault.Corrupt: 500,
	} {
		d := open(t, nil)
		d.cluster.fails = fault.New(kind, "because of %v", kind)
		for _, r := range [][2]string{{"GET", "/v1/nodes"}, {"POST", "/v1/nodes/n1/drain"}} {
			resp := d.send(r[0], r[1], "")
			assert.Equal(t, want, resp.StatusCode, "%v", kind)
			assert.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
			require.NoError(t, resp.Body.Close())
		}
	}
}

func TestNodesAreListedAndDrained(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	status, out := d.ask("GET", "/v1/nodes", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "n1", out["nodes"].([]any)[0].(map[string]any)["name"])
	status, _ = d.ask("POST", "/v1/nodes/n1/drain", "")
	assert.Equal(t, 202, status)
	assert.Equal(t, []string{"n1"}, d.cluster.drained)
}

func TestTheDoorDescribesItself(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	for path, want := range map[string]string{"/health": "healthy", "/ready": "ready"} {
		status, out := d.ask("GET", path, "")
		assert.Equal(t, 200, status)
		assert.Equal(t, want, out["status"])
		assert.Equal(t, true, out["model_loaded"])
	}
	status, out := d.ask("GET", "/openapi.json", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "3.1.0", out["openapi"])
	for _, path := range []string{"/v1/jobs", "/v1/jobs/{id}/events", "/v1/jobs/{id}/log", "/v1/nodes", "/v1/rollbacks", "/v1/predict/{model}"} {
		assert.Contains(t, out["paths"], path)
	}
	resp := d.send("GET", "/docs", "")
	assert.Equal(t, 200, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}
