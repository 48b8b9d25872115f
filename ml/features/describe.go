package features

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Description is a step of a pipeline as people see it.
type Description struct {
	Name    string         `json:"name"`
	Op      string         `json:"op"`
	Of      []string       `json:"of"`
	Params  map[string]any `json:"params,omitempty"`
	Outputs []string       `json:"outputs"`           // columns; none before it is fitted, where only that can tell
	Learned any            `json:"learned,omitempty"` // as JSON has it: maps, lists, texts, numbers and truths
}

// Describe returns the steps in order. What encodings by the target have learned
// for the rows that taught them, in folds, is left out.
func (p *Pipeline) Describe() ([]Description, error) {
	out := make([]Description, len(p.steps))
	for i, s := range p.steps {
		d := Description{Name: s.Name, Op: s.Op, Of: s.Of, Params: plainParams(s.Params), Outputs: []string{}}
		for _, f := range s.op.outputs() {
			d.Outputs = append(d.Outputs, f.Name)
		}
		op := s.op
		if folded, ok := op.(crossFitted); ok {
			op = folded.withoutFolds()
		}
		if c, ok := op.(carrier); ok {
			plain, err := asJSON(c.learned())
			if err != nil {
				return nil, fault.New(fault.Internal, "features: describe %v: %w", s.Step, err)
			}
			d.Learned = plain
		}
		out[i] = d
	}
	return out, nil
}

// asJSON returns a value as reading its JSON would.
func asJSON(v any) (out any, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return out, json.NewDecoder(bytes.NewReader(text)).Decode(&out)
}

// Difference is something in which two pipelines differ.
type Difference struct {
	Step     string   `json:"step"`
	What     string   `json:"what"`             // added, removed, moved, or the place of what has changed: op, params.n, learned.mean
	Before   any      `json:"before,omitempty"` // absent where there was nothing
	After    any      `json:"after,omitempty"`
	Relative *float64 `json:"relative,omitempty"` // of numbers: (after - before) / |before|, unless before is 0
}

// What has happened to a whole step.
const (
	StepAdded   = "added"
	StepRemoved = "removed"
	StepMoved   = "moved" // to another place among the steps that both have
)

// Differences says how b differs from a, step by step, in the order of a and then
// of b; none when they are the same. Steps are the same that have one name.
func Differences(a, b []Description) ([]Difference, error) {
	out := []Difference{}
	before, after := stepNames(a), stepNames(b)
	both := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return !slices.Contains(after, n) })
	order := slices.DeleteFunc(slices.Clone(after), func(n string) bool { return !slices.Contains(before, n) })
	for _, d := range a {
		k := slices.Index(after, d.Name)
		if k < 0 {
			out = append(out, Difference{Step: d.Name, What: StepRemoved, Before: d.Op})
			continue
		}
		if from, to := slices.Index(both, d.Name), slices.Index(order, d.Name); from != to {
			out = append(out, Difference{Step: d.Name, What: StepMoved, Before: from + 1, After: to + 1})
		}
		changed, err := d.changes(b[k])
		if err != nil {
			return nil, err
		}
		out = append(out, changed...)
	}
	for _, d := range b {
		if !slices.Contains(before, d.Name) {
			out = append(out, Difference{Step: d.Name, What: StepAdded, After: d.Op})
		}
	}
	return out, nil
}

func stepNames(steps []Description) []string {
	out := make([]string, len(steps))
	for i, d := range steps {
		out[i] = d.Name
	}
	return out
}

// changes says how a step differs from another of its name.
func (d Description) changes(o Description) ([]Difference, error) {
	before, err := d.flat()
	if err != nil {
		return nil, err
	}
	after, err := o.flat()
	if err != nil {
		return nil, err
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	var out []Difference
	for _, what := range slices.SortedFunc(maps.Keys(all), placeOrder) {
		x, y := before[what], after[what]
		if reflect.DeepEqual(x, y) {
			continue
		}
		c := Difference{Step: d.Name, What: what, Before: x, After: y}
		p, number := x.(float64)
		q, too := y.(float64)
		if number && too && p != 0 {
			r := (q - p) / math.Abs(p)
			c.Relative = &r
		}
		out = append(out, c)
	}
	return out, nil
}

// placeOrder is that of specs: op, of, parameters, and then what was learned.
func placeOrder(a, b string) int {
	learned := func(s string) int { return map[bool]int{true: 1}[strings.HasPrefix(s, "learned")] }
	return cmp.Or(cmp.Compare(learned(a), learned(b)), cmp.Compare(a, b))
}

// flat returns the plain values of a step by place: learned.mean, or of a list of
// texts the place of each, learned.categories["crypto"].
func (d Description) flat() (map[string]any, error) {
	out := map[string]any{"op": d.Op}
	whole, err := asJSON(map[string]any{"of": d.Of, "params": d.Params, "learned": d.Learned})
	if err != nil {
		return nil, fault.New(fault.Internal, "features: describe %s: %w", d.Name, err)
	}
	for place, v := range whole.(map[string]any) { //nolint:forcetypeassert // that is what was written
		flatten(place, v, out)
	}
	return out, nil
}

func flatten(place string, v any, out map[string]any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for key, inner := range v {
			flatten(place+"."+key, inner, out)
		}
	case []any:
		for i, inner := range v {
			if text, ok := inner.(string); ok {
				out[place+"["+strconv.Quote(text)+"]"] = float64(i)
				continue
			}
			flatten(fmt.Sprintf("%s[%d]", place, i), inner, out)
		}
	default:
		out[place] = v
	}
}
