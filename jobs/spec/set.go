package spec

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Set is an override of one field: a path such as model.hidden or
// features[2].window, and its new value in YAML.
type Set struct {
	Path  string
	Value string
}

// Override returns the override of the field at path by value.
func Override(path, value string) Set { return Set{path, value} }

// ParseSet reads PATH=VALUE, as --set takes it. The error is of kind Invalid.
func ParseSet(arg string) (Set, error) {
	path, value, ok := strings.Cut(arg, "=")
	if _, err := segments(path); !ok || err != nil {
		return Set{}, fault.New(fault.Invalid, "--set %s: expected PATH=VALUE, such as model.hidden=[64,32]", arg)
	}
	return Set{path, value}, nil
}

// String writes the override as on the command line.
func (s Set) String() string { return "--set " + s.Path + "=" + s.Value }

// segments splits a path into keys and indices, which stay in brackets.
func segments(path string) ([]string, error) {
	var out []string
	for part := range strings.SplitSeq(path, ".") {
		key, rest, _ := strings.Cut(part, "[")
		if key == "" {
			return nil, fault.New(fault.Invalid, "the path %q has an empty part", path)
		}
		out = append(out, key)
		for rest != "" {
			index, after, ok := strings.Cut(rest, "]")
			if _, err := strconv.ParseUint(index, 10, 31); !ok || err != nil || after != "" && after[0] != '[' {
				return nil, fault.New(fault.Invalid, "the path %q has a malformed index", path)
			}
			out = append(out, "["+index+"]")
			rest = strings.TrimPrefix(after, "[")
		}
	}
	return out, nil
}

// valueNode reads YAML of one value that the program itself holds.
func valueNode(text string) *node {
	r := &reader{}
	docs := r.documents([]byte(text))
	if len(r.faults) > 0 || len(docs) != 1 || docs[0] == nil {
		panic("spec: malformed default " + text)
	}
	return docs[0]
}

// override applies sets to every document whose kind has such a field; one
// that fits none is a fault.
func (d *decoder) override(docs []*node, sets []Set) []*node {
	for _, s := range sets {
		at := place{file: s.String()}
		path, err := segments(s.Path)
		if err != nil {
			d.fault(at, "", err.Error(), "")
			continue
		}
		r := &reader{file: at.file}
		values := r.documents([]byte(s.Value))
		d.faults = append(d.faults, r.faults...)
		if len(r.faults) > 0 || len(values) > 1 {
			continue
		}
		value := &node{at: at}
		if len(values) == 1 && values[0] != nil {
			value = values[0].moved(at)
		}
		d.apply(docs, at, s.Path, path, value)
	}
	return docs
}

func (d *decoder) apply(docs []*node, at place, written string, path []string, value *node) {
	var known []string
	found := false
	for i, doc := range docs {
		if doc == nil || doc.shape != shapeMap {
			continue
		}
		fields := fieldsOf(kindOf(doc))
		known = append(known, fields...)
		if !contains(fields, path[0]) {
			continue
		}
		found = true
		changed, err := doc.with(path, value)
		if err != nil {
			d.fault(at, written, err.Error(), "")
			continue
		}
		docs[i] = changed
	}
	if !found && len(known) > 0 {
		d.fault(at, path[0], "unknown field", suggest(path[0], unique(known)))
	}
}

func unique(words []string) []string {
	var out []string
	for _, w := range words {
		if !contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// moved returns n with every place replaced by at.
func (n *node) moved(at place) *node {
	c := *n
	c.at = at
	c.items, c.entries = nil, nil
	for _, item := range n.items {
		c.items = append(c.items, item.moved(at))
	}
	for _, e := range n.entries {
		c.entries = append(c.entries, entry{e.key, at, e.value.moved(at)})
	}
	return &c
}

// with returns a copy of n in which the value at path is another. Mappings on
// the way are made where there are none; items of lists must be there.
func (n *node) with(path []string, value *node) (*node, error) {
	if len(path) == 0 {
		return value, nil
	}
	c := *n
	if strings.HasPrefix(path[0], "[") {
		i, _ := strconv.Atoi(strings.Trim(path[0], "[]"))
		if n.shape != shapeList || i >= len(n.items) {
			return nil, fmt.Errorf("there is no item %d in %v of %d", i, n, len(n.items))
		}
		item, err := n.items[i].with(path[1:], value)
		c.items = append([]*node(nil), n.items...)
		c.items[i] = item
		return &c, err
	}
	if n.shape != shapeMap {
		c = node{at: value.at, shape: shapeMap}
	}
	c.entries = append([]entry(nil), c.entries...)
	for i, e := range c.entries {
		if e.key == path[0] {
			v, err := e.value.with(path[1:], value)
			c.entries[i].value = v
			return &c, err
		}
	}
	v, err := (&node{at: value.at, shape: shapeMap}).with(path[1:], value)
	c.entries = append(c.entries, entry{path[0], value.at, v})
	return &c, err
}
