package mlflow_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/gateway/api"
)

// logged makes a logged model and returns its id.
func (c *client) logged(body object) string {
	c.t.Helper()
	if body["experiment_id"] == nil {
		body["experiment_id"] = "0"
	}
	id, ok := at(c.t, c.must("POST", "logged-models", body), "model.info.model_id").(string)
	require.True(c.t, ok)
	return id
}

func TestALoggedModelFromItsMakingToItsEnd(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	run := c.run(object{})
	out := c.must("POST", "logged-models", object{"experiment_id": "0", "name": "fraud", "model_type": "Classifier", "source_run_id": run,
		"params": []object{{"key": "depth", "value": "3"}}, "tags": []object{{"key": "team", "value": "a"}}})
	info := at(t, out, "model.info")
	id, _ := at(t, info, "model_id").(string)
	require.Regexp(t, "^m-[0-9a-f]{32}$", id)
	assert.Equal(t, []any{"fraud", "0", "Classifier", run, "LOGGED_MODEL_PENDING", "mlflow-artifacts:/0/models/" + id + "/artifacts"},
		[]any{at(t, info, "name"), at(t, info, "experiment_id"), at(t, info, "model_type"), at(t, info, "source_run_id"), at(t, info, "status"), at(t, info, "artifact_uri")})
	assert.Equal(t, at(t, info, "creation_timestamp_ms"), at(t, info, "last_updated_timestamp_ms"))

	one := "logged-models/" + id
	c.must("POST", one+"/params", object{"params": []object{{"key": "depth", "value": "3"}, {"key": "lr", "value": "0.1"}}})
	c.refused(400, invalid, "params do not change", "POST", one+"/params", object{"params": []object{{"key": "lr", "value": "0.2"}}})
	c.refused(400, invalid, "bytes", "POST", one+"/params", object{"params": []object{{"key": "l", "value": strings.Repeat("x", 6001)}}})
	c.must("PATCH", one+"/tags", object{"tags": []object{{"key": "x", "value": "1"}, {"key": "a/b", "value": "2"}, {"key": "team", "value": ""}}})
	c.must("DELETE", one+"/tags/a/b", nil)
	c.must("DELETE", one+"/tags/x", nil)
	c.refused(404, nowhere, "no tag", "DELETE", one+"/tags/x", nil)
	c.refused(400, invalid, "bytes", "PATCH", one+"/tags", object{"tags": []object{{"key": "l", "value": strings.Repeat("x", 8001)}}})

	c.refused(400, invalid, "LOGGED_MODEL_READY", "PATCH", one, object{"status": "LOGGED_MODEL_PENDING"})
	c.refused(400, invalid, "status", "PATCH", one, object{})
	assert.Equal(t, "LOGGED_MODEL_UPLOAD_FAILED", at(t, c.must("PATCH", one, object{"status": "LOGGED_MODEL_UPLOAD_FAILED"}), "model.info.status"))
	c.must("PATCH", one, object{"model_id": "m-other", "status": "LOGGED_MODEL_READY"})
	got := at(t, c.must("GET", one, nil), "model")
	assert.Equal(t, "LOGGED_MODEL_READY", at(t, got, "info.status"))
	assert.Equal(t, object{"team": ""}, keyed(at(t, got, "info.tags")))
	assert.Equal(t, object{"depth": "3", "lr": "0.1"}, keyed(at(t, got, "data.params")))

	c.refused(400, invalid, "experiment_id", "POST", "logged-models", object{})
	c.refused(404, nowhere, "77", "POST", "logged-models", object{"experiment_id": "77"})
	c.refused(400, invalid, "a.b", "POST", "logged-models", object{"experiment_id": "0", "name": "a.b"})
	c.refused(400, invalid, "give one", "POST", "logged-models", object{"experiment_id": "0", "params": []object{{"key": "a", "value": "1"}, {"key": "a", "value": "2"}}})
	assert.Regexp(t, "^model-[0-9a-f]{8}$", at(t, c.must("GET", "logged-models/"+c.logged(object{}), nil), "model.info.name"))

	c.must("DELETE", one, nil)
	c.must("DELETE", one, nil)
	for _, q := range []string{"GET ", "PATCH ", "PATCH /tags", "POST /params", "DELETE /tags/team", "GET /artifacts/directories"} {
		method, path, _ := strings.Cut(q, " ")
		c.refused(404, nowhere, "was deleted", method, one+path, object{"status": "LOGGED_MODEL_READY"})
		c.refused(404, nowhere, "m-none", method, "logged-models/m-none"+path, object{"status": "LOGGED_MODEL_READY"})
		c.refused(404, nowhere, run, method, "logged-models/"+run+path, object{"status": "LOGGED_MODEL_READY"})
	}
	c.refused(404, nowhere, "m-none", "DELETE", "logged-models/m-none", nil)
	c.refused(404, nowhere, id, "GET", "runs/get?run_id="+id, nil)
}

