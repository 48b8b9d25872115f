package run

import (
	"encoding/json"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// Outcome is what the last task of a job says of its result, beyond the counts:
// the Meta of the job's result. Only the fields of the job's kind are set.
type Outcome struct {
	Digest   string                        `json:"digest"` // of what was computed
	Output   string                        `json:"output,omitempty"`
	Shards   int                           `json:"shards"`
	Run      string                        `json:"run,omitempty"`
	ModelURI string                        `json:"model_uri,omitempty"`
	Metrics  map[string]map[string]float64 `json:"metrics,omitempty"` // by part, such as test, and name
	// Details are what Metrics has no room for, by part: confusion, calibration,
	// single classes, and why a metric is not defined.
	Details  map[string]metrics.Detail `json:"details,omitempty"`
	Slices   []Slice                   `json:"slices,omitempty"`
	Baseline *Baseline                 `json:"baseline,omitempty"`
	// BeatsBaseline is whether the model is better than the best baseline.
	BeatsBaseline *bool                  `json:"beats_baseline,omitempty"`
	Epochs        int                    `json:"epochs,omitempty"`
	Drift         *bool                  `json:"drift_detected,omitempty"`
	Drifted       []string               `json:"drifted_features,omitempty"`
	Columns       map[string]ColumnDrift `json:"columns,omitempty"`
	Unchanged     bool                   `json:"unchanged,omitempty"` // the same job had been done before
	Rejections    map[string]int64       `json:"rejections,omitempty"`
}

// ColumnDrift is the verdict on one column.
type ColumnDrift struct {
	Method    string  `json:"method"`
	Statistic float64 `json:"statistic"`
	Threshold float64 `json:"threshold"`
	Drifted   bool    `json:"drifted"`
}

// Summary is a job as users see it: the one JSON document of a verb that runs
// it, and what the API answers.
type Summary struct {
	Job          string  `json:"job"`
	Kind         string  `json:"kind"`
	Name         string  `json:"name"`
	Status       string  `json:"status"`
	RowsIn       int64   `json:"rows_in"`
	RowsOut      int64   `json:"rows_out"`
	RowsRejected int64   `json:"rows_rejected"`
	Workers      int     `json:"workers"`
	Seconds      float64 `json:"seconds"`
	// PeakRSS is the most memory, in bytes, that any worker had in use while it
	// carried out tasks of the job, other jobs and the program itself included;
	// PeakRSSByWorker is that of each. Neither is part of any digest.
	PeakRSS         int64            `json:"peak_rss_bytes,omitempty"`
	PeakRSSByWorker map[string]int64 `json:"peak_rss_by_worker,omitempty"`
	Error           *jobs.Failure    `json:"error,omitempty"`
	Stage           string           `json:"stage,omitempty"` // being worked on, while the job runs
	TasksDone       int              `json:"tasks_done"`
	Tasks           int              `json:"tasks"`
	Outcome
}

// Summarise returns what users see of a job; now, in milliseconds since 1970,
// ends the clock of one that still runs.
func Summarise(j *jobs.Job, now int64) Summary {
	s := Summary{
		Job: string(j.ID), Kind: j.Kind, Name: j.Name, Status: j.Phase.String(), Workers: j.Workers, Error: j.Failure,
		RowsIn: j.Result.RowsIn, RowsOut: j.Result.RowsOut, RowsRejected: j.Result.RowsRejected,
	}
	if j.EndedAt > 0 {
		now = j.EndedAt
	}
	s.Seconds = float64(now-j.SubmittedAt) / 1000
	for member, n := range j.PeakRSS {
		if s.PeakRSSByWorker == nil {
			s.PeakRSSByWorker = map[string]int64{}
		}
		s.PeakRSSByWorker[string(member)] = n
		s.PeakRSS = max(s.PeakRSS, n)
	}
	for _, t := range j.Tasks {
		s.Tasks++
		if t.Phase == jobs.Done {
			s.TasksDone++
		}
	}
	if stage, _ := j.Current(); stage != nil && !j.Phase.Ended() {
		s.Stage = stage.Name
	}
	if len(j.Result.Meta) > 0 {
		_ = json.Unmarshal(j.Result.Meta, &s.Outcome) //nolint:errcheck // written by this program; a foreign one shows as empty
	}
	if s.Shards == 0 {
		s.Shards = shardsOf(j)
	}
	return s
}

func shardsOf(j *jobs.Job) int {
	tasks := j.StageTasks(plan.Survey)
	if len(tasks) == 0 {
		return 0
	}
	var f plan.Facts
	if json.Unmarshal(tasks[0].Result.Meta, &f) != nil {
		return 0
	}
	return f.Shards + f.ReferenceShards
}
