// Package worker is the life of tasks on one member: an order starts an
// attempt, which runs in a goroutine of its own and ends as a report that is
// repeated until the coordinator has acknowledged it. Feature, predictor and
// trainer actors differ only in what they run.
//
// Nothing here is durable. A worker that dies takes its attempts with it; the
// coordinator gives them to others. Orders may arrive twice, late, or from a
// coordinator that has been replaced: an attempt runs at most once here, and
// orders of an older lease epoch are refused.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
)

// ErrGangBroken marks the error of a rank whose links to the others broke: the
// attempt is over, but the task is not to blame.
var ErrGangBroken = errors.New("the gang's links broke")

// errStopped is the cause of an attempt that the coordinator has ended.
var errStopped = errors.New("stopped by the coordinator")

// Runner carries out one order; it blocks until done. It must be safe for
// concurrent use and give the same bytes each time.
type Runner func(ctx context.Context, o jobs.Order, report Reporter) (jobs.Result, error)

// Reporter is how a running task speaks: both calls return at once and may be
// lost.
type Reporter interface {
	Progress(rows, total int64, text string)
	Checkpoint(digest string)
}

// Link carries a member's words to whoever is the coordinator now. It never
// blocks; what it loses is said again with the next heartbeat.
type Link interface {
	Hello(h jobs.Hello)
	Report(r jobs.Report)
	Progress(p jobs.Progress)
	Checkpoint(k jobs.Checkpoint)
}

// Core is the member's side of the conversation. Its methods may be called from
// several goroutines.
type Core struct {
	self Self
	run  Runner
	link Link
	log  *slog.Logger
	ctx  context.Context // of every attempt; ends with Close
	stop context.CancelCauseFunc
	wg   sync.WaitGroup
	// spawn runs an attempt beside the caller; the simulation replaces it.
	spawn func(attempt func())

	mu       sync.Mutex
	epoch    uint64 // newest lease epoch heard of
	draining bool
	running  map[jobs.Ref]context.CancelCauseFunc
	finished map[jobs.Ref]*jobs.Report // not acknowledged yet; nil where rank 0 speaks
	begun    attempts
}

// Self is what a member says of itself in every heartbeat.
type Self struct {
	Member   jobs.MemberID
	Slots    int
	MaxBytes int64
	DataAddr string
}

// New returns a worker that runs orders with run and reports over link. Its
// attempts end when Close is called.
func New(self Self, run Runner, link Link, log *slog.Logger) *Core {
	c := NewWith(self, run, link, log, nil)
	c.spawn = c.wg.Go
	return c
}

// NewWith is New with another way to run attempts beside the caller: the
// simulation's, which decides itself when each of them runs.
func NewWith(self Self, run Runner, link Link, log *slog.Logger, spawn func(attempt func())) *Core {
	ctx, stop := context.WithCancelCause(context.Background())
	return &Core{
		self: self, run: run, link: link, log: log, ctx: ctx, stop: stop, spawn: spawn,
		running: map[jobs.Ref]context.CancelCauseFunc{}, finished: map[jobs.Ref]*jobs.Report{}, begun: attempts{newest: map[place]int{}},
	}
}

// key is a Ref without its epoch: an attempt is the same under any coordinator.
func key(r jobs.Ref) jobs.Ref {
	r.Epoch = 0
	return r
}

// Start begins an attempt, unless it or a newer one has begun already or the
// order comes from a coordinator that has been replaced. Older attempts of the
// same task end.
func (c *Core) Start(o jobs.Order) {
	ref := jobs.Ref{Job: o.Job, Task: o.Task, Attempt: o.Attempt}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current(o.Epoch) || c.ctx.Err() != nil {
		return
	}
	if !c.begun.begin(ref) {
		c.again(ref)
		return
	}
	for other, cancel := range c.running {
		if other.Job == o.Job && other.Task == o.Task {
			cancel(errStopped)
		}
	}
	for other := range c.finished {
		if other.Job == o.Job && other.Task == o.Task {
			delete(c.finished, other)
		}
	}
	ctx, cancel := context.WithCancelCause(c.ctx)
	c.running[ref] = cancel
	c.spawn(func() { c.attempt(ctx, cancel, o, ref) })
}

