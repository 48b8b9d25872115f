// Package plan says which stages a job consists of: a pure function of its spec
// and of the facts that its first stage, the survey, has found. What is planned
// depends on the data and the spec, never on who is there to do it.
//
//	features   survey, (observe, fit) for each pass, apply, manifest
//	train      survey, (order, cut) if split by time, (observe, fit) for each pass, train, bundle
//	predict    survey, score, manifest
//	drift      survey, observe the reference unless a model carries it, observe the current, compare
//
// Where features look at other rows of an entity, each level of them (those that
// need so many passes fitted) adds two stages before the pass of its number, or
// before the rows are written: partition, over the shards, and window, over
// partitions of the entities.
package plan

import (
	"encoding/json"
	"fmt"
	"strings"

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
	Partition = "partition"
	Window    = "window"
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
	TaskBytes       int64        `json:"task_bytes,omitempty"`       // memory that a task may need to read a shard and write what comes of it
	StateBytes      int64        `json:"state_bytes,omitempty"`      // memory that what is learned of the columns may take
	CountedBytes    int64        `json:"counted_bytes,omitempty"`    // memory that values which are told apart may take in a task that observes
	Largest         string       `json:"largest,omitempty"`          // the row group that decides TaskBytes, for people
	TotalBytes      int64        `json:"total_bytes,omitempty"`      // decoded size of all shards
	Windows         []Windows    `json:"windows,omitempty"`          // by level, ascending
	Finished        *jobs.Result `json:"finished,omitempty"`         // the same job has been done before: this is its result
}

// Windows is what features that look at other rows need at one level.
type Windows struct {
	Level          int   `json:"level"`
	Partitions     int   `json:"partitions"`
	PartitionBytes int64 `json:"partition_bytes"` // memory of a partition task, beside what it reads a shard with
	WindowBytes    int64 `json:"window_bytes"`    // memory of a window task
}

// LargestParam is the parameter of a stage that says, for people, which row group
// decides how much memory its tasks may need.
const LargestParam = "largest"

// TooLarge is why a stage cannot run where tasks may use only so much memory.
func TooLarge(s *jobs.Stage, most int64) *jobs.Failure {
	why, or := "", ""
	if largest := s.Params[LargestParam]; largest != "" {
		why, or = ", because of "+largest, ", read fewer columns, or write the input with smaller row groups"
		if strings.HasPrefix(largest, learnedOfColumn) {
			or = ", or leave the column out"
		}
	}
	return &jobs.Failure{Kind: fault.Exhausted, Message: fmt.Sprintf(
		"stage %s: a task may need %s of memory%s, and the largest worker has %s for tasks: start one with more (--memory)%s",
		s.Name, mib(s.MaxBytes), why, mib(most), or)}
}

// mib words a size in MiB, rounded up, or in GiB.
func mib(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20)
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
	if err := weigh(j, &stage); err != nil {
		return nil, nil, err
	}
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
			b.observed(Order, f.Shards)
			b.merged(Cut)
		}
		b.passes()
		b.gang(Train, s.Train.Workers, s.Train.Model.Type == spec.Linear)
		b.merge(Bundle)
	case spec.KindPredict:
		b.windows(-1)
		b.mapped(Score, f.Shards)
		b.merge(Manifest)
	case spec.KindDrift:
		if s.Drift.Reference != "" {
			b.observed(Reference, f.ReferenceShards)
		}
		b.observed(Current, f.Shards)
		b.merged(Compare)
	default:
		return nil, fault.New(fault.Invalid, "plan: there is no job kind %q", s.Kind)
	}
	return b.stages, nil
}

type builder struct {
	facts  Facts
	stages []jobs.Stage
}

// mapped adds a stage whose tasks read their shards piece by piece.
func (b *builder) mapped(name string, shards int) {
	s := jobs.Stage{Name: name, Shape: jobs.Map, NumTasks: shards, MaxBytes: b.facts.TaskBytes}
	if b.facts.Largest != "" {
		s.Params = map[string]string{LargestParam: b.facts.Largest}
	}
	b.stages = append(b.stages, s)
}

// observed adds a stage whose tasks also keep what they learn of the columns.
func (b *builder) observed(name string, shards int) {
	b.mapped(name, shards)
	b.stages[len(b.stages)-1].MaxBytes += b.facts.StateBytes + b.facts.CountedBytes
}

func (b *builder) merge(name string) {
	b.stages = append(b.stages, jobs.Stage{Name: name, Shape: jobs.Merge, NumTasks: 1})
}

// merged adds a stage whose task brings together what observing ones have
// learned: two summaries at a time, and their sum.
func (b *builder) merged(name string) {
	b.merge(name)
	b.stages[len(b.stages)-1].MaxBytes = 3 * b.facts.StateBytes
}

// gang adds a stage whose ranks read their rows piece by piece into a table, which
// is mapped or held where that is a small part of the memory there, and else read
// from its file.
func (b *builder) gang(name string, w spec.Workers, anew bool) {
	most := w.Max
	if most == 0 {
		most = 10000 // as many as there are
	}
	b.stages = append(b.stages, jobs.Stage{Name: name, Shape: jobs.Gang, NumTasks: 1, MinRanks: max(w.Min, 1), MaxRanks: most, MaxBytes: b.facts.TaskBytes + b.facts.StateBytes, Anew: anew})
}

// passes adds the stages before the rows can be written.
func (b *builder) passes() {
	for p := range b.facts.Passes {
		b.windows(p)
		b.observed(Pass(Observe, p), b.facts.Shards)
		b.merged(Pass(Fit, p))
	}
	b.windows(b.facts.Passes)
}

// windows adds the stages of a level; of all levels for -1.
func (b *builder) windows(level int) {
	for _, w := range b.facts.Windows {
		if level >= 0 && w.Level != level {
			continue
		}
		b.mapped(Pass(Partition, w.Level), b.facts.Shards)
		b.stages[len(b.stages)-1].MaxBytes += w.PartitionBytes
		b.stages = append(b.stages, jobs.Stage{Name: Pass(Window, w.Level), Shape: jobs.Map, NumTasks: w.Partitions, MaxBytes: w.WindowBytes})
	}
}
