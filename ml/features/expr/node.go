package expr

import (
	"strings"

	"github.com/troupe-ml/troupe/data"
)

// Node is a part of an expression, for programs that write it in another
// language. It is a column, a literal, or a call of a function or an operator.
// Parts that are written alike are one Node.
type Node struct {
	// Call is what is called: a name of Functions, an operator as + or <=, -x or
	// +x of one value, and, or, not, in, between. Empty when nothing is.
	Call string
	Of   []*Node // the arguments, as they are written: not yet of one type
	// Column is the column that it is; empty when it is none.
	Column string
	// Type is that of the values: of a column its own, else as in Program.Field.
	// Of a null that may become anything it says nothing.
	Type data.Type
	UTC  bool // of a timestamp that is an instant
	// Value is what a literal is: a bool, an int64 (also microseconds and days of
	// times), a float64 or a string; nil where it is null, and of what is no literal.
	Value any
}

// Literal reports whether n is one value for all rows. What can be computed
// without a row is one.
func (n *Node) Literal() bool { return n.Call == "" && n.Column == "" }

// Tree returns the expression as other programs see it. It is not to be changed.
func (p *Program) Tree() *Node { return p.tree }

// describe keeps what a tree is to other programs.
func (c *checker) describe(t *tree, is term) {
	name := c.same[t]
	if c.nodes[name] != nil {
		return
	}
	n := &Node{Type: typeOf(is.kind), UTC: is.utc}
	c.nodes[name] = n
	l, ok := is.literal()
	switch {
	case ok && l.null:
	case ok:
		n.Value = map[kind]any{truthKind: l.truth == yes, intKind: l.i, floatKind: l.f, textKind: strings.Clone(l.s), timeKind: l.i, dateKind: l.i}[l.kind]
	case t.shape == column:
		n.Column, n.Type = t.name, c.schema.Fields[c.schema.Index(t.name)].Type
	default:
		n.Call = t.name
		for _, of := range t.of {
			n.Of = append(n.Of, c.nodes[c.same[of]])
		}
	}
}

// typeOf is the type of a column of values of a kind.
func typeOf(k kind) data.Type {
	return map[kind]data.Type{
		truthKind: data.Bool, intKind: data.Int64, floatKind: data.Float64,
		textKind: data.String, timeKind: data.Timestamp, dateKind: data.Date,
	}[k]
}
