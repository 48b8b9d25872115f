package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// Step is one feature.
type Step struct {
	Name   string         `json:"name"`
	Op     string         `json:"op"`
	Of     []string       `json:"of,omitempty"` // absent of op: expr, whose text says what it reads
	Params map[string]any `json:"params,omitempty"`
}

// MarshalJSON writes the step as files have it: parameters beside name, op and
// of, in the order of their names.
func (s Step) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	opening := byte('{')
	field := func(name string, value any) error {
		b.WriteByte(opening)
		opening = ','
		if err := e.Encode(name); err != nil {
			return err
		}
		b.WriteByte(':')
		return e.Encode(value)
	}
	err := errors.Join(field("name", s.Name), field("op", s.Op))
	if s.Of != nil {
		err = errors.Join(err, field("of", s.Of))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		err = errors.Join(err, field(name, s.Params[name]))
	}
	b.WriteByte('}')
	return b.Bytes(), err
}

// Steps is a list of features, in the order in which they may use each other.
type Steps []Step

// decode reads the list. Its length is bounded only by the size of the file.
func (s *Steps) decode(d *decoder, n *node, path string) {
	if n.shape != shapeList || len(n.items) == 0 {
		found := n.String()
		if n.shape == shapeList {
			found = "an empty one"
		}
		d.fault(n.at, path, "expected a list of features, found "+found, "such as [{name: amount_log, op: log1p, of: amount}]")
		return
	}
	names := map[string]place{}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		step := d.step(item, at)
		if first, twice := names[step.Name]; twice && step.Name != "" {
			d.fault(item.atField("name"), at+".name", fmt.Sprintf("%q is given twice", clip(step.Name)), fmt.Sprintf("first on line %d", first.line))
		} else {
			names[step.Name] = item.atField("name")
		}
		*s = append(*s, step)
	}
}

// schema says the same of the list as decode. What a parameter may be is judged
// when the columns are known.
func (s *Steps) schema() map[string]any {
	var ops []any
	for _, op := range features.Operations() {
		reads := "of"
		if op == "expr" {
			reads = "expr"
		}
		ops = append(ops, map[string]any{
			"required": []string{reads}, "properties": map[string]any{"op": map[string]any{"const": op}},
			"propertyNames": map[string]any{"enum": stepFields(op)},
		})
	}
	text := map[string]any{"type": "string", "minLength": 1}
	return map[string]any{"type": "array", "minItems": 1, "items": map[string]any{
		"type": "object", "required": []string{"name", "op"},
		"anyOf": ops,
		"properties": map[string]any{
			"name": map[string]any{"type": "string", "minLength": 1, "description": "what the feature is called"},
			"op":   map[string]any{"enum": features.Operations(), "description": "how it is computed"},
			"of": map[string]any{"description": "the column, or the columns, that it is computed from; not given with op: expr",
				"anyOf": []any{text, map[string]any{"type": "array", "minItems": 1, "items": text}}},
			"expr": map[string]any{"type": "string", "minLength": 1, "description": "of op: expr, the expression, such as amount / (count + 1)"},
		},
	}}
}

func (d *decoder) step(n *node, path string) Step {
	var s Step
	if n.shape != shapeMap {
		d.fault(n.at, path, fmt.Sprintf("expected a mapping of name, op and of, found %v", n), "")
		return s
	}
	required := []struct{ field, hint string }{
		{"name", "it is what the feature is called"}, {"op", "it is how the feature is computed"}, {"of", "it is the column, or the list of columns, to compute it from"},
	}
	if op := n.lookup("op"); op != nil && op.text == "expr" {
		required[2].field, required[2].hint = "expr", "it is the expression, such as amount / (count + 1)"
		d.expression(n, path)
	}
	for _, r := range required {
		if n.lookup(r.field) == nil {
			d.fault(n.at, join(path, r.field), "missing", r.hint)
		}
	}
	word := func(v reflect.Value, from *node, at string, among ...string) { d.text(v, &rule{enum: among}, from, at) }
	for _, e := range n.entries {
		at := join(path, e.key)
		switch e.key {
		case "name":
			word(reflect.ValueOf(&s.Name).Elem(), e.value, at)
		case "op":
			word(reflect.ValueOf(&s.Op).Elem(), e.value, at, features.Operations()...)
		case "of":
			of := reflect.ValueOf(&s.Of).Elem()
			if e.value.shape == shapeText {
				s.Of = make([]string, 1)
				word(of.Index(0), e.value, at)
			} else {
				d.list(of, &rule{least: 1}, e.value, at)
			}
		default:
			d.parameter(&s, n, e, at)
		}
	}
	return s
}

// stepFields are the fields of a feature of some operation.
func stepFields(op string) []string {
	fields := []string{"name", "op"}
	if op != "expr" {
		fields = append(fields, "of")
	}
	return append(fields, features.Parameters(op)...)
}

// parameter takes a parameter of a feature's operation.
func (d *decoder) parameter(s *Step, of *node, e entry, at string) {
	if s.Params == nil {
		s.Params = map[string]any{}
	}
	s.Params[e.key] = e.value.any()
	op := of.lookup("op")
	if op == nil || !contains(features.Operations(), op.text) {
		return // and so nothing is known of its parameters
	}
	if known := stepFields(op.text); !contains(known, e.key) {
		d.fault(e.at, at, fmt.Sprintf("unknown field of op: %s", op.text), suggest(e.key, known))
	}
}

// expression checks the text of a feature of op: expr as far as it can be read
// without its columns.
func (d *decoder) expression(n *node, path string) {
	if of := n.lookup("of"); of != nil {
		d.fault(of.at, join(path, "of"), "given with op: expr", "leave it out: the columns are those that the text reads")
	}
	text := n.lookup("expr")
	if text == nil {
		return
	}
	at := join(path, "expr")
	if text.shape != shapeText || text.text == "" {
		d.fault(text.at, at, fmt.Sprintf("expected an expression, found %v", text), "such as amount / (count + 1)")
		return
	}
	_, err := expr.Columns(text.text)
	var wrong *data.SyntaxError
	if errors.As(err, &wrong) {
		place := text.at
		if text.plain && wrong.Hint == "" && wrong.Offset == utf8.RuneCountInString(text.text) {
			wrong.Hint = "between { and } a text with commas stands in quotes"
		}
		if text.plain { // else quotes and folded lines move the text about
			place.column += wrong.Offset
		}
		d.fault(place, at, fmt.Sprintf("character %d: %s", wrong.Offset+1, wrong.Message), wrong.Hint)
	}
}

// FeatureSource is where a train job's features come from: the path of a
// features spec, or a list. Exactly one is set.
type FeatureSource struct {
	File  string
	Steps Steps
}

// MarshalJSON writes the path or the list.
func (f FeatureSource) MarshalJSON() ([]byte, error) {
	if f.File != "" {
		return json.Marshal(f.File)
	}
	return json.Marshal(f.Steps)
}

// schema says the same as decode.
func (f *FeatureSource) schema() map[string]any {
	return map[string]any{"anyOf": []any{map[string]any{"type": "string", "minLength": 1}, (*Steps)(nil).schema()}}
}

func (f *FeatureSource) decode(d *decoder, n *node, path string) {
	if n.shape != shapeText {
		f.Steps.decode(d, n, path)
		return
	}
	f.File = n.text
	if n.text == "" {
		d.fault(n.at, path, "must not be empty", "give the path of a features spec, or a list of features")
	}
}
