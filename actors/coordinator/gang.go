package coordinator

import (
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/jobs"
)

// gang is what the coordinator knows of a running gang beside its job: who
// prepares to join it. It is soft: members that prepare say so in their
// heartbeats, and are asked again by a successor.
type gang struct {
	joining map[jobs.MemberID]*joiner
	refused map[jobs.MemberID]int // members that are not asked before this attempt
	shared  int                   // the attempt in which a leaving rank hands its state over
	saved   int                   // the newest attempt that has stored a state: it is at work
}

// joiner is a member that was ordered to prepare.
type joiner struct {
	attempt int // in which it was asked
	sent    time.Time
	ready   bool
}

func (t *tracked) gangOf(id jobs.TaskID) *gang {
	g := t.gangs[id]
	if g == nil {
		g = &gang{joining: map[jobs.MemberID]*joiner{}, refused: map[jobs.MemberID]int{}}
		t.gangs[id] = g
	}
	return g
}

// isJoining reports whether a member prepares to join a gang by the attempt r.
func (t *tracked) isJoining(m jobs.MemberID, r jobs.Ref) bool {
	task := t.job.Task(r.Task)
	if t.job.Phase.Ended() || task == nil || task.Phase.Ended() || t.job.Stages[task.Stage].Shape != jobs.Gang {
		return false
	}
	if g := t.gangs[r.Task]; g != nil && g.joining[m] != nil && g.joining[m].attempt == r.Attempt {
		return true
	}
	// A predecessor has asked it: who is no rank of the attempt prepares for the next.
	return task.Phase == jobs.Running && task.Attempt == r.Attempt && !slices.Contains(task.Members, m)
}

// joined takes in how a member's preparations went.
func (c *Core) joined(t *tracked, r jobs.Report) {
	g := t.gangOf(r.Ref.Task)
	delete(g.joining, r.Member)
	switch {
	case r.Lost: // it was stopped, and does not begin the same attempt again
		g.refused[r.Member] = r.Ref.Attempt + 1
	case r.Failure != nil:
		c.log.Warn("member cannot join the gang", slog.String("job", string(t.job.ID)), slog.String("task", string(r.Ref.Task)), slog.String("member", string(r.Member)), slog.String("err", r.Failure.Message))
		g.refused[r.Member] = math.MaxInt
	default:
		g.joining[r.Member] = &joiner{attempt: r.Ref.Attempt, ready: true}
	}
}

// regroup lets running gangs take in members that are ready, and go on without
// those that leave; it asks members with room to prepare. It reports whether a
// gang has a new generation.
func (c *Core) regroup() bool {
	now, changed := c.clock.Now(), false
	for _, id := range c.order {
		t := c.jobs[id]
		stage, _ := t.job.Current()
		if stage == nil || stage.Shape != jobs.Gang || t.job.Phase != jobs.Running {
			continue
		}
		for _, task := range slices.Clone(t.tasks.running) {
			g := t.gangOf(task.ID)
			for m := range g.joining {
				if c.members[m] == nil || c.members[m].hello.Draining || slices.Contains(task.Members, m) {
					delete(g.joining, m)
				}
			}
			if members := c.next(stage, task, g); members != nil {
				c.emit(t, jobs.Event{Kind: jobs.TaskRegrouped, Task: task.ID, Attempt: task.Attempt, Members: members})
				changed = true
				continue
			}
			c.invite(t, stage, task, g, now)
		}
	}
	return changed
}

// staying returns the ranks of a gang that do not leave.
func (c *Core) staying(task *jobs.Task) []jobs.MemberID {
	var stay []jobs.MemberID
	for _, m := range task.Members {
		if mem := c.members[m]; mem == nil || !mem.hello.Draining {
			stay = append(stay, m)
		}
	}
	return stay
}

// next returns the ranks of a gang's next generation, or nil while it goes on as
// it is. When all of its ranks leave they stay for one more generation, in which
// those that are new are sent their state, and which nobody else cuts short. A gang
// that keeps no state is disturbed only when ranks leave, and has nothing to send.
func (c *Core) next(stage *jobs.Stage, task *jobs.Task, g *gang) []jobs.MemberID {
	stay := c.staying(task)
	var ready []jobs.MemberID
	for m, j := range g.joining {
		if j.ready {
			ready = append(ready, m)
		}
	}
	slices.Sort(ready)
	ready = ready[:max(0, min(len(ready), max(stage.MaxRanks, stage.MinRanks, 1)-len(stay)))]
	leaves := len(stay) < len(task.Members)
	enough := len(stay)+len(ready) >= max(stage.MinRanks, 1)
	switch {
	case len(ready) == 0 && !leaves, !enough, stage.Anew && !leaves:
		return nil
	case g.shared == task.Attempt && g.saved != task.Attempt:
		return nil // the state is on its way
	case len(stay) == 0 && !stage.Anew:
		g.shared = task.Attempt + 1
		stay = slices.Clone(task.Members)
	}
	return append(stay, ready...)
}

// invite asks members with room to prepare, as many as the gang may still take.
func (c *Core) invite(t *tracked, stage *jobs.Stage, task *jobs.Task, g *gang, now time.Time) {
	stay := len(c.staying(task))
	free := max(stage.MaxRanks, stage.MinRanks) - stay - len(g.joining)
	if stage.Anew && stay == len(task.Members) {
		return // whoever joins would have all begun again
	}
	if free <= 0 {
		return // a full gang is no reason to look at all members and tasks
	}
	for _, m := range c.room(now) {
		if free == 0 {
			return
		}
		switch {
		case m.FreeSlots <= 0, stage.MaxBytes > 0 && m.FreeBytes < stage.MaxBytes:
		case slices.Contains(task.Members, m.ID), g.joining[m.ID] != nil, task.Attempt < g.refused[m.ID]:
		default:
			g.joining[m.ID] = &joiner{attempt: task.Attempt}
			free--
			c.ask(t, task, m.ID, g.joining[m.ID])
		}
	}
}

// ask orders a member to prepare.
func (c *Core) ask(t *tracked, task *jobs.Task, m jobs.MemberID, j *joiner) {
	o := c.orderOf(t, task)
	o.Rank, o.Attempt = jobs.Joining, j.attempt
	j.sent = c.clock.Now()
	c.out.Start(m, o)
}
