package parquet

import "math/bits"

// maxDictionary is the most numbers that a dictionary holds.
const maxDictionary = 1 << 16

// codeTable finds the distinct numbers of a chunk.
type codeTable[W uint32 | uint64] struct {
	slots []tableSlot[W]
	dict  []W
}

// tableSlot is free when code is 0.
type tableSlot[W uint32 | uint64] struct {
	key  W
	code uint32 // plus 1
}

// encode sets codes[i] to the place of ws[i] among the distinct values in order
// of first appearance, which it returns and keeps until the next call. It
// returns nil where a dictionary would not make the chunk smaller by half.
func (t *codeTable[W]) encode(codes []uint32, ws []W) []W {
	limit := min(len(ws)/4, maxDictionary)
	if limit == 0 || t.varied(ws) {
		return nil
	}
	t.reset(1 << 10)
	for i, v := range ws {
		at := t.hash(v)
		for t.slots[at].code != 0 && t.slots[at].key != v {
			at = (at + 1) & (len(t.slots) - 1)
		}
		if s := &t.slots[at]; s.code == 0 {
			if len(t.dict) == limit {
				return nil
			}
			t.dict = append(t.dict, v)
			s.key, s.code = v, uint32(len(t.dict))
			codes[i] = s.code - 1
			if 2*len(t.dict) > len(t.slots) {
				t.grow()
			}
			continue
		}
		codes[i] = t.slots[at].code - 1
	}
	return t.dict
}

// varied looks at a sample, and reports whether so few of its values are equal
// that there must be too many in all: of n equally likely values, a sample of s
// has about s*s/2n pairs that are equal.
func (t *codeTable[W]) varied(ws []W) bool {
	const sample = 1024
	if len(ws) < 4*sample {
		return false
	}
	t.reset(2 * sample)
	step := len(ws) / sample
	for i := range sample {
		v := ws[i*step]
		at := t.hash(v)
		for t.slots[at].code != 0 && t.slots[at].key != v {
			at = (at + 1) & (len(t.slots) - 1)
		}
		if t.slots[at].code == 0 {
			t.dict = append(t.dict, v)
			t.slots[at] = tableSlot[W]{v, 1}
		}
	}
	limit := min(len(ws)/4, maxDictionary)
	return sample-len(t.dict) < sample*sample/(3*limit)
}

func (t *codeTable[W]) hash(v W) int {
	return int(uint64(v) * 0x9e3779b97f4a7c15 >> (64 - uint(bits.Len(uint(len(t.slots)-1)))))
}

func (t *codeTable[W]) reset(size int) {
	t.dict = t.dict[:0]
	t.slots = scratchOf(&t.slots, size)
	clear(t.slots)
}

func (t *codeTable[W]) grow() {
	t.slots = scratchOf(&t.slots, 4*len(t.slots))
	clear(t.slots)
	for i, v := range t.dict {
		at := t.hash(v)
		for t.slots[at].code != 0 {
			at = (at + 1) & (len(t.slots) - 1)
		}
		t.slots[at] = tableSlot[W]{v, uint32(i + 1)}
	}
}
