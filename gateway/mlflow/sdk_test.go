package mlflow_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client that nobody wrote for Troupe finds what it asks for: that of Databricks
// for Go, built as it comes from the module proxy.
func TestAnUnmodifiedClientWorks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped with -short: the client is another program")
	}
	if out, err := exec.CommandContext(t.Context(), "go", "-C", "testdata/sdk", "mod", "download").CombinedOutput(); err != nil {
		t.Skipf("skipped: the client cannot be had here: %v: %s", err, out)
	}
	program := filepath.Join(t.TempDir(), "sdk")
	out, err := exec.CommandContext(t.Context(), "go", "-C", "testdata/sdk", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	c := open(t, nil)
	out, err = exec.CommandContext(t.Context(), program, c.url, "nobody asks").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "done\n", string(out))
}
