package features_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
)

func ints(t testing.TB, name string, v ...any) named {
	t.Helper()
	return named{name, column(t, data.Int32, v...)}
}

func truths(t testing.TB, name string, v ...any) named {
	t.Helper()
	return named{name, column(t, data.Bool, v...)}
}

func TestMinMaxScale(t *testing.T) {
	t.Parallel()
	b := batch(t, floats64(t, "x", 2., 4., 12., null{}, nan, inf))
	check(t, step("m", "min_max_scale", "x"), b, floats64(t, "m", 0., .2, 1., null{}, nan, inf))
	s := with(step("m", "min_max_scale", "x"), "range", []any{-1, 1}, "clip", true)
	p := fit(t, features.Config{Steps: []features.Step{s}}, b)
	checkApply(t, p, batch(t, floats64(t, "x", 7., 13., -inf, 1., nan)), floats64(t, "m", 0., 1., -1., -1., nan))
	check(t, s, batch(t, floats64(t, "x", 5., 5.)), floats64(t, "m", -1., -1.))
	check(t, step("m", "min_max_scale", "x"), batch(t, floats64(t, "x", -math.MaxFloat64, 0., math.MaxFloat64)), floats64(t, "m", 0., .5, 1.))
}

func TestRobustScale(t *testing.T) {
	t.Parallel()
	// Quartiles of 1 2 3 4 100 are 2 and 4, as numpy has them.
	check(t, step("r", "robust_scale", "x"), batch(t, floats64(t, "x", 1., 2., 3., 4., 100., null{}, nan, -inf)),
		floats64(t, "r", -1., -.5, 0., .5, 48.5, null{}, nan, -inf))
	check(t, step("r", "robust_scale", "x"), batch(t, floats64(t, "x", 3., 3., 3., 3., 4.)), floats64(t, "r", 0., 0., 0., 0., 1.))
}

func TestQuantileBin(t *testing.T) {
	t.Parallel()
	s := with(step("q", "quantile_bin", "x"), "bins", 2)
	b := batch(t, floats64(t, "x", 1., 2., 3., 4., null{}, nan))
	check(t, s, b, texts(t, "q", "[-inf, 2.5]", "[-inf, 2.5]", "(2.5, inf]", "(2.5, inf]", null{}, null{}))
	p := fit(t, features.Config{Steps: []features.Step{s}}, b)
	checkApply(t, p, batch(t, floats64(t, "x", -inf, 99., 2.5)), texts(t, "q", "[-inf, 2.5]", "(2.5, inf]", "[-inf, 2.5]"))
	check(t, step("q", "quantile_bin", "x"), batch(t, floats64(t, "x", 0., 0., 0., 0., 0., 5.)), // equal quantiles are one
		texts(t, "q", "[-inf, 0]", "[-inf, 0]", "[-inf, 0]", "[-inf, 0]", "[-inf, 0]", "(0, inf]"))
}

func TestClipAndInteract(t *testing.T) {
	t.Parallel()
	check(t, with(step("c", "clip", "x"), "min", 0, "max", 1), batch(t, floats64(t, "x", -1., .5, 2., null{}, nan, inf, -inf)),
		floats64(t, "c", 0., .5, 1., null{}, nan, 1., 0.))
	check(t, step("p", "interact", "a", "b", "c"), batch(t, floats64(t, "a", 2., 2., null{}, nan, inf, inf),
		ints(t, "b", 3, null{}, 1, 1, 1, 0), truths(t, "c", true, true, true, true, true, true)), floats64(t, "p", 6., null{}, null{}, nan, inf, nan))
}

func TestImpute(t *testing.T) {
	t.Parallel()
	b := batch(t, floats64(t, "x", 1., 1., 4., null{}, nan), texts(t, "c", "b", null{}, "a", "a", "b"))
	check(t, with(step("i", "impute", "x"), "indicator", true), b,
		floats64(t, "i", 1., 1., 4., 1., 1.), truths(t, "i_missing", false, false, false, true, true))
	check(t, with(step("i", "impute", "x"), "strategy", "mean"), b, floats64(t, "i", 1., 1., 4., 2., 2.))
	check(t, with(step("i", "impute", "x"), "strategy", "mode"), b, floats64(t, "i", 1., 1., 4., 1., 1.))
	check(t, with(step("i", "impute", "x"), "strategy", "constant", "value", -1), b, floats64(t, "i", 1., 1., 4., -1., -1.))
	check(t, step("i", "impute", "c"), b, texts(t, "i", "b", "a", "a", "a", "b")) // of equally frequent ones, the first
	check(t, with(step("i", "impute", "c"), "strategy", "constant", "value", "none"), b, texts(t, "i", "b", "none", "a", "a", "b"))
	check(t, with(step("i", "impute", "x"), "strategy", "mode"), batch(t, floats64(t, "x", 7., 3., 7., 3., null{})), floats64(t, "i", 7., 3., 7., 3., 3.))
	check(t, step("i", "impute", "x"), batch(t, floats64(t, "x", inf, null{}, 3.)), floats64(t, "i", inf, 3., 3.))
}

