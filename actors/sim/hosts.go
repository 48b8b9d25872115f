package sim

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/store"
)

const (
	leaseTTL  = 3 * time.Second
	leaseTick = 500 * time.Millisecond
)

// coordHost is a process that may hold the lease.
type coordHost struct {
	w           *World
	name        string
	boot        int
	lease       *coordinator.Lease
	core        *coordinator.Core // nil while another leads
	epoch       uint64
	opened      bool
	alive       bool
	frozenUntil time.Time
}

func (w *World) startCoordinator(i int) {
	h := &coordHost{w: w, name: fmt.Sprintf("c%d", i)}
	w.coords = append(w.coords, h)
	h.restart()
}

func (h *coordHost) store() store.Store {
	v := view{h.w.store, h.name}
	return store.Store{Refs: v, Logs: logsView{v}}
}

// logsView gives Logs its own List.
type logsView struct{ view }

func (h *coordHost) restart() {
	if h.alive {
		return
	}
	h.boot++
	h.alive, h.core = true, nil
	h.lease = coordinator.NewLease(h.store().Refs, simClock{h.w}, fmt.Sprintf("%s-%d", h.name, h.boot), h.name, leaseTTL)
	h.tick(h.boot)
}

func (h *coordHost) kill() { h.alive, h.core = false, nil }

// freeze stops the process; what it would have done happens afterwards, in the
// belief that no time has passed.
func (h *coordHost) freeze(d time.Duration) { h.frozenUntil = h.w.now.Add(d) }

// thawed runs do now, or when the process wakes up.
func (h *coordHost) thawed(boot int, do func()) {
	if !h.alive || h.boot != boot {
		return
	}
	if h.frozenUntil.After(h.w.now) {
		h.w.at(h.frozenUntil.Sub(h.w.now), func() { h.thawed(boot, do) })
		return
	}
	do()
}

func (h *coordHost) tick(boot int) {
	if !h.alive || h.boot != boot {
		return
	}
	h.thawed(boot, h.lead)
	h.w.at(leaseTick, func() { h.tick(boot) })
}

// lead renews the lease and drives the core if this host holds it.
func (h *coordHost) lead() {
	ctx := context.Background()
	epoch, leading, _ := h.lease.Tick(ctx)
	if !leading {
		h.core = nil
		return
	}
	if h.core == nil || h.epoch != epoch {
		h.epoch, h.opened = epoch, false
		h.core = coordinator.New(coordinator.DefaultConfig(), epoch, h.store(), plan.Next, outbox{h}, simClock{h.w}, h.w.log)
	}
	if !h.opened {
		h.opened = h.do(h.core.Open)
		return
	}
	h.do(h.core.Tick)
}

// do calls the core; a replaced one is dropped, other errors pass with time.
func (h *coordHost) do(f func(context.Context) error) bool {
	err := f(context.Background())
	if errors.Is(err, coordinator.ErrReplaced) {
		h.core = nil
	}
	return err == nil
}

// receive hands a message to the core if this host leads.
func (h *coordHost) receive(f func(*coordinator.Core) func(context.Context) error) {
	boot := h.boot
	h.thawed(boot, func() {
		if h.core != nil && h.opened {
			h.do(f(h.core))
		}
	})
}

// outbox carries a coordinator's orders over the network.
type outbox struct{ h *coordHost }

func (o outbox) to(m jobs.MemberID, deliver func(*worker.Core)) {
	w := o.h.w
	w.send(o.h.name, string(m), func() {
		if host := w.workers[m]; host != nil && host.alive {
			deliver(host.core)
		}
	})
}

func (o outbox) Start(m jobs.MemberID, r jobs.Order) {
	o.to(m, func(c *worker.Core) { c.Start(r) })
}
func (o outbox) Stop(m jobs.MemberID, r jobs.Ref) { o.to(m, func(c *worker.Core) { c.Stop(r) }) }
func (o outbox) Ack(m jobs.MemberID, r jobs.Ref)  { o.to(m, func(c *worker.Core) { c.Ack(r) }) }
func (o outbox) Progress(jobs.Progress)           {}

