package lint_test

import (
	"fmt"
	"math"

	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/lint"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// onBase is an example over the base table and no more.
func onBase(name string, s func() *lint.Subject, want ...string) example {
	return example{name: name, want: want, make: func(t *table) *lint.Subject {
		t.base()
		return s()
	}}
}

// beside is an example over the base table and one column beside it, which a
// model reads as it is.
func beside(name string, column func(t *table, y []int64), want ...string) example {
	return example{name: name, want: want, make: func(t *table) *lint.Subject {
		column(t, t.base())
		return raw("x", "city", "c")
	}}
}

// leaks are jobs with something to be found.
func leaks() []example {
	var all []example
	for _, of := range [][]example{leaksOfSpecs(), leaksOfSplits(), leaksOfColumns(), leaksOfOrder(), leaksOfNulls(), leaksOfNumbers(), useless()} {
		all = append(all, of...)
	}
	return all
}

func leaksOfSpecs() []example {
	lagged := step("l", "lag", "y")
	return []example{
		onBase("the target scaled", func() *lint.Subject { return over(step("f", "log1p", "y")) }, "TL001 y"),
		onBase("the target in an expression", func() *lint.Subject { return with(expression("f", "x * (1 + y)")) }, "TL001 y"),
		onBase("the target two steps away", func() *lint.Subject { return with(step("r", "ratio", "y", "x"), step("f", "log1p", "r")) }, "TL001 y"),
		onBase("a window with the target of the row", func() *lint.Subject { return with(window("f", "rolling_mean", "y", true)) }, "TL001 y"),
		onBase("the change of the target", func() *lint.Subject { return with(step("f", "diff", "y")) }, "TL001 y"),
		onBase("the last target, split by time", func() *lint.Subject { return with(lagged) }, "TL002 y"),
		onBase("the last targets, split at random", func() *lint.Subject { return random.of(with(window("f", "rolling_sum", "y", false))) }, "TL002 y", "TL005", "TL006 user"),
		onBase("scaled on all rows", func() *lint.Subject { return over(step("f", "standard_scale", "x")) }, "TL003"),
		onBase("encoded by the target on all rows", func() *lint.Subject { return over(step("f", "target_encode", "city")) }, "TL003"),
		onBase("encoded on all rows", func() *lint.Subject {
			return over(step("f", "one_hot", "city"), step("g", "log1p", "x"))
		}, "TL003"),
		{name: "windows in the order of another column", want: []string{"TL004 day"}, make: func(t *table) *lint.Subject {
			t.base()
			t.time("day", func(i int) int { return 1_700_000_000 + 60*(i^1) })
			return split{"time", "day"}.of(with(step("l", "lag", "x")))
		}},
		onBase("windows and a split at random", func() *lint.Subject { return random.of(with(step("l", "lag", "x"))) }, "TL005", "TL006 user"),
		{name: "windows and a hash of another column", want: []string{"TL005", "TL006 user"}, make: func(t *table) *lint.Subject {
			t.base()
			t.int("order", func(i int) int { return i / 2 })
			return hashed("order").of(with(step("l", "lag", "x")))
		}},
	}
}

func leaksOfSplits() []example {
	copies := func(name string, s split) example {
		return example{name: name, want: []string{"TL007"}, make: func(t *table) *lint.Subject {
			x, y := t.float("x", func(int) float64 { return t.NormFloat64() }), 0
			copy(x[t.n/2:], x[:t.n/2])
			t.int("id", func(i int) int { return i })
			t.int("y", func(i int) int {
				if y = 0; x[i] > 0.3 || int(math.Abs(x[i])*1e6)%5 == 0 {
					y = 1
				}
				return y
			})
			return s.of(raw("x"))
		}}
	}
	return []example{
		onBase("an entity in all parts", func() *lint.Subject { return random.of(with(step("f", "log1p", "x"))) }, "TL006 user"),
		onBase("an entity in all parts, over the output of a features job", func() *lint.Subject { return random.of(over(step("f", "log1p", "x"))) }, "TL006 user"),
		{name: "an entity of two columns in all parts", want: []string{"TL006 user, city"}, make: func(t *table) *lint.Subject {
			t.base()
			s := random.of(with(step("f", "log1p", "x")))
			s.Entity = features.Entity{"user", "city"}
			return s
		}},
		{name: "an entity in all parts of a hash of the order", want: []string{"TL006 user"}, make: func(t *table) *lint.Subject {
			t.base()
			t.int("order", func(i int) int { return i / 3 })
			return hashed("order").of(with(step("f", "log1p", "x")))
		}},
		{name: "an entity in all parts of a column", want: []string{"TL006 user"}, make: func(t *table) *lint.Subject {
			t.base()
			t.text("part", func(int) string { return []string{"train", "train", "test"}[t.IntN(3)] })
			s := split{"column", "part"}.of(with(step("f", "log1p", "x")))
			s.Timestamp = ""
			return s
		}},
		copies("copies of rows, split at random", random),
		copies("copies of rows, split by a hash of the row", hashed("id")),
	}
}

func leaksOfColumns() []example {
	flip := func(t *table, y int64) int {
		if t.yes(0.003) {
			return int(1 - y)
		}
		return int(y)
	}
	return []example{
		beside("a copy of the target", func(t *table, y []int64) { t.float("c", func(i int) float64 { return float64(y[i]) }) }, "TL008 c"),
		beside("the target with a few mistakes", func(t *table, y []int64) { t.int("c", func(i int) int { return flip(t, y[i]) }) }, "TL008 c"),
		beside("large and small is one class, middling the other", func(t *table, y []int64) {
			t.float("c", func(i int) float64 {
				if sign := float64(1 - 2*t.IntN(2)); y[i] == 1 {
					return sign * (1.5 + t.Float64())
				}
				return t.Float64() - 0.5
			})
		}, "TL008 c"),
		beside("a text that says it", func(t *table, y []int64) {
			t.text("c", func(i int) string {
				return []string{"open", "pending", "charged back"}[int(y[i])*2+t.IntN(2)*int(1-y[i])]
			})
		}, "TL008 c"),
		beside("five hundred texts that say it", func(t *table, y []int64) {
			t.text("c", func(i int) string { return fmt.Sprint(t.IntN(250)*2 + int(y[i])) })
		}, "TL008 c"),
		beside("a score made afterwards, sometimes missing", func(t *table, y []int64) {
			t.float("c", func(i int) float64 { return 10*float64(y[i]) + t.NormFloat64() })
			t.nulls(func(int) bool { return t.yes(0.005) })
		}, "TL008 c"),
		beside("a large number that says it", func(t *table, y []int64) {
			t.int("c", func(i int) int { return 9_000_000_000 + int(y[i])*5000 + t.IntN(4000) })
		}, "TL008 c"),
		{name: "used by an encoder", want: []string{"TL008 c"}, make: func(t *table) *lint.Subject {
			y := t.base()
			t.text("c", func(i int) string { return fmt.Sprint(t.IntN(20)*2 + int(y[i])) })
			return with(step("f", "target_encode", "c"), step("g", "log1p", "x"))
		}},
		{name: "used by the last step of a chain", want: []string{"TL008 c"}, make: func(t *table) *lint.Subject {
			y := t.base()
			t.float("c", func(i int) float64 { return 3*float64(y[i]) + t.Float64() })
			return with(expression("e", "c + 1"), step("f", "ratio", "e", "x"))
		}},
	}
}

func leaksOfOrder() []example {
	return []example{
		{name: "rows in the order of the target", want: []string{"TL008 c", "TL012 c"}, make: func(t *table) *lint.Subject {
			t.int("c", func(i int) int { return i })
			t.float("x", func(int) float64 { return t.NormFloat64() })
			t.time("ts", func(i int) int { return 60 * i })
			t.int("y", func(i int) int { return i * 2 / t.n })
			return raw("x", "c")
		}},
		{name: "few rows", rows: 150, want: []string{"TL008 c"}, make: func(t *table) *lint.Subject {
			y := t.base()
			t.float("c", func(i int) float64 { return 3*float64(y[i]) + t.Float64() })
			return raw("x", "c")
		}},
		{name: "one of several classes", want: []string{"TL008 c"}, make: func(t *table) *lint.Subject {
			t.time("ts", func(i int) int { return 60 * i })
			y := t.int("y", func(int) int { return t.IntN(5) })
			t.float("x", func(i int) float64 { return float64(y[i]) + 2*t.NormFloat64() })
			t.text("c", func(i int) string { return string("abcde"[y[i]]) })
			s := raw("x", "c")
			s.Task = metrics.Multiclass
			return s
		}},
	}
}

func leaksOfNulls() []example {
	return []example{
		beside("closed exactly when it was so", func(t *table, y []int64) {
			t.time("c", func(i int) int { return 1_700_000_000 + t.IntN(60*t.n) })
			t.nulls(func(i int) bool { return y[i] == 0 })
		}, "TL010 c"),
		beside("closed, with few exceptions, when it was so", func(t *table, y []int64) {
			t.time("c", func(i int) int { return 1_700_000_000 + t.IntN(60*t.n) })
			t.nulls(func(i int) bool { return (y[i] == 0) != t.yes(0.005) })
		}, "TL008 c"),
		beside("a reason only where there is one", func(t *table, y []int64) {
			t.text("c", func(int) string { return fmt.Sprint("reason ", t.IntN(3)) })
			t.nulls(func(i int) bool { return y[i] == 0 || t.yes(0.7) })
		}, "TL010 c"),
		beside("a number cleared where it was so", func(t *table, y []int64) {
			t.float("c", func(int) float64 { return t.NormFloat64() })
			t.nulls(func(i int) bool { return y[i] == 1 && t.yes(0.4) })
		}, "TL010 c"),
		{name: "used by the hour of a time", want: []string{"TL010 c"}, make: func(t *table) *lint.Subject {
			y := t.base()
			t.time("c", func(i int) int { return 1_700_000_000 + 60*i - t.IntN(5000) })
			t.nulls(func(i int) bool { return y[i] == 0 && t.yes(0.5) })
			return with(features.Step{Name: "c", Op: "datetime", Of: []string{"c"}, Params: map[string]any{"parts": []any{"hour"}}})
		}},
		{name: "the hour of what comes later", want: []string{"TL011 c"}, make: func(t *table) *lint.Subject {
			t.base()
			t.time("c", func(i int) int { return 1_700_000_000 + 60*i + t.IntN(5000) })
			return with(features.Step{Name: "h", Op: "datetime", Of: []string{"c"}, Params: map[string]any{"parts": []any{"hour"}}})
		}},
		{name: "an expression of what sometimes comes later", want: []string{"TL011 c"}, make: func(t *table) *lint.Subject {
			t.base()
			t.time("c", func(i int) int { return 1_700_000_000 + 60*i - 4500 + t.IntN(5000) })
			return with(expression("h", "hour(c)"))
		}},
	}
}

func leaksOfNumbers() []example {
	regression := func(name string, column func(t *table, y []float64), want ...string) example {
		return example{name: name, want: want, make: func(t *table) *lint.Subject {
			t.time("ts", func(i int) int { return 60 * i })
			x := t.float("x", func(int) float64 { return t.NormFloat64() })
			y := t.float("y", func(i int) float64 { return math.Exp(x[i] + t.NormFloat64()) })
			column(t, y)
			s := raw("x", "c")
			if t.fields[len(t.fields)-1].Name == "d" {
				s.Inputs = append(s.Inputs, "d")
			}
			s.Task = metrics.Regression
			return s
		}}
	}
	cents := func(v float64) float64 { return math.Round(v*100) / 100 }
	return []example{
		regression("the logarithm of the target", func(t *table, y []float64) { t.float("c", func(i int) float64 { return math.Log(y[i]) }) }, "TL008 c"),
		regression("the target with some noise", func(t *table, y []float64) {
			t.float("c", func(i int) float64 { return y[i] * (1 + 0.01*t.NormFloat64()) })
		}, "TL008 c"),
		regression("the ranks of the target, as texts", func(t *table, y []float64) {
			t.text("c", func(i int) string { return fmt.Sprint(math.Floor(8 * math.Log(y[i]))) })
		}, "TL008 c"),
		regression("two parts of the target", func(t *table, y []float64) {
			c := t.float("c", func(int) float64 { return cents(10 * t.Float64()) })
			t.float("d", func(i int) float64 { y[i] = cents(y[i]); return cents(y[i] - c[i]) })
		}, "TL009 c"),
		regression("what is left of the target", func(t *table, y []float64) {
			c := t.int("c", func(int) int { return t.IntN(50) })
			t.int("d", func(i int) int { y[i] = math.Floor(5 * y[i]); return int(c[i]) + int(y[i]) })
		}, "TL009 d"),
	}
}

func useless() []example {
	return []example{
		{name: "a name of each row, encoded", want: []string{"TL012 c"}, make: func(t *table) *lint.Subject {
			t.base()
			t.text("c", func(i int) string { return fmt.Sprintf("order-%08x", i*2654435761) })
			return with(step("f", "frequency_encode", "c"), step("g", "log1p", "x"))
		}},
		beside("the number of the row", func(t *table, _ []int64) { t.int("c", func(i int) int { return 1000 + (i*1337)%t.n }) }, "TL012 c"),
		beside("a random number of 62 bits", func(t *table, _ []int64) { t.int("c", func(int) int { return int(t.Uint64() >> 2) }) }, "TL012 c"),
		beside("nearly every row has a text of its own", func(t *table, _ []int64) {
			t.text("c", func(i int) string { return fmt.Sprint("mail", i-i%50/49) })
		}, "TL012 c"),
		beside("always the same number", func(t *table, _ []int64) { t.int("c", func(int) int { return 3 }) }, "TL013 c"),
		beside("always the same text", func(t *table, _ []int64) { t.text("c", func(int) string { return "EUR" }) }, "TL013 c"),
		beside("never there", func(t *table, _ []int64) {
			t.float("c", func(int) float64 { return 0 })
			t.nulls(func(int) bool { return true })
		}, "TL013 c"),
		{name: "always the same where there is a target", want: []string{"TL013 c"}, make: func(t *table) *lint.Subject {
			t.base()
			t.nulls(func(i int) bool { return i%2 == 0 })
			t.int("c", func(i int) int { return map[bool]int{true: t.IntN(9)}[i%2 == 0] })
			return raw("x", "city", "c")
		}},
		{name: "a window of what is always the same", want: []string{"TL013 c"}, make: func(t *table) *lint.Subject {
			t.base()
			t.float("c", func(int) float64 { return 1 })
			return with(step("f", "lag", "c"), step("g", "log1p", "x"))
		}},
		beside("a number again, of another type", func(t *table, _ []int64) {
			x := t.cols[0].Float64s
			for i := range x {
				x[i] = math.Round(x[i] * 100)
			}
			t.int("c", func(i int) int { return int(x[i]) })
		}, "TL014 c"),
		beside("a text again", func(t *table, _ []int64) {
			city := t.cols[1]
			t.text("c", func(i int) string { return city.Dict[city.Codes[i]] })
		}, "TL014 c"),
		beside("a number again, with nulls at the same places", func(t *table, _ []int64) {
			x := t.cols[0]
			t.float("c", func(i int) float64 { return x.Float64s[i] })
			t.nulls(func(i int) bool { return i%7 == 0 })
			x.Valid, t.fields[0].Nullable = t.cols[len(t.cols)-1].Valid, true
		}, "TL014 c"),
	}
}
