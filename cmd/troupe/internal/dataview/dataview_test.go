package dataview_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/dataview"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/datatest"
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
	v, err := dataview.Look(t.Context(), nil, dir, nil, true)
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
	assert.Equal(t, "1970-01-01T00:00:03Z", by["ts"].Times["p50"])
	assert.Len(t, by["ts"].Histogram, 12)
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
	v, err := dataview.Look(t.Context(), nil, path, nil, false)
	require.NoError(t, err)
	assert.Equal(t, int64(5), v.Rows)
	assert.Nil(t, v.Columns[0].Values)
	by := map[string]*dataview.Footer{}
	for _, c := range v.Columns {
		by[c.Name] = c.Footer
	}
	assert.Equal(t, []int64{1, 0, 1, 5}, []int64{*by["x"].Nulls, *by["b"].Nulls, *by["s"].Nulls, *by["none"].Nulls})
	assert.Equal(t, []string{"a", "b"}, []string{by["s"].Min, by["s"].Max})
	assert.Equal(t, []string{"1970-01-01T00:00:01Z", "1970-01-01T00:00:05Z"}, []string{by["ts"].Min, by["ts"].Max})
	assert.Equal(t, []string{"1969-12-31", "1970-01-04"}, []string{by["d"].Min, by["d"].Max})
	assert.Empty(t, by["none"].Min)
	assert.NotEmpty(t, v.Sections())
}

func TestFilesThatDifferAreNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.parquet"), table(t, 0))
	other, err := data.NewBatch(data.Schema{Fields: []data.Field{{Name: "x", Type: data.Bool}}}, []*data.Column{{Type: data.Bool, Bools: []bool{true}}})
	require.NoError(t, err)
	write(t, filepath.Join(dir, "2.parquet"), other)
	_, err = dataview.Look(t.Context(), nil, dir, nil, false)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	assert.ErrorContains(t, err, "1.parquet")
	assert.ErrorContains(t, err, "2.parquet")
}

// column is a table of one column and so many rows.
func column(t *testing.T, name string, c *data.Column) *data.Batch {
	t.Helper()
	b, err := data.NewBatch(data.Schema{Fields: []data.Field{{Name: name, Type: c.Type, Nullable: c.Valid != nil}}}, []*data.Column{c})
	require.NoError(t, err)
	return b
}

func TestFilesMayHaveNarrowerAndFewerColumns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.parquet"), column(t, "x", &data.Column{Type: data.Int32, Int32s: []int32{1, 2, 2}}))
	write(t, filepath.Join(dir, "2.parquet"), column(t, "x", &data.Column{Type: data.Float64, Float64s: []float64{-0.5}}))
	write(t, filepath.Join(dir, "3.parquet"), column(t, "y", &data.Column{Type: data.Bool, Bools: []bool{true, false}}))
	for _, scan := range []bool{false, true} {
		v, err := dataview.Look(t.Context(), nil, dir, nil, scan)
		require.NoError(t, err)
		require.Equal(t, []string{"x", "y"}, []string{v.Columns[0].Name, v.Columns[1].Name})
		x := v.Columns[0]
		assert.Equal(t, "float64", x.Type)
		assert.Equal(t, int64(2), *x.Footer.Nulls)
		if scan {
			assert.Equal(t, int64(2), x.Values.Nulls)
			assert.Equal(t, dataview.Top{Value: "2", Count: 2}, x.Values.Top[0])
			assert.Equal(t, "-0.5", x.Values.Min)
			assert.Equal(t, int64(4), v.Columns[1].Values.Nulls)
		}
	}
	v, err := dataview.Look(t.Context(), nil, dir, []string{"y"}, true)
	require.NoError(t, err)
	require.Len(t, v.Columns, 1)
	_, err = dataview.Look(t.Context(), nil, dir, []string{"z"}, true)
	assert.ErrorContains(t, err, `no column "z"; there are ["x" "y"]`)
	_, err = dataview.Look(t.Context(), nil, dir, []string{"x", "x"}, true)
	assert.ErrorContains(t, err, "named twice")
}