// Ended tells the world a while later, if the process lives to do so.
func (o outbox) Ended(j *jobs.Job) (told bool) {
	h, core, boot, id := o.h, o.h.core, o.h.boot, j.ID
	h.w.at(time.Duration(h.w.rand.Int64N(int64(2*time.Second))), func() {
		h.thawed(boot, func() {
			h.w.told[id] = true
			if h.core == core && core != nil {
				h.do(func(ctx context.Context) error { return core.Told(ctx, id) })
			}
		})
	})
	return false
}

// workerHost is a process that runs tasks.
type workerHost struct {
	w           *World
	id          jobs.MemberID
	core        *worker.Core
	ran         map[jobs.Ref]bool // attempts that have begun
	alive       bool
	frozenUntil time.Time
}

func (w *World) startWorker() {
	w.spawned++
	h := &workerHost{w: w, id: jobs.MemberID(fmt.Sprintf("w%d", w.spawned)), ran: map[jobs.Ref]bool{}, alive: true}
	run := func(ctx context.Context, o jobs.Order, r worker.Reporter) (jobs.Result, error) {
		return h.run(ctx, o, r)
	}
	h.core = worker.NewWith(worker.Self{Member: h.id, Slots: 2}, run, link{h}, w.log, h.spawn)
	w.workers[h.id] = h
	h.beat()
}

func (h *workerHost) kill() {
	h.alive = false
	h.core.Close()
}

// drain lets the process take no new tasks, and ends it when it has none.
func (h *workerHost) drain() {
	if !h.alive {
		return
	}
	if !h.frozenUntil.After(h.w.now) && h.core.Drain() == 0 {
		h.kill()
		return
	}
	h.w.at(time.Second, h.drain)
}

func (h *workerHost) beat() {
	if !h.alive {
		return
	}
	if !h.frozenUntil.After(h.w.now) {
		h.core.Heartbeat()
	}
	h.w.at(coordinator.DefaultConfig().Heartbeat, h.beat)
}

// spawn runs an attempt after a while, unless the process is gone by then.
func (h *workerHost) spawn(attempt func()) {
	h.w.at(time.Duration(h.w.rand.Int64N(int64(3*time.Second))), func() { h.wake(attempt) })
}

func (h *workerHost) wake(attempt func()) {
	switch {
	case !h.alive:
	case h.frozenUntil.After(h.w.now):
		h.w.at(h.frozenUntil.Sub(h.w.now), func() { h.wake(attempt) })
	default:
		attempt()
	}
}

func (w *World) anyWorker() *workerHost {
	var alive []*workerHost
	for _, h := range w.workers {
		if h.alive {
			alive = append(alive, h)
		}
	}
	if len(alive) == 0 {
		w.startWorker()
		return w.anyWorker()
	}
	sort.Slice(alive, func(i, j int) bool { return alive[i].id < alive[j].id })
	return alive[w.rand.IntN(len(alive))]
}

// link carries a worker's words to every coordinator that may lead.
type link struct{ h *workerHost }

func (l link) all(f func(*coordinator.Core) func(context.Context) error) {
	for _, c := range l.h.w.coords {
		l.h.w.send(string(l.h.id), c.name, func() { c.receive(f) })
	}
}

func (l link) Hello(m jobs.Hello) {
	l.all(func(c *coordinator.Core) func(context.Context) error {
		return func(ctx context.Context) error { return c.Hello(ctx, m) }
	})
}

func (l link) Report(m jobs.Report) {
	l.all(func(c *coordinator.Core) func(context.Context) error {
		return func(ctx context.Context) error { return c.Report(ctx, m) }
	})
}

func (l link) Checkpoint(m jobs.Checkpoint) {
	l.all(func(c *coordinator.Core) func(context.Context) error {
		return func(ctx context.Context) error { return c.Checkpoint(ctx, m) }
	})
}

func (l link) Progress(jobs.Progress) {}

// simClock is the world's time. The cores only ask what time it is.
type simClock struct{ w *World }

func (c simClock) Now() time.Time                       { return c.w.now }
func (c simClock) After(time.Duration) <-chan time.Time { return nil }
func (c simClock) NewTicker(time.Duration) clock.Ticker { return nil }
