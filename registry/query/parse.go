package query

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tokenKind is what a token of a filter is.
type tokenKind int

const (
	end tokenKind = iota
	word
	number
	quoted // a text in single or double quotes
	sign   // a comparison, a bracket or a comma
)

type token struct {
	kind     tokenKind
	text     string // without quotes
	quotedAt int    // of a word: where its quoted part begins, or -1
	at       int    // in the source
	what     string
	source   string
}

func (t token) isWord(w string) bool { return t.kind == word && strings.EqualFold(t.text, w) }

func (t token) wrong(format string, args ...any) error {
	return wrong(t.what, t.source, t.at, format, args...)
}

type parser struct {
	tokens []token
	last   token
}

func newParser(what, source string) (*parser, error) {
	p := &parser{last: token{kind: end, text: "the end", at: len(source), what: what, source: source}}
	for at := 0; at < len(source); {
		if strings.IndexByte(" \t\r\n", source[at]) >= 0 {
			at++
			continue
		}
		t, next, err := scan(what, source, at)
		if err != nil {
			return nil, err
		}
		t.at, t.what, t.source = at, what, source
		p.tokens = append(p.tokens, t)
		at = next
	}
	return p, nil
}

// scan returns the token at a place, and where it ends.
func scan(what, source string, at int) (t token, next int, err error) {
	rest := source[at:]
	for _, s := range []string{">=", "<=", "!=", ">", "<", "=", "(", ")", ","} {
		if strings.HasPrefix(rest, s) {
			return token{kind: sign, text: s}, at + len(s), nil
		}
	}
	if strings.IndexByte(`'"`, rest[0]) >= 0 {
		text, next, err := unquote(what, source, at)
		return token{kind: quoted, text: text}, next, err
	}
	return scanWord(what, source, at)
}

// scanWord reads a word or number; what follows a dot of a word may be quoted.
func scanWord(what, source string, at int) (token, int, error) {
	t, start := token{kind: word, quotedAt: -1}, at
	for at < len(source) {
		c := source[at]
		if c == '`' || c == '"' && at > start && source[at-1] == '.' {
			if t.quotedAt < 0 {
				t.quotedAt = len(t.text)
			}
			text, next, err := unquote(what, source, at)
			if err != nil {
				return t, 0, err
			}
			t.text, at = t.text+text, next
			continue
		}
		if strings.IndexByte(" \t\r\n=!<>(),'\"", c) >= 0 {
			break
		}
		t.text, at = t.text+string(c), at+1
	}
	if at == start {
		return t, 0, wrong(what, source, at, "%q is not expected here", source[at:at+1])
	}
	if _, err := strconv.ParseFloat(t.text, 64); err == nil && t.quotedAt < 0 && strings.IndexByte("+-.0123456789", t.text[0]) >= 0 {
		t.kind = number
	}
	return t, at, nil
}

// unquote returns the text between the quote at a place and its like; a quote
// that is written twice stands for itself.
func unquote(what, source string, at int) (text string, next int, err error) {
	quote := source[at]
	var b strings.Builder
	for i := at + 1; i < len(source); i++ {
		switch {
		case source[i] != quote:
			b.WriteByte(source[i])
		case i+1 < len(source) && source[i+1] == quote:
			b.WriteByte(quote)
			i++
		default:
			return b.String(), i + 1, nil
		}
	}
	return "", 0, wrong(what, source, at, "the quote %c is not closed", quote)
}

func (p *parser) done() bool { return len(p.tokens) == 0 }

func (p *parser) peek() token {
	if p.done() {
		return p.last
	}
	return p.tokens[0]
}

func (p *parser) next() token {
	t := p.peek()
	if !p.done() {
		p.tokens = p.tokens[1:]
	}
	return t
}

// term reads one comparison.
func (p *parser) term(g Grammar) (term, error) {
	name := p.next()
	if name.kind != word {
		return term{}, name.wrong("expected a field such as metrics.loss, found %q", name.text)
	}
	f, err := g.field(name)
	if err != nil {
		return term{}, err
	}
	t := term{field: f, isNum: g.isNumber(f)}
	at := p.peek()
	if t.op, err = p.operator(); err != nil {
		return term{}, err
	}
	if t.isNum {
		return t, p.numberTerm(&t, at)
	}
	return t, p.textTerm(&t, at)
}

// operator reads =, LIKE, NOT IN and so on, in capital letters.
func (p *parser) operator() (string, error) {
	t := p.next()
	switch {
	case t.kind == sign && !slices.Contains([]string{"(", ")", ","}, t.text):
		return t.text, nil
	case t.isWord("LIKE"), t.isWord("ILIKE"), t.isWord("IN"):
		return strings.ToUpper(t.text), nil
	case t.isWord("NOT") && p.peek().isWord("IN"):
		p.next()
		return "NOT IN", nil
	case t.isWord("IS") && p.peek().isWord("NULL"):
		p.next()
		return "IS NULL", nil
	case t.isWord("IS") && p.peek().isWord("NOT"):
		p.next()
		if null := p.next(); !null.isWord("NULL") {
			return "", null.wrong("expected NULL, found %q", null.text)
		}
		return "IS NOT NULL", nil
	}
	return "", t.wrong("expected a comparison, found %q; there are =, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL and IS NOT NULL", t.text)
}

func (p *parser) numberTerm(t *term, at token) error {
	if !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, t.op) {
		return at.wrong("%s is a number, which %s does not compare", t.field, t.op)
	}
	v := p.next()
	n, err := strconv.ParseFloat(v.text, 64)
	if v.kind != number || err != nil {
		return v.wrong("%s is compared with a number without quotes, found %q", t.field, v.text)
	}
	t.number = n
	return nil
}

func (p *parser) textTerm(t *term, at token) (err error) {
	switch t.op {
	case "IS NULL", "IS NOT NULL":
		return nil
	case "IN", "NOT IN":
		t.texts, err = p.list(t.field)
		return err
	case "=", "!=", "LIKE", "ILIKE":
	default:
		return at.wrong("%s is a text, which %s does not compare", t.field, t.op)
	}
	v := p.next()
	if v.kind != quoted {
		return v.wrong("%s is compared with a text in quotes, found %q", t.field, v.text)
	}
	t.texts = []string{v.text}
	if t.op == "LIKE" || t.op == "ILIKE" {
		t.like = likeness(v.text, t.op == "ILIKE")
	}
	return nil
}

// list reads ('a', 'b').
func (p *parser) list(f Field) ([]string, error) {
	if open := p.next(); open.text != "(" || open.kind != sign {
		return nil, open.wrong("expected ( and texts in quotes for %s, found %q", f, open.text)
	}
	var texts []string
	for {
		v := p.next()
		if v.kind == sign && v.text == ")" {
			return texts, nil
		}
		if v.kind != quoted {
			return nil, v.wrong("%s is compared with texts in quotes, found %q", f, v.text)
		}
		texts = append(texts, v.text)
		switch sep := p.next(); {
		case sep.kind == sign && sep.text == ")":
			return texts, nil
		case sep.kind != sign || sep.text != ",":
			return nil, sep.wrong("expected , or ), found %q", sep.text)
		}
	}
}

// likeness is a pattern of LIKE, in which % stands for any text and _ for any
// character.
func likeness(pattern string, anyCase bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("(?s")
	if anyCase {
		b.WriteString("i")
	}
	b.WriteString(")^")
	for _, c := range pattern {
		switch c {
		case '%':
			b.WriteString(".*")
		case '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString("$")
	return regexp.MustCompile(b.String())
}
