package parquet_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// requireWindow checks that some rows of a row group are those of all its rows,
// with a filter or without.
func requireWindow(t require.TestingT, f *parquet.File, g int, all *data.Batch, w parquet.RowSpan, p *data.Predicate, into *data.Batch) *data.Batch {
	marks := data.NewBitmap(all.NumRows)
	for i := w.From; i < w.To; i++ {
		marks.Set(int(i))
	}
	want := all.Keep(marks)
	o := parquet.ReadOptions{Columns: all.Schema.Names(), Rows: w, Into: into}
	var kept data.Bitmap
	if p != nil {
		filter, err := p.Bind(f.Schema())
		require.NoError(t, err)
		rows, err := filter.Eval(want)
		require.NoError(t, err)
		o.Filter, o.Kept = filter, &kept
		want = want.Keep(rows)
		defer func() { require.Equal(t, rows, kept) }()
	}
	got, err := f.Read(context.Background(), g, o)
	require.NoError(t, err)
	requireSame(t, want, got)
	return got
}

func TestSomeRowsOfARowGroupAreThoseOfAllRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema, cfg := drawSchema(t), drawConfig(t)
		n := min(rapid.SampledFrom([]int{1, 8, 63, 65, 200, 1500}).Draw(t, "rows"), 100*cfg.PageRows)
		batches := []*data.Batch{drawBatch(t, schema, n), drawBatch(t, schema, n)}
		f := open(t, write(t, cfg, schema, batches...))
		var used *data.Batch
		for range 4 {
			g := rapid.IntRange(0, 1).Draw(t, "row group")
			from := rapid.IntRange(0, n-1).Draw(t, "from")
			to := rapid.IntRange(from+1, n).Draw(t, "to")
			all, err := f.ReadRowGroup(context.Background(), g, rapid.Permutation(schema.Names()).Draw(t, "order"))
			require.NoError(t, err)
			var p *data.Predicate
			if rapid.Bool().Draw(t, "filtered") {
				p = drawPredicate(t, batches[g], 2)
			}
			used = requireWindow(t, f, g, all, parquet.RowSpan{From: int64(from), To: int64(to)}, p, used)
		}
	})
}

// Pages of other writers, of both versions, with and without indexes, lists too.
func TestSomeRowsOfFilesOfOtherWriters(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(dataDir, "nasty/good/*.parquet"))
	require.NoError(t, err)
	for _, name := range []string{"beijing/hourly", "icu/stays", "small/taxis", "retail/features"} {
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
			n := int64(all.NumRows)
			var used *data.Batch
			for _, w := range []parquet.RowSpan{{From: 0, To: (n + 2) / 3}, {From: n / 3, To: n/3 + 1}, {From: n / 2, To: n}, {From: n - 1, To: n}, {From: 0, To: n}} {
				used = requireWindow(t, f, g, all, w, nil, used)
			}
		})
	}
}

// counting counts the bytes that are read.
type counting struct {
	io.ReaderAt
	n int64
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	c.n += int64(len(b))
	return c.ReaderAt.ReadAt(b, at)
}

func TestSomeRowsTakeTheirPagesOnly(t *testing.T) {
	t.Parallel()
	const rows = 1 << 16
	schema := data.Schema{Fields: []data.Field{{Name: "v", Type: data.Float64}}}
	b := &data.Batch{Schema: schema, NumRows: rows, Columns: []*data.Column{data.NewColumn(data.Float64, rows)}}
	for i := range rows {
		b.Columns[0].Float64s[i] = float64(mix(1, uint64(i)))
	}
	cfg := parquet.DefaultWriterConfig()
	cfg.PageRows = rows / 16
	file := write(t, cfg, schema, b)
	r := &counting{ReaderAt: bytes.NewReader(file)}
	f, err := parquet.Open(r, int64(len(file)), "f")
	require.NoError(t, err)
	r.n = 0
	o := parquet.ReadOptions{Rows: parquet.RowSpan{From: rows / 4, To: rows / 2}, MaxBytes: rows * 8 / 2}
	_, err = f.Read(context.Background(), 0, o)
	require.NoError(t, err, "although all rows would take more memory than there may be")
	require.Less(t, r.n, int64(len(file))/3)

	o.Rows = parquet.RowSpan{}
	_, err = f.Read(context.Background(), 0, o)
	require.Equal(t, fault.Exhausted, fault.Of(err))
	for _, w := range []parquet.RowSpan{{From: -1, To: 3}, {From: 3, To: 3}, {From: 0, To: rows + 1}} {
		o.Rows = w
		_, err = f.Read(context.Background(), 0, o)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}
