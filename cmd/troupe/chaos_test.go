package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/internal/rng"
)

// victimOf says whom a fault hits.
type victimOf string

const (
	anyWorker   victimOf = "a worker at work"
	rankZero    victimOf = "the gang's rank 0"
	coordinator victimOf = "the coordinator"
	anyServer   victimOf = "a server"
)

// mishap is one fault: when a job reaches a stage, somebody is killed with -9
// and started again, stopped for ten seconds, or told to leave and started again.
type mishap struct {
	kind   string // of the job
	stage  string // the first letters of the stage's name
	victim victimOf
	freeze bool
	leave  bool
}

func (m mishap) String() string {
	what := "kill -9"
	if m.leave {
		what = "SIGTERM"
	}
	if m.freeze {
		what = "SIGSTOP for 10 s"
	}
	return fmt.Sprintf("%s of %s in %s of %s", what, m.victim, m.stage, m.kind)
}

// mustHappen are the mishaps that the seeds go through in turn, by kind of job:
// a worker in each stage, rank 0, the coordinator, a server, and the same frozen.
// Later seeds draw theirs freely.
var mustHappen = map[string][]mishap{
	"features": {
		{stage: "apply", victim: anyWorker}, {stage: "window", victim: anyWorker}, {stage: "observe", victim: coordinator},
		{stage: "partition", victim: anyWorker}, {stage: "window", victim: coordinator}, {stage: "survey", victim: anyWorker},
		{stage: "observe", victim: anyWorker}, {stage: "fit", victim: anyWorker}, {stage: "manifest", victim: anyWorker}, {stage: "apply", victim: anyServer},
	},
	"train": {
		{stage: "train", victim: rankZero}, {stage: "train", victim: anyServer}, {stage: "train", victim: coordinator},
		{stage: "train", victim: anyWorker}, {stage: "train", victim: anyWorker, freeze: true}, {stage: "train", victim: anyServer, freeze: true},
		{stage: "order", victim: anyWorker}, {stage: "observe", victim: anyWorker}, {stage: "bundle", victim: anyWorker},
		{stage: "train", victim: rankZero, freeze: true}, {stage: "train", victim: coordinator, freeze: true},
		{stage: "train", victim: rankZero, leave: true}, {stage: "train", victim: anyWorker, leave: true},
	},
	"predict": {
		{stage: "score", victim: anyWorker}, {stage: "score", victim: coordinator}, {stage: "manifest", victim: anyWorker}, {stage: "score", victim: anyWorker, freeze: true},
	},
	"drift": {
		{stage: "current", victim: anyWorker}, {stage: "compare", victim: coordinator}, {stage: "reference", victim: anyWorker}, {stage: "compare", victim: anyWorker},
	},
}

// chaosOf is the cluster and the mishaps of a seed. Every third cluster has
// three servers, so that the second train mishap hits one of three.
func chaosOf(seed uint64) (nodes, servers int, mishaps []mishap) {
	r := rng.New(seed, "chaos")
	servers = 1
	if seed%3 == 2 {
		servers = 3
	}
	nodes = max(servers, 2+r.IntN(4))
	for _, kind := range []string{"features", "train", "predict", "drift"} {
		of := mustHappen[kind]
		m := of[int(seed-1)%len(of)]
		if seed > uint64(len(mustHappen["train"])) {
			m = of[r.IntN(len(of))]
			if m.victim != rankZero {
				m.victim = []victimOf{anyWorker, coordinator, anyServer}[r.IntN(3)]
			}
			m.freeze = r.IntN(4) == 0
			m.leave = m.leave && !m.freeze
		}
		m.kind = kind
		mishaps = append(mishaps, m)
	}
	return nodes, servers, mishaps
}

// chaosRun is one seed's cluster on its way.
type chaosRun struct {
	*testCluster
	servers int
	mishaps []mishap
	wg      sync.WaitGroup
	one     sync.Mutex // held while a mishap happens
	mu      sync.Mutex
	done    map[int]bool // mishaps that have happened
}

