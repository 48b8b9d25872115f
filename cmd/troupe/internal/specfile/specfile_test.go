package specfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/specfile"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
)

const (
	features = "kind: features\nname: f\ninput: in\noutput: ../out\nentity: u\ntimestamp: ts\ntarget: y\nfeatures: [{name: a, op: log1p, of: x}]\n"
	train    = "kind: train\nname: t\ninput: in/*.parquet\ntarget: y\ntask: binary\nmodel: {type: mlp}\nfeatures: features.yaml\n"
	drift    = "kind: drift\nname: d\nreference: s3://b/r\ncurrent: /abs/c\n"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

func TestPathsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a/features.yaml": features, "b/drift.yaml": drift})
	specs, err := specfile.Read(nil, []string{filepath.Join(dir, "a/features.yaml"), filepath.Join(dir, "b/drift.yaml")}, nil)
	require.NoError(t, err)
	require.Len(t, specs, 2)
	assert.Equal(t, filepath.Join(dir, "a/in"), specs[0].Features.Input)
	assert.Equal(t, filepath.Join(dir, "out"), specs[0].Features.Output)
	assert.Equal(t, "s3://b/r", specs[1].Drift.Reference)
	assert.Equal(t, "/abs/c", specs[1].Drift.Current)
	here, err := os.Getwd()
	require.NoError(t, err)
	specs, err = specfile.Read(strings.NewReader(features), []string{specfile.Stdin}, nil)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(here, "in"), specs[0].Features.Input)
}

func TestAFeaturesFileIsWrittenOut(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"train.yaml": train, "features.yaml": features})
	specs, err := specfile.Read(nil, []string{filepath.Join(dir, "train.yaml")}, []spec.Set{spec.Override("epochs", "3")})
	require.NoError(t, err)
	got := specs[0].Train
	assert.Empty(t, got.Features.File)
	assert.Equal(t, "a", got.Features.Steps[0].Name)
	assert.Equal(t, spec.Entity{"u"}, got.Entity)
	assert.Equal(t, "ts", got.Timestamp)
	assert.Equal(t, 3, got.Epochs)
	_, err = spec.Decode(specs[0].Canonical())
	require.NoError(t, err, "what is submitted is a spec that anybody reads")
}

func TestEverythingWrongWithEveryFileIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"one.yaml": strings.Replace(features, "output", "outptu", 1), "two.yaml": "kind: nothing\nname: x\n",
		"train.yaml": train, "features.yaml": features + "---\n" + features,
		"other.yaml": strings.Replace(train, "features.yaml", "drift.yaml", 1), "drift.yaml": drift,
		"lost.yaml": strings.Replace(train, "features.yaml", "nowhere.yaml", 1),
	})
	at := func(names ...string) []string {
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		return names
	}
	_, err := specfile.Read(nil, at("one.yaml", "none.yaml", "two.yaml"), nil)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	for _, says := range []string{"one.yaml:4:1: outptu", `did you mean "output"?`, "none.yaml: there is no such file", `two.yaml:1:7: kind: "nothing"`} {
		assert.ErrorContains(t, err, says)
	}
	for file, says := range map[string]string{"train.yaml": "2 jobs", "other.yaml": "it is a drift job", "lost.yaml": "nowhere.yaml: there is no such file"} {
		_, err := specfile.Read(nil, at(file), nil)
		assert.ErrorContains(t, err, says)
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
	_, err = specfile.Read(strings.NewReader(""), []string{"-", "-"}, nil)
	assert.ErrorContains(t, err, "given twice")
}

func TestASpecOfFlagsAlone(t *testing.T) {
	t.Parallel()
	s, err := specfile.Build(spec.KindDrift, "d", []spec.Set{spec.Override("reference", `"/a: b"`), spec.Override("current", "/c")})
	require.NoError(t, err)
	assert.Equal(t, "/a: b", s.Drift.Reference)
	_, err = specfile.Build(spec.KindDrift, "d", nil)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	assert.ErrorContains(t, err, "current: missing")
}
