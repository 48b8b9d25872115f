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
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

func TestAModelFromItsMakingToItsEnd(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	out := c.must("POST", "registered-models/create", object{"name": "fraud model", "description": "d", "tags": []object{{"key": "team", "value": "a"}}})
	assert.Equal(t, []any{"fraud model", "d"}, []any{at(t, out, "registered_model.name"), at(t, out, "registered_model.description")})
	c.refused(400, already, "exists already", "POST", "registered-models/create", object{"name": "fraud model"})
	c.refused(400, invalid, "a/b", "POST", "registered-models/create", object{"name": "a/b"})
	c.refused(404, nowhere, "nobody", "GET", "registered-models/get?name=nobody", nil)
	c.must("PATCH", "registered-models/update", object{"name": "fraud model", "description": "e"})
	c.must("POST", "registered-models/set-tag", object{"name": "fraud model", "key": "x", "value": "1"})
	c.must("DELETE", "registered-models/delete-tag", object{"name": "fraud model", "key": "team"})

	run := c.run(object{})
	for i := 1; i <= 3; i++ {
		v := at(t, c.must("POST", "model-versions/create", object{"name": "fraud model", "source": "mlflow-artifacts:/0/" + run + "/artifacts/model", "run_id": run,
			"tags": []object{{"key": "n", "value": fmt.Sprint(i)}}}), "model_version")
		assert.Equal(t, []any{fmt.Sprint(i), "READY", "None", run}, []any{at(t, v, "version"), at(t, v, "status"), at(t, v, "current_stage"), at(t, v, "run_id")})
	}
	c.refused(404, nowhere, "nobody", "POST", "model-versions/create", object{"name": "nobody", "source": "x"})
	c.refused(400, invalid, "source", "POST", "model-versions/create", object{"name": "fraud model"})
	c.must("PATCH", "model-versions/update", object{"name": "fraud model", "version": "1", "description": "first"})
	c.must("POST", "model-versions/set-tag", object{"name": "fraud model", "version": "1", "key": "k", "value": "v"})
	c.must("DELETE", "model-versions/delete-tag", object{"name": "fraud model", "version": "1", "key": "n"})
	v := at(t, c.must("GET", "model-versions/get?name=fraud%20model&version=1", nil), "model_version")
	assert.Equal(t, "first", at(t, v, "description"))
	assert.Equal(t, object{"k": "v"}, keyed(at(t, v, "tags")))
	assert.Equal(t, "mlflow-artifacts:/0/"+run+"/artifacts/model", c.must("GET", "model-versions/get-download-uri?name=fraud%20model&version=1", nil)["artifact_uri"])

	c.must("POST", "registered-models/alias", object{"name": "fraud model", "alias": "champion", "version": "2"})
	assert.Equal(t, "2", at(t, c.must("GET", "registered-models/alias?name=fraud%20model&alias=champion", nil), "model_version.version"))
	assert.Equal(t, []any{object{"alias": "champion", "version": "2"}}, at(t, c.must("GET", "registered-models/get?name=fraud%20model", nil), "registered_model.aliases"))
	c.refused(409, "RESOURCE_CONFLICT", "champion", "DELETE", "model-versions/delete", object{"name": "fraud model", "version": "2"})
	c.refused(404, nowhere, "no version 9", "POST", "registered-models/alias", object{"name": "fraud model", "alias": "champion", "version": "9"})
	c.must("DELETE", "registered-models/alias?name=fraud%20model&alias=champion", nil)
	c.must("DELETE", "registered-models/alias", object{"name": "fraud model", "alias": "none"})
	c.refused(404, nowhere, "champion", "GET", "registered-models/alias?name=fraud%20model&alias=champion", nil)
	c.must("DELETE", "model-versions/delete", object{"name": "fraud model", "version": "2"})
	c.refused(404, nowhere, "was deleted", "GET", "model-versions/get?name=fraud%20model&version=2", nil)

	c.must("POST", "registered-models/create", object{"name": "other"})
	c.refused(400, already, "other", "POST", "registered-models/rename", object{"name": "fraud model", "new_name": "other"})
	got := at(t, c.must("POST", "registered-models/rename", object{"name": "fraud model", "new_name": "fraud"}), "registered_model")
	assert.Equal(t, []any{"fraud", "e", "3"}, []any{at(t, got, "name"), at(t, got, "description"), at(t, got, "latest_versions.0.version")})
	c.refused(404, nowhere, "fraud model", "GET", "registered-models/get?name=fraud%20model", nil)

	c.must("DELETE", "registered-models/delete", object{"name": "fraud"})
	c.refused(404, nowhere, "fraud", "GET", "registered-models/get?name=fraud", nil)
	c.must("POST", "registered-models/create", object{"name": "fraud"})
	next := c.must("POST", "model-versions/create", object{"name": "fraud", "source": "s3://elsewhere/x"})
	assert.Equal(t, "4", at(t, next, "model_version.version"), "a number is never given again")
	_, err := c.registry.Resolve(t.Context(), "models:/fraud/4")
	require.ErrorContains(t, err, "s3://elsewhere/x")
	assert.Equal(t, fault.Invalid, fault.Of(err))
}

