package mlflow_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

const (
	invalid = "INVALID_PARAMETER_VALUE"
	nowhere = "RESOURCE_DOES_NOT_EXIST"
	already = "RESOURCE_ALREADY_EXISTS"
)

func TestAnExperimentFromItsMakingToItsRestoration(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	assert.Equal(t, "Default", at(t, c.must("GET", "experiments/get?experiment_id=0", nil), "experiment.name"))
	id := c.must("POST", "experiments/create", object{"name": "churn", "tags": []object{{"key": "team", "value": "a"}}})["experiment_id"]
	assert.Equal(t, "1", id)
	got := at(t, c.must("GET", "experiments/get-by-name?experiment_name=churn", nil), "experiment")
	assert.Equal(t, []any{"1", "active", "mlflow-artifacts:/1"}, []any{at(t, got, "experiment_id"), at(t, got, "lifecycle_stage"), at(t, got, "artifact_location")})
	assert.Equal(t, object{"team": "a"}, keyed(at(t, got, "tags")))

	c.refused(400, already, "churn", "POST", "experiments/create", object{"name": "churn"})
	c.refused(400, invalid, "name", "POST", "experiments/create", object{})
	c.refused(400, invalid, "artifact_location", "POST", "experiments/create", object{"name": "x", "artifact_location": "s3://b"})
	c.refused(404, nowhere, "nobody", "GET", "experiments/get-by-name?experiment_name=nobody", nil)
	c.refused(404, nowhere, "77", "GET", "experiments/get?experiment_id=77", nil)

	c.must("POST", "experiments/update", object{"experiment_id": "1", "new_name": "churn 2"})
	c.refused(400, already, "Default", "POST", "experiments/update", object{"experiment_id": "1", "new_name": "Default"})
	c.must("POST", "experiments/set-experiment-tag", object{"experiment_id": "1", "key": "owner", "value": "o"})
	c.must("POST", "experiments/delete-experiment-tag", object{"experiment_id": "1", "key": "team"})
	c.refused(404, nowhere, "team", "POST", "experiments/delete-experiment-tag", object{"experiment_id": "1", "key": "team"})
	got = at(t, c.must("GET", "experiments/get?experiment_id=1", nil), "experiment")
	assert.Equal(t, "churn 2", at(t, got, "name"))
	assert.Equal(t, object{"owner": "o"}, keyed(at(t, got, "tags")))

	c.must("POST", "experiments/delete", object{"experiment_id": "1"})
	assert.Equal(t, "deleted", at(t, c.must("GET", "experiments/get?experiment_id=1", nil), "experiment.lifecycle_stage"))
	c.refused(400, invalid, "deleted", "POST", "runs/create", object{"experiment_id": "1"})
	c.must("POST", "experiments/restore", object{"experiment_id": "1"})
	c.run(object{"experiment_id": "1"})
	c.refused(400, invalid, "default", "POST", "experiments/delete", object{"experiment_id": "0"})
}

func TestExperimentsAreSearchedPageByPage(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	for i := range 5 {
		c.must("POST", "experiments/create", object{"name": fmt.Sprint("e", i), "tags": []object{{"key": "odd", "value": fmt.Sprint(i % 2)}}})
	}
	c.must("POST", "experiments/delete", object{"experiment_id": "3"})
	names := func(body object) (names []any) {
		for {
			out := c.must("POST", "experiments/search", body)
			list, _ := out["experiments"].([]any)
			for _, e := range list {
				names = append(names, at(t, e, "name"))
			}
			if out["next_page_token"] == nil {
				return names
			}
			body["page_token"] = out["next_page_token"]
		}
	}
	assert.Equal(t, []any{"e0", "e1", "e3", "e4"}, names(object{"filter": "name LIKE 'e%'", "order_by": []string{"name ASC"}, "max_results": 3}))
	assert.Equal(t, []any{"e4", "e0"}, names(object{"filter": "tags.odd = '0'", "order_by": []string{"name DESC"}}))
	assert.Equal(t, []any{"e2"}, names(object{"view_type": "DELETED_ONLY"}))
	assert.Len(t, names(object{"view_type": "ALL"}), 6)
	assert.Len(t, c.must("GET", "experiments/search?max_results=2", nil)["experiments"], 2)
	c.refused(400, invalid, "max_results", "POST", "experiments/search", object{"max_results": 50001})
	c.refused(400, invalid, "view type", "POST", "experiments/search", object{"view_type": "SOME"})
}

