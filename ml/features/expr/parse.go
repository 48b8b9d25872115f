package expr

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// maxText and maxDeep bound a text and its nesting.
const (
	maxText = 16 << 10 // bytes
	maxDeep = 200
)

// shape is what a tree is.
type shape uint8

const (
	column shape = iota
	number
	text
	truth
	null
	call // of a function or an operator
)

// tree is an expression as it is written.
type tree struct {
	shape shape
	at    int    // the byte that messages point to
	name  string // of a column or a function; what a literal says
	of    []*tree
}

// parser reads a text by recursive descent; what is wrong is thrown as a
// *data.SyntaxError.
type parser struct {
	data.Scanner
	deep int
}

// catch turns what was thrown into an error that shows the place in the text.
func catch(text string, err *error) {
	switch r := recover().(type) {
	case nil:
	case *data.SyntaxError:
		*err = pointed(text, r)
	default:
		panic(r)
	}
}

// pointed is the error of kind Invalid for what is wrong at a byte of the text:
// it shows the line and a caret under the place.
func pointed(text string, wrong *data.SyntaxError) error {
	at := min(wrong.Offset, len(text))
	from := strings.LastIndexByte(text[:at], '\n') + 1
	line, _, _ := strings.Cut(text[from:], "\n")
	before, after := []rune(text[from:at]), []rune(line[at-from:])
	const most = 60 // characters to each side
	left, right := "", ""
	if len(before) > most {
		before, left = before[len(before)-most:], "..."
	}
	if len(after) > most {
		after, right = after[:most], "..."
	}
	shown := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' ' // as wide as the caret's line takes it to be
		}
		return r
	}, left+string(before)+string(after)+right)
	out := *wrong
	out.Offset = utf8.RuneCountInString(text[:at])
	return fault.New(fault.Invalid, "expr: %w\n  %s\n  %s^", &out, shown, strings.Repeat(" ", len(left)+len(before)))
}

func parse(text string) *tree {
	p := &parser{Scanner: data.Scanner{Text: text, Symbols: "*/%?:[]"}}
	if len(text) > maxText {
		p.fail(fmt.Sprintf("the expression has %d bytes; at most %d are allowed", len(text), maxText), "make features of its parts, which it can read")
	}
	p.next()
	t := p.choice()
	if p.Token.Kind != data.EndToken {
		hint := ""
		if p.Token.Kind == data.SymbolToken && p.Token.Text == "(" {
			hint = "functions are called by a plain name"
		}
		p.fail("expected an operator or the end, found "+p.Token.String(), hint)
	}
	return t
}

func (p *parser) next() {
	if err := p.Next(); err != nil {
		panic(err)
	}
}

func (p *parser) fail(message, hint string) { fail(p.Token.At, message, hint) }

func fail(at int, message, hint string) {
	panic(&data.SyntaxError{Offset: at, Message: message, Hint: hint})
}

// enter counts the nesting; what it returns ends the level.
func (p *parser) enter() func() {
	if p.deep++; p.deep > maxDeep {
		p.fail(fmt.Sprintf("the expression is nested more than %d deep", maxDeep), "")
	}
	return func() { p.deep-- }
}

// choice is cond ? a : b, which binds least and to the right.
func (p *parser) choice() *tree {
	defer p.enter()()
	t := p.or()
	at := p.Token.At
	if !p.symbol("?") {
		return t
	}
	a := p.choice()
	p.expect(":", "the values of cond ? a : b are parted by a colon")
	return &tree{call, at, "if", []*tree{t, a, p.choice()}}
}

func (p *parser) or() *tree {
	t := p.and()
	for at := p.Token.At; p.keyword("or"); at = p.Token.At {
		t = &tree{call, at, "or", []*tree{t, p.and()}}
	}
	return t
}

func (p *parser) and() *tree {
	t := p.not()
	for at := p.Token.At; p.keyword("and"); at = p.Token.At {
		t = &tree{call, at, "and", []*tree{t, p.not()}}
	}
	return t
}

func (p *parser) not() *tree {
	at := p.Token.At
	if p.keyword("not") {
		defer p.enter()()
		return &tree{call, at, "not", []*tree{p.not()}}
	}
	return p.comparison()
}