// Keys that int64 does not hold are text in all files, as jobs read them.
func TestUnsignedKeysAreShownAsJobsReadThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, keys := range [][]uint64{{1, 2}, {3, math.MaxUint64}, {4, 2}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".parquet"), datatest.Keys(t, i == 0, keys...), 0o600))
	}
	v, err := dataview.Look(t.Context(), nil, dir, []string{"key", "list.last", "list.first"}, true)
	require.NoError(t, err)
	assert.Equal(t, int64(6), v.Rows, "files that are looked at twice count once")
	assert.Equal(t, []string{"string", "string", "string"}, []string{v.Columns[0].Type, v.Columns[1].Type, v.Columns[2].Type})
	assert.Equal(t, []dataview.Top{{Value: "2", Count: 2}, {Value: "1", Count: 1}, {Value: "18446744073709551615", Count: 1}}, v.Columns[0].Values.Top[:3])
	v, err = dataview.Look(t.Context(), nil, filepath.Join(dir, "0.parquet"), nil, false)
	require.NoError(t, err)
	assert.Equal(t, "int64", v.Columns[0].Type)
}

func TestRowsComeInOrderUpToALimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.parquet"), column(t, "x", &data.Column{Type: data.Int64, Int64s: []int64{1, 2, 3}}), column(t, "x", &data.Column{Type: data.Int64, Int64s: []int64{4, 5}}))
	write(t, filepath.Join(dir, "2.parquet"), column(t, "x", &data.Column{Type: data.Int64, Int64s: []int64{6}}))
	for limit, want := range map[int64][]int64{-1: {1, 2, 3, 4, 5, 6}, 0: nil, 2: {1, 2}, 3: {1, 2, 3}, 4: {1, 2, 3, 4}, 99: {1, 2, 3, 4, 5, 6}} {
		var got []int64
		err := dataview.Rows(t.Context(), nil, dir, nil, limit, func(data.Schema) error { return nil }, func(b *data.Batch) error {
			got = append(got, b.Columns[0].Int64s...)
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, want, got, "limit %d", limit)
	}
}

// Strange files are shown, broken ones are errors that name them.
func TestStrangeAndBrokenFiles(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..", "..", "..", "shared", "data", "nasty")
	good, err := filepath.Glob(filepath.Join(root, "good", "*.parquet"))
	require.NoError(t, err)
	bad, err := filepath.Glob(filepath.Join(root, "bad", "*.parquet"))
	require.NoError(t, err)
	if len(good) == 0 || len(bad) == 0 {
		t.Skip("the shared data is not there")
	}
	shown := 0
	for _, path := range append(good, bad...) {
		for _, scan := range []bool{false, true} {
			v, err := dataview.Look(t.Context(), nil, path, nil, scan)
			if err != nil {
				assert.ErrorContains(t, err, filepath.Base(path))
				assert.NotEqual(t, fault.Internal, fault.Of(err), path)
				continue
			}
			shown++
			_, err = json.Marshal(v)
			require.NoError(t, err)
			assert.NotEmpty(t, v.Sections())
		}
	}
	assert.Greater(t, shown, len(good), "most of the good ones are shown, with a scan and without")
}

// A file that is cut short is named, whichever of a folder it is.
func TestABrokenFileOfAFolderIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.parquet"), table(t, 0))
	whole, err := os.ReadFile(filepath.Join(dir, "1.parquet"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "2.parquet"), whole[:len(whole)/2], 0o600))
	_, err = dataview.Look(t.Context(), nil, dir, nil, false)
	assert.ErrorContains(t, err, "2.parquet")
	assert.Equal(t, fault.Corrupt, fault.Of(err))
}

// Times that are all different are rounded by their distance from the first, not
// by that from 1970.
func TestQuantilesOfManyTimes(t *testing.T) {
	t.Parallel()
	const n = 200_000
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	c := data.NewColumn(data.Timestamp, n)
	for i := range c.Int64s {
		c.Int64s[i] = start.Add(time.Duration(i) * time.Second).UnixMicro()
	}
	path := filepath.Join(t.TempDir(), "1.parquet")
	write(t, path, column(t, "ts", c))
	v, err := dataview.Look(t.Context(), nil, path, nil, true)
	require.NoError(t, err)
	x := v.Columns[0].Values
	median, err := time.Parse("2006-01-02T15:04:05.999999", x.Times["p50"])
	require.NoError(t, err)
	assert.InDelta(t, n/2, median.Sub(start).Seconds(), 0.03*n/2)
	require.Len(t, x.Histogram, 12)
	for _, count := range x.Histogram {
		assert.InDelta(t, n/12, count, 0.3*n/12)
	}
}
