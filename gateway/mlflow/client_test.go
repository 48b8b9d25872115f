package mlflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/gateway/mlflow"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// client asks a node's HTTP door as MLflow's REST documentation has it.
type client struct {
	t        *testing.T
	url      string
	token    string
	registry *registry.Registry
	store    store.Store
}

func open(t *testing.T, tokens api.Tokens) *client {
	t.Helper()
	st := memory.New()
	c := &client{t: t, registry: registry.Open(st), store: st}
	tracking := mlflow.New(mlflow.Config{Registry: c.registry, Blobs: st.Blobs, Clock: clock.Real{}, MaxArtifactBytes: 1 << 16})
	server := httptest.NewServer(api.New(api.Config{
		Version: "1.2.3", Store: st, Registry: c.registry, Tokens: tokens, Doors: []api.Door{tracking.Door()},
		Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// send returns the status and body of an answer.
func (c *client) send(method, path string, body []byte) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, c.url+path, bytes.NewReader(body))
	require.NoError(c.t, err)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	b, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp.StatusCode, b
}

type object = map[string]any

// ask sends a request under /api/2.0/mlflow and returns the decoded answer, in
// which numbers stay as they were written.
func (c *client) ask(method, path string, body any) (int, object) {
	c.t.Helper()
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	default:
		var err error
		raw, err = json.Marshal(b)
		require.NoError(c.t, err)
	}
	status, b := c.send(method, "/api/2.0/mlflow/"+path, raw)
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out object
	require.NoError(c.t, d.Decode(&out), string(b))
	return status, out
}

// must asks and wants an answer.
func (c *client) must(method, path string, body any) object {
	c.t.Helper()
	status, out := c.ask(method, path, body)
	require.Equal(c.t, http.StatusOK, status, out)
	return out
}

// refused asks and wants an error.
func (c *client) refused(status int, code, message, method, path string, body any) {
	c.t.Helper()
	got, out := c.ask(method, path, body)
	require.Equal(c.t, status, got, out)
	require.Equal(c.t, code, out["error_code"], out)
	require.Contains(c.t, out["message"], message)
}

// at walks into an answer: "run.info.run_id", "runs.0.info".
func at(t *testing.T, v any, path string) any {
	t.Helper()
	for _, word := range strings.Split(path, ".") {
		switch x := v.(type) {
		case object:
			v = x[word]
		case []any:
			i, err := json.Number(word).Int64()
			require.NoError(t, err)
			require.Less(t, int(i), len(x), path)
			v = x[i]
		default:
			require.Fail(t, "nothing is there", path)
		}
	}
	return v
}

// run makes a run and returns its id.
func (c *client) run(body object) string {
	c.t.Helper()
	id, ok := at(c.t, c.must("POST", "runs/create", body), "run.info.run_id").(string)
	require.True(c.t, ok)
	return id
}

// keyed makes a list of keys and values an object.
func keyed(list any) object {
	out := object{}
	all, _ := list.([]any)
	for _, e := range all {
		if m, ok := e.(object); ok {
			key, _ := m["key"].(string)
			out[key] = m["value"]
		}
	}
	return out
}

func num(s string) json.Number { return json.Number(s) }
