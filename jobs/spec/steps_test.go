package spec

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const binSpec = `kind: features
name: f
input: a
output: b
features:
  - {name: size, op: bin, of: amount, edges: [-.inf, 0, 1e2, 0.5e3, .inf], labels: [none, low, "<high>", higher]}
  - {name: log, op: log1p, of: [amount]}
`

func TestStepsComeBackFromTheCanonicalForm(t *testing.T) {
	t.Parallel()
	specs, err := Parse("f.yaml", []byte(binSpec))
	require.NoError(t, err)
	want := []any{"-.inf", json.Number("0"), 100.0, 500.0, ".inf"}
	assert.Equal(t, want, specs[0].Features.Steps[0].Params["edges"])

	canonical := specs[0].Canonical()
	assert.Contains(t, string(canonical), `{"name":"size","op":"bin","of":["amount"],"edges":["-.inf",0,100,500,".inf"],"labels":["none","low","<high>","higher"]}`)
	back, err := Decode(canonical)
	require.NoError(t, err)
	assert.Equal(t, string(canonical), string(back.Canonical()))
	assert.Equal(t, specs[0].Digest(), back.Digest())
	assert.Equal(t, []string{"edges", "labels"}, slices.Sorted(maps.Keys(back.Features.Steps[0].Params)))
	assert.Nil(t, back.Features.Steps[1].Params)
}

// What a list within the spec may not hold, a file may not hold either.
func TestAFileOfFeaturesIsJudgedWithTheTrainJob(t *testing.T) {
	t.Parallel()
	file := []byte("kind: features\nname: f\ninput: a\noutput: b\ntarget: y\nfeatures: [{name: e, op: target_encode, of: c}]\n")
	for task, want := range map[string]string{"multiclass": `the task of train "t" is multiclass`, "binary": ""} {
		specs, err := Parse("t.yaml", []byte("kind: train\nname: t\ninput: a\ntarget: y\ntask: "+task+"\nmodel: {type: mlp}\nfeatures: f.yaml\n"))
		require.NoError(t, err)
		got, err := specs[0].Inline(func(string) ([]byte, error) { return file, nil })
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "target_encode", got.Train.Features.Steps[0].Op)
	}
}
