package sim

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
)

var (
	seeds = flag.Int("seeds", 0, "how many simulated clusters to run; by default TROUPE_SIM_SEEDS, or 60")
	first = flag.Uint64("seed", 1, "the first seed")
)

func numSeeds(t *testing.T) int {
	t.Helper()
	if *seeds > 0 {
		return *seeds
	}
	n := 60
	if text := os.Getenv("TROUPE_SIM_SEEDS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	return n
}

var specs = []string{
	"kind: features\nname: f\ninput: in\noutput: out\nfeatures: [{name: a, op: log1p, of: x}]\n",
	"kind: train\nname: t\ninput: in\ntarget: y\ntask: binary\nmodel: {type: mlp}\nworkers: {min: 1, max: 3}\n",
	"kind: predict\nname: p\nmodel: m\ninput: in\noutput: out\n",
	"kind: drift\nname: d\nreference: ref\ncurrent: in\n",
}

func randomConfig(seed uint64) Config {
	return Config{
		Seed: seed, Workers: 1 + int(seed%5), Coordinators: 1 + int(seed/2%3), Drop: 0.01 * float64(seed%20), Duplicate: 0.01 * float64(seed%15),
		MaxDelay: time.Duration(1+seed%400) * time.Millisecond, StoreFault: 0.01 * float64(seed%9), Faults: int(seed % 12), FaultWindow: 40 * time.Second,
	}
}

func TestSimulatedClustersEndWithTheAnswerOfOneProcess(t *testing.T) {
	t.Parallel()
	for i := range numSeeds(t) {
		seed := *first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if w, err := simulate(seed); err != nil {
				t.Fatalf("%v\n%s\nagain: go test ./actors/sim -run 'TestSimulated.*/%d$' -seed %d -seeds 1", err, strings.Join(w.Trace(), "\n"), seed, seed)
			}
		})
	}
}

func simulate(seed uint64) (w *World, err error) {
	w = New(randomConfig(seed))
	oracle := map[jobs.ID]*jobs.Job{}
	for i, text := range specs {
		parsed, err := spec.Parse("s.yaml", []byte(text))
		if err != nil {
			return w, err
		}
		id := jobs.ID(fmt.Sprintf("job%d", i))
		kind, canonical := string(parsed[0].Kind), parsed[0].Canonical()
		if oracle[id], err = Alone(id, kind, canonical); err != nil {
			return w, err
		}
		w.Submit(time.Duration(w.rand.Int64N(int64(10*time.Second))), id, kind, canonical)
	}
	inv := &invariants{w: w, oracle: oracle, jobs: map[jobs.ID]*jobs.Job{}, read: map[jobs.ID]int{}}
	err = w.Run(20*time.Minute, inv.check, inv.allEnded)
	return w, err
}

// The seeds are of use only if gangs change while they run.
func TestSimulatedGangsShrinkAndGrow(t *testing.T) {
	t.Parallel()
	grown, shrunk := 0, 0
	for seed := uint64(1); seed <= 400 && (grown == 0 || shrunk == 0); seed++ {
		w, err := simulate(seed)
		require.NoError(t, err)
		ranks := 0
		for _, record := range w.store.logs[joblog.Name("job1")] {
			_, events, err := jobs.DecodeRecord(record)
			require.NoError(t, err)
			for _, e := range events {
				if e.Kind == jobs.TaskRegrouped && len(e.Members) > ranks {
					grown++
				} else if e.Kind == jobs.TaskRegrouped {
					shrunk++
				}
				if len(e.Members) > 0 && e.Kind != jobs.TaskLost {
					ranks = len(e.Members)
				}
			}
		}
	}
	t.Logf("grown %d times, shrunk %d times", grown, shrunk)
	require.Positive(t, grown)
	require.Positive(t, shrunk)
}

// A seed is a whole history: it ends with the same logs, record by record. Else
// a failure could not be seen again.
func TestASeedIsAWholeHistory(t *testing.T) {
	t.Parallel()
	for seed := uint64(9); seed < 15; seed++ {
		one, err := simulate(seed)
		require.NoError(t, err)
		two, err := simulate(seed)
		require.NoError(t, err)
		require.Equal(t, one.now, two.now)
		require.Equal(t, one.Trace(), two.Trace())
		require.Equal(t, one.store.logs, two.store.logs)
	}
}

// invariants follows the logs as a watcher does.
type invariants struct {
	w      *World
	oracle map[jobs.ID]*jobs.Job
	jobs   map[jobs.ID]*jobs.Job
	read   map[jobs.ID]int
}

func (v *invariants) check() error {
	for id, want := range v.oracle {
		log := v.w.store.logs[joblog.Name(id)]
		if len(log) < v.read[id] {
			return fmt.Errorf("the log of %s shrank", id)
		}
		if v.jobs[id] == nil {
			v.jobs[id] = jobs.New(id)
		}
		j := v.jobs[id]
		for _, record := range log[v.read[id]:] {
			if err := j.Apply(record); err != nil {
				return fmt.Errorf("the log of %s no longer replays: %w", id, err)
			}
		}
		if len(log) == v.read[id] {
			if j.Phase.Ended() && !v.w.told[id] && !v.open(id) {
				return fmt.Errorf("%s is closed, and nobody has told the world of its end", id)
			}
			continue
		}
		v.read[id] = len(log)
		for _, t := range j.Tasks {
			if t.Phase == jobs.Done && t.Result.Output != want.Task(t.ID).Result.Output {
				return fmt.Errorf("%s of %s gave %s, alone it gives %s", t.ID, id, t.Result.Output, want.Task(t.ID).Result.Output)
			}
		}
		if j.Phase == jobs.Failed {
			return fmt.Errorf("%s failed: %s", id, j.Failure.Message)
		}
		if j.Phase == jobs.Done && (j.Result.Output != want.Result.Output || j.Result.RowsIn != want.Result.RowsIn) {
			return fmt.Errorf("%s ended with %+v, alone with %+v", id, j.Result, want.Result)
		}
	}
	return nil
}

// open reports whether a job waits for somebody to see to it.
func (v *invariants) open(id jobs.ID) bool {
	_, _, err := v.w.Store().Refs.Get(context.Background(), joblog.OpenPrefix+string(id))
	return err == nil
}

func (v *invariants) allEnded() bool {
	for id := range v.oracle {
		if v.jobs[id] == nil || v.jobs[id].Phase != jobs.Done || v.open(id) {
			return false
		}
	}
	return true
}

func TestAJobIsCancelledWhoeverCoordinates(t *testing.T) {
	t.Parallel()
	w := New(Config{Seed: 5, Workers: 2, Coordinators: 2, MaxDelay: time.Millisecond})
	parsed, err := spec.Parse("s.yaml", []byte(specs[0]))
	require.NoError(t, err)
	w.Submit(0, "j", "features", parsed[0].Canonical())
	w.at(4*time.Second, func() {
		if err := joblog.RequestCancel(context.Background(), w.Store(), "j", "no longer wanted"); err != nil {
			w.fail("cancel: %v", err)
		}
	})
	var j *jobs.Job
	err = w.Run(time.Minute, func() error { return nil }, func() bool {
		j, _ = joblog.Load(context.Background(), w.Store(), "j")
		return j != nil && j.Phase.Ended()
	})
	require.NoError(t, err)
	require.Equal(t, jobs.Cancelled, j.Phase)
	require.Equal(t, "no longer wanted", j.Failure.Message)
}
