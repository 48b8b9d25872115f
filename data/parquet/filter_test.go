package parquet_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
)

// literalLike returns a literal near a value of the column.
func literalLike(c *data.Column, row int, nudge int64) data.Value {
	switch c.Type {
	case data.Bool:
		return data.BoolValue(c.Bools[row])
	case data.Int32:
		return data.IntValue(int64(c.Int32s[row]) + nudge)
	case data.Int64:
		return data.IntValue(c.Int64s[row] + nudge)
	case data.Float32:
		return floatLike(float64(c.Float32s[row]), nudge)
	case data.Float64:
		return floatLike(c.Float64s[row], nudge)
	case data.Date:
		return data.StringValue(time.Unix(int64(c.Int32s[row]%1_000_000)*86400, 0).UTC().Format(time.DateOnly))
	case data.Timestamp:
		return data.StringValue(time.UnixMicro(c.Int64s[row] % 200_000_000_000_000_000).UTC().Format("2006-01-02 15:04:05.000000"))
	default:
		if len(c.Dict) == 0 {
			return data.StringValue("")
		}
		return data.StringValue(c.Dict[c.Codes[row]] + strings.Repeat("x", int(nudge&1)))
	}
}

func floatLike(v float64, nudge int64) data.Value {
	if math.IsNaN(v) {
		return data.FloatValue(float64(nudge))
	}
	return data.FloatValue(v * (1 + float64(nudge)/8))
}

func drawPredicate(t *rapid.T, b *data.Batch, depth int) *data.Predicate {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	k := rapid.IntRange(0, len(b.Columns)-1).Draw(t, "column")
	name, c := b.Schema.Fields[k].Name, b.Columns[k]
	value := func() data.Value {
		for range 20 {
			v := literalLike(c, rapid.IntRange(0, b.NumRows-1).Draw(t, "row"), rapid.Int64Range(-1, 1).Draw(t, "nudge"))
			if _, err := data.Compare(name, data.Eq, v).Bind(b.Schema); err == nil { // a year beyond 9999 is no literal
				return v
			}
		}
		return map[data.Type]data.Value{data.Timestamp: data.StringValue("1970-01-01"), data.Date: data.StringValue("1970-01-01")}[c.Type]
	}
	switch kind {
	case 0, 1:
		op := rapid.SampledFrom([]data.Op{data.Eq, data.Ne, data.Lt, data.Le, data.Gt, data.Ge}).Draw(t, "op")
		if c.Type == data.Bool && op > data.Ne {
			op = data.Eq
		}
		return data.Compare(name, op, value())
	case 2:
		return data.In(name, value(), value())
	case 3:
		return data.IsNull(name)
	case 4:
		return data.And(drawPredicate(t, b, depth-1), drawPredicate(t, b, depth-1))
	case 5:
		return data.Or(drawPredicate(t, b, depth-1), drawPredicate(t, b, depth-1))
	default:
		return data.Not(drawPredicate(t, b, depth-1))
	}
}

// requireFiltered reads a row group with a filter and holds it against reading
// all and filtering then. It reports how many rows there are.
func requireFiltered(t require.TestingT, f *parquet.File, g int, p *data.Predicate, columns []string, into *data.Batch) *data.Batch {
	filter, err := p.Bind(f.Schema())
	require.NoError(t, err, p.String())
	all, err := f.ReadRowGroup(context.Background(), g, nil)
	require.NoError(t, err)
	rows, err := filter.Eval(all)
	require.NoError(t, err)
	all = all.Keep(rows)
	want := &data.Batch{NumRows: all.NumRows}
	for _, name := range columns {
		want.Schema.Fields = append(want.Schema.Fields, f.Schema().Fields[f.Schema().Index(name)])
		want.Columns = append(want.Columns, all.Column(name))
	}
	var kept data.Bitmap
	got, err := f.Read(context.Background(), g, parquet.ReadOptions{Columns: columns, Filter: filter, Kept: &kept, Into: into})
	require.NoError(t, err, p.String())
	require.Equal(t, rows, kept)
	requireSame(t, want, got)
	may, err := f.MayMatch(context.Background(), g, filter)
	require.NoError(t, err)
	require.True(t, may || want.NumRows == 0, p.String())
	return got
}

