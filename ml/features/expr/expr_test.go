package expr_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// row is one row of every type, and its nulls.
func table(t testing.TB) *data.Batch {
	t.Helper()
	var s data.Schema
	var columns []*data.Column
	add := func(name string, typ data.Type, c *data.Column) {
		c.Type = typ
		if name[len(name)-1] == '0' {
			c.Valid = data.NewBitmap(1)
		}
		s.Fields = append(s.Fields, data.Field{Name: name, Type: typ, Nullable: true, UTC: name == "at"})
		columns = append(columns, c)
	}
	const ts = 1_709_213_696_123_456 // 2024-02-29 13:34:56.123456, a Thursday
	add("yes", data.Bool, &data.Column{Bools: []bool{true}})
	add("no", data.Bool, &data.Column{Bools: []bool{false}})
	add("b0", data.Bool, &data.Column{Bools: []bool{false}})
	add("i", data.Int32, &data.Column{Int32s: []int32{7}})
	add("j", data.Int64, &data.Column{Int64s: []int64{-2}})
	add("big", data.Int64, &data.Column{Int64s: []int64{math.MaxInt64}})
	add("least", data.Int64, &data.Column{Int64s: []int64{math.MinInt64}})
	add("zero", data.Int64, &data.Column{Int64s: []int64{0}})
	add("i0", data.Int64, &data.Column{Int64s: []int64{0}})
	add("f", data.Float32, &data.Column{Float32s: []float32{0.1}})
	add("x", data.Float64, &data.Column{Float64s: []float64{2.5}})
	add("y", data.Float64, &data.Column{Float64s: []float64{-4}})
	add("nan", data.Float64, &data.Column{Float64s: []float64{math.NaN()}})
	add("inf", data.Float64, &data.Column{Float64s: []float64{math.Inf(1)}})
	add("x0", data.Float64, &data.Column{Float64s: []float64{0}})
	add("s", data.String, &data.Column{Codes: []uint32{1}, Dict: []string{"other", "Grün Weg"}})
	add("n", data.String, &data.Column{Codes: []uint32{0}, Dict: []string{" 12 "}})
	add("s0", data.String, &data.Column{Codes: []uint32{9}})
	add("ts", data.Timestamp, &data.Column{Int64s: []int64{ts}})
	add("at", data.Timestamp, &data.Column{Int64s: []int64{ts}})
	add("ts0", data.Timestamp, &data.Column{Int64s: []int64{0}})
	add("day", data.Date, &data.Column{Int32s: []int32{-1}})
	b, err := data.NewBatch(s, columns)
	require.NoError(t, err)
	return b
}

func columnsOf(b *data.Batch, p *expr.Program) []*data.Column {
	var in []*data.Column
	for _, name := range p.Columns() {
		in = append(in, b.Column(name))
	}
	return in
}

