package window

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/unpack"
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
	r := &reader{unpack.New("window: decode state", b)}
	r.Version(version)
	for _, want := range s.header()[1:] {
		if r.Byte() != want {
			r.Fail("it is that of another operation, window or type, expected %s of %v", s.config.Op, s.of)
		}
	}
	out, err := s.config.Output(s.of)
	if err != nil {
		return err
	}
	got := newRunner(s.config, s.of, out)
	got.decode(r)
	if r.Err() == nil && r.Len() > 0 {
		r.Fail("%d bytes are left over", r.Len())
	}
	if r.Err() != nil {
		return r.Err()
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
		r.Fail("%d rows, expected at most %d", numRows, k.n)
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
			c.text = string(r.Bytes(r.count(1)))
		case of == data.Float32 || of == data.Float64:
			c.word = r.Uvarint()
		default:
			c.word = uint64(r.Varint())
		}
		if !fits(of, c.word) {
			r.Fail("a value is no %v", of)
		}
		if r.Err() != nil {
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
		r.Fail("%d rows, expected at most %d", numRows, reach)
	}
	if r.Err() == nil {
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
		place := from.Uvarint()
		reach := rows - r.ahead
		if numRows > reach || place >= uint64(rows) || numRows < reach && place > 0 {
			from.Fail("%d rows from place %d, expected at most %d", numRows, place, reach)
		}
		r.place = int(place)
	} else {
		r.times = from.times(numRows, uint64(r.config.Span))
	}
	if from.Err() != nil {
		return
	}
	for range numRows {
		r.past = append(r.past, from.Float())
	}
}

// times reads ascending times that are less than span apart.
func (r *reader) times(numRows int, span uint64) []int64 {
	var times []int64
	for i := range numRows {
		if i == 0 {
			times = append(times, r.Varint())
			continue
		}
		last := times[i-1]
		t := last + int64(r.Uvarint())
		if t < last || uint64(t-times[0]) >= span {
			r.Fail("times are not within one window")
		}
		if r.Err() != nil {
			return nil
		}
		times = append(times, t)
	}
	return times
}

// reader decodes a state.
type reader struct{ unpack.Reader }

func (r *reader) truth() bool {
	v := r.Byte()
	if v > 1 {
		r.Fail("a truth is %d", v)
	}
	return v == 1
}

// count reads the number of things that take so many bytes or more each.
func (r *reader) count(bytes int) int {
	n := r.Uvarint()
	if n > uint64(r.Len()/bytes) {
		r.Fail("%d values in %d bytes", n, r.Len())
		return 0
	}
	return int(n)
}
