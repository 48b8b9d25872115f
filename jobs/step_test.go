package jobs

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
)

func mustStep(t require.TestingT, j *Job, e Event) []Effect {
	effects, err := j.Step(e)
	require.NoError(t, err)
	return effects
}

func startedJob(t require.TestingT, numTasks int) *Job {
	j := New("j")
	mustStep(t, j, Event{Kind: Submitted, JobKind: "features"})
	mustStep(t, j, Event{Kind: StagePlanned, Stage: &Stage{Name: "map", NumTasks: numTasks}})
	return j
}

func kinds(effects []Effect) []EffectKind {
	out := []EffectKind{}
	for _, e := range effects {
		out = append(out, e.Kind)
	}
	return out
}

func TestAJobGoesFromSubmissionToItsEnd(t *testing.T) {
	t.Parallel()
	j := startedJob(t, 2)
	for i, id := range []TaskID{"map/0", "map/1"} {
		e := mustStep(t, j, Event{Kind: TaskAssigned, Task: id, Attempt: 1, Members: []MemberID{"m"}})
		require.Equal(t, []EffectKind{Start}, kinds(e))
		e = mustStep(t, j, Event{Kind: TaskDone, Task: id, Attempt: 1, Result: &Result{RowsIn: 5}})
		require.Equal(t, i == 1, len(e) == 1, "the planner is asked once, after the last task")
	}
	require.True(t, j.StageDone())
	e := mustStep(t, j, Event{Kind: Concluded, Result: &Result{Output: "sha256:x"}})
	require.Equal(t, []EffectKind{Finish}, kinds(e))
	require.Equal(t, Done, j.Phase)
	require.Equal(t, 1, j.Workers)
}

func TestAStageWithoutTasksIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	j := New("j")
	mustStep(t, j, Event{Kind: Submitted})
	require.Equal(t, []EffectKind{Plan}, kinds(mustStep(t, j, Event{Kind: StagePlanned, Stage: &Stage{Name: "map"}})))
	require.True(t, j.StageDone())
}

func TestAFailureThatMayPassIsTriedAgainAndThenEndsTheJob(t *testing.T) {
	t.Parallel()
	j := startedJob(t, 1)
	for attempt := 1; attempt <= MaxFailures; attempt++ {
		mustStep(t, j, Event{Kind: TaskAssigned, Task: "map/0", Attempt: attempt, Members: []MemberID{"m"}})
		mustStep(t, j, Event{Kind: TaskFailed, Task: "map/0", Attempt: attempt, Failure: &Failure{Kind: fault.Unavailable, Message: "no store"}})
	}
	require.Equal(t, Failed, j.Phase)
	require.Equal(t, fault.Unavailable, j.Failure.Kind)
	require.Contains(t, j.Failure.Message, "map/0: attempt 4: no store")
}

func TestAFailureThatCannotPassEndsTheJobAndStopsTheOthers(t *testing.T) {
	t.Parallel()
	j := startedJob(t, 2)
	mustStep(t, j, Event{Kind: TaskAssigned, Task: "map/0", Attempt: 1, Members: []MemberID{"m"}})
	mustStep(t, j, Event{Kind: TaskAssigned, Task: "map/1", Attempt: 1, Members: []MemberID{"n"}})
	e := mustStep(t, j, Event{Kind: TaskFailed, Task: "map/0", Attempt: 1, Failure: &Failure{Kind: fault.Invalid, Message: "row group 3: bad page"}})
	require.Equal(t, []Effect{{Kind: Stop, Task: "map/0", Attempt: 1, Members: []MemberID{"m"}}, {Kind: Stop, Task: "map/1", Attempt: 1, Members: []MemberID{"n"}}, {Kind: Finish}}[1:], e[len(e)-2:])
	require.Equal(t, Failed, j.Phase)
}

func TestATaskThatKillsItsWorkersEndsTheJob(t *testing.T) {
	t.Parallel()
	j := startedJob(t, 1)
	for attempt := 1; attempt <= MaxLosses; attempt++ {
		mustStep(t, j, Event{Kind: TaskAssigned, Task: "map/0", Attempt: attempt, Members: []MemberID{"m"}})
		mustStep(t, j, Event{Kind: TaskLost, Task: "map/0", Attempt: attempt, Members: []MemberID{"m"}})
	}
	require.Equal(t, Failed, j.Phase)
}

func TestALostGangStopsItsSurvivorsAndFormsAnew(t *testing.T) {
	t.Parallel()
	j := New("j")
	mustStep(t, j, Event{Kind: Submitted})
	mustStep(t, j, Event{Kind: StagePlanned, Stage: &Stage{Name: "fit", Shape: Gang, NumTasks: 1, MinRanks: 1, MaxRanks: 3}})
	mustStep(t, j, Event{Kind: TaskAssigned, Task: "fit/0", Attempt: 1, Members: []MemberID{"a", "b", "c"}})
	mustStep(t, j, Event{Kind: TaskCheckpoint, Task: "fit/0", Attempt: 1, Result: &Result{Output: "sha256:ckpt"}})
	e := mustStep(t, j, Event{Kind: TaskLost, Task: "fit/0", Attempt: 1, Members: []MemberID{"b"}})
	require.Equal(t, []EffectKind{Stop, Place}, kinds(e))
	require.Equal(t, "sha256:ckpt", j.Task("fit/0").Checkpoint)
	e = mustStep(t, j, Event{Kind: TaskAssigned, Task: "fit/0", Attempt: 2, Members: []MemberID{"a", "c"}})
	require.Equal(t, []EffectKind{Start}, kinds(e))
	require.Empty(t, mustStep(t, j, Event{Kind: TaskDone, Task: "fit/0", Attempt: 1, Result: &Result{}}), "the old generation is fenced off")
}