func TestAFilteredReadIsAReadThatIsFiltered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema, cfg := drawSchema(t), drawConfig(t)
		n := min(rapid.SampledFrom([]int{1, 8, 63, 65, 200, 1500}).Draw(t, "rows"), 100*cfg.PageRows)
		batches := []*data.Batch{drawBatch(t, schema, n), drawBatch(t, schema, n)}
		f := open(t, write(t, cfg, schema, batches...))
		names := rapid.Permutation(schema.Names()).Draw(t, "order")
		var used *data.Batch
		for range 3 {
			columns := names[:rapid.IntRange(1, len(names)).Draw(t, "columns")]
			g := rapid.IntRange(0, 1).Draw(t, "row group")
			used = requireFiltered(t, f, g, drawPredicate(t, batches[g], 2), columns, used)
		}
	})
}

// The bounds of every column of every sound file hold for its values, so that no
// filter drawn from its own values loses a row.
func TestFiltersOnFilesOfOtherWriters(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(dataDir, "nasty/good/*.parquet"))
	require.NoError(t, err)
	for _, name := range []string{"beijing/hourly", "icu/stays", "driver_stats/driver_stats", "small/taxis", "retail/features"} {
		paths = append(paths, filepath.Join(dataDir, name+".parquet"))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			b := readData(t, strings.TrimPrefix(path, dataDir))
			f, err := parquet.Open(bytes.NewReader(b), int64(len(b)), path)
			if strings.Contains(path, "same_name_twice") {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			if len(f.Unsupported()) > 0 || len(f.Schema().Fields) > 100 || f.NumRows() == 0 {
				return
			}
			g := f.NumRowGroups() / 2
			all, err := f.ReadRowGroup(context.Background(), g, nil)
			require.NoError(t, err)
			for k, c := range all.Columns {
				requireBounds(t, f, g, k, c)
			}
			rapid.Check(t, func(t *rapid.T) {
				requireFiltered(t, f, g, drawPredicate(t, all, 2), f.Schema().Names(), nil)
			})
		})
	}
}

func requireBounds(t *testing.T, f *parquet.File, g, k int, c *data.Column) {
	t.Helper()
	name := f.Schema().Fields[k].Name
	r, ok := f.Statistics(g, name)
	require.True(t, ok)
	require.Equal(t, int64(c.Len()), r.Rows)
	if r.Nulls >= 0 {
		require.Equal(t, int64(c.NumNulls()), r.Nulls, name)
	}
	if !r.Bounded {
		return
	}
	outside := data.Or(data.Compare("c", data.Lt, r.Min), data.Compare("c", data.Gt, r.Max))
	typ := c.Type
	one := *c
	switch c.Type { // of these the bounds are numbers
	case data.Timestamp:
		typ = data.Int64
	case data.Date:
		typ = data.Int32
	case data.Bool:
		return
	}
	one.Type = typ
	schema := data.Schema{Fields: []data.Field{{Name: "c", Type: typ, Nullable: true}}}
	filter, err := outside.Bind(schema)
	require.NoError(t, err)
	rows, err := filter.Eval(&data.Batch{Schema: schema, NumRows: c.Len(), Columns: []*data.Column{&one}})
	require.NoError(t, err)
	require.Zero(t, (&data.Batch{NumRows: c.Len()}).Keep(rows).NumRows, "%s: %v to %v", name, r.Min, r.Max)
}

type bloomed struct {
	ID    int64   `parquet:"id"`
	Small int32   `parquet:"small"`
	F     float32 `parquet:"f"`
	D     float64 `parquet:"d"`
	S     string  `parquet:"s"`
}

