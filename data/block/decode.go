package block

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/unpack"
)

// Decode reads what Append has written of that label. Nothing is shared with b.
// The error, of kind Corrupt, says what is wrong; nothing is allocated that the
// bytes do not bear out.
func Decode(b []byte, label string) (*data.Batch, error) {
	r := &reader{unpack.New("block", b)}
	r.Version(version)
	if got := r.text(); got != label {
		r.Fail("it is of %q, expected %q", got, label)
	}
	out := &data.Batch{NumRows: int(r.Count(math.MaxInt32))}
	columns := r.Count(int64(r.Len()))
	if columns == 0 && out.NumRows > 0 { // nothing bears them out
		r.Fail("%d rows of no columns", out.NumRows)
	}
	for range columns {
		if r.Err() != nil {
			break
		}
		f, c := r.column(out.NumRows)
		out.Schema.Fields, out.Columns = append(out.Schema.Fields, f), append(out.Columns, c)
	}
	return out, r.End()
}

// reader reads a block.
type reader struct{ unpack.Reader }

func (r *reader) text() string { return string(r.Nested()) }

func (r *reader) column(numRows int) (data.Field, *data.Column) {
	f := data.Field{Name: r.text(), Type: data.Type(r.Byte())}
	marks := r.Byte()
	f.Nullable, f.UTC = marks&markNullable != 0, marks&markUTC != 0
	c := &data.Column{Type: f.Type}
	if f.Type > data.Date {
		r.Fail("column %q: there is no type %d", f.Name, f.Type)
		return f, c
	}
	if marks&markValid != 0 {
		words := r.Bytes((numRows + 63) / 64 * 8)
		c.Valid = data.Bitmap(read(words, 8, binary.LittleEndian.Uint64))
	}
	switch f.Type {
	case data.Bool:
		c.Bools = read(r.Bytes(numRows), 1, func(b []byte) bool { return b[0] != 0 })
	case data.Int32, data.Date:
		c.Int32s = read(r.Bytes(4*numRows), 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	case data.Int64, data.Timestamp:
		c.Int64s = read(r.Bytes(8*numRows), 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	case data.Float32:
		c.Float32s = read(r.Bytes(4*numRows), 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
	case data.Float64:
		c.Float64s = read(r.Bytes(8*numRows), 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
	case data.String:
		r.strings(c, numRows)
	}
	return f, c
}

// strings reads a dictionary and codes into it.
func (r *reader) strings(c *data.Column, numRows int) {
	n := int(r.Count(int64(r.Len())))
	for range n {
		if r.Err() != nil {
			return
		}
		c.Dict = append(c.Dict, r.text())
	}
	c.Codes = read(r.Bytes(4*numRows), 4, binary.LittleEndian.Uint32)
	for i, code := range c.Codes {
		if int(code) >= n && c.Valid.Get(i) {
			r.Fail("a code is %d of %d strings", code, n)
			return
		}
	}
}

// read decodes values of so many bytes each; none of no bytes.
func read[T any](b []byte, width int, value func([]byte) T) []T {
	out := make([]T, len(b)/width)
	for i := range out {
		out[i] = value(b[i*width : i*width+width])
	}
	return out
}
