package csv

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// patterns are the two bytes that end a field, eight times each.
type patterns struct{ comma, line uint64 }

func newPatterns(comma byte) patterns { return patterns{uint64(comma) * ones, '\n' * ones} }

// cursor walks through fields. The buffer ends with a line, and seven bytes
// beyond it can be read.
type cursor struct {
	buf     []byte
	pos     int
	comma   byte
	wanted  patterns
	scratch []byte
	open    bool // a quote was not closed
}

// end returns the place of the first delimiter or line end from pos on.
//
// Source: Mycroft's test for a zero byte; the first match is exact.
func (c *cursor) end(pos int) int {
	buf := c.buf
	for pos+8 <= cap(buf) {
		w := binary.LittleEndian.Uint64(buf[pos : pos+8 : cap(buf)])
		x, y := w^c.wanted.comma, w^c.wanted.line
		if hit := ((x-ones)&^x | (y-ones)&^y) & highs; hit != 0 {
			return pos + bits.TrailingZeros64(hit)>>3
		}
		pos += 8
	}
	return len(buf) - 1 // cannot be: the buffer ends with a line
}

// field returns the next field, and whether another one follows in the record.
// The text of a quoted field may be in the scratch, until the next call.
func (c *cursor) field() (f Field, more bool) {
	start := c.pos
	if c.buf[start] == '"' {
		return c.quoted()
	}
	end := c.end(start)
	c.pos = end + 1
	if c.buf[end] == '\n' {
		if end > start && c.buf[end-1] == '\r' {
			end--
		}
		return Field{Text: c.buf[start:end]}, false
	}
	return Field{Text: c.buf[start:end]}, true
}

// quoted returns a field that begins with a quote. What stands between the
// closing quote and the delimiter belongs to it, as it is.
func (c *cursor) quoted() (f Field, more bool) {
	f.Quoted = true
	at := c.pos + 1
	start := at
	c.scratch = c.scratch[:0]
	for {
		i := bytes.IndexByte(c.buf[at:], '"')
		if i < 0 {
			c.open = true
			c.pos = len(c.buf)
			return f, false
		}
		q := at + i
		if q+1 < len(c.buf) && c.buf[q+1] == '"' {
			c.scratch = append(c.scratch, c.buf[start:q+1]...)
			at, start = q+2, q+2
			continue
		}
		f.Text = c.buf[start:q]
		end := q + 1
		if end < len(c.buf) && c.buf[end] != c.comma && c.buf[end] != '\n' {
			end = c.end(end)
		}
		c.pos = min(end+1, len(c.buf))
		after := c.buf[q+1 : end]
		more = end < len(c.buf) && c.buf[end] == c.comma
		if !more {
			after = bytes.TrimSuffix(after, []byte{'\r'})
		}
		f.Stray = len(after) > 0
		if len(c.scratch) > 0 {
			c.scratch = append(c.scratch, f.Text...)
			f.Text = c.scratch
		}
		return f, more
	}
}
