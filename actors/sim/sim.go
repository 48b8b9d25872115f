// Package sim runs the real cores of coordinator and worker, the real lease,
// plan and state machine on a simulated network, clock and store, which drop,
// repeat, delay and reorder messages, lose answers, and crash, freeze and cut
// off processes, all from one seed. It is test support: after every event the
// logs must still replay, and once the faults end every job must end with the
// answer that one process alone would have given.
package sim

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// Config is what may go wrong, and how often.
type Config struct {
	Seed         uint64
	Workers      int
	Coordinators int
	Drop         float64       // share of messages lost
	Duplicate    float64       // share of messages delivered twice
	MaxDelay     time.Duration // of a message; reordering follows from it
	StoreFault   float64       // share of store calls that fail, half of them after having taken effect
	Faults       int           // crashes, freezes and partitions
	FaultWindow  time.Duration // in which they happen
}

// World is one simulated cluster.
type World struct {
	cfg     Config
	rand    *rand.Rand
	now     time.Time
	seq     int
	queue   events
	store   *faultyStore
	coords  []*coordHost
	workers map[jobs.MemberID]*workerHost
	spawned int
	cut     map[string]bool  // hosts that nobody can reach
	told    map[jobs.ID]bool // whose end the world knows
	trace   []string
	log     *slog.Logger
	err     error
}

var epochStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// New returns a world with its processes started.
func New(cfg Config) *World {
	w := &World{
		cfg: cfg, rand: rng.New(cfg.Seed, "sim"), now: epochStart, workers: map[jobs.MemberID]*workerHost{},
		cut: map[string]bool{}, told: map[jobs.ID]bool{}, log: slog.New(slog.DiscardHandler),
	}
	w.store = newFaultyStore(w)
	for i := range cfg.Coordinators {
		w.startCoordinator(i)
	}
	for range cfg.Workers {
		w.startWorker()
	}
	for range cfg.Faults {
		w.at(time.Duration(w.rand.Int64N(int64(cfg.FaultWindow))), w.fault)
	}
	return w
}

// Store is the cluster's store as a user sees it, without faults.
func (w *World) Store() store.Store {
	return store.Store{Refs: w.store.honest(), Logs: w.store.honest()}
}

// Submit submits a job at a moment from the start.
func (w *World) Submit(after time.Duration, id jobs.ID, kind string, spec []byte) {
	w.at(after, func() {
		if err := joblog.Submit(context.Background(), w.Store(), id, kind, string(id), spec, 0); err != nil {
			w.fail("submit: %v", err)
		}
	})
}

// Run lets events happen until done says so or the simulated time is over, and
// returns the first broken invariant. Check is asked after every event.
func (w *World) Run(limit time.Duration, check func() error, done func() bool) error {
	for len(w.queue) > 0 && w.err == nil {
		e := heap.Pop(&w.queue).(event)
		if e.at.Sub(epochStart) > limit {
			return fmt.Errorf("not done after %v of simulated time", limit)
		}
		w.now = e.at
		e.do()
		if err := check(); err != nil {
			return err
		}
		if done() {
			return w.err
		}
	}
	return w.err
}

// Trace returns the last faults, for the failure message.
func (w *World) Trace() []string { return w.trace }

func (w *World) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%8v ", w.now.Sub(epochStart))+fmt.Sprintf(format, args...))
}

func (w *World) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *World) at(after time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{at: w.now.Add(after), seq: w.seq, do: do})
}

// send carries a message from one host to another, or loses it.
func (w *World) send(from, to string, deliver func()) {
	if w.cut[from] || w.cut[to] || w.rand.Float64() < w.cfg.Drop {
		return
	}
	copies := 1
	if w.rand.Float64() < w.cfg.Duplicate {
		copies = 2
	}
	for range copies {
		w.at(time.Duration(w.rand.Int64N(int64(w.cfg.MaxDelay))), func() {
			if !w.cut[to] {
				deliver()
			}
		})
	}
}

// fault does one bad thing: it ends, freezes or cuts off a process for a while.
func (w *World) fault() {
	away := time.Duration(w.rand.Int64N(int64(12 * time.Second)))
	coord := w.coords[w.rand.IntN(len(w.coords))]
	worker := w.anyWorker()
	switch w.rand.IntN(8) {
	case 0:
		w.note("kill coordinator %s for %v", coord.name, away)
		coord.kill()
		w.at(away, func() { coord.restart() })
	case 1:
		w.note("freeze coordinator %s for %v", coord.name, away)
		coord.freeze(away)
	case 2:
		w.note("cut off coordinator %s for %v", coord.name, away)
		w.isolate(coord.name, away)
	case 3:
		w.note("kill worker %s", worker.id)
		worker.kill()
		w.at(away, func() { w.startWorker() })
	case 4:
		w.note("cut off worker %s for %v", worker.id, away)
		w.isolate(string(worker.id), away)
	case 5:
		w.note("drain worker %s, another comes after %v", worker.id, away)
		worker.drain()
		w.at(away, func() { w.startWorker() })
	case 6:
		w.note("a worker comes")
		w.startWorker()
	default:
		w.note("freeze worker %s for %v", worker.id, away)
		worker.frozenUntil = w.now.Add(away)
		w.isolate(string(worker.id), away)
	}
}

func (w *World) isolate(host string, d time.Duration) {
	w.cut[host] = true
	w.at(d, func() { delete(w.cut, host) })
}

// Now, After and NewTicker make the world a clock.Clock; only Now is used by
// the cores.
func (w *World) Now() time.Time { return w.now }

// event is something that happens at a moment of simulated time.
type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
