package main

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/embedded"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// trainings are train jobs that differ in their seeds alone, so that none is
// taken for one that has been done, and the digests of their models.
type trainings struct {
	specs   []spec.Spec
	digests []string
}

// newTrainings generates data and trains n models in this process.
func newTrainings(t *testing.T, n int, rows int64, epochs int) *trainings {
	t.Helper()
	w := &workload{dir: t.TempDir()}
	a := newApp()
	g := generate.DefaultConfig()
	g.Rows, g.RowsPerGroup = rows, int(rows/16)
	require.NoError(t, a.generate(t.Context(), g, filepath.Join(w.dir, "september"), 2))
	e, err := embedded.Open(embedded.Config{Dir: filepath.Join(w.dir, "embedded"), Slots: 2, Version: version, Body: a.body, Clock: clock.Real{}, Log: a.log()})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	ts := &trainings{}
	for i := range n {
		s := w.specs(t, w.dir, epochs)[1].Clone()
		require.NotNil(t, s.Train)
		s.Train.Seed = uint64(100 + i)
		end := finish(t, e, s, nil)
		ts.specs, ts.digests = append(ts.specs, s), append(ts.digests, end.Digest)
	}
	return ts
}

// finish runs a job, which must succeed; hear may be nil.
func finish(t *testing.T, b backend.Backend, s spec.Spec, hear func(backend.Update)) run.Summary {
	t.Helper()
	sum, err := b.Submit(t.Context(), s)
	require.NoError(t, err)
	if hear == nil {
		hear = func(backend.Update) {}
	}
	end, err := b.Watch(t.Context(), sum.Job, hear)
	require.NoError(t, err)
	require.Equal(t, jobs.Done.String(), end.Status, "%+v", end.Error)
	return end
}

// whenTraining returns what hears of a job and calls do once, apart, when its
// gang has trained some rows; wait waits for the end of do, and reports whether
// it was called.
func whenTraining(do func()) (hear func(backend.Update), wait func() bool) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	called := false
	return func(u backend.Update) {
			mu.Lock()
			defer mu.Unlock()
			if !called && u.Progress != nil && u.Progress.Rows > 0 && strings.HasPrefix(u.Progress.Task, "train") {
				called = true
				wg.Go(do)
			}
		}, func() bool {
			wg.Wait()
			mu.Lock()
			defer mu.Unlock()
			return called
		}
}

// kill ends nodes as kill -9 does.
func (c *testCluster) kill(nodes ...int) {
	for _, i := range nodes {
		assert.NoError(c.t, c.Signal(i, syscall.SIGKILL))
	}
}

// restart starts nodes again that have been killed, all at once, as servers of
// which none is ready before the others are there.
func (c *testCluster) restart(nodes ...int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for _, i := range nodes {
		wg.Go(func() { assert.NoError(c.t, c.Restart(ctx, i)) })
	}
	wg.Wait()
}

func TestEachOfThreeServersMayBeKilledWhileAModelTrains(t *testing.T) {
	if testing.Short() {
		t.Skip("three elections take their time")
	}
	t.Parallel()
	const servers = 3
	ts := newTrainings(t, servers, 30_000, 60)
	c := startCluster(t, servers, servers)
	for i := range servers {
		hear, wait := whenTraining(func() {
			c.kill(i)
			c.restart(i)
		})
		end := finish(t, c.client, ts.specs[i], hear)
		assert.True(t, wait(), "it was too fast to be hit")
		assert.Equal(t, ts.digests[i], end.Digest, "server %d was killed", i+1)
	}
}

// minoritySays is what a server says that no majority is with.
const minoritySays = "1 of 3 servers can be reached from here, and nothing can be written by fewer than 2: start the others again, or mend the network"

func TestAMinorityOfServersWritesNothingAndSaysSo(t *testing.T) {
	if testing.Short() {
		t.Skip("two elections take their time")
	}
	t.Parallel()
	ts := newTrainings(t, 1, 30_000, 60)
	c := startCluster(t, 3, 3)
	p := newPlace(t)
	p.write("spec.yaml", "kind: drift\nname: d\nreference: r\ncurrent: c\n")
	hear, wait := whenTraining(func() {
		c.kill(0, 1)
		c.says("1 of 3 servers can be reached")
		r := p.run("run", "spec.yaml", "--address", c.Records[2].HTTP, "--patience", "1s")
		assert.Equal(t, 4, r.code, r.stderr)
		assert.Empty(t, r.stdout)
		assert.Contains(t, r.stderr, minoritySays)
		c.restart(0, 1)
	})
	end := finish(t, c.client, ts.specs[0], hear)
	assert.True(t, wait(), "it was too fast to be hit")
	assert.Equal(t, ts.digests[0], end.Digest)
	c.says("enough servers are here again")
}

// says waits for a text in the nodes' log.
func (c *testCluster) says(text string) {
	assert.Eventually(c.t, func() bool { return strings.Contains(c.log.String(), text) }, patience, 50*time.Millisecond, "%q is not said", text)
}
