// Package parquet turns Parquet files into batches and batches into Parquet
// files, column by column, over an io.ReaderAt and an io.Writer. It is the only
// importer of parquet-go, of which it uses the words of the format; footer and
// pages are decoded here, because no length in a file may be believed before it
// has been held against the bytes that are there.
//
// What is read: columns of any type and encoding, with codecs none, snappy,
// gzip, zstd, lz4, lz4_raw, lzo and brotli. Leaves of structs are columns named by
// path (address.city); lists become three columns each (tags.count, tags.first,
// tags.last), maps and lists within lists one (map.count).
//
//	BOOLEAN                          bool
//	INT32, INT(8|16|32), UINT(8|16)  int32
//	INT64, UINT(32), UINT(64)        int64; UINT(64) that goes beyond int64: string, its digits (SettleUnsigned)
//	FLOAT, FLOAT16                   float32
//	DOUBLE, DECIMAL                  float64, decimals rounded to nearest
//	BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY string; text must be UTF-8, other bytes stay as they are
//	UUID                             string in the usual form of 36 letters
//	DATE                             date
//	TIMESTAMP, INT96                 timestamp, nanoseconds rounded down; INT96 is wall time
//	TIME                             int64, microseconds since midnight
//	INTERVAL                         three columns of int64: its months, days and millis
//
// Files made by Writer are the same, byte for byte, for the same batches.
package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	maxGroupRows  = 1 << 26
	maxBatchBytes = 4 << 30
	// A row group of a few bytes may hold many equal rows, but a claim of more
	// than this, and this many times its compressed size, is no data.
	plausibleRows  = 1 << 24
	plausibleRatio = 1 << 16
	// A dictionary may have more entries than there are values, but not many.
	plausibleDict = 1 << 20
)

// File is an open Parquet file. Its methods may be called from any number of
// goroutines, if the ReaderAt allows that.
type File struct {
	name        string
	r           io.ReaderAt
	foot        *footer
	schema      data.Schema
	leaves      []leaf
	unsupported []Unsupported
	byName      map[string]int
	tables      pageTables
	nested      []leaf     // within lists within lists
	exploded    *explosion // nil: rows are those of the file
}

// Open reads and checks the footer of the file of the given size; name is what
// errors call it. Nothing else is read before ReadRowGroup, and r stays the
// caller's to close. Faults of the file have the kind fault.Corrupt, features
// that are not supported fault.Invalid; those of r keep their kind.
func Open(r io.ReaderAt, size int64, name string) (f *File, err error) {
	defer func() { err = atDoor(recover(), name, err) }()
	foot, err := readFooter(r, size)
	if err != nil {
		return nil, err
	}
	if foot.encrypted {
		return nil, fault.New(fault.Invalid, "the file is encrypted, which is not supported")
	}
	w, err := leavesOf(foot.elements)
	if err != nil {
		return nil, err
	}
	if err := foot.checkChunks(w.physical); err != nil {
		return nil, err
	}
	f = &File{name: name, r: r, foot: foot, leaves: w.leaves, unsupported: w.refused, nested: w.nested, byName: make(map[string]int)}
	for i := range f.leaves {
		f.schema.Fields = append(f.schema.Fields, f.leaves[i].field)
		f.byName[f.leaves[i].field.Name] = i
	}
	f.widenUnsigned()
	foot.elements = nil
	return f, nil
}

// Over returns the file as another reader of the same bytes has it, without
// reading its footer again. What columns have become in one, such as texts,
// they are not in the other.
// It must not be called for a file that Explode has returned.
func (f *File) Over(r io.ReaderAt) *File {
	return &File{
		name: f.name, r: r, foot: f.foot, schema: data.Schema{Fields: slices.Clone(f.schema.Fields)}, leaves: slices.Clone(f.leaves),
		unsupported: f.unsupported, byName: f.byName, nested: f.nested,
	}
}

// FooterBytes is how long the footer is in the file.
func (f *File) FooterBytes() int64 { return f.foot.bytes }

// atDoor gives an error the name of the file and a kind. A panic is a bug here
// or in a decompressor, set off by the file, and is reported as the file's.
func atDoor(panicked any, name string, err error) error {
	if panicked != nil {
		return fault.New(fault.Corrupt, "parquet: %s: cannot be decoded: %v", name, panicked)
	}
	if err == nil {
		return nil
	}
	kind := fault.Of(err)
	var read *readError
	if kind == fault.Internal && !errors.As(err, &read) {
		kind = fault.Corrupt
	}
	return fault.Wrap(kind, fmt.Errorf("parquet: %s: %w", name, err))
}

