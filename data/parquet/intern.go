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
}

// code returns the code of the string in b, which is copied when it is new.
func (in *interner) code(b []byte) uint32 {
	if 2*len(in.dict) >= len(in.table) {
		in.rehash()
	}
	mask := uint64(len(in.table) - 1)
	h := xxh3.Hash(b) & mask
	for in.table[h] != 0 {
		if c := in.table[h] - 1; in.dict[c] == string(b) {
			return c
		}
		h = (h + 1) & mask
	}
	in.dict = append(in.dict, in.keep(b))
	in.size += int64(len(b)) + 24 // with its header and places in the table
	in.table[h] = uint32(len(in.dict))
	return uint32(len(in.dict) - 1)
}

func (in *interner) rehash() {
	size := max(64, 4*len(in.dict))
	for size&(size-1) != 0 {
		size += size & -size
	}
	in.table = sized(in.table, size)
	clear(in.table)
	mask := uint64(size - 1)
	for c, s := range in.dict {
		h := xxh3.HashString(s) & mask
		for in.table[h] != 0 {
			h = (h + 1) & mask
		}
		in.table[h] = uint32(c + 1)
	}
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
