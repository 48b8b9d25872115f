package main

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
)

// A gang that has lost a rank goes on soon, since the death is noticed at once,
// and the survivors have their tables and their state.
func TestAGangGoesOnSoonAfterARankWasKilled(t *testing.T) {
	t.Parallel()
	const epochs = 40
	w := newWorkload(t, 60_000, epochs)
	c := startCluster(t, 3, 1)
	victim := len(c.Records) - 1
	var job string
	var killed time.Time
	ends := w.runAll(t, c.client, t.TempDir(), epochs, onceTraining(func(id string) {
		job, killed = id, clock.Real{}.Now()
		if err := c.Signal(victim, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}))
	require.Equal(t, w.digests["train"], ends["train"].Digest)
	lines, err := c.client.History(t.Context(), job)
	require.NoError(t, err)
	lost := slices.IndexFunc(lines, func(l api.LogLine) bool { return l.Event == "task lost" && strings.HasPrefix(l.Task, "train") })
	require.GreaterOrEqual(t, lost, 0, "the killed node was in the gang")
	again := slices.IndexFunc(lines, func(l api.LogLine) bool { return l.Event == "checkpoint" && l.Attempt > 1 })
	require.GreaterOrEqual(t, again, 0, "the new generation is at work")
	t.Logf("kill -9, %v later noticed, %v later the first checkpoint of the new generation", lines[lost].At.Sub(killed), lines[again].At.Sub(killed))
	require.Less(t, lines[again].At.Sub(killed), 5*time.Second)
}

// onceTraining does something once a gang is at work, with the id of its job.
func onceTraining(do func(job string)) func(kind string, u backend.Update) {
	var once sync.Once
	return func(kind string, u backend.Update) {
		if kind == "train" && u.Progress != nil && strings.HasPrefix(u.Progress.Task, "train") && u.Progress.Rows > 0 {
			once.Do(func() { do(u.Progress.Job) })
		}
	}
}
