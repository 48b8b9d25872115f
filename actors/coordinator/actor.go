package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/jobs"
)

// desk is the coordinator's actor: it queues what members say for the core.
type desk struct{ c *Candidate }

// Receive decides nothing and never waits.
func (d *desk) Receive(ctx actor.Context) {
	_, word, err := wire.Decode(ctx.Message())
	if errors.Is(err, wire.ErrProtocol) {
		d.c.parts.Log.Warn("message refused", slog.Any("err", err))
	}
	if err == nil {
		d.c.put(letter{ctx.Sender(), word})
	}
}

// handle hands a letter to the core. Before it has opened the core hears
// nothing: it would not know the jobs that members speak of.
func (c *Candidate) handle(ctx context.Context, l letter) {
	if c.core == nil || !c.opened {
		return
	}
	switch w := l.word.(type) {
	case jobs.Hello:
		c.hello(ctx, l.from, w)
	case jobs.Report:
		c.do(ctx, func(core *Core, ctx context.Context) error { return core.Report(ctx, w) })
	case jobs.Checkpoint:
		c.do(ctx, func(core *Core, ctx context.Context) error { return core.Checkpoint(ctx, w) })
	case jobs.Progress:
		c.core.Progress(w)
	case wire.Nudge:
		c.do(ctx, (*Core).Poll)
	case gone:
		c.gone(ctx, w.member)
	case lost:
		for _, m := range c.at(w.address, "") {
			c.gone(ctx, m)
		}
	}
}

// hello takes note of where a member is. Whoever was at its address before has
// ended: a port has one owner. The answer tells the member that it is heard, and
// opens the connection whose end tells of the member's.
func (c *Candidate) hello(ctx context.Context, from *actor.PID, h jobs.Hello) {
	if from == nil {
		return
	}
	for _, m := range c.at(from.Address, h.Member) {
		c.gone(ctx, m)
	}
	c.pids[h.Member] = from
	(*outbox)(c).say(h.Member, wire.Welcome{})
	c.do(ctx, func(core *Core, ctx context.Context) error { return core.Hello(ctx, h) })
}

// at returns the members at an address, but for one, in order of id.
func (c *Candidate) at(address string, but jobs.MemberID) []jobs.MemberID {
	var here []jobs.MemberID
	for m, pid := range c.pids {
		if pid.Address == address && m != but {
			here = append(here, m)
		}
	}
	slices.Sort(here)
	return here
}

func (c *Candidate) gone(ctx context.Context, m jobs.MemberID) {
	delete(c.pids, m)
	c.do(ctx, func(core *Core, ctx context.Context) error { return core.Gone(ctx, m) })
}
