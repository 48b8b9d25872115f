package parquet_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
)

// write returns the batches as a file.
func write(t require.TestingT, cfg parquet.WriterConfig, schema data.Schema, batches ...*data.Batch) []byte {
	var out bytes.Buffer
	w, err := parquet.NewWriter(&out, schema, cfg)
	require.NoError(t, err)
	for _, b := range batches {
		require.NoError(t, w.Write(b))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func open(t require.TestingT, b []byte) *parquet.File {
	f, err := parquet.Open(bytes.NewReader(b), int64(len(b)), "test.parquet")
	require.NoError(t, err)
	return f
}

// readAll returns all row groups with all columns.
func readAll(t require.TestingT, f *parquet.File) []*data.Batch {
	var out []*data.Batch
	for g := range f.NumRowGroups() {
		b, err := f.ReadRowGroup(context.Background(), g, nil)
		require.NoError(t, err)
		out = append(out, b)
	}
	return out
}

// cell is the value of one row as it can be compared: nil for a null, bits for
// floating point.
func cell(c *data.Column, i int) any {
	if !c.Valid.Get(i) {
		return nil
	}
	switch c.Type {
	case data.Bool:
		return c.Bools[i]
	case data.Int32, data.Date:
		return c.Int32s[i]
	case data.Int64, data.Timestamp:
		return c.Int64s[i]
	case data.Float32:
		return math.Float32bits(c.Float32s[i])
	case data.Float64:
		return math.Float64bits(c.Float64s[i])
	default:
		return c.Dict[c.Codes[i]]
	}
}

// requireSame compares two batches value by value.
func requireSame(t require.TestingT, want, got *data.Batch) {
	require.Equal(t, want.Schema, got.Schema)
	require.Equal(t, want.NumRows, got.NumRows)
	for k, c := range want.Columns {
		g := got.Columns[k]
		require.Equal(t, c.Len(), g.Len())
		if sameMemory(c, g) {
			continue
		}
		for i := range want.NumRows {
			if a, b := cell(c, i), cell(g, i); a != b {
				require.Equal(t, a, b, "column %d (%v), row %d", k, c.Type, i)
			}
		}
		requireTidy(t, g)
	}
}

// sameMemory is the quick answer for large columns; nil and full bitmaps differ.
func sameMemory(a, b *data.Column) bool {
	return slices.Equal(a.Valid, b.Valid) && slices.Equal(a.Bools, b.Bools) && slices.Equal(a.Int32s, b.Int32s) && slices.Equal(a.Int64s, b.Int64s) &&
		slices.EqualFunc(a.Float32s, b.Float32s, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) &&
		slices.EqualFunc(a.Float64s, b.Float64s, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) }) &&
		slices.Equal(a.Codes, b.Codes) && slices.Equal(a.Dict, b.Dict)
}

// requireTidy checks what a column promises besides its values.
func requireTidy(t require.TestingT, c *data.Column) {
	seen := make(map[string]bool)
	for _, s := range c.Dict {
		require.False(t, seen[s], "%q is in the dictionary twice", s)
		seen[s] = true
	}
	next := uint32(0)
	for i := range c.Len() {
		if c.Valid.Get(i) {
			if c.Type == data.String {
				require.LessOrEqual(t, c.Codes[i], next, "strings are numbered in order of first appearance")
				if c.Codes[i] == next {
					next++
				}
			}
			continue
		}
		one := *c
		one.Valid = nil
		if c.Type == data.String {
			require.Zero(t, c.Codes[i], "nulls hold the zero value")
		} else {
			v := cell(&one, i)
			require.True(t, v == false || v == int32(0) || v == int64(0) || v == uint32(0) || v == uint64(0), "nulls hold the zero value, not %v", v)
		}
	}
	require.Len(t, c.Dict, int(next), "every string occurs")
}

// shape is how a column's values are drawn: each reaches another encoding.
type shape int

const (
	anyValues shape = iota
	fewValues
	oneValue
	rising
	numShapes
)

