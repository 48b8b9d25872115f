package data

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TokenKind is what a piece of a text is.
type TokenKind uint8

// The kinds of tokens.
const (
	EndToken    TokenKind = iota
	WordToken             // a keyword, a column, or what a function is called
	NameToken             // a column in double quotes
	TextToken             // in single quotes
	NumberToken           // without its sign
	SymbolToken
)

// Token is one piece of a condition or an expression.
type Token struct {
	Kind TokenKind
	Text string // without quotes
	At   int    // its first byte
}

// String returns the token as messages quote it.
func (t Token) String() string {
	switch t.Kind {
	case EndToken:
		return "the end"
	case TextToken:
		return "'" + clip(t.Text) + "'"
	case NameToken:
		return `"` + clip(t.Text) + `"`
	}
	return clip(t.Text)
}

// Scanner cuts a text into tokens: words, numbers, texts in single and names in
// double quotes, and the symbols of where clauses. So the languages that are
// made of them agree on what a number, a text and a name are.
type Scanner struct {
	Text    string
	Symbols string // one character each, besides those of where clauses; with * also **, with / also //
	Token   Token  // the one that Next has read
	at      int    // where the next token is looked for
}

// Rest returns what follows the token.
func (c *Scanner) Rest() string { return c.Text[c.at:] }

// Next reads the next token. An error leaves the token where the fault is; its
// offset is in bytes.
func (c *Scanner) Next() *SyntaxError {
	for c.at < len(c.Text) {
		r, size := utf8.DecodeRuneInString(c.Text[c.at:])
		if !unicode.IsSpace(r) {
			break
		}
		c.at += size
	}
	c.Token = Token{At: c.at}
	rest := c.Text[c.at:]
	if rest == "" {
		return nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case r == '\'':
		return c.quoted(TextToken, '\'')
	case r == '"':
		return c.quoted(NameToken, '"')
	case r == '_' || unicode.IsLetter(r):
		c.Token.Kind, c.Token.Text = WordToken, leading(rest, wordRune)
	case '0' <= r && r <= '9' || r == '.' && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9':
		c.Token.Kind, c.Token.Text = NumberToken, numberOf(rest)
	default:
		if err := c.readSymbol(rest); err != nil {
			return err
		}
	}
	c.at += len(c.Token.Text)
	return nil
}

func (c *Scanner) readSymbol(rest string) *SyntaxError {
	r, size := utf8.DecodeRuneInString(rest)
	text := rest[:size]
	if len(rest) > 1 && (operators[rest[:2]] != 0 || rest[:2] == "==" || rest[:2] == "**" && strings.Contains(c.Symbols, "*") ||
		rest[:2] == "//" && strings.Contains(c.Symbols, "/")) {
		text = rest[:2]
	}
	c.Token.Kind, c.Token.Text = SymbolToken, text
	known := strings.ContainsRune("()=<>!,+-", r) || strings.ContainsRune(c.Symbols, r)
	if r == utf8.RuneError || !known || text == "!" {
		return &SyntaxError{c.at, fmt.Sprintf("unexpected %q", rest[:size]), ""}
	}
	return nil
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
func (c *Scanner) quoted(kind TokenKind, quote byte) *SyntaxError {
	c.Token.Kind = kind
	var b strings.Builder
	for i := c.at + 1; i < len(c.Text); i++ {
		if c.Text[i] != quote {
			b.WriteByte(c.Text[i])
			continue
		}
		if i+1 < len(c.Text) && c.Text[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		c.at, c.Token.Text = i+1, b.String()
		return nil
	}
	return &SyntaxError{c.at, fmt.Sprintf("the closing %c is missing", quote), ""}
}

// clip shortens what messages quote.
func clip(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}
