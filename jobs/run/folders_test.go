package run

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// openDataset opens a path, every row of whose files is one.
func openDataset(ctx context.Context, fs *files.Files, path string, where *data.Predicate) (*Dataset, error) {
	return (&Dataset{Path: path, files: fs}).open(ctx, where)
}

// rowsOf reads a whole dataset as texts, \N for null.
func rowsOf(t *testing.T, d *Dataset, columns []string) (rows [][]string) {
	t.Helper()
	for shard := range d.Shards {
		require.NoError(t, d.readShard(context.Background(), shard, columns, func(b *data.Batch, _ rowNumbers) error {
			for row := range b.NumRows {
				var texts []string
				for _, c := range b.Columns {
					texts = append(texts, textAt(c, row))
				}
				rows = append(rows, texts)
			}
			return nil
		}))
	}
	return rows
}

func textAt(c *data.Column, row int) string {
	if !c.Valid.Get(row) {
		return `\N`
	}
	switch c.Type {
	case data.Int32, data.Date:
		return strconv.Itoa(int(c.Int32s[row]))
	case data.Int64, data.Timestamp:
		return strconv.FormatInt(c.Int64s[row], 10)
	case data.Float32:
		return strconv.FormatFloat(float64(c.Float32s[row]), 'g', -1, 32)
	case data.Float64:
		return strconv.FormatFloat(c.Float64s[row], 'g', -1, 64)
	case data.String:
		return c.Dict[c.Codes[row]]
	}
	return strconv.FormatBool(c.Bools[row])
}

func TestFoldersOfFilesThatDiffer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(sharedData(t), "nasty")
	w := bench(t, t.TempDir())
	for _, name := range []string{"added_column", "int_and_double", "missing_column", "null_type", "other_order", "widened", "with_empty"} {
		d, err := openDataset(t.Context(), w.env.Files, filepath.Join(dir, "parts", "parts_"+name), nil)
		require.NoError(t, err, name)
		f, err := os.Open(filepath.Join(dir, "expected", "parts", "parts_"+name+".csv"))
		require.NoError(t, err)
		want, err := csv.NewReader(f).ReadAll()
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, want[0], d.Schema.Names(), name)
		got := rowsOf(t, d, nil)
		require.Len(t, got, len(want)-1, name)
		for i, row := range got {
			for k, text := range row {
				if d.Schema.Fields[k].Type != data.Float64 || text == `\N` {
					require.Equal(t, want[i+1][k], text, "%s: row %d", name, i)
					continue
				}
				x, err := strconv.ParseFloat(want[i+1][k], 64)
				require.NoError(t, err)
				require.Equal(t, strconv.FormatFloat(x, 'g', -1, 64), text, "%s: row %d", name, i)
			}
		}
	}
	_, err := openDataset(t.Context(), w.env.Files, filepath.Join(dir, "parts", "parts_conflict"), nil)
	require.Equal(t, fault.Invalid, fault.Of(err))
	for _, say := range []string{`column "word" is string on one side and int64 on the other`, "part-0.parquet", "part-1.parquet"} {
		require.ErrorContains(t, err, say)
	}
	_, err = openDataset(t.Context(), w.env.Files, filepath.Join(dir, "parts", "parts_with_bad"), nil)
	require.Equal(t, fault.Corrupt, fault.Of(err))
	require.ErrorContains(t, err, "part-1.parquet")
}

// A generated twin of the above, and of folders that name columns.
func TestColumnsThatSomeFilesLackOrFoldersName(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	table := func(path string, b *data.Batch) {
		path = filepath.Join(folder, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		writeTable(t, path, []*data.Batch{b})
	}
	small := func(fields []data.Field, columns ...*data.Column) *data.Batch {
		b, err := data.NewBatch(data.Schema{Fields: fields}, columns)
		require.NoError(t, err)
		return b
	}
	id := func(ty data.Type) data.Field { return data.Field{Name: "id", Type: ty} }
	table("d/month=2/a.parquet", small([]data.Field{id(data.Int32), {Name: "x", Type: data.Float64}}, &data.Column{Type: data.Int32, Int32s: []int32{1, 2}}, &data.Column{Type: data.Float64, Float64s: []float64{.5, 1.5}}))
	table("d/month=3/b.parquet", small([]data.Field{{Name: "kind", Type: data.String}, id(data.Int64)}, texts([]string{"k", "l"}), ints([]int64{3, 1 << 40})))
	w := bench(t, folder)
	open := func(where string) *Dataset {
		var p *data.Predicate
		if where != "" {
			var err error
			p, err = data.ParsePredicate(where)
			require.NoError(t, err)
		}
		d, err := openDataset(t.Context(), w.env.Files, filepath.Join(folder, "d"), p)
		require.NoError(t, err)
		return d
	}
	d := open("")
	require.Equal(t, []string{"id", "x", "kind", "month"}, d.Schema.Names())
	all := [][]string{{"1", "0.5", `\N`, "2"}, {"2", "1.5", `\N`, "2"}, {"3", `\N`, "k", "3"}, {"1099511627776", `\N`, "l", "3"}}
	require.Equal(t, all, rowsOf(t, d, nil))
	require.Equal(t, [][]string{{"2"}, {"2"}, {"3"}, {"3"}}, rowsOf(t, d, []string{"month"}))
	require.Equal(t, [][]string{{"3", "0.5"}, {"2", "1.5"}}[0][1], rowsOf(t, d, []string{"month", "x"})[0][1])

	for where, rows := range map[string][]int{
		"month = 3": {2, 3}, "month < 3 and id > 1": {1}, "x is null": {2, 3}, "kind = 'l' or x < 1": {0, 3}, "id > 2.5": {2, 3}, "month > 7": nil,
	} {
		var want [][]string
		for _, r := range rows {
			want = append(want, []string{all[r][2], all[r][0]})
		}
		require.Equal(t, want, rowsOf(t, open(where), []string{"kind", "id"}), where)
	}
	require.EqualValues(t, 2, open("month = 3").Pruned)
	require.EqualValues(t, 2, open("x is not null").Pruned)

	before := d.Digest
	require.NoError(t, os.Rename(filepath.Join(folder, "d/month=3"), filepath.Join(folder, "d/month=4")))
	require.NotEqual(t, before, open("").Digest, "a folder's name is data")
}

func TestMonthsOfARealShop(t *testing.T) {
	t.Parallel()
	dir := sharedData(t)
	w := bench(t, t.TempDir())
	d, err := openDataset(t.Context(), w.env.Files, filepath.Join(dir, "retail", "events"), nil)
	require.NoError(t, err)
	require.EqualValues(t, 320_705, d.Rows)
	require.Equal(t, data.String, d.Schema.Fields[d.Schema.Index("month")].Type)
	one := w.succeed("kind: drift\nname: r\nreference: {path: " + filepath.Join(dir, "retail", "events") + ", where: month <= '2011-02'}\n" +
		"current: {path: " + filepath.Join(dir, "retail", "events") + ", where: month >= '2011-06'}\nmethod: psi\ncolumns: {include: [quantity, unit_price]}\n")
	require.EqualValues(t, 111_676, one.RowsIn)
	for column, psi := range map[string]float64{"quantity": 0.0244, "unit_price": 0.0845} {
		require.InDelta(t, psi, one.Columns[column].Statistic, 0.0006, column)
	}
}
