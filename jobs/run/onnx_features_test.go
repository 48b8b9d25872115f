package run

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
)

// edges is a table of what is easily got wrong: nulls, NaN, both zeros, bounds,
// empty and rare texts, times before 1970 and in other zones. Later blocks have
// categories that earlier ones have not.
func edges(block uint64, rows int) *data.Batch {
	g := rng.New(block, "edges")
	b := &data.Batch{NumRows: rows, Schema: data.Schema{Fields: []data.Field{
		{Name: "amount", Type: data.Float64, Nullable: true}, {Name: "rate", Type: data.Float32, Nullable: true},
		{Name: "n", Type: data.Int64, Nullable: true}, {Name: "m", Type: data.Int32}, {Name: "flag", Type: data.Bool, Nullable: true},
		{Name: "city", Type: data.String, Nullable: true}, {Name: "kind", Type: data.String},
		{Name: "ts", Type: data.Timestamp, UTC: true, Nullable: true}, {Name: "at", Type: data.Timestamp}, {Name: "born", Type: data.Date, Nullable: true},
		{Name: "y", Type: data.Float64},
	}}}
	for _, f := range b.Schema.Fields {
		c := data.NewColumn(f.Type, rows)
		b.Columns = append(b.Columns, c)
		if f.Nullable {
			c.Valid = data.NewBitmap(rows)
		}
	}
	b.Columns[5].Dict = []string{"Oslo", "Bonn", "Rome", "höhe \"x\"", "Bern"}
	b.Columns[6].Dict = []string{"food", "tools", "", "toys", "new"}
	for i := range rows {
		edge(g, b.Columns, i, int(min(block, 1)))
	}
	return b
}

// edge fills a row; later is 1 of later blocks.
func edge(g *rand.Rand, c []*data.Column, i, later int) {
	c[0].Float64s[i] = []float64{0, math.Copysign(0, -1), -2.5, 0.5, 1.5, 2, 7, 1000, -1, math.NaN(), 1e-20, 12.25, math.Inf(1), math.Inf(-1)}[g.IntN(12+2*later)]
	c[1].Float32s[i] = []float32{0.1, 0.3, -1.5, 2}[g.IntN(4)]
	c[2].Int64s[i] = []int64{0, 1, 2, 3, -1, -2, -3, 7, -7, 1 << 53, -1 << 53, 11}[g.IntN(11+later)]
	c[3].Int32s[i] = []int32{0, 1, -1, 2, 5, math.MaxInt32, math.MinInt32}[g.IntN(7)]
	c[4].Bools[i] = g.IntN(3) == 0
	c[5].Codes[i], c[6].Codes[i] = uint32(g.IntN(4+later)), uint32(g.IntN(4+later))
	c[7].Int64s[i] = []int64{g.Int64N(1<<51) - 1<<49, 1711846799999999, 1711846800000000, -1, 0, -62135596800000001}[max(0, g.IntN(12)-6)]
	c[8].Int64s[i] = g.Int64N(1<<52) - 1<<51
	c[9].Int32s[i] = []int32{int32(g.IntN(60_000) - 20_000), int32(g.IntN(4)) - 2}[max(0, g.IntN(3)-1)]
	c[10].Float64s[i] = float64(g.IntN(8)) + float64(c[6].Codes[i])
	for _, column := range c {
		switch {
		case column.Valid == nil:
		case g.IntN(6) > 0:
			column.Valid.Set(i)
		default:
			column.Zero(i)
		}
	}
}

// onnxAlone are features of which each is tried by itself: the first column of the
// model is it.
var onnxAlone = []string{
	"op: target_encode, of: city", "op: target_encode, of: kind, smoothing: 3", "op: target_encode, of: n", "op: target_encode, of: flag",
	"op: target_encode, of: amount", "op: target_encode, of: rate", "op: target_encode, of: born",
	"op: one_hot, of: amount", "op: one_hot, of: rate, other: false", "op: ordinal_encode, of: amount", "op: frequency_encode, of: rate",
	"op: one_hot, of: born, max_categories: 4", "op: frequency_encode, of: born", "op: ordinal_encode, of: rate, order: [2, 0.1]",
	"op: impute, of: city, strategy: mode, indicator: true", "op: impute, of: city, strategy: constant, value: none", "op: impute, of: city, strategy: constant, value: ''",
	"op: datetime, of: ts, parts: [year, quarter, month, day, day_of_year, day_of_week, is_weekend, hour, minute, second]",
	"op: datetime, of: at, parts: [year, day_of_year, second], cyclical: [quarter, month, day, day_of_year, day_of_week, hour, minute, second]",
	"op: datetime, of: born, parts: [year, quarter, month, day, day_of_year, day_of_week, is_weekend], cyclical: [month]",
	"op: datetime, of: ts, time_zone: Europe/Berlin, parts: [day, hour, is_weekend], cyclical: [hour]",
	`op: datetime, of: ts, time_zone: "-03:30", parts: [day, hour, minute]`,
}

