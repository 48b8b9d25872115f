package features_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/featurestest"
	"github.com/troupe-ml/troupe/ml/features/window"
)

// everyType has a column of each type, and a second number and text.
func everyType() data.Schema {
	f := func(name string, t data.Type) data.Field { return data.Field{Name: name, Type: t, Nullable: true} }
	instant := f("at", data.Timestamp)
	instant.UTC = true
	return data.Schema{Fields: []data.Field{
		f("truth", data.Bool), f("small", data.Int32), f("big", data.Int64), f("short", data.Float32), f("x", data.Float64),
		f("y", data.Float64), f("city", data.String), f("ts", data.Timestamp), instant, f("day", data.Date),
		{Name: "sure", Type: data.Float64}, f("label", data.Int32), f("two", data.String),
	}}
}

// samples use every operation, with every parameter.
func samples() map[string][]features.Step {
	return map[string][]features.Step{
		"standard_scale": {step("f", "standard_scale", "x"), step("f", "standard_scale", "big"), step("f", "standard_scale", "truth")},
		"log1p":          {step("f", "log1p", "x"), step("f", "log1p", "small"), step("f", "log1p", "sure")},
		"bin": {
			with(step("f", "bin", "x"), "edges", []any{0, 1, 2, inf}, "labels", []any{"low", "middle", "high"}),
			with(step("f", "bin", "short"), "edges", []any{-inf, 0, 1e300}),
		},
		"ratio": {step("f", "ratio", "x", "y"), step("f", "ratio", "big", "small"), step("f", "ratio", "sure", "sure")},
		"one_hot": {
			step("f", "one_hot", "city"), with(step("f", "one_hot", "big"), "min_count", 2, "max_categories", 2, "other", false),
			step("f", "one_hot", "x"), step("f", "one_hot", "truth"), step("f", "one_hot", "day"),
		},
		"min_max_scale": {step("f", "min_max_scale", "x"), with(step("f", "min_max_scale", "y"), "range", []any{-1, 3}, "clip", true)},
		"robust_scale":  {step("f", "robust_scale", "x"), step("f", "robust_scale", "small")},
		"quantile_bin":  {step("f", "quantile_bin", "x"), with(step("f", "quantile_bin", "big"), "bins", 7)},
		"clip":          {with(step("f", "clip", "x"), "min", -1, "max", 2.5), with(step("f", "clip", "big"), "max", 0)},
		"interact":      {step("f", "interact", "x", "y"), step("f", "interact", "small", "truth", "sure")},
		"impute": {
			with(step("f", "impute", "x"), "indicator", true), with(step("f", "impute", "short"), "strategy", "mean"),
			with(step("f", "impute", "x"), "strategy", "mode"), with(step("f", "impute", "city"), "indicator", true),
			with(step("f", "impute", "city"), "strategy", "constant", "value", "none"),
			with(step("f", "impute", "sure"), "strategy", "constant", "value", 7, "indicator", true),
		},
		"ordinal_encode": {
			step("f", "ordinal_encode", "city"), step("f", "ordinal_encode", "big"),
			with(step("f", "ordinal_encode", "city"), "order", []any{"c", "b", "a"}),
		},
		"frequency_encode": {step("f", "frequency_encode", "city"), with(step("f", "frequency_encode", "short"), "normalize", false)},
		"expr": {
			with(step("f", "expr"), "expr", "x / (big + 1)"), with(step("f", "expr"), "expr", "if(x > y and city in ('a', 'é'), log(x), small)"),
			with(step("f", "expr"), "expr", "lower(city) + '/' + string(truth)"), with(step("f", "expr"), "expr", "coalesce(city, if(truth, 'yes', city))"),
			with(step("f", "expr"), "expr", "hour(ts) >= 22 or is_weekend(day)"), with(step("f", "expr"), "expr", "at - 86400 * sure"),
			with(step("f", "expr"), "expr", "sin(x) * cos(y) + tan(sure) ** 3 - exp(short) % 7"), with(step("f", "expr"), "expr", "date(ts) + small"),
			with(step("f", "expr"), "expr", "big * small // -3"), with(step("f", "expr"), "expr", "city"),
		},
		"target_encode": {
			step("f", "target_encode", "city"), with(step("f", "target_encode", "big"), "smoothing", 2.5, "folds", 3),
			with(step("f", "target_encode", "truth"), "smoothing", 0, "fold_by", "group", "fold_column", "x"),
			with(step("f", "target_encode", "short"), "fold_by", "group"),
			with(step("f", "target_encode", "day"), "folds", 2, "fold_by", "time"),
			with(step("f", "target_encode", "y"), "smoothing", "auto", "fold_by", "time", "fold_column", "small"),
		},
		"hash_encode": {
			step("f", "hash_encode", "city"), with(step("f", "hash_encode", "big"), "buckets", 7, "seed", 3),
			with(step("f", "hash_encode", "city", "x", "truth", "day"), "buckets", 1<<31), step("f", "hash_encode", "small", "short"),
		},
		"datetime": {
			with(step("f", "datetime", "ts"), "parts", []any{"year", "day_of_year", "is_weekend", "second"}, "cyclical", []any{"month", "hour"}),
			with(step("f", "datetime", "at"), "parts", []any{"hour", "minute", "day_of_week"}, "time_zone", "America/New_York"),
			with(step("f", "datetime", "at"), "cyclical", []any{"day", "day_of_year", "day_of_week"}, "time_zone", "-03:30"),
			with(step("f", "datetime", "day"), "parts", []any{"quarter", "month", "day"}),
		},
	}
}

func TestEveryOperationKeepsThePromises(t *testing.T) {
	t.Parallel()
	for _, op := range features.Operations() {
		if slices.Contains(window.Operations(), op) {
			continue // they look at other rows: see TestWindowsOfOneRowAtATimeAreThoseOfABatch
		}
		if !assert.NotEmpty(t, samples()[op], "give %s samples", op) {
			continue
		}
		for i, s := range samples()[op] {
			t.Run(op+"/"+string(rune('a'+i)), func(t *testing.T) {
				t.Parallel()
				featurestest.Check(t, features.Config{Steps: []features.Step{s}, Keep: []string{"city", "x"}, Target: "label", Entity: features.Entity{"y"}, Timestamp: "at"}, everyType())
			})
		}
	}
}

// Targets of all kinds, one of which is a number of any size.
func TestEncodingsOfEveryTargetKeepThePromises(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"truth", "label", "big", "short", "sure", "two"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			featurestest.Check(t, features.Config{Target: target, Entity: features.Entity{"y"}, Timestamp: "ts", Seed: 9, Steps: []features.Step{
				step("f", "target_encode", "city"), with(step("g", "target_encode", "day"), "smoothing", 1, "folds", 2),
				with(step("h", "target_encode", "y"), "fold_by", "time"), step("scaled", "standard_scale", "f"),
				with(step("i", "target_encode", "f"), "fold_by", "group"),
			}}, everyType())
		})
	}
}

func TestFeaturesOfFeaturesKeepThePromises(t *testing.T) {
	t.Parallel()
	featurestest.Check(t, features.Config{Steps: []features.Step{
		step("z", "standard_scale", "x"),
		step("log", "log1p", "z"),
		with(step("size", "bin", "log"), "edges", []any{-10, 0, 0.5, 10}),
		step("size_hot", "one_hot", "size"),
		step("size_share", "frequency_encode", "size"),
		step("zz", "standard_scale", "size_share"),
		step("city", "one_hot", "city"),
	}}, everyType())
}
