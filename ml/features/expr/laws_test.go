package expr_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/expr"
	"github.com/troupe-ml/troupe/ml/features/featurestest"
)

func lawSchema() data.Schema {
	f := func(name string, t data.Type) data.Field {
		return data.Field{Name: name, Type: t, Nullable: true, UTC: t == data.Timestamp}
	}
	return data.Schema{Fields: []data.Field{
		f("b", data.Bool), f("c", data.Bool), f("i", data.Int32), f("l", data.Int64), f("d", data.Float64), f("e", data.Float64), f("g", data.Float32),
		f("s", data.String), f("t", data.String), f("ts", data.Timestamp), f("at", data.Timestamp), f("day", data.Date),
	}}
}

// drawText writes an expression of a kind.
func drawText(t *rapid.T, k data.Type, deep int) string {
	pick := func(forms ...string) string { return rapid.SampledFrom(forms).Draw(t, "form") }
	if deep <= 0 {
		forms := map[data.Type][]string{
			data.Bool: {"b", "c", "true", "false"}, data.Int64: {"i", "l", "l", "0", "3", "-7", "9223372036854775807"},
			data.Float64: {"d", "e", "d", "g", "0.0", "2.5", "-1e300"}, data.String: {"s", "t", "'a'", "'É'", "''", "' 12'"},
			data.Timestamp: {"ts", "at"}, data.Date: {"day"},
		}
		return pick(forms[k]...)
	}
	x := pick("T", "I", "F", "S", "M", "D")
	own := map[data.Type]string{data.Bool: "T", data.Int64: "I", data.Float64: "F", data.String: "S", data.Timestamp: "M", data.Date: "D"}[k]
	general := []string{"if(T, " + own + ", " + own + ")", "(T ? " + own + " : " + own + ")", "coalesce(" + own + ", " + own + ")", "if(T, " + own + ", null)", ""}
	forms := map[data.Type][]string{
		data.Bool: {"(T and T)", "(T or T)", "(not T)", "(T = T)", "(T != T)", "(I < I)", "(F >= F)", "(I <= F)", "(F > I)", "(F = F)", "(I != I)", "(S < S)", "(S = S)", "(S != 'a')", "(S >= 'a')",
			"(M < M)", "(M >= '2024-01-01')", "(D = D)", "(I in (1, 2, 3))", "(F not in (0, 2.5))", "(S in ('a', 'b', ''))", "(I between -2 and I)", "(F not between F and 3)", "(S between 'a' and S)",
			"(" + x + " is null)", "(" + x + " is not null)", "is_nan(F)", "contains(S, 'a')", "starts_with(S, S)", "ends_with(S, 'g')", "is_weekend(M)", "is_weekend(D)", "bool(F)", "bool(I)"},
		data.Int64: {"(I + I)", "(I - I)", "(I * I)", "(I // I)", "(I % I)", "-I", "abs(I)", "sign(I)", "min(I, I)", "max(I, I, 3)", "clamp(I, -1, 5)", "length(S)", "int(F)", "int(T)", "int(S)",
			"year(M)", "quarter(M)", "month(D)", "day(M)", "hour(M)", "minute(M)", "second(M)", "day_of_week(M)", "day_of_week(D)", "day_of_year(D)", "(D - D)"},
		data.Float64: {"(F + F)", "(F - I)", "(I * F)", "(F / F)", "(I / I)", "(F // F)", "(F % F)", "-F", "abs(F)", "sign(F)", "floor(F)", "ceil(F)", "round(F)", "trunc(F)", "sqrt(F)", "exp(F)", "log(F)", "log1p(F)", "log2(I)",
			"log10(F)", "sin(F)", "(F ** I)", "(F ** 2)", "min(F, F)", "max(F, F)", "clamp(F, F, F)", "float(I)", "float(T)", "(M - M)", "epoch(M)", "epoch(D)"},
		data.String:    {"(S + S)", "(S + '/' + S)", "lower(S)", "upper(S)", "trim(S)", "substr(S, 2)", "substr(S, -2, 1)", "substr(S, I, 2)", "replace(S, 'a', 'bb')", "replace(S, S, S)", "string(I)", "string(T)"},
		data.Timestamp: {"(M + I)", "(M - F)", "(F + M)"},
		data.Date:      {"date(M)", "(D + I)", "(D - I)"},
	}[k]
	form := pick(append(forms, general[:4]...)...)
	if rapid.IntRange(0, 3).Draw(t, "plain") == 0 {
		return drawText(t, k, 0)
	}
	var out strings.Builder
	quoted := false
	for _, r := range form {
		kinds := map[rune]data.Type{'T': data.Bool, 'I': data.Int64, 'F': data.Float64, 'S': data.String, 'M': data.Timestamp, 'D': data.Date}
		if r == '\'' {
			quoted = !quoted
		}
		if inner, ok := kinds[r]; ok && !quoted {
			out.WriteString(drawText(t, inner, deep-1))
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}

// spreadRows makes a table of many rows of those of a small one, so that blocks
// are crossed.
func spreadRows(t *rapid.T, b *data.Batch) *data.Batch {
	n := rapid.SampledFrom([]int{1, 7, 64, 100, 1023, 1024, 1025, 2500}).Draw(t, "rows")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	rows := make([]int, n)
	for i := range rows {
		rows[i] = r.IntN(b.NumRows)
	}
	return featurestest.Rows(b, rows, rapid.Bool().Draw(t, "fresh"))
}

func valueAt(c *data.Column, i int) any {
	switch {
	case !c.Valid.Get(i):
		return nil
	case c.Type == data.Bool:
		return c.Bools[i]
	case c.Type == data.Int32:
		return int64(c.Int32s[i])
	case c.Type == data.Int64:
		return c.Int64s[i]
	case c.Type == data.Float32:
		return float64(c.Float32s[i])
	case c.Type == data.Float64:
		return c.Float64s[i]
	case c.Type == data.String:
		return c.Dict[c.Codes[i]]
	case c.Type == data.Timestamp:
		return expr.Stamp(c.Int64s[i])
	default:
		return expr.Day(c.Int32s[i])
	}
}

func showVal(v any) string {
	if f, ok := v.(float64); ok && f == f {
		return fmt.Sprintf("%v %x", f, math.Float64bits(f))
	}
	return fmt.Sprintf("%T %v", v, v)
}

func evalBatch(p *expr.Program, b *data.Batch) *data.Column {
	var in []*data.Column
	for _, name := range p.Columns() {
		in = append(in, b.Column(name))
	}
	return p.Eval(in, b.NumRows)
}

func TestBlocksAgreeWithADumbInterpreter(t *testing.T) {
	t.Parallel()
	schema := lawSchema()
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.SampledFrom([]data.Type{data.Bool, data.Int64, data.Float64, data.String, data.Timestamp, data.Date}).Draw(t, "kind")
		text := drawText(t, k, rapid.IntRange(1, 4).Draw(t, "deep"))
		p, err := expr.Compile(text, schema)
		if err != nil {
			var wrong *data.SyntaxError
			require.True(t, errors.As(err, &wrong), "%s: %v", text, err)
			for _, allowed := range []string{"reads no column", "always null", "null is always null", "never true", "are not columns", "same for all rows"} {
				if strings.Contains(wrong.Message, allowed) {
					return
				}
			}
			t.Fatalf("%s: %v", text, err)
		}
		require.Equal(t, k, p.Field().Type, text)
		b := spreadRows(t, featurestest.Tables(schema, 30).Draw(t, "table"))
		before := featurestest.Texts(b)
		got := evalBatch(p, b)
		require.Equal(t, before, featurestest.Texts(b), "the input is not changed")
		interpret := expr.Interpret(text)
		row := map[string]any{}
		for i := range b.NumRows {
			for _, name := range p.Columns() {
				row[name] = valueAt(b.Column(name), i)
			}
			require.Equal(t, showVal(interpret(row)), showVal(valueAt(got, i)), "%s of %v", text, row)
		}
		checkColumn(t, p, got, b.NumRows)

		cut := rapid.IntRange(0, b.NumRows).Draw(t, "cut")
		var parts []string
		for _, ends := range [][2]int{{0, cut}, {cut, b.NumRows}} {
			var rows []int
			for i := ends[0]; i < ends[1]; i++ {
				rows = append(rows, i)
			}
			part := featurestest.Rows(b, rows, rapid.Bool().Draw(t, "fresh"))
			out := evalBatch(p, part)
			for i := range rows {
				parts = append(parts, showVal(valueAt(out, i)))
			}
		}
		for i, s := range parts {
			require.Equal(t, showVal(valueAt(got, i)), s, "in parts")
		}
	})
}

