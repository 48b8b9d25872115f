package block

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Decode reads what Append has written of that label. Nothing is shared with b.
// The error, of kind Corrupt, says what is wrong; nothing is allocated that the
// bytes do not bear out.
func Decode(b []byte, label string) (*data.Batch, error) {
	r := &reader{b: b}
	if v := r.byte(); v != version {
		r.fail("version %d, expected %d", v, version)
	}
	if got := r.text(); got != label {
		r.fail("it is of %q, expected %q", got, label)
	}
	out := &data.Batch{NumRows: r.count(math.MaxInt32)}
	columns := r.count(len(r.b))
	if columns == 0 && out.NumRows > 0 { // nothing bears them out
		r.fail("%d rows of no columns", out.NumRows)
	}
	for range columns {
		if r.err != nil {
			break
		}
		f, c := r.column(out.NumRows)
		out.Schema.Fields, out.Columns = append(out.Schema.Fields, f), append(out.Columns, c)
	}
	if len(r.b) > 0 {
		r.fail("%d bytes after the end", len(r.b))
	}
	return out, r.err
}

// reader takes bytes off the front; the first fault sticks, and what is read
// after it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "block: "+format, args...)
	}
	r.b = nil
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("the bytes end early")
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// count reads a number that is at most most.
func (r *reader) count(most int) int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(most) {
		r.fail("a count is out of range")
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *reader) text() string { return string(r.bytes(r.count(len(r.b)))) }

func (r *reader) column(numRows int) (data.Field, *data.Column) {
	f := data.Field{Name: r.text(), Type: data.Type(r.byte())}
	marks := r.byte()
	f.Nullable, f.UTC = marks&markNullable != 0, marks&markUTC != 0
	c := &data.Column{Type: f.Type}
	if f.Type > data.Date {
		r.fail("column %q: there is no type %d", f.Name, f.Type)
		return f, c
	}
	if marks&markValid != 0 {
		words := r.bytes((numRows + 63) / 64 * 8)
		c.Valid = data.Bitmap(read(words, 8, binary.LittleEndian.Uint64))
	}
	switch f.Type {
	case data.Bool:
		c.Bools = read(r.bytes(numRows), 1, func(b []byte) bool { return b[0] != 0 })
	case data.Int32, data.Date:
		c.Int32s = read(r.bytes(4*numRows), 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	case data.Int64, data.Timestamp:
		c.Int64s = read(r.bytes(8*numRows), 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	case data.Float32:
		c.Float32s = read(r.bytes(4*numRows), 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
	case data.Float64:
		c.Float64s = read(r.bytes(8*numRows), 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
	case data.String:
		r.strings(c, numRows)
	}
	return f, c
}

// strings reads a dictionary and codes into it.
func (r *reader) strings(c *data.Column, numRows int) {
	n := r.count(len(r.b))
	for range n {
		if r.err != nil {
			return
		}
		c.Dict = append(c.Dict, r.text())
	}
	c.Codes = read(r.bytes(4*numRows), 4, binary.LittleEndian.Uint32)
	for i, code := range c.Codes {
		if int(code) >= n && c.Valid.Get(i) {
			r.fail("a code is %d of %d strings", code, n)
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