func TestARunFromItsStartToItsEnd(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	out := c.must("POST", "runs/create", `{"experiment_id": "0", "user_id": "u", "start_time": "1700000000000", "run_name": "first", "tags": [{"key": "team", "value": "a"}], "unknown_field": 1}`)
	info := at(t, out, "run.info")
	id, _ := at(t, info, "run_id").(string)
	assert.Len(t, id, 32)
	assert.Equal(t, []any{id, "first", "0", "u", "RUNNING", num("1700000000000"), nil, "mlflow-artifacts:/0/" + id + "/artifacts", "active"},
		[]any{at(t, info, "run_uuid"), at(t, info, "run_name"), at(t, info, "experiment_id"), at(t, info, "user_id"), at(t, info, "status"),
			at(t, info, "start_time"), at(t, info, "end_time"), at(t, info, "artifact_uri"), at(t, info, "lifecycle_stage")})

	c.must("POST", "runs/log-parameter", object{"run_id": id, "key": "lr", "value": "0.1"})
	c.must("POST", "runs/log-parameter", object{"run_uuid": id, "key": "lr", "value": "0.1"})
	c.refused(400, invalid, "lr", "POST", "runs/log-parameter", object{"run_id": id, "key": "lr", "value": "0.2"})
	c.must("POST", "runs/log-metric", object{"run_id": id, "key": "loss", "value": 0.5, "timestamp": 1700000000001, "step": 1})
	c.must("POST", "runs/log-metric", fmt.Sprintf(`{"run_id": %q, "key": "loss", "value": "NaN", "timestamp": "1700000000002", "step": "2"}`, id))
	c.refused(400, invalid, "value", "POST", "runs/log-metric", object{"run_id": id, "key": "loss"})
	c.must("POST", "runs/set-tag", object{"run_id": id, "key": "note", "value": "x"})
	c.must("POST", "runs/set-tag", object{"run_id": id, "key": "mlflow.runName", "value": "renamed"})
	c.must("POST", "runs/delete-tag", object{"run_id": id, "key": "team"})
	c.refused(404, nowhere, "team", "POST", "runs/delete-tag", object{"run_id": id, "key": "team"})
	c.must("POST", "runs/log-inputs", object{"run_id": id, "datasets": []object{{"tags": []object{{"key": "mlflow.data.context", "value": "train"}},
		"dataset": object{"name": "d", "digest": "abc", "source_type": "local", "source": "{}"}}}})
	for i := range 2 {
		c.must("POST", "runs/log-model", object{"run_id": id, "model_json": fmt.Sprintf(`{"artifact_path": "m%d", "run_id": %q}`, i, id)})
	}
	c.refused(400, invalid, "model_json", "POST", "runs/log-model", object{"run_id": id, "model_json": "{}"})

	end := c.must("POST", "runs/update", object{"run_id": id, "status": "FINISHED", "end_time": 1700000009000})
	assert.Equal(t, []any{"FINISHED", num("1700000009000"), "renamed"}, []any{at(t, end, "run_info.status"), at(t, end, "run_info.end_time"), at(t, end, "run_info.run_name")})
	c.refused(400, invalid, "SUCCEEDED", "POST", "runs/update", object{"run_id": id, "status": "SUCCEEDED"})

	run := at(t, c.must("GET", "runs/get?run_id="+id, nil), "run")
	assert.Equal(t, object{"key": "loss", "value": "NaN", "timestamp": num("1700000000002"), "step": num("2")}, at(t, run, "data.metrics.0"))
	assert.Equal(t, object{"lr": "0.1"}, keyed(at(t, run, "data.params")))
	tags := keyed(at(t, run, "data.tags"))
	assert.Equal(t, []any{"x", "renamed", nil, "u"}, []any{tags["note"], tags["mlflow.runName"], tags["team"], tags["mlflow.user"]})
	assert.JSONEq(t, fmt.Sprintf(`[{"artifact_path": "m0", "run_id": %q}, {"artifact_path": "m1", "run_id": %q}]`, id, id), fmt.Sprint(tags["mlflow.log-model.history"]))
	assert.Equal(t, "d", at(t, run, "inputs.dataset_inputs.0.dataset.name"))

	c.refused(404, nowhere, "abc", "GET", "runs/get?run_id=abc", nil)
	c.refused(404, nowhere, id[:8], "GET", "runs/get?run_id="+id[:8], nil)
	c.refused(400, invalid, "run_id", "GET", "runs/get", nil)
	c.refused(404, nowhere, "nope", "POST", "runs/log-metric", object{"run_id": "nope", "key": "a", "value": 1})
	c.refused(400, invalid, "../a", "POST", "runs/log-metric", object{"run_id": id, "key": "../a", "value": 1})
}

