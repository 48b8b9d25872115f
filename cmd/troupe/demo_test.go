package main

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
)

// The demo's nodes take other ports where the usual ones are taken, so it runs
// beside anything. Its flights are named as people name files: from where they
// stand.
func TestTheDemoShowsThatAllDigestsAreEqual(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo trains on two data sets, twice")
	}
	t.Parallel()
	p := newPlace(t)
	args := []string{"demo", "--rows", "20000"}
	sets := map[string]int{"transactions": 4}
	flights, err := filepath.Abs("../../../shared/data/flights/flights.parquet")
	require.NoError(t, err)
	if _, err := os.Stat(flights); err == nil {
		require.NoError(t, os.Symlink(flights, filepath.Join(p.dir, "flights.parquet")))
		args = append(args, "--flights", "flights.parquet")
		sets["flights"] = 4
	} else {
		t.Log("without flights, for there are none at ", flights)
	}
	r := p.ok(args...)
	assert.Equal(t, true, r["equal"])
	assert.InDelta(t, 3, r["nodes"], 0)
	assert.Contains(t, r["killed"], "was killed with -9 while it trained")
	for _, j := range r["jobs"].([]any) {
		job := j.(map[string]any)
		sets[job["data"].(string)]--
		assert.Equal(t, job["embedded_digest"], job["digest"], job["job"])
		assert.Contains(t, job["digest"], "sha256:")
		assert.Greater(t, job["rows"], 0.0)
	}
	for data, left := range sets {
		assert.Zero(t, left, "jobs on %s", data)
	}
}

// Workers that stand still for three seconds while a batch is predicted change no
// byte, whether their work is waited for or given to another.
func TestSlowWorkersChangeNoByte(t *testing.T) {
	if testing.Short() {
		t.Skip("they are slow")
	}
	t.Parallel()
	const epochs = 1
	w := newWorkload(t, 40_000, epochs)
	c := startCluster(t, 3, 1)
	var once sync.Once
	var wg sync.WaitGroup
	ends := w.runAll(t, c.client, t.TempDir(), epochs, func(kind string, _ backend.Update) {
		if kind != "predict" {
			return
		}
		once.Do(func() {
			for _, i := range []int{1, 2} {
				assert.NoError(t, c.Signal(i, syscall.SIGSTOP))
			}
			wg.Go(func() {
				time.Sleep(3 * time.Second) //nolint:forbidigo // so long they are slow
				for _, i := range []int{1, 2} {
					assert.NoError(t, c.Signal(i, syscall.SIGCONT))
				}
			})
		})
	})
	wg.Wait()
	for kind, digest := range w.digests {
		assert.Equal(t, digest, ends[kind].Digest, kind)
	}
}
