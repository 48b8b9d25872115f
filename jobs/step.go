package jobs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Errors of Step, for errors.Is.
var (
	ErrUnknownTask  = errors.New("unknown task")
	ErrUnknownEvent = errors.New("unknown event")
	ErrOrder        = errors.New("event out of order")
)

// Bounds of trying again.
const (
	MaxFailures = 4  // retryable failures of one task before the job fails
	MaxLosses   = 20 // members lost under one task before it counts as poison
)

// Step applies one durable event and returns the effects to carry out, in
// order. A duplicate, late or foreign result (of an attempt other than the
// current one) changes nothing and has no effect, so events may be offered and
// effects be sent again.
//
// An error leaves j as it was: ErrUnknownTask when e names no task of j,
// ErrUnknownEvent when e is of a kind this version does not know, ErrOrder when
// the event cannot follow what happened before.
func (j *Job) Step(e Event) ([]Effect, error) {
	switch e.Kind {
	case Submitted:
		return j.submitted(e)
	case StagePlanned:
		return j.stagePlanned(e)
	case TaskAssigned, TaskDone, TaskFailed, TaskLost, TaskCheckpoint, TaskRegrouped:
		return j.taskEvent(e)
	case CancelRequested:
		return j.end(Cancelled, e, &Failure{Kind: fault.Canceled, Message: reason(e)}), nil
	case Concluded:
		if !j.StageDone() || e.Result == nil {
			return nil, j.outOfOrder(e)
		}
		j.Result = *e.Result
		return j.end(Done, e, nil), nil
	case Rejected:
		return j.end(Failed, e, e.Failure), nil
	default:
		return nil, fmt.Errorf("step %s: %w: %d", j.ID, ErrUnknownEvent, e.Kind)
	}
}

func reason(e Event) string {
	if e.Failure != nil && e.Failure.Message != "" {
		return e.Failure.Message
	}
	return "cancelled"
}

func (j *Job) outOfOrder(e Event) error {
	return fmt.Errorf("step %s: %w: kind %d while %v", j.ID, ErrOrder, e.Kind, j.Phase)
}

func (j *Job) submitted(e Event) ([]Effect, error) {
	if j.Phase != Pending {
		return nil, nil // submitted before
	}
	j.Phase, j.Kind, j.Name, j.Spec, j.SubmittedAt = Running, e.JobKind, e.Name, e.Spec, e.At
	return []Effect{{Kind: Plan}}, nil
}

func (j *Job) stagePlanned(e Event) ([]Effect, error) {
	if !j.StageDone() || e.Stage == nil || e.Stage.NumTasks < 0 {
		return nil, j.outOfOrder(e)
	}
	if e.Stage.Shape != Map && e.Stage.NumTasks != 1 {
		return nil, j.outOfOrder(e)
	}
	s := *e.Stage
	if len(j.StageTasks(s.Name)) > 0 {
		return nil, fmt.Errorf("step %s: %w: stage %q planned twice", j.ID, ErrOrder, s.Name)
	}
	j.first = append(j.first, len(j.Tasks))
	j.Stages = append(j.Stages, s)
	for i := range s.NumTasks {
		t := &Task{ID: TaskID(fmt.Sprintf("%s/%d", s.Name, i)), Stage: len(j.Stages) - 1, Index: i}
		j.Tasks = append(j.Tasks, t)
		j.byID[t.ID] = t
	}
	j.open = s.NumTasks
	if j.open == 0 { // a dataset without rows has no shards
		return []Effect{{Kind: Plan}}, nil
	}
	return []Effect{{Kind: Place}}, nil
}

func (j *Job) taskEvent(e Event) ([]Effect, error) {
	t := j.byID[e.Task]
	if t == nil {
		return nil, fmt.Errorf("step %s: %w: %q", j.ID, ErrUnknownTask, e.Task)
	}
	if j.Phase.Ended() {
		return nil, nil // nobody waits for it any more
	}
	if e.Kind == TaskAssigned {
		return j.assigned(t, e)
	}
	if t.Phase != Running || e.Attempt != t.Attempt {
		return nil, nil // fenced: not the attempt we are waiting for
	}
	switch e.Kind {
	case TaskCheckpoint:
		if e.Result != nil && e.Result.Output != t.Checkpoint {
			t.Checkpoint, t.Losses = e.Result.Output, 0 // it gets on: the losses so far were not its fault
		}
		return nil, nil
	case TaskRegrouped:
		return j.regrouped(t, e)
	case TaskDone:
		return j.done(t, e)
	case TaskLost:
		return j.lost(t, e), nil
	default:
		return j.failed(t, e), nil
	}
}

