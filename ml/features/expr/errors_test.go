package expr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// mistakes are texts, the character that an error points to, and what it says.
var mistakes = []struct {
	text   string
	offset int
	say    string
}{
	{"", 0, "expected a column"},
	{"1 + 2", 0, "reads no column"},
	{"i +", 3, "found the end"},
	{"i + (j", 6, "expected ), found the end"},
	{"ü'", 1, "closing ' is missing"},
	{"i $ j", 2, `unexpected "$"`},
	{"i j", 2, "expected an operator or the end, found j"},
	{"x y(i)", 2, "expected an operator"},
	{"(x)(y)", 3, "called by a plain name"},
	{"i < j < 3", 6, "write a < b and b < c"},
	{"contry = 'DE'", 0, `no column "contry"`},
	{"bigg + 1", 0, `did you mean "big"?`},
	{`s = "DE"`, 4, "texts stand in single quotes: 'DE'"},
	{"i + lenght(s)", 4, `no function "lenght": did you mean "length"?`},
	{"i + abs(i, j)", 4, "abs takes one argument, found 2: write abs(a)"},
	{"substr(s)", 0, "substr takes 2 to 3 arguments, found 1"},
	{"i + s", 2, "+ takes two numbers or two texts, found a whole number + a text: float(...) reads numbers from texts"},
	{"i * s", 4, "* takes a number, found a text"},
	{"i + yes", 4, "int(...) makes 0 and 1 of truths"},
	{"i and yes", 0, "and takes a truth, found a whole number: compare it with a number, such as > 0"},
	{"i = s", 4, "= takes values of one type, found a text beside a whole number"},
	{"i = null", 4, "write is null"},
	{"yes < no", 0, "truths have no order"},
	{"if(i, 1, 2)", 3, "if takes a truth"},
	{"if(yes, i, s)", 11, "if takes values of one type"},
	{"ts = at", 5, "one is an instant, the other a wall time"},
	{"ts = day", 5, "date(...) takes the date of a timestamp"},
	{"ts > 'yesterday'", 5, "is no time"},
	{"ts > '2024-05-01T00:00:00Z'", 5, "write it without"},
	{"day > '2024-05-01 12:00'", 6, "is no date"},
	{"hour(day)", 5, "hour takes a timestamp, found a date: a date has no time of day"},
	{"day + 1.5", 6, "moves by whole days"},
	{"ts + ts", 3, "moves a timestamp by seconds"},
	{"1 - ts", 4, "takes values of one type"},
	{"i in (1, j)", 9, "write a = b"},
	{"i in 1", 5, "expected ( and a list"},
	{"i in ()", 6, "found )"},
	{"i in ('a')", 6, "in takes values of one type"},
	{"s like 'a%'", 2, "use contains"},
	{"matches(s, n)", 11, "the same for all rows"},
	{"matches(s, '(a')", 11, "missing closing )"},
	{"matches(s, '" + strings.Repeat("a", 1001) + "')", 11, "at most 1000"},
	{"matches(s, '((a{1000}){1000}){1000}')", 11, "patterns are those of RE2"},
	{"i * 1e999", 4, "no number of 64 bits"},
	{"i + 12ab", 4, "no number of 64 bits"},
	{"null", 0, "reads no column"},
	{"if(yes, null, null)", 0, "always null"},
	{"null is null and yes", 0, "null is always null"},
	{"not", 3, "found the end"},
	{"i ? 1", 5, "expected :"},
	{"int(ts)", 4, "epoch(...) gives the seconds"},
	{"is + 1", 0, `write "is"`},
	{strings.Repeat("(", 1<<13) + "i" + strings.Repeat(")", 8000), 200, "nested more than 200 deep"},
	{strings.Repeat("-", 1000) + "i", 200, "nested more than 200 deep"},
	{strings.Repeat("not ", 1000) + "yes", 800, "nested more than 200 deep"},
	{strings.Repeat("2**", 1000) + "i", 600, "nested more than 200 deep"},
	{strings.Repeat("yes ? 1 : ", 1000) + "i", 2000, "nested more than 200 deep"},
	{strings.Repeat("abs(", 1000) + "i", 800, "nested more than 200 deep"},
	{strings.Repeat("(", 1<<20), 0, "at most 16384"},
}

