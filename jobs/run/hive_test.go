package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

func TestFoldersGiveColumns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ input, path, below string }{
		{"/d/events", "/d/events/month=1/a.parquet", "month=1/a.parquet"},
		{"/d/events/", "/d/events/month=1/a.parquet", "month=1/a.parquet"},
		{"/d/events/month=*/part-*.parquet", "/d/events/month=1/part-0.parquet", "month=1/part-0.parquet"},
		{"/d/y=1/m*/x.parquet", "/d/y=1/m=2/x.parquet", "m=2/x.parquet"},
		{"/d/y=1/x.parquet", "/d/y=1/x.parquet", "x.parquet"},
		{"s3://b/y=1", "s3://b/y=1/m=3/x.parquet", "m=3/x.parquet"},
	} {
		require.Equal(t, c.below, below(c.input, c.path), c.input)
	}
	var keys, values [][]string
	for _, p := range []string{"n=1/day=2024-05-01/s=a%2Fb/x.parquet", "n=-20/day=2024-05-02/s=7/x.parquet", "n=" + hiveNull + "/day=2024-05-03/s=/plain/x.parquet", "n=3/x.parquet"} {
		k, v, err := partitionKeys(p)
		require.NoError(t, err)
		keys, values = append(keys, k), append(values, v)
	}
	fields := partitionFields(keys, values)
	require.Equal(t, []data.Field{
		{Name: "n", Type: data.Int64, Nullable: true}, {Name: "day", Type: data.Date, Nullable: true}, {Name: "s", Type: data.String, Nullable: true},
	}, fields)
	text, ok := partitionText(keys[0], values[0], "s")
	require.Equal(t, data.StringValue("a/b"), *partitionValue(fields[2], text, ok))
	text, ok = partitionText(keys[1], values[1], "n")
	require.Equal(t, data.IntValue(-20), *partitionValue(fields[0], text, ok))
	text, ok = partitionText(keys[2], values[2], "n")
	require.Nil(t, partitionValue(fields[0], text, ok))

	require.Equal(t, data.String, partitionFields([][]string{{"m"}, {"m"}}, [][]string{{"01"}, {"2"}})[0].Type, "01 would come back as 1")
	_, _, err := partitionKeys("a=1/a=2/x.parquet")
	require.ErrorContains(t, err, "give a twice")
	_, _, err = partitionKeys("a=%zz/x.parquet")
	require.ErrorContains(t, err, "hexadecimal")
}
