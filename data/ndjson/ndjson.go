// Package ndjson reads and writes tables as lines of JSON, one object a line.
// Objects within an object become columns called by their path, a.b; arrays
// become text, their JSON as it stands. A field that is absent is null.
//
// Source: RFC 8259; github.com/ndjson/ndjson-spec.
package ndjson

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
)

// node is a place in the tree of names: an object, a column, or both.
type node struct {
	name     []byte
	path     string
	column   int // -1: none
	children []*node
	byName   map[string]*node
	likely   int // the child that probably comes next
}

func newNode(name, path string) *node { return &node{name: []byte(name), path: path, column: -1} }

// child returns the child of that name, nil when there is none. Objects mostly
// have their fields in the same order.
func (n *node) child(name []byte) *node {
	if n.likely < len(n.children) {
		if c := n.children[n.likely]; bytes.Equal(c.name, name) {
			n.likely++
			return c
		}
	}
	c := n.byName[string(name)]
	if c != nil {
		for i, other := range n.children {
			if other == c {
				n.likely = i + 1
			}
		}
	}
	return c
}

func (n *node) add(name string) *node {
	path := name
	if n.path != "" {
		path = n.path + "." + name
	}
	c := newNode(name, path)
	if n.byName == nil {
		n.byName = map[string]*node{}
	}
	n.byName[name] = c
	n.children = append(n.children, c)
	return c
}

// walker visits the fields of one object.
type walker struct {
	scanner
	// unknown returns the node of a name that the tree has not, or an error.
	unknown func(parent *node, name []byte) (*node, error)
	// visit takes one value that is no object.
	visit func(n *node, t token, value []byte) error
}

// record walks through a line, which must hold one object and nothing else.
func (w *walker) record(line []byte, root *node) error {
	w.buf, w.pos = line, 0
	switch w.next() {
	case '{':
	case '[':
		return errors.New("expected an object, found an array; jq -c '.[]' writes the members of one as lines")
	default:
		return errors.New("expected an object")
	}
	if err := w.object(root, 0); err != nil {
		return err
	}
	return w.end()
}

func (w *walker) object(n *node, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	n.likely = 0
	w.pos++
	if w.next() == '}' {
		w.pos++
		return nil
	}
	for {
		if err := w.field(n, depth); err != nil {
			return err
		}
		switch w.next() {
		case ',':
			w.pos++
		case '}':
			w.pos++
			return nil
		default:
			return w.fail("expected , or }")
		}
	}
}

func (w *walker) field(n *node, depth int) error {
	if w.next() != '"' {
		return w.fail("expected a name")
	}
	name, err := w.text()
	if err != nil {
		return err
	}
	c := n.child(name)
	if c == nil {
		if c, err = w.unknown(n, name); err != nil {
			return err
		}
	}
	if err := w.expect(':'); err != nil {
		return err
	}
	if w.next() == '{' {
		return w.object(c, depth+1)
	}
	t, value, err := w.value()
	if err != nil {
		return err
	}
	return w.visit(c, t, value)
}

// Sample is what the first lines say of the fields: their paths, in the order
// in which they first occur, and what values they have.
type Sample struct {
	root    *node
	paths   []string
	guesses []*text.Guess
	columns map[string]int // by path
	walker  walker
}

// maxColumns bounds the width of a table: names that are data make no columns.
const maxColumns = 10_000

// NewSample returns a sample without lines.
func NewSample() *Sample {
	s := &Sample{root: newNode("", ""), columns: map[string]int{}}
	s.walker.unknown = func(parent *node, name []byte) (*node, error) {
		if len(s.paths) >= maxColumns {
			return nil, fmt.Errorf("more than %d different fields", maxColumns)
		}
		if !utf8.Valid(name) {
			return nil, fmt.Errorf("the name %q is not UTF-8", name)
		}
		return parent.add(string(name)), nil
	}
	s.walker.visit = s.see
	return s
}

// Observe takes one line. One that is no object is an error and adds nothing.
func (s *Sample) Observe(line []byte) error {
	whole := scanner{buf: line, scratch: s.walker.scratch}
	if err := whole.skip(0); err != nil {
		return err
	}
	if err := whole.end(); err != nil {
		return err
	}
	return s.walker.record(line, s.root)
}

func (s *Sample) see(n *node, t token, value []byte) error {
	if n.column < 0 {
		at, ok := s.columns[n.path]
		if !ok {
			at = len(s.paths)
			s.columns[n.path] = at
			s.paths = append(s.paths, n.path)
			s.guesses = append(s.guesses, &text.Guess{})
		}
		n.column = at
	}
	g := s.guesses[n.column]
	switch t {
	case isNull:
		g.ObserveNull()
	case isBool:
		g.ObserveBool()
	case isNumber:
		g.ObserveNumber(value)
	case isString:
		g.ObserveText(value)
	case isArray:
		g.ObserveText(value)
	}
	return nil
}

// Fields returns the paths and what the sample says of each. A field that was
// only ever null, beside one of the same path that is an object, is left out.
func (s *Sample) Fields() (paths []string, guesses []*text.Guess) {
	for i, p := range s.paths {
		inner := false
		for _, q := range s.paths {
			inner = inner || strings.HasPrefix(q, p+".")
		}
		if f, _ := s.guesses[i].Format(p); inner && f.Type == data.String && s.guesses[i].Empty() {
			continue
		}
		paths, guesses = append(paths, p), append(guesses, s.guesses[i])
	}
	return paths, guesses
}
