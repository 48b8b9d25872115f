package parquet_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
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
	least := fresh
	for range 5 { // the pool of scratch memory may be emptied at any time, but not always
		least = min(least, allocated(read))
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
