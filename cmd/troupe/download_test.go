package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/registry/runs"
)

func TestArtifactsAreChosenByPathAndFolder(t *testing.T) {
	t.Parallel()
	r := runs.Run{ID: "r", Artifacts: map[string]runs.Artifact{"model": {}, "plots/a.png": {}, "plots/deep/b.png": {}, "plotsx": {}}}
	for _, c := range []struct {
		paths, want []string
	}{
		{nil, []string{"model", "plots/a.png", "plots/deep/b.png", "plotsx"}},
		{[]string{"plots"}, []string{"plots/a.png", "plots/deep/b.png"}},
		{[]string{"plots/deep/", "model", "plots"}, []string{"model", "plots/a.png", "plots/deep/b.png"}},
	} {
		got, err := chosen(&r, c.paths)
		require.NoError(t, err)
		assert.Equal(t, c.want, got)
	}
	_, err := chosen(&r, []string{"model", "plot"})
	require.ErrorContains(t, err, `no artifact "plot"`)
	for _, name := range []string{"../x", "/etc/x", "a/../../x"} {
		_, err := places(t.TempDir(), []string{"model", name})
		require.Error(t, err, name)
	}
}
