package expr

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/data"
)

// kind is what a value is.
type kind uint8

const (
	nullKind kind = iota // null, which may become any other
	truthKind
	intKind
	floatKind
	textKind
	timeKind
	dateKind
)

func (k kind) String() string {
	return [...]string{"null", "a truth", "a whole number", "a number", "a text", "a timestamp", "a date"}[k]
}

// typ is the type of an expression.
type typ struct {
	kind kind
	utc  bool // a timestamp that is an instant, not a wall time
}

func (t typ) String() string {
	if t.kind == timeKind && t.utc {
		return "a timestamp in UTC"
	}
	return t.kind.String()
}

func (t typ) numeric() bool { return t.kind == intKind || t.kind == floatKind }

// term is an expression with its type.
type term struct {
	typ
	node  node
	at    int  // in the text
	short bool // a column of float32, with whose precision literals are compared
	cost  int  // of a row, in additions or so
}

// literal returns the value when it is one for all rows.
func (t term) literal() (literal, bool) {
	l, ok := t.node.(literal)
	return l, ok
}

// checker gives the parts of a tree their types, and makes nodes of them. What
// is wrong is thrown as a *data.SyntaxError.
type checker struct {
	text   string
	schema data.Schema
	names  []string // columns that are read
	slots  int
	state  []any // of what is folded

	same   map[*tree]string // what calls that are written alike have in common
	uses   map[string]int   // how often that is written
	shared map[string]term  // of what is written more than once
	nodes  map[string]*Node // as other programs see them
}

func (c *checker) slot() int {
	c.slots++
	return c.slots - 1
}

func (c *checker) check(t *tree) term {
	out := c.term(t)
	c.describe(t, out)
	return out
}

func (c *checker) term(t *tree) term {
	switch t.shape {
	case column:
		return c.column(t)
	case number:
		return c.number(t)
	case text:
		return c.constant(t.at, literal{typ: typ{kind: textKind}, s: t.name})
	case truth:
		return c.constant(t.at, literal{typ: typ{kind: truthKind}, truth: no - one(t.name == "true")})
	case null:
		return c.constant(t.at, literal{typ: typ{kind: nullKind}, null: true})
	}
	same := c.same[t]
	if out, ok := c.shared[same]; ok {
		out.at = t.at
		return out
	}
	args := make([]term, len(t.of))
	for i, of := range t.of {
		args[i] = c.check(of)
	}
	out := functions[t.name].build(c, t, args)
	out.at = t.at
	for _, a := range args {
		out.cost += a.cost
	}
	out = c.fold(out, args)
	if _, ok := out.literal(); !ok && c.uses[same] > 1 && out.cost > 0 {
		out.node = shared{out.node, c.slot()}
		c.shared[same] = out
	}
	return out
}

// count finds calls that are written more than once. names gives trees that are
// written alike one short name.
func (c *checker) count(t *tree, names map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %q", t.shape, t.name)
	for _, of := range t.of {
		b.WriteString(" " + c.count(of, names))
	}
	name, ok := names[b.String()]
	if !ok {
		name = strconv.Itoa(len(names))
		names[b.String()] = name
	}
	c.same[t] = name
	c.uses[name]++
	return name
}

func (c *checker) column(t *tree) term {
	i := c.schema.Index(t.name)
	if i < 0 {
		fail(t.at, fmt.Sprintf("there is no column %q", t.name), c.columnHint(t))
	}
	f := c.schema.Fields[i]
	at := slices.Index(c.names, t.name)
	if at < 0 {
		at = len(c.names)
		c.names = append(c.names, t.name)
	}
	out := term{typ: typ{kindOf(f.Type), f.UTC && f.Type == data.Timestamp}, at: t.at, short: f.Type == data.Float32}
	out.node = columnNode{at, out.kind}
	return out
}

func (c *checker) columnHint(t *tree) string {
	if c.text[t.at] == '"' {
		return fmt.Sprintf("texts stand in single quotes: '%s'", t.name)
	}
	return didYouMean(t.name, c.schema.Names())
}

func kindOf(t data.Type) kind {
	switch t {
	case data.Bool:
		return truthKind
	case data.Int32, data.Int64:
		return intKind
	case data.Float32, data.Float64:
		return floatKind
	case data.String:
		return textKind
	case data.Timestamp:
		return timeKind
	default:
		return dateKind
	}
}

func (c *checker) number(t *tree) term {
	if i, err := strconv.ParseInt(t.name, 10, 64); err == nil {
		return c.constant(t.at, literal{typ: typ{kind: intKind}, i: i})
	}
	f, err := strconv.ParseFloat(t.name, 64)
	if err != nil || math.IsInf(f, 0) {
		fail(t.at, fmt.Sprintf("%s is no number of 64 bits", clip(t.name)), "")
	}
	return c.constant(t.at, literal{typ: typ{kind: floatKind}, f: f})
}

// constant is a literal as a term.
func (c *checker) constant(at int, l literal) term {
	l.slot = c.slot()
	return term{typ: l.typ, node: l, at: at}
}

