package api_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

func TestAPlanSaysWhatIsReadAndWhatItTakes(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	sp, err := spec.Decode([]byte(driftSpec))
	require.NoError(t, err)
	preview := &run.Preview{
		Survey: run.Survey{
			Input:     &run.Dataset{Digest: "d", Files: []run.DataFile{{Bytes: 3}, {Bytes: 4}}, Shards: make([]split.Shard, 3), Rows: 5, Bytes: 6},
			Reference: &run.Dataset{Rows: 1},
			Model:     &run.ModelRef{URI: "models:/m/1"},
		},
		Facts:  plan.Facts{Finished: &jobs.Result{}},
		Stages: []jobs.Stage{{Name: "survey", Shape: jobs.Merge, NumTasks: 1}, {Name: "current", NumTasks: 3, MaxBytes: 30 * mib}, {Name: "train", Shape: jobs.Gang, NumTasks: 1, MaxBytes: 50 * mib}},
	}
	nodes := []api.Node{{Slots: 8, Memory: 40 * mib}, {Slots: 2, Memory: 100 * mib}, {Memory: 1000 * mib}}
	p := api.NewPlan(sp, preview, nodes)
	assert.Equal(t, &api.InputPlan{Files: 2, Rows: 5, Shards: 3, FileBytes: 7, Bytes: 6, Digest: "d"}, p.Input)
	assert.EqualValues(t, 1, p.Reference.Rows)
	assert.Equal(t, "models:/m/1", p.Model)
	assert.True(t, p.Finished)
	assert.Equal(t, []api.StagePlan{{"survey", "merge", 1, 0}, {"current", "map", 3, 30 * mib}, {"train", "gang", 1, 50 * mib}}, p.Stages)
	assert.Equal(t, &api.WorkerPlan{Slots: 2, MemoryBytes: 100 * mib, NeedBytes: 60 * mib, Fits: true}, p.Worker, "two tasks at a time, of the largest that has slots")

	assert.Equal(t, &api.WorkerPlan{Slots: 8, MemoryBytes: 40 * mib, NeedBytes: 50 * mib}, api.NewPlan(sp, preview, nodes[:1]).Worker, "the gang does not fit")
	roomy := api.NewPlan(sp, preview, []api.Node{{Slots: 8, Memory: 70 * mib}}).Worker
	assert.EqualValues(t, 60*mib, roomy.NeedBytes, "memory bounds how many run at a time")
	assert.Nil(t, api.NewPlan(sp, preview, nil).Worker)
}

func TestAPlanIsMadeByTheClusterAndRunsNothing(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.preview = func(_ context.Context, s spec.Spec) (*run.Preview, error) {
		if s.Drift.Reference != "/r" {
			return nil, fault.New(fault.NotFound, "input %s: there is no such file or folder", s.Drift.Reference)
		}
		return &run.Preview{Survey: run.Survey{Input: &run.Dataset{Rows: 12}}}, nil
	}
	status, out := d.ask("POST", "/v1/jobs/plan", `{"spec":`+driftSpec+`}`)
	require.Equal(t, 200, status, out)
	b, err := json.Marshal(out)
	require.NoError(t, err)
	var p api.Plan
	require.NoError(t, json.Unmarshal(b, &p))
	assert.EqualValues(t, 12, p.Input.Rows)
	assert.Equal(t, 2, p.Worker.Slots)
	status, out = d.ask("POST", "/v1/jobs/plan", `{"spec":{"kind":"drift","name":"d","reference":"/x","current":"/c"}}`)
	assert.Equal(t, 404, status)
	assert.Contains(t, out["detail"], "/x")
	status, _ = d.ask("POST", "/v1/jobs/plan", `{"spec":{}}`)
	assert.Equal(t, 400, status)
	status, out = d.ask("GET", "/v1/jobs", "")
	assert.Equal(t, 200, status)
	assert.Empty(t, out["jobs"])
}
