package parquet_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// foreign is a value of parquet-go as cell would give it.
func foreign(v pq.Value) any {
	switch {
	case v.IsNull():
		return nil
	case v.Kind() == pq.Boolean:
		return v.Boolean()
	case v.Kind() == pq.Int32:
		return v.Int32()
	case v.Kind() == pq.Int64:
		return v.Int64()
	case v.Kind() == pq.Float:
		return math.Float32bits(v.Float())
	case v.Kind() == pq.Double:
		return math.Float64bits(v.Double())
	default:
		return string(v.ByteArray())
	}
}

// foreignCells reads a row group row by row with parquet-go.
func foreignCells(t require.TestingT, g pq.RowGroup) [][]any {
	rows := g.Rows()
	defer rows.Close()
	var out [][]any
	buf := make([]pq.Row, 64)
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			cells := make([]any, len(row))
			for _, v := range row {
				cells[v.Column()] = foreign(v)
			}
			out = append(out, cells)
		}
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
	}
}

// What Writer makes is what an independent reader finds, statistics and page
// index too.
func TestAnIndependentReaderReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema, cfg := drawSchema(t), drawConfig(t)
		var batches []*data.Batch
		for range rapid.IntRange(1, 2).Draw(t, "row groups") {
			n := min(rapid.SampledFrom([]int{1, 8, 63, 65, 200, 1500}).Draw(t, "rows"), 100*cfg.PageRows)
			batches = append(batches, drawBatch(t, schema, n))
		}
		b := write(t, cfg, schema, batches...)
		f, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
		require.NoError(t, err)
		groups := f.RowGroups()
		require.Len(t, groups, len(batches))
		for g, want := range batches {
			cells := foreignCells(t, groups[g])
			require.Len(t, cells, want.NumRows)
			for i := range want.NumRows {
				for k, c := range want.Columns {
					if w := cell(c, i); w != cells[i][k] {
						require.Equal(t, w, cells[i][k], "row group %d, row %d, column %d: %v", g, i, k, schema.Fields[k])
					}
				}
			}
			requireStatistics(t, f, g, want)
		}
		requireTypes(t, f, schema)
	})
}

func requireTypes(t require.TestingT, f *pq.File, schema data.Schema) {
	for i, field := range f.Schema().Fields() {
		require.Equal(t, schema.Fields[i].Name, field.Name())
		require.Equal(t, schema.Fields[i].Nullable, field.Optional())
		var logical format.LogicalTypeValue
		if l := field.Type().LogicalType(); l != nil {
			logical = l.Value
		}
		switch schema.Fields[i].Type {
		case data.Timestamp:
			require.Equal(t, &format.TimestampType{IsAdjustedToUTC: schema.Fields[i].UTC, Unit: format.TimeUnit{Value: new(format.MicroSeconds)}}, logical)
		case data.Date:
			require.IsType(t, new(format.DateType), logical)
		case data.String:
			require.IsType(t, new(format.StringType), logical)
		case data.Int32, data.Int64: // what parquet-go takes them for when nothing is said
			require.IsType(t, new(format.IntType), logical)
		default:
			require.Nil(t, logical)
		}
	}
}

// span is the least and greatest value of rows, found the slow way.
type span struct {
	any    bool // a value that can be compared
	values int
	nulls  int64
	lo, hi any
}

func spanOf(c *data.Column, from, to int) (s span) {
	for i := from; i < to; i++ {
		if !c.Valid.Get(i) {
			s.nulls++
			continue
		}
		s.values++
		var v any
		switch c.Type {
		case data.Float32:
			v = float64(c.Float32s[i])
		case data.Float64:
			v = c.Float64s[i]
		default:
			v = cell(c, i)
		}
		if f, ok := v.(float64); ok && math.IsNaN(f) {
			continue
		}
		if !s.any || less(v, s.lo) {
			s.lo = v
		}
		if !s.any || less(s.hi, v) {
			s.hi = v
		}
		s.any = true
	}
	return s
}

