package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Learned is what the Meta of a task says that observes or fits: the values that
// it has told apart.
type Learned struct {
	Counted []features.Counted `json:"counted,omitempty"`
}

// What a value that is told apart takes in memory, at most: while rows are
// added and the summary is written; where summaries are merged, and what is made
// of them is written; and in a fitted pipeline, while it is read. Bytes of texts
// are there several times.
const (
	observedValue = 64
	mergedValue   = 128
	fittedValue   = 96
	copiesOfText  = 3
)

// learnedOfColumn begins what LargestParam says when it is not a row group.
const learnedOfColumn = "what is learned of column "

// ObservedBytes is the memory for counting values.
func ObservedBytes(c features.Counted) int64 { return bytesOf(c, observedValue) }

func bytesOf(c features.Counted, perValue int64) int64 {
	// More than the most values end the counting, and free the memory.
	if c.Values > sketch.DefaultMaxCounted {
		c.Bytes = int64(float64(c.Bytes) * sketch.DefaultMaxCounted / float64(c.Values))
		c.Values = sketch.DefaultMaxCounted
	}
	return (perValue+c.Each)*c.Values + copiesOfText*min(c.Bytes, sketch.MaxCountedBytes)
}

// weigh adds to a stage the memory for the values that earlier stages have told
// apart: where they are merged, and wherever the pipeline is read that has
// learned them.
func weigh(j *jobs.Job, s *jobs.Stage) error {
	most, largest := int64(0), features.Counted{}
	add := func(all []features.Counted, perValue int64) {
		for _, c := range all {
			n := bytesOf(c, perValue)
			s.MaxBytes += n
			if n > most {
				most, largest = n, c
			}
		}
	}
	if pass, ok := strings.CutPrefix(s.Name, Fit+"-"); ok {
		sums, err := learnedOf(j, Observe+"-"+pass)
		if err != nil {
			return err
		}
		add(sums, mergedValue)
	}
	for _, done := range j.Stages {
		if strings.HasPrefix(done.Name, Fit+"-") {
			fitted, err := learnedOf(j, done.Name)
			if err != nil {
				return err
			}
			add(fitted, fittedValue)
		}
	}
	if most > s.MaxBytes/2 {
		s.Params = map[string]string{LargestParam: fmt.Sprintf("%s%q: up to %d distinct values", learnedOfColumn, largest.Column, min(largest.Values, sketch.DefaultMaxCounted))}
	}
	return nil
}

// learnedOf adds up what the tasks of a stage have told apart.
func learnedOf(j *jobs.Job, stage string) ([]features.Counted, error) {
	var sums []features.Counted
	for _, t := range j.StageTasks(stage) {
		var one Learned
		if len(t.Result.Meta) == 0 {
			continue
		}
		if err := json.Unmarshal(t.Result.Meta, &one); err != nil {
			return nil, fault.New(fault.Corrupt, "plan %s: what %s has learned: %w", j.ID, t.ID, err)
		}
		for i, c := range one.Counted {
			if i == len(sums) {
				sums = append(sums, features.Counted{Column: c.Column, Rough: &sketch.Rough{}})
			}
			addUp(&sums[i], c)
		}
	}
	for i := range sums {
		together(&sums[i])
	}
	return sums, nil
}

// addUp adds the values of one more shard.
func addUp(sum *features.Counted, c features.Counted) {
	sum.Values += c.Values
	sum.Bytes += c.Bytes
	sum.Each = max(sum.Each, c.Each)
	if c.Rough == nil {
		sum.Rough = nil
	}
	if sum.Rough != nil {
		sum.Rough.Merge(c.Rough)
	}
}

// together leaves out, as well as can be told, the values that shards have in
// common. The estimate is taken half again, which is four standard errors.
func together(sum *features.Counted) {
	if sum.Rough == nil {
		return
	}
	if n := sum.Rough.Estimate(); n+n/2+1 < sum.Values {
		sum.Bytes = int64(float64(sum.Bytes) * float64(n+n/2+1) / float64(sum.Values))
		sum.Values = n + n/2 + 1
	}
}
