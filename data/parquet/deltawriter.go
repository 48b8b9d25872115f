package parquet

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The shape of DELTA_BINARY_PACKED that is written: values in a block, and in
// each of its parts, which have a width of their own.
const (
	deltaBlock = 128
	deltaPart  = 32
)

// deltaBits samples blocks, and returns about how many bits a value takes as a
// difference; for so few that none can be sampled, as many as it has.
func deltaBits[T int32 | int64](vs []T) int {
	const blocks = 32
	if len(vs) < 2*deltaPart {
		return 8 * widthOf[T]()
	}
	var over [deltaBlock]uint64
	n, size := 0, 0
	step := max(len(vs)/blocks, deltaPart)
	for at := 1; at+deltaPart <= len(vs); at += step {
		differences(&over, vs[at-1], vs[at:at+deltaPart])
		n += deltaPart
		size += deltaPart*int(deltaWidth(over[:deltaPart])) + 32
	}
	return size / n
}

// differences sets over to vs[i] - vs[i-1], with last before the first, less the
// least of them, which it returns: wrapped around, without sign. There are up to
// a block of values.
func differences[T int32 | int64](over *[deltaBlock]uint64, last T, vs []T) (least T) {
	mask := ^uint64(0) >> (64 - 8*unsafe.Sizeof(last))
	least = vs[0] - last
	for i, v := range vs {
		d := v - last
		over[i&(deltaBlock-1)], last = uint64(d), v
		least = min(least, d)
	}
	for i := range over[:len(vs)] {
		over[i] = (over[i] - uint64(least)) & mask
	}
	return least
}

// deltaWidth returns how many bits the largest takes.
func deltaWidth(over []uint64) uint {
	all := uint64(0)
	for _, d := range over {
		all |= d
	}
	return uint(bits.Len64(all))
}

// appendDeltas appends vs as DELTA_BINARY_PACKED, which deltas reads.
func appendDeltas[T int32 | int64](dst []byte, vs []T) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaBlock/deltaPart)
	dst = binary.AppendUvarint(dst, uint64(len(vs)))
	if len(vs) == 0 {
		return binary.AppendVarint(dst, 0)
	}
	last := vs[0]
	dst = binary.AppendVarint(dst, int64(last))
	var over [deltaBlock]uint64
	for vs = vs[1:]; len(vs) > 0; {
		block := vs[:min(deltaBlock, len(vs))]
		least := differences(&over, last, block)
		last, vs = block[len(block)-1], vs[len(block):]
		dst = binary.AppendVarint(dst, int64(least))
		widths := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		for at := 0; at < len(block); at += deltaPart {
			here := over[at:min(at+deltaPart, len(block))]
			width := deltaWidth(here)
			dst[widths+at/deltaPart] = byte(width)
			dst = pack(dst, here, deltaPart, width)
		}
	}
	return dst
}
