package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// sharedData returns the folder of real data beside the repository, or skips.
func sharedData(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../shared/data")
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(dir, "catalog.json")); err != nil {
		t.Skip("the real data is not here (../shared/data): generated data covers the same code")
	}
	return dir
}

// readTable reads whole files as one batch a row group.
func readTable(t *testing.T, paths ...string) []*data.Batch {
	t.Helper()
	var out []*data.Batch
	for _, p := range paths {
		var disks *files.Files
		f, err := disks.Open(t.Context(), p, "")
		require.NoError(t, err)
		pf, err := parquet.Open(f, f.Size(), p)
		require.NoError(t, err)
		for g := range pf.NumRowGroups() {
			b, err := pf.ReadRowGroup(context.Background(), g, nil)
			require.NoError(t, err)
			out = append(out, b)
		}
		require.NoError(t, f.Close())
	}
	return out
}

func writeTable(t testing.TB, path string, batches []*data.Batch) {
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

// with adds or replaces a column.
func with(b *data.Batch, name string, c *data.Column) *data.Batch {
	out := &data.Batch{NumRows: b.NumRows}
	for i, f := range b.Schema.Fields {
		if f.Name != name {
			out.Schema.Fields = append(out.Schema.Fields, f)
			out.Columns = append(out.Columns, b.Columns[i])
		}
	}
	out.Schema.Fields = append(out.Schema.Fields, data.Field{Name: name, Type: c.Type})
	out.Columns = append(out.Columns, c)
	return out
}

// texts returns a column of strings.
func texts(values []string) *data.Column {
	c := &data.Column{Type: data.String, Codes: make([]uint32, len(values))}
	codes := map[string]uint32{}
	for i, v := range values {
		code, ok := codes[v]
		if !ok {
			code = uint32(len(c.Dict))
			codes[v] = code
			c.Dict = append(c.Dict, v)
		}
		c.Codes[i] = code
	}
	return c
}

func ints(values []int64) *data.Column { return &data.Column{Type: data.Int64, Int64s: values} }

// withPart adds the column "part" by the number of the row.
func withPart(batches []*data.Batch, isTest func(row int) bool) []*data.Batch {
	row := 0
	out := make([]*data.Batch, len(batches))
	for i, b := range batches {
		parts := make([]string, b.NumRows)
		for k := range parts {
			if parts[k] = "train"; isTest(row) {
				parts[k] = "test"
			}
			row++
		}
		out[i] = with(b, "part", texts(parts))
	}
	return out
}

func everyFifth(row int) bool { return row%5 == 0 }

// flightsLate derives the columns of that task of the real data.
func flightsLate(t *testing.T, dir string) []*data.Batch {
	t.Helper()
	var out []*data.Batch
	row := 0
	for _, b := range readTable(t, filepath.Join(dir, "flights/flights.parquet")) {
		delay, date, dep := b.Column("arr_delay"), b.Column("flight_date"), b.Column("sched_dep_ts")
		n := b.NumRows
		late, month, hour, parts := ints(make([]int64, n)), ints(make([]int64, n)), ints(make([]int64, n)), make([]string, n)
		late.Valid = data.NewBitmap(n)
		for i := range n {
			if delay.Valid.Get(i) {
				late.Valid.Set(i)
				if number(delay, i) > 15 {
					late.Int64s[i] = 1
				}
			}
			day := time.Unix(int64(date.Int32s[i])*86400, 0).UTC()
			month.Int64s[i] = int64(day.Month())
			hour.Int64s[i] = int64(time.UnixMicro(dep.Int64s[i]).UTC().Hour())
			if parts[i] = "train"; everyFifth(row) {
				parts[i] = "test"
			}
			row++
		}
		b = with(with(with(b, "month", month), "hour", hour), "part", texts(parts))
		b = with(b, "late", late)
		b.Schema.Fields[len(b.Schema.Fields)-1].Nullable = true
		out = append(out, b)
	}
	return out
}

func number(c *data.Column, i int) float64 {
	switch c.Type {
	case data.Int32:
		return float64(c.Int32s[i])
	case data.Int64:
		return float64(c.Int64s[i])
	case data.Float32:
		return float64(c.Float32s[i])
	default:
		return c.Float64s[i]
	}
}

// The MLP is as good as the reference one (PyTorch, same shape and settings) on
// real data. Thresholds are the reference's less one percent; see the README of
// the data.
func TestTheNetworkIsAsGoodAsTheReferenceOnRealData(t *testing.T) {
	t.Parallel()
	dir := sharedData(t)
	whole := func(file string) func(t *testing.T) []*data.Batch {
		return func(t *testing.T) []*data.Batch {
			t.Helper()
			return withPart(readTable(t, filepath.Join(dir, file)), everyFifth)
		}
	}
	cases := []struct {
		name, target, task, columns string
		epochs, batch               int
		load                        func(t *testing.T) []*data.Batch
		metric                      string
		least, most                 float64
		linear                      float64 // the same metric of scikit-learn's linear model, 0: not compared
	}{
		{"adult", "income", "binary", "{}", 30, 256, func(t *testing.T) []*data.Batch {
			t.Helper()
			return withPart(readTable(t, filepath.Join(dir, "adult/train.parquet"), filepath.Join(dir, "adult/test.parquet")), func(row int) bool { return row >= 32561 })
		}, "auc", 0.9068 * 0.99, 1, 0.90544},
		{"drybean", "Class", "multiclass", "{}", 30, 256, whole("drybean/drybean.parquet"), "accuracy", 0.9203 * 0.99, 1, 0.91664},
		{"diamonds", "price", "regression", "{}", 30, 256, whole("diamonds/diamonds.parquet"), "rmse", 0, 570.9 * 1.03, 1148.07},
		{"penguins", "species", "multiclass", "{}", 30, 256, whole("small/penguins.parquet"), "log_loss", 0, 0.3469 * 1.15, 0},
		{"flights", "late", "binary", "{include: [month, day_of_week, hour, carrier, origin, dest, distance]}", 10, 1024, func(t *testing.T) []*data.Batch {
			t.Helper()
			return flightsLate(t, dir)
		}, "auc", 0.6595 * 0.99, 1, 0.62627},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			writeTable(t, filepath.Join(folder, "in.parquet"), c.load(t))
			text := fmt.Sprintf("kind: train\nname: %s\ninput: in.parquet\ntarget: %s\ntask: %s\ncolumns: %s\nsplit: {by: column, column: part}\nmodel: {type: mlp, hidden: [64, 32]}\nepochs: %d\nbatch_size: %d\nseed: 1\n",
				c.name, c.target, c.task, c.columns, c.epochs, c.batch)
			s := bench(t, folder).run(text)
			require.Equal(t, "succeeded", s.Status, "%+v", s.Error)
			got := s.Metrics["test"][c.metric]
			t.Logf("%s: %v", c.name, s.Metrics["test"])
			require.GreaterOrEqual(t, got, c.least)
			require.LessOrEqual(t, got, c.most)
			if c.linear == 0 {
				return
			}
			text, _, _ = strings.Cut(strings.Replace(text, "type: mlp, hidden: [64, 32]", "type: linear", 1), "epochs:")
			s = bench(t, folder).run(text)
			require.Equal(t, "succeeded", s.Status, "%+v", s.Error)
			t.Logf("%s: linear: %v", c.name, s.Metrics["test"])
			require.InEpsilon(t, c.linear, s.Metrics["test"][c.metric], 0.01)
		})
	}
}