// comparisons are the operators as functions are called.
var comparisons = map[string]string{"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

func (p *parser) comparison() *tree {
	t := p.sum()
	at := p.Token.At
	if op := comparisons[p.Token.Text]; op != "" && p.Token.Kind == data.SymbolToken {
		p.next()
		t = &tree{call, at, op, []*tree{t, p.sum()}}
		if p.Token.Kind == data.SymbolToken && comparisons[p.Token.Text] != "" {
			p.fail("a comparison is not compared further", "write a < b and b < c")
		}
		return t
	}
	if p.keyword("is") {
		negate := p.keyword("not")
		if !p.keyword("null") {
			p.fail("expected null, found "+p.Token.String(), "")
		}
		return negated(negate, &tree{call, at, "is_null", []*tree{t}})
	}
	negate := p.keyword("not")
	switch {
	case p.keyword("in"):
		return negated(negate, &tree{call, at, "in", append([]*tree{t}, p.list()...)})
	case p.keyword("between"):
		low := p.sum()
		if !p.keyword("and") {
			p.fail("expected and, found "+p.Token.String(), "between takes two bounds: between 1 and 5")
		}
		return negated(negate, &tree{call, at, "between", []*tree{t, low, p.sum()}})
	case negate:
		p.fail("expected in or between, found "+p.Token.String(), "")
	case p.is("like", "ilike"):
		p.fail("patterns are not supported", "use contains, starts_with, ends_with or matches")
	}
	return t
}

func negated(negate bool, t *tree) *tree {
	if negate {
		return &tree{call, t.at, "not", []*tree{t}}
	}
	return t
}

// list is what in looks for: (a, b) or [a, b].
func (p *parser) list() []*tree {
	closing := map[string]string{"(": ")", "[": "]"}[p.Token.Text]
	if p.Token.Kind != data.SymbolToken || closing == "" {
		p.fail("expected ( and a list of values, found "+p.Token.String(), "write in (1, 2)")
	}
	p.next()
	return p.arguments(closing, 1)
}

// arguments reads what stands between brackets, of which the first is read.
func (p *parser) arguments(closing string, least int) []*tree {
	var list []*tree
	if least == 0 && p.symbol(closing) {
		return nil
	}
	for {
		list = append(list, p.choice())
		if p.symbol(closing) {
			return list
		}
		if !p.symbol(",") {
			p.fail("expected , or "+closing+", found "+p.Token.String(), "")
		}
	}
}

func (p *parser) sum() *tree {
	return p.chain(p.product, "+", "-")
}

func (p *parser) product() *tree {
	return p.chain(p.unary, "*", "/", "//", "%")
}

// chain reads operators that bind to the left.
func (p *parser) chain(part func() *tree, operators ...string) *tree {
	t := part()
	for {
		op, at := p.Token.Text, p.Token.At
		if p.Token.Kind != data.SymbolToken || !slices.Contains(operators, op) {
			return t
		}
		p.next()
		t = &tree{call, at, op, []*tree{t, part()}}
	}
}

func (p *parser) unary() *tree {
	at := p.Token.At
	switch {
	case p.symbol("-"):
		defer p.enter()()
		t := p.unary()
		if t.shape == number && t.name[0] != '-' { // else the least of all whole numbers could not be written
			return &tree{number, at, "-" + t.name, nil}
		}
		return &tree{call, at, "-x", []*tree{t}}
	case p.symbol("+"):
		defer p.enter()()
		return &tree{call, at, "+x", []*tree{p.unary()}}
	}
	t := p.primary()
	at = p.Token.At
	if p.symbol("**") { // binds to the right, and more than a sign before it
		defer p.enter()()
		return &tree{call, at, "pow", []*tree{t, p.unary()}}
	}
	return t
}

func (p *parser) primary() *tree {
	t := p.Token
	switch {
	case t.Kind == data.TextToken:
		p.next()
		return &tree{text, t.At, t.Text, nil}
	case t.Kind == data.NumberToken:
		p.next()
		return &tree{number, t.At, t.Text, nil}
	case t.Kind == data.NameToken:
		p.next()
		return &tree{column, t.At, t.Text, nil}
	case p.symbol("("):
		inner := p.choice()
		p.expect(")", "")
		return inner
	case t.Kind == data.WordToken:
		return p.word()
	}
	p.fail("expected a column, a number, a text in single quotes or a function, found "+t.String(), "")
	return nil
}

// word is a literal, a function or a column.
func (p *parser) word() *tree {
	t := p.Token
	rest := strings.TrimLeftFunc(p.Rest(), unicode.IsSpace)
	switch {
	case p.is("date", "timestamp") && strings.HasPrefix(rest, "'"):
		p.next()
		out := &tree{text, p.Token.At, p.Token.Text, nil}
		p.next()
		return out
	case p.is("true", "false"):
		p.next()
		return &tree{truth, t.At, strings.ToLower(t.Text), nil}
	case p.is("null"):
		p.next()
		return &tree{null, t.At, "null", nil}
	case data.Keyword(t.Text):
		p.fail("expected a column, a number, a text in single quotes or a function, found "+t.String(),
			fmt.Sprintf(`for the column of that name write "%s"`, t.Text))
	case strings.HasPrefix(rest, "("):
		return p.function()
	}
	p.next()
	return &tree{column, t.At, t.Text, nil}
}

func (p *parser) function() *tree {
	t := p.Token
	name := strings.ToLower(t.Text)
	def, ok := functions[name]
	if !ok {
		fail(t.At, fmt.Sprintf("there is no function %q", t.Text), didYouMean(name, Functions()))
	}
	p.next()
	p.next()
	args := p.arguments(")", 0)
	if n := len(args); n < def.least || n > def.most {
		fail(t.At, fmt.Sprintf("%s takes %s, found %d", name, def.arity(), n), "write "+def.usage)
	}
	return &tree{call, t.At, name, args}
}

func (p *parser) is(words ...string) bool {
	return p.Token.Kind == data.WordToken && slices.Contains(words, strings.ToLower(p.Token.Text))
}

func (p *parser) keyword(word string) bool {
	ok := p.is(word)
	if ok {
		p.next()
	}
	return ok
}

func (p *parser) symbol(s string) bool {
	ok := p.Token.Kind == data.SymbolToken && p.Token.Text == s
	if ok {
		p.next()
	}
	return ok
}

func (p *parser) expect(s, hint string) {
	if !p.symbol(s) {
		p.fail("expected "+s+", found "+p.Token.String(), hint)
	}
}
