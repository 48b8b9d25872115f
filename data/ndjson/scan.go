package ndjson

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays lie in each other.
const maxDepth = 100

// token is what a value of JSON is.
type token uint8

const (
	isNull token = iota
	isBool
	isNumber
	isString
	isArray
)

// scanner reads one JSON text of known end. Errors say what is wrong and where.
type scanner struct {
	buf     []byte
	pos     int
	scratch []byte // of strings with escapes
}

func (s *scanner) fail(format string, args ...any) error {
	return fmt.Errorf("not JSON at byte %d: %s", s.pos+1, fmt.Sprintf(format, args...))
}

func (s *scanner) space() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// end checks that nothing but space is left. It looks at the place, for a byte
// that is 0 looks to next like the end.
func (s *scanner) end() error {
	if s.space(); s.pos < len(s.buf) {
		return s.fail("more behind the object")
	}
	return nil
}

// next returns the byte that the next thing begins with, 0 at the end.
func (s *scanner) next() byte {
	if s.pos < len(s.buf) && s.buf[s.pos] > ' ' {
		return s.buf[s.pos]
	}
	s.space()
	if s.pos < len(s.buf) {
		return s.buf[s.pos]
	}
	return 0
}

// expect takes one byte.
func (s *scanner) expect(c byte) error {
	if got := s.next(); got != c {
		return s.fail("expected %q", c)
	}
	s.pos++
	return nil
}

// value takes a value that is no object, and returns what it is and its text: of
// strings what they stand for, which is good until the next one; else as written.
func (s *scanner) value() (token, []byte, error) {
	c := s.next() // blanks before it are passed over
	start := s.pos
	switch {
	case c == '"':
		b, err := s.text()
		return isString, b, err
	case c == '-' || c-'0' <= 9:
		err := s.number()
		return isNumber, s.buf[start:s.pos], err
	case c == '[':
		err := s.skip(0)
		return isArray, s.buf[start:s.pos], err
	case c == 't':
		return isBool, []byte("true"), s.word("true")
	case c == 'f':
		return isBool, []byte("false"), s.word("false")
	case c == 'n':
		return isNull, nil, s.word("null")
	case c == 0 && s.pos == len(s.buf):
		return isNull, nil, s.fail("it ends in the middle")
	}
	return isNull, nil, s.fail("expected a value")
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.buf[s.pos:], []byte(w)) {
		return s.fail("expected %s", w)
	}
	s.pos += len(w)
	return nil
}

// number takes a number as JSON has them.
func (s *scanner) number() error {
	digits := func() int {
		start := s.pos
		for s.pos < len(s.buf) && s.buf[s.pos]-'0' <= 9 {
			s.pos++
		}
		return s.pos - start
	}
	if s.buf[s.pos] == '-' {
		s.pos++
	}
	zero := s.pos < len(s.buf) && s.buf[s.pos] == '0'
	if n := digits(); n == 0 || zero && n > 1 {
		return s.fail("not a number")
	}
	if s.pos < len(s.buf) && s.buf[s.pos] == '.' {
		s.pos++
		if digits() == 0 {
			return s.fail("not a number")
		}
	}
	if s.pos < len(s.buf) && s.buf[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.buf) && (s.buf[s.pos] == '+' || s.buf[s.pos] == '-') {
			s.pos++
		}
		if digits() == 0 {
			return s.fail("not a number")
		}
	}
	return nil
}

// plain marks the bytes of a string that stand for themselves.
var plain = func() (t [256]bool) {
	for i := 0x20; i < 256; i++ {
		t[i] = i != '"' && i != '\\'
	}
	return t
}()

// text takes a string.
func (s *scanner) text() ([]byte, error) {
	s.pos++
	start := s.pos
	for s.pos < len(s.buf) && plain[s.buf[s.pos]] {
		s.pos++
	}
	if s.pos < len(s.buf) && s.buf[s.pos] == '"' {
		s.pos++
		return s.buf[start : s.pos-1], nil
	}
	s.scratch = append(s.scratch[:0], s.buf[start:s.pos]...)
	for s.pos < len(s.buf) {
		switch c := s.buf[s.pos]; {
		case c == '"':
			s.pos++
			return s.scratch, nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < 0x20:
			return nil, s.fail("a control character in a string")
		default:
			s.scratch = append(s.scratch, c)
			s.pos++
		}
	}
	return nil, s.fail("a string does not end")
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape takes a backslash and what it stands for.
func (s *scanner) escape() error {
	if s.pos+1 >= len(s.buf) {
		return s.fail("a string does not end")
	}
	c := s.buf[s.pos+1]
	if to, ok := escapes[c]; ok {
		s.scratch = append(s.scratch, to)
		s.pos += 2
		return nil
	}
	r, ok := s.unit()
	if !ok {
		return s.fail("no such escape")
	}
	if utf16.IsSurrogate(r) {
		low, ok := s.unit()
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return s.fail("half a surrogate pair")
		}
	}
	s.scratch = utf8.AppendRune(s.scratch, r)
	return nil
}

// unit takes one \uXXXX.
func (s *scanner) unit() (rune, bool) {
	if s.pos+6 > len(s.buf) || s.buf[s.pos] != '\\' || s.buf[s.pos+1] != 'u' {
		return 0, false
	}
	r := rune(0)
	for _, c := range s.buf[s.pos+2 : s.pos+6] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case (c|0x20)-'a' <= 5:
			r = r<<4 | rune((c|0x20)-'a'+10)
		default:
			return 0, false
		}
	}
	s.pos += 6
	return r, true
}

var errDeep = errors.New("objects or arrays lie too deep in each other")

// skip takes any value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	switch s.next() {
	case '{':
		return s.list('}', func() error {
			if s.next() != '"' {
				return s.fail("expected a name")
			}
			if _, err := s.text(); err != nil {
				return err
			}
			if err := s.expect(':'); err != nil {
				return err
			}
			return s.skip(depth + 1)
		})
	case '[':
		return s.list(']', func() error { return s.skip(depth + 1) })
	}
	_, _, err := s.value()
	return err
}

// list takes things with commas between them, up to the closing byte.
func (s *scanner) list(end byte, one func() error) error {
	s.pos++
	if s.next() == end {
		s.pos++
		return nil
	}
	for {
		if err := one(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.pos++
		case end:
			s.pos++
			return nil
		default:
			return s.fail("expected , or %c", end)
		}
	}
}
