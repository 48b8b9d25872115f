package lint_test

import (
	"fmt"
	"math"

	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/lint"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// honest are jobs in which nothing must be found.
func honest() []example {
	var all []example
	for _, of := range [][]example{honestSpecs(), honestSplits(), honestColumns(), honestFew(), honestTimes(), honestNumbers()} {
		all = append(all, of...)
	}
	return all
}

func honestSpecs() []example {
	return []example{
		onBase("fitted on the training rows", func() *lint.Subject { return with(step("f", "standard_scale", "x"), step("g", "one_hot", "city")) }),
		onBase("encoded by the target of others", func() *lint.Subject { return with(step("f", "target_encode", "city")) }),
		onBase("nothing is learned before the split", func() *lint.Subject {
			return over(step("f", "log1p", "x"), expression("e", "x * 2"), features.Step{Name: "h", Op: "hash_encode", Of: []string{"city"}, Params: map[string]any{"buckets": 16}})
		}),
		onBase("a feature that was fitted is left out", func() *lint.Subject {
			s := over(step("f", "standard_scale", "x"), step("g", "log1p", "x"))
			s.Exclude = []string{"f"}
			return s
		}),
		onBase("a feature of the target is left out", func() *lint.Subject {
			s := with(step("f", "log1p", "y"), step("g", "log1p", "x"))
			s.Exclude = []string{"f"}
			return s
		}),
		{name: "a leak that is left out", make: func(t *table) *lint.Subject {
			y := t.base()
			t.float("c", func(i int) float64 { return 3*float64(y[i]) + t.Float64() })
			s := with(step("f", "log1p", "c"), step("g", "log1p", "x"))
			s.Exclude = []string{"f"}
			return s
		}},
		onBase("a feature of the target, which is told of the features job", func() *lint.Subject {
			s := over(step("f", "log1p", "y"))
			s.Made.Target = "y"
			return s
		}),
		onBase("windows in order of the split", func() *lint.Subject { return with(step("l", "lag", "x"), window("m", "rolling_mean", "x", true)) }),
		onBase("windows within the entities of a hash", func() *lint.Subject { return hashed("user").of(with(step("l", "lag", "x"))) }),
		onBase("no target yet", func() *lint.Subject {
			return &lint.Subject{Job: "features", Steps: []features.Step{step("f", "log1p", "x")}}
		}),
		{name: "earlier outcomes of a customer", make: func(t *table) *lint.Subject {
			y := t.base()
			t.float("outcome", func(i int) float64 { return float64(y[i]) + 0.1*t.Float64() })
			return with(step("l", "lag", "outcome"), window("m", "rolling_mean", "outcome", false))
		}},
	}
}

func honestSplits() []example {
	return []example{
		onBase("entities kept together by a hash", func() *lint.Subject { return hashed("user").of(with(step("f", "log1p", "x"))) }),
		onBase("entities of two columns kept together by a hash of one", func() *lint.Subject {
			s := hashed("user").of(with(window("m", "rolling_mean", "x", false)))
			s.Entity = features.Entity{"city", "user"}
			return s
		}),
		onBase("the same entities, later", func() *lint.Subject { return with(step("f", "log1p", "x")) }),
		{name: "each entity has one row", make: func(t *table) *lint.Subject {
			t.base()
			t.int("account", func(i int) int { return i * 7 })
			s := random.of(with(step("f", "log1p", "x")))
			s.Entity = features.Entity{"account"}
			return s
		}},
		{name: "parts by time, in a column", make: func(t *table) *lint.Subject {
			t.base()
			t.text("part", func(i int) string { return []string{"train", "train", "validation", "test"}[4*i/t.n] })
			return split{"column", "part"}.of(with(step("f", "log1p", "x")))
		}},
		{name: "few kinds of rows", make: func(t *table) *lint.Subject {
			for _, c := range []string{"a", "b", "c"} {
				t.int(c, func(int) int { return t.IntN(3) })
			}
			t.int("y", func(int) int { return t.IntN(2) })
			return random.of(raw("a", "b", "c"))
		}},
	}
}

func honestColumns() []example {
	return []example{
		beside("a strong and honest number", func(t *table, y []int64) { // AUC 0.9
			t.float("c", func(i int) float64 { return 1.81*float64(y[i]) + t.NormFloat64() })
		}),
		beside("a stronger one", func(t *table, y []int64) { // AUC 0.95
			t.float("c", func(i int) float64 { return 2.33*float64(y[i]) + t.NormFloat64() })
		}),
		beside("two thousand texts of no meaning", func(t *table, _ []int64) { t.text("c", func(int) string { return fmt.Sprint(t.IntN(2000)) }) }),
		beside("two hundred texts of some meaning", func(t *table, y []int64) {
			t.text("c", func(i int) string { return fmt.Sprint(t.IntN(100) + 50*int(y[i])) })
		}),
		beside("a number of many decimals", func(t *table, _ []int64) { t.float("c", func(int) float64 { return t.ExpFloat64() }) }),
		beside("nearly always one text", func(t *table, _ []int64) {
			t.text("c", func(int) string { return map[bool]string{true: "rare", false: "usual"}[t.yes(0.01)] })
		}),
		beside("missing by chance", func(t *table, _ []int64) {
			t.float("c", func(int) float64 { return t.NormFloat64() })
			t.nulls(func(int) bool { return t.yes(0.5) })
		}),
		beside("missing twice as often in one class", func(t *table, y []int64) {
			t.float("c", func(int) float64 { return t.NormFloat64() })
			t.nulls(func(i int) bool { return t.yes(0.2 + 0.2*float64(y[i])) })
		}),
		beside("nearly always missing", func(t *table, _ []int64) {
			t.text("c", func(int) string { return "promotion" })
			t.nulls(func(int) bool { return t.yes(0.99) })
		}),
		beside("prices in cents", func(t *table, _ []int64) { t.int("c", func(int) int { return int(1e4 * math.Exp(t.NormFloat64())) }) }),
		beside("an account with a few rows each", func(t *table, _ []int64) { t.int("c", func(i int) int { return i / 4 }) }),
		beside("nearly the same number", func(t *table, _ []int64) {
			x := t.cols[0].Float64s
			t.float("c", func(i int) float64 { return x[i] + map[bool]float64{true: 0.5}[i == 17] })
		}),
		beside("a truth of no meaning", func(t *table, _ []int64) { t.int("c", func(int) int { return t.IntN(2) }) }),
		{name: "ids that are kept and not learned from", make: func(t *table) *lint.Subject {
			t.base()
			t.int("id", func(i int) int { return i })
			return raw("x", "city")
		}},
		{name: "part of an id", make: func(t *table) *lint.Subject {
			t.base()
			t.text("id", func(i int) string { return fmt.Sprintf("%s-%06d", []string{"A", "B", "C"}[t.IntN(3)], i) })
			return with(expression("kind", "substr(id, 1, 1)"))
		}},
	}
}

func honestFew() []example {
	return []example{
		{name: "too few rows to say", rows: 60, make: func(t *table) *lint.Subject {
			y := t.base()
			t.float("c", func(i int) float64 { return float64(y[i]) + t.Float64() })
			return raw("x", "c")
		}},
		{name: "a target of many texts", make: func(t *table) *lint.Subject {
			t.base()
			class := t.int("class", func(int) int { return t.IntN(60) })
			t.text("label", func(i int) string { return fmt.Sprint("label ", class[i]) })
			s := raw("x", "class")
			s.Target, s.Task = "label", metrics.Multiclass
			return s
		}},
		{name: "a rare class", make: func(t *table) *lint.Subject {
			t.time("ts", func(i int) int { return 60 * i })
			t.text("c", func(int) string { return fmt.Sprint(t.IntN(300)) })
			t.float("x", func(int) float64 { return t.NormFloat64() })
			t.float("z", func(int) float64 { return t.NormFloat64() })
			t.nulls(func(int) bool { return t.yes(0.02) })
			t.int("y", func(int) int { return map[bool]int{true: 1}[t.yes(0.01)] })
			return raw("x", "c", "z")
		}},
	}
}

func honestTimes() []example {
	part := func(of string) features.Step {
		return features.Step{Name: "f", Op: "datetime", Of: []string{of}, Params: map[string]any{"parts": []any{"hour"}}}
	}
	return []example{
		{name: "what came before", make: func(t *table) *lint.Subject {
			t.base()
			t.time("created", func(i int) int { return 1_700_000_000 + 60*i - t.IntN(100_000) })
			return with(part("created"))
		}},
		{name: "what comes later, and is not used", make: func(t *table) *lint.Subject {
			t.base()
			t.time("closed", func(i int) int { return 1_700_000_000 + 60*i + t.IntN(100_000) })
			return with(part("ts"))
		}},
		{name: "when it was closed the last time", make: func(t *table) *lint.Subject {
			t.base()
			t.time("closed", func(i int) int { return 1_700_000_000 + 60*i + t.IntN(100_000) })
			return with(step("l", "lag", "closed"))
		}},
		{name: "the hour, of rows in the order of the target", make: func(t *table) *lint.Subject {
			t.float("x", func(int) float64 { return t.NormFloat64() })
			t.time("ts", func(i int) int { return 60 * i })
			t.int("y", func(i int) int { return i * 2 / t.n })
			return with(part("ts"), step("g", "log1p", "x"))
		}},
		{name: "the time itself", make: func(t *table) *lint.Subject {
			t.base()
			return with(part("ts"))
		}},
	}
}

func honestNumbers() []example {
	number := func(name string, column func(t *table, y []float64)) example {
		return example{name: name, make: func(t *table) *lint.Subject {
			t.time("ts", func(i int) int { return 60 * i })
			x := t.float("x", func(int) float64 { return t.NormFloat64() })
			y := t.float("y", func(i int) float64 { return math.Round(100 * math.Exp(x[i]+0.3*t.NormFloat64())) })
			column(t, y)
			s := raw("x", "c", "d")
			s.Task = metrics.Regression
			return s
		}}
	}
	return []example{
		number("much of the variance", func(t *table, y []float64) {
			t.float("c", func(i int) float64 { return y[i] * math.Exp(0.25*t.NormFloat64()) })
			t.float("d", func(int) float64 { return t.Float64() })
		}),
		number("a sum that is right but once", func(t *table, y []float64) {
			c := t.float("c", func(i int) float64 { return math.Floor(y[i] * t.Float64()) })
			t.float("d", func(i int) float64 { return y[i] - c[i] + map[bool]float64{true: 1}[i == 5] })
		}),
		number("texts of no meaning", func(t *table, _ []float64) {
			t.text("c", func(int) string { return fmt.Sprint(t.IntN(1000)) })
			t.int("d", func(int) int { return t.IntN(10) })
		}),
		{name: "several classes, honestly", make: func(t *table) *lint.Subject {
			t.time("ts", func(i int) int { return 60 * i })
			y := t.int("y", func(int) int { return t.IntN(4) })
			t.float("x", func(i int) float64 { return float64(y[i]) + 0.4*t.NormFloat64() })
			s := raw("x")
			s.Task = metrics.Multiclass
			return s
		}},
	}
}
