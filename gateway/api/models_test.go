package api_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/registry/runs"
)

func TestPredictionsAreAnsweredAsThePlaybookHasThem(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	status, out := d.ask("POST", "/v1/predict/sum", `{"features":{"a":1,"b":2}}`)
	assert.Equal(t, 200, status)
	assert.Equal(t, map[string]any{"prediction": 3.0, "probability": 0.75, "class_probabilities": []any{0.25, 0.75}, "model_version": "3"}, out)
	_, inOrder := d.ask("POST", "/v1/predict/sum", `{"features":[1,2]}`)
	assert.Equal(t, out, inOrder, "a bare list is a row in the order of the signature")
	for _, several := range []string{`{"features":[{"a":1,"b":2},{"a":5,"b":6}]}`, `{"features":[[1,2],[5,6]]}`} {
		status, out = d.ask("POST", "/v1/predict/sum", several)
		assert.Equal(t, 200, status)
		list := out["predictions"].([]any)
		require.Len(t, list, 2)
		assert.InDelta(t, 11, list[1].(map[string]any)["prediction"], 0)
	}
	resp := d.send("GET", "/metrics", "")
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(text), `model_predictions_total{model_version="3",prediction_class="3"} 4`)
	assert.Contains(t, string(text), `model_prediction_latency_seconds_count 4`)
	assert.Contains(t, string(text), `model_prediction_latency_seconds_bucket{le="0.0001"}`)
}

func TestPredictionsThatCannotBeSayWhy(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	for _, c := range []struct {
		model, body string
		status      int
	}{
		{"sum", `{"features":{`, 400},
		{"sum", `{}`, 422},
		{"sum", `{"features":3}`, 422},
		{"sum", `{"features":"abc"}`, 422},
		{"sum", `{"feature":{"a":1}}`, 422},
		{"none", `{"features":{"a":1}}`, 503},
	} {
		status, out := d.ask("POST", "/v1/predict/"+c.model, c.body)
		assert.Equal(t, c.status, status, "%s: %v", c.body, out)
		assert.NotEmpty(t, out["detail"])
	}
	for body, want := range map[string][]string{
		`{"features":{"a":"x"}}`:                {"body.features.a", "body.features.c"},
		`{"features":[{"a":1},{"a":"x"}]}`:      {"body.features[1].a", "body.features[1].c"},
		`{"features":[[1,2],[1]]}`:              {"body.features[1].b"},
		`{"features":[1]}`:                      {"body.features.b"},
		`{"features":[{"a":1,"b":2},{"a":[]}]}`: {"body.features[1].a", "body.features[1].c"},
	} {
		status, out := d.ask("POST", "/v1/predict/sum", body)
		assert.Equal(t, 422, status, body)
		var places []string
		for _, e := range out["errors"].([]any) {
			places = append(places, e.(map[string]any)["location"].(string))
		}
		assert.Equal(t, want, places, body)
	}
}

// trained records a run that has made a model, and returns its id.
func (d *door) trained(job string) runs.ID {
	d.t.Helper()
	digest, err := d.store.Blobs.Put(d.t.Context(), []byte("model of "+job))
	require.NoError(d.t, err)
	r, err := d.registry.Runs.Record(d.t.Context(), runs.Run{
		Job: job, Kind: "train", Name: "fraud", Status: runs.Succeeded, Started: time.Unix(1, 0), Ended: time.Unix(2, 0),
		Artifacts: map[string]runs.Artifact{"model": {Digest: digest, Bytes: 9}},
	})
	require.NoError(d.t, err)
	return r.ID
}

func TestEnvironmentsMoveForthAndBack(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	first, second := d.trained("a"), d.trained("b")
	deploy := func(run runs.ID) map[string]any {
		status, out := d.ask("POST", "/v1/deployments", `{"model_uri":"runs:/`+string(run)+`/model","environment":"production"}`)
		require.Equal(t, 200, status, out)
		return out
	}
	assert.InDelta(t, 1, deploy(first)["version"], 0)
	assert.InDelta(t, 1, deploy(first)["version"], 0, "deploying what is deployed changes nothing")
	out := deploy(second)
	assert.Equal(t, "models:/fraud/2", out["model_uri"])
	assert.InDelta(t, 1, out["previous"], 0)
	assert.Equal(t, 3, d.predictor.refreshed, "predictors look at once")
	status, out := d.ask("POST", "/v1/rollbacks", `{"model":"fraud","environment":"production","reason":"worse"}`)
	require.Equal(t, 200, status, out)
	assert.InDelta(t, 1, out["version"], 0)
	assert.InDelta(t, 2, out["previous"], 0)
	status, out = d.ask("POST", "/v1/rollbacks", `{"model":"fraud","environment":"production"}`)
	assert.Equal(t, 404, status)
	assert.Contains(t, out["detail"], "no version before 1")
	_, out = d.ask("GET", "/v1/models", "")
	alias := out["models"].([]any)[0].(map[string]any)["aliases"].([]any)[0].(map[string]any)
	assert.Len(t, alias["history"], 3)
	assert.Equal(t, "worse", alias["history"].([]any)[2].(map[string]any)["reason"])
}

