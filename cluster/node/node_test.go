package node

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/gateway/stream"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store/memory"
)

const patience = 2 * time.Minute // only a failing test waits so long

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// anyPort is a node on loopback that takes what ports are free.
func anyPort(dir string) Config {
	c := DefaultConfig()
	c.DataDir, c.Name = dir, "alone"
	c.HTTPPort, c.ActorPort, c.GossipPort, c.NATSPort, c.RoutePort = 0, 0, 0, 0, 0
	c.StoreBytes, c.Slots = 1<<30, 2
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return c
}

// transactions writes a table in several row groups and returns its folder.
func transactions(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	gc := generate.DefaultConfig()
	gc.Rows, gc.RowsPerGroup, gc.Users = 8000, 1000, 200
	g, err := generate.New(gc)
	require.NoError(t, err)
	f, err := os.Create(filepath.Join(dir, "part.parquet"))
	require.NoError(t, err)
	w, err := parquet.NewWriter(f, g.Schema(), parquet.DefaultWriterConfig())
	require.NoError(t, err)
	for i := range g.NumBatches() {
		require.NoError(t, w.Write(g.Batch(i)))
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return dir
}

func trainSpec(t *testing.T, in string) spec.Spec {
	t.Helper()
	specs, err := spec.Parse(filepath.Join(in, "train.yaml"), []byte(`
kind: train
name: fraud
input: .
target: is_fraud
task: binary
split: {by: time, column: ts, validation: 0.1, test: 0.2}
features:
  - {name: amount, op: log1p, of: amount}
  - {name: category, op: one_hot, of: category}
  - {name: hour, op: standard_scale, of: hour}
model: {type: mlp, hidden: [8]}
epochs: 2
batch_size: 256
`))
	require.NoError(t, err)
	require.Len(t, specs, 1)
	return specs[0].Resolve(in)
}

// locally returns the digest that the same job has without a cluster.
func locally(t *testing.T, s spec.Spec) string {
	t.Helper()
	st := memory.New()
	env := &run.Env{Store: st, Registry: registry.Open(st), Clock: clock.Real{}, Code: "dev", Threads: 1}
	j, err := run.Local{Store: st, Body: env.Body, Clock: clock.Real{}, Slots: 1}.Run(soon(t), "oracle", string(s.Kind), s.Name, s.Canonical())
	require.NoError(t, err)
	summary := run.Summarise(j, 0)
	require.Equal(t, "succeeded", summary.Status, "%+v", summary.Error)
	require.NotEmpty(t, summary.Digest)
	return summary.Digest
}

func call(t *testing.T, n *Node, method, path string, body any, want int, into any) {
	t.Helper()
	b, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(soon(t), method, "http://"+n.Addresses().HTTP+path, bytes.NewReader(b))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(withToken(req))
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, want, resp.StatusCode, "%s %s: %s", method, path, b)
	if into != nil {
		require.NoError(t, json.Unmarshal(b, into), "%s", b)
	}
}

