package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on what is read, so that a hostile file costs no more than its size.
const (
	maxBytes = 4 << 20 // of one file
	maxDepth = 32      // of lists and mappings in one another
	maxNodes = 1 << 20 // of one file, aliases counted as often as they are used
)

type shape uint8

const (
	shapeNull shape = iota
	shapeBool
	shapeInt
	shapeFloat
	shapeText
	shapeList
	shapeMap
)

// place is where a node was written.
type place struct {
	file         string
	line, column int
}

// node is a value of a document, free of the YAML parser's types.
type node struct {
	at       place
	shape    shape
	plain    bool    // a scalar without quotes
	overflow bool    // a float too large for 64 bits
	text     string  // scalars: as written, without quotes
	truth    bool    // shapeBool
	number   float64 // shapeInt, shapeFloat
	items    []*node // shapeList
	entries  []entry // shapeMap, in the order of the file, keys unique
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    place
	value *node
}

// lookup returns the value of a key of a mapping, or nil.
func (n *node) lookup(key string) *node {
	for i := range n.entries {
		if n.entries[i].key == key {
			return n.entries[i].value
		}
	}
	return nil
}

// gives reports whether a field of an object is in the document.
func (n *node) gives(object, field string) bool {
	o := n.lookup(object)
	return o != nil && o.lookup(field) != nil
}

// String describes the node as error messages do: what kind of thing it is.
func (n *node) String() string {
	switch n.shape {
	case shapeNull:
		return "nothing"
	case shapeBool:
		return n.text
	case shapeInt, shapeFloat:
		return "the number " + clip(n.text)
	case shapeText:
		return "the text " + strconv.Quote(clip(n.text))
	case shapeList:
		return "a list"
	default:
		return "a mapping"
	}
}

// clip shortens what is quoted in a message.
func clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// reader turns the parser's tree into nodes and gathers faults on the way.
type reader struct {
	file    string
	faults  Faults
	anchors map[string]*node
	open    map[string]bool // anchors whose value is being read: an alias to one would never end
	nodes   int
}

// documents parses YAML text. A nil node is a document with nothing in it. The
// faults of the syntax end the reading of the file, since what follows a
// misread bracket would only confuse.
func (r *reader) documents(text []byte) []*node {
	if len(text) > maxBytes {
		r.fault(place{file: r.file}, "", fmt.Sprintf("the file has %d bytes; a spec has at most %d", len(text), maxBytes), "")
		return nil
	}
	if line := tooDeep(text); line > 0 {
		r.fault(place{r.file, line, 1}, "", fmt.Sprintf("lists and mappings are more than %d deep", maxDepth), "")
		return nil
	}
	file, err := parse(text)
	if err != nil {
		at, message := syntax(err)
		at.file = r.file
		r.fault(at, "", message, "")
		return nil
	}
	var docs []*node
	for _, d := range file.Docs {
		r.anchors, r.open = map[string]*node{}, map[string]bool{}
		if d.Body == nil {
			docs = append(docs, nil)
			continue
		}
		docs = append(docs, r.node(d.Body, "", 0))
	}
	return docs
}

// parse calls the YAML parser. It is known to panic on some malformed input,
// which is a fault of the input like any other.
func parse(text []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, errors.New("the file cannot be read as YAML")
		}
	}()
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

// syntax returns the place and the first line of a parser's message.
func syntax(err error) (place, string) {
	var s *yaml.SyntaxError
	if !errors.As(err, &s) {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return place{}, first
	}
	at := place{}
	if s.Token != nil && s.Token.Position != nil {
		at.line, at.column = s.Token.Position.Line, max(1, s.Token.Position.Column)
	}
	return at, "not YAML: " + s.Message
}

// tooDeep returns the line on which brackets or dashes nest deeper than any
// spec does, or 0. It looks before the parser does, which would recurse. Brackets
// inside quotes count too: they balance in anything that people write.
func tooDeep(text []byte) int {
	line, depth, dashes := 1, 0, 0
	for i, c := range text {
		switch c {
		case '\n':
			line++
			dashes = 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case '-', '?', '!', '&', ':':
			if i+1 < len(text) && text[i+1] == ' ' || c == '!' || c == '&' {
				dashes++
			}
		case '"', '\'':
			dashes = 0
		}
		if depth > 4*maxDepth || dashes > 64*maxDepth {
			return line
		}
	}
	return 0
}

func (r *reader) fault(at place, path, message, hint string) {
	r.faults = append(r.faults, Fault{File: at.file, Line: at.line, Column: at.column, Path: path, Message: message, Hint: hint})
}

