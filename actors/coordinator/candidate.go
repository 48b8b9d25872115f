package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/store"
)

// Role is what the coordinator's actor is called, before the id of its process.
const Role = "coordinator"

// queueLength is how many messages may wait for the core. When it is full they
// are dropped and counted: members say again what matters.
const queueLength = 4096

// Parts are what a Candidate is made of.
type Parts struct {
	Config Config
	System *actors.System
	Member jobs.MemberID // of this process
	Store  store.Store
	Plan   Planner
	// Ended hears of every job that has ended, perhaps twice, and calls told, from
	// whatever goroutine, when the world knows: until then this coordinator or the
	// next says it again. Progress hears how far tasks are, Leads when this process
	// begins and ceases to coordinate. They are called by the coordinator's
	// goroutine, must return at once, and may be nil.
	Ended    func(j *jobs.Job, told func())
	Progress func(p jobs.Progress)
	Leads    func(epoch uint64, leading bool)
	Clock    clock.Clock
	Log      *slog.Logger
	Metrics  prometheus.Registerer // may be nil
}

// Candidate is a process that may coordinate: it tries for the lease, drives a
// Core while it holds it, and drops the Core when it does not.
//
// The Core and the lease are owned by one goroutine. Messages reach it over a
// bounded queue, so that the actor never waits for the store. Its methods may
// be called from several goroutines.
type Candidate struct {
	parts   Parts
	lease   *Lease
	core    *Core // nil while another leads
	opened  bool
	away    bool // the store's last answer was an error
	pids    map[jobs.MemberID]*actor.PID
	pid     *actor.PID
	queue   chan letter
	nudged  chan struct{}
	toldMu  sync.Mutex
	told    []jobs.ID // whose end the world knows; for the core to close
	members atomic.Pointer[[]jobs.Hello]
	epoch   atomic.Uint64 // while leading, else 0
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	dropped prometheus.Counter
}

// letter is something that the core is to hear. From is nil for news of this
// process's own.
type letter struct {
	from *actor.PID
	word any
}

// lost says that the connection to a process broke, gone that a member is not
// here any more.
type (
	lost struct{ address string }
	gone struct{ member jobs.MemberID }
)

// Start lets this process stand for coordinator until Close.
func Start(p Parts) (*Candidate, error) {
	if err := p.Config.Validate(); err != nil {
		return nil, err
	}
	c := &Candidate{
		parts: p, pids: map[jobs.MemberID]*actor.PID{}, queue: make(chan letter, queueLength), nudged: make(chan struct{}, 1),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "troupe_coordinator_dropped_messages_total", Help: "Messages that came while too many were waiting."}),
	}
	if p.Metrics != nil {
		leading := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "troupe_coordinator_leading", Help: "1 while this process coordinates the cluster."}, func() float64 {
			return float64(min(c.epoch.Load(), 1))
		})
		p.Metrics.MustRegister(c.dropped, leading)
	}
	pid, err := p.System.Spawn(Role, func() actor.Actor { return &desk{c} })
	if err != nil {
		return nil, err
	}
	c.pid = pid
	c.lease = NewLease(p.Store.Refs, p.Clock, string(p.Member), actors.Format(pid), p.Config.LeaseTTL)
	p.System.OnLost(func(address string) { c.put(letter{nil, lost{address}}) })
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() { c.run(ctx) })
	return c, nil
}

// put queues a letter, or drops it when too many wait.
func (c *Candidate) put(l letter) {
	select {
	case c.queue <- l:
	default:
		c.dropped.Inc()
	}
}

// Nudge says that there is something new in the store.
func (c *Candidate) Nudge() {
	select {
	case c.nudged <- struct{}{}:
	default:
	}
}

// tell says that the world knows of a job's end.
func (c *Candidate) tell(id jobs.ID) {
	c.toldMu.Lock()
	c.told = append(c.told, id)
	c.toldMu.Unlock()
	c.Nudge()
}

// closeTold lets the core close the jobs of whose end the world knows.
func (c *Candidate) closeTold(ctx context.Context) {
	c.toldMu.Lock()
	told := c.told
	c.told = nil
	c.toldMu.Unlock()
	for _, id := range told {
		c.do(ctx, func(core *Core, ctx context.Context) error { return core.Told(ctx, id) })
	}
}

// Gone says that somebody else has noticed a member's end.
func (c *Candidate) Gone(m jobs.MemberID) { c.put(letter{nil, gone{m}}) }

// Leading returns the epoch in which this process coordinates, and whether it
// does.
func (c *Candidate) Leading() (epoch uint64, leading bool) {
	epoch = c.epoch.Load()
	return epoch, epoch != 0
}