func TestABatchHasItsBounds(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	id := c.run(object{})
	pairs := func(n int) (list []object) {
		for i := range n {
			list = append(list, object{"key": fmt.Sprint("k", i), "value": "v"})
		}
		return list
	}
	metrics := func(n int) (list []object) {
		for i := range n {
			list = append(list, object{"key": "m", "value": i, "timestamp": 1, "step": i})
		}
		return list
	}
	c.must("POST", "runs/log-batch", object{"run_id": id, "metrics": metrics(800), "params": pairs(100), "tags": pairs(100)})
	c.must("POST", "runs/log-batch", object{"run_id": id, "metrics": metrics(1000)}) // again: they are the same points, and some new
	c.must("POST", "runs/log-batch", object{"run_id": id})
	for _, body := range []object{{"metrics": metrics(1001)}, {"params": pairs(101)}, {"tags": pairs(101)}, {"metrics": metrics(900), "params": pairs(51), "tags": pairs(50)}} {
		body["run_id"] = id
		c.refused(400, invalid, "batch", "POST", "runs/log-batch", body)
	}
	c.refused(400, invalid, "bytes", "POST", "runs/log-batch", object{"run_id": id, "params": []object{{"key": "p", "value": strings.Repeat("x", 6001)}}})
	c.refused(400, invalid, "bytes", "POST", "runs/log-batch", object{"run_id": id, "tags": []object{{"key": "p", "value": strings.Repeat("x", 8001)}}})
	c.refused(400, invalid, "bytes", "POST", "runs/log-batch", object{"run_id": id, "junk": strings.Repeat("x", 1<<20)})
	c.refused(400, invalid, "endpoint reads", "POST", "runs/log-batch", "{")

	var steps []any
	for page := ""; ; {
		out := c.must("GET", "metrics/get-history?metric_key=m&max_results=300&run_id="+id+"&page_token="+page, nil)
		list, _ := out["metrics"].([]any)
		for _, m := range list {
			steps = append(steps, at(t, m, "step"))
		}
		next, more := out["next_page_token"].(string)
		if !more {
			break
		}
		page = next
	}
	require.Len(t, steps, 1000)
	assert.Equal(t, []any{num("0"), num("999")}, []any{steps[0], steps[999]})
	assert.Empty(t, c.must("GET", "metrics/get-history?metric_key=none&run_id="+id, nil)["metrics"])
	c.refused(400, invalid, "metric_key", "GET", "metrics/get-history?run_id="+id, nil)
}