func TestWhatCannotBeDeployedIsRefused(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	id := string(d.trained("a"))
	for body, want := range map[string]int{
		`{"model_uri":"runs:/` + id + `/model","environment":""}`:        422,
		`{"model_uri":"models:fraud","environment":"production"}`:        422,
		`{"model_uri":"runs:/` + id + `/nothing","environment":"p"}`:     404,
		`{"model_uri":"runs:/0000/model","environment":"production"}`:    404,
		`{"model_uri":"models:/fraud/1","environment":"production"}`:     404,
		`{"model_uri":"runs:/` + id + `/model","environment":"7"}`:       422,
		`{"environment":"production"}`:                                   422,
		`{"model_uri":"runs:/` + id + `/model","environment":"p","x":1}`: 422,
	} {
		status, out := d.ask("POST", "/v1/deployments", body)
		assert.Equal(t, want, status, "%s: %v", body, out)
	}
	_, out := d.ask("GET", "/v1/models", "")
	assert.Empty(t, out["models"], "what is refused registers nothing")
	status, _ := d.ask("POST", "/v1/rollbacks", `{"model":"none","environment":"production"}`)
	assert.Equal(t, 404, status)
}

func TestRunsAreListedAndShown(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	_, out := d.ask("GET", "/v1/runs", "")
	assert.Equal(t, []any{}, out["runs"])
	id := string(d.trained("a"))
	_, out = d.ask("GET", "/v1/runs", "")
	assert.Len(t, out["runs"], 1)
	status, out := d.ask("GET", "/v1/runs/"+id[:6], "")
	assert.Equal(t, 200, status)
	assert.Equal(t, id, out["id"])
	status, _ = d.ask("GET", "/v1/runs/ffffffff", "")
	assert.Equal(t, 404, status)
}

func TestTokensHaveRoles(t *testing.T) {
	t.Parallel()
	d := open(t, api.Tokens{"r": api.Read, "s": api.Submit, "a": api.Admin})
	requests := []struct {
		method, path, body string
		need               int // the place of the least token that may
	}{
		{"GET", "/health", "", 0},
		{"GET", "/ready", "", 0},
		{"GET", "/metrics", "", 0},
		{"GET", "/v1/jobs", "", 1},
		{"GET", "/openapi.json", "", 1},
		{"POST", "/v1/predict/sum", `{"features":{"a":1,"b":1}}`, 1},
		{"POST", "/v1/jobs", `{"id":"x","spec":` + driftSpec + `}`, 2},
		{"POST", "/v1/jobs/plan", `{}`, 2},
		{"POST", "/v1/jobs/x/cancel", "", 2},
		{"POST", "/v1/nodes/n1/drain", "", 3},
		{"POST", "/v1/deployments", `{"model_uri":"runs:/0000/model","environment":"p"}`, 3},
		{"POST", "/v1/rollbacks", `{"model":"m","environment":"p"}`, 3},
	}
	for place, token := range []string{"", "r", "s", "a"} {
		for _, r := range requests {
			d.token = token
			resp := d.send(r.method, r.path, r.body)
			require.NoError(t, resp.Body.Close())
			switch {
			case place >= r.need:
				assert.NotContains(t, []int{401, 403}, resp.StatusCode, "%q %s %s", token, r.method, r.path)
			case place == 0:
				assert.Equal(t, 401, resp.StatusCode, "%q %s %s", token, r.method, r.path)
				assert.Contains(t, resp.Header.Get("WWW-Authenticate"), "Bearer")
			default:
				assert.Equal(t, 403, resp.StatusCode, "%q %s %s", token, r.method, r.path)
			}
		}
	}
	d.token = "rr"
	status, out := d.ask("GET", "/v1/jobs", "")
	assert.Equal(t, 401, status)
	assert.Contains(t, out["detail"], "TROUPE_TOKEN")
	d.token = "r"
	_, out = d.ask("POST", "/v1/jobs", "{}")
	assert.Contains(t, out["detail"], "troupe token submit")
}

func TestRunsAreSearchedDeletedAndRestored(t *testing.T) {
	t.Parallel()
	d := open(t, api.Tokens{"r": api.Read, "s": api.Submit})
	d.token = "s"
	var ids []string
	for i, job := range []string{"a", "b", "c"} {
		r, err := d.registry.Runs.Record(t.Context(), runs.Run{Job: job, Kind: "train", Name: job, Status: runs.Succeeded, Started: time.UnixMilli(int64(i + 1)),
			Metrics: map[string][]runs.Point{"m": {{Step: 1, Value: 9}, {Step: 2, Value: runs.Value(i)}}}})
		require.NoError(t, err)
		ids = append(ids, string(r.ID))
	}
	names := func(query string) (names []any) {
		status, out := d.ask("GET", "/v1/runs?"+query, "")
		require.Equal(t, 200, status, out)
		for _, r := range out["runs"].([]any) {
			names = append(names, r.(map[string]any)["name"])
		}
		return names
	}
	assert.Equal(t, []any{"c", "b", "a"}, names(""))
	assert.Equal(t, []any{"b", "c"}, names("filter=metrics.m+%3E+0&order_by=metrics.m"))
	assert.Equal(t, []any{"c"}, names("limit=1"))
	status, out := d.ask("GET", "/v1/runs?filter=x", "")
	assert.Equal(t, 422, status, out)
	status, out = d.ask("GET", "/v1/runs/"+ids[0][:8], "")
	assert.Equal(t, 200, status)
	assert.Len(t, out["metrics"].(map[string]any)["m"], 2)

	d.token = "r"
	status, _ = d.ask("DELETE", "/v1/runs/"+ids[0], "")
	assert.Equal(t, 403, status)
	d.token = "s"
	status, out = d.ask("DELETE", "/v1/runs/"+ids[0][:8], "")
	assert.Equal(t, 200, status, out)
	assert.Equal(t, []any{"c", "b"}, names(""))
	assert.Equal(t, []any{"a"}, names("deleted=true"))
	status, _ = d.ask("POST", "/v1/runs/"+ids[0]+"/restore", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, []any{"c", "b", "a"}, names(""))
}