// drawColumn makes a column of n rows, large ones from a seed, since drawing
// each value would take too long.
func drawColumn(t *rapid.T, f data.Field, n int) *data.Column {
	s := shape(rapid.IntRange(0, int(numShapes)-1).Draw(t, "shape"))
	seed := rapid.Uint64().Draw(t, "seed")
	c := data.NewColumn(f.Type, n)
	if f.Nullable {
		c.Valid = data.NewBitmap(n)
		every := rapid.SampledFrom([]uint64{1, 2, 10, 1000, math.MaxUint64}).Draw(t, "a null in")
		run := rapid.SampledFrom([]uint64{1, 100}).Draw(t, "nulls in a row")
		for i := range n {
			if mix(seed+1, uint64(i)/run)%every != 0 {
				c.Valid.Set(i)
			}
		}
	}
	codes := map[string]uint32{}
	for i := range n {
		if !c.Valid.Get(i) {
			continue
		}
		v := mix(seed, uint64(i))
		switch s {
		case fewValues:
			v = mix(seed, v%7)
		case oneValue:
			v = seed
		case rising:
			v = uint64(i)*1000 + v%1000
		}
		set(c, i, v, codes)
	}
	if f.Nullable && c.NumNulls() == 0 && rapid.Bool().Draw(t, "no bitmap") {
		c.Valid = nil
	}
	return c
}

func mix(seed, i uint64) uint64 {
	z := seed + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// set stores what the bits of v stand for.
func set(c *data.Column, i int, v uint64, codes map[string]uint32) {
	switch c.Type {
	case data.Bool:
		c.Bools[i] = v&1 == 1
	case data.Int32, data.Date:
		c.Int32s[i] = int32(v)
	case data.Int64, data.Timestamp:
		c.Int64s[i] = int64(v)
	case data.Float32:
		c.Float32s[i] = math.Float32frombits(uint32(v)) // NaN, infinities and subnormals among them
	case data.Float64:
		c.Float64s[i] = math.Float64frombits(v)
	case data.String:
		s := fmt.Sprintf("%x", v)[:v%13%uint64(len(fmt.Sprintf("%x", v))+1)]
		code, ok := codes[s]
		if !ok {
			code = uint32(len(c.Dict))
			codes[s] = code
			c.Dict = append(c.Dict, s)
		}
		c.Codes[i] = code
	}
}

var allTypes = []data.Type{data.Bool, data.Int32, data.Int64, data.Float32, data.Float64, data.String, data.Timestamp, data.Date}

func drawSchema(t *rapid.T) data.Schema {
	var s data.Schema
	for i := range rapid.IntRange(1, 5).Draw(t, "columns") {
		f := data.Field{Name: fmt.Sprint("c.", i), Type: rapid.SampledFrom(allTypes).Draw(t, "type"), Nullable: rapid.Bool().Draw(t, "nullable")}
		f.UTC = f.Type == data.Timestamp && rapid.Bool().Draw(t, "utc")
		s.Fields = append(s.Fields, f)
	}
	return s
}

func drawBatch(t *rapid.T, s data.Schema, n int) *data.Batch {
	b := &data.Batch{Schema: s, NumRows: n}
	for _, f := range s.Fields {
		b.Columns = append(b.Columns, drawColumn(t, f, n))
	}
	return b
}

func drawConfig(t *rapid.T) parquet.WriterConfig {
	return parquet.WriterConfig{
		Codec:              rapid.SampledFrom([]parquet.Codec{parquet.Zstd, parquet.Snappy, parquet.None}).Draw(t, "codec"),
		Level:              rapid.IntRange(1, 2).Draw(t, "level"),
		MaxDictionaryBytes: rapid.SampledFrom([]int{0, 100, 1 << 20}).Draw(t, "dictionary bytes"),
		PageRows:           rapid.SampledFrom([]int{1, 7, 64, 1000, 1 << 16}).Draw(t, "page rows"),
		Workers:            rapid.IntRange(1, 3).Draw(t, "workers"),
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema, cfg := drawSchema(t), drawConfig(t)
		var batches []*data.Batch
		rows := int64(0)
		for range rapid.IntRange(0, 3).Draw(t, "row groups") {
			n := rapid.SampledFrom([]int{1, 2, 8, 63, 64, 65, 200, 1000, 5000}).Draw(t, "rows")
			batches = append(batches, drawBatch(t, schema, n))
			rows += int64(n)
		}
		file := write(t, cfg, schema, batches...)
		f := open(t, file)
		require.Equal(t, schema, f.Schema())
		require.Empty(t, f.Unsupported())
		require.Equal(t, rows, f.NumRows())
		back := readAll(t, f)
		require.Len(t, back, len(batches), "each batch is one row group")
		for i := range batches {
			requireSame(t, batches[i], back[i])
			require.Equal(t, int64(batches[i].NumRows), f.RowGroup(i).Rows)
		}
		cfg.Workers = 4 - cfg.Workers
		require.Equal(t, file, write(t, cfg, schema, back...), "what was read writes the same bytes, whoever works on it")
	})
}
