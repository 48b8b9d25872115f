package parquet

import (
	"context"
	"math/bits"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// readFiltered reads the rows of a row group for which the filter is true:
// first the filter's own columns, as far as statistics and page index leave
// something of them, then, of the others, the pages that have such rows.
func (f *File) readFiltered(ctx context.Context, s *scratch, g int, want []int, filter *data.Filter, into *data.Batch) (*data.Batch, error) {
	none := &data.Batch{Schema: f.schemaOf(want)}
	for _, k := range want {
		none.Columns = append(none.Columns, data.NewColumn(f.leaves[k].field.Type, 0))
	}
	tested, err := f.tested(filter)
	if err != nil {
		return nil, err
	}
	sel, err := f.candidates(ctx, s, g, filter)
	if err != nil || sel == nil {
		return none, err
	}
	numRows := int(f.foot.groups[g].numRows)
	columns, err := f.decode(ctx, s, g, tested, sel, s.columns)
	if err != nil {
		return nil, err
	}
	rows, err := filter.Eval(&data.Batch{Schema: f.schemaOf(tested), NumRows: numRows, Columns: columns})
	if err != nil {
		return nil, err
	}
	left := 0
	for i := range rows {
		rows[i] &= sel[i]
		left += bits.OnesCount64(rows[i])
	}
	if left == 0 {
		s.columns = columns
		return none, nil
	}
	others := make([]int, 0, len(want))
	for _, k := range want {
		if !slices.Contains(tested, k) {
			others = append(others, k)
		}
	}
	var old []*data.Column
	if len(s.columns) > len(tested) {
		old = s.columns[len(tested):]
	}
	more, err := f.decode(ctx, s, g, others, rows, old)
	if err != nil {
		return nil, err
	}
	s.columns = append(columns, more...)
	all := &data.Batch{Schema: none.Schema, NumRows: numRows}
	have := append(slices.Clone(tested), others...)
	for _, k := range want {
		all.Columns = append(all.Columns, s.columns[slices.Index(have, k)])
	}
	if left < numRows {
		return all.KeepInto(rows, into), nil
	}
	s.columns = nil // they are the caller's now, and the caller's are ours
	if into != nil {
		s.columns = into.Columns
	}
	return all, nil
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
	sel := data.NewBitmap(int(f.foot.groups[g].numRows))
	for _, span := range spans {
		setBits(sel, int(span.From), int(span.To-span.From))
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
