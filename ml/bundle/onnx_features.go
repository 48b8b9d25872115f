package bundle

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features"
)

// step is a feature on its way into the graph.
type step struct {
	*exporter
	features.Description
	in []value
}

// operations write the features that ONNX has words for: each returns its columns in
// the order of the step's outputs.
var operations = map[string]func(*step) ([]value, error){
	"standard_scale": func(s *step) ([]value, error) { return s.scaled("mean", "std") },
	"robust_scale":   func(s *step) ([]value, error) { return s.scaled("median", "spread") },
	"min_max_scale":  (*step).minMax,
	"log1p":          (*step).log1p,
	"clip":           (*step).clip,
	"ratio":          (*step).ratio,
	"interact":       (*step).interact,
	"bin":            (*step).bin,
	"quantile_bin":   (*step).quantileBin,
	"impute":         (*step).impute,
	"one_hot":        (*step).oneHot,
	"ordinal_encode": (*step).ordinal, "frequency_encode": (*step).frequency, "target_encode": (*step).target,
	"datetime": (*step).datetime,
	"expr":     (*step).expression,
}

// pipeline writes the features of the bundle, and remembers their columns.
func (e *exporter) pipeline() error {
	steps, err := e.bundle.Pipeline.Describe()
	if err != nil {
		return err
	}
	for _, d := range steps {
		write := operations[d.Op]
		if write == nil {
			return fault.New(fault.Invalid, "onnx: feature %q (op %s) cannot be written as ONNX: export the model alone (--model-only), "+
				"or train on the output of a features job", d.Name, d.Op)
		}
		s := &step{exporter: e, Description: d}
		for _, name := range d.Of {
			v, err := e.source(name)
			if err != nil {
				return fmt.Errorf("onnx: feature %q (op %s): %w", d.Name, d.Op, err)
			}
			s.in = append(s.in, v)
		}
		out, err := write(s)
		if err != nil {
			return fmt.Errorf("onnx: feature %q (op %s): %w", d.Name, d.Op, err)
		}
		for i, v := range out {
			e.values[d.Outputs[i]] = v
		}
	}
	return nil
}

// numeric returns the only column that a step makes.
func numeric(name string) []value {
	return []value{{name: name, kind: data.Float64, nullable: true}}
}

// learned returns a number that the step has learned.
func (s *step) learned(name string) (float64, error) {
	all, _ := s.Learned.(map[string]any)
	return asNumber(all[name])
}

// scaled is (x - shift) / by.
func (s *step) scaled(shift, by string) ([]value, error) {
	from, err1 := s.learned(shift)
	over, err2 := s.learned(by)
	if over == 0 {
		over = 1
	}
	return numeric(s.op("Div", s.op("Sub", s.in[0].name, s.double(from)), s.double(over))), cmp.Or(err1, err2)
}

func (s *step) minMax() ([]value, error) {
	least, err1 := s.learned("min")
	most, err2 := s.learned("max")
	to := []float64{0, 1}
	if r, ok := s.Params["range"]; ok {
		var err error
		if to, err = asNumbers(r); err != nil || len(to) != 2 {
			return nil, fault.New(fault.Internal, "a range of %v", r)
		}
	}
	low, span := least/2, most/2-least/2
	if span == 0 {
		span = 0.5
	}
	share := s.op("Div", s.op("Sub", s.op("Div", s.in[0].name, s.double(2)), s.double(low)), s.double(span))
	out := s.op("Add", s.double(to[0]), s.op("Mul", share, s.double(to[1]-to[0])))
	if clip, _ := s.Params["clip"].(bool); clip {
		out = s.within(out, to[0], to[1])
	}
	return numeric(out), cmp.Or(err1, err2)
}

// within brings numbers into low..high; NaN stays.
func (s *step) within(x string, low, high float64) string {
	x = s.op("Where", s.op("Less", x, s.double(low)), s.double(low), x)
	return s.op("Where", s.op("Greater", x, s.double(high)), s.double(high), x)
}

