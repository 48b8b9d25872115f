package parquet

import (
	"encoding/binary"
	"math/bits"
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
	n, size := 0, 0
	step := max(len(vs)/blocks, deltaPart)
	for at := 1; at+deltaPart <= len(vs); at += step {
		least, ds := differences[T](vs[at-1], vs[at:at+deltaPart])
		n += deltaPart
		size += deltaPart*int(deltaWidth(ds[:deltaPart], least)) + 32
	}
	return size / n
}

// differences returns vs[i] - vs[i-1] with the one before it, wrapped around,
// and the least of them. There are up to a block of them.
func differences[T int32 | int64](last T, vs []T) (least T, ds [deltaBlock]T) {
	least = vs[0] - last
	for i, v := range vs {
		d := v - last
		ds[i], last = d, v
		least = min(least, d)
	}
	return least, ds
}

// deltaWidth returns the bits of the largest difference over the least.
func deltaWidth[T int32 | int64](ds []T, least T) uint {
	all := uint64(0)
	for _, d := range ds {
		all |= over(d, least)
	}
	return uint(bits.Len64(all))
}

// over is d - least without sign, in the width of T.
func over[T int32 | int64](d, least T) uint64 {
	if widthOf[T]() == 4 {
		return uint64(uint32(d - least))
	}
	return uint64(d - least)
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
	var part [deltaPart]uint64
	for vs = vs[1:]; len(vs) > 0; {
		block := vs[:min(deltaBlock, len(vs))]
		least, ds := differences(last, block)
		last, vs = block[len(block)-1], vs[len(block):]
		dst = binary.AppendVarint(dst, int64(least))
		widths := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		for at := 0; at < len(block); at += deltaPart {
			here := ds[at:min(at+deltaPart, len(block))]
			width := deltaWidth(here, least)
			dst[widths+at/deltaPart] = byte(width)
			for i, d := range here {
				part[i] = over(d, least)
			}
			dst = pack(dst, part[:len(here)], deltaPart, width)
		}
	}
	return dst
}