// Branches that cost much are computed for the rows that take them, also within
// each other.
func TestCostlyBranchesAreThoseOfTheirRows(t *testing.T) {
	t.Parallel()
	b := benchBatch()
	rows := make([]int, 3000)
	for i := range rows {
		rows[i] = i
	}
	b = featurestest.Rows(b, rows, false)
	valid := data.NewBitmap(len(rows))
	for i := range rows {
		if i%7 != 0 {
			valid.Set(i)
		}
	}
	b.Columns[0].Valid = valid
	for _, text := range []string{
		"if(amount > 300, if(count > 15, log(amount), exp(count)), sqrt(amount))",
		"if(count > 15, if(amount > 200, if(country = 'DE', log(amount), log2(amount)), log10(amount + count)), null)",
		"coalesce(amount, if(count < 3, log(count + 1), sin(count)))",
		"if(count = 3, lower(country + string(count)), upper(if(amount < 50, lower(country), string(count))))",
		"if(count = 3, day(ts) > 20 and contains(lower(country), 'e'), length(string(count)) = 1)",
		"if(count = 3, int(string(count)), if(count = 5, length(string(int(amount))), 7))",
		"if(amount is null, ts + exp(count), ts)",
		"if(count = 3, log(amount + 1) + log(amount + 1), log(amount + 1) - exp(count)) * log(amount + 1) + if(count = 5, exp(count) + exp(count), exp(count))",
		"log(amount + 1) * if(count = 3, log(amount + 1) + exp(count), 0) + exp(count) * if(count = 5, exp(count) + sqrt(log(amount + 1)), exp(count))",
		"if(count = 3, upper(country) + lower(country), if(count < 9, lower(country), upper(country)) + if(count = 3, 'x', lower(country)))",
	} {
		p, err := expr.Compile(text, b.Schema)
		require.NoError(t, err)
		got, interpret := evalBatch(p, b), expr.Interpret(text)
		for i := range b.NumRows {
			row := map[string]any{}
			for _, name := range p.Columns() {
				row[name] = valueAt(b.Column(name), i)
			}
			require.Equal(t, showVal(interpret(row)), showVal(valueAt(got, i)), "%s of row %d", text, i)
		}
	}
}