func less(a, b any) bool {
	switch a := a.(type) {
	case bool:
		return !a && b.(bool)
	case int32:
		return a < b.(int32)
	case int64:
		return a < b.(int64)
	case float64:
		return a < b.(float64)
	default:
		return a.(string) < b.(string)
	}
}

// bound reads a bound as it is stored.
func bound(t data.Type, b []byte) any {
	switch t {
	case data.Bool:
		return pq.Boolean.Value(b).Boolean()
	case data.Int32, data.Date:
		return pq.Int32.Value(b).Int32()
	case data.Int64, data.Timestamp:
		return pq.Int64.Value(b).Int64()
	case data.Float32:
		return float64(pq.Float.Value(b).Float())
	case data.Float64:
		return pq.Double.Value(b).Double()
	default:
		return string(b)
	}
}

func requireStatistics(t require.TestingT, f *pq.File, g int, b *data.Batch) {
	hasFloats := slices.ContainsFunc(b.Columns, func(c *data.Column) bool { return c.Type == data.Float32 || c.Type == data.Float64 })
	for k, c := range b.Columns {
		whole := spanOf(c, 0, b.NumRows)
		md := f.Metadata().RowGroups[g].Columns[k].MetaData
		require.Equal(t, whole.nulls, md.Statistics.NullCount)
		if !whole.any {
			require.Empty(t, md.Statistics.MinValue)
			require.Empty(t, md.Statistics.MaxValue)
		} else {
			require.Equal(t, whole.lo, bound(c.Type, md.Statistics.MinValue))
			require.Equal(t, whole.hi, bound(c.Type, md.Statistics.MaxValue))
		}
		index := f.OffsetIndexes()[g*len(b.Columns)+k]
		columnIndex := f.ColumnIndexes()[g*len(b.Columns)+k]
		for p, at := range index.PageLocations {
			end := b.NumRows
			if p+1 < len(index.PageLocations) {
				end = int(index.PageLocations[p+1].FirstRowIndex)
			}
			s := spanOf(c, int(at.FirstRowIndex), end)
			if len(columnIndex.NullPages) == 0 {
				require.True(t, hasFloats, "only NaN keeps a chunk from an index")
				continue
			}
			require.Equal(t, s.nulls, columnIndex.NullCounts[p])
			require.Equal(t, s.values == 0, columnIndex.NullPages[p])
			if s.any {
				require.Equal(t, s.lo, bound(c.Type, columnIndex.MinValues[p]))
				require.Equal(t, s.hi, bound(c.Type, columnIndex.MaxValues[p]))
			}
		}
	}
}

// foreignRow has a column of each kind and encoding that parquet-go writes.
type foreignRow struct {
	Plain    int64    `parquet:"plain"`
	Delta64  int64    `parquet:"delta64,delta"`
	Delta32  int32    `parquet:"delta32,delta"`
	Dict     int64    `parquet:"dict,dict"`
	Float    float32  `parquet:"float"`
	Split    float64  `parquet:"split,split"`
	Opt      *float64 `parquet:"opt,optional"`
	Flag     bool     `parquet:"flag"`
	OptFlag  *bool    `parquet:"opt_flag,optional"`
	Text     string   `parquet:"text"`
	TextDict *string  `parquet:"text_dict,optional,dict"`
	Lengths  string   `parquet:"lengths,delta"`
	Unsigned uint32   `parquet:"unsigned"`
	Nested   struct {
		A *int32  `parquet:"a,optional"`
		B *string `parquet:"b,optional"`
	} `parquet:"nested"`
	Outer *struct {
		C *int64 `parquet:"c,optional"`
	} `parquet:"outer,optional"`
}