func (s *step) log1p() ([]value, error) {
	x := s.in[0].name
	defined := s.op("Greater", x, s.double(-1))
	return numeric(s.op("Where", defined, s.logOfMore(s.op("Where", defined, x, s.double(0))), s.nan())), nil
}

func (s *step) clip() ([]value, error) {
	low, high := math.Inf(-1), math.Inf(1)
	for name, to := range map[string]*float64{"min": &low, "max": &high} {
		if v, ok := s.Params[name]; ok {
			var err error
			if *to, err = asNumber(v); err != nil {
				return nil, err
			}
		}
	}
	return numeric(s.within(s.in[0].name, low, high)), nil
}

func (s *step) ratio() ([]value, error) {
	a, b := s.in[0].name, s.in[1].name
	zero := s.op("Equal", b, s.double(0))
	return numeric(s.op("Where", zero, s.nan(), s.op("Div", a, s.op("Where", zero, s.double(1), b)))), nil
}

func (s *step) interact() ([]value, error) {
	x := s.in[0].name
	for _, v := range s.in[1:] {
		x = s.op("Mul", x, v.name)
	}
	return numeric(x), nil
}

func (s *step) impute() ([]value, error) {
	in := s.in[0]
	missing, with := s.missing(in), ""
	out := value{kind: data.Float64}
	if in.kind == data.String {
		text, err := s.filler()
		if err != nil {
			return nil, err
		}
		if in.empty && text != "" {
			return nil, errEmpty
		}
		with = s.text(text)
		out = value{kind: data.String, merged: in.merged && text != ""} // else null becomes what "" is anyway
	} else {
		number, err := s.learned("number")
		if err != nil {
			number, err = asNumber(s.Params["value"])
		}
		if err != nil {
			return nil, err
		}
		with = s.double(number)
	}
	out.name = s.op("Where", missing, with, in.name)
	if len(s.Outputs) > 1 {
		return []value{out, {name: s.cast(missing, onnx.Double), kind: data.Bool}}, nil
	}
	return []value{out}, nil
}

// filler is the text that stands in for nulls.
func (s *step) filler() (string, error) {
	all, _ := s.Learned.(map[string]any)
	for _, v := range []any{all["text"], s.Params["value"]} {
		if text, ok := v.(string); ok {
			return text, nil
		}
	}
	return "", fault.New(fault.Internal, "no text to fill with")
}

func (s *step) bin() ([]value, error) {
	edges, err := asNumbers(s.Params["edges"])
	if err != nil || len(edges) < 2 {
		return nil, fault.New(fault.Internal, "edges of %v", s.Params["edges"])
	}
	labels := features.Intervals(edges)
	if given, ok := s.Params["labels"].([]any); ok {
		for i, l := range given {
			labels[i] = fmt.Sprint(l)
		}
	}
	return s.binned(edges, labels), nil
}

func (s *step) quantileBin() ([]value, error) {
	all, _ := s.Learned.(map[string]any)
	inner, err := asNumbers(all["edges"])
	edges := slices.Concat([]float64{math.Inf(-1)}, inner, []float64{math.Inf(1)})
	return s.binned(edges, features.Intervals(edges)), err
}

// binned names the interval of each number, by how many of the inner edges it is
// above.
func (s *step) binned(edges []float64, labels []string) []value {
	x, inner := s.in[0].name, edges[1:len(edges)-1]
	place := s.cast(s.op("Where", s.op("IsNaN", x), s.double(0), s.double(0)), onnx.Int64)
	if len(inner) > 0 {
		all := s.graph.Constant(s.name("edges"), onnx.Tensor{Shape: []int64{1, int64(len(inner))}, Doubles: inner})
		axis := s.graph.Constant(s.name("axis"), onnx.Tensor{Shape: []int64{1}, Int64s: []int64{1}})
		place = s.op("ReduceSum", s.cast(s.op("Greater", x, all), onnx.Int64), axis)
	}
	inside := s.op("And", s.op("GreaterOrEqual", x, s.double(edges[0])), s.op("LessOrEqual", x, s.double(edges[len(edges)-1])))
	nowhere := s.graph.Constant(s.name("nowhere"), onnx.Tensor{Shape: []int64{1, 1}, Int64s: []int64{-1}})
	text := s.node("LabelEncoder", []string{s.op("Where", inside, place, nowhere)},
		onnx.Attribute{Name: "keys_int64s", Value: upTo(len(labels))}, onnx.Attribute{Name: "values_strings", Value: labels}, onnx.Attribute{Name: "default_string", Value: ""})
	return []value{{name: text, kind: data.String, nullable: true}}
}

