package ndjson

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Writer writes batches as lines of JSON, one object a row with all columns by
// name. What it writes, Parser reads as it was. NaN and infinities, which JSON's
// numbers cannot be, are the strings "NaN", "Infinity" and "-Infinity".
type Writer struct {
	w      io.Writer
	schema data.Schema
	names  [][]byte // with quotes and colon
	buf    []byte
}

// NewWriter returns a writer.
func NewWriter(w io.Writer, schema data.Schema) (*Writer, error) {
	out := &Writer{w: w, schema: schema}
	for _, name := range schema.Names() {
		out.names = append(out.names, append(quote(name), ':'))
	}
	return out, nil
}

// quote writes text as JSON. A string of JSON has no error.
func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("ndjson: %v", err))
	}
	return b
}

// Write adds the rows of a batch.
func (w *Writer) Write(b *data.Batch) error {
	texts := make([][][]byte, len(b.Columns))
	for i, c := range b.Columns {
		for _, s := range c.Dict {
			if !utf8.ValidString(s) {
				return fault.New(fault.Invalid, "ndjson: write: column %q holds bytes that are not UTF-8", w.schema.Fields[i].Name)
			}
			texts[i] = append(texts[i], quote(s))
		}
	}
	for row := range b.NumRows {
		for i, c := range b.Columns {
			w.buf = append(w.buf, "{,"[min(i, 1)])
			w.buf = append(w.buf, w.names[i]...)
			switch {
			case !c.Valid.Get(row):
				w.buf = append(w.buf, "null"...)
			case c.Type == data.String:
				w.buf = append(w.buf, texts[i][c.Codes[row]]...)
			default:
				w.value(w.schema.Fields[i], c, row)
			}
		}
		w.buf = append(w.buf, "}\n"...)
		if len(w.buf) > 1<<16 || row == b.NumRows-1 {
			if _, err := w.w.Write(w.buf); err != nil {
				return fmt.Errorf("ndjson: write: %w", err)
			}
			w.buf = w.buf[:0]
		}
	}
	return nil
}

// value writes what is no text.
func (w *Writer) value(f data.Field, c *data.Column, row int) {
	v := 0.0
	switch c.Type {
	case data.Float32:
		v = float64(c.Float32s[row])
	case data.Float64:
		v = c.Float64s[row]
	case data.Date, data.Timestamp:
		w.buf = append(w.buf, '"')
		w.buf = text.AppendValue(w.buf, f, c, row)
		w.buf = append(w.buf, '"')
		return
	}
	switch {
	case math.IsNaN(v):
		w.buf = append(w.buf, `"NaN"`...)
	case math.IsInf(v, 1):
		w.buf = append(w.buf, `"Infinity"`...)
	case math.IsInf(v, -1):
		w.buf = append(w.buf, `"-Infinity"`...)
	default:
		w.buf = text.AppendValue(w.buf, f, c, row)
	}
}
