package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Slack is how many readable bytes follow the text of a chunk.
const Slack = 16

// SplitterConfig says how a stream is cut into chunks. All of it is a function
// of the stream's bytes, not of how they arrive.
type SplitterConfig struct {
	// Records is the most records of a chunk.
	Records int
	// Bytes is about the most bytes of a chunk, if no record is longer.
	Bytes int
	// MaxRecord is the longest record; a longer one is a Reject.
	MaxRecord int
	// Comma is the delimiter of fields, after which a quote may open, so that a
	// record goes on over line ends up to the closing one. 0: quotes mean nothing.
	Comma byte
	// SkipFirst passes over the first record that is not empty, a header.
	SkipFirst bool
}

// DefaultSplitterConfig returns chunks of up to 131,072 records or 16 MiB, in
// which no record is longer than 16 MiB.
func DefaultSplitterConfig() SplitterConfig {
	return SplitterConfig{Records: 131_072, Bytes: 16 << 20, MaxRecord: 16 << 20}
}

// Chunk is a run of whole records, each with its line end; the last line of a
// stream has got one. Slack more bytes may be read beyond Text.
type Chunk struct {
	Text    []byte
	Line    int64 // the number of its first line, counted from 1
	Records int   // at most; empty lines count
	// Rejects are records before Text that no chunk holds: they were too long,
	// or opened a quote that nothing closes.
	Rejects []Reject
}

// Splitter cuts a stream into chunks. It holds no more of it than one chunk and
// one record.
type Splitter struct {
	r     io.Reader
	cfg   SplitterConfig
	line  int64 // of buf[0]
	eof   bool
	skip  bool // the first record is still to be passed over
	begun bool

	buf     []byte
	pos     int  // scanned so far
	start   int  // where the record that pos is in begins
	records int  // that end before pos
	quoted  bool // pos is within quotes
	rejects []Reject
	free    chan []byte
}

// NewSplitter returns a splitter of a stream of UTF-8 text, with or without a
// byte order mark.
func NewSplitter(r io.Reader, cfg SplitterConfig) *Splitter {
	return &Splitter{r: r, cfg: cfg, line: 1, skip: cfg.SkipFirst, free: make(chan []byte, 16)}
}

const readSize = 1 << 20

// Next returns the next chunk, or io.EOF after the last. Other errors are those
// of the stream, and of kind Invalid for text that is not UTF-8 at all.
//
// A record that is too long, or that opens a quote which nothing closes, gives
// up its first line as a Reject, and what follows is looked at anew. After such
// a quote all others come in pairs, which open no field for good; so no byte is
// looked at more than a few times.
func (s *Splitter) Next() (*Chunk, error) {
	for {
		full := s.scan() || s.start >= s.cfg.Bytes
		broken := !full && (len(s.buf)-s.start > s.cfg.MaxRecord || s.eof && s.quoted)
		switch {
		case full && s.skip:
			s.skip = len(bytes.Trim(s.buf[:s.start], "\r\n")) == 0
			s.discard(s.start)
		case full, broken && s.start > 0, len(s.rejects) >= 1000:
			return s.cut(), nil
		case broken:
			if err := s.drop(); err != nil {
				return nil, err
			}
		case !s.eof:
			if err := s.fill(); err != nil {
				return nil, err
			}
		case s.start > 0 || len(s.rejects) > 0:
			return s.cut(), nil
		default:
			return nil, io.EOF
		}
	}
}

// cut returns the whole records and keeps the rest of the buffer.
func (s *Splitter) cut() *Chunk {
	c := &Chunk{Text: s.buf[:s.start], Line: s.line, Records: s.records, Rejects: s.rejects}
	rest := s.buf[s.start:]
	s.buf = append(s.empty(len(rest)), rest...)
	s.line += int64(bytes.Count(c.Text, []byte{'\n'}))
	s.pos, s.start, s.records, s.rejects = s.pos-s.start, 0, 0, nil
	return c
}

// empty returns a buffer with room for n bytes and a block: one that was given
// back, if there is any.
func (s *Splitter) empty(n int) []byte {
	select {
	case b := <-s.free:
		if cap(b) >= n+readSize+Slack+1 {
			return b[:0]
		}
	default:
	}
	return make([]byte, 0, max(n+readSize, min(cap(s.buf), s.cfg.Bytes+readSize))+Slack+1)
}

// Reuse gives the memory of a chunk back, which nobody may read any more. It
// may be called from any goroutine, or not at all.
func (s *Splitter) Reuse(c *Chunk) {
	select {
	case s.free <- c.Text[:0]:
	default:
	}
}

// discard forgets the first n bytes, which end with a line.
func (s *Splitter) discard(n int) {
	s.line += int64(bytes.Count(s.buf[:n], []byte{'\n'}))
	s.buf = s.buf[n:]
	s.pos, s.start, s.records, s.quoted = 0, 0, 0, false
}