func TestOrdinalEncode(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "size", "small", "large", null{}, "huge"), named{"n", column(t, data.Int64, 10, 9, null{}, -2)})
	check(t, with(step("o", "ordinal_encode", "size"), "order", []any{"small", "medium", "large"}), b, ints(t, "o", 0, 2, null{}, -1))
	check(t, step("o", "ordinal_encode", "size"), b, ints(t, "o", 2, 1, null{}, 0))
	p := fit(t, features.Config{Steps: []features.Step{step("o", "ordinal_encode", "n")}}, b)
	checkApply(t, p, b, ints(t, "o", 2, 1, null{}, 0))
	checkApply(t, p, batch(t, named{"n", column(t, data.Int64, 3, 9)}), ints(t, "o", -1, 1))
}

func TestCategoriesOfNumbersAndDates(t *testing.T) {
	t.Parallel()
	b := batch(t, named{"n", column(t, data.Int64, 10, 10, 9, null{})}, named{"d", column(t, data.Date, 19_782, -1, -1, null{})})
	check(t, with(step("n", "one_hot", "n"), "other", false), b, truths(t, "n_9", false, false, true, false),
		truths(t, "n_10", true, true, false, false), truths(t, "n_missing", false, false, false, true))
	check(t, step("d", "one_hot", "d"), b, truths(t, "d_1969-12-31", false, true, true, false), truths(t, "d_2024-02-29", true, false, false, false),
		truths(t, "d_missing", false, false, false, true), truths(t, "d_other", false, false, false, false))
	check(t, with(step("f", "frequency_encode", "d"), "normalize", false), b, floats64(t, "f", 1., 2., 2., null{}))
}

func TestACategoryMayBeCalledOther(t *testing.T) {
	t.Parallel()
	check(t, step("c", "one_hot", "c"), batch(t, texts(t, "c", "other", "missing", null{}, "other_")),
		truths(t, "c_missing", false, true, false, false), truths(t, "c_other", true, false, false, false), truths(t, "c_other_", false, false, false, true),
		truths(t, "c_missing_", false, false, true, false), truths(t, "c_other__", false, false, false, false))
}

// Every parameter that can be wrong is, once.
func TestParametersAreChecked(t *testing.T) {
	t.Parallel()
	schema := everyType()
	for _, c := range []struct {
		step features.Step
		want string
	}{
		{step("f", "bin", "x"), "edges: expected a list of at least two numbers"},
		{with(step("f", "bin", "x"), "edges", []any{1, 0}), "edges: expected ascending numbers, found 0 after 1"},
		{with(step("f", "bin", "x"), "edges", []any{0, "much"}), "edges: expected a list of numbers"},
		{with(step("f", "bin", "x"), "edges", 7), "edges: expected a list of numbers, found 7"},
		{with(step("f", "bin", "x"), "edges", []any{0, 1, 2}, "labels", []any{"a"}), "labels: expected 2, one for each interval between the edges, found 1"},
		{with(step("f", "bin", "x"), "edges", []any{0, 1, 2}, "labels", []any{"a", "a"}), `labels: "a" is given twice`},
		{with(step("f", "bin", "x"), "edges", []any{0, 1, 2}, "lables", []any{"a", "b"}), `there is no parameter "lables"; did you mean "labels"?`},
		{with(step("f", "one_hot", "city"), "min_count", 0), "min_count: expected a whole number of at least 1, found 0"},
		{with(step("f", "one_hot", "city"), "max_categories", 1.5), "max_categories: expected a whole number"},
		{with(step("f", "one_hot", "city"), "other", "yes"), "other: expected true or false, found yes"},
		{step("f", "one_hot", "ts"), `"ts" is timestamp, expected a text, a number, a truth or a date`},
		{with(step("f", "min_max_scale", "x"), "range", []any{1, 1}), "range: expected two finite numbers, the smaller one first"},
		{with(step("f", "min_max_scale", "x"), "range", []any{0, inf}), "range: expected two finite numbers"},
		{step("f", "clip", "x"), "min, max: expected at least one of them"},
		{with(step("f", "clip", "x"), "min", 3, "max", 1), "min: expected at most max, which is 1, found 3"},
		{with(step("f", "clip", "x"), "min", "a"), "min: expected a number, found a"},
		{step("f", "interact", "x"), "of has 1 columns, expected at least 2"},
		{with(step("f", "quantile_bin", "x"), "bins", 1), "bins: expected a whole number of at least 2"},
		{with(step("f", "quantile_bin", "x"), "bins", 1001), "bins: expected at most 1000"},
		{with(step("f", "impute", "x"), "strategy", "avg"), "strategy: there is no avg; known are median, mean, mode, constant"},
		{with(step("f", "impute", "city"), "strategy", "mean"), "strategy: there is no mean; known are mode, constant"},
		{with(step("f", "impute", "x"), "strategy", "constant"), "value: expected a finite number"},
		{with(step("f", "impute", "city"), "strategy", "constant", "value", 3), "value: expected a finite number for numbers or a text for texts"},
		{with(step("f", "impute", "x"), "value", 3), "value: is only read with strategy: constant"},
		{step("f", "impute", "ts"), `"ts" is timestamp, expected a number or a text`},
		{with(step("f", "ordinal_encode", "city"), "order", []any{"a", "a"}), `order: "a" is given twice`},
		{with(step("f", "ordinal_encode", "city"), "order", "abc"), "order: expected a list, found abc"},
	} {
		_, err := features.Compile(features.Config{Steps: []features.Step{c.step}}, schema)
		assert.ErrorContains(t, err, c.want)
	}
}
