// Package datatest is test support for what turns batches into bytes and back:
// batches drawn by a law, and cells as text, to be held against each other.
package datatest

import (
	"fmt"
	"math"

	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// Batch draws n rows with a column of each type, whose values may be any but NaN,
// which equals nothing; some are null.
func Batch(t *rapid.T, n int) *data.Batch {
	return draw(t, n, values{
		dates: rapid.Int32(), times: rapid.Int64(), floats: rapid.Float64(), texts: rapid.StringN(0, 3, -1),
	})
}

// Writable draws rows as Batch does, of values that have a text which is read back
// as the same: years from 1 to 9999, NaN and infinities, and texts that are easily
// taken for something else.
func Writable(t *rapid.T, n int) *data.Batch {
	return draw(t, n, values{
		dates: rapid.Int32Range(-700_000, 2_900_000), times: rapid.Int64Range(-62135596800e6, 253402300799e6),
		floats: rapid.OneOf(rapid.SampledFrom([]float64{math.Inf(1), math.Inf(-1), math.NaN()}), rapid.Float64()),
		texts:  rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "NULL", "null", `\N`, "a,b", "\"", "\r", "\n", " x "})),
	})
}

// values are what is drawn of the types of which not everything can be written.
type values struct {
	dates  *rapid.Generator[int32]
	times  *rapid.Generator[int64]
	floats *rapid.Generator[float64]
	texts  *rapid.Generator[string]
}

func draw(t *rapid.T, n int, v values) *data.Batch {
	b := &data.Batch{NumRows: n}
	for k := data.Bool; k <= data.Date; k++ {
		b.Schema.Fields = append(b.Schema.Fields, data.Field{Name: "the " + k.String(), Type: k, Nullable: true, UTC: k == data.Timestamp})
		c := data.NewColumn(k, n)
		codes := map[string]uint32{}
		for i := range n {
			if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
				clearOne(c, i, n)
				continue
			}
			v.set(t, c, i, codes)
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

func clearOne(c *data.Column, i, n int) {
	if c.Valid == nil {
		c.Valid = data.NewBitmap(n)
		for k := range n {
			c.Valid.Set(k)
		}
	}
	c.Valid.Clear(i)
}

// set draws the value of a row; codes are those of the column's texts so far.
func (v values) set(t *rapid.T, c *data.Column, i int, codes map[string]uint32) {
	switch c.Type {
	case data.Bool:
		c.Bools[i] = rapid.Bool().Draw(t, "v")
	case data.Int32:
		c.Int32s[i] = rapid.Int32().Draw(t, "v")
	case data.Date:
		c.Int32s[i] = v.dates.Draw(t, "v")
	case data.Int64:
		c.Int64s[i] = rapid.Int64().Draw(t, "v")
	case data.Timestamp:
		c.Int64s[i] = v.times.Draw(t, "v")
	case data.Float32:
		c.Float32s[i] = rapid.Float32().Draw(t, "v")
	case data.Float64:
		c.Float64s[i] = v.floats.Draw(t, "v")
	case data.String:
		s := v.texts.Draw(t, "v")
		if _, ok := codes[s]; !ok {
			codes[s] = uint32(len(c.Dict))
			c.Dict = append(c.Dict, s)
		}
		c.Codes[i] = codes[s]
	}
}

// Show is a cell as text; a null is one that no other value has.
func Show(c *data.Column, i int) string {
	if !c.Valid.Get(i) {
		return "⊥"
	}
	switch c.Type {
	case data.String:
		return c.Dict[c.Codes[i]]
	case data.Bool:
		return fmt.Sprint(c.Bools[i])
	case data.Int32, data.Date:
		return fmt.Sprint(c.Int32s[i])
	case data.Float32:
		return fmt.Sprint(c.Float32s[i])
	case data.Float64:
		return fmt.Sprint(c.Float64s[i])
	default:
		return fmt.Sprint(c.Int64s[i])
	}
}

// Rows are all cells of a batch as text.
func Rows(b *data.Batch) [][]string {
	rows := [][]string{}
	for i := range b.NumRows {
		var row []string
		for _, c := range b.Columns {
			row = append(row, Show(c, i))
		}
		rows = append(rows, row)
	}
	return rows
}