// onnxExpressions are tried by themselves, too.
var onnxExpressions = []string{
	"n + 9223372036854775805 is null", "n + -9223372036854775806 is null", "n - 9223372036854775806 is null", "n - -9223372036854775806 is null",
	"-9223372036854775808 - n is null", "n * 4611686018427387904 is null", "n * -4611686018427387904 is null", "n * 3074457345618258603 is null", "n * n is null", "m * 4294967298 is null",
	"n * -1", "m * n", "(n - 9223372036854775807) * m is null", "(-9223372036854775807 - 1) * m is null",
	"n // m", "n % m", "m // n", "m % n", "n // -3", "n % -3", "1 % n", "1 // n", "1 % m", "n // 0 is null", "(-9223372036854775807 - 1 + n - n) // -1 is null", "(-9223372036854775807 - 1 + n - n) % -1",
	"-n", "-(n - 9223372036854775807 - 1) is null", "abs(n)", "abs(n - 9223372036854775807 - 1) is null", "abs(amount)", "sign(n)", "sign(amount)", "-amount",
	"amount + n", "amount - rate", "amount * 3", "amount / n", "n / m", "amount / (n - 1)", "amount // 2", "amount // -2.5", "amount % 2", "amount % -0.7", "amount // n", "amount % n",
	"amount = 2", "amount != 2", "amount > n", "n >= amount", "n < 0.5", "n = 2.0", "2 = n", "n != 1", "rate = 0.1", "rate < 0.3", "n in (1, 2, 5.5, 7.0)", "n in (1.5)", "amount in (2, 0.5)", "rate in (0.1, 2)", "rate not in (0.3)", "m between -1 and 2",
	"amount between rate and n", "n > 9007199254740992.0", "n = amount", "m < amount * 1.5", "3.5 > n", "n + 9007199254740992 > 9007199254740993.0", "n * 1024 < rate * 1e19", "n + 9223372036854775790 < m * 0.0 + 9223372036854775808.0", "n + 9007199254740995 < m * 0.0 + 9007199254740996.0", "n + 9007199254740993 > m * 0.0 + 9007199254740992.0",
	"flag", "not flag", "flag and n > 0", "flag or n > 0", "flag = true", "flag != (n > 0)", "flag in (true)", "flag is null", "flag is not null", "amount is null", "city is null", "kind is null", "m is null", "m is not null", "born is null", "at is null",
	"city = 'Oslo'", "city != 'Oslo'", "'Bonn' = city", "city in ('Oslo', 'Rome')", "kind = ''", "kind not in ('', 'toys')", "coalesce(city, 'none')", "coalesce(city, '')", "if(flag, city, 'none')", "if(flag, kind, 'none')", "if(flag, kind, null)", "if(n > 0, 'up', null)", "string(flag)", "string(city)",
	"if(flag, amount, n)", "if(n > 1, n, m)", "flag ? 1 : 2", "if(flag, 1, null)", "if(flag, born, date(ts))  = '2000-01-01'", "coalesce(amount, n, 5)", "coalesce(n, m)", "coalesce(m, n)", "coalesce(3, n)", "coalesce(flag, n > 0)", "coalesce(false, flag)",
	"min(n, m)", "max(n, m)", "min(amount, n)", "max(amount, rate, m)", "clamp(n, -2, 2)", "clamp(amount, rate, 2)", "clamp(m, n, 3)", "max(amount / n, 1)", "max(exp(abs(m)) - exp(abs(m)), 1)",
	"floor(amount)", "ceil(amount)", "round(amount)", "trunc(amount)", "round(amount * 0.9999999999999999)", "round(n)", "round(0.49999999999999994 + m * 0)",
	"sqrt(amount)", "exp(amount)", "log(amount)", "log1p(amount)", "log1p(amount * 1e-18) * 1e18", "log2(amount)", "log10(amount)", "floor(log10(amount))", "floor(log2(abs(m) + 1))", "log10(amount) = 3", "sin(amount)", "cos(amount)", "tan(amount)", "cos(m)", "sin(m)",
	"amount ** 2", "amount ** 0.5", "amount ** -1", "2 ** amount", "n ** m", "m ** n", "n ** 3", "(n / 2) ** n",
	"int(amount)", "int(flag)", "int(amount * 1e30)", "int(1 / n)", "float(n)", "float(flag)", "bool(amount)", "bool(n)", "bool(flag)", "int(exp(n)) is null", "int(exp(abs(m))) is null",
	"is_nan(exp(abs(m)) - exp(abs(m)))", "is_nan(n / m)",
	"year(ts)", "quarter(ts)", "month(born)", "day(at)", "day_of_year(ts)", "day_of_week(at)", "is_weekend(born)", "hour(ts)", "minute(ts)", "second(at)", "epoch(ts)", "epoch(born)", "day_of_week(date(ts))",
	"ts - timestamp '2024-02-29 13:30:00'", "date(ts) - born", "born - '1990-06-15'", "epoch(ts + 1.5)", "epoch(ts - amount)", "epoch(ts + 1e13) is null", "epoch(ts + 1e300) is null", "epoch(born + n)", "epoch(born - 3)", "(born + m) is null", "(born - m) is null", "epoch(max(ts, ts + 5))",
	"ts > '2024-03-31T01:00:00Z'", "at >= '2000-01-01'", "born < '2001-02-03'", "born = date(ts)", "born in ('1970-01-01', '1969-12-31')", "ts between '2020-01-01' and '2024-03-31T00:59:59.999999Z'", "date('2024-05-01') > born",
	"if(amount > 100 and city = 'Oslo', log10(amount - 50), 0)", "hour(ts) >= 22 or hour(ts) < 6", "(amount + 1) * (amount + 1) / (amount + 1)",
}