func TestArtifactsOfALoggedModelComeBack(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	id := c.logged(object{})
	path := "0/models/" + id + "/artifacts"
	const door = "/api/2.0/mlflow-artifacts/artifacts"
	for name, text := range map[string]string{"MLmodel": "flavors: {}", "data/model.pkl": "\x00\xff"} {
		status, b := c.send("PUT", door+"/"+path+"/"+name, []byte(text))
		require.Equal(t, http.StatusOK, status, string(b))
		status, b = c.send("GET", door+"/"+path+"/"+name, nil)
		require.Equal(t, http.StatusOK, status)
		assert.Equal(t, text, string(b))
	}
	_, b := c.send("GET", door+"?path="+path, nil)
	assert.JSONEq(t, `{"files": [{"path": "MLmodel", "is_dir": false, "file_size": 11}, {"path": "data", "is_dir": true}]}`, string(b))
	list := c.must("GET", "logged-models/"+id+"/artifacts/directories?artifact_directory_path=data", nil)
	assert.Equal(t, object{"root_uri": "mlflow-artifacts:/" + path, "files": []any{object{"path": "data/model.pkl", "is_dir": false, "file_size": num("2")}}}, list)
	assert.Len(t, c.must("GET", "logged-models/"+id+"/artifacts/directories", nil)["files"], 2)
	c.refused(400, invalid, "../x", "GET", "logged-models/"+id+"/artifacts/directories?artifact_directory_path=../x", nil)

	for _, bad := range []struct {
		method, path string
		status       int
	}{
		{"GET", path + "/none", 404}, {"PUT", path + "/..%2fx", 400}, {"PUT", path + "/data", 409}, {"PUT", "0/models/m-none/artifacts/x", 404}, {"PUT", "0/models/" + id + "/x", 404},
		{"PUT", "0/" + id + "/artifacts/x", 404}, {"PUT", "0/models/" + c.run(object{}) + "/artifacts/x", 404}, {"DELETE", path + "/none", 404}, {"GET", "0/models", 404},
	} {
		status, b := c.send(bad.method, door+"/"+bad.path, []byte("x"))
		assert.Equal(t, bad.status, status, bad.path+string(b))
	}
	status, _ := c.send("DELETE", door+"/"+path+"/data", nil)
	assert.Equal(t, http.StatusOK, status)
	c.must("DELETE", "logged-models/"+id, nil)
	status, _ = c.send("GET", door+"/"+path+"/MLmodel", nil)
	assert.Equal(t, http.StatusNotFound, status)
}

