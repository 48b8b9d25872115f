package sketch

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// Texts numbers distinct texts in the order in which they are added. They lie
// one after the other in one piece of memory, so that a million of them are no
// burden to the collector: beside its bytes each takes 12 to 20. The zero value
// is empty; it is safe for concurrent use while nobody adds.
type Texts struct {
	bytes []byte
	ends  []uint32 // of each text in bytes
	slots []uint32 // number + 1 by hash, 0 is free; a power of two, at most half full
}

// Len returns how many texts there are.
func (t *Texts) Len() int { return len(t.ends) }

// NumBytes returns how long all texts are together.
func (t *Texts) NumBytes() int { return len(t.bytes) }

// At returns a text by its number; it stays valid, and keeps all texts in memory.
func (t *Texts) At(i int) string {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	// Bytes are written once, before anybody is told of them.
	b := t.bytes[from:t.ends[i]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Number returns the number of a text, which is copied if it is new.
func (t *Texts) Number(text string) int {
	if 2*len(t.ends) >= len(t.slots) {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	at := xxh3.HashString(text) & mask
	for ; t.slots[at] != 0; at = (at + 1) & mask {
		if i := int(t.slots[at] - 1); t.At(i) == text {
			return i
		}
	}
	t.push(text)
	t.slots[at] = uint32(len(t.ends))
	return len(t.ends) - 1
}

// push adds a text that is known to be new, and leaves the slots to whoever
// looks for one.
func (t *Texts) push(text string) {
	t.bytes = append(t.bytes, text...)
	t.ends = append(t.ends, uint32(len(t.bytes)))
}

// Find returns the number of a text, and whether it has one.
func (t *Texts) Find(text string) (int, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := xxh3.HashString(text) & mask; t.slots[at] != 0; at = (at + 1) & mask {
		if i := int(t.slots[at] - 1); t.At(i) == text {
			return i, true
		}
	}
	return 0, false
}

// grow makes slots for the texts that there are and as many more.
func (t *Texts) grow() {
	size := 64
	for size < 4*len(t.ends) {
		size *= 2
	}
	t.slots = make([]uint32, size)
	mask := uint64(size - 1)
	for i := range t.ends {
		at := xxh3.HashString(t.At(i)) & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = uint32(i + 1)
	}
}

// ascending returns the numbers of the texts in the order of these.
func (t *Texts) ascending() []uint32 {
	// The first eight bytes decide nearly always, and are at hand.
	type head struct {
		first  uint64
		number uint32
	}
	heads := make([]head, t.Len())
	for i := range heads {
		var first [8]byte
		copy(first[:], t.At(i))
		heads[i] = head{binary.BigEndian.Uint64(first[:]), uint32(i)}
	}
	slices.SortFunc(heads, func(a, b head) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return strings.Compare(t.At(int(a.number)), t.At(int(b.number)))
	})
	out := make([]uint32, len(heads))
	for i, h := range heads {
		out[i] = h.number
	}
	return out
}
