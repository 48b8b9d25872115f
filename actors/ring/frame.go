package ring

import (
	"encoding/binary"
	"errors"
)

// errDisagree marks a bug: the ranks do not make the same calls.
var errDisagree = errors.New("the ranks do not agree on what to do")

// A frame is its kind and length, and that many bytes.
const (
	frameAlive     = 1 // nothing: a sign of life
	frameOperation = 2 // an operation
	frameData      = 3 // a segment
	frameWhole     = 4 // an operation and the whole vector
	framePacked    = 5 // a segment of numbers
	frameHalf      = 6 // a segment of numbers of 32 bits each
	frameBrief     = 7 // a segment of floats, of which each is its first 16 bits
	headerBytes    = 8
)

// operation says what a rank is about to do.
type operation struct {
	code  uint32
	root  uint32 // of a broadcast; of sums in parts, numbers that are added whole
	seq   uint64 // operations before it
	count uint64 // numbers, or bytes
}

const (
	opAllReduce     = 1
	opBroadcast     = 2
	opLength        = 3 // of the broadcast that follows
	opReduceScatter = 4
	opAllGather     = 5
	operationBytes  = 24
)

func (o operation) append(b []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, o.code)
	b = binary.NativeEndian.AppendUint32(b, o.root)
	b = binary.NativeEndian.AppendUint64(b, o.seq)
	return binary.NativeEndian.AppendUint64(b, o.count)
}

func decodeOperation(b *[operationBytes]byte) operation {
	return operation{
		code: binary.NativeEndian.Uint32(b[0:]), root: binary.NativeEndian.Uint32(b[4:]),
		seq: binary.NativeEndian.Uint64(b[8:]), count: binary.NativeEndian.Uint64(b[16:]),
	}
}

func putHeader(b []byte, kind uint32, n int) []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(b, kind), uint32(n))
}

// isAlive reports whether a frame with this header is a sign of life.
func isAlive(header []byte) bool {
	return binary.NativeEndian.Uint32(header) == frameAlive && binary.NativeEndian.Uint32(header[4:]) == 0
}
