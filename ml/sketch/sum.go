package sketch

import (
	"encoding/binary"
	"math"
	"math/big"
)

const (
	numChunks = 68      // 32 bits each, from 2^-1074 up, with room for 2^64 of the largest float64
	maxAdds   = 1 << 29 // additions of less than 2^33 each that a chunk can take before it must be carried
)

// Sum is the sum of float64 values without any rounding: a fixed-point number
// of 2,176 bits, wide enough for every finite float64, so that the sum is the
// same whatever the order and grouping of the additions. The zero value is
// zero and ready to use; it is not safe for concurrent use.
//
// Source: Neal, Fast exact summation using small and large superaccumulators,
// arXiv:1505.05571, section 2 (the small superaccumulator).
type Sum struct {
	chunks [numChunks]int64 // the value is the sum of chunks[i] * 2^(32i-1074)
	adds   int              // additions since chunks were last carried
}

// Add adds v. NaN and infinities have no place in a sum: Add reports false for
// them and leaves s as it was.
func (s *Sum) Add(v float64) bool {
	mant, exp, negative := split(v)
	if exp == infinite {
		return false
	}
	s.add(mant, exp, negative)
	return true
}

// add adds mant * 2^(exp-1074), or takes it away.
func (s *Sum) add(mant uint64, exp uint, negative bool) {
	if s.adds == maxAdds {
		s.carry()
	}
	s.adds++
	at, shift := exp>>5, exp&31
	low := mant << shift & 0xffffffff
	mid := mant << shift >> 32
	high := uint64(0)
	if shift > 0 {
		high = mant >> (64 - shift)
	}
	if negative {
		s.chunks[at] -= int64(low)
		s.chunks[at+1] -= int64(mid)
		s.chunks[at+2] -= int64(high)
	} else {
		s.chunks[at] += int64(low)
		s.chunks[at+1] += int64(mid)
		s.chunks[at+2] += int64(high)
	}
}

// infinite is the exponent that split gives to what is not finite.
const infinite = 0x7fe

// split returns v as mant * 2^(exp-1074), with mant below 2^53.
func split(v float64) (mant uint64, exp uint, negative bool) {
	bits := math.Float64bits(v)
	exp = uint(bits >> 52 & 0x7ff)
	mant = bits & (1<<52 - 1)
	if exp == 0 { // subnormal: no hidden bit, the exponent of the smallest normal
		return mant, 0, bits>>63 != 0
	}
	return mant | 1<<52, exp - 1, bits>>63 != 0
}

// AddProduct adds a times b, exact as long as the product neither overflows
// (reported as false, s is left as it was) nor has bits below 2^-1074.
func (s *Sum) AddProduct(a, b float64) bool {
	hi := a * b
	if !s.Add(hi) {
		return false
	}
	return s.Add(math.FMA(a, b, -hi))
}

// Merge adds the sum o to s.
func (s *Sum) Merge(o *Sum) {
	other := *o
	other.carry()
	s.carry()
	for i, c := range other.chunks {
		s.chunks[i] += c
	}
	s.carry()
}

// Value returns the sum, rounded once to the nearest float64.
func (s *Sum) Value() float64 {
	f := new(big.Float).SetInt(s.Integer())
	if f.Sign() == 0 {
		return 0
	}
	v, _ := f.SetMantExp(f, -1074).Float64()
	return v
}

// carry brings every chunk but the last into 0..2^32-1: the one form that each
// value has.
func (s *Sum) carry() {
	carryChunks(s.chunks[:])
	s.adds = 0
}

func carryChunks(chunks []int64) {
	for i := range len(chunks) - 1 {
		c := chunks[i] >> 32
		chunks[i] &= 0xffffffff
		chunks[i+1] += c
	}
}

// Integer returns the sum in units of 2^-1074.
func (s *Sum) Integer() *big.Int { return integerOf(s.chunks[:]) }

func integerOf(chunks []int64) *big.Int {
	n := new(big.Int)
	for i := len(chunks) - 1; i >= 0; i-- {
		n.Lsh(n, 32)
		n.Add(n, big.NewInt(chunks[i]))
	}
	return n
}

// Append appends the sum to b: the same bytes for the same sum. The layout is
// the place of the first chunk in use, the number of those up to the last one
// in use, and each as a varint.
func (s *Sum) Append(b []byte) []byte {
	s.carry()
	return appendChunks(b, s.chunks[:])
}

func appendChunks(b []byte, chunks []int64) []byte {
	first, end := 0, len(chunks)
	for end > 0 && chunks[end-1] == 0 {
		end--
	}
	for first < end && chunks[first] == 0 {
		first++
	}
	if end == 0 {
		first = 0
	}
	b = append(b, byte(first), byte(end-first))
	for _, c := range chunks[first:end] {
		b = binary.AppendVarint(b, c)
	}
	return b
}

// DecodeSum reads what Append has written from the front of b, and returns what
// follows it. The error is of kind Corrupt when b begins with anything else.
func DecodeSum(b []byte) (Sum, []byte, error) {
	r := newReader("sketch: decode sum", b)
	var s Sum
	r.chunks(s.chunks[:])
	if r.Err() != nil {
		return Sum{}, nil, r.Err()
	}
	return s, r.Rest(), nil
}

// chunks reads what appendChunks has written.
func (r *binaryReader) chunks(to []int64) {
	first, n := int(r.Byte()), int(r.Byte())
	if first+n > len(to) {
		r.Fail("a sum of %d chunks from %d, expected at most %d", n, first, len(to))
		return
	}
	for i := first; i < first+n; i++ {
		to[i] = r.Varint()
	}
	for i := range len(to) - 1 {
		if to[i]>>32 != 0 {
			r.Fail("chunk %d of a sum is not carried", i)
			return
		}
	}
}

// count reads a number of values, at most 2^56, so that sums cannot overflow.
func (r *binaryReader) count() int64 {
	return r.Count(1 << 56)
}
