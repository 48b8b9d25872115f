package window

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// version is the first byte of an encoded state.
const version = 1

// MarshalBinary writes the state: the same bytes after the same rows, however
// they were cut into runs.
//
// Layout: version; the operation's place in Operations, the column's type, N,
// Rows, Span and IncludeCurrent as 1 or 0; the number of rows kept; and these.
// Of lag and diff each is a byte, 1 if it is there, and if so the value as an
// integer or the bits of a float, or the length and the bytes of a text. Of
// windows of rows: the place of the first one in its entity modulo Rows, and the
// values, 8 bytes each, little endian, NaN for none. Of windows of time: the
// first row's time, the differences to each time that follows, and the values.
// rolling_first, rolling_last and rolling_count_distinct have the times, if the
// window is one of time, and the values as lag has them.
// Numbers are unsigned varints, signed ones in zigzag form.
func (s *State) MarshalBinary() ([]byte, error) {
	return s.append(s.header()), nil
}

// header is what states of one configuration and type begin with.
// MinPeriods is not part of it: it does not change what is kept.
func (s *State) header() []byte {
	c := s.config
	b := []byte{version, byte(slices.Index(operations, c.Op)), byte(s.of)}
	b = binary.AppendUvarint(b, uint64(c.N))
	b = binary.AppendUvarint(b, uint64(c.Rows))
	b = binary.AppendUvarint(b, uint64(c.Span))
	if c.IncludeCurrent {
		return append(b, 1)
	}
	return append(b, 0)
}

// UnmarshalBinary replaces the rows of s by those that MarshalBinary has
// written, of a state with the same operation, window and type. The error is of
// kind Corrupt, and s is left as it was, when b is anything else. Memory is
// bounded by a small multiple of len(b).
func (s *State) UnmarshalBinary(b []byte) error {
	r := &reader{b: b}
	if v := r.byte(); v != version {
		r.fail("version %d, expected %d", v, version)
	}
	r.b = b
	for _, want := range s.header() {
		if r.byte() != want {
			r.fail("it is that of another operation, window or type, expected %s of %v", s.config.Op, s.of)
		}
	}
	out, err := s.config.Output(s.of)
	if err != nil {
		return err
	}
	got := newRunner(s.config, s.of, out)
	got.decode(r)
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes are left over", len(r.b))
	}
	if r.err != nil {
		return r.err
	}
	s.runner = got
	return nil
}

func (k *back) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(k.past)))
	return encodeCells(b, k.of, k.past)
}

func encodeCells(b []byte, of data.Type, cells []cell) []byte {
	for _, c := range cells {
		switch {
		case !c.there:
			b = append(b, 0)
		case of == data.String:
			b = binary.AppendUvarint(append(b, 1), uint64(len(c.text)))
			b = append(b, c.text...)
		case of == data.Float32 || of == data.Float64:
			b = binary.AppendUvarint(append(b, 1), c.word)
		default:
			b = binary.AppendVarint(append(b, 1), int64(c.word))
		}
	}
	return b
}

func (k *back) decode(r *reader) {
	numRows := r.count(1)
	if numRows > k.n {
		r.fail("%d rows, expected at most %d", numRows, k.n)
	}
	k.past = r.cells(numRows, k.of)
}

// cells reads values of a type.
func (r *reader) cells(numRows int, of data.Type) []cell {
	var cells []cell
	for range numRows {
		c := cell{there: r.truth()}
		switch {
		case !c.there:
		case of == data.String:
			c.text = string(r.bytes(r.count(1)))
		case of == data.Float32 || of == data.Float64:
			c.word = r.uvarint()
		default:
			c.word = uint64(r.varint())
		}
		if !fits(of, c.word) {
			r.fail("a value is no %v", of)
		}
		if r.err != nil {
			return nil
		}
		cells = append(cells, c)
	}
	return cells
}

func (k *picking) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(k.past)))
	return encodeCells(encodeTimes(b, k.times), k.of, k.past)
}

func (k *picking) decode(r *reader) {
	numRows := r.count(1)
	if k.config.Span > 0 {
		k.times = r.times(numRows, uint64(k.config.Span))
	} else if reach := k.config.Rows - k.ahead; numRows > reach {
		r.fail("%d rows, expected at most %d", numRows, reach)
	}
	if r.err == nil {
		k.past = r.cells(numRows, k.of)
	}
}

// fits reports whether a column of type t can hold the value of a word.
func fits(t data.Type, word uint64) bool {
	switch t {
	case data.Bool:
		return word <= 1
	case data.Int32, data.Date:
		return int64(word) == int64(int32(word))
	case data.Float32:
		return word <= math.MaxUint32
	}
	return true
}

func (r *rolling) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.past)))
	if r.config.Rows > 0 {
		b = binary.AppendUvarint(b, uint64(r.place))
	}
	b = encodeTimes(b, r.times)
	for _, v := range r.past {
		if math.IsNaN(v) {
			v = math.NaN() // one form for all
		}
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func encodeTimes(b []byte, times []int64) []byte {
	for i, t := range times {
		if i > 0 {
			b = binary.AppendUvarint(b, uint64(t-times[i-1]))
		} else {
			b = binary.AppendVarint(b, t)
		}
	}
	return b
}

func (r *rolling) decode(from *reader) {
	numRows := from.count(8)
	if rows := r.config.Rows; rows > 0 {
		place := from.uvarint()
		reach := rows - r.ahead
		if numRows > reach || place >= uint64(rows) || numRows < reach && place > 0 {
			from.fail("%d rows from place %d, expected at most %d", numRows, place, reach)
		}
		r.place = int(place)
	} else {
		r.times = from.times(numRows, uint64(r.config.Span))
	}
	if from.err != nil {
		return
	}
	for range numRows {
		word := from.bytes(8)
		if word == nil {
			return
		}
		r.past = append(r.past, math.Float64frombits(binary.LittleEndian.Uint64(word)))
	}
}

// times reads ascending times that are less than span apart.
func (r *reader) times(numRows int, span uint64) []int64 {
	var times []int64
	for i := range numRows {
		if i == 0 {
			times = append(times, r.varint())
			continue
		}
		last := times[i-1]
		t := last + int64(r.uvarint())
		if t < last || uint64(t-times[0]) >= span {
			r.fail("times are not within one window")
		}
		if r.err != nil {
			return nil
		}
		times = append(times, t)
	}
	return times
}

// reader decodes a state; the first fault sticks, and what is read after it is
// zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "window: decode state: "+format, args...)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) truth() bool {
	v := r.byte()
	if v > 1 {
		r.fail("a truth is %d", v)
	}
	return v == 1
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.fail("the bytes end early")
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("the bytes end early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("the bytes end early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads the number of things that take so many bytes or more each.
func (r *reader) count(bytes int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/bytes) {
		r.fail("%d values in %d bytes", n, len(r.b))
		return 0
	}
	return int(n)
}
