package vector

// Places numbers whole numbers in the order in which they are first seen. The
// zero value is empty, and one of distinct Keys alone holds these once Number has
// been called; it is safe for concurrent use while nobody calls Number.
//
// It is a table with open addressing, and multiplication as its hash.
type Places struct {
	Keys  []int64  // by place
	slots []uint32 // place + 1; 0 is free
	shift uint     // 64 - log2 of the number of slots
}

const minSlotBits = 6

func (p *Places) slot(key int64) uint64 { return uint64(key) * 0x9e3779b97f4a7c15 >> p.shift }

// Number returns the place of a key, a new one if it has none yet.
func (p *Places) Number(key int64) uint32 {
	if len(p.Keys)*2 >= len(p.slots) {
		p.grow()
	}
	mask := uint64(len(p.slots) - 1)
	for at := p.slot(key); ; at = (at + 1) & mask {
		place := p.slots[at]
		if place == 0 {
			p.Keys = append(p.Keys, key)
			p.slots[at] = uint32(len(p.Keys))
			return uint32(len(p.Keys) - 1)
		}
		if p.Keys[place-1] == key {
			return place - 1
		}
	}
}

func (p *Places) grow() {
	n := max(1<<minSlotBits, 2*len(p.slots))
	for n <= 2*len(p.Keys) {
		n *= 2
	}
	p.slots = make([]uint32, n)
	for p.shift = 64; n > 1; n >>= 1 {
		p.shift--
	}
	mask := uint64(len(p.slots) - 1)
	for i, key := range p.Keys {
		at := p.slot(key)
		for p.slots[at] != 0 {
			at = (at + 1) & mask
		}
		p.slots[at] = uint32(i + 1)
	}
}

// Find returns the place of a key, and whether it has one.
func (p *Places) Find(key int64) (uint32, bool) {
	if len(p.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(p.slots) - 1)
	for at := p.slot(key); ; at = (at + 1) & mask {
		switch place := p.slots[at]; {
		case place == 0:
			return 0, false
		case p.Keys[place-1] == key:
			return place - 1, true
		}
	}
}

// Codes writes the place of every key, and makes room for new ones.
func Codes[T int32 | int64](p *Places, dst []uint32, keys []T) {
	dst = dst[:len(keys)]
	for i, k := range keys {
		dst[i] = p.Number(int64(k))
	}
}
