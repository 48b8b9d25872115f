package sketch

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"sync"
)

// momentsVersion is the first byte of encoded moments.
const momentsVersion = 1

// numSquareChunks hold a sum of squares: 32 bits each, from 2^-2148 up, with
// room for 2^64 of the square of the largest float64.
const numSquareChunks = 136

// Moments is the count, mean, spread and range of one numeric column. Sums are
// kept without any rounding, so its state is a function of the multiset of
// values seen: any order and any split over shards gives the same bytes, and
// what is read off it is rounded once.
//
// The zero value has seen no values and is ready to use; it is not safe for
// concurrent use.
type Moments struct {
	numValues int64
	min, max  float64
	sum       Sum
	squares   [numSquareChunks]int64 // the sum of squares is that of squares[i] * 2^(32i-2148)
	adds      int                    // additions since squares were last carried
}

// Observe adds values, of shape (rows,). NaN marks a null and is skipped, and
// so are infinities, which have no mean.
func (m *Moments) Observe(values []float64) {
	if len(values) < minBlock {
		for _, v := range values {
			m.Add(v)
		}
		return
	}
	w := workbenches.Get().(*workbench)
	for len(values) > 0 {
		n := min(len(values), maxBlock)
		m.observe(w, values[:n])
		values = values[n:]
	}
	workbenches.Put(w)
}

const (
	minBlock = 64
	maxBlock = 1 << 11 // of 53 bits each, so many add up to at most 64
)

// workbench sums values of one exponent each, as integers: the large
// superaccumulator of Neal's paper, section 3, and the same for squares. It is
// left empty.
type workbench struct {
	of   [0x1000]parts       // by exponent, those of negative values in the second half
	used [0x1000 / 64]uint64 // whose parts are not 0
}

// parts is the sums of the values of one sign and exponent, in units of the
// last bit.
type parts struct {
	sum       uint64
	low, high uint64 // of the squares
}

var workbenches = sync.Pool{New: func() any { return new(workbench) }}

func (m *Moments) observe(w *workbench, values []float64) {
	n, low, high := int64(0), math.Inf(1), math.Inf(-1)
	for _, v := range values {
		word := math.Float64bits(v)
		exp := word >> 52
		if exp&0x7ff == 0x7ff {
			continue
		}
		n++
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		mant := word & (1<<52 - 1)
		if exp&0x7ff != 0 {
			mant |= 1 << 52
		}
		p := &w.of[exp]
		w.used[exp>>6] |= 1 << (exp & 63)
		p.sum += mant
		hi, lo := bits.Mul64(mant, mant)
		var carry uint64
		p.low, carry = bits.Add64(p.low, lo, 0)
		p.high += hi + carry
	}
	if n == 0 {
		return
	}
	if m.numValues == 0 {
		m.min, m.max = low+0, high+0
	}
	m.min, m.max = min(m.min, low+0), max(m.max, high+0) // not -0
	m.numValues += n
	m.collect(w)
}

// collect adds what is on the workbench.
func (m *Moments) collect(w *workbench) {
	for i, word := range w.used {
		for ; word != 0; word &= word - 1 {
			at := uint(i*64 + bits.TrailingZeros64(word))
			p := &w.of[at]
			exp := max(at&0x7ff, 1) - 1 // of subnormals it is that of the smallest normal
			m.sum.add(p.sum, exp, at > 0x7ff)
			if m.adds == maxAdds {
				m.carry()
			}
			m.adds++
			m.addSquare(p.high, p.low, 2*exp)
			*p = parts{}
		}
		w.used[i] = 0
	}
}

// Add adds one value; NaN and infinities are skipped.
func (m *Moments) Add(v float64) {
	if !m.sum.Add(v) {
		return
	}
	if v == 0 {
		v = 0 // not -0
	}
	if m.numValues == 0 {
		m.min, m.max = v, v
	}
	m.min, m.max = min(m.min, v), max(m.max, v)
	m.numValues++
	mant, exp, _ := split(v)
	if m.adds == maxAdds {
		m.carry()
	}
	m.adds++
	hi, lo := bits.Mul64(mant, mant)
	m.addSquare(hi, lo, 2*exp)
}

// addSquare adds (hi*2^64 + lo) * 2^(bit-2148).
func (m *Moments) addSquare(hi, lo uint64, bit uint) {
	shift := bit & 31
	to := m.squares[bit>>5 : bit>>5+5]
	var top uint64
	if shift > 0 {
		top = hi >> (64 - shift)
		hi = hi<<shift | lo>>(64-shift)
		lo <<= shift
	}
	to[0] += int64(lo & 0xffffffff)
	to[1] += int64(lo >> 32)
	to[2] += int64(hi & 0xffffffff)
	to[3] += int64(hi >> 32)
	to[4] += int64(top)
}