// again answers an order that has been carried out before. Of an attempt that
// was stopped there is nothing to show; whoever still wants it has replaced the
// coordinator that stopped it.
func (c *Core) again(ref jobs.Ref) {
	if _, ok := c.running[ref]; ok {
		return
	}
	r, ok := c.finished[ref]
	if !ok {
		r = &jobs.Report{Member: c.self.Member, Ref: ref, Lost: true, Failure: &jobs.Failure{Kind: fault.Unavailable, Message: errStopped.Error()}}
	}
	if r != nil {
		c.link.Report(*r)
	}
}

// current takes note of a lease epoch and reports whether it is not an old one.
func (c *Core) current(epoch uint64) bool {
	if epoch < c.epoch {
		return false
	}
	c.epoch = epoch
	return true
}

// attempt runs one order to its end and reports it.
func (c *Core) attempt(ctx context.Context, cancel context.CancelCauseFunc, o jobs.Order, ref jobs.Ref) {
	defer cancel(nil)
	result, err := c.guarded(ctx, o, reporter{c, ref})
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, ref)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return // nobody waits for it
	}
	if o.Rank > 0 && err == nil {
		c.finished[ref] = nil // rank 0 speaks for the gang
		return
	}
	r := &jobs.Report{Member: c.self.Member, Ref: ref, Result: result}
	if err != nil {
		r.Lost = errors.Is(err, ErrGangBroken)
		r.Failure = &jobs.Failure{Kind: fault.Of(err), Message: err.Error()}
	}
	c.finished[ref] = r
	c.link.Report(*r)
}

// guarded runs the order and turns a panic, which is a bug, into an error: one
// of the two places of the house where that is done.
func (c *Core) guarded(ctx context.Context, o jobs.Order, rep Reporter) (result jobs.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("task panicked", slog.String("job", string(o.Job)), slog.String("task", string(o.Task)), slog.Any("err", p), slog.String("stack", string(debug.Stack())))
			err = fault.New(fault.Internal, "this is a bug in Troupe: the task panicked: %v", p)
		}
	}()
	return c.run(ctx, o, rep)
}

// Stop ends an attempt and forgets its report.
func (c *Core) Stop(r jobs.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current(r.Epoch) {
		return
	}
	if cancel, ok := c.running[key(r)]; ok {
		cancel(errStopped)
	}
	delete(c.finished, key(r))
}

// Ack forgets a report: it is durable, or nobody wants it.
func (c *Core) Ack(r jobs.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current(r.Epoch) {
		delete(c.finished, key(r))
	}
}

// Heartbeat says who is here and what it does, and repeats what has not been
// acknowledged. The shell calls it at every interval, and at once at the start.
func (c *Core) Heartbeat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := jobs.Hello{Member: c.self.Member, Slots: c.self.Slots, MaxBytes: c.self.MaxBytes, DataAddr: c.self.DataAddr, Draining: c.draining}
	for r := range c.running {
		h.Running = append(h.Running, r)
	}
	for r := range c.finished {
		h.Running = append(h.Running, r)
	}
	slices.SortFunc(h.Running, compareRefs)
	c.link.Hello(h)
	for _, r := range h.Running {
		if report := c.finished[r]; report != nil {
			c.link.Report(*report)
		}
	}
}

func compareRefs(a, b jobs.Ref) int {
	if d := strings.Compare(string(a.Job), string(b.Job)); d != 0 {
		return d
	}
	if d := strings.Compare(string(a.Task), string(b.Task)); d != 0 {
		return d
	}
	return a.Attempt - b.Attempt
}

// Drain takes no new tasks from now on and reports how many are still at work
// or unacknowledged.
func (c *Core) Drain() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	return len(c.running) + len(c.finished)
}

// Busy is how many attempts are at work or unacknowledged.
func (c *Core) Busy() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running) + len(c.finished)
}

// Close ends every attempt and waits for their goroutines.
func (c *Core) Close() {
	c.stop(fmt.Errorf("worker closed: %w", errStopped))
	c.wg.Wait()
}

// reporter speaks for one attempt.
type reporter struct {
	c   *Core
	ref jobs.Ref
}

func (r reporter) Progress(rows, total int64, text string) {
	r.c.link.Progress(jobs.Progress{Member: r.c.self.Member, Ref: r.ref, Rows: rows, Total: total, Text: text})
}

func (r reporter) Checkpoint(digest string) {
	r.c.link.Checkpoint(jobs.Checkpoint{Member: r.c.self.Member, Ref: r.ref, Output: digest})
}