func (j *Job) assigned(t *Task, e Event) ([]Effect, error) {
	if t.Phase != Pending || e.Attempt != t.Attempt+1 || len(e.Members) == 0 {
		return nil, nil // an assignment of somebody who has been overtaken
	}
	t.Phase, t.Attempt, t.Members, t.Former = Running, e.Attempt, slices.Clone(e.Members), nil
	return []Effect{{Kind: Start, Task: t.ID, Attempt: t.Attempt, Members: t.Members}}, nil
}

// regrouped begins a gang's next attempt with other members. Those that stay go
// over to it by themselves; those that leave are told to stop.
func (j *Job) regrouped(t *Task, e Event) ([]Effect, error) {
	if j.Stages[t.Stage].Shape != Gang || len(e.Members) == 0 {
		return nil, j.outOfOrder(e)
	}
	var effects []Effect
	leave := slices.DeleteFunc(slices.Clone(t.Members), func(m MemberID) bool { return slices.Contains(e.Members, m) })
	if len(leave) > 0 {
		effects = append(effects, Effect{Kind: Stop, Task: t.ID, Attempt: t.Attempt, Members: leave})
	}
	t.Attempt, t.Members = t.Attempt+1, slices.Clone(e.Members)
	return append(effects, Effect{Kind: Start, Task: t.ID, Attempt: t.Attempt, Members: t.Members}), nil
}

func (j *Job) done(t *Task, e Event) ([]Effect, error) {
	if e.Result == nil {
		return nil, j.outOfOrder(e)
	}
	for _, m := range t.Members {
		j.workers[m] = true
	}
	j.Workers = len(j.workers)
	if n := e.Result.PeakRSS; n > 0 {
		j.PeakRSS[t.Members[0]] = max(j.PeakRSS[t.Members[0]], n)
	}
	t.Phase, t.Result = Done, *e.Result
	if j.open--; j.open > 0 {
		return nil, nil
	}
	return []Effect{{Kind: Plan}}, nil
}

func (j *Job) lost(t *Task, e Event) []Effect {
	t.Losses++
	if t.Losses >= MaxLosses {
		msg := fmt.Sprintf("task %s: %d workers ended while running it; the last was %s", t.ID, t.Losses, memberOf(e, t))
		return j.end(Failed, e, &Failure{Kind: fault.Internal, Message: msg})
	}
	return j.again(t)
}

func (j *Job) failed(t *Task, e Event) []Effect {
	f := e.Failure
	if f == nil {
		f = &Failure{Kind: fault.Internal, Message: "failed without a reason"}
	}
	t.Failures++
	if !f.Kind.Retryable() || t.Failures >= MaxFailures {
		msg := fmt.Sprintf("task %s: attempt %d: %s", t.ID, t.Attempt, f.Message)
		return j.end(Failed, e, &Failure{Kind: f.Kind, Message: msg})
	}
	return j.again(t)
}

// again makes t pending. Other ranks of a gang are told to stop; the attempt
// number of the next assignment fences off whatever they still send.
func (j *Job) again(t *Task) []Effect {
	stop := Effect{Kind: Stop, Task: t.ID, Attempt: t.Attempt, Members: t.Members}
	if j.Stages[t.Stage].Shape == Gang {
		t.Former = t.Members
	}
	t.Phase, t.Members = Pending, nil
	return []Effect{stop, {Kind: Place, Task: t.ID, Backoff: t.Failures}}
}

func memberOf(e Event, t *Task) MemberID {
	if len(e.Members) > 0 {
		return e.Members[0]
	}
	return t.Members[0]
}

// end moves the job to a final phase and stops what still runs.
func (j *Job) end(phase Phase, e Event, f *Failure) []Effect {
	if j.Phase.Ended() {
		return nil
	}
	j.Phase, j.Failure, j.EndedAt = phase, f, e.At
	var effects []Effect
	for _, t := range j.Tasks {
		if t.Phase == Running {
			effects = append(effects, Effect{Kind: Stop, Task: t.ID, Attempt: t.Attempt, Members: t.Members})
		}
	}
	return append(effects, Effect{Kind: Finish})
}

// Resume returns the effects that bring a replayed job going again: what a
// coordinator that takes over has to do. They equal, up to repetition, what the
// predecessor had still to do.
func (j *Job) Resume() []Effect {
	switch {
	case j.Phase == Pending:
		return nil
	case j.Phase.Ended():
		return []Effect{{Kind: Finish}}
	case j.StageDone():
		return []Effect{{Kind: Plan}}
	}
	var effects []Effect
	_, tasks := j.Current()
	pending := false
	for _, t := range tasks {
		switch t.Phase {
		case Running:
			effects = append(effects, Effect{Kind: Start, Task: t.ID, Attempt: t.Attempt, Members: t.Members})
		case Pending:
			pending = true
		}
	}
	if pending {
		effects = append(effects, Effect{Kind: Place})
	}
	return effects
}
