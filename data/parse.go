package data

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/internal/fault"
)

// SyntaxError is what is wrong with the text of a condition, and where.
type SyntaxError struct {
	Offset  int // in characters, from 0
	Message string
	Hint    string // what to do, if it is known
}

// Error says all of it in one line.
func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("character %d: %s", e.Offset+1, e.Message)
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return text
}

// maxPredicate and maxDeep bound the text of a condition and its nesting.
const (
	maxPredicate = 64 << 10 // bytes
	maxDeep      = 200
)

// ParsePredicate reads a condition as SQL writes it:
//
//	amount > 100 and (country in ('DE', 'FR') or country is null)
//	not is_test and ts >= '2024-05-01' and ts < timestamp '2024-06-01 12:00:00'
//	"unit price" between 1 and 2.5
//
// Comparisons are = (or ==), != (or <>), <, <=, > and >=, of a column with a
// number, a text or time in single quotes, true or false. Further: [not] in
// (...), is [not] null, [not] between a and b, and, or, not, parentheses, and a
// column of truth values by itself. not binds closest, then and, then or.
// Keywords may be of either case; a name that is a keyword or no plain word
// stands in double quotes.
//
// The error is of kind Invalid and wraps a *SyntaxError.
func ParsePredicate(text string) (p *Predicate, err error) {
	c := &condition{Scanner{Text: text}}
	defer func() {
		if r := recover(); r != nil {
			wrong, ok := r.(*SyntaxError)
			if !ok {
				panic(r)
			}
			wrong.Offset = utf8.RuneCountInString(text[:wrong.Offset])
			p, err = nil, fault.New(fault.Invalid, "where: %w", wrong)
		}
	}()
	if len(text) > maxPredicate {
		c.fail(fmt.Sprintf("the condition has %d bytes; at most %d are allowed", len(text), maxPredicate), "")
	}
	c.next()
	p = c.or(0)
	if c.Token.Kind != EndToken {
		c.fail("expected and, or, or the end, found "+c.Token.String(), "")
	}
	return p, nil
}

// condition reads a text by recursive descent; what is wrong is thrown as a
// *SyntaxError.
type condition struct{ Scanner }

func (c *condition) next() {
	if err := c.Next(); err != nil {
		panic(err)
	}
}

func (c *condition) fail(message, hint string) {
	panic(&SyntaxError{c.Token.At, message, hint})
}

func (c *condition) or(deep int) *Predicate {
	of := []*Predicate{c.and(deep)}
	for c.keyword("or") {
		of = append(of, c.and(deep))
	}
	if len(of) == 1 {
		return of[0]
	}
	return Or(of...)
}

func (c *condition) and(deep int) *Predicate {
	of := []*Predicate{c.not(deep)}
	for c.keyword("and") {
		of = append(of, c.not(deep))
	}
	if len(of) == 1 {
		return of[0]
	}
	return And(of...)
}

func (c *condition) not(deep int) *Predicate {
	if deep > maxDeep {
		c.fail(fmt.Sprintf("conditions are nested more than %d deep", maxDeep), "")
	}
	if c.keyword("not") {
		return Not(c.not(deep + 1))
	}
	if c.symbol("(") {
		p := c.or(deep + 1)
		if !c.symbol(")") {
			c.fail("expected ), found "+c.Token.String(), "")
		}
		return p
	}
	return c.leaf()
}

// flipped are the operators with their sides exchanged.
var flipped = map[Op]Op{Eq: Eq, Ne: Ne, Lt: Gt, Le: Ge, Gt: Lt, Ge: Le}