// TestChaos runs the four kinds of jobs on real clusters to which bad things
// happen. The digests are those of the embedded engine, whatever happens.
// TROUPE_CHAOS_SEEDS is how many seeds are tried, TROUPE_CHAOS_SEED is one.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("chaos is for runs that have the time")
	}
	t.Parallel()
	const epochs = 4
	w := newWorkload(t, 60_000, epochs)
	seeds := []uint64{1, 2, 3}
	if n, err := strconv.Atoi(os.Getenv("TROUPE_CHAOS_SEEDS")); err == nil {
		seeds = seeds[:0]
		for s := range n {
			seeds = append(seeds, uint64(s+1))
		}
	}
	if one, err := strconv.ParseUint(os.Getenv("TROUPE_CHAOS_SEED"), 10, 64); err == nil {
		seeds = []uint64{one}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			nodes, servers, mishaps := chaosOf(seed)
			t.Logf("%d nodes, %d servers; %v", nodes, servers, mishaps)
			c := &chaosRun{testCluster: startCluster(t, nodes, servers), servers: servers, mishaps: mishaps, done: map[int]bool{}}
			ends := w.runAll(t, c.client, t.TempDir(), epochs, c.hear)
			c.wg.Wait()
			for kind, digest := range w.digests {
				require.Equal(t, digest, ends[kind].Digest, "%s; again with:\n  TROUPE_CHAOS_SEED=%d go test -count=1 -run TestChaos ./cmd/troupe", kind, seed)
			}
			for i, m := range mishaps {
				if c.done[i] {
					continue
				}
				require.NotEqual(t, "train", m.kind, "%v has not happened", m)
				t.Logf("too fast for %v", m)
			}
		})
	}
}

// hear lets a mishap happen when its stage is reached.
func (c *chaosRun) hear(kind string, u backend.Update) {
	stage, job := "", ""
	switch {
	case u.State != nil:
		stage, job = u.State.Stage, u.State.Job
	case u.Progress != nil:
		stage, job = u.Progress.Task, u.Progress.Job
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, m := range c.mishaps {
		// A gang is hit when it is at work, not while it forms.
		early := m.stage == "train" && (u.Progress == nil || u.Progress.Rows == 0) && strings.HasPrefix(stage, m.stage)
		if m.kind != kind || c.done[i] || early || !reached(kind, stage, m.stage) {
			continue
		}
		c.done[i] = true
		c.wg.Go(func() { c.happen(m, job) })
	}
}

// reached reports whether a job that is in a stage, or at a task of one, has
// come to another stage, or past it.
func reached(kind, at, wanted string) bool {
	order := map[string][]string{
		"features": {"survey", "partition", "window", "observe", "fit", "apply", "manifest"},
		"train":    {"survey", "order", "cut", "observe", "fit", "train", "bundle"},
		"predict":  {"survey", "score", "manifest"},
		"drift":    {"survey", "reference", "current", "compare"},
	}[kind]
	place := func(name string) int {
		return slices.IndexFunc(order, func(s string) bool { return strings.HasPrefix(name, s) })
	}
	return place(at) >= place(wanted)
}

// happen hits the mishap's victim, and makes it well again.
func (c *chaosRun) happen(m mishap, job string) {
	c.one.Lock() // a node that is being started again is not hit a second time
	defer c.one.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	v := c.find(m.victim, job)
	for ; v < 0 && ctx.Err() == nil; v = c.find(m.victim, job) { // a coordinator is being elected, say
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // between two looks at real processes
	}
	if v < 0 {
		c.t.Errorf("nobody to hit for %v", m)
		return
	}
	c.t.Logf("%v: node %s", m, c.Records[v].Name)
	if m.freeze {
		if err := c.Signal(v, syscall.SIGSTOP); err != nil {
			c.t.Error(err)
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // the fault is to last so long
		if err := c.Signal(v, syscall.SIGCONT); err != nil {
			c.t.Error(err)
		}
		return
	}
	how := syscall.SIGKILL
	if m.leave {
		how = syscall.SIGTERM
	}
	if err := c.Signal(v, how); err != nil {
		c.t.Error(err)
	}
	if err := c.Restart(ctx, v); err != nil {
		c.t.Error(err)
	}
}

// find returns the place of a victim's node, or -1.
func (c *chaosRun) find(v victimOf, job string) int {
	switch v {
	case coordinator:
		return c.leader()
	case anyServer:
		return c.servers - 1
	}
	lines, err := c.client.History(context.Background(), job)
	if err != nil {
		return -1
	}
	for i := len(lines) - 1; i >= 0; i-- {
		if members := lines[i].Members; lines[i].Event == "task assigned" && len(members) > 0 {
			member := members[0]
			if v == anyWorker {
				member = members[len(members)-1]
			}
			name, _, _ := strings.Cut(member, ".")
			return c.place(name)
		}
	}
	return -1
}
