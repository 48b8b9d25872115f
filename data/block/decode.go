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
		b := r.Bytes((numRows + 63) / 64 * 8)
		c.Valid = read64(b, make(data.Bitmap, len(b)/8))
	}
	switch f.Type {
	case data.Bool:
		b := r.Bytes(numRows)
		c.Bools = make([]bool, len(b))
		for i, v := range b {
			c.Bools[i] = v != 0
		}
	case data.Int32, data.Date:
		b := r.Bytes(4 * numRows)
		c.Int32s = make([]int32, len(b)/4)
		read32(b, data.Words32[uint32](c.Int32s))
	case data.Int64, data.Timestamp:
		b := r.Bytes(8 * numRows)
		c.Int64s = make([]int64, len(b)/8)
		read64(b, data.Words64[uint64](c.Int64s))
	case data.Float32:
		b := r.Bytes(4 * numRows)
		c.Float32s = make([]float32, len(b)/4)
		read32(b, data.Words32[uint32](c.Float32s))
	case data.Float64:
		b := r.Bytes(8 * numRows)
		c.Float64s = make([]float64, len(b)/8)
		read64(b, data.Words64[uint64](c.Float64s))
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
	codes := r.Bytes(4 * numRows)
	c.Codes = read32(codes, make([]uint32, len(codes)/4))
	for i, code := range c.Codes {
		if int(code) >= n && c.Valid.Get(i) {
			r.Fail("a code is %d of %d strings", code, n)
			return
		}
	}
}

// read32 decodes as many values as there are bytes for.
func read32(b []byte, out []uint32) []uint32 {
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out
}

func read64(b []byte, out []uint64) []uint64 {
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return out
}
