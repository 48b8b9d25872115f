package coordinator

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/place"
)

// member is what the coordinator knows of a member: its last heartbeat.
type member struct {
	hello jobs.Hello
	seen  time.Time
}

// Hello takes in a heartbeat: orders that the member does not mention are sent
// again, and what it does for nobody is stopped.
func (c *Core) Hello(ctx context.Context, h jobs.Hello) error {
	now := c.clock.Now()
	if c.members[h.Member] == nil {
		for _, old := range c.reborn(h.Member) {
			if err := c.Gone(ctx, old); err != nil {
				return err
			}
		}
	}
	c.members[h.Member] = &member{hello: h, seen: now}
	running := map[jobs.Ref]bool{}
	for _, r := range h.Running {
		r.Epoch = 0
		running[r] = true
		t := c.jobs[r.Job]
		if t != nil && len(t.pending) > 0 {
			continue // what is not durable yet stops nobody
		}
		if t != nil && t.isJoining(h.Member, r) {
			if g := t.gangOf(r.Task); g.joining[h.Member] == nil { // a predecessor has asked it
				g.joining[h.Member] = &joiner{attempt: r.Attempt, sent: now}
			}
			continue
		}
		if t == nil || !c.wanted(t, r) || !slices.Contains(t.job.Task(r.Task).Members, h.Member) {
			r.Epoch = c.epoch
			c.out.Stop(h.Member, r)
		}
	}
	for _, id := range c.order {
		t := c.jobs[id]
		if len(t.pending) > 0 {
			continue // what is not durable yet starts nobody
		}
		for _, task := range t.tasks.running {
			ref := jobs.Ref{Job: id, Task: task.ID, Attempt: task.Attempt}
			if slices.Contains(task.Members, h.Member) && !running[ref] && now.Sub(t.sent[task.ID]) >= c.cfg.ResendAfter {
				c.start(t, task.ID, task.Members)
			}
		}
	}
	c.askAgain(h.Member, running, now)
	return c.settle(ctx)
}

// askAgain repeats the orders to prepare that a member does not mention.
func (c *Core) askAgain(m jobs.MemberID, running map[jobs.Ref]bool, now time.Time) {
	for _, id := range c.order {
		t := c.jobs[id]
		for _, task := range t.tasks.running {
			g := t.gangs[task.ID]
			if g == nil || g.joining[m] == nil || g.joining[m].ready {
				continue
			}
			j := g.joining[m]
			if !running[jobs.Ref{Job: id, Task: task.ID, Attempt: j.attempt}] && now.Sub(j.sent) >= c.cfg.ResendAfter {
				c.ask(t, task, m, j)
			}
		}
	}
}

// reborn returns the members that a replayed job counts on, that never reported
// to this coordinator, and whose node is now the member m: they have ended, since
// a node has one process at a time.
func (c *Core) reborn(m jobs.MemberID) []jobs.MemberID {
	var out []jobs.MemberID
	for _, id := range c.order {
		_, tasks := c.jobs[id].job.Current()
		for _, task := range tasks {
			for _, old := range task.Members {
				if task.Phase == jobs.Running && old != m && c.members[old] == nil && old.Node() == m.Node() {
					out = append(out, old)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Gone takes in that a member's process has ended: what it ran is given to
// others.
func (c *Core) Gone(ctx context.Context, m jobs.MemberID) error {
	delete(c.members, m)
	for _, id := range c.order {
		t := c.jobs[id]
		for _, task := range slices.Clone(t.tasks.running) {
			if slices.Contains(task.Members, m) {
				c.log.Warn("member gone, task is given to another", slog.String("job", string(id)), slog.String("task", string(task.ID)), slog.String("member", string(m)))
				c.emit(t, jobs.Event{Kind: jobs.TaskLost, Task: task.ID, Attempt: task.Attempt, Members: []jobs.MemberID{m}})
			}
		}
	}
	return c.settle(ctx)
}

// Tick lets time pass: members that have been silent for too long are gone,
// tasks whose member is unknown are placed anew, and new jobs are taken up.
// The shell calls it at every heartbeat interval.
func (c *Core) Tick(ctx context.Context) error {
	now := c.clock.Now()
	for _, m := range c.silent(now) {
		if err := c.Gone(ctx, m); err != nil {
			return err
		}
	}
	c.rejectUnfit(now)
	return c.Poll(ctx)
}

// silent returns the members of whom nothing was heard for GoneAfter, and those
// that a replayed job counts on although they never reported to this
// coordinator, in order of id.
func (c *Core) silent(now time.Time) []jobs.MemberID {
	var gone []jobs.MemberID
	for id, m := range c.members {
		if now.Sub(m.seen) >= c.cfg.GoneAfter {
			gone = append(gone, id)
		}
	}
	for _, id := range c.order {
		t := c.jobs[id]
		for _, task := range t.tasks.running {
			if now.Sub(t.sent[task.ID]) < c.cfg.GoneAfter {
				continue
			}
			for _, m := range task.Members {
				if c.members[m] == nil {
					gone = append(gone, m)
				}
			}
		}
	}
	slices.Sort(gone)
	return slices.Compact(gone)
}

// room returns the free slots and memory of the members that may get tasks now,
// in order of id.
func (c *Core) room(now time.Time) []place.Member {
	free := map[jobs.MemberID]*place.Member{}
	var out []*place.Member
	for id, m := range c.members {
		if now.Sub(m.seen) < c.cfg.SuspectAfter && !m.hello.Draining {
			p := &place.Member{ID: id, FreeSlots: m.hello.Slots, FreeBytes: m.hello.MaxBytes}
			free[id] = p
			out = append(out, p)
		}
	}
	for _, id := range c.order {
		t := c.jobs[id]
		stage, _ := t.job.Current()
		for _, task := range t.tasks.running {
			for _, m := range task.Members {
				if p := free[m]; p != nil {
					p.FreeSlots--
					p.FreeBytes -= stage.MaxBytes
				}
			}
			if g := t.gangs[task.ID]; g != nil {
				for m := range g.joining {
					if p := free[m]; p != nil {
						p.FreeSlots--
						p.FreeBytes -= stage.MaxBytes
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b *place.Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	flat := make([]place.Member, len(out))
	for i, p := range out {
		flat[i] = *p
	}
	return flat
}

// Members returns the heartbeats of the members that are here, by id.
func (c *Core) Members() []jobs.Hello {
	var out []jobs.Hello
	for _, m := range c.members {
		out = append(out, m.hello)
	}
	slices.SortFunc(out, func(a, b jobs.Hello) int {
		if a.Member < b.Member {
			return -1
		}
		return 1
	})
	return out
}
