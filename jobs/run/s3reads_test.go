package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store/s3"
	"github.com/troupe-ml/troupe/store/s3/s3test"
)

// wide writes a file of 12 columns that do not compress.
func wide(t testing.TB, path string, groups, rows int) {
	t.Helper()
	var batches []*data.Batch
	for g := range groups {
		random := rng.New(uint64(g), "wide")
		b := &data.Batch{NumRows: rows}
		for k := range 12 {
			c := data.NewColumn(data.Float64, rows)
			for i := range rows {
				c.Float64s[i] = random.NormFloat64()
			}
			b.Schema.Fields = append(b.Schema.Fields, data.Field{Name: fmt.Sprintf("c%02d", k), Type: data.Float64})
			b.Columns = append(b.Columns, c)
		}
		batches = append(batches, b)
	}
	writeTable(t, path, batches)
}

func readAll(t testing.TB, d *Dataset, columns []string) (rows int64) {
	t.Helper()
	for _, r := range []split.Range{{File: 0, First: 0, Count: 10}} {
		_, err := d.readRange(context.Background(), r, columns, nil, 0, 0, func(b *data.Batch, _ rowNumbers) error {
			rows += int64(b.NumRows)
			return nil
		})
		require.NoError(t, err)
	}
	return rows
}

// Two of twelve columns of ten row groups that lie far apart take two requests a
// row group and one for the footer; all columns take one for each 8 MiB.
func TestFewRequestsAreMade(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	path := filepath.Join(t.TempDir(), "wide.parquet")
	wide(t, path, 10, 40_000) // 320 kB a column and row group
	url := server.Fill(t, "wide.parquet", path)
	c := server.Client(t, nil)
	fs := files.New(func() (*s3.Client, error) { return c, nil })
	info, err := os.Stat(path)
	require.NoError(t, err)
	d := &Dataset{Schema: readTable(t, path)[0].Schema, Files: []DataFile{{Path: url, Bytes: info.Size()}}, files: fs}
	for _, step := range []struct {
		columns []string
		most    int
	}{
		{[]string{"c02", "c03"}, 1 + 10},
		{[]string{"c02", "c05"}, 1 + 10}, // 640 kB are between them
		{[]string{"c01", "c10"}, 1 + 20},
		{nil, 1 + int(info.Size()>>23) + 1},
	} {
		server.Set(nil)
		require.EqualValues(t, 400_000, readAll(t, d, step.columns))
		require.LessOrEqual(t, len(server.Requests()), step.most, "%v", step.columns)
	}
}

// Figures, for: go test -run '^$' -bench ReadsOf ./jobs/run.
func BenchmarkReadsOfAnObject(b *testing.B) {
	server := s3test.Start(b)
	path := filepath.Join(b.TempDir(), "wide.parquet")
	wide(b, path, 10, 250_000) // 2 MB a column and row group: 240 MB
	url := server.Fill(b, "wide.parquet", path)
	c := server.Client(b, nil)
	fs := files.New(func() (*s3.Client, error) { return c, nil })
	for _, from := range []string{path, url} {
		d, err := openDataset(b.Context(), fs, from, nil)
		require.NoError(b, err)
		where := "disk"
		if files.Remote(from) {
			where = "s3"
		}
		for _, columns := range [][]string{{"c02", "c09"}, nil} {
			name := "12 of 12"
			if columns != nil {
				name = "2 of 12"
			}
			b.Run(where+"/"+name, func(b *testing.B) {
				b.SetBytes(d.Files[0].Bytes * int64(max(len(columns), 12*(1-min(len(columns), 1)))) / 12)
				server.Set(nil)
				for b.Loop() {
					readAll(b, d, columns)
				}
				b.ReportMetric(float64(len(server.Requests()))/float64(b.N), "requests/op")
			})
		}
		b.Run(where+"/bytes", func(b *testing.B) {
			b.SetBytes(d.Files[0].Bytes)
			for b.Loop() {
				f, err := fs.Open(context.Background(), from, "")
				require.NoError(b, err)
				announceAll(f)
				_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.NewSectionReader(f, 0, f.Size())}, make([]byte, 1<<20))
				require.NoError(b, err)
				require.NoError(b, f.Close())
			}
		})
	}
}

// An object that has been digested is known again by its version: the second job
// over it reads what it needs, the first one everything.
func TestAnObjectIsDigestedOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "in", "wide.parquet")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	wide(t, path, 10, 40_000)
	server := s3test.Start(t)
	server.Fill(t, "in", filepath.Dir(path))
	w := bench(t, folder)
	remote(t, w, server, nil)
	server.Set(nil)
	first, err := w.env.Preview(t.Context(), w.parse(inBucket("kind: drift\nname: d\nreference: in\ncurrent: in\n")))
	require.NoError(t, err)
	before := len(server.Requests())
	server.Set(nil)
	again, err := w.env.Preview(t.Context(), w.parse(inBucket("kind: drift\nname: e\nreference: in\ncurrent: in\n")))
	require.NoError(t, err)
	require.Equal(t, first.Survey.Input.Digest, again.Survey.Input.Digest)
	require.Greater(t, before-len(server.Requests()), 3, "38 MB are not read again")
	require.NoError(t, os.Remove(path))
	wide(t, path, 9, 40_000)
	server.Fill(t, "in", filepath.Dir(path))
	changed, err := w.env.Preview(t.Context(), w.parse(inBucket("kind: drift\nname: e\nreference: in\ncurrent: in\n")))
	require.NoError(t, err)
	require.NotEqual(t, first.Survey.Input.Digest, changed.Survey.Input.Digest)
}