// The conversation's library keeps some of its state for the whole process, so
// this is the only test that starts nodes, one after the other. Clusters of
// several processes are tested with the program.
func TestANode(t *testing.T) {
	in, dir := transactions(t), t.TempDir()
	s := trainSpec(t, in)
	want := locally(t, s)

	cfg := anyPort(dir)
	began := clock.Real{}.Now()
	n, err := Start(soon(t), cfg)
	require.NoError(t, err)
	t.Cleanup(n.Close)
	t.Logf("ready after %v", clock.Real{}.Now().Sub(began))
	if os.Getenv("GOMEMLIMIT") == "" {
		require.Equal(t, heapLimit(cfg.MemoryBytes, MachineBytes()), debug.SetMemoryLimit(-1))
	}

	refused(t, n, cfg)
	awaitLeader(t, n)
	summary := submitted(t, n, s)
	require.Equal(t, want, summary.Digest, "the cluster's answer is not that of the embedded run")
	awaitEvents(t, n, 2) // its end is told a moment later
	deployed(t, n, summary.ModelURI)
	planned(t, n, in)
	untold := abandoned(t, n)
	drained(t, n)
	told := heard(t, n)
	require.Equal(t, []string{"node.joined", "job.train.succeeded", "model.registered", "model.deployed", "job.features.cancelled", "node.draining", "node.left"}, subjects(told))
	require.Equal(t, summary.Job, told[1].Subject)
	require.Equal(t, string(untold), told[4].Subject)
	n.Close()

	cfg.Servers = 3
	_, err = Start(soon(t), cfg)
	require.Equal(t, fault.Invalid, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "--servers 1")

	cfg.Servers, cfg.Secret = 1, []byte("a secret of at least sixteen bytes")
	again, err := Start(soon(t), cfg) // from the same folder, now with TLS and passwords
	require.NoError(t, err)
	t.Cleanup(again.Close)
	var list struct{ Jobs []run.Summary }
	call(t, again, http.MethodGet, "/v1/jobs", nil, http.StatusOK, &list)
	require.Len(t, list.Jobs, 2)
	require.Equal(t, want, list.Jobs[0].Digest)
	predicts(t, again)
	require.Equal(t, want, submitted(t, again, s).Digest)
	require.Equal(t, append(subjects(told), "node.joined", "job.train.succeeded"), subjects(awaitEvents(t, again, len(told)+2)), "nothing is told twice")
	again.Close()
	require.NoError(t, again.Wait())
	outside(t, s, want)
}

// outside starts a node that others can reach, over a NATS that is not its own.
func outside(t *testing.T, s spec.Spec, want string) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	external, err := bus.StartServer(soon(t), bus.ServerConfig{Name: "external", Dir: t.TempDir(), Host: "127.0.0.1", Replicas: 1, MaxStoreBytes: 1 << 30, Log: quiet, Clock: clock.Real{}})
	require.NoError(t, err)
	t.Cleanup(external.Shutdown)
	cfg := anyPort(t.TempDir())
	cfg.Bind, cfg.Advertise, cfg.NATSURL, cfg.Secret = "0.0.0.0", "127.0.0.1", external.URL(), []byte("a secret of at least sixteen bytes")
	n, err := Start(soon(t), cfg)
	require.NoError(t, err)
	t.Cleanup(n.Close)
	require.Empty(t, n.Addresses().NATS)
	call(t, n, http.MethodGet, "/health", nil, http.StatusOK, nil)
	call(t, n, http.MethodGet, "/v1/nodes", nil, http.StatusUnauthorized, nil)
	var tokens api.Tokens
	b, err := os.ReadFile(filepath.Join(cfg.DataDir, tokensFile))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &tokens))
	bearer, err = Token(cfg.Secret, api.Submit)
	require.NoError(t, err)
	require.Equal(t, api.Submit, tokens[bearer])
	defer func() { bearer = "" }()
	awaitLeader(t, n)
	require.Equal(t, want, submitted(t, n, s).Digest)
	call(t, n, http.MethodPost, "/v1/nodes/alone/drain", nil, http.StatusForbidden, nil)
}

// bearer is the token of all requests, when it is not empty.
var bearer string

func withToken(req *http.Request) *http.Request {
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return req
}

// refused checks that a second node with the same folder or ports says why it
// does not start.
func refused(t *testing.T, n *Node, cfg Config) {
	t.Helper()
	_, err := Start(soon(t), cfg)
	require.Equal(t, fault.Conflict, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, cfg.DataDir)
	cfg.DataDir = t.TempDir()
	cfg.HTTPPort = portOf(n.Addresses().HTTP)
	_, err = Start(soon(t), cfg)
	require.Equal(t, fault.Conflict, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "in use")
}

func awaitLeader(t *testing.T, n *Node) {
	t.Helper()
	var got struct{ Nodes []api.Node }
	for ctx := soon(t); len(got.Nodes) != 1 || !got.Nodes[0].Leader; {
		require.NoError(t, ctx.Err())
		call(t, n, http.MethodGet, "/v1/nodes", nil, http.StatusOK, &got)
	}
	require.Equal(t, "alone", got.Nodes[0].Name)
	require.Equal(t, "ready", got.Nodes[0].State)
	require.Equal(t, []string{"server", "worker"}, got.Nodes[0].Roles)
	require.Equal(t, 2, got.Nodes[0].Slots)
}