func TestARunAndItsLoggedModelsKnowEachOther(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	run := c.run(object{})
	a, b := c.logged(object{"source_run_id": run}), c.logged(object{})
	outputs := object{"run_id": run, "models": []object{{"model_id": a, "step": "3"}, {"model_id": b, "step": 4}}}
	c.must("POST", "runs/outputs", outputs)
	c.must("POST", "runs/outputs", outputs)
	c.must("POST", "runs/log-inputs", object{"run_id": run, "models": []object{{"model_id": b}, {"model_id": b}}})
	c.refused(400, invalid, "model_id", "POST", "runs/outputs", object{"run_id": run, "models": []object{{"step": 1}}})
	c.refused(400, invalid, "model_id", "POST", "runs/log-inputs", object{"run_id": run, "models": []object{{}}})
	c.refused(404, nowhere, "nope", "POST", "runs/outputs", object{"run_id": "nope", "models": []object{}})

	c.must("POST", "runs/log-metric", object{"run_id": run, "key": "auc", "value": .5, "timestamp": 7, "step": 1, "model_id": a, "dataset_name": "test", "dataset_digest": "d"})
	c.must("POST", "runs/log-batch", object{"run_id": run, "metrics": []object{
		{"key": "auc", "value": .6, "timestamp": 8, "step": 2, "model_id": a, "dataset_name": "test", "dataset_digest": "d", "run_id": "x"},
		{"key": "auc", "value": .7, "timestamp": 8, "step": 2, "model_id": b}, {"key": "loss", "value": "NaN", "timestamp": 8},
	}})
	c.refused(404, nowhere, "m-none", "POST", "runs/log-metric", object{"run_id": run, "key": "new", "value": 1, "timestamp": 9, "model_id": "m-none"})
	c.refused(404, nowhere, "nope", "POST", "runs/log-metric", object{"run_id": "nope", "key": "new", "value": 1, "timestamp": 9, "model_id": a})
	metrics := func(id string) any { return at(t, c.must("GET", "logged-models/"+id, nil), "model.data.metrics") }
	assert.Equal(t, []any{object{"key": "auc", "value": num("0.6"), "timestamp": num("8"), "step": num("2"), "run_id": run, "model_id": a, "dataset_name": "test", "dataset_digest": "d"}}, metrics(a))
	assert.Equal(t, []any{object{"key": "auc", "value": num("0.7"), "timestamp": num("8"), "step": num("2"), "run_id": run, "model_id": b}}, metrics(b))

	got := at(t, c.must("GET", "runs/get?run_id="+run, nil), "run")
	assert.Equal(t, object{"auc": num("0.7"), "loss": "NaN"}, keyed(at(t, got, "data.metrics")))
	assert.Equal(t, []any{object{"model_id": a, "step": num("3")}, object{"model_id": b, "step": num("4")}}, at(t, got, "outputs.model_outputs"))
	assert.Equal(t, []any{object{"model_id": b}}, at(t, got, "inputs.model_inputs"))
	found := c.must("POST", "runs/search", object{"experiment_ids": []string{"0"}})
	assert.Len(t, found["runs"], 1)
	assert.Len(t, at(t, found, "runs.0.outputs.model_outputs"), 2)

	c.must("POST", "runs/delete", object{"run_id": run})
	c.must("GET", "logged-models/"+a, nil)
	c.refused(400, invalid, "deleted", "POST", "runs/outputs", outputs)
}

func TestLoggedModelsAreSearchedPageByPage(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	run := c.run(object{})
	c.must("POST", "experiments/create", object{"name": "e"})
	for i, name := range []string{"a", "b", "c", "d"} {
		id := c.logged(object{"name": name, "experiment_id": fmt.Sprint(i / 3)})
		c.must("POST", "runs/log-metric", object{"run_id": run, "key": "auc", "value": float64(i) / 10, "timestamp": 1, "model_id": id, "dataset_name": "test"})
	}
	names := func(body object) (names string) {
		for {
			out := c.must("POST", "logged-models/search", body)
			list, _ := out["models"].([]any)
			for _, m := range list {
				names += fmt.Sprint(at(t, m, "info.name"))
			}
			if out["next_page_token"] == nil {
				return names
			}
			body["page_token"] = out["next_page_token"]
		}
	}
	byAUC := []object{{"field_name": "metrics.auc", "dataset_name": "test", "ascending": false}}
	assert.Equal(t, "cba", names(object{"experiment_ids": []string{"0"}, "max_results": 1, "order_by": byAUC}))
	assert.Equal(t, "abcd", names(object{"order_by": []object{{"field_name": "name"}}}))
	assert.Equal(t, "b", names(object{"filter": "metrics.auc > 0.05 AND name != 'c'", "datasets": []object{{"dataset_name": "test"}}, "experiment_ids": []string{"0"}}))
	assert.Empty(t, names(object{"datasets": []object{{"dataset_name": "other"}}}))
	c.must("POST", "experiments/delete", object{"experiment_id": "1"})
	assert.Equal(t, "cba", names(object{"order_by": byAUC}))
	c.refused(400, invalid, "dataset_name", "POST", "logged-models/search", object{"datasets": []object{{}}})
	c.refused(400, invalid, "field_name", "POST", "logged-models/search", object{"order_by": []object{{}}})
	c.refused(400, invalid, "max_results", "POST", "logged-models/search", object{"max_results": 1001})
	c.refused(400, invalid, "at character 1", "POST", "logged-models/search", object{"filter": "speed > 1"})
}