func TestUnknownThingsAreErrorsAndChangeNothing(t *testing.T) {
	t.Parallel()
	j := startedJob(t, 1)
	_, err := j.Step(Event{Kind: TaskDone, Task: "nope/7"})
	require.ErrorIs(t, err, ErrUnknownTask)
	_, err = j.Step(Event{Kind: 200})
	require.ErrorIs(t, err, ErrUnknownEvent)
	_, err = j.Step(Event{Kind: Concluded, Result: &Result{}})
	require.ErrorIs(t, err, ErrOrder)
}

func genEvent() *rapid.Generator[Event] {
	return rapid.Custom(func(t *rapid.T) Event {
		e := Event{
			Kind:    EventKind(rapid.IntRange(int(TaskAssigned), int(CancelRequested)).Draw(t, "kind")),
			Task:    TaskID(fmt.Sprintf("map/%d", rapid.IntRange(0, 3).Draw(t, "task"))),
			Attempt: rapid.IntRange(0, 3).Draw(t, "attempt"),
			Members: []MemberID{MemberID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "member"))},
			Result:  &Result{Output: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "output")},
		}
		if e.Kind == CancelRequested && rapid.IntRange(0, 9).Draw(t, "rare") > 0 {
			e.Kind = TaskDone
		}
		if e.Kind == TaskFailed {
			e.Failure = &Failure{Kind: rapid.SampledFrom([]fault.Kind{fault.Unavailable, fault.Unavailable, fault.Invalid}).Draw(t, "fault")}
		}
		return e
	})
}

func snapshot(j *Job) string {
	s := fmt.Sprint(j.Phase, j.Failure, j.open)
	for _, t := range j.Tasks {
		s += fmt.Sprintf(" %+v", *t)
	}
	return s
}

func isCurrent(j *Job, e Event) bool {
	if e.Kind == CancelRequested {
		return !j.Phase.Ended()
	}
	return j.Relevant(e)
}

// Whatever arrives, in whatever order and however often: old news changes
// nothing, a finished task stays finished with its first result, and replaying
// the events gives the same state.
func TestOldNewsChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		j, twin := startedJob(t, 4), startedJob(t, 4)
		done := map[TaskID]Result{}
		for _, e := range rapid.SliceOfN(genEvent(), 0, 60).Draw(t, "events") {
			current, before := isCurrent(j, e), snapshot(j)
			effects := mustStep(t, j, e)
			if !current && (len(effects) > 0 || snapshot(j) != before) {
				t.Fatalf("old %+v changed %s into %s", e, before, snapshot(j))
			}
			mustStep(t, twin, e)
			for _, task := range j.Tasks {
				if r, ok := done[task.ID]; ok && (task.Phase != Done || task.Result.Output != r.Output) {
					t.Fatalf("%s was done with %v and is now %+v", task.ID, r, task)
				}
				if task.Phase == Done {
					done[task.ID] = task.Result
				}
			}
		}
		if snapshot(j) != snapshot(twin) {
			t.Fatalf("replay differs: %s and %s", snapshot(j), snapshot(twin))
		}
	})
}

func TestALogReplaysToTheSameJob(t *testing.T) {
	t.Parallel()
	events := []Event{{Kind: Submitted, JobKind: "train", Spec: []byte(`{"a":1}`)}, {Kind: StagePlanned, Stage: &Stage{Name: "map", NumTasks: 2}},
		{Kind: TaskAssigned, Task: "map/1", Attempt: 1, Members: []MemberID{"m"}}, {Kind: TaskDone, Task: "map/1", Attempt: 1, Result: &Result{Output: "d"}}}
	direct := New("j")
	var records [][]byte
	for _, e := range events {
		mustStep(t, direct, e)
		b, err := EncodeRecord(3, []Event{e})
		require.NoError(t, err)
		records = append(records, b)
	}
	replayed, err := Replay("j", records)
	require.NoError(t, err)
	require.Equal(t, snapshot(direct), snapshot(replayed))
	require.Equal(t, []EffectKind{Place}, kinds(replayed.Resume()))
}

func TestALogOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	_, err := Replay("j", [][]byte{[]byte(`{"v":9,"events":[]}`)})
	require.ErrorContains(t, err, "version 9")
	_, err = Replay("j", [][]byte{[]byte(`{"v":1,"events":[{"kind":0,"colour":1}]}`)})
	require.ErrorContains(t, err, "record 0")
}