func TestHistoriesOfSeveralRunsAreTakenAtTheSameSteps(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	c.must("POST", "experiments/create", object{"name": "e"})
	var ids []string
	for _, every := range []int{1, 3} {
		id := c.run(object{"experiment_id": "1"})
		var points []object
		for step := every; step <= 100; step += every {
			points = append(points, object{"key": "m", "value": step * every, "timestamp": 1, "step": step})
		}
		c.must("POST", "runs/log-batch", object{"run_id": id, "metrics": points})
		ids = append(ids, id)
	}
	ask := func(more string) map[string][]string {
		out := map[string][]string{}
		path := "metrics/get-history-bulk-interval?metric_key=m&run_ids=" + ids[0] + "&run_ids=" + ids[1] + more
		list, _ := c.must("GET", path, nil)["metrics"].([]any)
		for _, m := range list {
			id := at(t, m, "run_id").(string)
			out[id] = append(out[id], fmt.Sprint(at(t, m, "step"), "=", at(t, m, "value")))
		}
		return out
	}
	all := ask("")
	assert.Equal(t, []any{100, 33}, []any{len(all[ids[0]]), len(all[ids[1]])})
	assert.Equal(t, map[string][]string{ids[0]: {"4=4", "5=5", "6=6"}, ids[1]: {"6=18"}}, ask("&start_step=4&end_step=6"))
	assert.Equal(t, map[string][]string{ids[0]: {"1=1", "3=3", "26=26", "51=51", "76=76", "99=99", "100=100"}, ids[1]: {"3=9", "51=153", "99=297"}}, ask("&max_results=4"),
		"four, and the first and last of each")
	one := c.must("GET", "metrics/get-history-bulk-interval?metric_key=m&max_results=1&run_ids="+ids[1], nil)["metrics"]
	assert.Len(t, one, 2, "a single id is a list, too")

	for _, wrong := range []string{"metric_key=m", "run_ids=" + ids[0], "metric_key=m&start_step=1&run_ids=" + ids[0], "metric_key=m&start_step=2&end_step=1&run_ids=" + ids[0],
		"metric_key=m&max_results=2501&run_ids=" + ids[0], "metric_key=m" + strings.Repeat("&run_ids="+ids[0], 101)} {
		c.refused(400, invalid, "", "GET", "metrics/get-history-bulk-interval?"+wrong, nil)
	}
	c.refused(404, "RESOURCE_DOES_NOT_EXIST", "nope", "GET", "metrics/get-history-bulk-interval?metric_key=m&run_ids=nope", nil)
}

func TestRunsAreSearched(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	c.must("POST", "experiments/create", object{"name": "e"})
	ids := map[string]string{}
	for i, name := range []string{"a", "b", "c", "d"} {
		id := c.run(object{"experiment_id": "1", "run_name": name, "start_time": 1000 + i})
		ids[name] = id
		c.must("POST", "runs/log-batch", object{"run_id": id, "metrics": []object{{"key": "auc", "value": float64(i) / 10, "timestamp": 1}},
			"params": []object{{"key": "model.depth", "value": fmt.Sprint(i % 2)}}, "tags": []object{{"key": "team", "value": "Team " + name}}})
	}
	c.must("POST", "runs/delete", object{"run_id": ids["d"]})
	c.run(object{"experiment_id": "0", "run_name": "other"})
	search := func(body object) string {
		if body["experiment_ids"] == nil {
			body["experiment_ids"] = []string{"1"}
		}
		var names []string
		list, _ := c.must("POST", "runs/search", body)["runs"].([]any)
		for _, r := range list {
			names = append(names, fmt.Sprint(at(t, r, "info.run_name")))
		}
		return strings.Join(names, " ")
	}
	assert.Equal(t, "c b a", search(object{}))
	assert.Equal(t, "c b", search(object{"filter": "metrics.auc > 0.05"}))
	assert.Equal(t, "b", search(object{"filter": "metrics.auc > 0.05 and params.`model.depth` = '1'"}))
	assert.Equal(t, "a", search(object{"filter": "tags.team ILIKE '%A'"}))
	assert.Equal(t, "b a", search(object{"filter": "attributes.run_id IN ('" + ids["a"] + "', '" + ids["b"] + "')"}))
	assert.Equal(t, "c", search(object{"filter": "attributes.start_time > 1001 AND tags.`mlflow.runName` != 'x'"}))
	assert.Equal(t, "a c b", search(object{"order_by": []string{"params.model.depth ASC", "metrics.auc"}}))
	assert.Equal(t, "d", search(object{"run_view_type": "DELETED_ONLY"}))
	assert.Equal(t, "other c b a", search(object{"experiment_ids": []string{"0", "1"}}))
	assert.Equal(t, "c b a", search(object{"filter": "status = 'RUNNING'", "max_results": 1000}))
	c.refused(400, invalid, "at character 1", "POST", "runs/search", object{"filter": "speed > 1"})
	c.refused(400, invalid, "page token", "POST", "runs/search", object{"page_token": "?"})
	c.must("POST", "runs/restore", object{"run_id": ids["d"]})
	assert.Equal(t, "d c b a", search(object{}))
	c.must("POST", "experiments/delete", object{"experiment_id": "1"})
	assert.Empty(t, search(object{}))
	assert.Equal(t, "deleted", at(t, c.must("GET", "runs/get?run_id="+ids["a"], nil), "run.info.lifecycle_stage"))
}