// Members returns the members as the coordinator knows them, by id; none while
// another coordinates. It may be one heartbeat old.
func (c *Candidate) Members() []jobs.Hello {
	if m := c.members.Load(); m != nil {
		return *m
	}
	return nil
}

// Close gives the lease up and ends the actor. Jobs go on under the next
// coordinator.
func (c *Candidate) Close() {
	c.cancel()
	c.wg.Wait()
	c.parts.System.Stop(c.pid)
}

func (c *Candidate) run(ctx context.Context) {
	lease := c.parts.Clock.NewTicker(c.parts.Config.LeaseTTL / 6)
	defer lease.Stop()
	beat := c.parts.Clock.NewTicker(c.parts.Config.Heartbeat)
	defer beat.Stop()
	c.lead(ctx)
	for {
		select {
		case <-ctx.Done():
			c.resign()
			return
		case <-lease.C():
			c.lead(ctx)
		case <-beat.C():
			c.do(ctx, (*Core).Tick)
			c.publish()
		case <-c.nudged:
			c.closeTold(ctx)
			c.do(ctx, (*Core).Poll)
		case l := <-c.queue:
			c.handle(ctx, l)
		}
	}
}

// lead renews the lease or tries to take it, and begins or ends a term.
func (c *Candidate) lead(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, c.parts.Config.LeaseTTL/3)
	epoch, leading, err := c.lease.Tick(limit)
	cancel()
	c.heard(err)
	if !leading {
		c.drop("the lease is another's")
		return
	}
	if c.core == nil || c.epoch.Load() != epoch {
		c.drop("a new term")
		c.core = New(c.parts.Config, epoch, c.parts.Store, c.parts.Plan, (*outbox)(c), c.parts.Clock, c.parts.Log)
		c.epoch.Store(epoch)
		c.parts.Log.Info("coordinating", slog.Uint64("epoch", epoch))
		if c.parts.Leads != nil {
			c.parts.Leads(epoch, true)
		}
	}
	if !c.opened {
		core := c.core
		c.do(ctx, (*Core).Open)
		c.opened = c.core == core && !c.away
	}
}

// drop ends this process's term, if it has one.
func (c *Candidate) drop(why string) {
	if c.core == nil {
		return
	}
	epoch := c.epoch.Swap(0)
	c.core, c.opened = nil, false
	clear(c.pids)
	c.members.Store(nil)
	c.parts.Log.Info("no longer coordinating", slog.Uint64("epoch", epoch), slog.String("why", why))
	if c.parts.Leads != nil {
		c.parts.Leads(epoch, false)
	}
}

// do calls the core, for no longer than the lease lasts without a renewal. One
// that has been replaced is dropped; other errors are the store's and pass: what
// could not be written is written by the next call.
func (c *Candidate) do(ctx context.Context, f func(*Core, context.Context) error) {
	if c.core == nil {
		return
	}
	limit, cancel := context.WithTimeout(ctx, c.parts.Config.LeaseTTL)
	defer cancel()
	err := f(c.core, limit)
	if errors.Is(err, ErrReplaced) {
		c.drop("replaced")
		err = nil
	}
	c.heard(err)
}

// heard takes note of how the store is, and says so when that changes.
func (c *Candidate) heard(err error) {
	switch {
	case err != nil && !c.away:
		c.parts.Log.Warn("the store does not answer, the coordinator waits", slog.Any("err", err))
	case err == nil && c.away:
		c.parts.Log.Info("the store answers again")
	}
	c.away = err != nil
}

func (c *Candidate) publish() {
	if c.core != nil {
		m := c.core.Members()
		c.members.Store(&m)
	}
}

func (c *Candidate) resign() {
	c.drop("closed")
	ctx, cancel := context.WithTimeout(context.Background(), min(c.parts.Config.LeaseTTL, time.Second))
	defer cancel()
	if err := c.lease.Resign(ctx); err != nil {
		c.parts.Log.Warn("the lease could not be given up, it runs out", slog.Any("err", err))
	}
}

// tooLarge is the report of an order that cannot be sent.
func tooLarge(m jobs.MemberID, o jobs.Order, err error) jobs.Report {
	return jobs.Report{
		Member: m, Ref: jobs.Ref{Epoch: o.Epoch, Job: o.Job, Task: o.Task, Attempt: o.Attempt},
		Failure: &jobs.Failure{Kind: fault.Of(err), Message: fmt.Sprintf("the order cannot be sent: %v", err)},
	}
}

func (c *Candidate) from() wire.From {
	return wire.From{Boot: c.parts.System.Boot(), Epoch: c.epoch.Load()}
}
