package run

import (
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store/s3"
)

// announce tells a file that wants to know which row groups and columns will be
// read, a step for each row group.
func (v *view) announce(f files.File, r split.Range, columns []string) error {
	p, ok := f.(files.Planner)
	if !ok {
		return nil
	}
	if columns = v.stored(wanted(columns, v.filter)); len(columns) == 0 {
		return nil
	}
	var steps [][]s3.Range
	for g := r.First; g < r.First+r.Count; g++ {
		if !v.mayMatch(g) {
			continue
		}
		chunks, err := v.file.Chunks(g, columns)
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
