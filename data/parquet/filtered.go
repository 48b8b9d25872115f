package parquet

import (
	"context"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// filteredRead is a read of a row group in the making: of the filter's own
// columns first, then of the others.
type filteredRead struct {
	*File
	*scratch
	group   int
	filter  *data.Filter
	have    []int          // leaves: the filter's, then the others that are asked for
	columns []*data.Column // of these, nil as long as they have not been read
	rows    data.Bitmap    // that are left
}

// readFiltered reads the rows of a row group for which the filter is true:
// first the filter's own columns, as far as statistics and page index leave
// something of them, then, of the others, the pages that have such rows.
func (f *File) readFiltered(ctx context.Context, s *scratch, g int, want []int, o ReadOptions) (*data.Batch, error) {
	numRows := s.windowRows()
	if o.Kept != nil {
		*o.Kept = data.NewBitmap(numRows)
	}
	all := &data.Batch{Schema: f.schemaOf(want), Columns: make([]*data.Column, len(want))}
	r := &filteredRead{File: f, scratch: s, group: g, filter: o.Filter}
	var err error
	if r.have, err = f.tested(o.Filter); err != nil {
		return nil, err
	}
	for _, k := range want {
		if !slices.Contains(r.have, k) {
			r.have = append(r.have, k)
		}
	}
	if r.rows, err = f.candidates(ctx, s, g, o.Filter); err != nil {
		return nil, err
	}
	r.columns = make([]*data.Column, len(r.have))
	if err := r.testAll(ctx); err != nil {
		return nil, err
	}
	left := countBits(r.rows, 0, 64*len(r.rows))
	if left == 0 {
		for i, k := range want { // the memory of Into stays with the batch, for the next read
			var old *data.Column
			if o.Into != nil && i < len(o.Into.Columns) {
				old = o.Into.Columns[i]
			}
			all.Columns[i] = columnOf(old, f.leaves[k].field.Type, 0)
		}
		return all, nil
	}
	if o.Kept != nil {
		*o.Kept = r.rows
	}
	if err := r.read(ctx, want); err != nil {
		return nil, err
	}
	all.NumRows = numRows
	for i, k := range want {
		all.Columns[i] = r.columns[slices.Index(r.have, k)]
	}
	if left < numRows {
		return all.KeepInto(r.rows, o.Into), nil
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

// testAll tests the conditions one after the other, each in the rows that those
// before it have left; not those that hold for the whole row group by its
// statistics.
func (r *filteredRead) testAll(ctx context.Context) error {
	for _, one := range r.filter.Conditions() {
		if r.rows == nil {
			return nil
		}
		if one.Holds(func(name string) (data.Range, bool) { return r.statisticsFor(one, r.group, name) }) {
			continue
		}
		if err := r.testOne(ctx, one); err != nil {
			return err
		}
		if !anySet(r.rows, 0, r.windowRows()) {
			r.rows = nil
		}
	}
	return nil
}

func (r *filteredRead) testOne(ctx context.Context, one *data.Filter) error {
	leaves, err := r.tested(one)
	if err != nil {
		return err
	}
	schema := r.schemaOf(leaves)
	var tested data.Bitmap
	if len(leaves) == 1 && r.leaves[leaves[0]].part == whole {
		tested = data.NewBitmap(r.windowRows())
		r.test = &condition{one, schema, tested}
	}
	err = r.read(ctx, leaves)
	r.test = nil
	if err != nil {
		return err
	}
	open := tested == nil
	for i := range tested {
		open = open || r.rows[i]&^tested[i] != 0
	}
	if !open {
		return nil
	}
	b := &data.Batch{Schema: schema, NumRows: r.windowRows()}
	for _, k := range leaves {
		b.Columns = append(b.Columns, r.columns[slices.Index(r.have, k)])
	}
	rows, err := one.Eval(b)
	if err != nil {
		return err
	}
	for i := range rows {
		r.rows[i] &= rows[i]
	}
	return nil
}

// read reads those of some leaves that have not been read, as far as rows are
// left, in the memory of the last time.
func (r *filteredRead) read(ctx context.Context, leaves []int) error {
	for len(r.scratch.columns) < len(r.have) {
		r.scratch.columns = append(r.scratch.columns, nil)
	}
	var want, places []int
	var old []*data.Column
	for _, k := range leaves {
		i := slices.Index(r.have, k)
		if r.columns[i] == nil {
			want, places, old = append(want, k), append(places, i), append(old, r.scratch.columns[i])
		}
	}
	if len(want) == 0 {
		return nil
	}
	columns, err := r.decode(ctx, r.scratch, r.group, want, r.rows, old)
	if err != nil {
		return err
	}
	for i, at := range places {
		r.columns[at], r.scratch.columns[at] = columns[i], columns[i]
	}
	return nil
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
