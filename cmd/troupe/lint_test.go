package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A leak is found and told, and fails a script only when that is asked for.
func TestLeaksAreLookedFor(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.stones("stones/part-000.parquet", 2000)
	p.write("train.yaml", "kind: train\nname: t\ninput: stones\ntarget: price\ntask: regression\nmodel: {type: mlp}\n")
	v := p.ok("features", "lint", "-f", "train.yaml")
	assert.Equal(t, []any{1.0, 3.0}, []any{v["errors"], v["warnings"]})
	first := v["findings"].([]any)[0].(map[string]any)
	assert.Equal(t, []any{"TL008", "too-good", "error", `train "t"`, "carat"}, []any{first["code"], first["name"], first["severity"], first["job"], first["column"]})
	assert.NotEmpty(t, first["evidence"])
	assert.NotEmpty(t, first["fix"])

	strict := p.run("features", "lint", "train.yaml", "--strict", "-o", "json")
	assert.Equal(t, 3, strict.code)
	require.True(t, json.Valid([]byte(strict.stdout)), "one document, whatever is found")
	people := p.run("features", "lint", "train.yaml")
	assert.Equal(t, 0, people.code)
	assert.Regexp(t, `TL013 +warning +train "t" +same `, people.stdout)
	assert.Contains(t, people.stdout, "1 error, 3 warnings")

	p.write("sound.yaml", "kind: train\nname: t\ninput: stones\ntarget: cut\ntask: binary\nmodel: {type: mlp}\nfeatures: [{name: w, op: log1p, of: carat}]\n")
	sound := p.run("features", "lint", "sound.yaml", "--strict")
	assert.Equal(t, 0, sound.code)
	assert.Contains(t, sound.stdout, "nothing was found")
	assert.Equal(t, 0, p.run("features", "lint", "train.yaml", "--strict", "--ignore", "TL008,TL013").code)

	p.write("drift.yaml", "kind: drift\nname: d\nreference: stones\ncurrent: stones\n")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "name the spec files"},
		{[]string{"train.yaml", "--ignore", "TL088"}, 2, "did you mean"},
		{[]string{"train.yaml", "--set", "target=prize"}, 1, `no column "prize"`},
		{[]string{"train.yaml", "--set", "input=none"}, 1, "there is no such file or folder"},
		{[]string{"train.yaml", "--rows", "-3"}, 2, "expected 0"},
		{[]string{"drift.yaml"}, 2, "no features or train job"},
	} {
		got := p.run(append([]string{"features", "lint"}, c.args...)...)
		assert.Equal(t, c.code, got.code, "%v: %s", c.args, got.stderr)
		assert.Contains(t, got.stderr, c.says)
	}
}
