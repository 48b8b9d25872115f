// Package unpack takes values off the front of encoded bytes.
package unpack

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Reader takes values off the front of bytes. The first fault sticks, and what
// is read after it is zero; so a format is read from end to end as if nothing
// could be wrong with it, and its fault looked at once. Only a loop must look
// sooner, for its bound may be one that the bytes do not bear out.
//
// Numbers are varints, little endian where they have 8 bytes.
type Reader struct {
	b    []byte
	what string
	err  error
}

// New returns a reader of b, which it shares. What is being read begins the
// messages of its faults, as in "sketch: decode counts".
func New(what string, b []byte) Reader { return Reader{b: b, what: what} }

// Fail makes a message, formatted as fmt.Errorf does, the fault, of kind
// Corrupt, unless there is one before it. Nothing is left to be read then.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "%s: %w", r.what, fmt.Errorf(format, args...))
	}
	r.b = nil
}

func (r *Reader) endsEarly() { r.Fail("the bytes end early") }

// Err returns the first fault, or nil.
func (r *Reader) Err() error { return r.err }

// End returns the first fault, or nil; bytes that are left are one.
func (r *Reader) End() error {
	if len(r.b) > 0 {
		r.Fail("%d bytes after the end", len(r.b))
	}
	return r.err
}

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.b) }

// Rest returns the bytes that are left, and leaves them where they are.
func (r *Reader) Rest() []byte { return r.b }

// Byte takes a byte.
func (r *Reader) Byte() byte {
	if len(r.b) == 0 {
		r.endsEarly()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// Version takes a byte that can only be the one wanted.
func (r *Reader) Version(want byte) {
	if v := r.Byte(); v != want {
		r.Fail("version %d, expected %d", v, want)
	}
}

// Bytes takes n bytes, shared with those that New was given; nil if there are
// fewer, or n is negative.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.endsEarly()
		return nil
	}
	v := r.b[:n:n] // what is appended to them must not overwrite what follows
	r.b = r.b[n:]
	return v
}

// Nested takes bytes that follow their length.
func (r *Reader) Nested() []byte { return r.Bytes(int(r.Count(int64(len(r.b))))) }

// Uint64 takes a number of 8 bytes.
func (r *Reader) Uint64() uint64 {
	if len(r.b) < 8 {
		r.endsEarly()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// Float takes the 8 bytes of a float64.
func (r *Reader) Float() float64 { return math.Float64frombits(r.Uint64()) }

// Uvarint takes a number without sign.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.endsEarly()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Varint takes a number with a sign, in zigzag form.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Count takes a number without sign that is at most most, which must not be
// negative.
func (r *Reader) Count(most int64) int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(most) {
		r.Fail("a count is out of range, or the bytes end early")
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}
