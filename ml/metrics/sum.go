package metrics

import (
	"encoding/binary"
	"math"
	"math/big"

	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	numChunks = 68      // 32 bits each, from 2^-1074 up, with room for 2^64 of the largest float64
	maxRows   = 1 << 56 // rows that a decoded summary may claim, so that counts cannot overflow
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
	bits := math.Float64bits(v)
	exp := int(bits >> 52 & 0x7ff)
	mant := bits & (1<<52 - 1)
	switch exp {
	case 0x7ff:
		return false
	case 0:
		exp = 1 // subnormal: no hidden bit, the exponent of the smallest normal
	default:
		mant |= 1 << 52
	}
	if s.adds == maxAdds {
		s.carry()
	}
	s.adds++
	at, shift := (exp-1)>>5, uint(exp-1)&31
	low := mant << shift & 0xffffffff
	mid := mant << shift >> 32
	high := uint64(0)
	if shift > 0 {
		high = mant >> (64 - shift)
	}
	if bits>>63 == 0 {
		s.chunks[at] += int64(low)
		s.chunks[at+1] += int64(mid)
		s.chunks[at+2] += int64(high)
	} else {
		s.chunks[at] -= int64(low)
		s.chunks[at+1] -= int64(mid)
		s.chunks[at+2] -= int64(high)
	}
	return true
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
	f := new(big.Float).SetInt(s.integer())
	if f.Sign() == 0 {
		return 0
	}
	v, _ := f.SetMantExp(f, -1074).Float64()
	return v
}

// carry brings every chunk but the last into 0..2^32-1: the one form that each
// value has.
func (s *Sum) carry() {
	for i := range numChunks - 1 {
		c := s.chunks[i] >> 32
		s.chunks[i] &= 0xffffffff
		s.chunks[i+1] += c
	}
	s.adds = 0
}

// integer returns the sum in units of 2^-1074.
func (s *Sum) integer() *big.Int {
	n := new(big.Int)
	for i := numChunks - 1; i >= 0; i-- {
		n.Lsh(n, 32)
		n.Add(n, big.NewInt(s.chunks[i]))
	}
	return n
}

// append writes the sum: the place of the first chunk in use, the number of
// those up to the last one in use, and each as a varint.
func (s *Sum) append(b []byte) []byte {
	s.carry()
	first, end := 0, numChunks
	for end > 0 && s.chunks[end-1] == 0 {
		end--
	}
	for first < end && s.chunks[first] == 0 {
		first++
	}
	if end == 0 {
		first = 0
	}
	b = append(b, byte(first), byte(end-first))
	for _, c := range s.chunks[first:end] {
		b = binary.AppendVarint(b, c)
	}
	return b
}

func (r *reader) sum() Sum {
	var s Sum
	first, n := int(r.byte()), int(r.byte())
	if first+n > numChunks {
		r.fail("a sum of %d chunks from %d, expected at most %d", n, first, numChunks)
		return s
	}
	for i := first; i < first+n; i++ {
		s.chunks[i] = r.varint()
	}
	for i := range numChunks - 1 {
		if s.chunks[i]>>32 != 0 {
			r.fail("chunk %d of a sum is not carried", i)
			return Sum{}
		}
	}
	return s
}

// reader decodes a summary; the first fault sticks, and what is read after it
// is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "metrics: decode: "+format, args...)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("the summary ends early")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("the summary ends early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a count that is not negative.
func (r *reader) count() int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt64 {
		r.fail("the summary ends early")
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

func (r *reader) float() float64 {
	if len(r.b) < 8 {
		r.fail("the summary ends early")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}
