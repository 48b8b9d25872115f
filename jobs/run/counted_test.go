package run

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/features"
)

// What a file says of itself must bound what there is, and not by far where it
// can be known.
func TestCountingIsAdmittedByWhatFilesSay(t *testing.T) {
	t.Parallel()
	const rows = 5000
	b := &data.Batch{NumRows: rows, Schema: data.Schema{Fields: []data.Field{
		{Name: "id", Type: data.Int64}, {Name: "hour", Type: data.Int64}, {Name: "city", Type: data.String}, {Name: "truth", Type: data.Bool},
	}}}
	id, hour := data.NewColumn(data.Int64, rows), data.NewColumn(data.Int64, rows)
	city, truth := &data.Column{Type: data.String, Codes: make([]uint32, rows)}, data.NewColumn(data.Bool, rows)
	for i := range rows {
		id.Int64s[i], hour.Int64s[i], city.Codes[i] = int64(i)*1_000_003, int64(i%24), uint32(i%400)
	}
	for i := range 400 {
		city.Dict = append(city.Dict, fmt.Sprintf("a city with the number %d", i))
	}
	b.Columns = []*data.Column{id, hour, city, truth}
	var buf bytes.Buffer
	w, err := parquet.NewWriter(&buf, b.Schema, parquet.DefaultWriterConfig())
	require.NoError(t, err)
	require.NoError(t, w.Write(b))
	require.NoError(t, w.Close())
	file, err := parquet.Open(bytes.NewReader(buf.Bytes()), int64(buf.Len()), "x")
	require.NoError(t, err)
	v := &view{file: file, schema: data.Schema{Fields: append(file.Schema().Fields, data.Field{Name: "country", Type: data.String})}}
	for _, c := range []struct {
		columns []string
		least   int64
		most    int64
	}{
		{[]string{"id"}, rows, rows}, {[]string{"hour"}, 24, 24}, {[]string{"truth"}, 2, 2}, {[]string{"city"}, 400, rows - 1},
		{[]string{"hour", "truth"}, 48, 48}, {[]string{"id", "hour"}, rows, rows}, {[]string{"country"}, 1, 1}, {[]string{"a window"}, rows, rows},
	} {
		got := v.mostDistinct(0, c.columns)
		require.GreaterOrEqual(t, got.Values, c.least, "%v", c.columns)
		require.LessOrEqual(t, got.Values, c.most, "%v", c.columns)
	}
	require.GreaterOrEqual(t, v.mostDistinct(0, []string{"city"}).Bytes, int64(len(city.Dict[0])*399))
	require.Greater(t, plan.ObservedBytes(features.Counted{Values: rows}), int64(8*rows))
}
