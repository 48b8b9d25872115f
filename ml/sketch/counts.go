package sketch

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"unsafe"
)

// countsVersion is the first byte of encoded counts.
const countsVersion = 1

// DefaultMaxCounted is how many distinct values Counts keeps unless told
// otherwise.
const DefaultMaxCounted = 1 << 20

// MaxCountedBytes is how many bytes of distinct values Counts keeps.
const MaxCountedBytes = 32 << 20

// Counts is how often each value of a column of strings occurs. Up to
// MaxDistinct distinct values, of MaxCountedBytes together, it is exact; beyond,
// the single counts are given
// up, All and Count have nothing to tell, and only N and an estimate of
// NumDistinct remain. Which of the two it is, and all of its state, is a
// function of the multiset of values seen: any order and any split over shards
// gives the same bytes.
//
// Space is the distinct values and about 40 bytes for each. The zero value has
// seen no values and keeps DefaultMaxCounted; it is not safe for concurrent use.
type Counts struct {
	maxDistinct int // 0: DefaultMaxCounted
	texts       Texts
	times       []int64 // by number of the text
	numValues   int64
	distinct    *Distinct // nil while exact
}

// ValueCount is a value and how often it occurs.
type ValueCount struct {
	Value string
	N     int64
}

// NewCounts returns a summary that is exact for up to maxDistinct distinct
// values; 0 means DefaultMaxCounted. It panics when maxDistinct is negative.
func NewCounts(maxDistinct int) *Counts {
	if maxDistinct < 0 {
		panic("sketch: negative maxDistinct")
	}
	return &Counts{maxDistinct: maxDistinct}
}

// MaxDistinct returns how many distinct values are kept.
func (c *Counts) MaxDistinct() int {
	if c.maxDistinct == 0 {
		return DefaultMaxCounted
	}
	return c.maxDistinct
}

// Add adds a value n times. It panics when n is negative; 0 adds nothing.
func (c *Counts) Add(value string, n int64) {
	if n < 0 {
		panic("sketch: a negative number of values")
	}
	if n == 0 {
		return
	}
	c.numValues += n
	if c.distinct != nil {
		c.distinct.AddString(value)
		return
	}
	if len(value) > MaxCountedBytes {
		c.forget()
		c.distinct.AddString(value)
		return
	}
	i := c.texts.Number(value)
	if i < len(c.times) {
		c.times[i] += n
		return
	}
	c.times = append(c.times, n)
	c.overflow()
}

// Merge adds the values that o has seen. When the two differ in MaxDistinct,
// the smaller of both holds from then on.
func (c *Counts) Merge(o *Counts) {
	if o.MaxDistinct() < c.MaxDistinct() {
		c.maxDistinct = o.maxDistinct
		c.overflow()
	}
	if o.distinct != nil {
		c.forget()
		c.distinct.Merge(o.distinct)
		c.numValues += o.numValues
		return
	}
	for i, n := range o.times {
		c.Add(o.texts.At(i), n)
	}
}

// overflow gives the counts up once there are too many.
func (c *Counts) overflow() {
	if c.distinct == nil && (len(c.times) > c.MaxDistinct() || c.texts.NumBytes() > MaxCountedBytes) {
		c.forget()
	}
}

// forget leaves the exact form.
func (c *Counts) forget() {
	if c.distinct != nil {
		return
	}
	c.distinct = new(Distinct)
	for i := range c.times {
		c.distinct.AddString(c.texts.At(i))
	}
	c.texts, c.times = Texts{}, nil
}

// N returns the number of values seen.
func (c *Counts) N() int64 { return c.numValues }

// Exact reports whether single values are counted.
func (c *Counts) Exact() bool { return c.distinct == nil }

// NumDistinct returns the number of distinct values, estimated when Exact is
// false.
func (c *Counts) NumDistinct() int64 {
	if c.distinct != nil {
		return c.distinct.Estimate()
	}
	return int64(len(c.times))
}

// Rough adds the distinct values to r; none when Exact is false.
func (c *Counts) Rough(r *Rough) {
	for i := range c.times {
		r.AddString(c.texts.At(i))
	}
}

// NumBytes returns how long the distinct values are together; 0 when Exact is
// false.
func (c *Counts) NumBytes() int { return c.texts.NumBytes() }

