package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/store"
)

// Role is what a worker's actor is called, before the id of its process.
const Role = "worker"

// Parts are what a Member is made of.
type Parts struct {
	System *actors.System
	Self   Self
	Run    Runner
	Refs   store.Refs // where the lease is
	// Heartbeat is the interval at which the member reports: the coordinator's.
	Heartbeat time.Duration
	// Drain is called when somebody asks this member to leave; it must return at
	// once, and may be nil.
	Drain func(why string)
	Clock clock.Clock
	Log   *slog.Logger
}

// Member is a process that works: its Core, its actor, and its line to the
// coordinator. Its methods may be called from several goroutines.
type Member struct {
	parts  Parts
	core   *Core
	line   *line
	pid    *actor.PID
	beat   chan struct{} // one heartbeat now
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start lets this process work until Close.
func Start(p Parts) (*Member, error) {
	m := &Member{parts: p, beat: make(chan struct{}, 1)}
	m.line = &line{
		system: p.System, refs: p.Refs, clock: p.Clock, silence: 2 * p.Heartbeat, log: p.Log, changed: m.beatNow, progress: map[jobs.Ref]said{},
	}
	m.core = New(p.Self, p.Run, m.line, p.Log)
	pid, err := p.System.Spawn(Role, func() actor.Actor { return (*bench)(m) })
	if err != nil {
		return nil, err
	}
	m.pid = pid
	m.line.mu.Lock()
	m.line.self = pid
	m.line.mu.Unlock()
	p.System.OnLost(func(address string) { m.line.lost(address); m.beatNow() })
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	looks := make(chan struct{}, 1)
	m.wg.Go(func() { m.beats(ctx, looks) })
	m.wg.Go(func() { m.looks(ctx, looks) })
	return m, nil
}

// beats says hello at every interval, and asks for a look at the lease.
func (m *Member) beats(ctx context.Context, looks chan<- struct{}) {
	t := m.parts.Clock.NewTicker(m.parts.Heartbeat)
	defer t.Stop()
	for {
		m.core.Heartbeat()
		select {
		case looks <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C():
		case <-m.beat:
		}
	}
}

// looks reads the lease beside the heartbeats, which must not wait for the store.
func (m *Member) looks(ctx context.Context, looks <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-looks:
			limit, cancel := context.WithTimeout(ctx, 4*m.parts.Heartbeat)
			m.line.look(limit)
			cancel()
		}
	}
}

func (m *Member) beatNow() {
	select {
	case m.beat <- struct{}{}:
	default:
	}
}

// Nudge tells the coordinator that there is something new in the store.
func (m *Member) Nudge() { m.line.mustSay(wire.Nudge{}) }

// Leader returns who coordinates, as far as this member knows; its Member is
// empty while nobody does.
func (m *Member) Leader() coordinator.Holder { return m.line.leader() }

// AskDrain asks the process with that address and id to hand its work over and
// leave. The message may be lost.
func (m *Member) AskDrain(address, boot, why string) error {
	message, err := wire.Encode(wire.From{Boot: m.parts.System.Boot()}, wire.Drain{Why: why})
	if err != nil {
		return err
	}
	m.parts.System.Send(actors.At(address, Role, boot), m.pid, message)
	return nil
}

// Drain takes no new tasks from now on, says so at once, and reports how many
// are still at work or unacknowledged.
func (m *Member) Drain() int {
	n := m.core.Drain()
	m.beatNow()
	return n
}

// Busy is how many tasks are at work or unacknowledged.
func (m *Member) Busy() int { return m.core.Busy() }

// Close ends every attempt, waits for them, and ends the actor.
func (m *Member) Close() {
	m.cancel()
	m.wg.Wait()
	m.core.Close()
	m.parts.System.Stop(m.pid)
}

// bench is the worker's actor.
type bench Member

// Receive hands orders to the core, which never waits.
func (b *bench) Receive(ctx actor.Context) {
	from, word, err := wire.Decode(ctx.Message())
	if errors.Is(err, wire.ErrProtocol) {
		b.parts.Log.Warn("message refused", slog.Any("err", err))
	}
	switch w := word.(type) {
	case jobs.Order:
		b.line.hear(from)
		b.core.Start(w)
	case wire.Stop:
		b.line.hear(from)
		b.core.Stop(w.Ref)
	case wire.Ack:
		b.line.hear(from)
		b.core.Ack(w.Ref)
	case wire.Welcome:
		b.line.hear(from)
	case wire.Drain:
		if b.parts.Drain != nil {
			b.parts.Drain(w.Why)
		}
	}
}

// Bodies makes a Runner of the bodies of tasks.
func Bodies(body run.Body) Runner {
	return func(ctx context.Context, o jobs.Order, report Reporter) (jobs.Result, error) {
		return body(ctx, run.Task{
			Job: o.Job, Kind: o.Kind, Spec: o.Spec, ID: o.Task, Index: o.Index, Attempt: o.Attempt, Stage: o.Stage,
			Rank: o.Rank, WorldSize: max(len(o.Members), 1), Peers: o.Peers, Checkpoint: o.Checkpoint,
		}, report)
	}
}