// Features of the edges are in ONNX Runtime what they are here, one by one.
func TestFeaturesAtTheEdgesAreTheSameInONNXRuntime(t *testing.T) {
	t.Parallel()
	dir := onnxRuntime(t)
	folder := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "in"), 0o755))
	writeTable(t, filepath.Join(folder, "in", "part.parquet"), []*data.Batch{edges(0, 700)})
	w := bench(t, folder)
	rows := edges(1, 400)
	const head = "kind: train\nname: m\ninput: in\ntarget: y\ntask: regression\nepochs: 1\nbatch_size: 64\nmodel: {type: mlp, hidden: []}\n"
	var cases []onnxCase
	add := func(name, feature string) {
		t.Log(name)
		c := newONNXCase(t, w, w.succeed(head+feature).Digest, rows, false)
		c.name = name
		cases = append(cases, c)
	}
	for _, f := range onnxAlone {
		add(f, "features:\n  - {name: f, "+f+"}\n")
	}
	for _, e := range onnxExpressions {
		add(e, fmt.Sprintf("features:\n  - {name: f, op: expr, expr: %q}\n", e))
	}
	add("features of features", `columns: {exclude: [day]}
features:
  - {name: whole, op: expr, expr: "n + 9007199254740993"}
  - {name: same, op: expr, expr: "whole - 9007199254740993"}
  - {name: kinds, op: one_hot, of: whole}
  - {name: part, op: datetime, of: ts, parts: [hour]}
  - {name: late, op: expr, expr: "part_hour > 12 ? 'late' : kind"}
  - {name: how, op: target_encode, of: late}
  - {name: day, op: expr, expr: "born + 1"}
  - {name: week, op: datetime, of: day, parts: [day_of_week]}
  - {name: days, op: frequency_encode, of: day}
  - {name: yes, op: expr, expr: "n > 1"}
  - {name: times, op: frequency_encode, of: yes}
  - {name: full, op: impute, of: late, strategy: mode}
  - {name: half, op: impute, of: yes, strategy: constant, value: 0.5}
`)
	checkONNX(t, dir, cases, rows.NumRows)
}
