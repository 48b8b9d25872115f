// Package plan says which stages a job consists of: a pure function of its spec
// and of the facts that its first stage, the survey, has found. What is planned
// depends on the data and the spec, never on who is there to do it.
//
//	features   survey, (observe, fit) for each pass, apply, manifest
//	train      survey, (order, cut) if split by time, (observe, fit) for each pass, train, bundle
//	predict    survey, score, manifest
//	drift      survey, observe the reference unless a model carries it, observe the current, compare
package plan

import (
	"encoding/json"
	"fmt"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// Names of the stages. Those of a pass have its number behind them.
const (
	Survey    = "survey"
	Order     = "order"
	Cut       = "cut"
	Observe   = "observe"
	Fit       = "fit"
	Apply     = "apply"
	Train     = "train"
	Bundle    = "bundle"
	Score     = "score"
	Manifest  = "manifest"
	Reference = "reference"
	Current   = "current"
	Compare   = "compare"
)

// Facts are what the survey tells the planner, as the Meta of its result.
type Facts struct {
	Shards          int          `json:"shards"`
	ReferenceShards int          `json:"reference_shards,omitempty"` // drift only
	Passes          int          `json:"passes,omitempty"`           // over the data before every feature is fitted
	ShardBytes      int64        `json:"shard_bytes,omitempty"`      // decoded size of the largest shard
	TotalBytes      int64        `json:"total_bytes,omitempty"`      // decoded size of all shards
	Finished        *jobs.Result `json:"finished,omitempty"`         // the same job has been done before: this is its result
}

// Pass returns the name of the stage that observes or fits in a pass.
func Pass(stage string, pass int) string { return fmt.Sprintf("%s-%d", stage, pass) }

// Next returns the stage that follows those of the job that are done, or the
// job's result when there is none left. An error of kind Invalid means that the
// job cannot go on.
func Next(j *jobs.Job) (next *jobs.Stage, result *jobs.Result, err error) {
	if len(j.Stages) == 0 {
		return &jobs.Stage{Name: Survey, Shape: jobs.Merge, NumTasks: 1}, nil, nil
	}
	var facts Facts
	survey := j.StageTasks(Survey)[0].Result
	if err := json.Unmarshal(survey.Meta, &facts); err != nil {
		return nil, nil, fault.New(fault.Corrupt, "plan %s: facts of the survey: %w", j.ID, err)
	}
	if facts.Finished != nil {
		return nil, facts.Finished, nil
	}
	s, err := spec.Decode(j.Spec)
	if err != nil {
		return nil, nil, fmt.Errorf("plan %s: %w", j.ID, err)
	}
	stages, err := Stages(s, facts)
	if err != nil {
		return nil, nil, fmt.Errorf("plan %s: %w", j.ID, err)
	}
	if len(j.Stages) == len(stages) {
		_, last := j.Current()
		return nil, &last[0].Result, nil
	}
	stage := stages[len(j.Stages)]
	stage.Inputs = inputs(j)
	return &stage, nil, nil
}

// inputs returns the outputs of the single-task stages so far by their names:
// what any later task may need.
func inputs(j *jobs.Job) map[string]string {
	in := map[string]string{}
	for _, s := range j.Stages {
		if s.Shape != jobs.Map {
			in[s.Name] = j.StageTasks(s.Name)[0].Result.Output
		}
	}
	return in
}

// Stages returns all stages of a job, the survey included.
func Stages(s spec.Spec, f Facts) ([]jobs.Stage, error) {
	b := &builder{facts: f}
	b.merge(Survey)
	switch s.Kind {
	case spec.KindFeatures:
		b.passes()
		b.mapped(Apply, f.Shards)
		b.merge(Manifest)
	case spec.KindTrain:
		if s.Train.Split.By == spec.ByTime {
			b.mapped(Order, f.Shards)
			b.merge(Cut)
		}
		b.passes()
		b.gang(Train, s.Train.Workers)
		b.merge(Bundle)
	case spec.KindPredict:
		b.mapped(Score, f.Shards)
		b.merge(Manifest)
	case spec.KindDrift:
		if s.Drift.Reference != "" {
			b.mapped(Reference, f.ReferenceShards)
		}
		b.mapped(Current, f.Shards)
		b.merge(Compare)
	default:
		return nil, fault.New(fault.Invalid, "plan: there is no job kind %q", s.Kind)
	}
	return b.stages, nil
}

type builder struct {
	facts  Facts
	stages []jobs.Stage
}

func (b *builder) mapped(name string, shards int) {
	b.stages = append(b.stages, jobs.Stage{Name: name, Shape: jobs.Map, NumTasks: shards, MaxBytes: 2 * b.facts.ShardBytes})
}

func (b *builder) merge(name string) {
	b.stages = append(b.stages, jobs.Stage{Name: name, Shape: jobs.Merge, NumTasks: 1})
}

func (b *builder) gang(name string, w spec.Workers) {
	most := w.Max
	if most == 0 {
		most = 10000 // as many as there are
	}
	b.stages = append(b.stages, jobs.Stage{Name: name, Shape: jobs.Gang, NumTasks: 1, MinRanks: max(w.Min, 1), MaxRanks: most, MaxBytes: b.facts.TotalBytes})
}

func (b *builder) passes() {
	for p := range b.facts.Passes {
		b.mapped(Pass(Observe, p), b.facts.Shards)
		b.merge(Pass(Fit, p))
	}
}
