package sketch

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/troupe-ml/troupe/internal/unpack"
)

// quantilesVersion is the first byte of encoded quantiles.
const quantilesVersion = 1

// MarshalBinary writes the state: the same bytes for the same multiset of
// values, whatever their order and however they were split and merged.
//
// Layout: version; MaxDistinct; whether exact; number of values kept; if any,
// min and max (8 bytes each, little endian), the shift, the first key, and the
// differences of the keys that follow, shifted; counts; the 4,096 registers of
// Distinct unless exact. Numbers are varints. A key is the bits of the value,
// made to sort as the value does; the shift is how many low bits no key differs
// in, so whole numbers and float32 take 1 to 3 bytes.
func (q *Quantiles) MarshalBinary() ([]byte, error) {
	q.Flush()
	b := []byte{quantilesVersion}
	b = binary.AppendUvarint(b, uint64(q.MaxDistinct()))
	b = append(b, exactMark(q.distinct == nil))
	b = binary.AppendUvarint(b, uint64(len(q.values)))
	if len(q.values) == 0 {
		return b, nil
	}
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(q.min))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(q.max))
	var differing uint64
	for i := 1; i < len(q.values); i++ {
		differing |= sortKey(q.values[i]) - sortKey(q.values[i-1])
	}
	shift := bits.TrailingZeros64(differing) // 64 for a single value
	b = append(b, byte(shift))
	b = binary.LittleEndian.AppendUint64(b, sortKey(q.values[0]))
	for i := 1; i < len(q.values); i++ {
		b = binary.AppendUvarint(b, (sortKey(q.values[i])-sortKey(q.values[i-1]))>>shift)
	}
	for _, n := range q.counts {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if q.distinct != nil {
		b = append(b, q.distinct.registers[:]...)
	}
	return b, nil
}

// UnmarshalBinary replaces q by what MarshalBinary has written. The error is of
// kind Corrupt, and q is left as it was, when b is anything else. Memory is
// bounded by a small multiple of len(b).
func (q *Quantiles) UnmarshalBinary(b []byte) error {
	r := newReader("sketch: decode quantiles", b)
	got := r.quantiles()
	if err := r.End(); err != nil {
		return err
	}
	*q = got
	return nil
}

func (r *binaryReader) quantiles() Quantiles {
	var q Quantiles
	r.Version(quantilesVersion)
	maxDistinct := r.Uvarint()
	exact := r.Byte()
	n := r.Uvarint()
	if maxDistinct > math.MaxInt32 || exact > 1 || n > uint64(r.Len()) {
		r.Fail("a size is out of range")
	}
	if q.maxDistinct = int(maxDistinct); q.maxDistinct == DefaultMaxDistinct {
		q.maxDistinct = 0
	}
	if r.Err() != nil || n == 0 {
		return q
	}
	q.min, q.max = r.Float(), r.Float()
	shift, key := r.Byte(), r.Uint64()
	q.values = append(make([]float64, 0, n), fromSortKey(key))
	for range n - 1 {
		d := r.Uvarint()
		if d == 0 || d<<shift>>shift != d || key+d<<shift < key {
			r.Fail("values are not in ascending order")
			return q
		}
		key += d << shift
		q.values = append(q.values, fromSortKey(key))
	}
	q.counts = make([]int64, n)
	for i := range q.counts {
		c := r.Uvarint()
		if c == 0 || c > 1<<56 || q.numValues > 1<<56 {
			r.Fail("a count is out of range")
			return q
		}
		q.counts[i] = int64(c)
		q.numValues += int64(c)
	}
	if exact == 0 {
		q.distinct = new(Distinct)
		copy(q.distinct.registers[:], r.Bytes(numRegisters))
	}
	r.checkQuantiles(&q)
	return q
}

// checkQuantiles makes sure that what was decoded is a state that could be.
func (r *binaryReader) checkQuantiles(q *Quantiles) {
	for _, v := range q.values {
		if math.IsNaN(v) || v == 0 && math.Signbit(v) || q.distinct != nil && Round(v) != v {
			r.Fail("value %v cannot be", v)
		}
	}
	low, high := q.min, q.max
	if q.distinct != nil {
		low, high = Round(low), Round(high)
	}
	switch {
	case low != q.values[0] || high != q.values[len(q.values)-1]:
		r.Fail("min and max are not those of the values")
	case q.distinct == nil && len(q.values) > q.MaxDistinct():
		r.Fail("more values than %d", q.MaxDistinct())
	case q.distinct != nil && !q.distinct.valid():
		r.Fail("a register is out of range")
	}
}

func exactMark(exact bool) byte {
	if exact {
		return 1
	}
	return 0
}

// sortKey maps values to integers in the same order.
func sortKey(v float64) uint64 {
	b := math.Float64bits(v)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

func fromSortKey(k uint64) float64 {
	if k>>63 != 0 {
		return math.Float64frombits(k &^ (1 << 63))
	}
	return math.Float64frombits(^k)
}

// binaryReader decodes a summary.
type binaryReader struct{ unpack.Reader }

func newReader(what string, b []byte) *binaryReader {
	return &binaryReader{unpack.New(what, b)}
}
