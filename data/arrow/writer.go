package arrow

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Writer writes batches of one schema as Arrow IPC, each as one record batch.
type Writer struct {
	schema data.Schema
	arrow  *arrow.Schema
	w      interface {
		Write(rec arrow.RecordBatch) error
		Close() error
	}
}

// NewWriter begins a stream or, when file is set, a file, whose batches can be
// found from its end. w stays the caller's to close.
func NewWriter(w io.Writer, schema data.Schema, file bool) (*Writer, error) {
	out := &Writer{schema: schema}
	var fields []arrow.Field
	for _, f := range schema.Fields {
		fields = append(fields, arrow.Field{Name: f.Name, Type: arrowType(f), Nullable: f.Nullable})
	}
	out.arrow = arrow.NewSchema(fields, nil)
	if !file {
		out.w = ipc.NewWriter(w, ipc.WithSchema(out.arrow))
		return out, nil
	}
	fw, err := ipc.NewFileWriter(w, ipc.WithSchema(out.arrow))
	if err != nil {
		return nil, fmt.Errorf("arrow: write: %w", err)
	}
	out.w = fw
	return out, nil
}

func arrowType(f data.Field) arrow.DataType {
	switch f.Type {
	case data.Bool:
		return arrow.FixedWidthTypes.Boolean
	case data.Int32:
		return arrow.PrimitiveTypes.Int32
	case data.Int64:
		return arrow.PrimitiveTypes.Int64
	case data.Float32:
		return arrow.PrimitiveTypes.Float32
	case data.Float64:
		return arrow.PrimitiveTypes.Float64
	case data.Date:
		return arrow.FixedWidthTypes.Date32
	case data.Timestamp:
		if f.UTC {
			return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
		}
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	default:
		return arrow.BinaryTypes.String
	}
}

// Write adds a batch of the writer's schema.
func (w *Writer) Write(b *data.Batch) error {
	if len(b.Columns) != len(w.schema.Fields) {
		return fault.New(fault.Invalid, "arrow: write: %d columns, the stream has %d", len(b.Columns), len(w.schema.Fields))
	}
	columns := make([]arrow.Array, len(b.Columns))
	for i, c := range b.Columns {
		if f := w.schema.Fields[i]; c.Type != f.Type {
			return fault.New(fault.Invalid, "arrow: write: column %q is %v, the stream has %v", f.Name, c.Type, f.Type)
		}
		columns[i] = arrayOf(w.arrow.Field(i).Type, c, b.NumRows)
		defer columns[i].Release()
	}
	rec := array.NewRecordBatch(w.arrow, columns, int64(b.NumRows))
	defer rec.Release()
	if err := w.w.Write(rec); err != nil {
		return fmt.Errorf("arrow: write: %w", err)
	}
	return nil
}

// Close writes what the stream or file ends with.
func (w *Writer) Close() error {
	if err := w.w.Close(); err != nil {
		return fmt.Errorf("arrow: write: %w", err)
	}
	return nil
}

// arrayOf copies a column.
func arrayOf(t arrow.DataType, c *data.Column, n int) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	b.Reserve(n)
	for i := range n {
		if !c.Valid.Get(i) {
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.BooleanBuilder:
			b.Append(c.Bools[i])
		case *array.Int32Builder:
			b.Append(c.Int32s[i])
		case *array.Int64Builder:
			b.Append(c.Int64s[i])
		case *array.Float32Builder:
			b.Append(c.Float32s[i])
		case *array.Float64Builder:
			b.Append(c.Float64s[i])
		case *array.Date32Builder:
			b.Append(arrow.Date32(c.Int32s[i]))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(c.Int64s[i]))
		case *array.StringBuilder:
			b.Append(c.Dict[c.Codes[i]])
		}
	}
	return b.NewArray()
}