func TestArtifactsComeBackAsTheyWerePut(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	id := c.run(object{})
	under := "/api/2.0/mlflow-artifacts/artifacts/0/" + id + "/artifacts"
	for path, text := range map[string]string{"model/MLmodel": "flavors: {}", "model/data/a b.bin": "\x00\xff", "plot.html": "<script>"} {
		status, b := c.send("PUT", under+"/"+strings.ReplaceAll(path, " ", "%20"), []byte(text))
		require.Equal(t, http.StatusOK, status, string(b))
		status, b = c.send("GET", under+"/"+strings.ReplaceAll(path, " ", "%20"), nil)
		require.Equal(t, http.StatusOK, status)
		assert.Equal(t, text, string(b))
	}
	list := c.must("GET", "artifacts/list?path=model&run_id="+id, nil)
	assert.Equal(t, "mlflow-artifacts:/0/"+id+"/artifacts", list["root_uri"])
	assert.Equal(t, []any{object{"path": "model/MLmodel", "is_dir": false, "file_size": num("11")}, object{"path": "model/data", "is_dir": true}}, list["files"])
	assert.Empty(t, c.must("GET", "artifacts/list?path=plot.html&run_id="+id, nil)["files"])
	_, b := c.send("GET", "/api/2.0/mlflow-artifacts/artifacts?path=0/"+id+"/artifacts", nil)
	assert.JSONEq(t, `{"files": [{"path": "model", "is_dir": true}, {"path": "plot.html", "is_dir": false, "file_size": 8}]}`, string(b))

	for _, bad := range []struct {
		method, path string
		status       int
	}{
		{"GET", under + "/none", 404}, {"GET", "/api/2.0/mlflow-artifacts/artifacts/0/nobody/artifacts/x", 404}, {"PUT", "/api/2.0/mlflow-artifacts/artifacts/x", 404},
		{"PUT", under + "/..%2f..%2fx", 400}, {"PUT", under + "/a%5cb", 400}, {"PUT", under + "/model", 409}, {"DELETE", under + "/none", 404},
	} {
		status, b := c.send(bad.method, bad.path, []byte("x"))
		assert.Equal(t, bad.status, status, bad.path+string(b))
	}
	status, b := c.send("PUT", under+"/large", make([]byte, 1<<16+1))
	assert.Equal(t, http.StatusRequestEntityTooLarge, status, string(b))
	status, _ = c.send("DELETE", under+"/model", nil)
	assert.Equal(t, http.StatusOK, status)
	_, b = c.send("GET", "/ajax-api/2.0/mlflow-artifacts/artifacts?path=0/"+id+"/artifacts/model", nil)
	assert.JSONEq(t, `{}`, string(b))
}

