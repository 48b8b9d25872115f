package shuffle

import (
	"cmp"
	"math/bits"
	"slices"
)

// space is memory that sorting uses again. The zero value is ready to use.
type space struct {
	words, other []uint64
	// Of the rows that were sorted last, in order.
	keys    keys
	times   []int64
	tangled []place
}

// place is a row and what its place in the order depends on.
type place struct {
	key
	time int64
	row  uint32
}

func (p place) compare(o place) int {
	if c := p.key.compare(o.key); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(p.time, o.time), cmp.Compare(p.row, o.row))
}

// sort brings rows, which are given in their order, in that of key, time and place.
// Their keys and times, in that order, are in s until the next call.
func (s *space) sort(k keys, times []int64, rows []uint32) {
	s.keys.first, s.times = room(s.keys.first, len(rows)), room(s.times, len(rows))
	s.words = s.words[:0]
	if len(rows) > 0 {
		s.byKey(k.first, rows)
	}
	for i, r := range rows {
		s.keys.first[i], s.times[i] = k.first[r], times[r]
	}
	ties := s.keys.ties
	if s.keys.ties = nil; k.ties != nil {
		s.keys.ties = room(ties, len(rows))
		for i, r := range rows {
			s.keys.ties[i] = k.ties[r]
		}
	}
	words := s.words
	for from := 0; from < len(words); {
		to, inOrder, high := from+1, true, words[from]>>rowBits
		for ; to < len(words) && words[to]>>rowBits == high; to++ {
			inOrder = inOrder && s.inOrder(to)
		}
		if !inOrder {
			s.untangle(rows[from:to], from)
		}
		from = to
	}
}

// inOrder reports whether a row does not come before the one in front of it; of
// equals the first in place is in front.
func (s *space) inOrder(i int) bool {
	if a, b := s.keys.first[i-1], s.keys.first[i]; a != b {
		return a < b
	}
	if s.keys.ties != nil && s.keys.ties[i-1] != s.keys.ties[i] {
		return s.keys.ties[i-1] < s.keys.ties[i]
	}
	return s.times[i-1] <= s.times[i]
}

// untangle sorts a few rows, of which the first is at a place, by all that there is
// of them.
func (s *space) untangle(rows []uint32, at int) {
	s.tangled = s.tangled[:0]
	for i, r := range rows {
		s.tangled = append(s.tangled, place{key: s.keys.at(uint32(at + i)), time: s.times[at+i], row: r})
	}
	slices.SortFunc(s.tangled, place.compare)
	for i, p := range s.tangled {
		rows[i], s.keys.first[at+i], s.times[at+i] = p.row, p.first, p.time
		if s.keys.ties != nil {
			s.keys.ties[at+i] = p.tie
		}
	}
}

// rowBits is how many bits of a word say which row it is; the others are of its
// key, and are sorted by so many at a time.
const rowBits, digitBits = 32, 11

// byKey sorts rows by so many bits of their keys that few that differ are equal in
// them, and keeps the order of those; s.words has the bits.
func (s *space) byKey(keys []uint64, rows []uint32) {
	least, most := keys[rows[0]], keys[rows[0]]
	for _, r := range rows {
		least, most = min(least, keys[r]), max(most, keys[r])
	}
	digits := digitsOf(len(rows))
	shift := max(bits.Len64(most-least)-min(digits*digitBits, 64-rowBits), 0)
	s.words, s.other = room(s.words, len(rows)), room(s.other, len(rows))
	for i, r := range rows {
		s.words[i] = (keys[r]-least)>>shift<<rowBits | uint64(r)
	}
	for d := range digits {
		s.pass(uint(rowBits + digitBits*d))
	}
	for i, w := range s.words {
		rows[i] = uint32(w)
	}
}

// digitsOf returns how many digits of their keys so many rows are sorted by: all
// that a word has room for, at most.
func digitsOf(numRows int) int {
	const spare = 4 // bits beyond those that tell the rows apart
	return min((bits.Len(uint(numRows))+spare+digitBits-1)/digitBits, (64-rowBits+digitBits-1)/digitBits)
}

// pass sorts words by a digit of theirs, and keeps the order of equal ones.
func (s *space) pass(shift uint) {
	const size = 1 << digitBits
	var count [size]uint32
	for _, w := range s.words {
		count[w>>(shift&63)%size]++
	}
	at := uint32(0)
	for i, n := range count {
		count[i], at = at, at+n
	}
	for _, w := range s.words {
		digit := w >> (shift & 63) % size
		s.other[count[digit]] = w
		count[digit]++
	}
	s.words, s.other = s.other, s.words
}

// room returns a slice of so many items of any content, in the memory of another if
// that is enough.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