// stopped is why nobody wants the rest any more, or nil. Whatever the cause says,
// the file is not at fault.
func stopped(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if fault.Of(cause) == fault.Internal {
		return fault.Wrap(fault.Canceled, cause)
	}
	return cause
}

// Schema returns the columns that can be read, in the order of the file. Names
// are unique; a field is nullable when the file says that it may hold nulls.
func (f *File) Schema() data.Schema { return f.schema }

// Unsupported returns the columns that cannot be read, in the order of the file.
func (f *File) Unsupported() []Unsupported { return f.unsupported }

// NumRows returns the number of rows of the file.
func (f *File) NumRows() int64 {
	if f.exploded == nil {
		return f.foot.numRows
	}
	n := int64(0)
	for g := range f.foot.groups {
		n += f.rowsOf(&f.foot.groups[g])
	}
	return n
}

// NumRowGroups returns the number of row groups, which may be 0.
func (f *File) NumRowGroups() int { return len(f.foot.groups) }

// RowGroup is the size of one row group, by column in the order of the schema.
type RowGroup struct {
	Rows    int64
	Columns []ColumnSize
}

// ColumnSize is the size of one column of one row group.
type ColumnSize struct {
	// DecodedBytes is what the column takes in memory: for strings the codes
	// and, at most, the strings as the file stores them.
	DecodedBytes int64
	// CompressedBytes is what has to be fetched; the columns that one list becomes
	// share it.
	CompressedBytes int64
}

// RowGroup returns the size of row group i, which must be below NumRowGroups.
func (f *File) RowGroup(i int) RowGroup {
	g := &f.foot.groups[i]
	out := RowGroup{Rows: f.rowsOf(g), Columns: make([]ColumnSize, len(f.leaves))}
	for k := range f.leaves {
		out.Columns[k] = f.leaves[k].size(g, out.Rows)
	}
	return out
}

// DecodedBytes adds up what all columns take in memory.
func (g RowGroup) DecodedBytes() int64 {
	n := int64(0)
	for _, c := range g.Columns {
		n += c.DecodedBytes
	}
	return n
}

func (l *leaf) size(g *rowGroup, rows int64) ColumnSize {
	c := &g.chunks[l.at]
	n := rows * valueBytes(l.field.Type)
	if l.field.Nullable {
		n += (rows + 7) / 8
	}
	if l.field.Type == data.String {
		n += min(c.plain, 1<<46) // a claim, and sums must not overflow
	}
	return ColumnSize{DecodedBytes: n, CompressedBytes: c.packed / int64(max(l.sharers, 1))}
}

func valueBytes(t data.Type) int64 {
	switch t {
	case data.Bool:
		return 1
	case data.Int64, data.Timestamp, data.Float64:
		return 8
	default:
		return 4
	}
}

// ReadRowGroup reads columns of row group g, in the order given; none means all
// columns. It is Read without a filter and into new memory.
func (f *File) ReadRowGroup(ctx context.Context, g int, columns []string) (*data.Batch, error) {
	return f.Read(ctx, g, ReadOptions{Columns: columns})
}

// choose returns the leaves of the columns asked for.
func (f *File) choose(columns []string) ([]int, error) {
	if len(columns) == 0 {
		if len(f.unsupported) > 0 {
			u := f.unsupported[0]
			return nil, fault.New(fault.Invalid, "column %q cannot be read: %s; name the columns to read without it", u.Name, u.Reason)
		}
		all := make([]int, len(f.leaves))
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	want := make([]int, len(columns))
	taken := make(map[int]bool, len(columns))
	for i, name := range columns {
		k, ok := f.byName[name]
		if !ok {
			return nil, f.noSuchColumn(name)
		}
		if taken[k] {
			return nil, fault.New(fault.Invalid, "column %q is asked for twice", name)
		}
		taken[k] = true
		want[i] = k
	}
	return want, nil
}

func (f *File) noSuchColumn(name string) error {
	for _, u := range f.unsupported {
		if u.Name == name || strings.HasPrefix(u.Name, name+".") {
			return fault.New(fault.Invalid, "column %q cannot be read: %s", name, u.Reason)
		}
	}
	names := f.schema.Names()
	more := ""
	if len(names) > 20 {
		names, more = names[:20], ", ..."
	}
	return fault.New(fault.Invalid, "no column %q; there are %s%s", name, strings.Join(names, ", "), more)
}