func TestAJobIsARunAmongTheOthers(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	digest, err := c.store.Blobs.Put(t.Context(), []byte("bundle"))
	require.NoError(t, err)
	started := time.UnixMilli(1_700_000_000_000)
	r, err := c.registry.Runs.Record(t.Context(), runs.Run{
		Job: "j1", Kind: "train", Name: "fraud", Experiment: "e", Status: runs.Succeeded, Started: started, Ended: started.Add(time.Minute), Code: "v1", Digest: digest,
		Params: map[string]string{"model.type": "mlp"}, Metrics: map[string][]runs.Point{"train.loss": {{Step: 1, Value: 2}, {Step: 2, Value: 1}}},
		Artifacts: map[string]runs.Artifact{"model": {Digest: digest, Bytes: 6}}, Data: []runs.Dataset{{Role: "input", Path: "/d/fraud.parquet", Digest: store.DigestOf(nil)}},
	})
	require.NoError(t, err)
	id := string(r.ID)
	_, err = c.registry.Runs.Record(t.Context(), runs.Run{Job: "j2", Kind: "train", Name: "fraud", Experiment: "e", Status: runs.Failed, Error: "no target", Started: started})
	require.NoError(t, err)

	got := at(t, c.must("GET", "runs/get?run_id="+id, nil), "run")
	assert.Equal(t, []any{"FINISHED", "1", num("1700000060000")}, []any{at(t, got, "info.status"), at(t, got, "info.experiment_id"), at(t, got, "info.end_time")})
	assert.Equal(t, object{"key": "train.loss", "value": num("1"), "timestamp": num("1700000060000"), "step": num("2")}, at(t, got, "data.metrics.0"))
	tags := keyed(at(t, got, "data.tags"))
	assert.Equal(t, []any{"j1", string(digest), "JOB"}, []any{tags["troupe.job"], tags["troupe.digest"], tags["mlflow.source.type"]})
	assert.Equal(t, "fraud.parquet", at(t, got, "inputs.dataset_inputs.0.dataset.name"))
	assert.Len(t, c.must("GET", "metrics/get-history?metric_key=train.loss&run_id="+id, nil)["metrics"], 2)
	_, b := c.send("GET", "/api/2.0/mlflow-artifacts/artifacts/1/"+id+"/artifacts/model", nil)
	assert.Equal(t, "bundle", string(b))
	failed := at(t, c.must("POST", "runs/search", object{"experiment_ids": []string{"1"}, "filter": "status = 'FAILED' AND kind = 'train'"}), "runs.0")
	assert.Equal(t, "no target", keyed(at(t, failed, "data.tags"))["troupe.error"])

	c.must("POST", "runs/set-tag", object{"run_id": id, "key": "checked", "value": "yes"})
	c.refused(400, invalid, "j1", "POST", "runs/update", object{"run_id": id, "status": "FAILED"})
	c.refused(400, invalid, "params", "POST", "runs/log-parameter", object{"run_id": id, "key": "model.type", "value": "gbt"})
	status, _ := c.send("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/"+id+"/artifacts/model", []byte("other"))
	assert.Equal(t, http.StatusConflict, status)
}

func TestATokenMayDoWhatItsRoleSays(t *testing.T) {
	t.Parallel()
	c := open(t, api.Tokens{"r": api.Read, "s": api.Submit, "a": api.Admin})
	status, b := c.send("GET", "/version", nil)
	assert.Equal(t, http.StatusOK, status)
	assert.Regexp(t, `^\d+\.\d+\.\d+$`, string(b))
	c.refused(401, "UNAUTHENTICATED", "read", "POST", "runs/search", object{})
	c.token = "r"
	c.must("POST", "runs/search", object{})
	c.must("GET", "experiments/search", nil)
	c.refused(403, "PERMISSION_DENIED", "submit", "POST", "runs/create", object{})
	status, _ = c.send("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/y", nil)
	assert.Equal(t, http.StatusForbidden, status)
	c.token = "s"
	c.run(object{})
	c.refused(404, "ENDPOINT_NOT_FOUND", "runs/fly", "POST", "runs/fly", object{})
	for _, path := range []string{"/api/3.0/mlflow/traces", "/ajax-api/3.0/mlflow/traces"} {
		status, b := c.send("POST", path, nil)
		assert.Equal(t, http.StatusNotFound, status)
		assert.Contains(t, string(b), "ENDPOINT_NOT_FOUND", "clients of MLflow 3 go on without")
	}
}
