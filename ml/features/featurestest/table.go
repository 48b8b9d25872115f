package featurestest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// Tables draws tables of a schema with up to maxRows rows, rich in the values
// that go wrong: nulls, NaN, infinities, zeros of both signs, the largest and
// smallest numbers, empty texts.
func Tables(schema data.Schema, maxRows int) *rapid.Generator[*data.Batch] {
	return rapid.Custom(func(t *rapid.T) *data.Batch {
		numRows := rapid.IntRange(1, maxRows).Draw(t, "rows")
		columns := make([]*data.Column, len(schema.Fields))
		for i, f := range schema.Fields {
			columns[i] = drawColumn(t, f, numRows)
		}
		b, err := data.NewBatch(schema, columns)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func drawColumn(t *rapid.T, f data.Field, numRows int) *data.Column {
	c := data.NewColumn(f.Type, numRows)
	nulls := f.Nullable && rapid.Bool().Draw(t, f.Name+" has nulls")
	if nulls {
		c.Valid = data.NewBitmap(numRows)
	}
	codes := map[string]uint32{}
	for i := range numRows {
		if nulls && rapid.IntRange(0, 3).Draw(t, "null") == 0 {
			continue
		}
		if nulls {
			c.Valid.Set(i)
		}
		switch f.Type {
		case data.Bool:
			c.Bools[i] = rapid.Bool().Draw(t, f.Name)
		case data.Int32:
			c.Int32s[i] = rapid.OneOf(rapid.Int32Range(-3, 3), rapid.Int32()).Draw(t, f.Name)
		case data.Date:
			c.Int32s[i] = rapid.Int32Range(-800_000, 800_000).Draw(t, f.Name)
		case data.Int64:
			c.Int64s[i] = rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64()).Draw(t, f.Name)
		case data.Timestamp:
			c.Int64s[i] = rapid.OneOf(rapid.Int64Range(0, 2e15), rapid.Int64()).Draw(t, f.Name)
		case data.Float32:
			c.Float32s[i] = float32(drawFloat(t, f.Name))
		case data.Float64:
			c.Float64s[i] = drawFloat(t, f.Name)
		case data.String:
			text := rapid.SampledFrom([]string{"", "a", "b", "c", "other", "missing", "é", "A long one"}).Draw(t, f.Name)
			if _, ok := codes[text]; !ok {
				codes[text] = uint32(len(codes))
				c.Dict = append(c.Dict, text)
			}
			c.Codes[i] = codes[text]
		}
	}
	return c
}

func drawFloat(t *rapid.T, name string) float64 {
	return rapid.OneOf(rapid.Float64Range(-5, 5), rapid.Float64(), rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), 1, 2, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
	})).Draw(t, name)
}

// Rows returns some rows of a batch, in the order given. With a fresh
// dictionary, texts have other codes than in b.
func Rows(b *data.Batch, rows []int, fresh bool) *data.Batch {
	out := &data.Batch{Schema: b.Schema, NumRows: len(rows)}
	for _, c := range b.Columns {
		d := data.NewColumn(c.Type, len(rows))
		if c.Valid != nil {
			d.Valid = data.NewBitmap(len(rows))
		}
		d.Dict = c.Dict
		for to, from := range rows {
			if c.Valid != nil && c.Valid.Get(from) {
				d.Valid.Set(to)
			}
			copyValue(d, to, c, from)
		}
		if fresh && c.Type == data.String {
			renumber(d)
		}
		out.Columns = append(out.Columns, d)
	}
	return out
}

func copyValue(d *data.Column, to int, c *data.Column, from int) {
	switch c.Type {
	case data.Bool:
		d.Bools[to] = c.Bools[from]
	case data.Int32, data.Date:
		d.Int32s[to] = c.Int32s[from]
	case data.Int64, data.Timestamp:
		d.Int64s[to] = c.Int64s[from]
	case data.Float32:
		d.Float32s[to] = c.Float32s[from]
	case data.Float64:
		d.Float64s[to] = c.Float64s[from]
	case data.String:
		d.Codes[to] = c.Codes[from]
	}
}

// renumber gives a column of texts the dictionary of its own texts, in falling
// order. A column of nulls has none.
func renumber(c *data.Column) {
	var dict []string
	for i, code := range c.Codes {
		if c.Valid.Get(i) && !slices.Contains(dict, c.Dict[code]) {
			dict = append(dict, c.Dict[code])
		}
	}
	slices.SortFunc(dict, func(a, b string) int { return strings.Compare(b, a) })
	for i, code := range c.Codes {
		c.Codes[i] = 0
		if c.Valid.Get(i) {
			c.Codes[i] = uint32(slices.Index(dict, c.Dict[code]))
		}
	}
	c.Dict = dict
}

// text writes a value so that equal texts are equal bits.
func text(c *data.Column, i int) string {
	if !c.Valid.Get(i) {
		return "null"
	}
	switch c.Type {
	case data.Bool:
		return fmt.Sprint(c.Bools[i])
	case data.Int32, data.Date:
		return fmt.Sprint(c.Int32s[i])
	case data.Int64, data.Timestamp:
		return fmt.Sprint(c.Int64s[i])
	case data.Float32:
		return fmt.Sprintf("%v %x", c.Float32s[i], math.Float32bits(c.Float32s[i]))
	case data.Float64:
		if math.IsNaN(c.Float64s[i]) { // which NaN it is, is the processor's choice
			return "NaN"
		}
		return fmt.Sprintf("%v %x", c.Float64s[i], math.Float64bits(c.Float64s[i]))
	default:
		return fmt.Sprintf("%q", c.Dict[c.Codes[i]])
	}
}

// Texts writes a batch, a line for each row, so that equal texts are equal
// values to the last bit.
func Texts(b *data.Batch) []string {
	lines := make([]string, b.NumRows)
	for i := range lines {
		var line []string
		for _, c := range b.Columns {
			line = append(line, text(c, i))
		}
		lines[i] = strings.Join(line, "|")
	}
	return lines
}