func TestVersionsMoveFromStageToStage(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	c.must("POST", "registered-models/create", object{"name": "m"})
	for range 3 {
		c.must("POST", "model-versions/create", object{"name": "m", "source": "x"})
	}
	move := func(version, stage string, archive bool) {
		c.must("POST", "model-versions/transition-stage", object{"name": "m", "version": version, "stage": stage, "archive_existing_versions": archive})
	}
	move("1", "production", false)
	move("2", "Production", true)
	c.refused(400, invalid, "Live", "POST", "model-versions/transition-stage", object{"name": "m", "version": "1", "stage": "Live"})
	got := func(body object) string {
		var all []string
		list, _ := c.must("POST", "registered-models/get-latest-versions", body)["model_versions"].([]any)
		for _, v := range list {
			all = append(all, fmt.Sprint(at(t, v, "version"), "=", at(t, v, "current_stage")))
		}
		return strings.Join(all, " ")
	}
	assert.Equal(t, "1=Archived 2=Production 3=None", got(object{"name": "m"}))
	assert.Equal(t, "2=Production", got(object{"name": "m", "stages": []string{"Production", "Staging"}}))
	c.refused(400, invalid, "Live", "GET", "registered-models/get-latest-versions?name=m&stages=Live", nil)
}

func TestModelsAndVersionsAreSearched(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	for i, name := range []string{"b", "a", "c"} {
		c.must("POST", "registered-models/create", object{"name": name, "tags": []object{{"key": "even", "value": fmt.Sprint(i%2 == 0)}}})
		for v := range 2 {
			c.must("POST", "model-versions/create", object{"name": name, "source": fmt.Sprint("s", v), "run_id": fmt.Sprint("r", v), "tags": []object{{"key": "v", "value": fmt.Sprint(v)}}})
		}
	}
	names := func(path, list string) string {
		var all []string
		found, _ := c.must("GET", path, nil)[list].([]any)
		for _, m := range found {
			name := fmt.Sprint(at(t, m, "name"))
			if list == "model_versions" {
				name += fmt.Sprint(at(t, m, "version"))
			}
			all = append(all, name)
		}
		return strings.Join(all, " ")
	}
	const m, v = "registered_models", "model_versions"
	assert.Equal(t, "a b c", names("registered-models/search", m))
	assert.Equal(t, "c b", names("registered-models/search?filter=tags.even%3D'true'&order_by=name%20DESC", m))
	assert.Equal(t, "a", names("registered-models/search?filter=name%20ILIKE%20'A%25'", m))
	assert.Equal(t, "a b", names("registered-models/search?max_results=2", m))
	c.refused(400, invalid, "max_results", "GET", "registered-models/search?max_results=1001", nil)
	assert.Equal(t, "b2 b1", names("model-versions/search?filter=name%3D'b'&order_by=version_number%20DESC", v))
	assert.Equal(t, "a1 b1 c1", names("model-versions/search?filter=run_id%20IN%20('r0')&order_by=name", v))
	assert.Equal(t, "a2 b2 c2", names("model-versions/search?filter=source_path%3D's1'%20AND%20tags.v%3D'1'&order_by=name", v))
}

func TestTheModelOfAJobIsRegisteredAndDeployedByAClient(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	digest, err := c.store.Blobs.Put(t.Context(), []byte("bundle"))
	require.NoError(t, err)
	r, err := c.registry.Runs.Record(t.Context(), runs.Run{Job: "j", Kind: "train", Name: "fraud", Status: runs.Succeeded, Started: time.UnixMilli(1_700_000_000_000),
		Artifacts: map[string]runs.Artifact{"model": {Digest: digest, Bytes: 6}}})
	require.NoError(t, err)
	c.must("POST", "registered-models/create", object{"name": "fraud"})
	for _, source := range []string{"runs:/" + string(r.ID) + "/model", "mlflow-artifacts:/0/" + string(r.ID) + "/artifacts/model"} {
		c.must("POST", "model-versions/create", object{"name": "fraud", "source": source})
	}
	c.refused(404, nowhere, "no run", "POST", "model-versions/create", object{"name": "fraud", "source": "runs:/0123456789/model"})
	c.must("POST", "registered-models/alias", object{"name": "fraud", "alias": "production", "version": 2})
	found, err := c.registry.Resolve(t.Context(), "models:/fraud@production")
	require.NoError(t, err)
	assert.Equal(t, digest, found.Digest)
	uri := fmt.Sprint(c.must("GET", "model-versions/get-download-uri?name=fraud&version=1", nil)["artifact_uri"])
	path, ok := strings.CutPrefix(uri, "mlflow-artifacts:/")
	require.True(t, ok, uri)
	status, b := c.send("GET", "/api/2.0/mlflow-artifacts/artifacts/"+path, nil)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "bundle", string(b))
}

func TestAliasesAreMovedByAdministratorsAlone(t *testing.T) {
	t.Parallel()
	c := open(t, api.Tokens{"s": api.Submit, "a": api.Admin})
	c.token = "s"
	c.must("POST", "registered-models/create", object{"name": "m"})
	c.must("POST", "model-versions/create", object{"name": "m", "source": "x"})
	for _, q := range [][2]string{{"POST", "registered-models/alias"}, {"DELETE", "registered-models/alias"}, {"DELETE", "registered-models/delete"}, {"DELETE", "model-versions/delete"}, {"POST", "registered-models/rename"}, {"POST", "model-versions/transition-stage"}} {
		c.refused(403, "PERMISSION_DENIED", "admin", q[0], q[1], object{"name": "m", "alias": "a", "version": "1"})
	}
	c.token = "a"
	c.must("POST", "registered-models/alias", object{"name": "m", "alias": "a", "version": "1"})
}