func TestAnErrorPointsIntoTheText(t *testing.T) {
	t.Parallel()
	schema := table(t).Schema
	for _, c := range mistakes {
		_, err := expr.Compile(c.text, schema)
		shown := c.text[:min(len(c.text), 60)]
		require.Error(t, err, shown)
		require.Equal(t, fault.Invalid, fault.Of(err))
		var wrong *data.SyntaxError
		require.True(t, errors.As(err, &wrong), shown)
		require.ErrorContains(t, err, c.say, shown)
		require.InDelta(t, c.offset, wrong.Offset, 3*float64(len(c.text)/1000), "%s: %v", shown, err)
		lines := strings.Split(err.Error(), "\n")
		require.Len(t, lines, 3, err.Error())
		require.LessOrEqual(t, len(lines[1]), 200)
		require.Equal(t, "^", strings.TrimSpace(lines[2]))
	}
}

func TestTheCaretStandsUnderTheFault(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 500)
	for _, c := range []struct{ text, want string }{
		{"x +\n\ti + wrng * 2", "   i + wrng * 2\n       ^"},
		{"s = '" + long + "' or wrng or s = '" + long + "'", "' or wrng or s"},
	} {
		_, err := expr.Compile(c.text, table(t).Schema)
		require.ErrorContains(t, err, c.want)
		lines := strings.Split(err.Error(), "\n")
		at := len([]rune(lines[2])) - 1
		require.Equal(t, "wrng", string([]rune(lines[1])[at:at+4]))
	}
}

func TestALongChainIsNoDeepNesting(t *testing.T) {
	t.Parallel()
	b := table(t)
	p, err := expr.Compile("i"+strings.Repeat(" + j", 4000), b.Schema)
	require.NoError(t, err)
	require.Equal(t, "-7993", show(p.Field(), p.Eval(columnsOf(b, p), 1), 0))
}

func TestTextsThatGrowWithoutEndAreNull(t *testing.T) {
	t.Parallel()
	b := table(t)
	text := "s"
	for range 100 {
		text = "replace(" + text + ", 'e', 'eeeeeeeeeeeeeeee')"
	}
	p, err := expr.Compile(text, b.Schema)
	require.NoError(t, err)
	require.Equal(t, "null string", show(p.Field(), p.Eval(columnsOf(b, p), 1), 0))
}

func TestColumnsAreReadWithoutASchema(t *testing.T) {
	t.Parallel()
	names, err := expr.Columns(`if("unit price" > a.b and year(ts) = 2024, a.b, year)`)
	require.NoError(t, err)
	require.Equal(t, []string{"unit price", "a.b", "ts", "year"}, names)
	err = expr.ColumnError("a + b * b", "b", "it is bad", "")
	require.ErrorContains(t, err, "character 5: it is bad\n  a + b * b\n      ^")
}

func TestNumbersMayBeOfAnotherTypeThanWasCompiled(t *testing.T) {
	t.Parallel()
	f := func(name string, typ data.Type) data.Field { return data.Field{Name: name, Type: typ, Nullable: true} }
	schema := data.Schema{Fields: []data.Field{f("i", data.Int64), f("x", data.Float64), f("b", data.Bool)}}
	numbers := &data.Column{Type: data.Float64, Float64s: []float64{1, 0, 2.5, 1e300}}
	truths := &data.Column{Type: data.Bool, Bools: []bool{true, false, true, false}}
	for _, c := range []struct {
		text string
		in   *data.Column
		want []string
	}{
		{"i + 1", numbers, []string{"2", "1", "null int64", "null int64"}},
		{"i + 1", truths, []string{"2", "1", "2", "1"}},
		{"not b", numbers, []string{"false", "true", "null bool", "null bool"}},
		{"x + 1", truths, []string{"2.0", "1.0", "2.0", "1.0"}},
		{"x + 1", &data.Column{Type: data.Int32, Int32s: []int32{1, 2, 3, 4}}, []string{"2.0", "3.0", "4.0", "5.0"}},
	} {
		p, err := expr.Compile(c.text, schema)
		require.NoError(t, err)
		out := p.Eval([]*data.Column{c.in}, 4)
		for i, want := range c.want {
			require.Equal(t, want, show(p.Field(), out, i), "%s of row %d", c.text, i)
		}
	}
}
