package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
)

// A node with a rank is told to leave, comes back, is taken in again, and is
// killed, all under one running gang: the model is that of one process.
func TestAGangShrinksAndGrowsWhileItRuns(t *testing.T) {
	t.Parallel()
	const epochs = 100
	w := newWorkload(t, 60_000, epochs)
	c := startCluster(t, 3, 1)
	e := &elastic{testCluster: c, node: len(c.Records) - 1}
	ends := w.runAll(t, c.client, t.TempDir(), epochs, onceTraining(func(job string) {
		e.job = job
		e.wg.Go(e.happen)
	}))
	e.wg.Wait()
	for kind, digest := range w.digests {
		require.Equal(t, digest, ends[kind].Digest, kind)
	}
}

// elastic is what happens to one node during a job.
type elastic struct {
	*testCluster
	node int
	job  string
	wg   sync.WaitGroup
}

func (e *elastic) history() []api.LogLine {
	lines, err := e.client.History(context.Background(), e.job)
	if err != nil {
		return nil
	}
	return lines
}

// until waits for an event of the gang, and reports whether it has come before
// the job was over: a machine may be too slow for it.
func (e *elastic) until(is func(l api.LogLine) bool) (at time.Time, ok bool) {
	for range 6000 {
		lines := e.history()
		if i := slices.IndexFunc(lines, is); i >= 0 {
			return lines[i].At, true
		}
		if slices.ContainsFunc(lines, func(l api.LogLine) bool { return l.Event == "task done" && strings.HasPrefix(l.Task, "train") }) {
			break
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // between two looks at real processes
	}
	e.t.Log("the job was too fast for the rest")
	return time.Time{}, false
}

func (e *elastic) happen() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	now := clock.Real{}.Now
	signal := func(s syscall.Signal) time.Time {
		if err := e.Signal(e.node, s); err != nil {
			e.t.Error(err)
		}
		return now()
	}
	told := signal(syscall.SIGTERM)
	without, ok := e.until(func(l api.LogLine) bool { return l.Event == "gang regrouped" && len(l.Members) == 2 })
	working, ok2 := e.until(func(l api.LogLine) bool { return l.Event == "checkpoint" && l.At.After(without) && l.Attempt > 1 })
	if ok && ok2 {
		e.t.Logf("SIGTERM: %v later the gang has a generation without the node, %v later that is at work", without.Sub(told), working.Sub(told))
	}
	if err := e.Restart(ctx, e.node); err != nil {
		e.t.Error(err)
		return
	}
	back := now()
	with, ok := e.until(func(l api.LogLine) bool { return l.Event == "gang regrouped" && len(l.Members) == 3 })
	if !ok {
		return
	}
	working, ok = e.until(func(l api.LogLine) bool { return l.Event == "checkpoint" && !l.At.Before(with) && l.Attempt > 2 })
	if !ok {
		return
	}
	e.t.Logf("a node that has started: %v later it is in the gang, %v later that is at work", with.Sub(back), working.Sub(back))
	killed := signal(syscall.SIGKILL)
	lost, ok := e.until(func(l api.LogLine) bool { return l.Event == "task lost" })
	working, ok2 = e.until(func(l api.LogLine) bool { return l.Event == "checkpoint" && l.Attempt > 3 })
	if ok && ok2 {
		e.t.Logf("kill -9: noticed %v later, the new generation is at work %v later", lost.Sub(killed), working.Sub(killed))
	}
}
