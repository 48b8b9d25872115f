package ndjson_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/ndjson"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// sample is a batch of all types, some values of it null.
func sample(t *rapid.T, n int) *data.Batch {
	b := &data.Batch{NumRows: n}
	for k := data.Bool; k <= data.Date; k++ {
		b.Schema.Fields = append(b.Schema.Fields, data.Field{Name: "the " + k.String(), Type: k, Nullable: true, UTC: k == data.Timestamp})
		c := data.NewColumn(k, n)
		codes := map[string]uint32{}
		for i := range n {
			if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
				if c.Valid == nil {
					c.Valid = data.NewBitmap(n)
					for k := range n {
						c.Valid.Set(k)
					}
				}
				c.Valid.Clear(i)
				continue
			}
			switch k {
			case data.Bool:
				c.Bools[i] = rapid.Bool().Draw(t, "v")
			case data.Int32:
				c.Int32s[i] = rapid.Int32().Draw(t, "v")
			case data.Date:
				c.Int32s[i] = rapid.Int32Range(-700_000, 2_900_000).Draw(t, "v")
			case data.Int64:
				c.Int64s[i] = rapid.Int64().Draw(t, "v")
			case data.Timestamp:
				c.Int64s[i] = rapid.Int64Range(-62135596800e6, 253402300799e6).Draw(t, "v")
			case data.Float32:
				c.Float32s[i] = rapid.Float32().Draw(t, "v")
			case data.Float64:
				c.Float64s[i] = rapid.SampledFrom([]float64{math.Inf(1), math.Inf(-1), math.NaN(), rapid.Float64().Draw(t, "f")}).Draw(t, "v")
			case data.String:
				s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "NULL", "null", `\N`, "a,b", "\"", "\r", "\n", " x "})).Draw(t, "v")
				if _, ok := codes[s]; !ok {
					codes[s] = uint32(len(c.Dict))
					c.Dict = append(c.Dict, s)
				}
				c.Codes[i] = codes[s]
			}
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := sample(t, rapid.IntRange(0, 12).Draw(t, "rows"))
		var buf bytes.Buffer
		w, err := ndjson.NewWriter(&buf, b.Schema)
		require.NoError(t, err)
		require.NoError(t, w.Write(b))
		var formats []text.Format
		for _, f := range b.Schema.Fields {
			formats = append(formats, text.Format{Field: f})
		}
		want := [][]string{}
		for i := range b.NumRows {
			var row []string
			for _, c := range b.Columns {
				row = append(row, show(c, i))
			}
			want = append(want, row)
		}
		got, rejects := read(t, buf.String(), 1000, formats...)
		require.Empty(t, rejects)
		require.Equal(t, want, got)
	})
}

func TestBytesThatAreNoTextAreRefused(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	b := &data.Batch{NumRows: 1, Schema: data.Schema{Fields: []data.Field{{Name: "raw", Type: data.String}}}, Columns: []*data.Column{{Type: data.String, Codes: []uint32{0}, Dict: []string{"\xff"}}}}
	w, err := ndjson.NewWriter(&buf, b.Schema)
	require.NoError(t, err)
	err = w.Write(b)
	assert.ErrorContains(t, err, `column "raw"`)
	assert.Equal(t, fault.Invalid, fault.Of(err))
}
