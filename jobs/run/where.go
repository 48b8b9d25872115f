package run

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
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

// mayMatch reports whether a row group may hold a row of the dataset, by its
// statistics.
func mayMatch(f *parquet.File, group int, filter *data.Filter) bool {
	return filter == nil || filter.MayMatch(func(column string) (data.Range, bool) { return f.Statistics(group, column) })
}

// wanted adds the columns that a filter looks at to those that are read; none
// stands for all.
func wanted(columns []string, filter *data.Filter) []string {
	if filter == nil || len(columns) == 0 {
		return columns
	}
	out := append([]string(nil), columns...)
	for _, c := range filter.Columns() {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// pick returns the rows of a batch for which the filter is true, with the named
// columns only, and their numbers.
func pick(b *data.Batch, filter *data.Filter, columns []string, first int64) (*data.Batch, rowNumbers, error) {
	at := rowNumbers{first: first, count: b.NumRows}
	if filter == nil {
		return b, at, nil
	}
	kept, err := filter.Eval(b)
	if err != nil {
		return nil, at, err
	}
	at.kept = kept
	if len(columns) > 0 {
		if b, err = only(b, columns); err != nil {
			return nil, at, err
		}
	}
	return b.Keep(kept), at, nil
}

// only returns the named columns of a batch.
func only(b *data.Batch, columns []string) (*data.Batch, error) {
	var schema data.Schema
	var out []*data.Column
	for _, name := range columns {
		i := b.Schema.Index(name)
		if i < 0 {
			return nil, fault.New(fault.Internal, "the batch has no column %q", name)
		}
		schema.Fields, out = append(schema.Fields, b.Schema.Fields[i]), append(out, b.Columns[i])
	}
	return data.NewBatch(schema, out)
}
