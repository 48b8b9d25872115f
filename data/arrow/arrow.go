// Package arrow turns streams and files of Arrow IPC into batches, and batches
// into these. It is the only importer of arrow-go, of which it uses arrow and
// ipc. Arrow is a format of borders: inside, tables are package data's.
//
// What is read: columns that are not lists, maps or unions. Fields of structs
// are columns named by path (address.city), dictionaries are decoded.
//
//	BOOL                              bool
//	INT(8|16|32), UINT(8|16)          int32
//	INT64, UINT(32), UINT64           int64; UINT64 that goes beyond it string, its digits, if it is told so (Beyond)
//	FLOAT16, FLOAT32                  float32
//	FLOAT64, DECIMAL                  float64, decimals rounded to nearest
//	UTF8, BINARY, also large and view string; text must be UTF-8, other bytes stay as they are
//	DATE32, DATE64                    date
//	TIMESTAMP                         timestamp, nanoseconds rounded down; with a zone, an instant
//	TIME, DURATION                    int64, microseconds
//	NULL                              string, all null
//
// Source: the Arrow columnar format, serialization and interprocess communication.
package arrow

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// leaf is one column: a path through structs.
type leaf struct {
	field    data.Field
	path     []int
	unsigned bool // of 64 bits
	digits   bool // and read as text
}

// maxColumns and maxDepth bound what a schema may claim.
const (
	maxColumns = 10_000
	maxDepth   = 32
	maxNames   = 16 << 20 // bytes of all names: a struct's is part of each within it
	maxDigits  = 76       // of a decimal, behind its point, too: each of its values is written out with them
)

// leavesOf returns the columns of a schema.
func leavesOf(s *arrow.Schema) ([]leaf, error) {
	w := walk{seen: map[string]bool{}}
	for i, f := range s.Fields() {
		if err := w.add(f, "", []int{i}); err != nil {
			return nil, err
		}
	}
	if len(w.leaves) == 0 {
		return nil, fault.New(fault.Invalid, "the schema has no columns")
	}
	return w.leaves, nil
}

type walk struct {
	leaves []leaf
	seen   map[string]bool
	names  int // bytes
}

func (w *walk) add(f arrow.Field, prefix string, path []int) error {
	if w.names += len(prefix) + len(f.Name); w.names > maxNames {
		return fault.New(fault.Invalid, "the names of the columns take more than %d bytes", maxNames)
	}
	name := prefix + f.Name
	if len(path) > maxDepth || len(w.leaves) >= maxColumns {
		return fault.New(fault.Invalid, "column %q: more than %d columns, or structs within %d others", name, maxColumns, maxDepth)
	}
	typ := storage(f.Type)
	if st, ok := typ.(*arrow.StructType); ok {
		for i, child := range st.Fields() {
			if err := w.add(child, name+".", append(append([]int(nil), path...), i)); err != nil {
				return err
			}
		}
		return nil
	}
	t, utc, err := typeOf(typ)
	if err != nil {
		return fault.New(fault.Invalid, "column %q: %w", name, err)
	}
	if w.seen[name] {
		return fault.New(fault.Invalid, "column %q occurs twice", name)
	}
	w.seen[name] = true
	if d, ok := typ.(*arrow.DictionaryType); ok {
		typ = d.ValueType
	}
	w.leaves = append(w.leaves, leaf{field: data.Field{Name: name, Type: t, UTC: utc, Nullable: true}, path: path, unsigned: typ.ID() == arrow.UINT64})
	return nil
}

// storage is what an extension type is stored as.
func storage(t arrow.DataType) arrow.DataType {
	for {
		e, ok := t.(arrow.ExtensionType)
		if !ok {
			return t
		}
		t = e.StorageType()
	}
}

// typeOf returns the type that values of an Arrow type have in memory.
func typeOf(t arrow.DataType) (out data.Type, utc bool, err error) {
	switch t := t.(type) {
	case *arrow.TimestampType:
		return data.Timestamp, t.TimeZone != "", nil
	case *arrow.DictionaryType:
		if _, nested := t.ValueType.(*arrow.DictionaryType); nested {
			return 0, false, fmt.Errorf("%v is not supported", t)
		}
		return typeOf(t.ValueType)
	case arrow.DecimalType:
		if t.GetPrecision() > maxDigits || t.GetScale() > maxDigits || t.GetScale() < -maxDigits {
			return 0, false, fmt.Errorf("%v has more than %d digits", t, maxDigits)
		}
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth <= 0 {
			return 0, false, fmt.Errorf("%v: values of no bytes", t)
		}
	}
	out, ok := types[t.ID()]
	if !ok {
		return 0, false, fmt.Errorf("%v is not supported: write it as text, or leave it out", t)
	}
	return out, false, nil
}

var types = map[arrow.Type]data.Type{
	arrow.BOOL: data.Bool,
	arrow.INT8: data.Int32, arrow.INT16: data.Int32, arrow.INT32: data.Int32, arrow.UINT8: data.Int32, arrow.UINT16: data.Int32,
	arrow.INT64: data.Int64, arrow.UINT32: data.Int64, arrow.UINT64: data.Int64,
	arrow.FLOAT16: data.Float32, arrow.FLOAT32: data.Float32, arrow.FLOAT64: data.Float64,
	arrow.DECIMAL32: data.Float64, arrow.DECIMAL64: data.Float64, arrow.DECIMAL128: data.Float64, arrow.DECIMAL256: data.Float64,
	arrow.STRING: data.String, arrow.LARGE_STRING: data.String, arrow.STRING_VIEW: data.String,
	arrow.BINARY: data.String, arrow.LARGE_BINARY: data.String, arrow.BINARY_VIEW: data.String, arrow.FIXED_SIZE_BINARY: data.String,
	arrow.DATE32: data.Date, arrow.DATE64: data.Date,
	arrow.TIME32: data.Int64, arrow.TIME64: data.Int64, arrow.DURATION: data.Int64,
	arrow.NULL: data.String,
}
