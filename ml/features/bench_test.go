package features_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features"
)

const benchRows = 1 << 16

// transactions is a batch of the columns that the playbook's features read.
func transactions(b *testing.B) *data.Batch {
	r := rng.New(1, "features benchmark")
	column := func(t data.Type) *data.Column { return data.NewColumn(t, benchRows) }
	amount, total, count := column(data.Float64), column(data.Float64), column(data.Int64)
	category, user, ts, some := column(data.String), column(data.Int64), column(data.Timestamp), column(data.Float64)
	some.Valid = data.NewBitmap(benchRows)
	for i := range 20 {
		category.Dict = append(category.Dict, fmt.Sprintf("category %d", i))
	}
	for i := range benchRows {
		amount.Float64s[i] = float64(r.IntN(200_000)) / 100
		total.Float64s[i] = amount.Float64s[i] * 7
		count.Int64s[i] = int64(r.IntN(50))
		category.Codes[i] = uint32(r.IntN(20))
		user.Int64s[i] = int64(r.IntN(100_000))
		ts.Int64s[i] = 1_700_000_000_000_000 + int64(i)*3_700_000
		if r.IntN(10) > 0 {
			some.Valid.Set(i)
			some.Float64s[i] = r.NormFloat64()
		}
	}
	return batch(b, named{"amount", amount}, named{"total", total}, named{"count", count}, named{"category", category},
		named{"user", user}, named{"ts", ts}, named{"some", some})
}

func playbook() []features.Step {
	return []features.Step{
		step("amount_scaled", "standard_scale", "amount"),
		step("some_scaled", "standard_scale", "some"),
		step("count_scaled", "standard_scale", "count"),
		step("amount_log", "log1p", "amount"),
		with(step("amount_bucket", "bin", "amount"), "edges", []any{0, 100, 500, 1000, inf}, "labels", []any{"low", "medium", "high", "very_high"}),
		step("per_tx", "ratio", "total", "count"),
		step("cat", "one_hot", "category"),
		step("cat_freq", "frequency_encode", "category"),
		step("user_freq", "frequency_encode", "user"),
		with(step("ts", "datetime", "ts"), "parts", []any{"hour", "day_of_week", "month", "is_weekend"}, "cyclical", []any{"hour"}),
		step("product", "interact", "amount", "some"),
		step("robust", "robust_scale", "some"),
	}
}

// perRow reports nanoseconds a row, which is also hundredths of a second for 10
// million rows.
func perRow(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}

func BenchmarkObserve(b *testing.B) {
	table := transactions(b)
	for _, s := range playbook() {
		p, err := features.Compile(features.Config{Steps: []features.Step{s}}, table.Schema)
		require.NoError(b, err)
		if p.NumPasses() == 0 {
			continue
		}
		b.Run(s.Name, func(b *testing.B) {
			b.ReportAllocs()
			state := p.NewState(0)
			for b.Loop() {
				require.NoError(b, state.Observe(table, nil))
			}
			perRow(b)
		})
	}
}

func BenchmarkApply(b *testing.B) {
	table := transactions(b)
	for _, s := range playbook() {
		p := fit(b, features.Config{Steps: []features.Step{s}}, table)
		b.Run(s.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := p.Apply(table)
				require.NoError(b, err)
			}
			perRow(b)
		})
	}
	p := fit(b, features.Config{Steps: playbook()}, table)
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := p.Apply(table)
			require.NoError(b, err)
		}
		perRow(b)
	})
}

// One row at a time, as serving has it: all features, then the encoder.
func BenchmarkOneRow(b *testing.B) {
	table := transactions(b)
	p := fit(b, features.Config{Steps: playbook()}, table)
	out, err := p.Apply(table)
	require.NoError(b, err)
	e := encoderOf(b, out, features.DefaultEncoderConfig())
	row := &data.Batch{Schema: table.Schema, NumRows: 1}
	for _, c := range table.Columns {
		one := data.NewColumn(c.Type, 1)
		one.Dict = c.Dict[:min(1, len(c.Dict))]
		row.Columns = append(row.Columns, one)
	}
	x := make([]float32, e.NumFeatures())
	b.ReportAllocs()
	for b.Loop() {
		out, err := p.Apply(row)
		require.NoError(b, err)
		require.NoError(b, e.Encode(out, x))
	}
}

func BenchmarkEncoder(b *testing.B) {
	table := transactions(b)
	out, err := fit(b, features.Config{Steps: playbook()}, table).Apply(table)
	require.NoError(b, err)
	e := encoderOf(b, out, features.DefaultEncoderConfig())
	b.Run("observe", func(b *testing.B) {
		s := e.NewState()
		for b.Loop() {
			require.NoError(b, s.Observe(out, nil))
		}
		perRow(b)
	})
	b.Run(fmt.Sprintf("encode %d features", e.NumFeatures()), func(b *testing.B) {
		x := make([]float32, benchRows*e.NumFeatures())
		for b.Loop() {
			require.NoError(b, e.Encode(out, x))
		}
		perRow(b)
	})
}

// The mean of a target in 20 categories and in 100,000 users: learned, and
// applied to rows that were learned from and to others.
func BenchmarkTargetEncode(b *testing.B) {
	table := transactions(b)
	r := rng.New(2, "targets")
	truth, amount := data.NewColumn(data.Bool, benchRows), data.NewColumn(data.Float64, benchRows)
	for i := range benchRows {
		truth.Bools[i], amount.Float64s[i] = r.IntN(30) == 0, r.ExpFloat64()*100
	}
	for _, target := range []named{{"truth", truth}, {"amount paid", amount}} {
		with := batch(b, append(columnsOf(table), target)...)
		for _, of := range []string{"category", "user"} {
			cfg := features.Config{Target: target.name, Steps: []features.Step{step("e", "target_encode", of)}}
			benchEncode(b, target.name+" by "+of, cfg, with)
		}
	}
	b.Run("hash user", func(b *testing.B) {
		p := fit(b, features.Config{Steps: []features.Step{step("h", "hash_encode", "user")}}, table)
		for b.Loop() {
			_, err := p.Apply(table)
			require.NoError(b, err)
		}
		perRow(b)
	})
}

func columnsOf(table *data.Batch) (out []named) {
	for i, c := range table.Columns {
		out = append(out, named{table.Schema.Fields[i].Name, c})
	}
	return out
}

func benchEncode(b *testing.B, name string, cfg features.Config, table *data.Batch) {
	rows := numbered(table)
	p, err := features.Compile(cfg, table.Schema)
	require.NoError(b, err)
	b.Run(name+"/observe", func(b *testing.B) {
		state := p.NewState(0)
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, state.ObserveRows(table, rows))
		}
		perRow(b)
	})
	fitted := fitTable(b, cfg, table, rows)
	b.Run(name+"/out of fold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := fitted.ApplyOutOfFold(table, rows)
			require.NoError(b, err)
		}
		perRow(b)
	})
	b.Run(name+"/apply", func(b *testing.B) {
		for b.Loop() {
			_, err := fitted.Apply(table)
			require.NoError(b, err)
		}
		perRow(b)
	})
}