// show writes a value and its type.
func show(f data.Field, c *data.Column, i int) string {
	if !c.Valid.Get(i) {
		return "null " + f.Type.String()
	}
	switch c.Type {
	case data.Bool:
		return fmt.Sprint(c.Bools[i])
	case data.Int64:
		return fmt.Sprint(c.Int64s[i])
	case data.Float64:
		s := fmt.Sprintf("%v", c.Float64s[i])
		if !strings.ContainsAny(s, ".eIN") {
			s += ".0"
		}
		return s
	case data.String:
		return "'" + c.Dict[c.Codes[i]] + "'"
	case data.Timestamp:
		return fmt.Sprintf("micros %d", c.Int64s[i])
	default:
		return fmt.Sprintf("days %d", c.Int32s[i])
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	b := table(t)
	for _, c := range []struct{ text, want string }{
		{"i + j * 2", "3"}, {"(i + j) * 2", "10"}, {"i / 2", "3.5"}, {"i // 2", "3"}, {"j // 4", "-1"}, {"j % 3", "1"}, {"i % -4", "-1"},
		{"x + i", "9.5"}, {"y % 3", "2.0"}, {"x // -1", "-3.0"}, {"-i ** 2", "-49.0"}, {"2 ** -1 + i", "7.5"}, {"2 ** 3 ** 2 + i", "519.0"},
		{"big + 1", "null int64"}, {"big * 2", "null int64"}, {"2 * big", "null int64"}, {"j * 4611686018427387904 + i", "-9223372036854775801"}, {"-least", "null int64"}, {"abs(least)", "null int64"}, {"least // -1", "null int64"},
		{"least - 1", "null int64"}, {"big + j", "9223372036854775805"}, {"least % -1", "0"}, {"big * 2.0", "1.8446744073709552e+19"},
		{"-9223372036854775808 - i", "null int64"}, {"least + 9223372036854775807", "-1"},
		{"i / zero", "null float64"}, {"x / 0", "null float64"}, {"i // 0", "null int64"}, {"x % 0", "null float64"}, {"zero / zero", "null float64"},
		{"i0 + 1", "null int64"}, {"x0 * 2", "null float64"}, {"nan + 1", "NaN"}, {"inf - inf", "NaN"}, {"inf + 1", "+Inf"},
		{"x > 2", "true"}, {"2 < x and i == 7", "true"}, {"i <> 7", "false"}, {"nan > 1", "null bool"}, {"nan = nan", "null bool"}, {"nan != 1", "null bool"},
		{"x0 = 1", "null bool"}, {"x0 = 1 and no", "false"}, {"x0 = 1 or yes", "true"}, {"not b0", "null bool"}, {"b0 and yes", "null bool"},
		{"not yes or no = false", "true"}, {"yes != no", "true"}, {"f = 0.1", "true"}, {"f in (0.1, 3)", "true"}, {"f + 0 = 0.1", "false"},
		{"big = 9223372036854775807.0", "false"}, {"big < 9223372036854775808", "true"}, {"i < 7.5", "true"}, {"7.0 = i", "true"}, {"big > x", "true"},
		{"i in (1, 7)", "true"}, {"i in [7.5, 8]", "false"}, {"i not in (7)", "false"}, {"x in (2.5)", "true"}, {"s in ('Grün Weg', 'b')", "true"}, {"s0 in ('a')", "null bool"}, {"nan in (1)", "null bool"},
		{"yes in (true)", "true"}, {"b0 in (true)", "null bool"}, {"i between 7 and 8", "true"}, {"x not between 2 and 2.4", "true"}, {"s between 'G' and 'H'", "true"},
		{"x0 is null", "true"}, {"nan is null", "true"}, {"b0 is null", "true"}, {"s0 is not null", "false"}, {"is_null(i)", "false"}, {"is_nan(nan)", "true"}, {"is_nan(x0)", "null bool"}, {"is_nan(i)", "false"},
		{"if(x > 2, i, j)", "7"}, {"if(b0, i, j)", "-2"}, {"if(nan > 1, 1, i)", "7"}, {"x > 9 ? 1 : x > 2 ? i : 3", "7"}, {"if(yes, i, 0.5)", "7.0"}, {"if(no, s, 'other')", "'other'"}, {"if(yes, null, i)", "null int64"},
		{"if(yes, ts, '2024-01-01')", "micros 1709213696123456"}, {"if(x0 is null, yes, no)", "true"},
		{"coalesce(x0, i0, 3) + i", "10.0"}, {"coalesce(nan, x)", "2.5"}, {"coalesce(s0, s)", "'Grün Weg'"}, {"coalesce(i0, null)", "null int64"}, {"coalesce(b0, yes)", "true"}, {"coalesce(x0, nan)", "NaN"},
		{"min(i, j, 3)", "-2"}, {"max(x, i)", "7.0"}, {"max(nan, i)", "NaN"}, {"max(nan, inf)", "NaN"}, {"min(-inf, nan)", "NaN"}, {"min(x0, 1)", "null float64"}, {"clamp(i, 0, 5)", "5"}, {"clamp(x, i, 9)", "7.0"}, {"max(ts, '2030-01-01')", "micros 1893456000000000"},
		{"abs(j)", "2"}, {"abs(y)", "4.0"}, {"floor(x)", "2.0"}, {"ceil(x)", "3.0"}, {"round(x)", "3.0"}, {"round(-x)", "-3.0"}, {"trunc(-x)", "-2.0"}, {"floor(i)", "7"}, {"sign(j)", "-1"}, {"sign(y)", "-1.0"}, {"sign(nan)", "NaN"},
		{"sqrt(-y)", "2.0"}, {"sqrt(y)", "null float64"}, {"exp(zero)", "1.0"}, {"exp(1000 + i)", "+Inf"}, {"log(y)", "null float64"}, {"log(zero)", "null float64"}, {"log(exp(x))", "2.5"}, {"log1p(zero)", "0.0"}, {"log1p(-1 + zero)", "null float64"},
		{"log2(8 + zero)", "3.0"}, {"log10(1000 + zero)", "3.0"}, {"pow(x, 2)", "6.25"}, {"i ** 3", "343.0"}, {"y ** 0.5", "null float64"}, {"zero ** -1", "null float64"}, {"y ** 3", "-64.0"},
		{"sin(zero)", "0.0"}, {"cos(zero)", "1.0"}, {"tan(zero)", "0.0"}, {"sin(inf)", "NaN"},
		{"lower(s)", "'grün weg'"}, {"upper(s)", "'GRÜN WEG'"}, {"trim(n)", "'12'"}, {"length(s)", "8"}, {"contains(s, 'ün')", "true"}, {"starts_with(s, 'W')", "false"}, {"ends_with(s, 'Weg')", "true"},
		{"substr(s, 3, 2)", "'ün'"}, {"substr(s, -3)", "'Weg'"}, {"substr(s, 99)", "''"}, {"substr(s, -99, 2)", "'Gr'"}, {"substr(s, zero)", "null string"}, {"replace(s, 'Weg', 'way')", "'Grün way'"}, {"replace(s, '', 'x')", "'Grün Weg'"},
		{"matches(s, '^G.*g$')", "true"}, {"s + '-' + n", "'Grün Weg- 12 '"}, {"s + s0", "null string"}, {"s = 'Grün Weg'", "true"}, {"s < 'H'", "true"}, {"s > n", "true"}, {"lower(s + n)", "'grün weg 12 '"},
		{"int(n) + 1", "13"}, {"int(s)", "null int64"}, {"float(n)", "12.0"}, {"int(-x)", "-2"}, {"int(inf)", "null int64"}, {"int(yes) + int(no)", "1"}, {"int(b0)", "null int64"}, {"float(yes)", "1.0"}, {"bool(i)", "true"}, {"bool(nan)", "null bool"}, {"bool(s)", "null bool"},
		{"string(x)", "'2.5'"}, {"string(i)", "'7'"}, {"string(yes)", "'true'"}, {"string(nan)", "null string"}, {"string(inf)", "'inf'"}, {"string(at)", "'2024-02-29T13:34:56.123456Z'"}, {"string(ts)", "'2024-02-29T13:34:56.123456'"}, {"string(day)", "'1969-12-31'"}, {"string(b0)", "null string"},
		{"year(ts)", "2024"}, {"quarter(ts)", "1"}, {"month(ts)", "2"}, {"day(ts)", "29"}, {"hour(ts)", "13"}, {"minute(ts)", "34"}, {"second(ts)", "56"}, {"day_of_week(ts)", "3"}, {"day_of_year(ts)", "60"}, {"is_weekend(ts)", "false"},
		{"year(day)", "1969"}, {"day(day)", "31"}, {"day_of_week(day)", "2"}, {"year(ts0)", "null int64"}, {"date(ts)", "days 19782"}, {"date(ts) - day", "19783"}, {"day + 2", "days 1"}, {"day - 1", "days -2"}, {"day + big", "null date"}, {"date(string(day))", "days -1"}, {"date(s)", "null date"},
		{"ts + 1.5", "micros 1709213697623456"}, {"60 + ts", "micros 1709213756123456"}, {"ts - 60", "micros 1709213636123456"}, {"ts - '2024-02-29 13:34:56'", "0.123456"}, {"ts - ts0", "null float64"}, {"ts + inf", "null timestamp"}, {"ts + 9.223e12", "null timestamp"}, {"epoch(ts)", "1.709213696123456e+09"}, {"epoch(day)", "-86400.0"},
		{"ts >= '2024-02-29' and ts < timestamp '2024-03-01'", "true"}, {"day = date '1969-12-31'", "true"}, {"at in ('2024-02-29T14:34:56.123456+01:00')", "true"}, {"hour(ts) between 9 and 17", "true"},
		{`"i" + i`, "14"}, {"IF(yes, i, 0)", "7"}, {"+i", "7"}, {"- -i", "7"}, {"x", "2.5"}, {"s", "'Grün Weg'"}, {"f", "0.10000000149011612"}, {"day", "days -1"},
	} {
		p, err := expr.Compile(c.text, b.Schema)
		if !assertNoError(t, err, c.text) {
			continue
		}
		out := p.Eval(columnsOf(b, p), 1)
		if got := show(p.Field(), out, 0); got != c.want {
			t.Errorf("%s is %s, expected %s", c.text, got, c.want)
		}
	}
}

func assertNoError(t *testing.T, err error, text string) bool {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return err == nil
}

func TestAProgramServesManyAtOnce(t *testing.T) {
	t.Parallel()
	b := benchBatch()
	p, err := expr.Compile("if(count = 3, upper(country) + string(count), lower(country) + string(count))", b.Schema)
	require.NoError(t, err)
	want := p.Eval(columnsOf(b, p), b.NumRows)
	got := make([]*data.Column, 4)
	var group sync.WaitGroup
	for i := range got {
		group.Go(func() { got[i] = p.Eval(columnsOf(b, p), b.NumRows) })
	}
	group.Wait()
	for _, c := range got {
		require.Equal(t, want, c)
	}
}
