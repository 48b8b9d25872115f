package data_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

func TestConditionsAreReadAsSQLReadsThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, canonical string }{
		{"amount > 100", "amount > 100"},
		{"100<amount", "amount > 100"},
		{"a=1 and b==2 or c<>3 and not d!=4", "a = 1 and b = 2 or c != 3 and not d != 4"},
		{"a = 1 AND (b = 2 OR c = 3)", "a = 1 and (b = 2 or c = 3)"},
		{"x IN (1, -2.5, +3)", "x in (1, -2.5, 3)"},
		{"x not in ('it''s', 'b')", "not x in ('it''s', 'b')"},
		{"x is null or y Is Not Null", "x is null or y is not null"},
		{"x between -1 and 1e3 and y = 2", "(x >= -1 and x <= 1000.0) and y = 2"},
		{"x not between 1 and 2", "not (x >= 1 and x <= 2)"},
		{"ts >= timestamp '2024-05-01 12:00:00' and day < DATE '2024-06-01'", "ts >= '2024-05-01 12:00:00' and day < '2024-06-01'"},
		{"timestamp > '2024-05-01'", "timestamp > '2024-05-01'"},
		{"not is_test", "not is_test = true"},
		{"(is_test)", "is_test = true"},
		{"true", "true"},
		{"false or a.b = 1", "false or a.b = 1"},
		{`"unit price" >= .5 and "in" = 'ü'`, `"unit price" >= 0.5 and "in" = 'ü'`},
		{"x > 9223372036854775807 or x < 9223372036854775808", "x > 9223372036854775807 or x < 9.223372036854775808e+18"},
	} {
		p, err := data.ParsePredicate(c.text)
		require.NoError(t, err, c.text)
		again, err := data.ParsePredicate(p.String())
		require.NoError(t, err, p.String())
		require.Equal(t, p.String(), again.String(), c.text)
		if c.canonical[len(c.canonical)-1] != '8' { // the spelling of 2^63 is strconv's
			require.Equal(t, c.canonical, p.String(), c.text)
		}
	}
}

func TestAConditionThatIsNoneSaysWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		offset int
		say    string
	}{
		{"", 0, "expected a column, found the end"},
		{"a >", 3, "found the end"},
		{"a = b", 4, "texts stand in single quotes"},
		{`a = "b"`, 4, "texts stand in single quotes"},
		{"a = null", 4, "write is null"},
		{"ü = 'x' and 5", 12, "5 is no condition"},
		{"a like 'x%'", 2, "patterns are not supported"},
		{"a in 1", 5, "expected ("},
		{"a in ()", 6, "expected a number"},
		{"a = 'x", 4, "closing ' is missing"},
		{"a = 1 b = 2", 6, "expected and, or, or the end, found b"},
		{"(a = 1", 6, "expected )"},
		{"a is 1", 5, "expected null"},
		{"a between 1", 11, "two bounds"},
		{"and = 1", 0, `write "and"`},
		{"a = 1e999", 4, "no number of 64 bits"},
		{"a = 12ab", 4, "no number of 64 bits"},
		{"a ! 1", 2, `unexpected "!"`},
		{"a = 1; drop", 5, `unexpected ";"`},
		{"a + 1 > 2", 2, "expected a comparison"},
		{strings.Repeat("(", 1000) + "a" + strings.Repeat(")", 1000), 201, "nested"},
		{"a = '" + strings.Repeat("x", 1<<17) + "'", 0, "at most 65536"},
	} {
		_, err := data.ParsePredicate(c.text)
		require.Error(t, err, c.text)
		require.Equal(t, fault.Invalid, fault.Of(err))
		var wrong *data.SyntaxError
		require.True(t, errors.As(err, &wrong))
		require.Contains(t, err.Error(), c.say)
		require.Equal(t, c.offset, wrong.Offset, "%.100s: %v", c.text, err)
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := drawPredicate(t, 3).String()
		p, err := data.ParsePredicate(text)
		if err != nil && (strings.Contains(text, "()") || strings.Contains(text, "Inf")) {
			return // an empty list and infinity have no spelling in SQL
		}
		require.NoError(t, err, text)
		require.Equal(t, text, p.String())
	})
}

// FuzzParsePredicate looks for texts that make the parser panic, or whose
// canonical form means something else.
func FuzzParsePredicate(f *testing.F) {
	for _, s := range []string{"a > 1", "not (a in ('x', 2) or b is null)", `"a b" between -1.5e3 and date '2024-01-01'`, "a = 'it''s' and true"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := data.ParsePredicate(text)
		if err != nil {
			return
		}
		again, err := data.ParsePredicate(p.String())
		require.NoError(t, err, "%q became %q", text, p)
		require.Equal(t, p.String(), again.String())
	})
}
