package dataview_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/dataview"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// write makes a file of batches, one row group each.
func write(t *testing.T, path string, batches ...*data.Batch) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := parquet.NewWriter(f, batches[0].Schema, parquet.DefaultWriterConfig())
	require.NoError(t, err)
	for _, b := range batches {
		require.NoError(t, w.Write(b))
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

// valid marks all rows but some as there.
func valid(rows int, nulls ...int) data.Bitmap {
	b := data.NewBitmap(rows)
	for i := range rows {
		b.Set(i)
	}
	for _, i := range nulls {
		b.Clear(i)
	}
	return b
}

func table(t *testing.T, shift float64) *data.Batch {
	t.Helper()
	b, err := data.NewBatch(data.Schema{Fields: []data.Field{
		{Name: "x", Type: data.Float64, Nullable: true}, {Name: "b", Type: data.Bool}, {Name: "s", Type: data.String, Nullable: true},
		{Name: "ts", Type: data.Timestamp, UTC: true}, {Name: "d", Type: data.Date}, {Name: "none", Type: data.Int32, Nullable: true},
	}}, []*data.Column{
		{Type: data.Float64, Float64s: []float64{1 + shift, 2 + shift, math.NaN(), math.Inf(1), 0}, Valid: valid(5, 4)},
		{Type: data.Bool, Bools: []bool{true, false, true, true, true}},
		{Type: data.String, Codes: []uint32{0, 1, 0, 0, 0}, Dict: []string{"a", "b"}, Valid: valid(5, 3)},
		{Type: data.Timestamp, Int64s: []int64{5e6, 1e6, 3e6, 2e6, 4e6}},
		{Type: data.Date, Int32s: []int32{0, 1, 2, 3, -1}},
		{Type: data.Int32, Int32s: make([]int32, 5), Valid: data.NewBitmap(5)},
	})
	require.NoError(t, err)
	return b
}

func TestAScanFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.parquet"), table(t, 0), table(t, 10))
	write(t, filepath.Join(dir, "2.parquet"), table(t, 20))
	v, err := dataview.Look(t.Context(), nil, dir, true)
	require.NoError(t, err)
	assert.Equal(t, int64(15), v.Rows)
	assert.Equal(t, 3, v.RowGroups)
	assert.Equal(t, 2, v.Files)
	by := map[string]*dataview.Values{}
	for _, c := range v.Columns {
		by[c.Name] = c.Values
	}
	x := by["x"]
	assert.Equal(t, []int64{3, 3, 3}, []int64{x.Nulls, x.NaNs, x.Infinite})
	assert.Equal(t, int64(7), x.Distinct, "1, 2, 11, 12, 21, 22 and infinity")
	assert.Equal(t, "1", x.Min)
	assert.InDelta(t, 11.5, float64(*x.Mean), 1e-12, "infinity has no part in it")
	assert.InDelta(t, 21, float64(x.Quantiles["p50"]), 1e-12, "infinities are values: the fifth of nine")
	assert.Equal(t, []dataview.Top{{Value: "true", Count: 12}, {Value: "false", Count: 3}}, by["b"].Top)
	assert.Equal(t, []dataview.Top{{Value: "a", Count: 9}, {Value: "b", Count: 3}}, by["s"].Top)
	assert.Equal(t, int64(3), by["s"].Nulls)
	assert.Equal(t, "1970-01-01T00:00:01Z", by["ts"].Min)
	assert.Equal(t, "1970-01-01T00:00:05Z", by["ts"].Max)
	assert.Equal(t, "1969-12-31", by["d"].Min)
	assert.Equal(t, "1970-01-04", by["d"].Max)
	none := by["none"]
	assert.Equal(t, int64(15), none.Nulls)
	assert.Zero(t, none.Distinct)
	assert.Empty(t, none.Min)
	_, err = json.Marshal(v)
	require.NoError(t, err, "infinities, too, have a JSON form")
	assert.NotEmpty(t, v.Sections())
}

func TestWithoutAScanNoValueIsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "1.parquet")
	write(t, path, table(t, 0))
	v, err := dataview.Look(t.Context(), nil, path, false)
	require.NoError(t, err)
	assert.Equal(t, int64(5), v.Rows)
	assert.Nil(t, v.Columns[0].Values)
	assert.NotEmpty(t, v.Sections())
}

func TestFilesThatDifferAreNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.parquet"), table(t, 0))
	other, err := data.NewBatch(data.Schema{Fields: []data.Field{{Name: "y", Type: data.Bool}}}, []*data.Column{{Type: data.Bool, Bools: []bool{true}}})
	require.NoError(t, err)
	write(t, filepath.Join(dir, "2.parquet"), other)
	_, err = dataview.Look(t.Context(), nil, dir, false)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	assert.ErrorContains(t, err, "1.parquet")
	assert.ErrorContains(t, err, "2.parquet")
}
