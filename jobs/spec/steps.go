package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Step is one feature.
type Step struct {
	Name   string         `json:"name"`
	Op     string         `json:"op"`
	Of     []string       `json:"of"`
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
	err := errors.Join(field("name", s.Name), field("op", s.Op), field("of", s.Of))
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
		d.fault(n.at, path, fmt.Sprintf("expected a list of features, found %v", n), "such as [{name: amount_log, op: log1p, of: amount}]")
		return
	}
	for i, item := range n.items {
		*s = append(*s, d.step(item, fmt.Sprintf("%s[%d]", path, i)))
	}
}

func (d *decoder) step(n *node, path string) Step {
	var s Step
	if n.shape != shapeMap {
		d.fault(n.at, path, fmt.Sprintf("expected a mapping of name, op and of, found %v", n), "")
		return s
	}
	for _, e := range n.entries {
		switch e.key {
		case "name":
			s.Name = e.value.text
		case "op":
			s.Op = e.value.text
		case "of":
			if e.value.shape == shapeText {
				s.Of = []string{e.value.text}
			}
			for _, item := range e.value.items {
				s.Of = append(s.Of, item.text)
			}
		default:
			if s.Params == nil {
				s.Params = map[string]any{}
			}
			s.Params[e.key] = e.value.any()
		}
	}
	return s
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
