package mlflow

import (
	"context"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

const (
	maxBulkRuns   = 100    // runs of one question for histories
	maxBulkSteps  = 2_500  // steps of one, beside the first and last of each run
	maxBulkPoints = 25_000 // points of one run in an answer
)

// bulkPoint is a point of a metric, with its run.
type bulkPoint struct {
	Run runs.ID `json:"run_id"`
	metric
}

type bulkAnswer struct {
	Metrics []bulkPoint `json:"metrics,omitempty"`
}

type bulkQuestion struct {
	Runs  texts    `json:"run_ids"`
	Key   string   `json:"metric_key"`
	Start *integer `json:"start_step"`
	End   *integer `json:"end_step"`
	Max   integer  `json:"max_results"`
}

func (q *bulkQuestion) check() error {
	switch {
	case len(q.Runs) == 0:
		return missing("run_ids")
	case len(q.Runs) > maxBulkRuns:
		return fault.New(fault.Invalid, "%d run_ids: ask for at most %d", len(q.Runs), maxBulkRuns)
	case q.Key == "":
		return missing("metric_key")
	case (q.Start == nil) != (q.End == nil):
		return fault.New(fault.Invalid, "start_step and end_step are given together, or neither")
	case q.Start != nil && *q.Start > *q.End:
		return fault.New(fault.Invalid, "start_step %d is behind end_step %d", *q.Start, *q.End)
	}
	return nil
}

// asks reports whether a step is in the range that is asked for.
func (q *bulkQuestion) asks(step int64) bool {
	return q.Start == nil || int64(*q.Start) <= step && step <= int64(*q.End)
}

// histories answers with the points of a metric of several runs, at the same steps
// of all: at all that there are, or at so many of them, evenly, and at the first
// and the last of each run.
func (s *Server) histories(ctx context.Context, in *bulkQuestion) (*bulkAnswer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	most, err := resultsOf(in.Max, maxBulkSteps, maxBulkSteps)
	if err != nil {
		return nil, err
	}
	found := make([]runs.Run, len(in.Runs))
	points := make([][]runs.Point, len(in.Runs))
	var steps, ends []int64
	for i, id := range in.Runs {
		if found[i], err = s.run(ctx, runs.ID(id)); err != nil {
			return nil, err
		}
		all, err := s.cfg.Registry.Runs.History(ctx, found[i], in.Key)
		if err != nil {
			return nil, err
		}
		var own []int64
		for _, p := range all {
			if in.asks(p.Step) {
				points[i], own = append(points[i], p), append(own, p.Step)
			}
		}
		if len(own) > 0 {
			ends = append(ends, slices.Min(own), slices.Max(own))
		}
		steps = append(steps, own...)
	}
	keep := map[int64]bool{}
	for _, step := range append(evenly(steps, most), ends...) {
		keep[step] = true
	}
	out := &bulkAnswer{}
	for i := range found {
		n := 0
		for _, p := range points[i] {
			if keep[p.Step] && n < maxBulkPoints {
				out.Metrics = append(out.Metrics, bulkPoint{found[i].ID, metricOf(&found[i], in.Key, p)})
				n++
			}
		}
	}
	return out, nil
}

// evenly returns at most so many of the different steps, from the first on, in equal
// distances of their places.
func evenly(steps []int64, most int) []int64 {
	slices.Sort(steps)
	steps = slices.Compact(steps)
	if len(steps) <= most {
		return steps
	}
	out := make([]int64, most)
	for i := range out {
		out[i] = steps[i*len(steps)/most]
	}
	return out
}
