package parquet

import (
	"math/bits"
	"unsafe"
)

// maxDictionary is the most numbers that a dictionary holds.
const maxDictionary = 1 << 16

// codeTable finds the distinct numbers of a chunk. It probes places of 4 bytes,
// so that the table of the largest dictionary stays in a processor's cache.
type codeTable[W uint32 | uint64] struct {
	slots []uint32 // places in dict plus 1, 0: free; a power of two, at most half full
	dict  []W
}

// encode sets codes[i] to the place of ws[i] among the distinct values in order
// of first appearance, which it returns and keeps until the next call. It
// returns nil where there are more of these than the limit.
func (t *codeTable[W]) encode(codes []uint32, ws []W, limit int) []W {
	if limit == 0 || t.varied(ws, limit) {
		return nil
	}
	t.reset(1 << 10)
	before, code := ws[0], t.code(ws[0])
	for i := 0; i < len(ws); i += 64 {
		part := ws[i:min(i+64, len(ws))]
		out := codes[i : i+len(part)]
		other := W(0)
		for _, v := range part {
			other |= v ^ before
		}
		if other == 0 {
			for k := range out {
				out[k] = code
			}
			continue
		}
		for miss := t.find(out, part); miss != 0; miss &= miss - 1 {
			k := bits.TrailingZeros64(miss)
			out[k] = t.code(part[k])
		}
		if len(t.dict) > limit {
			return nil
		}
		before, code = part[len(part)-1], out[len(part)-1]
	}
	return t.dict
}

// find sets codes to the places of up to 64 values that are where they are looked
// for first, and returns a bit for each of the others. It does not branch, which
// values that follow no rule would have guessed wrong.
func (t *codeTable[W]) find(codes []uint32, vs []W) (miss uint64) {
	slots, dict := t.slots, t.dict
	shift := 64 - uint(bits.Len(uint(len(slots)-1)))
	for i, v := range vs {
		at := int(uint64(v) * 0x9e3779b97f4a7c15 >> (shift & 63))
		code := max(slots[at&(len(slots)-1)], 1) - 1 // of a free place 0, which v is not then
		codes[i] = code
		other := uint64(dict[code] ^ v)
		miss |= (other | -other) >> 63 << (uint(i) & 63)
	}
	return miss
}

// alwaysDistinct is how many values a dictionary may always hold: it is next to
// nothing, and says more to readers than differences.
const alwaysDistinct = 256

// mostDistinct is how many values of so many a dictionary may hold: with indices
// of two bytes it takes three quarters of what the values take, at most. That is
// also less to compress, which costs more than all else. Nor may it take more
// than the values without one, of so many bits each.
func mostDistinct[W uint32 | uint64](ws []W, bitsEach int) int {
	width := 8 * int(unsafe.Sizeof(*new(W)))
	most := min(len(ws)*width/128, maxDictionary)
	less := 0
	for w := 1; w < min(bitsEach, 17); w++ { // indices of w bits
		less = max(less, min(1<<w, len(ws)*(min(bitsEach, width)-w)/width))
	}
	return min(most, max(less, alwaysDistinct))
}

// code returns the place of v in the dictionary, where it is put if it is new.
func (t *codeTable[W]) code(v W) uint32 {
	slots := t.slots
	shift := 64 - uint(bits.Len(uint(len(slots)-1)))
	at := int(uint64(v) * 0x9e3779b97f4a7c15 >> (shift & 63))
	for {
		code := slots[at&(len(slots)-1)]
		if code == 0 {
			return t.add(v, at)
		}
		if t.dict[code-1] == v {
			return code - 1
		}
		at++
	}
}

func (t *codeTable[W]) add(v W, at int) uint32 {
	t.dict = append(t.dict, v)
	t.slots[at&(len(t.slots)-1)] = uint32(len(t.dict))
	if 2*len(t.dict) > len(t.slots) {
		t.grow()
	}
	return uint32(len(t.dict) - 1)
}

// varied looks at a sample, and reports whether so few of its values are equal
// that there must be too many in all: of n equally likely values, a sample of s
// has about s*s/(2n+s), or a little more, that are equal to another.
func (t *codeTable[W]) varied(ws []W, limit int) bool {
	const sample = 1024
	if len(ws) < 4*sample {
		return false
	}
	t.reset(2 * sample)
	step := len(ws) / sample
	for i := range sample {
		t.code(ws[i*step])
	}
	return sample-len(t.dict) < 2*sample*sample/(3*(2*limit+sample))
}

func (t *codeTable[W]) reset(size int) {
	t.dict = t.dict[:0]
	t.slots = scratchOf(&t.slots, size)
	clear(t.slots)
}

func (t *codeTable[W]) grow() {
	dict := t.dict
	t.reset(4 * len(t.slots))
	for _, v := range dict {
		t.code(v)
	}
}
