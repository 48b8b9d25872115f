package parquet

import (
	"context"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// readFiltered reads the rows of a row group for which the filter is true:
// first the filter's own columns, as far as statistics and page index leave
// something of them, then, of the others, the pages that have such rows.
func (f *File) readFiltered(ctx context.Context, s *scratch, g int, want []int, o ReadOptions) (*data.Batch, error) {
	numRows := s.windowRows()
	if o.Kept != nil {
		*o.Kept = data.NewBitmap(numRows)
	}
	all := &data.Batch{Schema: f.schemaOf(want), Columns: make([]*data.Column, len(want))}
	tested, err := f.tested(o.Filter)
	if err != nil {
		return nil, err
	}
	columns, rows, err := f.test(ctx, s, g, tested, o.Filter)
	if err != nil {
		return nil, err
	}
	left := countBits(rows, 0, 64*len(rows))
	if left == 0 {
		for i, k := range want {
			all.Columns[i] = data.NewColumn(f.leaves[k].field.Type, 0)
		}
		return all, nil
	}
	if o.Kept != nil {
		*o.Kept = rows
	}
	have := slices.Clone(tested)
	for _, k := range want {
		if !slices.Contains(tested, k) {
			have = append(have, k)
		}
	}
	var old []*data.Column
	if len(s.columns) > len(tested) {
		old = s.columns[len(tested):]
	}
	more, err := f.decode(ctx, s, g, have[len(tested):], rows, old)
	if err != nil {
		return nil, err
	}
	s.columns = append(columns, more...)
	all.NumRows = numRows
	for i, k := range want {
		all.Columns[i] = s.columns[slices.Index(have, k)]
	}
	if left < numRows {
		return all.KeepInto(rows, o.Into), nil
	}
	if s.window != (RowSpan{0, f.foot.groups[g].numRows}) {
		for _, c := range all.Columns {
			tidy(c)
		}
	}
	s.columns = nil // they are the caller's now, and the caller's are ours
	if o.Into != nil {
		s.columns = o.Into.Columns
	}
	return all, nil
}

// test reads the columns of a filter and marks the rows for which it is true;
// there are no marks when statistics leave none.
func (f *File) test(ctx context.Context, s *scratch, g int, tested []int, filter *data.Filter) ([]*data.Column, data.Bitmap, error) {
	sel, err := f.candidates(ctx, s, g, filter)
	if err != nil || sel == nil {
		return nil, nil, err
	}
	columns, err := f.decode(ctx, s, g, tested, sel, s.columns)
	if err != nil {
		return nil, nil, err
	}
	rows, err := filter.Eval(&data.Batch{Schema: f.schemaOf(tested), NumRows: s.windowRows(), Columns: columns})
	if err != nil {
		return nil, nil, err
	}
	for i := range rows {
		rows[i] &= sel[i]
	}
	return columns, rows, nil
}

// tested returns the leaves that a filter looks at.
func (f *File) tested(filter *data.Filter) ([]int, error) {
	names := filter.Columns()
	if len(names) == 0 { // such as true
		return nil, nil
	}
	tested, err := f.choose(names)
	if err != nil {
		return nil, err
	}
	for i, k := range tested {
		if have, want := f.leaves[k].field.Type, filter.Type(names[i]); have != want {
			return nil, fault.New(fault.Invalid, "column %q is %v, the filter was made for %v", names[i], have, want)
		}
	}
	return tested, nil
}

// candidates marks the rows that may match before any value is read; it
// returns nil when there are none.
func (f *File) candidates(ctx context.Context, s *scratch, g int, filter *data.Filter) (data.Bitmap, error) {
	may, err := f.MayMatch(ctx, g, filter)
	if err != nil || !may {
		return nil, err
	}
	spans, used, err := f.matchingRows(ctx, g, filter)
	s.indexes = used
	if err != nil || len(spans) == 0 {
		return nil, err
	}
	sel, some := data.NewBitmap(s.windowRows()), false
	for _, span := range spans {
		from, to := max(span.From, s.window.From), min(span.To, s.window.To)
		if from < to {
			setBits(sel, int(from-s.window.From), int(to-from))
			some = true
		}
	}
	if !some {
		return nil, nil
	}
	return sel, nil
}

// anySet reports whether some of the n bits from off on are set; all of a nil
// bitmap are.
func anySet(b data.Bitmap, off, n int) bool {
	if b == nil {
		return true
	}
	return countBits(b, off, off+n) > 0
}
