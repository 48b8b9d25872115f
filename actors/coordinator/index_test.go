package coordinator

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
)

// Whatever happens to a job, the index knows what a walk over all tasks finds.
func TestTheIndexIsAWalkOverAllTasks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		j := jobs.New("j")
		var x index
		step := func(e jobs.Event) {
			if !j.Relevant(e) {
				return
			}
			if _, err := j.Step(e); err != nil {
				t.Fatal(err)
			}
			x.update(j, e)
		}
		step(jobs.Event{Kind: jobs.Submitted, JobKind: "work"})
		for range rapid.IntRange(1, 200).Draw(t, "events") {
			stage, tasks := j.Current()
			if stage == nil || j.StageDone() {
				step(jobs.Event{Kind: jobs.StagePlanned, Stage: &jobs.Stage{Name: string(rune('a' + len(j.Stages))), NumTasks: rapid.IntRange(0, 8).Draw(t, "tasks")}})
				continue
			}
			task := tasks[rapid.IntRange(0, len(tasks)-1).Draw(t, "task")]
			e := jobs.Event{Task: task.ID, Attempt: task.Attempt, Kind: rapid.SampledFrom([]jobs.EventKind{jobs.TaskAssigned, jobs.TaskAssigned, jobs.TaskDone, jobs.TaskDone, jobs.TaskFailed, jobs.TaskLost}).Draw(t, "kind")}
			switch e.Kind {
			case jobs.TaskAssigned:
				e.Attempt, e.Members = task.Attempt+1, []jobs.MemberID{"m"}
			case jobs.TaskDone:
				e.Result = &jobs.Result{}
			default:
				e.Failure = &jobs.Failure{Kind: fault.Unavailable}
			}
			step(e)
			if rapid.Bool().Draw(t, "asked") {
				checkIndex(t, &x, j)
			}
		}
		checkIndex(t, &x, j)
	})
}

func checkIndex(t *rapid.T, x *index, j *jobs.Job) {
	stage, tasks := j.Current()
	if stage == nil || j.Phase != jobs.Running {
		return
	}
	var running, pending, found []jobs.TaskID
	for _, task := range tasks {
		switch task.Phase {
		case jobs.Running:
			running = append(running, task.ID)
		case jobs.Pending:
			pending = append(pending, task.ID)
		}
	}
	for _, task := range x.waiting(tasks) {
		if task.Phase == jobs.Pending {
			found = append(found, task.ID)
		}
	}
	require.Equal(t, pending, found)
	found = nil
	for _, task := range x.running {
		found = append(found, task.ID)
	}
	require.Equal(t, running, found)
	require.Len(t, newIndex(j).running, len(running))
}
