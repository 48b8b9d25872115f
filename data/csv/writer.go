package csv

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Writer writes batches as lines of fields, the first one with the names. What it
// writes, Parser reads as it was: a null is an empty field, empty text and text
// that spells a null are quoted.
type Writer struct {
	w      io.Writer
	schema data.Schema
	comma  byte
	buf    []byte
}

// NewWriter writes the names of the columns.
func NewWriter(w io.Writer, schema data.Schema, comma byte) (*Writer, error) {
	out := &Writer{w: w, schema: schema, comma: comma}
	for i, name := range schema.Names() {
		if i > 0 {
			out.buf = append(out.buf, comma)
		}
		out.buf = out.quote(out.buf, name)
	}
	out.buf = append(out.buf, '\n')
	return out, out.flush(0)
}

// Write adds the rows of a batch.
func (w *Writer) Write(b *data.Batch) error {
	texts := make([][][]byte, len(b.Columns))
	for i, c := range b.Columns {
		for _, s := range c.Dict {
			if !utf8.ValidString(s) {
				return fault.New(fault.Invalid, "csv: write: column %q holds bytes that are not UTF-8", w.schema.Fields[i].Name)
			}
			texts[i] = append(texts[i], w.quote(nil, s))
		}
	}
	for row := range b.NumRows {
		for i, c := range b.Columns {
			if i > 0 {
				w.buf = append(w.buf, w.comma)
			}
			switch {
			case !c.Valid.Get(row):
			case c.Type == data.String:
				w.buf = append(w.buf, texts[i][c.Codes[row]]...)
			default:
				w.buf = text.AppendValue(w.buf, w.schema.Fields[i], c, row)
			}
		}
		w.buf = append(w.buf, '\n')
		if err := w.flush(1 << 16); err != nil {
			return err
		}
	}
	return w.flush(0)
}

// flush writes what has been gathered, once it is more than so much.
func (w *Writer) flush(most int) error {
	if len(w.buf) <= most {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	if err != nil {
		return fmt.Errorf("csv: write: %w", err)
	}
	return nil
}

// quote writes text, in quotes where it would not be read as it is.
func (w *Writer) quote(b []byte, s string) []byte {
	plain := s != "" && !strings.ContainsAny(s, "\"\r\n") && strings.IndexByte(s, w.comma) < 0 &&
		!slices.Contains(text.DefaultNulls(), s) && !strings.HasPrefix(s, "\ufeff")
	if plain {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}
