package data

import (
	"slices"
	"strings"
)

// Op is what a node of a predicate does.
type Op uint8

// The operators. Eq to Ge compare a column with one literal, OpIn with a list;
// OpIsNull asks whether a value is missing; the last three combine predicates.
const (
	Eq Op = iota
	Ne
	Lt
	Le
	Gt
	Ge
	OpIn
	OpIsNull
	OpAnd
	OpOr
	OpNot
)

var opNames = [...]string{"=", "!=", "<", "<=", ">", ">=", "in", "is null", "and", "or", "not"}

// String returns the operator as a where clause has it.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "op?"
}

// Predicate is a condition on the rows of a table: a tree whose leaves compare
// one column with literals. It has the three values of SQL: a comparison with a
// missing value is neither true nor false, and only rows for which the whole is
// true are kept. NaN counts as missing, here as in all of Troupe.
//
// A Predicate knows no types: Bind checks it against a schema.
type Predicate struct {
	Op     Op
	Column string       // of a leaf
	Values []Value      // Eq to Ge: one; OpIn: any number, none is never true
	Of     []*Predicate // OpAnd, OpOr: any number; OpNot: one
}

// Compare returns the comparison of a column with a literal; op is Eq to Ge.
func Compare(column string, op Op, v Value) *Predicate {
	return &Predicate{Op: op, Column: column, Values: []Value{v}}
}

// In returns whether a column has one of the values.
func In(column string, values ...Value) *Predicate {
	return &Predicate{Op: OpIn, Column: column, Values: values}
}

// IsNull returns whether the column's value is missing: null, or NaN.
func IsNull(column string) *Predicate { return &Predicate{Op: OpIsNull, Column: column} }

// And is true when all are, and false when one is; of none it is true.
func And(of ...*Predicate) *Predicate { return &Predicate{Op: OpAnd, Of: of} }

// Or is true when one is, and false when all are; of none it is false.
func Or(of ...*Predicate) *Predicate { return &Predicate{Op: OpOr, Of: of} }

// Not is true when p is false, and neither when p is neither.
func Not(p *Predicate) *Predicate { return &Predicate{Op: OpNot, Of: []*Predicate{p}} }

// Columns returns the columns that p looks at, each once, in order of first
// mention.
func (p *Predicate) Columns() []string {
	var names []string
	p.walk(func(leaf *Predicate) {
		if !slices.Contains(names, leaf.Column) {
			names = append(names, leaf.Column)
		}
	})
	return names
}

func (p *Predicate) walk(visit func(leaf *Predicate)) {
	if p.Op < OpAnd {
		visit(p)
	}
	for _, q := range p.Of {
		q.walk(visit)
	}
}

// String writes the predicate as a where clause: keywords in small letters, the
// fewest parentheses, names in double quotes where they are no plain words.
// Equal trees give equal strings.
func (p *Predicate) String() string {
	var b strings.Builder
	p.write(&b, OpOr)
	return b.String()
}

// write writes p, in parentheses when it binds less than its place demands:
// OpOr, OpAnd or OpNot.
func (p *Predicate) write(b *strings.Builder, place Op) {
	p = p.simple()
	switch p.Op {
	case OpAnd, OpOr:
		p.writeList(b, place)
	case OpNot:
		if q := p.Of[0].simple(); q.Op == OpIsNull {
			b.WriteString(QuoteName(q.Column) + " is not null")
			return
		}
		b.WriteString("not ")
		p.Of[0].write(b, OpNot)
	case OpIsNull:
		b.WriteString(QuoteName(p.Column) + " is null")
	case OpIn:
		b.WriteString(QuoteName(p.Column) + " in (")
		for i, v := range p.Values {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(v.String())
		}
		b.WriteString(")")
	default:
		b.WriteString(QuoteName(p.Column) + " " + p.Op.String() + " " + p.Values[0].String())
	}
}

// simple returns the only member of a list of one.
func (p *Predicate) simple() *Predicate {
	for (p.Op == OpAnd || p.Op == OpOr) && len(p.Of) == 1 {
		p = p.Of[0]
	}
	return p
}

func (p *Predicate) writeList(b *strings.Builder, place Op) {
	if len(p.Of) == 0 {
		b.WriteString(BoolValue(p.Op == OpAnd).String())
		return
	}
	closed := p.Op == OpOr && place != OpOr || place == OpNot
	if closed {
		b.WriteString("(")
	}
	for i, q := range p.Of {
		if i > 0 {
			b.WriteString(" " + p.Op.String() + " ")
		}
		inner := OpAnd
		if q.simple().Op == p.Op { // keep the tree as it is
			inner = OpNot
		}
		q.write(b, inner)
	}
	if closed {
		b.WriteString(")")
	}
}

var keywords = []string{"and", "or", "not", "in", "is", "null", "true", "false", "between", "like"}

// Keyword reports whether a word means something to where clauses, in capital or
// small letters, so that a column of that name must stand in double quotes.
func Keyword(word string) bool { return slices.Contains(keywords, strings.ToLower(word)) }

// QuoteName writes a column's name as a where clause has it: as it is when it
// is a word of letters, digits, _ and dots that is no keyword, else in double
// quotes, which are doubled within.
func QuoteName(name string) string {
	plain := name != "" && !Keyword(name)
	for i, r := range name {
		switch {
		case r == '_', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		case i > 0 && (r == '.' || '0' <= r && r <= '9'):
		default:
			plain = false
		}
	}
	if plain {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
