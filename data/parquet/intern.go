package parquet

import (
	"math"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// noCode marks a dictionary entry that no row has used yet.
const noCode = math.MaxUint32

// interner gives each distinct string a code, in order of first appearance. It
// is the column's dictionary in the making.
type interner struct {
	dict  []string
	table []uint32 // code+1 by hash, 0: free; a power of two, at most half full
	arena []byte
	size  int64 // about what all strings take

	// crowd are the strings for which there was no place near where their hash says:
	// somebody has made them so that all would have the same.
	crowd map[string]uint32
}

// maxProbes is how far a string may be from its place; by chance none is further
// than a few hundred.
const maxProbes = 1 << 11

// code returns the code of the string in b, which is copied when it is new.
func (in *interner) code(b []byte) uint32 {
	if 2*len(in.dict) >= len(in.table) {
		in.rehash()
	}
	mask := uint64(len(in.table) - 1)
	h := xxh3.Hash(b) & mask
	for far := 0; in.table[h] != 0; far++ {
		if c := in.table[h] - 1; in.dict[c] == string(b) {
			return c
		}
		if far == maxProbes {
			return in.crowded(b)
		}
		h = (h + 1) & mask
	}
	in.add(b)
	in.table[h] = uint32(len(in.dict))
	return uint32(len(in.dict) - 1)
}

func (in *interner) add(b []byte) {
	in.dict = append(in.dict, in.keep(b))
	in.size += int64(len(b)) + 24 // with its header and places in the table
}

func (in *interner) crowded(b []byte) uint32 {
	c, ok := in.crowd[string(b)]
	if !ok {
		in.add(b)
		c = uint32(len(in.dict) - 1)
		in.join(in.dict[c], c)
	}
	return c
}

func (in *interner) join(s string, code uint32) {
	if in.crowd == nil {
		in.crowd = map[string]uint32{}
	}
	in.crowd[s] = code
}

func (in *interner) rehash() {
	size := max(64, 4*len(in.dict))
	for size&(size-1) != 0 {
		size += size & -size
	}
	in.table = sized(in.table, size)
	clear(in.table)
	clear(in.crowd)
	mask := uint64(size - 1)
	for c, s := range in.dict {
		in.place(s, uint32(c), mask)
	}
}

// place enters a string that is not in the table.
func (in *interner) place(s string, code uint32, mask uint64) {
	h := xxh3.HashString(s) & mask
	for far := 0; in.table[h] != 0; far++ {
		if far == maxProbes {
			in.join(s, code)
			return
		}
		h = (h + 1) & mask
	}
	in.table[h] = code + 1
}

// keep copies b into the arena: one allocation for many small strings. Bytes of
// the arena are written once, before a string points at them.
func (in *interner) keep(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if cap(in.arena)-len(in.arena) < len(b) {
		in.arena = make([]byte, 0, max(len(b), min(64<<10, max(512, 2*cap(in.arena)))))
	}
	at := len(in.arena)
	in.arena = append(in.arena, b...)
	return unsafe.String(&in.arena[at], len(b))
}