// Bloom filters of another writer rule out what is not there, and nothing that is.
func TestBloomFilters(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := pq.NewGenericWriter[bloomed](&out, pq.BloomFilters(pq.SplitBlockFilter(10, "id"), pq.SplitBlockFilter(10, "small"),
		pq.SplitBlockFilter(10, "f"), pq.SplitBlockFilter(10, "d"), pq.SplitBlockFilter(10, "s")))
	for i := range 500 {
		_, err := w.Write([]bloomed{{int64(2 * i), int32(2 * i), float32(2 * i), float64(2*i) * math.Copysign(1, -1), fmt.Sprint(2 * i)}})
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	f := open(t, out.Bytes())
	for _, name := range f.Schema().Names() {
		ruledOut := 0
		for i := range 998 {
			v := data.IntValue(int64(i))
			switch name {
			case "d":
				v = data.IntValue(-int64(i)) // 0 is written as -0
			case "s":
				v = data.StringValue(fmt.Sprint(i))
			}
			filter, err := data.Compare(name, data.Eq, v).Bind(f.Schema())
			require.NoError(t, err)
			may, err := f.MayMatch(context.Background(), 0, filter)
			require.NoError(t, err)
			if i%2 == 0 {
				require.True(t, may, "%s = %v", name, v)
			} else if !may {
				ruledOut++
			}
		}
		require.Greater(t, ruledOut, 450, name)
	}
}

func TestPagesThatCannotMatchAreLeftOut(t *testing.T) {
	t.Parallel()
	schema := data.Schema{Fields: []data.Field{{Name: "n", Type: data.Int64}, {Name: "v", Type: data.Float64}}}
	b := &data.Batch{Schema: schema, NumRows: 4000, Columns: []*data.Column{data.NewColumn(data.Int64, 4000), data.NewColumn(data.Float64, 4000)}}
	for i := range b.NumRows {
		b.Columns[0].Int64s[i] = int64(i) * 3
		b.Columns[1].Float64s[i] = float64(mix(1, uint64(i)))
	}
	cfg := parquet.DefaultWriterConfig()
	cfg.PageRows = 1000
	f := open(t, write(t, cfg, schema, b))
	bind := func(p *data.Predicate) *data.Filter {
		filter, err := p.Bind(schema)
		require.NoError(t, err)
		return filter
	}
	spans, err := f.MatchingRows(context.Background(), 0, bind(data.Or(data.Compare("n", data.Lt, data.IntValue(5)), data.Compare("n", data.Ge, data.IntValue(9000)))))
	require.NoError(t, err)
	require.Equal(t, []parquet.RowSpan{{From: 0, To: 1000}, {From: 3000, To: 4000}}, spans)
	may, err := f.MayMatch(context.Background(), 0, bind(data.Compare("n", data.Gt, data.FloatValue(11997.5))))
	require.NoError(t, err)
	require.False(t, may)
	got := requireFiltered(t, f, 0, data.In("n", data.IntValue(3001), data.IntValue(3003)), []string{"v"}, nil)
	require.Equal(t, []float64{b.Columns[1].Float64s[1001]}, got.Columns[0].Float64s)
}

// A condition that all rows meet, by the statistics, is not looked up in the values.
func TestWhatHoldsForAllRowsIsNotRead(t *testing.T) {
	t.Parallel()
	schema := data.Schema{Fields: []data.Field{{Name: "n", Type: data.Int64}, {Name: "v", Type: data.Int64}}}
	b := &data.Batch{Schema: schema, NumRows: 4000, Columns: []*data.Column{data.NewColumn(data.Int64, 4000), data.NewColumn(data.Int64, 4000)}}
	for i := range b.NumRows {
		b.Columns[0].Int64s[i], b.Columns[1].Int64s[i] = int64(mix(1, uint64(i))>>1), int64(i)
	}
	least := slices.Min(b.Columns[0].Int64s)
	file := write(t, parquet.DefaultWriterConfig(), schema, b)
	read := func(from int64, rows int) int64 {
		r := &counting{ReaderAt: bytes.NewReader(file)}
		f, err := parquet.Open(r, int64(len(file)), "f")
		require.NoError(t, err)
		filter, err := data.Compare("n", data.Ge, data.IntValue(from)).Bind(schema)
		require.NoError(t, err)
		got, err := f.Read(context.Background(), 0, parquet.ReadOptions{Columns: []string{"v"}, Filter: filter})
		require.NoError(t, err)
		require.Equal(t, rows, got.NumRows)
		return r.n
	}
	require.Less(t, read(least, 4000), read(least+1, 3999)-8*3000)
}

type keyed struct {
	ID [16]byte `parquet:"id,uuid,dict"`
	N  int64    `parquet:"n"`
}

// Texts that are made of what a dictionary holds are compared as texts.
func TestKeysOfSixteenBytesAreFilteredByTheirText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := pq.NewGenericWriter[keyed](&out)
	for i := range 1000 {
		_, err := w.Write([]keyed{{ID: [16]byte{0: 0xab, 15: byte(i)}, N: int64(i)}})
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	f := open(t, out.Bytes())
	got := requireFiltered(t, f, 0, data.Compare("id", data.Eq, data.StringValue("ab000000-0000-0000-0000-000000000007")), []string{"n", "id"}, nil)
	require.Equal(t, []int64{7, 263, 519, 775}, got.Columns[0].Int64s)
}
