package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errThrift is what every fault of the compact protocol comes down to.
var errThrift = errors.New("malformed thrift")

// Types of the thrift compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
	thriftUUID   = 13
)

const maxThriftDepth = 32

// compact reads the thrift compact protocol from bytes. Lengths are believed
// only as far as there are bytes; after the first fault every read returns zero
// and err stays set. It exists beside parquet-go's decoder because that one
// allocates what a list claims to hold before looking.
//
// Source: Apache Thrift, thrift-compact-protocol.md.
type compact struct {
	b   []byte
	pos int
	err error
}

func (r *compact) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at byte %d", errThrift, what, r.pos)
	}
	r.pos = len(r.b)
}

func (r *compact) byte() byte {
	if r.pos >= len(r.b) {
		r.fail("end of input")
		return 0
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

func (r *compact) uvarint() uint64 {
	v, n := binary.Uvarint(r.b[r.pos:])
	if n <= 0 {
		r.fail("varint")
		return 0
	}
	r.pos += n
	return v
}

func (r *compact) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// fields calls visit for each field of a struct; visit reads the field's value
// and returns true, or returns false to have it skipped.
func (r *compact) fields(visit func(id int16, t byte) bool) {
	id := int16(0)
	for r.err == nil {
		h := r.byte()
		t := h & 15
		if t == 0 {
			return
		}
		if d := h >> 4; d != 0 {
			id += int16(d)
		} else {
			id = int16(r.varint())
		}
		if r.err == nil && !visit(id, t) {
			r.skip(t, 0)
		}
	}
}

// int reads an integer field of any width into the given range.
func (r *compact) int(t byte, lo, hi int64) int64 {
	var v int64
	switch t {
	case thriftByte:
		v = int64(int8(r.byte()))
	case thriftI16, thriftI32, thriftI64:
		v = r.varint()
	default:
		r.fail("integer expected")
	}
	if v < lo || v > hi {
		r.fail(fmt.Sprintf("integer %d outside [%d, %d]", v, lo, hi))
		return 0
	}
	return v
}

func (r *compact) i32(t byte) int32 { return int32(r.int(t, -1<<31, 1<<31-1)) }
func (r *compact) i64(t byte) int64 { return r.int(t, -1<<63, 1<<63-1) }

// bool reads a boolean field, whose value is its type.
func (r *compact) bool(t byte) bool {
	if t != thriftTrue && t != thriftFalse {
		r.fail("boolean expected")
	}
	return t == thriftTrue
}

// bytes reads a binary field; the result shares the input's memory.
func (r *compact) bytes(t byte) []byte {
	if t != thriftBinary {
		r.fail("binary expected")
		return nil
	}
	n := r.uvarint()
	if n > uint64(len(r.b)-r.pos) {
		r.fail(fmt.Sprintf("%d bytes claimed, %d there", n, len(r.b)-r.pos))
		return nil
	}
	b := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// list reads the header of a list and returns the length and type of elements.
func (r *compact) list(t byte) (n int, elem byte) {
	if t != thriftList && t != thriftSet {
		r.fail("list expected")
		return 0, 0
	}
	h := r.byte()
	size := uint64(h >> 4)
	if size == 15 {
		size = r.uvarint()
	}
	if size > uint64(len(r.b)-r.pos) { // an element takes a byte or more
		r.fail(fmt.Sprintf("list of %d claimed, %d bytes there", size, len(r.b)-r.pos))
		return 0, 0
	}
	return int(size), h & 15
}

// structs calls read for each element of a list of structs.
func (r *compact) structs(t byte, read func()) {
	n, elem := r.list(t)
	if n > 0 && elem != thriftStruct {
		r.fail("list of structs expected")
	}
	for i := 0; i < n && r.err == nil; i++ {
		read()
	}
}

func (r *compact) skip(t byte, depth int) {
	if depth > maxThriftDepth {
		r.fail("nested too deeply")
		return
	}
	switch t {
	case thriftTrue, thriftFalse:
	case thriftByte:
		r.byte()
	case thriftI16, thriftI32, thriftI64:
		r.uvarint()
	case thriftDouble:
		r.skipBytes(8)
	case thriftUUID:
		r.skipBytes(16)
	case thriftBinary:
		r.bytes(t)
	case thriftList, thriftSet:
		n, elem := r.list(t)
		r.skipElements(n, elem, depth)
	case thriftMap:
		r.skipMap(depth)
	case thriftStruct:
		r.skipStruct(depth)
	default:
		r.fail(fmt.Sprintf("type %d", t))
	}
}

func (r *compact) skipStruct(depth int) {
	for r.err == nil {
		h := r.byte()
		if h&15 == 0 {
			return
		}
		if h>>4 == 0 {
			r.varint()
		}
		r.skip(h&15, depth+1)
	}
}

func (r *compact) skipElements(n int, elem byte, depth int) {
	for i := 0; i < n && r.err == nil; i++ {
		if elem == thriftTrue || elem == thriftFalse {
			r.byte() // in lists a boolean is a byte of its own
			continue
		}
		r.skip(elem, depth+1)
	}
}

func (r *compact) skipMap(depth int) {
	n := r.uvarint()
	if n == 0 || r.err != nil {
		return
	}
	if n > uint64(len(r.b)-r.pos) {
		r.fail("map longer than its bytes")
		return
	}
	kv := r.byte()
	for i := 0; i < int(n) && r.err == nil; i++ {
		r.skipElements(1, kv>>4, depth)
		r.skipElements(1, kv&15, depth)
	}
}

func (r *compact) skipBytes(n int) {
	if n > len(r.b)-r.pos {
		r.fail("end of input")
		return
	}
	r.pos += n
}
