package run

import (
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store/s3"
)

// announce tells a file that wants to know which row groups and columns will be
// read, a step for each row group.
func announce(f files.File, pf *parquet.File, r split.Range, columns []string, filter *data.Filter) error {
	p, ok := f.(files.Planner)
	if !ok {
		return nil
	}
	var steps [][]s3.Range
	for g := r.First; g < r.First+r.Count; g++ {
		if !mayMatch(pf, g, filter) {
			continue
		}
		chunks, err := pf.Chunks(g, columns)
		if err != nil {
			return err
		}
		step := make([]s3.Range, len(chunks))
		for i, c := range chunks {
			step[i] = s3.Range{Start: c.Start, End: c.End}
		}
		steps = append(steps, step)
	}
	p.Plan(steps...)
	return nil
}

// announceAll tells it that all its bytes will be read in order.
func announceAll(f files.File) {
	if p, ok := f.(files.Planner); ok {
		p.Plan([]s3.Range{{Start: 0, End: f.Size()}})
	}
}