func drawForeignRow(seed uint64, few bool) foreignRow {
	v := mix(seed, 0)
	if few {
		v = mix(v%5, 1)
	}
	text := []string{"", "a", "ab", "abc", "z", "zebra", "zeal", "\u00e9t\u00e9"}[v%8]
	r := foreignRow{
		Plain: int64(v), Delta64: int64(v >> (v % 64)), Delta32: int32(v >> 40), Dict: int64(v % 9), Float: float32(v), Split: float64(v) / 3,
		Flag: v&2 == 0, Text: text, Lengths: text + text, Unsigned: uint32(v),
	}
	if v&4 == 0 {
		f, b, s, a := float64(v), v&8 == 0, text+"!", int32(v)
		r.Opt, r.OptFlag, r.TextDict, r.Nested.A = &f, &b, &s, &a
	}
	if v&16 == 0 {
		r.Nested.B = &text
		r.Outer = &struct {
			C *int64 `parquet:"c,optional"`
		}{}
		if v&32 == 0 {
			c := int64(v)
			r.Outer.C = &c
		}
	}
	return r
}

func TestWhatAnIndependentWriterWritesIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var rows [][]foreignRow
		for range rapid.IntRange(1, 3).Draw(t, "row groups") {
			seed, few := rapid.Uint64().Draw(t, "seed"), rapid.Bool().Draw(t, "few values")
			var group []foreignRow
			for i := range rapid.SampledFrom([]int{1, 9, 64, 150}).Draw(t, "rows") {
				group = append(group, drawForeignRow(mix(seed, uint64(i)), few))
			}
			rows = append(rows, group)
		}
		version := pq.DataPageVersion(rapid.IntRange(1, 2).Draw(t, "page version"))
		size := pq.PageBufferSize(rapid.SampledFrom([]int{100, 3000, 1 << 20}).Draw(t, "page bytes"))
		codec := rapid.SampledFrom([]compress.Codec{&pq.Zstd, &pq.Snappy, &pq.Gzip, &pq.Brotli, &pq.Lz4Raw}).Draw(t, "codec")
		plain := writeForeign(t, rows, version, size, pq.Compression(&pq.Uncompressed))
		requireForeign(t, plain, plain)
		requireForeign(t, plain, writeForeign(t, rows, version, size, pq.Compression(codec)))
	})
}

func writeForeign(t require.TestingT, rows [][]foreignRow, options ...pq.WriterOption) []byte {
	var out bytes.Buffer
	w := pq.NewGenericWriter[foreignRow](&out, options...)
	for _, group := range rows {
		_, err := w.Write(group)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// requireForeign holds what we read of b against what parquet-go reads of
// plain, a file of the same rows; it does not read all that it compresses.
func requireForeign(t require.TestingT, plain, b []byte) {
	theirs, err := pq.OpenFile(bytes.NewReader(plain), int64(len(plain)))
	require.NoError(t, err)
	ours := open(t, b)
	require.Equal(t, theirs.NumRows(), ours.NumRows())
	require.Empty(t, ours.Unsupported())
	batches := readAll(t, ours)
	require.Len(t, batches, len(theirs.RowGroups()))
	nanos := make([]bool, len(theirs.Schema().Columns()))
	for i, path := range theirs.Schema().Columns() {
		leaf, _ := theirs.Schema().Lookup(path...)
		if l := leaf.Node.Type().LogicalType(); l != nil {
			ts, ok := l.Value.(*format.TimestampType)
			nanos[i] = ok && ts.Unit.Value.Duration() == time.Nanosecond
		}
	}
	for g, group := range theirs.RowGroups() {
		cells := foreignCells(t, group)
		require.Len(t, cells, batches[g].NumRows)
		for k, c := range batches[g].Columns {
			requireTidy(t, c)
			for i := range cells {
				v := cells[i][k]
				if nanos[k] && v != nil {
					v = floorDiv(v.(int64), 1000)
				}
				if u, ok := v.(int32); ok && ours.Schema().Fields[k].Name == "unsigned" {
					v = int64(uint32(u))
				}
				if got := cell(c, i); v != got {
					require.Equal(t, v, got, "row %d of column %q", i, ours.Schema().Fields[k].Name)
				}
			}
		}
	}
}

func floorDiv(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}
