package mlruns_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/mlruns"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

func sample() runs.Run {
	start := time.UnixMilli(1_700_000_000_000)
	return runs.Run{
		ID: runs.IDOf("j"), Job: "j", Kind: "train", Name: "it's: a \"name\"", Experiment: "exp: 1", Group: "3", Status: runs.Failed, Error: "no", Started: start, Ended: start.Add(time.Second),
		Params:    map[string]string{"model.hidden": "[64,32]", "a/b": "x"},
		Metrics:   map[string][]runs.Point{"loss": {{Step: 1, Value: 0.5}, {Step: 2, Time: 42, Value: runs.Value(math.NaN())}}},
		Artifacts: map[string]runs.Artifact{"model/data": {Digest: store.DigestOf(nil)}},
	}
}

func TestTheFolderIsWhatMLflowReads(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mlruns")
	f, err := mlruns.Open(dir)
	require.NoError(t, err)
	r := sample()
	require.NoError(t, f.Write(r, func(path string) ([]byte, error) { return []byte("bytes of " + path), nil }))
	text := func(path string) string {
		b, err := os.ReadFile(filepath.Join(dir, "3", path))
		require.NoError(t, err)
		return string(b)
	}
	run := string(r.ID) + "/"
	assert.Equal(t, "1700000001000 0.5 1\n42 nan 2\n", text(run+"metrics/loss"))
	assert.Equal(t, "[64,32]", text(run+"params/model.hidden"))
	assert.Equal(t, "x", text(run+"params/a/b"))
	assert.Equal(t, r.Name, text(run+"tags/mlflow.runName"))
	assert.Equal(t, "no", text(run+"tags/troupe.error"))
	assert.Equal(t, "bytes of model/data", text(run+"artifacts/model/data"))
	var meta map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text(run+"meta.yaml")), &meta))
	assert.Equal(t, r.Name, meta["run_name"])
	assert.EqualValues(t, 4, meta["status"])
	assert.EqualValues(t, 1700000001000, meta["end_time"])
	assert.Equal(t, "3", meta["experiment_id"])
	assert.Equal(t, "file://"+filepath.Join(dir, "3", run, "artifacts"), meta["artifact_uri"])
	require.NoError(t, yaml.Unmarshal([]byte(text("meta.yaml")), &meta))
	assert.Equal(t, "exp: 1", meta["name"])

	_, err = mlruns.Open(dir)
	assert.Equal(t, fault.Conflict, fault.Of(err))
}

func TestNothingIsWrittenOutsideTheFolder(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*runs.Run){
		func(r *runs.Run) { r.Params["../../../x"] = "y" },
		func(r *runs.Run) { r.Metrics["/x"] = nil },
		func(r *runs.Run) { r.Artifacts["../x"] = runs.Artifact{} },
	} {
		f, err := mlruns.Open(t.TempDir())
		require.NoError(t, err)
		r := sample()
		change(&r)
		err = f.Write(r, func(string) ([]byte, error) { return nil, nil })
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
}

func TestANameThatIsAFolderOfAnotherHasAFileBesideIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mlruns")
	f, err := mlruns.Open(dir)
	require.NoError(t, err)
	r := sample()
	one := func(v float64) []runs.Point { return []runs.Point{{Step: 1, Time: 7, Value: runs.Value(v)}} }
	r.Metrics = map[string][]runs.Point{"loss": one(1), "loss/val": one(2), "loss_": one(3), "loss/val/a": one(4), "auc": one(5)}
	r.Tags = map[string]string{"a": "x", "a/b/c": "y"}
	require.NoError(t, f.Write(r, func(string) ([]byte, error) { return nil, nil }))
	for name, want := range map[string]string{
		"metrics/loss__": "7 1 1\n", "metrics/loss/val_": "7 2 1\n", "metrics/loss_": "7 3 1\n", "metrics/loss/val/a": "7 4 1\n", "metrics/auc": "7 5 1\n",
		"tags/a_": "x", "tags/a/b/c": "y",
	} {
		b, err := os.ReadFile(filepath.Join(dir, "3", string(r.ID), filepath.FromSlash(name)))
		if assert.NoError(t, err) {
			assert.Equal(t, want, string(b), name)
		}
	}
	require.Len(t, f.Renamed(), 3)
	assert.Contains(t, f.Renamed()[0], "loss is loss__")
}
