package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The server of MLflow was away when the job ended: the job is run again, does
// nothing, and its run is copied all the same.
func TestARunIsCopiedWhenItsJobIsRunAgain(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1, 1)
	p := newPlace(t, "MLFLOW_TRACKING_URI=http://127.0.0.1:9")
	p.examples(3000)
	train := []string{"train", "-f", "train.yaml", "--set", "epochs=1"}
	first := p.run(train...)
	require.Equal(t, 0, first.code, first.stderr)
	assert.Contains(t, first.stderr, "was not copied to http://127.0.0.1:9")

	p.env = []string{"MLFLOW_TRACKING_URI=http://" + c.Records[0].HTTP}
	again := p.run(train...)
	require.Equal(t, 0, again.code, again.stderr)
	assert.Contains(t, again.stderr, "had nothing to do")
	assert.Contains(t, again.stderr, "copied to http://"+c.Records[0].HTTP)

	p.env = []string{"TROUPE_ADDRESS=" + c.Records[0].HTTP}
	copied := p.ok("runs", "list")[""].([]any)
	require.Len(t, copied, 1)
	id := copied[0].(map[string]any)["id"].(string)
	assert.Equal(t, id, p.ok("runs", "show", "runs:/"+id+"/model")["id"], "its address is as good as its id")
}
