package run

import (
	"context"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// view is a file seen as a part of its dataset: with the dataset's columns,
// whether the file has them, of narrower types or not at all.
type view struct {
	file   *parquet.File
	schema data.Schema // the dataset's
	folder DataFile    // what the file's folders say
	filter *data.Filter
	// maxBytes bounds what a read takes in memory; 0 is the reader's own bound.
	maxBytes int64
}

// statistics returns what is known of a column's values in a row group.
func (v *view) statistics(group int, column string) (data.Range, bool) {
	i := v.schema.Index(column)
	if i < 0 {
		return data.Range{}, false
	}
	rows := v.file.RowGroup(group).Rows
	k := v.file.Schema().Index(column)
	if k < 0 {
		value := v.folder.value(v.schema.Fields[i])
		if value == nil {
			return data.Range{Rows: rows, Nulls: rows}, true
		}
		return data.Range{Rows: rows, Bounded: true, Min: *value, Max: *value}, true
	}
	r, ok := v.file.Statistics(group, column)
	if v.file.Schema().Fields[k].Type != v.schema.Fields[i].Type {
		r.Lacks = nil // it would be asked with a value of another type
	}
	return r, ok
}

// mayMatch reports whether a row group may hold a row that counts, by its
// statistics and the names of its folders.
func (v *view) mayMatch(group int) bool {
	return v.filter == nil || v.filter.MayMatch(func(column string) (data.Range, bool) { return v.statistics(group, column) })
}

// stored returns those of the columns (all if none are named) that the file has.
func (v *view) stored(columns []string) []string {
	if len(columns) == 0 {
		columns = v.schema.Names()
	}
	var out []string
	for _, c := range columns {
		if v.file.Schema().Index(c) >= 0 {
			out = append(out, c)
		}
	}
	return out
}

// native reports whether the file has all of the columns, of the dataset's
// types.
func (v *view) native(columns []string) bool {
	for _, c := range columns {
		k := v.file.Schema().Index(c)
		if k < 0 || v.file.Schema().Fields[k].Type != v.schema.Fields[v.schema.Index(c)].Type {
			return false
		}
	}
	return true
}

// read returns the named columns (all if none are named) of those of a piece of
// a row group's rows that count, and which those are, nil standing for all. into is a batch whose
// memory may be used again, if there is one; so is what is returned with it.
func (v *view) read(ctx context.Context, group int, piece parquet.RowSpan, columns []string, into *data.Batch) (b *data.Batch, kept data.Bitmap, reuse *data.Batch, err error) {
	if len(columns) == 0 {
		columns = v.schema.Names()
	}
	if v.filter == nil {
		b, reuse, err = v.all(ctx, group, piece, columns, into)
		return b, nil, reuse, err
	}
	tests := v.filter.Columns()
	if v.native(tests) && len(v.stored(columns)) > 0 {
		b, err = v.file.Read(ctx, group, parquet.ReadOptions{Columns: v.stored(columns), Rows: piece, Filter: v.filter, Kept: &kept, Into: into, MaxBytes: v.maxBytes})
		if err != nil {
			return nil, nil, into, err
		}
		whole, err := v.conform(b, columns)
		return whole, kept, b, err
	}
	if b, reuse, err = v.all(ctx, group, piece, withNames(columns, tests...), into); err != nil {
		return nil, nil, reuse, err
	}
	if kept, err = v.filter.Eval(b); err != nil {
		return nil, nil, reuse, err
	}
	picked, err := only(b, columns)
	if err != nil {
		return nil, nil, reuse, err
	}
	return picked.Keep(kept), kept, reuse, nil
}

// all returns the columns of every row of a piece of a row group.
func (v *view) all(ctx context.Context, group int, piece parquet.RowSpan, columns []string, into *data.Batch) (b, reuse *data.Batch, err error) {
	stored := v.stored(columns)
	if len(stored) == 0 {
		b, err = v.conform(&data.Batch{NumRows: int(piece.To - piece.From)}, columns)
		return b, into, err
	}
	if b, err = v.file.Read(ctx, group, parquet.ReadOptions{Columns: stored, Rows: piece, Into: into, MaxBytes: v.maxBytes}); err != nil {
		return nil, into, err
	}
	whole, err := v.conform(b, columns)
	return whole, b, err
}

// conform gives a batch of the file the columns of the dataset.
func (v *view) conform(b *data.Batch, columns []string) (*data.Batch, error) {
	var target data.Schema
	same := len(columns) == len(b.Schema.Fields)
	for i, c := range columns {
		f := v.schema.Fields[v.schema.Index(c)]
		target.Fields = append(target.Fields, f)
		same = same && b.Schema.Fields[i].Name == f.Name && b.Schema.Fields[i].Type == f.Type
	}
	if same {
		return b, nil
	}
	out, err := b.Conform(target)
	if err != nil {
		return nil, fault.New(fault.Internal, "conform: %w", err)
	}
	for i, f := range target.Fields {
		if b.Schema.Index(f.Name) < 0 {
			out.Columns[i] = data.Constant(f.Type, v.folder.value(f), b.NumRows)
		}
	}
	return out, nil
}

// value returns what the file's folders say of a column, or nil.
func (f DataFile) value(field data.Field) *data.Value {
	text, ok := partitionText(f.Keys, f.Values, field.Name)
	return partitionValue(field, text, ok)
}

// only returns the named columns of a batch.
func only(b *data.Batch, columns []string) (*data.Batch, error) {
	out := &data.Batch{NumRows: b.NumRows}
	for _, name := range columns {
		i := b.Schema.Index(name)
		if i < 0 {
			return nil, fault.New(fault.Internal, "the batch has no column %q", name)
		}
		out.Schema.Fields, out.Columns = append(out.Schema.Fields, b.Schema.Fields[i]), append(out.Columns, b.Columns[i])
	}
	return out, nil
}

// look is a file as the survey has read it.
type look struct {
	DataFile
	file *parquet.File // of which only the footer may be looked at
}

// unify gives the dataset the columns of all its files, and those that their
// folders name and they lack themselves.
func (d *Dataset) unify(looks []look) error {
	var digits []string
	for _, l := range looks {
		digits = append(digits, l.file.Digits()...)
	}
	for _, l := range looks {
		l.file.ReadDigits(digits) // a column that goes beyond int64 in one file is text in all
	}
	for i, l := range looks {
		schema, err := d.Schema.Unify(l.file.Schema())
		if i == 0 {
			schema, err = data.Schema{Fields: slices.Clone(l.file.Schema().Fields)}, nil
		}
		if err != nil {
			first := looks[firstWith(looks[:i], l.file.Schema(), d.Schema)].Path
			return fault.New(fault.Invalid, "input %s: %w: compare %s with %s, and write both files with one type", d.Path, err, first, l.Path)
		}
		d.Schema = schema
	}
	keys, values := make([][]string, len(looks)), make([][]string, len(looks))
	for i := range looks {
		looks[i].forget(d.Schema)
		keys[i], values[i] = looks[i].Keys, looks[i].Values
	}
	d.Schema.Fields = append(d.Schema.Fields, partitionFields(keys, values)...)
	return nil
}

// forget drops what the folders say of columns that files have themselves.
func (f *DataFile) forget(s data.Schema) {
	var keys, values []string
	for i, k := range f.Keys {
		if s.Index(k) < 0 {
			keys, values = append(keys, k), append(values, f.Values[i])
		}
	}
	f.Keys, f.Values = keys, values
}

// firstWith returns the first file that has, of another type, a column of the
// one that does not fit.
func firstWith(looks []look, not, all data.Schema) int {
	for _, f := range not.Fields {
		single := data.Schema{Fields: []data.Field{f}}
		if i := all.Index(f.Name); i < 0 || fits(single, data.Schema{Fields: all.Fields[i : i+1]}) {
			continue
		}
		for i, l := range looks {
			if k := l.file.Schema().Index(f.Name); k >= 0 && !fits(single, data.Schema{Fields: l.file.Schema().Fields[k : k+1]}) {
				return i
			}
		}
	}
	return 0
}

func fits(a, b data.Schema) bool {
	_, err := a.Unify(b)
	return err == nil
}
