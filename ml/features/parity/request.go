package parity

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
)

// Request writes a batch of one row as the JSON list that a server is sent, for
// columns that it takes in this order and of these types. It is false where JSON
// has no way to say a value: NaN, an infinity, a text that is no UTF-8; or where a
// column is missing.
func Request(row *data.Batch, schema data.Schema) (json.RawMessage, bool) {
	out := []byte{'['}
	for i, f := range schema.Fields {
		if i > 0 {
			out = append(out, ',')
		}
		c := row.Column(f.Name)
		if c == nil {
			return nil, false
		}
		var ok bool
		if out, ok = appendValue(out, c, f.Type); !ok {
			return nil, false
		}
	}
	return append(out, ']'), true
}

// appendValue writes the only value of a column; a number so that it reads as one
// of the type.
func appendValue(out []byte, c *data.Column, as data.Type) ([]byte, bool) {
	if !c.Valid.Get(0) {
		return append(out, "null"...), true
	}
	float := func(v float64) ([]byte, bool) {
		bits := 64
		if as == data.Float32 {
			bits = 32
		}
		return strconv.AppendFloat(out, v, 'g', -1, bits), !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	switch c.Type {
	case data.Bool:
		return strconv.AppendBool(out, c.Bools[0]), true
	case data.Int32, data.Date:
		return strconv.AppendInt(out, int64(c.Int32s[0]), 10), true
	case data.Int64, data.Timestamp:
		return strconv.AppendInt(out, c.Int64s[0], 10), true
	case data.Float32:
		return float(float64(c.Float32s[0]))
	case data.Float64:
		return float(c.Float64s[0])
	default:
		s := c.Dict[c.Codes[0]]
		text, err := json.Marshal(s)
		return append(out, text...), err == nil && utf8.ValidString(s)
	}
}
