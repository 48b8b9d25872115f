package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs/run"
)

// firstGroup reads the first row group of a folder's first file.
func firstGroup(t *testing.T, dir string) *data.Batch {
	t.Helper()
	files, err := run.List(t.Context(), nil, dir)
	require.NoError(t, err)
	f, err := os.Open(files[0])
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	require.NoError(t, err)
	pf, err := parquet.Open(f, info.Size(), files[0])
	require.NoError(t, err)
	b, err := pf.ReadRowGroup(t.Context(), 0, nil)
	require.NoError(t, err)
	return b
}

// asJSON returns row i as a request's features.
func asJSON(t *testing.T, b *data.Batch, i int) map[string]any {
	t.Helper()
	row := map[string]any{}
	for k, f := range b.Schema.Fields {
		c := b.Columns[k]
		switch {
		case !c.Valid.Get(i):
			row[f.Name] = nil
		case f.Type == data.Float64:
			row[f.Name] = c.Float64s[i]
		case f.Type == data.Int64:
			row[f.Name] = c.Int64s[i]
		case f.Type == data.Timestamp:
			row[f.Name] = time.UnixMicro(c.Int64s[i]).UTC().Format(time.RFC3339Nano)
		case f.Type == data.String:
			row[f.Name] = c.Dict[c.Codes[i]]
		default:
			t.Fatalf("a column of type %v", f.Type)
		}
	}
	return row
}

type predicted struct {
	Prediction         int64     `json:"prediction"`
	Probability        float32   `json:"probability"`
	ClassProbabilities []float32 `json:"class_probabilities"`
	ModelVersion       string    `json:"model_version"`
}

// features returns the body of a request, without the columns that the model
// does not take.
func featuresBody(t *testing.T, row map[string]any) []byte {
	t.Helper()
	wanted := map[string]any{}
	for _, name := range []string{"amount", "total_amount", "transaction_count", "category", "ts"} {
		wanted[name] = row[name]
	}
	b, err := json.Marshal(map[string]any{"features": wanted})
	require.NoError(t, err)
	return b
}

// served asks a node until it answers with 200: predictors take notice of a
// deployment within a second or so.
func (c *testCluster) served(node int, body []byte) predicted {
	c.t.Helper()
	var p predicted
	require.Eventually(c.t, func() bool {
		status, answer, err := post(c.t.Context(), "http://"+c.Records[node].HTTP+"/v1/predict/fraud", body)
		return err == nil && status == http.StatusOK && json.Unmarshal(answer, &p) == nil
	}, patience, 20*time.Millisecond)
	return p
}

func TestServingGivesTheBitsOfTheBatchJobThroughTheDeathOfAPredictor(t *testing.T) {
	t.Parallel()
	const epochs = 1
	w := newWorkload(t, 20_000, epochs)
	c := startCluster(t, 3, 1)
	out := t.TempDir()

	status, _, err := post(t.Context(), "http://"+c.Records[0].HTTP+"/v1/predict/fraud", []byte(`{"features": {}}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status, "no model is deployed yet")

	ends := w.runAll(t, c.client, out, epochs, nil)
	_, err = c.client.Deploy(t.Context(), api.DeployRequest{ModelURI: ends["train"].ModelURI, Environment: "production"})
	require.NoError(t, err)

	raw, scored := firstGroup(t, filepath.Join(w.dir, "october")), firstGroup(t, filepath.Join(out, "scored"))
	nc, err := bus.Connect(t.Context(), bus.ConnectConfig{Name: "test", URLs: func() []string { return []string{"nats://" + c.Records[0].NATS} }, Clock: clock.Real{}, Log: newApp().log()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	same := func(i int, p predicted) {
		t.Helper()
		require.Equal(t, scored.Column("prediction").Int64s[i], p.Prediction)
		require.Equal(t, scored.Column("probability").Float32s[i], p.Probability)
		require.Equal(t, []float32{scored.Column("probability_0").Float32s[i], scored.Column("probability_1").Float32s[i]}, p.ClassProbabilities)
		require.Equal(t, "fraud/1", p.ModelVersion)
	}
	for i := range 60 {
		body := featuresBody(t, asJSON(t, raw, i))
		if i == 30 { // any node may go, and the others answer with the same bits
			require.NoError(t, c.Signal(2, syscall.SIGKILL))
		}
		same(i, c.served(i%2, body))
		// A request that was on its way to the node that died is its sender's to
		// repeat.
		var p predicted
		require.Eventually(t, func() bool {
			m, err := nc.NATS.Request("troupe.predict.fraud", body, 2*time.Second)
			return err == nil && json.Unmarshal(m.Data, &p) == nil
		}, patience, time.Millisecond)
		same(i, p)
	}
	c.refusals(raw)
}

// refusals checks what is said of bad requests, and the metrics of good ones.
func (c *testCluster) refusals(raw *data.Batch) {
	t := c.t
	t.Helper()
	url := "http://" + c.Records[0].HTTP + "/v1/predict/fraud"
	row := asJSON(t, raw, 0)
	row["amount"] = "a lot"
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		string(featuresBody(t, row)):              {http.StatusUnprocessableEntity, "amount"},
		`{"features": {"amuont": 1}}`:             {http.StatusUnprocessableEntity, "amuont"},
		`{"features": {"amount": 1}`:              {http.StatusBadRequest, "malformed"},
		`{"instances": [{"amount": 1}]}`:          {http.StatusUnprocessableEntity, "features"},
		fmt.Sprintf(`{"features": [%s]}`, "1, 2"): {http.StatusUnprocessableEntity, "5"},
	} {
		status, answer, err := post(t.Context(), url, []byte(body))
		require.NoError(t, err)
		assert.Equal(t, want.status, status, "%s: %s", body, answer)
		assert.Contains(t, string(answer), want.says, body)
	}
	resp, err := http.Get("http://" + c.Records[0].HTTP + "/metrics") //nolint:noctx // a test
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), `model_predictions_total{model_version="fraud/1",prediction_class="0"}`)
	require.Contains(t, string(text), `model_prediction_latency_seconds_bucket{le="0.0001"}`)
}

func TestDriftIsAnEventThatAnyNATSClientHears(t *testing.T) {
	t.Parallel()
	w := newWorkload(t, 20_000, 1)
	c := startCluster(t, 1, 1)
	nc, err := bus.Connect(t.Context(), bus.ConnectConfig{Name: "test", URLs: func() []string { return []string{"nats://" + c.Records[0].NATS} }, Clock: clock.Real{}, Log: newApp().log()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	sub, err := nc.NATS.SubscribeSync("troupe.events.drift.>")
	require.NoError(t, err)
	require.NoError(t, nc.NATS.Flush())
	s := w.specs(t, t.TempDir(), 1)[3]
	s.Drift.Publish = true
	sum, err := c.client.Submit(t.Context(), s)
	require.NoError(t, err)
	end, err := c.client.Watch(t.Context(), sum.Job, func(backend.Update) {})
	require.NoError(t, err)
	require.True(t, *end.Drift)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	require.NoError(t, err)
	require.Equal(t, "troupe.events.drift.october", m.Subject)
	var e bus.Event
	require.NoError(t, json.Unmarshal(m.Data, &e))
	require.Equal(t, "1.0", e.SpecVersion)
	require.Equal(t, "troupe.drift.found", e.Type)
	var said run.Summary
	require.NoError(t, json.Unmarshal(e.Data, &said))
	require.Equal(t, end.Columns, said.Columns)
	require.NotEmpty(t, said.Drifted)
}