// fold computes what is the same for all rows.
func (c *checker) fold(t term, args []term) term {
	for _, a := range args {
		if _, ok := a.literal(); !ok {
			return t
		}
	}
	if _, ok := t.literal(); ok {
		return t
	}
	c.state = append(c.state, make([]any, c.slots-len(c.state))...)
	f := &frame{n: 1, total: 1, state: c.state, pools: &pools{}}
	v := t.node.eval(f)
	l := literal{typ: t.typ}
	switch {
	case v.truths != nil:
		l.truth = v.truths[0] & (yes | no)
		l.null = l.truth == 0
	case !v.valid.Get(0):
		l.null = true
	case v.floats != nil:
		l.f = v.floats[0]
	case v.codes != nil:
		l.s = v.dict[v.codes[0]]
	default:
		l.i = v.ints[0]
	}
	return c.constant(t.at, l)
}

// want fails unless a term is of one of the kinds; a null becomes the first.
func (c *checker) want(who string, t term, kinds ...kind) term {
	if slices.Contains(kinds, t.kind) {
		return t
	}
	if t.kind == nullKind {
		return c.become(t, typ{kind: kinds[0]})
	}
	words := ""
	for i, k := range kinds {
		switch {
		case i > 0 && i == len(kinds)-1:
			words += " or "
		case i > 0:
			words += ", "
		}
		words += k.String()
	}
	if slices.Contains(kinds, intKind) && slices.Contains(kinds, floatKind) && len(kinds) == 2 {
		words = "a number"
	}
	hint := ""
	switch {
	case t.kind == truthKind && slices.Contains(kinds, intKind):
		hint = "int(...) makes 0 and 1 of truths"
	case t.kind == textKind && slices.Contains(kinds, floatKind):
		hint = "float(...) reads numbers from texts"
	case t.kind == dateKind && len(kinds) == 1 && kinds[0] == timeKind:
		hint = "a date has no time of day"
	case slices.Contains(kinds, truthKind) && t.numeric():
		hint = "compare it with a number, such as > 0"
	}
	fail(t.at, fmt.Sprintf("%s takes %s, found %v", who, words, t.typ), hint)
	return t
}

// numeric makes sure of a number.
func (c *checker) numeric(who string, t term) term { return c.want(who, t, floatKind, intKind) }

// float makes sure of a number, and makes it a float.
func (c *checker) float(who string, t term) term {
	t = c.numeric(who, t)
	return c.become(t, typ{kind: floatKind})
}

// become makes a term of another type of it: of a null any, of a whole number a
// float, of a text that stands in the expression a time or a date. Others stay.
func (c *checker) become(t term, to typ) term {
	l, isLiteral := t.literal()
	switch {
	case t.kind == nullKind:
		l.typ = to
		return c.constant(t.at, l)
	case t.kind == intKind && to.kind == floatKind && isLiteral:
		return c.constant(t.at, literal{typ: to, f: float64(l.i), null: l.null})
	case t.kind == intKind && to.kind == floatKind:
		if col, ok := t.node.(columnNode); ok {
			col.kind = floatKind
			return term{typ: to, node: col, at: t.at, cost: t.cost}
		}
		return term{typ: to, node: map1[int64, float64]{of: t.node, run: intsToFloats}, at: t.at, cost: t.cost}
	case t.kind == textKind && isLiteral && !l.null && to.kind == timeKind:
		i, err := data.ParseTimestamp(l.s, to.utc)
		if err != nil {
			fail(t.at, err.Error(), "")
		}
		return c.constant(t.at, literal{typ: to, i: i})
	case t.kind == textKind && isLiteral && !l.null && to.kind == dateKind:
		i, err := data.ParseDate(l.s)
		if err != nil {
			fail(t.at, err.Error(), "")
		}
		return c.constant(t.at, literal{typ: to, i: int64(i)})
	}
	return t
}

// alike gives terms one type: whole numbers beside fractions become floats,
// texts beside times become times, nulls what the others are.
func (c *checker) alike(who string, ts []term) []term {
	to := typ{kind: nullKind}
	for _, t := range ts {
		_, isLiteral := t.literal()
		switch {
		case to.kind == nullKind,
			to.kind == intKind && t.kind == floatKind,
			to.kind == textKind && (t.kind == timeKind || t.kind == dateKind) && !isLiteral:
			to = t.typ
		}
	}
	out := make([]term, len(ts))
	for i, t := range ts {
		out[i] = c.become(t, to)
		if out[i].typ != to {
			fail(t.at, fmt.Sprintf("%s takes values of one type, found %v beside %v", who, t.typ, to), c.mixed(t.typ, to))
		}
	}
	return out
}

func (c *checker) mixed(a, b typ) string {
	switch {
	case a.kind == timeKind && b.kind == timeKind:
		return "one is an instant, the other a wall time"
	case a.kind == textKind && b.numeric(), b.kind == textKind && a.numeric():
		return "float(...) reads numbers from texts, string(...) writes them"
	case a.kind == dateKind && b.kind == timeKind, a.kind == timeKind && b.kind == dateKind:
		return "date(...) takes the date of a timestamp"
	case a.kind == truthKind && b.numeric(), b.kind == truthKind && a.numeric():
		return "int(...) makes 0 and 1 of truths"
	}
	return ""
}
