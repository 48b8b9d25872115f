package dataview

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// table is the files of a path as their footers describe them. None is kept
// open, however many there are.
type table struct {
	fs          *files.Files
	names       []string
	schema      data.Schema // of the columns asked for
	pieces      []piece
	rows        int64
	fileBytes   int64
	decoded     int64
	packed      map[string]int64
	ranges      map[string]data.Range
	unsupported []string
	digits      []string // unsigned columns that are texts, since one file's go beyond int64
}

// piece is one row group.
type piece struct {
	file  string
	group int
}

func openTable(ctx context.Context, fs *files.Files, path string, columns []string) (*table, error) {
	names, err := run.List(ctx, fs, path)
	if err != nil {
		return nil, err
	}
	var digits []string
	for {
		t, err := lookAt(ctx, fs, names, digits)
		if err != nil {
			return nil, err
		}
		if len(t.digits) == len(digits) {
			return t, t.choose(columns)
		}
		digits = t.digits // which the files before the first that has them did not know of
	}
}

// lookAt reads the footers of files whose unsigned columns of the given names are
// read as texts. A table of more such columns than these is not whole.
func lookAt(ctx context.Context, fs *files.Files, names, digits []string) (*table, error) {
	t := &table{fs: fs, names: names, packed: map[string]int64{}, ranges: map[string]data.Range{}, digits: digits}
	for i, name := range names {
		f, err := open(ctx, fs, name)
		if err != nil {
			return nil, err
		}
		if err = f.SettleUnsigned(ctx); err == nil {
			f.ReadDigits(t.digits)
			for _, column := range f.Digits() {
				if !slices.Contains(t.digits, column) {
					t.digits = append(slices.Clip(t.digits), column)
				}
			}
			if len(t.digits) == len(digits) {
				err = t.add(f, name, i == 0)
			}
		}
		if err := errors.Join(err, f.file.Close()); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// reading is one open file.
type reading struct {
	file files.File
	*parquet.File
}

func open(ctx context.Context, fs *files.Files, name string) (*reading, error) {
	f, err := fs.Open(ctx, name, "")
	if err != nil {
		return nil, err
	}
	p, err := parquet.Open(f, f.Size(), name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &reading{f, p}, nil
}

// add takes what the footer of a file says.
func (t *table) add(f *reading, name string, first bool) error {
	if first {
		t.schema = f.Schema()
		for _, u := range f.Unsupported() {
			t.unsupported = append(t.unsupported, fmt.Sprintf("%s: %s", u.Name, u.Reason))
		}
	}
	s, err := t.schema.Unify(f.Schema())
	if err != nil {
		return fault.New(fault.Invalid, "%s and %s: %w: look at them one by one", t.names[0], name, err)
	}
	t.schema = s
	t.fileBytes += f.file.Size()
	t.rows += f.NumRows()
	for g := range f.NumRowGroups() {
		t.pieces = append(t.pieces, piece{name, g})
		size := f.RowGroup(g)
		t.decoded += size.DecodedBytes()
		for i, c := range size.Columns {
			t.packed[f.Schema().Fields[i].Name] += c.CompressedBytes
		}
		for _, field := range t.schema.Fields {
			t.widen(f, g, field.Name)
		}
	}
	return nil
}

// widen adds the statistics of a row group to those of the column.
func (t *table) widen(f *reading, g int, name string) {
	r, ok := f.Statistics(g, name)
	if !ok { // the file has no such column: all null
		n := f.RowGroup(g).Rows
		r = data.Range{Rows: n, Nulls: n}
	}
	have, seen := t.ranges[name]
	if !seen {
		t.ranges[name] = r
		return
	}
	empty := func(r data.Range) bool { return r.Nulls == r.Rows }
	have.Rows += r.Rows
	switch {
	case empty(r):
	case have.Nulls == have.Rows-r.Rows:
		have.Bounded, have.Min, have.Max = r.Bounded, r.Min, r.Max
	case !have.Bounded || !r.Bounded || have.Min.Kind() != r.Min.Kind():
		have.Bounded = false
	default:
		have.Min, have.Max = lesser(have.Min, r.Min), greater(have.Max, r.Max)
	}
	if have.Nulls < 0 || r.Nulls < 0 {
		have.Nulls = -1
	} else {
		have.Nulls += r.Nulls
	}
	t.ranges[name] = have
}

func lesser(a, b data.Value) data.Value {
	if below(b, a) {
		return b
	}
	return a
}

func greater(a, b data.Value) data.Value {
	if below(a, b) {
		return b
	}
	return a
}

// below compares two values of one kind.
func below(a, b data.Value) bool {
	switch a.Kind() {
	case data.FloatLiteral:
		return a.Float() < b.Float()
	case data.StringLiteral:
		return a.Text() < b.Text()
	case data.BoolLiteral:
		return !a.Bool() && b.Bool()
	}
	return a.Int() < b.Int()
}

// choose leaves the columns that are asked for, in that order.
func (t *table) choose(columns []string) error {
	if len(columns) == 0 {
		return nil
	}
	var s data.Schema
	for i, name := range columns {
		k := t.schema.Index(name)
		switch {
		case k < 0:
			return fault.New(fault.Invalid, "--columns: there is no column %q; there are %s", name, listed(t.schema.Names()))
		case slices.Index(columns, name) < i:
			return fault.New(fault.Invalid, "--columns: column %q is named twice", name)
		}
		s.Fields = append(s.Fields, t.schema.Fields[k])
	}
	t.schema = s
	return nil
}

// listed names at most twenty things.
func listed(names []string) string {
	more := ""
	if len(names) > 20 {
		names, more = names[:20], " ..."
	}
	return fmt.Sprintf("%q%s", names, more)
}

// reader reads row groups of a table, and keeps the last file open.
type reader struct {
	table *table
	name  string
	open  *reading
}

func (r *reader) close() {
	if r.open != nil {
		_ = r.open.file.Close() // it was only read
		r.open = nil
	}
}

// read returns a row group with the columns of the table.
func (r *reader) read(ctx context.Context, p piece) (*data.Batch, error) {
	if r.open == nil || r.name != p.file {
		r.close()
		f, err := open(ctx, r.table.fs, p.file)
		if err != nil {
			return nil, err
		}
		f.ReadDigits(r.table.digits)
		r.open, r.name = f, p.file
	}
	if p.group >= r.open.NumRowGroups() {
		return nil, fault.New(fault.Conflict, "%s has changed while it was read", p.file)
	}
	var names []string
	for _, f := range r.table.schema.Fields {
		if r.open.Schema().Index(f.Name) >= 0 {
			names = append(names, f.Name)
		}
	}
	if len(names) == 0 { // it has none of them
		empty := &data.Batch{NumRows: int(r.open.RowGroup(p.group).Rows)}
		return empty.Conform(r.table.schema)
	}
	b, err := r.open.ReadRowGroup(ctx, p.group, names)
	if err != nil {
		return nil, err
	}
	return b.Conform(r.table.schema)
}
