package bundle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features"
)

// asNumber reads a parameter, or what was learned.
func asNumber(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case json.Number:
		return v.Float64()
	case string:
		if sign, ok := map[string]int{".inf": 1, "+.inf": 1, "-.inf": -1}[v]; ok {
			return math.Inf(sign), nil
		}
	}
	return 0, fault.New(fault.Internal, "%v where a number is expected", v)
}

func asNumbers(v any) (out []float64, err error) {
	list, _ := v.([]any)
	for _, item := range list {
		n, err := asNumber(item)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func asTexts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fault.New(fault.Internal, "%v where a list of categories is expected", v)
	}
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = fmt.Sprint(item)
	}
	return out, nil
}

// categories writes the place of a column's value among categories, as int64, or
// those of all else and of null.
func (e *exporter) categories(v value, all []string, other, null int64) (string, error) {
	if v.kind == data.String {
		return e.textCategories(v, all, other, null)
	}
	missing := e.missing(v)
	absent := e.integer(null)
	if v.kind == data.Float32 || v.kind == data.Float64 {
		place, err := e.numberCategories(v, all, other)
		return e.op("Where", missing, absent, place), err
	}
	keys := make([]int64, len(all))
	for i, text := range all {
		key, ok := wholeCategory(v.kind, text)
		if !ok {
			return "", fault.New(fault.Invalid, "category %q is no %s", text, map[bool]string{true: "date", false: "whole number"}[v.kind == data.Date])
		}
		keys[i] = key
	}
	whole := e.integers(v, missing)
	return e.op("Where", missing, absent, e.labels(whole, "keys_int64s", keys, upTo(len(keys)), other)), nil
}

// wholeCategory reads a category of whole numbers, truths or dates.
func wholeCategory(t data.Type, text string) (int64, bool) {
	switch {
	case t == data.Bool:
		return map[string]int64{"true": 1}[text], text == "true" || text == "false"
	case t == data.Date:
		day, err := data.ParseDate(text)
		return int64(day), err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == text
}

func (e *exporter) textCategories(v value, all []string, other, null int64) (string, error) {
	keys, places := slices.Clone(all), upTo(len(all))
	if slices.Contains(keys, "") && (v.merged || v.nullable && v.null == "") {
		return "", errNullAndEmpty
	}
	if v.null != "" {
		return e.op("Where", v.null, e.integer(null), e.labels(v.name, "keys_strings", keys, places, other)), nil
	}
	if v.nullable {
		keys, places = append(keys, ""), append(places, null)
	}
	return e.labels(v.name, "keys_strings", keys, places, other), nil
}

// numberCategories looks up numbers that need not be whole: by halving, since
// ONNX has no table of doubles.
func (e *exporter) numberCategories(v value, all []string, other int64) (string, error) {
	type category struct {
		number float64
		place  int64
	}
	categories := make([]category, len(all))
	for i, text := range all {
		size := map[data.Type]int{data.Float32: 32, data.Float64: 64}[v.kind]
		number, err := strconv.ParseFloat(text, size)
		if err != nil || number != number || features.FormatFloat(number, size) != text {
			return "", fault.New(fault.Invalid, "category %q is no number as categories are written", text)
		}
		categories[i] = category{number, int64(i)}
	}
	slices.SortFunc(categories, func(a, b category) int { return cmp.Compare(a.number, b.number) })
	size := 1
	for size <= len(all) {
		size *= 2
	}
	numbers, places := make([]float64, size), make([]int64, size)
	for i := range numbers { // numbers[i] is the category i, from 1
		numbers[i], places[i] = math.NaN(), other
		if i > 0 && i <= len(all) {
			numbers[i], places[i] = categories[i-1].number, categories[i-1].place
		}
	}
	table := e.graph.Constant(e.name("numbers"), onnx.Tensor{Shape: []int64{int64(size)}, Doubles: numbers})
	at := e.cast(e.op("Less", v.name, v.name), onnx.Int64) // 0 for every row
	for step := size / 2; step > 0; step /= 2 {
		next := e.op("Add", at, e.integer(int64(step)))
		at = e.op("Where", e.op("GreaterOrEqual", v.name, e.op("Gather", table, next)), next, at)
	}
	found := e.op("Equal", e.op("Gather", table, at), v.name)
	of := e.graph.Constant(e.name("places"), onnx.Tensor{Shape: []int64{int64(size)}, Int64s: places})
	return e.op("Where", found, e.op("Gather", of, at), e.integer(other)), nil
}

// upTo returns 0, 1 ... n-1.
func upTo(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

// labels writes the place of x among keys, or other.
func (e *exporter) labels(x, kind string, keys any, places []int64, other int64) string {
	if len(places) == 0 { // an empty list is no attribute
		places = []int64{other}
		keys = map[string]any{"keys_strings": []string{""}, "keys_int64s": []int64{0}}[kind]
	}
	return e.node("LabelEncoder", []string{x},
		onnx.Attribute{Name: kind, Value: keys},
		onnx.Attribute{Name: "values_int64s", Value: places},
		onnx.Attribute{Name: "default_int64", Value: other})
}

// errEmpty is for what would be told apart from nulls.
var errEmpty = fault.New(fault.Invalid, "there are empty texts in a column that may be null, and ONNX has no nulls to tell them apart: export the model alone (--model-only)")

var errNullAndEmpty = fault.New(fault.Invalid, "there are both nulls and empty texts, and ONNX has no nulls to tell them apart: export the model alone (--model-only)")