// Count returns how often a value occurs; 0 when Exact is false.
func (c *Counts) Count(value string) int64 {
	if i, ok := c.texts.Find(value); ok {
		return c.times[i]
	}
	return 0
}

// All yields the values in ascending order, each with its count; none when
// Exact is false. A value stays valid, and keeps all values in memory: who keeps
// a few of them clones these.
func (c *Counts) All() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, i := range c.texts.ascending() {
			if !yield(c.texts.At(int(i)), c.times[i]) {
				return
			}
		}
	}
}

// MostFrequent returns the values by falling count, equal counts by value; nil
// when Exact is false.
func (c *Counts) MostFrequent() []ValueCount {
	var out []ValueCount
	for value, n := range c.All() {
		out = append(out, ValueCount{value, n})
	}
	slices.SortStableFunc(out, func(a, b ValueCount) int { return cmp.Compare(b.N, a.N) })
	return out
}

// MarshalBinary writes the state: the same bytes for the same multiset of
// values, whatever their order and however they were split and merged.
//
// Layout: version; MaxDistinct; number of values; whether exact; if exact, the
// number of distinct values, and for each, ascending, its length, its bytes and
// its count; if not, the 4,096 registers of Distinct. Numbers are varints.
func (c *Counts) MarshalBinary() ([]byte, error) { return c.Append(nil), nil }

// Append appends what MarshalBinary writes.
func (c *Counts) Append(b []byte) []byte {
	b = append(b, countsVersion)
	b = binary.AppendUvarint(b, uint64(c.MaxDistinct()))
	b = binary.AppendUvarint(b, uint64(c.numValues))
	b = append(b, exactMark(c.distinct == nil))
	if c.distinct != nil {
		return append(b, c.distinct.registers[:]...)
	}
	b = slices.Grow(b, 16+len(c.times)*4+c.texts.NumBytes())
	b = binary.AppendUvarint(b, uint64(len(c.times)))
	for value, n := range c.All() {
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// UnmarshalBinary replaces c by what MarshalBinary has written. The error is of
// kind Corrupt, and c is left as it was, when b is anything else.
func (c *Counts) UnmarshalBinary(b []byte) error {
	r := newReader("sketch: decode counts", b)
	got := r.counts()
	if err := r.End(); err != nil {
		return err
	}
	*c = got
	return nil
}

func (r *binaryReader) counts() Counts {
	var c Counts
	r.Version(countsVersion)
	maxDistinct := r.Uvarint()
	c.numValues = r.count()
	exact := r.Byte()
	if maxDistinct > 1<<31-1 || exact > 1 {
		r.Fail("a size is out of range")
	}
	if c.maxDistinct = int(maxDistinct); c.maxDistinct == DefaultMaxCounted {
		c.maxDistinct = 0
	}
	if exact == 0 {
		c.distinct = new(Distinct)
		copy(c.distinct.registers[:], r.Bytes(numRegisters))
		if !c.distinct.valid() {
			r.Fail("a register is out of range")
		}
		return c
	}
	r.countedValues(&c)
	return c
}

func (r *binaryReader) countedValues(c *Counts) {
	n := r.Uvarint()
	if n > uint64(c.MaxDistinct()) || n > uint64(r.Len()) {
		r.Fail("%d values, where there are at most %d", n, c.MaxDistinct())
		return
	}
	c.texts.ends, c.times = make([]uint32, 0, n), make([]int64, 0, n)
	left, last := c.numValues, ""
	for i := range n {
		length := r.Uvarint()
		if length > uint64(r.Len()) {
			r.Fail("a value is longer than its bytes")
			return
		}
		text := r.Bytes(int(length))
		value := unsafe.String(unsafe.SliceData(text), len(text))
		count := r.count()
		if r.Err() == nil && (count == 0 || count > left || i > 0 && value <= last) {
			r.Fail("value %d is out of order, or its count out of range", i)
		}
		if r.Err() != nil {
			return
		}
		c.texts.push(value) // they ascend, so each is new
		c.times = append(c.times, count)
		if c.texts.NumBytes() > MaxCountedBytes {
			r.Fail("values of more than %d bytes", MaxCountedBytes)
		}
		left -= count
		last = value
	}
	if left != 0 {
		r.Fail("the counts do not add up")
	}
	c.texts.grow()
}