func TestTheFirstNullMayComeLate(t *testing.T) {
	t.Parallel()
	c := data.NewColumn(data.Int64, 3000)
	c.Int64s[2500] = -1
	schema := data.Schema{Fields: []data.Field{{Name: "n", Type: data.Int64}}}
	for _, text := range []string{"1 / (n + 1)", "if(n < 0, null, n)", "if(n < 0, null, true)", "if(n < 0, null, 'text')"} {
		p, err := expr.Compile(text, schema)
		require.NoError(t, err)
		out := p.Eval([]*data.Column{c}, 3000)
		for i := range 3000 {
			require.Equal(t, i != 2500, out.Valid.Get(i), "%s of row %d", text, i)
		}
	}
}

// checkColumn makes sure of what all columns promise: nulls hold zeros, bits
// beyond the last row are clear, texts are distinct and in order of appearance.
func checkColumn(t *rapid.T, p *expr.Program, c *data.Column, numRows int) {
	require.Equal(t, p.Field().Type, c.Type)
	require.Equal(t, numRows, c.Len())
	if c.Valid != nil {
		require.Len(t, c.Valid, (numRows+63)/64)
		require.Positive(t, c.NumNulls())
		for i := numRows; i < len(c.Valid)*64; i++ {
			require.False(t, c.Valid.Get(i))
		}
		for i := range numRows {
			if !c.Valid.Get(i) {
				zero := data.NewColumn(c.Type, numRows)
				zero.Valid = nil
				d := *c
				d.Valid, d.Dict, zero.Dict = nil, []string{""}, []string{""}
				require.Equal(t, showVal(valueAt(zero, i)), showVal(valueAt(&d, i)))
			}
		}
	}
	next := uint32(0)
	for i, code := range c.Codes {
		if !c.Valid.Get(i) {
			continue
		}
		require.LessOrEqual(t, code, next, "in order of first appearance")
		next = max(next, code+1)
	}
	require.EqualValues(t, next, len(c.Dict))
	distinct := map[string]bool{}
	for _, s := range c.Dict {
		distinct[s] = true
	}
	require.Len(t, distinct, len(c.Dict))
}

