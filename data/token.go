package data

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is what a piece of a condition is.
type tokenKind uint8

const (
	endToken    tokenKind = iota
	wordToken             // a keyword or a column
	nameToken             // a column in double quotes
	textToken             // in single quotes
	numberToken           // without its sign
	symbolToken
)

// token is one piece of a condition.
type token struct {
	kind tokenKind
	text string // without quotes
	at   int    // its first byte
}

func (t token) String() string {
	switch t.kind {
	case endToken:
		return "the end"
	case textToken:
		return "'" + clip(t.text) + "'"
	case nameToken:
		return `"` + clip(t.text) + `"`
	}
	return clip(t.text)
}

// next reads the next token.
func (c *condition) next() {
	for c.at < len(c.text) {
		r, size := utf8.DecodeRuneInString(c.text[c.at:])
		if !unicode.IsSpace(r) {
			break
		}
		c.at += size
	}
	c.token = token{at: c.at}
	rest := c.text[c.at:]
	if rest == "" {
		return
	}
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case r == '\'':
		c.token.kind, c.token.text = textToken, c.quoted('\'')
		return
	case r == '"':
		c.token.kind, c.token.text = nameToken, c.quoted('"')
		return
	case r == '_' || unicode.IsLetter(r):
		c.token.kind, c.token.text = wordToken, leading(rest, wordRune)
	case '0' <= r && r <= '9' || r == '.' && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9':
		c.token.kind, c.token.text = numberToken, numberOf(rest)
	default:
		c.token.kind, c.token.text = symbolToken, rest[:size]
		if len(rest) > 1 && operators[rest[:2]] != 0 || strings.HasPrefix(rest, "==") {
			c.token.text = rest[:2]
		}
		if r == utf8.RuneError || !strings.Contains("()=<>!,+-", rest[:1]) || c.token.text == "!" {
			c.fail(fmt.Sprintf("unexpected %q", rest[:size]), "")
		}
	}
	c.at += len(c.token.text)
}

func wordRune(r rune) bool {
	return r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func leading(s string, is func(rune) bool) string {
	if i := strings.IndexFunc(s, func(r rune) bool { return !is(r) }); i >= 0 {
		return s[:i]
	}
	return s
}

// numberOf returns the number that s begins with, and whatever is stuck to it,
// so that 12ab is one wrong number rather than two tokens.
func numberOf(s string) string {
	n := leading(s, wordRune)
	if last := n[len(n)-1]; (last == 'e' || last == 'E') && len(n) < len(s) && (s[len(n)] == '-' || s[len(n)] == '+') {
		n += s[len(n):len(n)+1] + leading(s[len(n)+1:], wordRune)
	}
	return n
}

// quoted reads a text up to its closing quote; a doubled quote stands for one.
func (c *condition) quoted(quote byte) string {
	var b strings.Builder
	for i := c.at + 1; i < len(c.text); i++ {
		if c.text[i] != quote {
			b.WriteByte(c.text[i])
			continue
		}
		if i+1 < len(c.text) && c.text[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		c.at = i + 1
		return b.String()
	}
	c.fail(fmt.Sprintf("the closing %c is missing", quote), "")
	return ""
}

// clip shortens what messages quote.
func clip(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}
