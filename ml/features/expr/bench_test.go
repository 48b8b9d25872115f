package expr_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

const (
	benchRows    = 1 << 16 // of a batch, as tasks read them
	benchBatches = 153     // ten million rows
)

func benchBatch() *data.Batch {
	r := rng.New(1, "expr benchmark")
	amount, count := data.NewColumn(data.Float64, benchRows), data.NewColumn(data.Int64, benchRows)
	country, ts := data.NewColumn(data.String, benchRows), data.NewColumn(data.Timestamp, benchRows)
	country.Dict = []string{"DE", "FR", "US", "GB", "NL", "AT", "CH", "PL"}
	for i := range benchRows {
		amount.Float64s[i] = float64(r.IntN(40_000)) / 100
		count.Int64s[i] = int64(r.IntN(20))
		country.Codes[i] = uint32(r.IntN(8))
		ts.Int64s[i] = 1_700_000_000_000_000 + int64(r.IntN(30*86400))*1_000_000
	}
	b := &data.Batch{Columns: []*data.Column{amount, count, country, ts}, NumRows: benchRows}
	for i, name := range []string{"amount", "count", "country", "ts"} {
		b.Schema.Fields = append(b.Schema.Fields, data.Field{Name: name, Type: b.Columns[i].Type, Nullable: true})
	}
	return b
}

// byHand are the loops that one would write for the expressions, into a new
// column as Eval does.
var byHand = map[string]func(b *data.Batch) *data.Column{
	"amount / (count + 1)": func(b *data.Batch) *data.Column {
		out := data.NewColumn(data.Float64, b.NumRows)
		amount, count := b.Columns[0].Float64s, b.Columns[1].Int64s
		for i := range out.Float64s {
			if d := count[i] + 1; d != 0 {
				out.Float64s[i] = amount[i] / float64(d)
			}
		}
		return out
	},
	"if(amount > 100 and country = 'DE', log(amount), 0)": func(b *data.Batch) *data.Column {
		out := data.NewColumn(data.Float64, b.NumRows)
		amount, codes := b.Columns[0].Float64s, b.Columns[2].Codes
		de := uint32(0)
		for i := range out.Float64s {
			if amount[i] > 100 && codes[i] == de {
				out.Float64s[i] = math.Log(amount[i])
			}
		}
		return out
	},
	"hour(ts) >= 22 or hour(ts) < 6": func(b *data.Batch) *data.Column {
		out := data.NewColumn(data.Bool, b.NumRows)
		ts := b.Columns[3].Int64s
		for i := range out.Bools {
			in := ts[i] % 86_400_000_000
			if in < 0 {
				in += 86_400_000_000
			}
			hour := in / 3_600_000_000
			out.Bools[i] = hour >= 22 || hour < 6
		}
		return out
	},
}

func BenchmarkTenMillionRows(b *testing.B) {
	batch := benchBatch()
	for text, loop := range byHand {
		p, err := expr.Compile(text, batch.Schema)
		require.NoError(b, err)
		in := columnsOf(batch, p)
		perRow := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows/benchBatches, "ns/row")
		}
		b.Run(text+"/expr", func(b *testing.B) {
			for b.Loop() {
				for range benchBatches {
					p.Eval(in, benchRows)
				}
			}
			perRow(b)
		})
		b.Run(text+"/by hand", func(b *testing.B) {
			for b.Loop() {
				for range benchBatches {
					loop(batch)
				}
			}
			perRow(b)
		})
	}
}

func BenchmarkOneRow(b *testing.B) {
	batch := benchBatch()
	p, err := expr.Compile("if(amount > 100 and country = 'DE', log(amount), 0)", batch.Schema)
	require.NoError(b, err)
	in := columnsOf(batch, p)
	for i, c := range in {
		one := *c
		if c.Type == data.Float64 {
			one.Float64s = c.Float64s[:1]
		} else {
			one.Codes = c.Codes[:1]
		}
		in[i] = &one
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Eval(in, 1)
	}
}

func TestTheLoopsByHandMeanTheSame(t *testing.T) {
	t.Parallel()
	batch := benchBatch()
	for text, loop := range byHand {
		p, err := expr.Compile(text, batch.Schema)
		require.NoError(t, err)
		got, want := p.Eval(columnsOf(batch, p), batch.NumRows), loop(batch)
		require.Nil(t, got.Valid)
		require.Equal(t, want.Bools, got.Bools)
		require.InDeltaSlice(t, append(want.Float64s, 0), append(got.Float64s, 0), 1e-14)
	}
}
