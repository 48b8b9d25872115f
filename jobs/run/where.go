package run

import (
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
)

// rowNumbers says which rows of the table a batch holds: those of kept among so
// many from the first on.
type rowNumbers struct {
	first int64
	count int
	kept  data.Bitmap // nil: all
}

// of returns what belongs to the batch's rows of something that every row of the
// table has, from the first on.
func (r rowNumbers) of(all []split.Part) []split.Part {
	if r.kept == nil {
		return all
	}
	out := all[:0]
	for i, p := range all {
		if r.kept.Get(i) {
			out = append(out, p)
		}
	}
	return out
}

// numbers returns the number of each row of the batch.
func (r rowNumbers) numbers() []int64 {
	out := make([]int64, 0, r.count)
	for i := range r.count {
		if r.kept.Get(i) {
			out = append(out, r.first+int64(i))
		}
	}
	return out
}

// learnedFrom says which rows of a batch a pipeline learns from: those of mask,
// all when it is nil.
func (r rowNumbers) learnedFrom(p *features.Pipeline, mask data.Bitmap) features.Rows {
	rows := features.Rows{Mask: mask}
	if p.NeedsNumbers() {
		rows.Numbers = r.numbers()
	}
	return rows
}

// both is true where each condition is.
func both(a, b spec.Where) (*data.Predicate, error) {
	p, err := a.Predicate()
	if err != nil || b == "" {
		return p, err
	}
	q, err := b.Predicate()
	if err != nil || p == nil {
		return q, err
	}
	return data.And(p, q), nil
}

// restrict makes the dataset that of the rows for which p is true. It must be
// called before the files are cut into shards.
func (d *Dataset) restrict(p *data.Predicate) error {
	if p == nil {
		return nil
	}
	d.Where = p.String()
	f, err := p.Bind(d.Schema)
	if err != nil {
		return fault.New(fault.Invalid, "input %s: %w", d.Path, err)
	}
	d.filter = f
	return nil
}

// rows returns the filter of a dataset that another task has surveyed, or nil.
func (d *Dataset) rows() (*data.Filter, error) {
	if d.Where == "" {
		return nil, nil
	}
	p, err := data.ParsePredicate(d.Where)
	if err != nil {
		return nil, err
	}
	return p.Bind(d.Schema)
}

// where returns the condition on the rows that a features or train job learns
// from.
func (w *work) where() spec.Where {
	switch {
	case w.spec.Features != nil:
		return w.spec.Features.Where
	case w.spec.Train != nil:
		return w.spec.Train.Where
	}
	return ""
}

// noneMeet is the error of a job that cannot do without rows.
func noneMeet(where spec.Where) error {
	return fault.New(fault.Invalid, "where: %s: is true of no row of the input", where)
}

// wanted adds the columns that a filter looks at to those that are read; none
// stands for all.
func wanted(columns []string, filter *data.Filter) []string {
	if filter == nil || len(columns) == 0 {
		return columns
	}
	return withNames(columns, filter.Columns()...)
}
