package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/datatest"
	"github.com/troupe-ml/troupe/internal/fault"
)

func writeKeys(t *testing.T, path string, bounds bool, keys ...uint64) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, datatest.Keys(t, bounds, keys...), 0o600))
}

// Keys that int64 does not hold are text in all files of a folder, wherever they
// occur, whoever reads: also who knows of them from the survey alone.
func TestUnsignedKeysOfAFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := bench(t, folder)
	const beyond = 1 << 63
	for name, c := range map[string]struct {
		bounds [3]bool
		last   uint64
		want   data.Type
	}{
		"told":      {[3]bool{true, true, true}, beyond, data.String},
		"looked at": {[3]bool{true, false, false}, beyond, data.String},
		"all fit":   {[3]bool{true, false, true}, beyond - 1, data.Int64},
	} {
		dir := filepath.Join(folder, name)
		writeKeys(t, filepath.Join(dir, "a.parquet"), c.bounds[0], 1, 2)
		writeKeys(t, filepath.Join(dir, "b.parquet"), c.bounds[1], 3, 4)
		writeKeys(t, filepath.Join(dir, "c.parquet"), c.bounds[2], 5, c.last)
		d, err := openDataset(t.Context(), w.env.Files, dir, nil)
		require.NoError(t, err, name)
		require.Equal(t, c.want, d.Schema.Fields[0].Type, name)
		raw, err := json.Marshal(d)
		require.NoError(t, err)
		sent := &Dataset{}
		require.NoError(t, json.Unmarshal(raw, sent))
		sent.files = w.env.Files
		last := map[data.Type]string{data.String: "9223372036854775808", data.Int64: "9223372036854775807"}[c.want]
		want := [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {last}}
		require.Equal(t, want, rowsOf(t, d, []string{"key"}), name)
		require.Equal(t, want, rowsOf(t, sent, []string{"key"}), name)
		if c.want != data.String {
			continue
		}
		p, err := data.ParsePredicate("key = '3' or key = '" + last + "'")
		require.NoError(t, err)
		d, err = openDataset(t.Context(), w.env.Files, dir, p)
		require.NoError(t, err)
		require.Equal(t, [][]string{{"3", "2", "3", "1"}, {last, "2", last, "1"}}, rowsOf(t, d, []string{"key", "list.count", "list.first", "list.last"}), name)
		d, err = (&Dataset{Path: dir, files: w.env.Files, Explode: "list"}).open(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, []string{"1", "1"}, rowsOf(t, d, []string{"key", "list"})[1], name)
		require.Equal(t, []string{last, last}, rowsOf(t, d, []string{"key", "list"})[10], name)
	}
	dir := filepath.Join(folder, "conflict")
	writeKeys(t, filepath.Join(dir, "a.parquet"), true, beyond)
	writeTable(t, filepath.Join(dir, "b.parquet"), []*data.Batch{{NumRows: 1, Schema: data.Schema{Fields: []data.Field{{Name: "key", Type: data.Int64}}}, Columns: []*data.Column{ints([]int64{1})}}})
	_, err := openDataset(t.Context(), w.env.Files, dir, nil)
	require.Equal(t, fault.Invalid, fault.Of(err))
	for _, say := range []string{`column "key" is string on one side and int64 on the other`, "a.parquet", "b.parquet"} {
		require.ErrorContains(t, err, say)
	}
}