func TestConditionsMeanWhatWhereMeans(t *testing.T) {
	t.Parallel()
	schema := lawSchema()
	rapid.Check(t, func(t *rapid.T) {
		leaf := rapid.Custom(func(t *rapid.T) string {
			op := rapid.SampledFrom([]string{"=", "==", "!=", "<>", "<", "<=", ">", ">="}).Draw(t, "op")
			number := rapid.SampledFrom([]string{"0", "1", "-2", "2.5", "1e300", "0.1", "9223372036854775807", "9.3e18", "-9223372036854775808", "3.0"})
			literals := map[string]*rapid.Generator[string]{
				"i": number, "l": number, "d": number, "g": number, "s": rapid.SampledFrom([]string{"''", "'a'", "'é'"}),
				"ts": rapid.SampledFrom([]string{"'1970-01-01'", "'2001-01-01 12:00:00Z'"}), "day": rapid.SampledFrom([]string{"'1970-01-02'"}),
			}
			name := rapid.SampledFrom([]string{"i", "l", "d", "g", "s", "ts", "day"}).Draw(t, "column")
			v, w := literals[name].Draw(t, "v"), literals[name].Draw(t, "w")
			return rapid.SampledFrom([]string{
				name + " " + op + " " + v, v + " " + op + " " + name, name + " in (" + v + ", " + w + ")", name + " not in (" + v + ")", name + " between " + v + " and " + w,
				name + " not between " + v + " and " + w, name + " is null", name + " is not null", "b", "not b", "b = true", "b != false", "b in (true)",
			}).Draw(t, "leaf")
		})
		text := leaf.Draw(t, "first")
		for range rapid.IntRange(0, 3).Draw(t, "more") {
			text = rapid.SampledFrom([]string{text + " and ", text + " or ", "not (" + text + ") or ", "not " + text + " and "}).Draw(t, "join") + leaf.Draw(t, "next")
		}
		where, err := data.ParsePredicate(text)
		require.NoError(t, err)
		filter, err := where.Bind(schema)
		require.NoError(t, err)
		for _, text := range []string{text, where.String()} {
			p, err := expr.Compile(text, schema)
			require.NoError(t, err, text)
			b := spreadRows(t, featurestest.Tables(schema, 20).Draw(t, "table"))
			want, err := filter.Eval(b)
			require.NoError(t, err)
			got := evalBatch(p, b)
			for i := range b.NumRows {
				require.Equal(t, want.Get(i), got.Valid.Get(i) && got.Bools[i], "%s of row %d", text, i)
			}
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"d / (l + 1)", "if(d > 100 and s = 'DE', log(d), 0)", "hour(ts) >= 22 or hour(ts) < 6", "s in ['a', 'b'] ? i : -9223372036854775808", `"b" is not null`,
		"coalesce(d, e, 1.5e3) ** -2", "replace(lower(s + t), 'a', substr(t, -1, 2))", "matches(s, '^(a|b)*$')", "ts - '2024-01-01' // 86400", "d not between 1 and i % 3",
		"not not b", "((((i))))", "date '2024-01-01' - day", "string(float(int(bool(b))))", "clamp(min(i, l), 1, 2)",
	} {
		f.Add(s)
	}
	schema := lawSchema()
	b := featurestest.Tables(schema, 70).Example(3)
	f.Fuzz(func(t *testing.T, text string) {
		names, wrong := expr.Columns(text)
		p, err := expr.Compile(text, schema)
		if wrong != nil {
			require.Error(t, err)
		}
		if err != nil {
			require.Equal(t, fault.Invalid, fault.Of(err))
			var syntax *data.SyntaxError
			require.True(t, errors.As(err, &syntax))
			require.LessOrEqual(t, syntax.Offset, len(text))
			return
		}
		require.Equal(t, names, p.Columns())
		whole := evalBatch(p, b)
		for i := range b.NumRows {
			alone := evalBatch(p, featurestest.Rows(b, []int{i}, true))
			require.Equal(t, showVal(valueAt(whole, i)), showVal(valueAt(alone, 0)), "row %d", i)
		}
	})
}