// drop rejects the first line of the record that the buffer begins with.
func (s *Splitter) drop() error {
	end := bytes.IndexByte(s.buf, '\n')
	bad := Reject{Line: s.line, Reason: fmt.Sprintf("the line is longer than %d bytes", s.cfg.MaxRecord)}
	switch {
	case end < 0 || !s.quoted:
	case s.eof && len(s.buf) <= s.cfg.MaxRecord:
		bad.Reason = "it opens a quote that is never closed"
	default:
		bad.Reason = fmt.Sprintf("it opens a quote that is not closed within %d bytes", s.cfg.MaxRecord)
	}
	if end < 0 {
		bad.Raw = Raw(s.buf)
	} else {
		bad.Raw = Raw(bytes.TrimSuffix(s.buf[:end], []byte{'\r'}))
	}
	s.rejects = append(s.rejects, bad)
	for end < 0 { // what is left of the line is not kept; there is more, else it had an end
		s.buf = s.buf[:0]
		if err := s.fill(); err != nil {
			return err
		}
		if end = bytes.IndexByte(s.buf, '\n'); s.eof && end < 0 {
			end = len(s.buf) - 1
		}
	}
	s.discard(end + 1)
	return nil
}

// fill reads a block more.
func (s *Splitter) fill() error {
	n := len(s.buf)
	if cap(s.buf)-n < readSize+Slack+1 {
		grown := make([]byte, n, max(n+readSize, min(2*cap(s.buf), s.cfg.Bytes+readSize))+Slack+1)
		copy(grown, s.buf)
		s.buf = grown
	}
	m, err := io.ReadFull(s.r, s.buf[n:n+readSize])
	s.buf = s.buf[:n+m]
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.eof = true
	case err != nil:
		return fmt.Errorf("read: %w", err)
	}
	if !s.begun {
		s.begun = true
		if err := s.mark(); err != nil {
			return err
		}
	}
	if s.eof && len(s.buf) > 0 && s.buf[len(s.buf)-1] != '\n' {
		s.buf = append(s.buf, '\n')
	}
	return nil
}

// mark takes the byte order mark off.
func (s *Splitter) mark() error {
	rest, err := skipMark(s.buf)
	s.buf = rest
	return err
}

// skipMark returns text without its byte order mark. Other encodings than UTF-8
// are of kind Invalid.
func skipMark(b []byte) ([]byte, error) {
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return nil, fault.New(fault.Invalid, "the text is UTF-16; expected UTF-8: iconv -f UTF-16 -t UTF-8 converts it")
	}
	return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil
}

// scan goes on from pos to the end of the buffer or until there are records
// enough, which it reports.
func (s *Splitter) scan() (full bool) {
	most := s.cfg.Records
	if s.skip {
		most = 1
	}
	for s.pos < len(s.buf) && !full {
		if s.quoted {
			if !s.scanQuoted() {
				return false
			}
			continue
		}
		end := len(s.buf)
		if s.cfg.Comma != 0 {
			if i := bytes.IndexByte(s.buf[s.pos:], '"'); i >= 0 {
				end = s.pos + i
			}
		}
		full = s.lines(end, most)
		if !full && end < len(s.buf) {
			s.quoted = end == s.start || s.buf[end-1] == s.cfg.Comma
			s.pos = end + 1
		}
	}
	return full
}

// scanQuoted goes to the closing quote, and reports whether it is there.
func (s *Splitter) scanQuoted() bool {
	for {
		i := bytes.IndexByte(s.buf[s.pos:], '"')
		if i < 0 {
			s.pos = len(s.buf)
			return false
		}
		q := s.pos + i
		switch {
		case q+1 == len(s.buf): // whether it closes, the next block says
			s.pos = q
			return false
		case s.buf[q+1] == '"':
			s.pos = q + 2
		default:
			s.quoted, s.pos = false, q+1
			return true
		}
	}
}

// lines goes to end, past line ends that are not in quotes, or until there are
// records enough, which it reports.
func (s *Splitter) lines(end, most int) bool {
	seg := s.buf[s.pos:end]
	n := bytes.Count(seg, []byte{'\n'})
	if s.records+n < most {
		if n > 0 {
			s.start = s.pos + bytes.LastIndexByte(seg, '\n') + 1
			s.records += n
		}
		s.pos = end
		return false
	}
	at := s.pos + nth(seg, most-s.records) + 1
	s.pos, s.start, s.records = at, at, most
	return true
}

// nth returns the place of the n-th line end, of which there are enough.
func nth(b []byte, n int) int {
	at := 0
	for len(b) > 256 {
		half := len(b) / 2
		if k := bytes.Count(b[:half], []byte{'\n'}); k < n {
			n -= k
			at += half
			b = b[half:]
		} else {
			b = b[:half]
		}
	}
	for i, c := range b {
		if c == '\n' {
			if n--; n == 0 {
				return at + i
			}
		}
	}
	return -1
}
