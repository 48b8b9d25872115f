package features

import (
	"encoding/json"
	"strconv"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// frequencyFit is how often each category occurs among the rows that have one.
// There may be a million of them.
type frequencyFit struct {
	rows  int64 // with a category
	texts sketch.Texts
	times []int64 // by number of the text
}

// add adds a category that is not there yet, and reports whether that was so.
func (f *frequencyFit) add(text string, times int64) bool {
	if f.texts.Number(text) < len(f.times) {
		return false
	}
	f.times = append(f.times, times)
	return true
}

// sound reports whether it can have been learned.
func (f *frequencyFit) sound() bool {
	left := f.rows
	for _, n := range f.times {
		if n < 1 || n > left {
			return false
		}
		left -= n
	}
	return left == 0 && f.rows > 0
}

// MarshalJSON writes {"n":ROWS,"categories":{TEXT:TIMES, ...}}, as encoding/json
// writes a map.
func (f *frequencyFit) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 64+f.texts.NumBytes()+8*f.texts.Len())
	b = append(b, `{"n":`...)
	b = strconv.AppendInt(b, f.rows, 10)
	b = append(b, `,"categories":{`...)
	for i, n := range f.times {
		if i > 0 {
			b = append(b, ',')
		}
		text := f.texts.At(i)
		if plainText(text) {
			b = append(append(append(b, '"'), text...), '"')
		} else {
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			b = append(b, quoted...)
		}
		b = strconv.AppendInt(append(b, ':'), n, 10)
	}
	return append(b, "}}"...), nil
}

// plainText reports whether JSON has a text as it is.
func plainText(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// UnmarshalJSON reads what MarshalJSON has written.
func (f *frequencyFit) UnmarshalJSON(text []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	if len(fields) != 2 || fields["n"] == nil || fields["categories"] == nil {
		return fault.New(fault.Corrupt, "expected n and categories")
	}
	*f = frequencyFit{}
	if err := json.Unmarshal(fields["n"], &f.rows); err != nil {
		return err
	}
	return eachCount(fields["categories"], f.add)
}

// eachCount calls add with the members of an object of whole numbers, which is
// sound JSON; false is an error. encoding/json would make a map of it first,
// which takes seconds and a hundred bytes for each.
func eachCount(b []byte, add func(text string, n int64) bool) error {
	s := &members{b: b}
	if s.next() != '{' {
		return fault.New(fault.Corrupt, "expected an object")
	}
	for s.next() == '"' {
		text, err := s.text()
		if err != nil {
			return err
		}
		if s.next() != ':' {
			return fault.New(fault.Corrupt, "expected a number after %q", text)
		}
		n, err := s.number()
		if err != nil {
			return fault.New(fault.Corrupt, "%q: %w", text, err)
		}
		if !add(text, n) {
			return fault.New(fault.Corrupt, "%q is there twice", text)
		}
		switch s.next() {
		case ',':
		case '}':
			return nil
		default:
			return fault.New(fault.Corrupt, "%q: expected a whole number", text)
		}
	}
	return nil
}

// members walks over the members of an object.
type members struct{ b []byte }

// next takes the next byte that is no space; 0 at the end.
func (m *members) next() byte {
	for len(m.b) > 0 {
		c := m.b[0]
		m.b = m.b[1:]
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// text takes a string whose opening quote has been taken.
func (m *members) text() (string, error) {
	plain := true
	for i := 0; i < len(m.b); i++ {
		switch c := m.b[i]; {
		case c == '\\':
			plain = false
			i++
		case c >= 0x80:
			plain = false // whatever is no UTF-8 is replaced
		case c == '"':
			raw := m.b[:i]
			m.b = m.b[i+1:]
			if plain {
				return string(raw), nil
			}
			var text string
			err := json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &text)
			return text, err
		}
	}
	return "", fault.New(fault.Corrupt, "a text has no end")
}

// number takes a whole number.
func (m *members) number() (int64, error) {
	for len(m.b) > 0 && (m.b[0] == ' ' || m.b[0] == '\n' || m.b[0] == '\t' || m.b[0] == '\r') {
		m.b = m.b[1:]
	}
	end := 0
	for end < len(m.b) && (m.b[end] >= '0' && m.b[end] <= '9' || m.b[end] == '-') {
		end++
	}
	n, err := strconv.ParseInt(string(m.b[:end]), 10, 64)
	m.b = m.b[end:]
	return n, err
}
