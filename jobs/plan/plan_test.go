package plan

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/spec"
)

const predictSpec = "kind: predict\nname: score\nmodel: m.troupe\ninput: in\noutput: out\n"

func parse(t *testing.T, text string) spec.Spec {
	t.Helper()
	specs, err := spec.Parse("spec.yaml", []byte(text))
	require.NoError(t, err)
	return specs[0]
}

// finish runs a job through its stages, every task giving the digest of its id.
func finish(t *testing.T, s spec.Spec, f Facts) (*jobs.Job, []string) {
	t.Helper()
	j := jobs.New("j")
	step := func(e jobs.Event) {
		_, err := j.Step(e)
		require.NoError(t, err)
	}
	step(jobs.Event{Kind: jobs.Submitted, JobKind: string(s.Kind), Spec: s.Canonical()})
	var names []string
	for range 50 {
		next, result, err := Next(j)
		require.NoError(t, err)
		if result != nil {
			step(jobs.Event{Kind: jobs.Concluded, Result: result})
			return j, names
		}
		names = append(names, next.Name)
		step(jobs.Event{Kind: jobs.StagePlanned, Stage: next})
		_, tasks := j.Current()
		for _, task := range tasks {
			step(jobs.Event{Kind: jobs.TaskAssigned, Task: task.ID, Attempt: 1, Members: []jobs.MemberID{"m"}})
			r := jobs.Result{Output: "blob of " + string(task.ID)}
			if next.Name == Survey {
				r.Meta, err = json.Marshal(f)
				require.NoError(t, err)
			}
			step(jobs.Event{Kind: jobs.TaskDone, Task: task.ID, Attempt: 1, Result: &r})
		}
	}
	t.Fatal("the plan does not end")
	return nil, nil
}

func TestAPredictJobSurveysScoresAndPublishes(t *testing.T) {
	t.Parallel()
	j, names := finish(t, parse(t, predictSpec), Facts{Shards: 3})
	require.Equal(t, []string{Survey, Score, Manifest}, names)
	require.Equal(t, "blob of manifest/0", j.Result.Output)
	require.Len(t, j.StageTasks(Score), 3)
	require.Equal(t, "blob of survey/0", j.Stages[1].Inputs[Survey])
}

func TestAJobThatWasDoneBeforeEndsAfterItsSurvey(t *testing.T) {
	t.Parallel()
	j, names := finish(t, parse(t, predictSpec), Facts{Shards: 3, Finished: &jobs.Result{Output: "old"}})
	require.Equal(t, []string{Survey}, names)
	require.Equal(t, "old", j.Result.Output)
}

func TestADatasetWithoutRowsStillHasAManifest(t *testing.T) {
	t.Parallel()
	_, names := finish(t, parse(t, predictSpec), Facts{})
	require.Equal(t, []string{Survey, Score, Manifest}, names)
}

func TestATrainJobSplitByTimeFindsItsThresholdsFirst(t *testing.T) {
	t.Parallel()
	s := parse(t, "kind: train\nname: fraud\ninput: in\ntarget: y\ntask: binary\nsplit: {by: time, column: ts}\nmodel: {type: mlp}\nworkers: {min: 2, max: 4}\n")
	j, names := finish(t, s, Facts{Shards: 2, Passes: 2, TotalBytes: 9999, TaskBytes: 90, StateBytes: 9})
	require.Equal(t, []string{Survey, Order, Cut, "observe-0", "fit-0", "observe-1", "fit-1", Train, Bundle}, names)
	gang := j.Stages[7]
	require.Equal(t, []int{2, 4}, []int{gang.MinRanks, gang.MaxRanks})
	require.Equal(t, int64(99), gang.MaxBytes, "the rows are in a file")
	require.Equal(t, "blob of fit-1/0", gang.Inputs["fit-1"])
}

func TestADriftJobWithAModelNeedsNoReferenceScan(t *testing.T) {
	t.Parallel()
	_, names := finish(t, parse(t, "kind: drift\nname: d\nmodel: m.troupe\ncurrent: in\n"), Facts{Shards: 2})
	require.Equal(t, []string{Survey, Current, Compare}, names)
	_, names = finish(t, parse(t, "kind: drift\nname: d\nreference: ref\ncurrent: in\n"), Facts{Shards: 2, ReferenceShards: 1})
	require.Equal(t, []string{Survey, Reference, Current, Compare}, names)
}
