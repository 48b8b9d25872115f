package csv_test

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-ml/troupe/data/csv"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/rng"
)

var benchColumns = []string{"int64", "int64", "timestamp", "float64", "string", "string", "float64", "float64", "int64", "date", "bool", "string"}

// benchText is a table of events of twelve columns.
func benchText(rows int) []byte {
	var b []byte
	random := rng.New(1, "bench")
	kinds := []string{"groceries", "restaurants", "fuel", "transport", "online retail", "pharmacy", "clothing"}
	places := []string{"DE", "FR", "GB", "ES", "IT", "PL", "NL"}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rows {
		at = at.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(random.IntN(100_000)), 10)
		b = append(b, ',')
		b = at.AppendFormat(b, "2006-01-02 15:04:05.000")
		b = append(b, ',')
		b = strconv.AppendFloat(b, float64(random.IntN(1e6))/100, 'f', 2, 64)
		b = append(b, ',')
		b = append(b, kinds[random.IntN(len(kinds))]...)
		b = append(b, ',')
		b = append(b, places[random.IntN(len(places))]...)
		b = append(b, ',')
		b = strconv.AppendFloat(b, random.NormFloat64(), 'f', 6, 64)
		b = append(b, ',')
		if random.IntN(10) > 0 {
			b = strconv.AppendFloat(b, random.Float64(), 'g', -1, 64)
		}
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(random.IntN(100)), 10)
		b = append(b, ',')
		b = at.AppendFormat(b, "2006-01-02")
		b = append(b, ',')
		b = strconv.AppendBool(b, random.IntN(2) == 0)
		b = append(b, ',')
		b = append(b, "user "...)
		b = strconv.AppendInt(b, int64(random.IntN(50_000)), 10)
		b = append(b, '\n')
	}
	return b
}

func BenchmarkParse(b *testing.B) {
	const rows = 500_000
	in := benchText(rows)
	columns := typed(b, benchColumns...)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	p := csv.NewParser(csv.ParserConfig{Comma: ',', Columns: columns, Nulls: text.NewNulls(text.DefaultNulls()), MaxRecord: 1 << 20})
	for b.Loop() {
		cfg := text.DefaultSplitterConfig()
		cfg.Comma = ','
		s := text.NewSplitter(bytes.NewReader(in), cfg)
		n := 0
		for {
			c, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			batch, rejects := p.Parse(c)
			s.Reuse(c)
			if len(rejects) > 0 {
				b.Fatal(rejects[0])
			}
			n += batch.NumRows
		}
		if n != rows {
			b.Fatal(n)
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
