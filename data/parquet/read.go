package parquet

import (
	"context"
	"fmt"
	"sync"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// ReadOptions says what to read of a row group, and where to.
type ReadOptions struct {
	// Columns are read in this order. None means all columns, which is an error
	// naming the first unsupported one if there is any.
	Columns []string
	// Filter leaves out the rows for which it is not true. Its columns are read
	// first; pages of which no row is left are not decompressed. It must be bound
	// to the types that the columns have in this file. nil: all rows.
	Filter *data.Filter
	// Kept, with a filter, is where to write which rows of the row group are left.
	// nil: nobody wants to know.
	Kept *data.Bitmap
	// Into is a batch that an earlier Read has returned and nobody looks at any
	// more: its memory is used again where it fits, which is much quicker than
	// new memory. Strings of its dictionaries stay valid. nil: all memory is new.
	Into *data.Batch
	// Rows are those of the row group that are read, and that Kept speaks of. Of
	// columns without lists, only pages that have any of them are fetched and
	// decoded. The zero value means all.
	Rows RowSpan
	// MaxBytes bounds what the row group may take in memory: its columns, their
	// strings, and a chunk as the file has it. More is fault.Exhausted, before the
	// memory is taken. 0 means 4 GiB.
	MaxBytes int64
}

// scratches are used again for the next row group of whatever file.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Read reads columns of row group g. Only the bytes of those columns are
// fetched, neighbours together. The batch is the caller's; rows keep their
// order. Strings have the dictionary of the rows: each string that occurs, once,
// in order of first appearance.
//
// An unknown or unsupported column is fault.Invalid, a damaged one
// fault.Corrupt and names column, row group and page. After an error the memory
// of Into may still be used again.
func (f *File) Read(ctx context.Context, g int, o ReadOptions) (b *data.Batch, err error) {
	defer func() { err = atDoor(recover(), f.name, err) }()
	if g < 0 || g >= len(f.foot.groups) {
		return nil, fault.New(fault.Invalid, "row group %d of %d", g, len(f.foot.groups))
	}
	want, err := f.choose(o.Columns)
	if err != nil {
		return nil, err
	}
	window, err := f.window(g, o.Rows)
	if err != nil && f.exploded == nil {
		return nil, err
	}
	s := scratches.Get().(*scratch)
	s.indexes, s.maxBytes, s.window = nil, o.MaxBytes, window
	if s.maxBytes <= 0 {
		s.maxBytes = maxBatchBytes
	}
	sound := false
	defer func() {
		if sound && !s.broken { // after a panic it may be in any state
			scratches.Put(s)
		}
	}()
	if f.exploded != nil {
		b, err = f.readExploded(ctx, s, g, want, o)
		sound = true
		return b, err
	}
	var old []*data.Column
	if o.Into != nil {
		old = o.Into.Columns
	}
	if o.Filter != nil {
		b, err = f.readFiltered(ctx, s, g, want, o)
		sound = true
		return b, err
	}
	b = &data.Batch{Schema: f.schemaOf(want), NumRows: s.windowRows()}
	b.Columns, err = f.decode(ctx, s, g, want, nil, old)
	sound = true
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (f *File) schemaOf(want []int) data.Schema {
	s := data.Schema{Fields: make([]data.Field, len(want))}
	for i, k := range want {
		s.Fields[i] = f.leaves[k].field
	}
	return s
}

// decode reads leaves of a row group, in the memory of old columns where they
// fit. Of pages that have no row in sel nothing is read; their rows hold
// whatever there was. A nil sel means all rows.
func (f *File) decode(ctx context.Context, s *scratch, g int, want []int, sel data.Bitmap, old []*data.Column) ([]*data.Column, error) {
	group := &f.foot.groups[g]
	if s.window != (RowSpan{0, group.numRows}) {
		s.rows, s.list.at = sel, -1
		return f.decodeWindow(ctx, s, g, want, old)
	}
	if err := f.checkSize(g, want, s.maxBytes); err != nil {
		return nil, err
	}
	s.rows, s.list.at = sel, -1
	into := make([]*data.Column, len(want))
	copy(into, old)
	for _, span := range f.spans(group, want) {
		if err := stopped(ctx); err != nil {
			return nil, err
		}
		at, err := f.readSpan(ctx, s, group, span, want, into)
		if err != nil {
			return nil, fmt.Errorf("column %q: row group %d: %w", f.leaves[want[at]].field.Name, g, err)
		}
	}
	return into, nil
}

// columnOf returns a column of rows whose values may be anything, in the memory
// of old where that fits. It has no marks for nulls.
func columnOf(old *data.Column, t data.Type, rows int) *data.Column {
	if old == nil || old.Type != t {
		return data.NewColumn(t, rows)
	}
	c := &data.Column{Type: t, Dict: old.Dict[:0]}
	switch t {
	case data.Bool:
		c.Bools = sized(old.Bools, rows)
	case data.Int32, data.Date:
		c.Int32s = sized(old.Int32s, rows)
	case data.Int64, data.Timestamp:
		c.Int64s = sized(old.Int64s, rows)
	case data.Float32:
		c.Float32s = sized(old.Float32s, rows)
	case data.Float64:
		c.Float64s = sized(old.Float64s, rows)
	case data.String:
		c.Codes = sized(old.Codes, rows)
	}
	return c
}

// sized returns old with that length, or new memory if it is too small.
func sized[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	return old[:n]
}