func TestALoggedModelIsRegistered(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	run := c.run(object{})
	id := c.logged(object{"source_run_id": run})
	c.must("POST", "registered-models/create", object{"name": "fraud"})
	uri := "mlflow-artifacts:/0/models/" + id + "/artifacts"
	for i, body := range []object{{"source": "models:/" + id, "model_id": id}, {"source": "models:/" + id}, {"source": uri}, {"source": "s3://x", "model_id": id, "run_id": "mine"}} {
		body["name"] = "fraud"
		v := at(t, c.must("POST", "model-versions/create", body), "model_version")
		assert.Equal(t, []any{id, body["source"]}, []any{at(t, v, "model_id"), at(t, v, "source")})
		assert.Equal(t, map[bool]any{false: run, true: "mine"}[i == 3], at(t, v, "run_id"))
	}
	assert.Equal(t, uri, c.must("GET", "model-versions/get-download-uri?name=fraud&version=1", nil)["artifact_uri"])
	assert.Equal(t, uri, c.must("GET", "model-versions/get-download-uri?name=fraud&version=3", nil)["artifact_uri"])
	tags := keyed(at(t, c.must("GET", "logged-models/"+id, nil), "model.info.tags"))
	assert.JSONEq(t, `[{"name":"fraud","version":"1"},{"name":"fraud","version":"2"},{"name":"fraud","version":"3"},{"name":"fraud","version":"4"}]`, fmt.Sprint(tags["mlflow.modelVersions"]))
	assert.Equal(t, id, at(t, c.must("GET", "model-versions/get?name=fraud&version=1", nil), "model_version.model_id"))
	c.refused(404, nowhere, "m-none", "POST", "model-versions/create", object{"name": "fraud", "source": "models:/m-none"})
	c.refused(404, nowhere, "m-none", "POST", "model-versions/create", object{"name": "fraud", "source": "s3://x", "model_id": "m-none"})
	c.must("DELETE", "logged-models/"+id, nil)
	c.refused(404, nowhere, "was deleted", "GET", "model-versions/get-download-uri?name=fraud&version=1", nil)
}

func TestLoggedModelsAreReadAndLoggedByRole(t *testing.T) {
	t.Parallel()
	c := open(t, api.Tokens{"r": api.Read, "s": api.Submit})
	c.token = "s"
	id := c.logged(object{})
	c.token = "r"
	c.must("GET", "logged-models/"+id, nil)
	c.must("POST", "logged-models/search", object{})
	for _, q := range []string{"POST ", "PATCH /" + id, "DELETE /" + id, "POST /" + id + "/params", "PATCH /" + id + "/tags", "DELETE /" + id + "/tags/x"} {
		method, path, _ := strings.Cut(q, " ")
		c.refused(403, "PERMISSION_DENIED", "submit", method, "logged-models"+path, object{})
	}
	c.refused(403, "PERMISSION_DENIED", "submit", "POST", "runs/outputs", object{})
}
