package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/place"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// Report takes in how an attempt went. The member hears that it is durable, or
// that nobody waits for it.
func (c *Core) Report(ctx context.Context, r jobs.Report) error {
	t := c.jobs[r.Ref.Job]
	if t == nil {
		if err := c.Poll(ctx); err != nil {
			return err
		}
		t = c.jobs[r.Ref.Job]
	}
	if t != nil && t.isJoining(r.Member, r.Ref) {
		c.joined(t, r)
		t = nil
	}
	if t != nil && r.Lost && c.early(t, r.Ref) {
		return c.settle(ctx) // the member says it again
	}
	if t != nil {
		c.emit(t, reportEvent(r))
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	c.out.Ack(r.Member, r.Ref)
	return nil
}

// early reports whether a gang's broken links are too fresh to believe in.
func (c *Core) early(t *tracked, r jobs.Ref) bool {
	if !c.wanted(t, r) {
		return false
	}
	now, b := c.clock.Now(), t.broken[r.Task]
	if b.attempt != r.Attempt {
		b = broken{r.Attempt, now}
		t.broken[r.Task] = b
	}
	return now.Sub(b.since) < c.cfg.GangSettle
}

func reportEvent(r jobs.Report) jobs.Event {
	e := jobs.Event{Task: r.Ref.Task, Attempt: r.Ref.Attempt}
	switch {
	case r.Lost:
		e.Kind = jobs.TaskLost
	case r.Failure != nil:
		e.Kind, e.Failure = jobs.TaskFailed, r.Failure
	default:
		e.Kind, e.Result = jobs.TaskDone, &r.Result
	}
	return e
}

// Checkpoint takes in that a gang has saved its state.
func (c *Core) Checkpoint(ctx context.Context, k jobs.Checkpoint) error {
	if t := c.jobs[k.Ref.Job]; t != nil {
		if c.wanted(t, k.Ref) {
			t.gangOf(k.Ref.Task).saved = k.Ref.Attempt
		}
		c.emit(t, jobs.Event{Kind: jobs.TaskCheckpoint, Task: k.Ref.Task, Attempt: k.Ref.Attempt, Result: &jobs.Result{Output: k.Output}})
	}
	return c.settle(ctx)
}

// Progress passes on how far a task is, unless it is of an old attempt.
func (c *Core) Progress(p jobs.Progress) {
	if t := c.jobs[p.Ref.Job]; t != nil && c.wanted(t, p.Ref) {
		c.out.Progress(p)
	}
}

func (c *Core) wanted(t *tracked, r jobs.Ref) bool {
	task := t.job.Task(r.Task)
	return !t.job.Phase.Ended() && task != nil && task.Phase == jobs.Running && task.Attempt == r.Attempt
}

// emit folds an event into the job if it is news. It becomes durable, and has
// its effects, at the next settle.
func (c *Core) emit(t *tracked, e jobs.Event) {
	if !t.job.Relevant(e) {
		return
	}
	e.At = c.clock.Now().UnixMilli()
	effects, err := t.job.Step(e)
	if err != nil {
		c.log.Error("event refused", slog.String("job", string(t.job.ID)), slog.Any("err", err))
		return
	}
	t.tasks.update(t.job, e)
	if task := t.job.Task(e.Task); task != nil && task.Phase.Ended() {
		delete(t.gangs, task.ID)
	}
	t.pending = append(t.pending, e)
	t.effects = append(t.effects, effects...)
}

// settle decides what follows, writes it, and carries it out, until there is
// nothing left to do. A task that is done and the one that takes its slot are
// written together: the next begins after one write, not two.
func (c *Core) settle(ctx context.Context) error {
	for {
		c.decide()
		acted, err := c.act(ctx)
		if err != nil {
			return err
		}
		if !acted && !c.regroup() {
			return nil
		}
	}
}

// decide plans and places what waits. All that follows is events, which are not
// durable yet, and effects that others would see, which wait for that.
func (c *Core) decide() {
	for {
		for _, id := range c.order {
			t := c.jobs[id]
			var later []jobs.Effect
			for len(t.effects) > 0 {
				e := t.effects[0]
				t.effects = t.effects[1:]
				switch e.Kind {
				case jobs.Plan:
					c.planNext(t)
				case jobs.Place:
					if e.Backoff > 0 {
						t.notBefore[e.Task] = c.clock.Now().Add(jobs.Backoff(c.cfg.Backoff, e.Backoff, t.job.ID, e.Task))
					}
				default:
					later = append(later, e)
				}
			}
			t.effects = later
		}
		if !c.place() {
			return
		}
	}
}

// act writes what has been folded and carries out the effects. It reports whether
// there were any.
func (c *Core) act(ctx context.Context) (acted bool, err error) {
	for _, id := range slices.Clone(c.order) {
		t := c.jobs[id]
		if err := c.write(ctx, t); err != nil {
			return acted, err
		}
		effects := t.effects
		t.effects = nil
		for i, e := range effects {
			if err := c.perform(ctx, t, e); err != nil {
				t.effects = append(slices.Clone(effects[i:]), t.effects...) // the next call goes on here
				return acted, err
			}
		}
		acted = acted || len(effects) > 0
	}
	return acted, nil
}

// write appends the job's folded events to its log. When somebody else has
// written, this coordinator has been replaced: a job's log has one writer.
func (c *Core) write(ctx context.Context, t *tracked) error {
	if len(t.pending) == 0 {
		return nil
	}
	record, err := jobs.EncodeRecord(c.epoch, t.pending)
	if err != nil {
		return err
	}
	err = c.store.Logs.Append(ctx, joblog.Name(t.job.ID), t.records, record)
	if errors.Is(err, store.ErrConflict) {
		return c.conflict(ctx, t, record)
	}
	if err != nil {
		return fmt.Errorf("coordinator: write the log of %s: %w", t.job.ID, err)
	}
	t.records++
	t.pending = nil
	return nil
}

// conflict finds out what an append met: its own record, written by an attempt
// whose answer was lost, or a successor's.
func (c *Core) conflict(ctx context.Context, t *tracked, record []byte) error {
	newer, err := c.store.Logs.Read(ctx, joblog.Name(t.job.ID), t.records)
	if err != nil {
		return fmt.Errorf("coordinator: write the log of %s: %w", t.job.ID, err)
	}
	if len(newer) == 1 && slices.Equal(newer[0], record) {
		t.records++
		t.pending = nil
		return nil
	}
	return fmt.Errorf("coordinator: write the log of %s: %w", t.job.ID, ErrReplaced)
}

// perform carries out an effect of events that are durable.
func (c *Core) perform(ctx context.Context, t *tracked, e jobs.Effect) error {
	switch e.Kind {
	case jobs.Plan, jobs.Place: // have been decided
	case jobs.Start:
		c.start(t, e.Task, e.Members)
	case jobs.Stop:
		for _, m := range e.Members {
			c.out.Stop(m, jobs.Ref{Epoch: c.epoch, Job: t.job.ID, Task: e.Task, Attempt: e.Attempt})
		}
	case jobs.Finish:
		return c.finish(ctx, t)
	}
	return nil
}

func (c *Core) planNext(t *tracked) {
	if !t.job.StageDone() {
		return
	}
	next, result, err := c.plan(t.job)
	switch {
	case err != nil:
		c.emit(t, jobs.Event{Kind: jobs.Rejected, Failure: &jobs.Failure{Kind: fault.Of(err), Message: err.Error()}})
	case result != nil:
		c.emit(t, jobs.Event{Kind: jobs.Concluded, Result: result})
	default:
		c.emit(t, jobs.Event{Kind: jobs.StagePlanned, Stage: next})
	}
}

// start orders every rank of a task's current attempt.
func (c *Core) start(t *tracked, id jobs.TaskID, members []jobs.MemberID) {
	task := t.job.Task(id)
	o := c.orderOf(t, task)
	t.sent[id] = c.clock.Now()
	for rank, m := range task.Members {
		if slices.Contains(members, m) {
			o.Rank = rank
			c.out.Start(m, o)
		}
	}
}

// orderOf is the order for a task's current attempt, of rank 0.
func (c *Core) orderOf(t *tracked, task *jobs.Task) jobs.Order {
	o := jobs.Order{
		Epoch: c.epoch, Job: t.job.ID, Task: task.ID, Attempt: task.Attempt, Stage: t.job.Stages[task.Stage], Index: task.Index,
		Kind: t.job.Kind, Spec: t.job.Spec, Members: task.Members, Checkpoint: task.Checkpoint,
	}
	for _, m := range task.Members {
		address := ""
		if mem := c.members[m]; mem != nil {
			address = mem.hello.DataAddr
		}
		o.Peers = append(o.Peers, address)
	}
	return o
}

// finish makes a job's end known. Members that still run a part of it have been
// told to stop. The job is closed once the world knows; whoever takes over before
// tells it again.
func (c *Core) finish(ctx context.Context, t *tracked) error {
	if c.out.Ended(t.job) {
		if err := c.close(ctx, t.job.ID); err != nil {
			return err
		}
	} else {
		c.telling[t.job.ID] = false
	}
	c.order = slices.DeleteFunc(c.order, func(id jobs.ID) bool { return id == t.job.ID })
	delete(c.jobs, t.job.ID)
	return nil
}

// Told closes a job of whose end the world knows now.
func (c *Core) Told(ctx context.Context, id jobs.ID) error {
	if _, ok := c.telling[id]; !ok {
		return nil // of an earlier term
	}
	c.telling[id] = true
	return c.closeTold(ctx)
}

// closeTold closes the jobs whose end has been told.
func (c *Core) closeTold(ctx context.Context) error {
	for id, told := range c.telling {
		if !told {
			continue
		}
		if err := c.close(ctx, id); err != nil {
			return err // the next poll tries again
		}
		delete(c.telling, id)
	}
	return nil
}

// close removes a job from those that are open.
func (c *Core) close(ctx context.Context, id jobs.ID) error {
	name := joblog.OpenPrefix + string(id)
	_, rev, err := c.store.Refs.Get(ctx, name)
	if err == nil {
		err = c.store.Refs.Delete(ctx, name, rev)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("coordinator: close %s: %w", id, err)
	}
	return nil
}

// place gives waiting tasks to members with room and reports whether it placed
// any. It looks at no more single tasks than there are free slots: a stage may
// have many thousands.
func (c *Core) place() bool {
	now := c.clock.Now()
	room := c.room(now)
	free := 0
	for _, m := range room {
		free += max(m.FreeSlots, 0)
	}
	if free == 0 {
		return false
	}
	wants := c.waiting(now, free)
	if len(wants) == 0 {
		return false
	}
	assigned := place.Assign(wants, room)
	for _, a := range assigned {
		t := c.jobs[a.Job]
		c.emit(t, jobs.Event{Kind: jobs.TaskAssigned, Task: a.Task, Attempt: t.job.Task(a.Task).Attempt + 1, Members: a.Members})
	}
	return len(assigned) > 0
}

// waiting returns the tasks that may be placed now, in order of jobs and
// shards: at most so many of each job.
func (c *Core) waiting(now time.Time, most int) []place.Want {
	var wants []place.Want
	for _, id := range c.order {
		t := c.jobs[id]
		stage, tasks := t.job.Current()
		if stage == nil || t.job.Phase != jobs.Running {
			continue
		}
		found := 0
		for _, task := range t.tasks.waiting(tasks) {
			if found == most {
				break
			}
			if task.Phase == jobs.Pending && !now.Before(t.notBefore[task.ID]) {
				wants = append(wants, place.Want{Job: id, Task: task.ID, Bytes: stage.MaxBytes, Gang: stage.Shape == jobs.Gang, MinRanks: stage.MinRanks, MaxRanks: stage.MaxRanks, Former: task.Former})
				found++
			}
		}
	}
	return wants
}