func (r *reader) place(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{file: r.file}
	}
	return place{r.file, t.Position.Line, max(1, t.Position.Column)}
}

// node converts one value; path is where it stands in its document. It never
// returns nil: what cannot be read is a null, and a fault.
func (r *reader) node(from ast.Node, path string, depth int) *node {
	if from == nil {
		return &node{at: place{file: r.file}}
	}
	n := &node{at: r.place(from.GetToken())}
	r.nodes++
	if depth > maxDepth || r.nodes > maxNodes {
		if r.nodes <= maxNodes+1 {
			r.fault(n.at, path, fmt.Sprintf("the file is more than %d deep or has more than %d values", maxDepth, maxNodes), "")
		}
		r.nodes = max(r.nodes, maxNodes+1)
		return n
	}
	switch v := from.(type) {
	case *ast.MappingNode:
		r.mapping(n, v.Values, path, depth)
	case *ast.MappingValueNode:
		r.mapping(n, []*ast.MappingValueNode{v}, path, depth)
	case *ast.SequenceNode:
		n.shape = shapeList
		for i, item := range v.Values {
			n.items = append(n.items, r.node(item, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case *ast.LiteralNode:
		n.shape = shapeText
		if v.Value != nil {
			n.text = v.Value.Value
		}
	case *ast.AnchorNode:
		return r.anchor(v, path, depth)
	case *ast.AliasNode:
		return r.alias(n, v, path)
	case *ast.TagNode:
		r.fault(n.at, path, fmt.Sprintf("the tag %s is not read", clip(from.GetToken().Value)), "write the value without it")
	default:
		r.scalar(n, from, path)
	}
	return n
}

func (r *reader) scalar(n *node, from ast.Node, path string) {
	t := from.GetToken()
	switch from.(type) {
	case *ast.NullNode:
		n.shape = shapeNull
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
			n.shape, n.text = shapeText, t.Value
		} else {
			plainScalar(n, t.Value)
		}
	default:
		r.fault(n.at, path, fmt.Sprintf("a %s is not read here", strings.ToLower(from.Type().String())), "")
	}
}

func (r *reader) mapping(n *node, values []*ast.MappingValueNode, path string, depth int) {
	n.shape = shapeMap
	first := map[string]place{}
	for i, v := range values {
		t := v.Key.GetToken()
		at := r.place(t)
		if i == 0 {
			n.at = at
		}
		switch v.Key.(type) {
		case *ast.MergeKeyNode:
			r.fault(at, path, "merge keys (<<) are not read", "write the fields out")
			continue
		case *ast.MappingKeyNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
			r.fault(at, path, "a key must be plain text", "")
			continue
		}
		key := t.Value
		if earlier, ok := first[key]; ok {
			r.fault(at, join(path, key), "given twice", fmt.Sprintf("first on line %d", earlier.line))
			continue
		}
		first[key] = at
		value := r.node(v.Value, join(path, key), depth+1)
		if value.at.line == 0 {
			value.at = at
		}
		n.entries = append(n.entries, entry{key, at, value})
	}
}

func (r *reader) anchor(v *ast.AnchorNode, path string, depth int) *node {
	name := v.Name.GetToken().Value
	r.open[name] = true
	n := r.node(v.Value, path, depth)
	delete(r.open, name)
	r.anchors[name] = n
	return n
}

func (r *reader) alias(n *node, v *ast.AliasNode, path string) *node {
	name := v.Value.GetToken().Value
	target, ok := r.anchors[name]
	switch {
	case r.open[name]:
		r.fault(n.at, path, fmt.Sprintf("*%s stands inside &%s, its own value", clip(name), clip(name)), "")
		return n
	case !ok:
		r.fault(n.at, path, fmt.Sprintf("*%s names no anchor above it", clip(name)), "")
		return n
	}
	r.nodes += target.size(maxNodes)
	if r.nodes > maxNodes {
		r.fault(n.at, path, fmt.Sprintf("the file has more than %d values", maxNodes), "")
		return n
	}
	return target
}

// size counts the values in n, and stops counting past the limit.
func (n *node) size(limit int) int {
	count := 1
	for _, item := range n.items {
		if count > limit {
			break
		}
		count += item.size(limit - count)
	}
	for _, e := range n.entries {
		if count > limit {
			break
		}
		count += e.value.size(limit - count)
	}
	return count
}

// join writes the path of a field of the value at path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