// submitted runs a job over HTTP and returns its summary at the end.
func submitted(t *testing.T, n *Node, s spec.Spec) run.Summary {
	t.Helper()
	var got run.Summary
	call(t, n, http.MethodPost, "/v1/jobs", api.SubmitRequest{Spec: s}, http.StatusAccepted, &got)
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://"+n.Addresses().HTTP+"/v1/jobs/"+got.Job+"/events", http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(withToken(req))
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	events, err := io.ReadAll(resp.Body) // it ends with the job
	require.NoError(t, err)
	require.Contains(t, string(events), "event: state")
	call(t, n, http.MethodGet, "/v1/jobs/"+got.Job, nil, http.StatusOK, &got)
	require.Equal(t, "succeeded", got.Status, "%+v", got.Error)
	return got
}

// deployed moves production to a model and asks for predictions.
func deployed(t *testing.T, n *Node, uri string) {
	t.Helper()
	call(t, n, http.MethodPost, "/v1/predict/fraud", map[string]any{"features": map[string]any{}}, http.StatusServiceUnavailable, nil)
	var d api.Deployment
	call(t, n, http.MethodPost, "/v1/deployments", api.DeployRequest{ModelURI: uri, Environment: "production"}, http.StatusOK, &d)
	require.Equal(t, 1, d.Version)
	predicts(t, n)
}

// planned asks what a job would do whose model is only here.
func planned(t *testing.T, n *Node, in string) {
	t.Helper()
	specs, err := spec.Parse(filepath.Join(in, "score.yaml"), []byte("kind: predict\nname: score\nmodel: models:/fraud@production\ninput: .\noutput: out\n"))
	require.NoError(t, err)
	var p api.Plan
	call(t, n, http.MethodPost, "/v1/jobs/plan", api.SubmitRequest{Spec: specs[0].Resolve(in)}, http.StatusOK, &p)
	require.Equal(t, "models:/fraud/1", p.Model)
	require.EqualValues(t, 8000, p.Input.Rows)
	require.Equal(t, 2, p.Worker.Slots)
	require.NoDirExists(t, filepath.Join(in, "out"))
}

var row = map[string]any{"amount": 12.5, "category": "food", "hour": 13}

// predicts asks for the same row over HTTP and over NATS.
func predicts(t *testing.T, n *Node) {
	t.Helper()
	var a api.Answer
	call(t, n, http.MethodPost, "/v1/predict/fraud", map[string]any{"features": row}, http.StatusOK, &a)
	require.NotNil(t, a.Probability)
	require.Contains(t, a.ModelVersion, "fraud")
	b, err := json.Marshal(map[string]any{"features": row})
	require.NoError(t, err)
	answers, err := n.bus.Gather(soon(t), stream.PredictPrefix+"fraud", b, 1)
	require.NoError(t, err)
	require.Len(t, answers, 1)
	var same api.Answer
	require.NoError(t, json.Unmarshal(answers[0], &same), "%s", answers[0])
	require.Equal(t, a, same)
	call(t, n, http.MethodPost, "/v1/predict/fraud", map[string]any{"features": map[string]any{"amount": "much"}}, http.StatusUnprocessableEntity, nil)
}

// drained asks the node over HTTP to leave, and waits until it has.
func drained(t *testing.T, n *Node) {
	t.Helper()
	call(t, n, http.MethodPost, "/v1/nodes/nobody/drain", nil, http.StatusNotFound, nil)
	call(t, n, http.MethodPost, "/v1/nodes/alone/drain", nil, http.StatusAccepted, nil)
	left := make(chan error, 1)
	go func() { left <- n.Wait() }()
	select {
	case err := <-left:
		require.NoError(t, err)
	case <-soon(t).Done():
		t.Fatal("the node does not leave")
	}
	h, err := n.store.Refs.List(soon(t), "ctl.")
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(h, func(s string) bool { return strings.HasPrefix(s, "ctl.") }))
	_, leading := n.leader.Leading()
	require.False(t, leading, "it still coordinates")
}
