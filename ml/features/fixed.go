package features

import (
	"math"
	"math/bits"
)

// Sums of targets, and of their squares, are whole numbers of fixed units, so that
// they do not depend on the order of the rows. A target counts to a multiple of
// 2^-80, about 1e-24; what is finer is cut off. Targets below 2^71 in size, about
// 2.4e21, and their squares leave room for 2^40 rows.
const (
	sumBits      = 192
	squareBits   = 384
	unitBits     = 80 // of the sums' unit, 2^-80; that of the squares is 2^-160
	maxTarget    = 1 << 71
	mantissaBits = 53
)

type (
	sumWords    [sumBits / 64]uint64    // a number of units as two's complement, low words first
	squareWords [squareBits / 64]uint64 // the same, never negative
)

// fixed returns a target as mantissa * 2^shift units.
func fixed(v float64) (mantissa uint64, shift uint, negative bool) {
	b := math.Float64bits(v)
	exp := int(b >> 52 & 0x7ff)
	mantissa = b & (1<<52 - 1)
	if exp > 0 {
		mantissa |= 1 << 52
		exp--
	}
	at := exp - 1074 + unitBits
	if at < 0 {
		mantissa >>= min(uint(-at), 63)
		at = 0
	}
	return mantissa, uint(at), b>>63 != 0
}

// add adds mantissa * 2^shift units, or takes them away.
func (s *sumWords) add(mantissa uint64, shift uint, negative bool) {
	by := shift & 63
	w := sumWords{mantissa << by, mantissa >> 1 >> (63 - by)}
	if shift >= 64 {
		w = sumWords{0, w[0], w[1]}
	}
	if negative {
		s.sub(&w)
	} else {
		s.plus(&w)
	}
}

func (s *sumWords) plus(o *sumWords) {
	var carry uint64
	s[0], carry = bits.Add64(s[0], o[0], 0)
	s[1], carry = bits.Add64(s[1], o[1], carry)
	s[2], _ = bits.Add64(s[2], o[2], carry)
}

func (s *sumWords) sub(o *sumWords) {
	var borrow uint64
	s[0], borrow = bits.Sub64(s[0], o[0], 0)
	s[1], borrow = bits.Sub64(s[1], o[1], borrow)
	s[2], _ = bits.Sub64(s[2], o[2], borrow)
}

// add adds the square of mantissa * 2^shift units.
func (s *squareWords) add(mantissa uint64, shift uint) {
	high, low := bits.Mul64(mantissa, mantissa)
	at, by := 2*shift>>6, 2*shift&63
	if at > 3 {
		return // beyond maxTarget, which callers see to
	}
	var carry uint64
	s[at], carry = bits.Add64(s[at], low<<by, 0)
	s[at+1], carry = bits.Add64(s[at+1], high<<by|low>>1>>(63-by), carry)
	s[at+2], carry = bits.Add64(s[at+2], high>>1>>(63-by), carry)
	for at += 3; carry != 0 && at < uint(len(s)); at++ {
		s[at], carry = bits.Add64(s[at], 0, carry)
	}
}

func (s *squareWords) plus(o *squareWords) {
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], o[i], carry)
	}
}

func (s *squareWords) sub(o *squareWords) {
	var borrow uint64
	for i := range s {
		s[i], borrow = bits.Sub64(s[i], o[i], borrow)
	}
}

// appendWords writes a number of units: how many bytes it takes, and these.
func appendWords(b []byte, words []uint64) []byte {
	last := words[len(words)-1]
	sign := byte(int64(last) >> 63)
	var raw [squareBits / 8]byte
	n := 0
	for i, w := range words {
		for j := range 8 {
			raw[i*8+j] = byte(w >> (8 * j))
			if raw[i*8+j] != sign {
				n = i*8 + j + 1
			}
		}
	}
	if n > 0 && raw[n-1]>>7 != sign>>7 || n == 0 && sign != 0 { // the sign must be seen
		n++
	}
	return append(append(b, byte(n)), raw[:n]...)
}

// words reads what appendWords has written.
func (r *reader) words(to []uint64) {
	n := int(r.Byte())
	if n > 8*len(to) {
		r.Fail("a sum of %d bytes, expected at most %d", n, 8*len(to))
		return
	}
	raw := r.Bytes(n)
	if r.Err() != nil || n == 0 {
		return
	}
	fill := byte(int8(raw[n-1]) >> 7)
	if short := raw[n-1] == fill && (n == 1 && fill == 0 || n > 1 && raw[n-2]>>7 == fill>>7); short {
		r.Fail("a sum is longer than it must be")
	}
	for i := range to {
		for j := range 8 {
			v := fill
			if at := i*8 + j; at < n {
				v = raw[at]
			}
			to[i] |= uint64(v) << (8 * j)
		}
	}
}

// exact is a number as the sum of two, of which the second is what the first
// leaves: it has at least 105 bits.
//
// Source: Dekker, A floating-point technique for extending the available
// precision, Numerische Mathematik 18, 1971, with the fused products of Hida, Li
// and Bailey, Algorithms for quad-double precision arithmetic, ARITH 2001.
type exact struct{ high, low float64 }

func (x exact) float() float64 { return x.high + x.low }

// exactOf returns words * 2^-unit.
func exactOf(words []uint64, unit int) exact {
	var w [squareBits / 64]uint64
	copy(w[:], words)
	negative := int64(words[len(words)-1]) < 0
	if negative {
		carry := uint64(1)
		for i := range words {
			w[i], carry = bits.Add64(^words[i], 0, carry)
		}
	}
	top := len(words) - 1
	for top > 0 && w[top] == 0 {
		top--
	}
	end := top*64 + bits.Len64(w[top])
	x := exact{part(w[:], end-mantissaBits, unit), part(w[:], end-2*mantissaBits, unit)}
	if negative {
		x.high, x.low = -x.high, -x.low
	}
	return x
}

// part returns the number that 53 bits of words from a place on are.
func part(words []uint64, from, unit int) float64 {
	size := mantissaBits
	if from < 0 {
		size, from = size+from, 0
	}
	if size <= 0 {
		return 0
	}
	at, by := from>>6, uint(from&63)
	v := words[at] >> by
	if by > 0 && at+1 < len(words) {
		v |= words[at+1] << (64 - by)
	}
	return math.Ldexp(float64(v&(1<<size-1)), from-unit)
}

// twoSum is a + b.
func twoSum(a, b float64) exact {
	s := a + b
	t := s - a
	return exact{s, (a - (s - t)) + (b - t)}
}

// minus is x - y.
func (x exact) minus(y exact) exact {
	s := twoSum(x.high, -y.high)
	return twoSum(s.high, s.low+(x.low-y.low))
}

// square is x * x.
func (x exact) square() exact {
	p := float64(x.high * x.high)
	e := math.FMA(x.high, x.high, -p)
	return twoSum(p, math.FMA(2*x.high, x.low, e))
}

// over is x / n.
func (x exact) over(n float64) exact {
	q := x.high / n
	rest := math.FMA(-q, n, x.high) + x.low
	return twoSum(q, rest/n)
}
