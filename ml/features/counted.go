package features

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// counts summarises the categories of one column.
type counts struct {
	values   sketch.Counts
	numNulls int64

	// Whole numbers that are not in values yet: how often each occurs.
	keys  vector.Places
	times []int64
	of    data.Type
}

func (c *counts) observe(in []*data.Column, mask data.Bitmap) {
	column := in[0]
	if !keyed(column.Type) {
		column := codes(column)
		seen, numNulls := column.countCodes(mask)
		for code, n := range seen {
			c.values.Add(column.dict[code], n)
		}
		c.numNulls += numNulls
		return
	}
	if c.of != column.Type {
		c.flush()
		c.of = column.Type
	}
	rows, used := vector.And(column.Valid, mask), 0
	if column.Type == data.Int64 {
		used = countKeys(c, column.Int64s, rows)
	} else {
		used = countKeys(c, column.Int32s, rows)
	}
	c.numNulls += int64(numSet(mask, column.Len()) - used)
	c.settle()
}

// countKeys counts the rows that are set, and returns how many these are.
func countKeys[T int32 | int64](c *counts, keys []T, rows data.Bitmap) int {
	used := 0
	for i, key := range keys {
		if !rows.Get(i) {
			continue
		}
		c.count(int64(key), 1)
		used++
	}
	return used
}

// count adds a whole number so many times.
func (c *counts) count(key, times int64) {
	place := int(c.keys.Number(key))
	if place == len(c.times) {
		c.times = append(c.times, 0)
	}
	c.times[place] += times
}

// flush brings whole numbers that were counted into values.
func (c *counts) flush() {
	for i, key := range c.keys.Keys {
		c.values.Add(keyText(c.of, key), c.times[i])
	}
	c.keys, c.times = vector.Places{}, nil
}

// settle makes the form of the state a function of what was counted: keys, or
// values if there are any, or more keys than are told apart.
func (c *counts) settle() {
	if c.values.N() > 0 || len(c.keys.Keys) > c.values.MaxDistinct() {
		c.flush()
	}
}

func (c *counts) merge(other summary) {
	o := other.(*counts)
	c.numNulls += o.numNulls
	if len(c.keys.Keys) == 0 {
		c.of = o.of
	}
	if c.of != o.of && len(o.keys.Keys) > 0 {
		o.flush()
	}
	for i, key := range o.keys.Keys {
		c.count(key, o.times[i])
	}
	c.values.Merge(&o.values)
	c.settle()
}

// The forms of an encoded state.
const (
	countedTexts = 0
	countedKeys  = 1
)

// append writes the number of nulls; then the form, and either the counts of
// texts, or the type of the keys, how many there are, and for each, ascending,
// the distance from the last one and its count.
func (c *counts) append(b []byte) []byte {
	c.settle()
	b = binary.AppendUvarint(b, uint64(c.numNulls))
	if len(c.keys.Keys) == 0 {
		return c.values.Append(append(b, countedTexts))
	}
	b = append(b, countedKeys, byte(c.of))
	b = binary.AppendUvarint(b, uint64(len(c.times)))
	b = slices.Grow(b, 4*len(c.times))
	keys, sorted := c.keys.Keys, slices.IsSorted(c.keys.Keys)
	if !sorted {
		keys = slices.Clone(keys)
		slices.Sort(keys)
	}
	last := int64(math.MinInt64)
	for i, key := range keys {
		times := i
		if !sorted {
			times = int(c.keys.Number(key))
		}
		b = binary.AppendUvarint(b, uint64(key)-uint64(last))
		b = binary.AppendUvarint(b, uint64(c.times[times]))
		last = key
	}
	return b
}

func (c *counts) decode(b []byte) error {
	r := newReader("features: decode counts", b)
	n := r.Uvarint()
	if n > 1<<56 {
		r.Fail("%d nulls", n)
	}
	form := r.Byte()
	if r.Err() != nil {
		return r.Err()
	}
	*c = counts{numNulls: int64(n)}
	switch form {
	case countedTexts:
		return c.values.UnmarshalBinary(r.Rest())
	case countedKeys:
		c.decodeKeys(r)
		return r.End()
	}
	r.Fail("there is no form %d", form)
	return r.Err()
}

func (c *counts) decodeKeys(r *reader) {
	c.of = data.Type(r.Byte())
	n := r.Uvarint()
	if !keyed(c.of) || n == 0 || n > uint64(c.values.MaxDistinct()) || n > uint64(r.Len()) {
		r.Fail("%d keys of type %d", n, c.of)
		return
	}
	c.keys.Keys, c.times = make([]int64, 0, n), make([]int64, 0, n)
	last := int64(math.MinInt64)
	for i := range n {
		step, times := r.Uvarint(), r.Uvarint()
		key := int64(uint64(last) + step)
		if i > 0 && key <= last || times == 0 || times > 1<<56 {
			r.Fail("key %d is out of order, or its count out of range", i)
		}
		if r.Err() != nil {
			return
		}
		c.keys.Keys, c.times, last = append(c.keys.Keys, key), append(c.times, int64(times)), key
	}
}

// check makes sure that there is something to learn from.
func (c *counts) check() error {
	c.flush()
	if !c.values.Exact() {
		return fault.New(fault.Invalid,
			"the column has about %d distinct values, more than can be told apart: %d, of %d MiB together; is it an identifier? leave it out",
			c.values.NumDistinct(), c.values.MaxDistinct(), sketch.MaxCountedBytes>>20)
	}
	if c.values.N() == 0 {
		return noValues("value")
	}
	return nil
}