func (s *step) oneHot() ([]value, error) {
	all, _ := s.Learned.(map[string]any)
	categories, err := asTexts(all["categories"])
	if err != nil {
		return nil, err
	}
	next, missing, other := int64(len(categories)), int64(-1), int64(-1)
	if has, _ := all["missing"].(bool); has {
		missing, next = next, next+1
	}
	if next < int64(len(s.Outputs)) {
		other = next
	}
	place, err := s.categories(s.in[0], categories, other, missing)
	if err != nil {
		return nil, err
	}
	var out []value
	for i := range s.Outputs {
		own := s.graph.Constant(s.name("place"), onnx.Tensor{Shape: []int64{1, 1}, Int64s: []int64{int64(i)}})
		out = append(out, value{name: s.cast(s.op("Equal", place, own), onnx.Double), kind: data.Bool})
	}
	return out, nil
}

func (s *step) ordinal() ([]value, error) {
	all, _ := s.Learned.(map[string]any)
	order, err := asTexts(all["order"])
	if given, ok := s.Params["order"]; ok {
		order, err = asTexts(given)
	}
	of := make([]float64, len(order))
	for i := range of {
		of[i] = float64(i)
	}
	if err != nil {
		return nil, err
	}
	name, err := s.table(order, of, -1, math.NaN())
	return []value{{name: name, kind: data.Int32, nullable: true}}, err
}

func (s *step) frequency() ([]value, error) {
	all, _ := s.Learned.(map[string]any)
	times, _ := all["categories"].(map[string]any)
	rows, err := asNumber(all["n"])
	if err != nil {
		return nil, err
	}
	if share, given := s.Params["normalize"].(bool); given && !share {
		rows = 1
	}
	categories := slices.Sorted(maps.Keys(times))
	of := make([]float64, len(categories))
	for i, c := range categories {
		n, err := asNumber(times[c])
		if err != nil {
			return nil, err
		}
		of[i] = n / rows
	}
	name, err := s.table(categories, of, 0, math.NaN())
	return numeric(name), err
}

// target is the mean of the target in a category, as it was learned of all rows.
func (s *step) target() ([]value, error) {
	all, _ := s.Learned.(map[string]any)
	means, _ := all["categories"].(map[string]any)
	prior, err := asNumber(all["prior"])
	if err != nil {
		return nil, err
	}
	null := prior
	if v, ok := all["null"]; ok {
		if null, err = asNumber(v); err != nil {
			return nil, err
		}
	}
	categories := slices.Sorted(maps.Keys(means))
	of := make([]float64, len(categories))
	for i, c := range categories {
		if of[i], err = asNumber(means[c]); err != nil {
			return nil, err
		}
	}
	name, err := s.table(categories, of, prior, null)
	return numeric(name), err
}

// table writes a number for each category, and others for all else and for null.
func (s *step) table(categories []string, of []float64, other, null float64) (string, error) {
	n := int64(len(categories))
	place, err := s.categories(s.in[0], categories, n, n+1)
	all := append(slices.Clone(of), other, null)
	numbers := s.graph.Constant(s.name("numbers"), onnx.Tensor{Shape: []int64{n + 2}, Doubles: all})
	return s.op("Gather", numbers, place), err
}