func (c *condition) leaf() *Predicate {
	start := c.Token
	if v, ok := c.literal(); ok {
		op, compares := c.operator()
		switch {
		case compares:
			return Compare(c.column(), flipped[op], v)
		case v.Kind() == BoolLiteral && v.Bool():
			return And()
		case v.Kind() == BoolLiteral:
			return Or()
		}
		c.Token.At = start.At
		c.fail(fmt.Sprintf("%s is no condition", start), "compare it with a column")
	}
	column := c.column()
	if op, ok := c.operator(); ok {
		return Compare(column, op, c.value())
	}
	if c.keyword("is") {
		negate := c.keyword("not")
		if !c.keyword("null") {
			c.fail("expected null, found "+c.Token.String(), "")
		}
		return negated(negate, IsNull(column))
	}
	negate := c.keyword("not")
	switch {
	case c.keyword("in"):
		return negated(negate, In(column, c.list()...))
	case c.keyword("between"):
		low := c.value()
		if !c.keyword("and") {
			c.fail("expected and, found "+c.Token.String(), "between takes two bounds: between 1 and 5")
		}
		return negated(negate, And(Compare(column, Ge, low), Compare(column, Le, c.value())))
	case negate, c.Token.Kind == WordToken && !c.is("and", "or"), c.Token.Kind == SymbolToken && c.Token.Text != ")":
		hint := ""
		if c.is("like", "ilike") {
			hint = "patterns are not supported"
		}
		c.fail("expected a comparison, in, is null or between, found "+c.Token.String(), hint)
	}
	return Compare(column, Eq, BoolValue(true))
}

func negated(negate bool, p *Predicate) *Predicate {
	if negate {
		return Not(p)
	}
	return p
}

// column reads a column's name.
func (c *condition) column() string {
	t := c.Token
	if t.Kind == NameToken || t.Kind == WordToken && !Keyword(t.Text) {
		c.next()
		return t.Text
	}
	hint := ""
	if t.Kind == WordToken {
		hint = fmt.Sprintf(`for the column of that name write "%s"`, t.Text)
	}
	c.fail("expected a column, found "+t.String(), hint)
	return ""
}

func (c *condition) list() []Value {
	if !c.symbol("(") {
		c.fail("expected ( and a list of values, found "+c.Token.String(), "write in (1, 2)")
	}
	values := []Value{c.value()}
	for c.symbol(",") {
		values = append(values, c.value())
	}
	if !c.symbol(")") {
		c.fail("expected , or ), found "+c.Token.String(), "")
	}
	return values
}

// value reads a literal that must be there.
func (c *condition) value() Value {
	v, ok := c.literal()
	if !ok {
		hint := "columns are compared with literals only; texts stand in single quotes"
		if c.is("null") {
			hint = "a comparison with null is never true: write is null"
		}
		c.fail("expected a number, a text in single quotes, true or false, found "+c.Token.String(), hint)
	}
	return v
}

func (c *condition) literal() (v Value, ok bool) {
	t := c.Token
	switch {
	case t.Kind == TextToken:
		v = StringValue(t.Text)
	case t.Kind == NumberToken:
		v = c.number(t.Text)
	case t.Kind == SymbolToken && (t.Text == "-" || t.Text == "+"):
		c.next()
		if c.Token.Kind != NumberToken {
			c.fail("expected a number, found "+c.Token.String(), "")
		}
		v = c.number(t.Text + c.Token.Text)
	case c.is("true", "false"):
		v = BoolValue(strings.EqualFold(t.Text, "true"))
	case c.is("date", "timestamp") && c.quoteFollows():
		c.next()
		v = StringValue(c.Token.Text)
	default:
		return v, false
	}
	c.next()
	return v, true
}

// quoteFollows reports whether a text in quotes stands behind the token, as in
// timestamp '2024-05-01'.
func (c *condition) quoteFollows() bool {
	return strings.HasPrefix(strings.TrimLeftFunc(c.Rest(), unicode.IsSpace), "'")
}

func (c *condition) number(text string) Value {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return IntValue(i)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		c.fail(fmt.Sprintf("%s is no number of 64 bits", clip(text)), "")
	}
	return FloatValue(f)
}

var operators = map[string]Op{"=": Eq, "==": Eq, "!=": Ne, "<>": Ne, "<": Lt, "<=": Le, ">": Gt, ">=": Ge}

func (c *condition) operator() (Op, bool) {
	op, ok := operators[c.Token.Text]
	if ok = ok && c.Token.Kind == SymbolToken; ok {
		c.next()
	}
	return op, ok
}

func (c *condition) is(words ...string) bool {
	return c.Token.Kind == WordToken && slices.Contains(words, strings.ToLower(c.Token.Text))
}

func (c *condition) keyword(word string) bool {
	ok := c.is(word)
	if ok {
		c.next()
	}
	return ok
}

func (c *condition) symbol(s string) bool {
	ok := c.Token.Kind == SymbolToken && c.Token.Text == s
	if ok {
		c.next()
	}
	return ok
}
