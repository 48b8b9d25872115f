package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARegroupedGangGoesOnAsItsNextAttempt(t *testing.T) {
	t.Parallel()
	j := New("j")
	for _, e := range []Event{
		{Kind: Submitted, JobKind: "train"},
		{Kind: StagePlanned, Stage: &Stage{Name: "train", Shape: Gang, NumTasks: 1}},
		{Kind: TaskAssigned, Task: "train/0", Attempt: 1, Members: []MemberID{"a", "b"}},
		{Kind: TaskLost, Task: "train/0", Attempt: 1, Members: []MemberID{"c"}},
	} {
		_, err := j.Step(e)
		require.NoError(t, err)
	}
	task := j.Task("train/0")
	require.Equal(t, []MemberID{"a", "b"}, task.Former)
	step := func(e Event) []Effect {
		e.Task = "train/0"
		effects, err := j.Step(e)
		require.NoError(t, err)
		return effects
	}
	require.False(t, j.Relevant(Event{Kind: TaskRegrouped, Task: "train/0", Attempt: 1}), "it does not run")
	step(Event{Kind: TaskAssigned, Attempt: 2, Members: []MemberID{"a", "b"}})
	require.Nil(t, task.Former)
	require.Empty(t, step(Event{Kind: TaskRegrouped, Attempt: 1, Members: []MemberID{"a"}}), "old news")
	require.Equal(t, []Effect{
		{Kind: Stop, Task: "train/0", Attempt: 2, Members: []MemberID{"b"}},
		{Kind: Start, Task: "train/0", Attempt: 3, Members: []MemberID{"a", "c"}},
	}, step(Event{Kind: TaskRegrouped, Attempt: 2, Members: []MemberID{"a", "c"}}))
	require.Equal(t, 1, task.Losses, "nobody was lost by that")
	require.Empty(t, step(Event{Kind: TaskDone, Attempt: 2, Result: &Result{}}), "of the attempt before")

	step(Event{Kind: TaskCheckpoint, Attempt: 3, Result: &Result{Output: "k"}})
	require.Zero(t, task.Losses, "it gets on")
	step(Event{Kind: TaskLost, Attempt: 3})
	step(Event{Kind: TaskAssigned, Attempt: 4, Members: []MemberID{"a"}})
	step(Event{Kind: TaskCheckpoint, Attempt: 4, Result: &Result{Output: "k"}})
	require.Equal(t, 1, task.Losses, "it does not")
}

func TestOnlyGangsAreRegrouped(t *testing.T) {
	t.Parallel()
	j := New("j")
	for _, e := range []Event{
		{Kind: Submitted}, {Kind: StagePlanned, Stage: &Stage{Name: "map", NumTasks: 1}},
		{Kind: TaskAssigned, Task: "map/0", Attempt: 1, Members: []MemberID{"a"}},
	} {
		_, err := j.Step(e)
		require.NoError(t, err)
	}
	_, err := j.Step(Event{Kind: TaskRegrouped, Task: "map/0", Attempt: 1, Members: []MemberID{"b"}})
	require.ErrorIs(t, err, ErrOrder)
}
