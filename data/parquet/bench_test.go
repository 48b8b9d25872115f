package parquet_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
)

// benchTable is eight row groups of the columns that tables of events have: an
// id, a user, a rising time, money, a kind, three measurements, one with nulls.
func benchTable() (schema data.Schema, batches []*data.Batch, size int64) {
	schema = data.Schema{Fields: []data.Field{
		{Name: "id", Type: data.Int64}, {Name: "user_id", Type: data.Int64}, {Name: "ts", Type: data.Timestamp, UTC: true},
		{Name: "amount", Type: data.Float64}, {Name: "category", Type: data.String}, {Name: "f1", Type: data.Float64},
		{Name: "f2", Type: data.Float64}, {Name: "f3", Type: data.Float64}, {Name: "nf", Type: data.Float64, Nullable: true},
	}}
	const rows = 131_072
	for g := range 8 {
		b := &data.Batch{Schema: schema, NumRows: rows}
		for _, f := range schema.Fields {
			b.Columns = append(b.Columns, data.NewColumn(f.Type, rows))
		}
		c := b.Columns
		c[8].Valid = data.NewBitmap(rows)
		codes := map[string]uint32{}
		for i := range rows {
			n := uint64(g*rows + i)
			u := func(k uint64) float64 { return float64(mix(k, n)>>11) / (1 << 53) }
			c[0].Int64s[i] = int64(n)
			c[1].Int64s[i] = int64(mix(1, n) % 100_000)
			c[2].Int64s[i] = 1_700_000_000_000_000 + int64(n*250_000+mix(2, n)%200_000)
			c[3].Float64s[i] = math.Round(100*math.Exp(3+u(3)*u(4)*4)) / 100
			name := fmt.Sprint("category_", min(mix(5, n)%20, mix(6, n)%20))
			if _, ok := codes[name]; !ok {
				codes[name] = uint32(len(c[4].Dict))
				c[4].Dict = append(c[4].Dict, name)
			}
			c[4].Codes[i] = codes[name]
			c[5].Float64s[i] = u(7)
			c[6].Float64s[i] = u(8) + u(9) + u(10)
			c[7].Float64s[i] = float64(mix(11, n) % 24)
			if v := mix(12, n); v%10 != 0 {
				c[8].Float64s[i] = float64(v%100_000) / 1000
				c[8].Valid.Set(i)
			}
		}
		batches = append(batches, b)
		size += rows * (8*8 + 4)
	}
	return schema, batches, size
}

// report adds rows a second.
func report(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkWrite(b *testing.B) {
	schema, batches, size := benchTable()
	for _, codec := range []parquet.Codec{parquet.Zstd, parquet.Snappy, parquet.None} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("codec=%v/workers=%d", codec, workers), func(b *testing.B) {
				cfg := parquet.DefaultWriterConfig()
				cfg.Codec, cfg.Workers = codec, workers
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					w, err := parquet.NewWriter(io.Discard, schema, cfg)
					if err != nil {
						b.Fatal(err)
					}
					for _, batch := range batches {
						if err := w.Write(batch); err != nil {
							b.Fatal(err)
						}
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
				report(b, 8*131_072)
			})
		}
	}
}

// Each column by itself, to see which one costs what.
func BenchmarkWriteColumn(b *testing.B) {
	schema, batches, _ := benchTable()
	for k, f := range schema.Fields {
		b.Run(f.Name, func(b *testing.B) {
			one := data.Schema{Fields: []data.Field{f}}
			size := 0
			for b.Loop() {
				size = len(write(b, parquet.DefaultWriterConfig(), one, &data.Batch{Schema: one, NumRows: batches[0].NumRows, Columns: batches[0].Columns[k : k+1]}))
			}
			b.ReportMetric(float64(size)/float64(batches[0].NumRows), "bytes/row")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batches[0].NumRows), "ns/row")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	schema, batches, size := benchTable()
	for _, codec := range []parquet.Codec{parquet.Zstd, parquet.Snappy, parquet.None} {
		cfg := parquet.DefaultWriterConfig()
		cfg.Codec = codec
		file := write(b, cfg, schema, batches...)
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("codec=%v/workers=%d", codec, workers), func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				f := open(b, file)
				for b.Loop() {
					readWith(b, f, workers, nil)
				}
				report(b, 8*131_072)
			})
		}
	}
}

func BenchmarkReadColumn(b *testing.B) {
	schema, batches, _ := benchTable()
	f := open(b, write(b, parquet.DefaultWriterConfig(), schema, batches...))
	for _, field := range schema.Fields {
		b.Run(field.Name, func(b *testing.B) {
			for b.Loop() {
				readWith(b, f, 1, []string{field.Name})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*8*131_072), "ns/row")
		})
	}
}

// readWith reads all row groups, each by one of so many workers.
func readWith(b *testing.B, f *parquet.File, workers int, columns []string) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				g := int(next.Add(1)) - 1
				if g >= f.NumRowGroups() {
					return
				}
				if _, err := f.ReadRowGroup(context.Background(), g, columns); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