// AddN adds a value n times; NaN and infinities are skipped. It panics when n
// is negative.
func (m *Moments) AddN(v float64, n int64) {
	if n < 0 {
		panic("sketch: a negative number of values")
	}
	var power Moments // holds 1, 2, 4 ... times v
	power.Add(v)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			m.Merge(&power)
		}
		twice := power
		power.Merge(&twice)
	}
}

// Merge adds the values that o has seen.
func (m *Moments) Merge(o *Moments) {
	if o.numValues == 0 {
		return
	}
	if m.numValues == 0 {
		m.min, m.max = o.min, o.max
	}
	m.min, m.max = min(m.min, o.min), max(m.max, o.max)
	m.numValues += o.numValues
	m.sum.Merge(&o.sum)
	other := o.squares
	carryChunks(other[:])
	m.carry()
	for i, c := range other {
		m.squares[i] += c
	}
	m.carry()
}

func (m *Moments) carry() {
	carryChunks(m.squares[:])
	m.adds = 0
}

// N returns the number of finite values seen.
func (m *Moments) N() int64 { return m.numValues }

// Min returns the smallest value; NaN when there are none.
func (m *Moments) Min() float64 {
	if m.numValues == 0 {
		return math.NaN()
	}
	return m.min
}

// Max returns the largest value; NaN when there are none.
func (m *Moments) Max() float64 {
	if m.numValues == 0 {
		return math.NaN()
	}
	return m.max
}

// Mean returns the mean: the float64 nearest to the exact one. NaN when there
// are no values.
func (m *Moments) Mean() float64 {
	if m.numValues == 0 {
		return math.NaN()
	}
	n := big.NewInt(m.numValues)
	v, _ := new(big.Rat).SetFrac(m.sum.Integer(), n.Lsh(n, 1074)).Float64()
	return v + 0
}

// Std returns the standard deviation of the values as a whole population, the
// square root of the mean squared deviation from the mean, in the unit of the
// values. It is computed from exact sums with 200 bits, then rounded; 0 when
// all values are equal, NaN when there are none.
func (m *Moments) Std() float64 {
	if m.numValues == 0 {
		return math.NaN()
	}
	// n squares - sum^2, in units of 2^-2148, is n^2 times the variance.
	n := big.NewInt(m.numValues)
	d := integerOf(m.squares[:])
	d.Mul(d, n)
	s := m.sum.Integer()
	d.Sub(d, s.Mul(s, s))
	if d.Sign() <= 0 {
		return 0
	}
	f := new(big.Float).SetPrec(200).SetInt(d)
	f.SetMantExp(f, -2148)
	f.Sqrt(f)
	v, _ := f.Quo(f, new(big.Float).SetInt(n)).Float64()
	return v
}

// MarshalBinary writes the state: the same bytes for the same multiset of
// values, whatever their order and however they were split and merged.
//
// Layout: version; number of values; if any, min and max (8 bytes each, little
// endian), the sum as Sum.Append writes it, and the sum of squares likewise.
func (m *Moments) MarshalBinary() ([]byte, error) { return m.Append(nil), nil }

// Append appends what MarshalBinary writes.
func (m *Moments) Append(b []byte) []byte {
	b = append(b, momentsVersion)
	b = binary.AppendUvarint(b, uint64(m.numValues))
	if m.numValues == 0 {
		return b
	}
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(m.min))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(m.max))
	m.carry()
	return appendChunks(m.sum.Append(b), m.squares[:])
}

// UnmarshalBinary replaces m by what MarshalBinary has written. The error is of
// kind Corrupt, and m is left as it was, when b is anything else.
func (m *Moments) UnmarshalBinary(b []byte) error {
	r := newReader("sketch: decode moments", b)
	var got Moments
	r.moments(&got)
	if err := r.End(); err != nil {
		return err
	}
	*m = got
	return nil
}

func (r *binaryReader) moments(m *Moments) {
	r.Version(momentsVersion)
	if m.numValues = r.count(); m.numValues == 0 {
		return
	}
	m.min, m.max = r.Float(), r.Float()
	if !(m.min <= m.max) || math.IsInf(m.min, 0) || math.IsInf(m.max, 0) {
		r.Fail("a range from %v to %v", m.min, m.max)
	}
	r.chunks(m.sum.chunks[:])
	r.chunks(m.squares[:])
}
