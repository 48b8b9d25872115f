package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// numShards is what the simulated survey finds.
const numShards = 7

// run carries out an order as the real bodies do: a function of the job's spec
// and of the outputs of earlier stages, which it reads from the job's log. Now
// and then it fails in a way that passes.
func (h *workerHost) run(ctx context.Context, o jobs.Order, r worker.Reporter) (jobs.Result, error) {
	ref := jobs.Ref{Job: o.Job, Task: o.Task, Attempt: o.Attempt}
	if h.ran[ref] {
		h.w.fail("%s runs attempt %d of %s %s again", h.id, o.Attempt, o.Job, o.Task)
	}
	h.ran[ref] = true
	if err := ctx.Err(); err != nil {
		return jobs.Result{}, err
	}
	if o.Rank == jobs.Joining {
		return jobs.Result{}, nil // ready for the next generation
	}
	if len(o.Members) > 1 && h.gangBroken(o.Members) {
		return jobs.Result{}, fault.Wrap(fault.Unavailable, worker.ErrGangBroken)
	}
	if o.Attempt < jobs.MaxFailures-1 && h.w.rand.Float64() < h.w.cfg.StoreFault/4 {
		return jobs.Result{}, fault.New(fault.Unavailable, "a disk that comes back")
	}
	if o.Stage.Shape == jobs.Gang && o.Rank == 0 {
		r.Checkpoint(fmt.Sprintf("checkpoint of attempt %d", o.Attempt))
	}
	if o.Rank > 0 {
		return jobs.Result{}, nil // rank 0 has the result
	}
	j, err := joblog.Load(ctx, h.w.Store(), o.Job)
	if err != nil {
		return jobs.Result{}, err
	}
	return Body(j, o.Stage, o.Index)
}

// gangBroken reports whether a rank's process is gone or out of reach.
func (h *workerHost) gangBroken(members []jobs.MemberID) bool {
	for _, m := range members {
		host := h.w.workers[m]
		if host == nil || !host.alive || h.w.cut[string(m)] || host.frozenUntil.After(h.w.now) {
			return true
		}
	}
	return false
}

// Body is the pure function that a simulated task computes.
func Body(j *jobs.Job, stage jobs.Stage, index int) (jobs.Result, error) {
	sum := string(j.Spec) + "|" + stage.Name + fmt.Sprint("|", index)
	names := make([]string, 0, len(stage.Inputs))
	for n := range stage.Inputs {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		sum += "|" + n + "=" + stage.Inputs[n]
	}
	rows := int64(1)
	if stage.Shape == jobs.Merge && len(j.Stages) > 1 {
		rows = 0
		for _, s := range j.Stages {
			if s.Name == stage.Name {
				break
			}
			for _, t := range j.StageTasks(s.Name) {
				if t.Phase != jobs.Done {
					return jobs.Result{}, fault.New(fault.Internal, "stage %s runs before %s is done", stage.Name, t.ID)
				}
				sum += "|" + t.Result.Output
				if s.Shape == jobs.Map {
					rows += t.Result.RowsIn
				}
			}
		}
	}
	r := jobs.Result{Output: string(store.DigestOf([]byte(sum))), RowsIn: rows}
	if stage.Name == plan.Survey {
		facts, err := json.Marshal(plan.Facts{Shards: numShards, ReferenceShards: 2, Passes: 2})
		if err != nil {
			return jobs.Result{}, err
		}
		r.Meta = facts
	}
	return r, nil
}

// Alone runs a job in one process without any fault: the oracle.
func Alone(id jobs.ID, kind string, spec []byte) (*jobs.Job, error) {
	j := jobs.New(id)
	events := []jobs.Event{{Kind: jobs.Submitted, JobKind: kind, Spec: spec}}
	for len(events) > 0 {
		e := events[0]
		events = events[1:]
		effects, err := j.Step(e)
		if err != nil {
			return nil, err
		}
		for _, f := range effects {
			more, err := alone(j, f)
			if err != nil {
				return nil, err
			}
			events = append(events, more...)
		}
	}
	return j, nil
}

func alone(j *jobs.Job, f jobs.Effect) ([]jobs.Event, error) {
	switch f.Kind {
	case jobs.Plan:
		next, result, err := plan.Next(j)
		if err != nil {
			return nil, err
		}
		if result != nil {
			return []jobs.Event{{Kind: jobs.Concluded, Result: result}}, nil
		}
		return []jobs.Event{{Kind: jobs.StagePlanned, Stage: next}}, nil
	case jobs.Place:
		var events []jobs.Event
		stage, tasks := j.Current()
		for _, t := range tasks {
			r, err := Body(j, *stage, t.Index)
			if err != nil {
				return nil, err
			}
			events = append(events, jobs.Event{Kind: jobs.TaskAssigned, Task: t.ID, Attempt: 1, Members: []jobs.MemberID{"me"}},
				jobs.Event{Kind: jobs.TaskDone, Task: t.ID, Attempt: 1, Result: &r})
		}
		return events, nil
	default:
		return nil, nil
	}
}
