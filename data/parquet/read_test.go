package parquet_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Memory of whatever batch may be used again: what is read is the same.
func TestReadingIntoUsedMemoryReadsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var files []*parquet.File
		for range 2 {
			schema, cfg := drawSchema(t), drawConfig(t)
			var batches []*data.Batch
			for range 2 {
				n := min(rapid.SampledFrom([]int{1, 8, 63, 65, 200, 1500}).Draw(t, "rows"), 100*cfg.PageRows)
				batches = append(batches, drawBatch(t, schema, n))
			}
			files = append(files, open(t, write(t, cfg, schema, batches...)))
		}
		var used *data.Batch
		for range 8 {
			f := rapid.SampledFrom(files).Draw(t, "file")
			g := rapid.IntRange(0, f.NumRowGroups()-1).Draw(t, "row group")
			want, err := f.ReadRowGroup(context.Background(), g, nil)
			require.NoError(t, err)
			used, err = f.Read(context.Background(), g, parquet.ReadOptions{Into: used})
			require.NoError(t, err)
			requireSame(t, want, used)
		}
	})
}

// A second row group of the same shape takes next to no new memory.
func TestReadingIntoUsedMemoryTakesNoMore(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	schema, batches, size := benchTable()
	f := open(t, write(t, parquet.DefaultWriterConfig(), schema, batches...))
	var used *data.Batch
	read := func() {
		var err error
		used, err = f.Read(context.Background(), 1, parquet.ReadOptions{Into: used})
		require.NoError(t, err)
	}
	read()
	fresh := allocated(func() {
		_, err := f.ReadRowGroup(context.Background(), 1, nil)
		require.NoError(t, err)
	})
	require.Greater(t, fresh, uint64(size/8*3/4))
	ruledOut, err := data.Compare("id", data.Lt, data.IntValue(0)).Bind(schema)
	require.NoError(t, err)
	least := fresh
	for range 40 { // the pool of scratch memory may be emptied at any time (and loses a quarter under the race detector), but not always
		if least = min(least, allocated(read)); least < fresh/20 {
			break
		}
	}
	require.Less(t, least, fresh/20)
	least = fresh
	for range 40 { // nor is it let go when no row is left in between
		least = min(least, allocated(func() {
			used, err = f.Read(context.Background(), 2, parquet.ReadOptions{Into: used, Filter: ruledOut})
			require.NoError(t, err)
			require.Zero(t, used.NumRows)
			read()
		}))
		if least < fresh/20 {
			break
		}
	}
	require.Less(t, least, fresh/20)
}

// allocated returns the bytes of memory that fn has taken.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestMemoryHasABound(t *testing.T) {
	t.Parallel()
	schema := data.Schema{Fields: []data.Field{{Name: "n", Type: data.Int64}, {Name: "s", Type: data.String}}}
	b := &data.Batch{Schema: schema, NumRows: 1000, Columns: []*data.Column{data.NewColumn(data.Int64, 1000), data.NewColumn(data.String, 1000)}}
	for i := range b.NumRows {
		b.Columns[0].Int64s[i] = int64(mix(1, uint64(i)))
		b.Columns[1].Codes[i] = uint32(i)
		b.Columns[1].Dict = append(b.Columns[1].Dict, strings.Repeat("x", 90)+strconv.Itoa(i))
	}
	f := open(t, write(t, parquet.DefaultWriterConfig(), schema, b))
	read := func(column string, maxBytes int64) error {
		_, err := f.Read(t.Context(), 0, parquet.ReadOptions{Columns: []string{column}, MaxBytes: maxBytes})
		return err
	}
	for column, enough := range map[string]int64{"n": 8200, "s": 120_000} {
		require.NoError(t, read(column, enough), column)
		err := read(column, enough*9/10)
		require.Equal(t, fault.Exhausted, fault.Of(err), "%v", err)
		require.ErrorContains(t, err, "test.parquet")
		require.ErrorContains(t, err, "row group 0")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Read(ctx, 0, parquet.ReadOptions{})
	require.Equal(t, fault.Canceled, fault.Of(err))
}

// stingy takes so many bytes, and counts the writes once it is full.
type stingy struct{ left, full int }

var errFull = errors.New("the disk is full")

func (s *stingy) Write(b []byte) (int, error) {
	n := min(len(b), s.left)
	if s.left -= n; n < len(b) {
		s.full++
		return n, errFull
	}
	return n, nil
}

// Wherever a write fails, with any number of workers, it is said, and said again.
func TestAWriteThatFailsIsTheLast(t *testing.T) {
	t.Parallel()
	schema, batches, _ := benchTable()
	whole := len(write(t, parquet.DefaultWriterConfig(), schema, batches[0]))
	for _, workers := range []int{1, 2, 4} {
		for part := range 8 {
			cfg := parquet.DefaultWriterConfig()
			cfg.Workers = workers
			out := &stingy{left: 4 + part*whole/8}
			w, err := parquet.NewWriter(out, schema, cfg)
			require.NoError(t, err)
			require.ErrorIs(t, w.Write(batches[0]), errFull)
			require.ErrorIs(t, w.Write(batches[1]), errFull)
			require.ErrorIs(t, w.Close(), errFull)
			require.Equal(t, 1, out.full, "nothing is written any more")
		}
	}
}
