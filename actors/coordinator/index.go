package coordinator

import (
	"cmp"
	"slices"

	"github.com/troupe-ml/troupe/jobs"
)

// index finds the tasks of a job's current stage that are at work, and those
// that wait, without a walk over all: a stage may have many thousands, and the
// coordinator asks at every report.
type index struct {
	running []*jobs.Task // in order of their place
	pending int          // no task before this place waits
}

// newIndex looks at every task of the job's current stage.
func newIndex(j *jobs.Job) index {
	var x index
	_, tasks := j.Current()
	for _, t := range tasks {
		if t.Phase == jobs.Running {
			x.running = append(x.running, t)
		}
	}
	return x
}

// update takes in that an event has been folded into the job.
func (x *index) update(j *jobs.Job, e jobs.Event) {
	if e.Kind == jobs.StagePlanned {
		*x = newIndex(j)
		return
	}
	t := j.Task(e.Task)
	if t == nil || t.Stage != len(j.Stages)-1 {
		return
	}
	at, found := slices.BinarySearchFunc(x.running, t.Index, func(r *jobs.Task, place int) int { return cmp.Compare(r.Index, place) })
	switch runs := t.Phase == jobs.Running; {
	case runs && !found:
		x.running = slices.Insert(x.running, at, t)
	case !runs && found:
		x.running = slices.Delete(x.running, at, at+1)
	}
	if t.Phase == jobs.Pending {
		x.pending = min(x.pending, t.Index)
	}
}

// waiting returns the tasks from the first one that waits on; tasks are those of
// the current stage.
func (x *index) waiting(tasks []*jobs.Task) []*jobs.Task {
	for x.pending < len(tasks) && tasks[x.pending].Phase != jobs.Pending {
		x.pending++
	}
	return tasks[x.pending:]
}
