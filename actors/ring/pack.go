package ring

import (
	"encoding/binary"
	"math/bits"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Sums of gradients are 64 bits wide so that nothing overflows, but most are
// small: on the wire, numbers next to each other take as many bytes as the
// largest of them needs. Nothing is lost, so the bytes of a model do not depend
// on it.
const (
	groupLen = 512 // numbers of one width
	slack    = 8   // bytes after the last number, which is read and written as eight
)

// packedLen bounds the bytes that n numbers take, without slack.
func packedLen(n int) int { return 8*n + (n+groupLen-1)/groupLen }

// pack appends numbers to b: of each group the bytes per number, one byte, and then
// the numbers, little endian. b has room for packedLen and slack.
func pack(b []byte, v []int64) []byte {
	for len(v) > 0 {
		group := v[:min(groupLen, len(v))]
		v = v[len(group):]
		w := width(group)
		b = append(b, byte(w))
		room := b[len(b) : len(b)+w*len(group)+slack]
		for _, x := range group {
			binary.LittleEndian.PutUint64(room, uint64(x))
			room = room[w:]
		}
		b = b[:len(b)+w*len(group)]
	}
	return b
}

// width is how many bytes each number of a group needs: none if all are zero.
func width(group []int64) int {
	var used, magnitude uint64 // every bit that is set somewhere
	for _, x := range group {
		used |= uint64(x)
		magnitude |= uint64(x ^ x>>63)
	}
	if used == 0 {
		return 0
	}
	return bits.Len64(magnitude)/8 + 1 // a bit is for the sign
}

// unpack reads as many numbers as v has, and adds them to v or puts them in its
// place. Behind b there is slack. The error is for bytes that pack has not made.
func unpack(v []int64, b []byte, add bool) error {
	for len(v) > 0 {
		group := v[:min(groupLen, len(v))]
		v = v[len(group):]
		if len(b) == 0 || b[0] > 8 || len(b)-1 < int(b[0])*len(group) {
			return notPacked(len(b))
		}
		w := int(b[0])
		unpackGroup(group, b[1:1+w*len(group)+slack], w, add)
		b = b[1+w*len(group):]
	}
	if len(b) > 0 {
		return notPacked(len(b))
	}
	return nil
}

func notPacked(rest int) error {
	return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: a packed segment does not fit its numbers, at %d bytes from its end", errDisagree, rest)
}

func unpackGroup(group []int64, b []byte, w int, add bool) {
	if w == 0 {
		if !add {
			clear(group)
		}
		return
	}
	shift := 64 - 8*w // makes the number's first bit the sign
	if add {
		for i := range group {
			group[i] += int64(binary.LittleEndian.Uint64(b)<<(shift&63)) >> (shift & 63)
			b = b[w:]
		}
		return
	}
	for i := range group {
		group[i] = int64(binary.LittleEndian.Uint64(b)<<(shift&63)) >> (shift & 63)
		b = b[w:]
	}
}
