package sketch

import "slices"

// tally counts values that are not yet in a summary: a table with open
// addressing, and multiplication as its hash. The zero value is empty.
type tally struct {
	entries []entry
	slots   []uint32 // place in entries + 1; 0 is free
	shift   uint     // 64 - log2 of the number of slots
	total   int64
}

type entry struct {
	key uint64 // sortKey of the value
	n   int64
}

func (t *tally) slot(key uint64) uint64 {
	// The low half is folded in, since whole numbers differ in high bits only.
	return (key ^ key>>32) * 0x9e3779b97f4a7c15 >> t.shift
}

// add counts a value, which is neither NaN nor -0, n times.
func (t *tally) add(v float64, n int64) {
	if len(t.entries)*2 >= len(t.slots) {
		t.grow()
	}
	t.total += n
	key, mask := sortKey(v), uint64(len(t.slots)-1)
	for at := t.slot(key); ; at = (at + 1) & mask {
		place := t.slots[at]
		if place == 0 {
			t.entries = append(t.entries, entry{key, n})
			t.slots[at] = uint32(len(t.entries))
			return
		}
		if e := &t.entries[place-1]; e.key == key {
			e.n += n
			return
		}
	}
}

func (t *tally) grow() {
	n := max(64, 2*len(t.slots))
	t.slots = make([]uint32, n)
	for t.shift = 64; n > 1; n >>= 1 {
		t.shift--
	}
	mask := uint64(len(t.slots) - 1)
	for i, e := range t.entries {
		at := t.slot(e.key)
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = uint32(i + 1)
	}
}

// take empties the tally and returns the values, ascending, and their counts.
func (t *tally) take() ([]float64, []int64) {
	slices.SortFunc(t.entries, func(a, b entry) int {
		if a.key < b.key {
			return -1
		}
		return 1 // no two are equal
	})
	values, counts := make([]float64, len(t.entries)), make([]int64, len(t.entries))
	for i, e := range t.entries {
		values[i], counts[i] = fromSortKey(e.key), e.n
	}
	t.entries, t.total = t.entries[:0], 0
	clear(t.slots)
	return values, counts
}
