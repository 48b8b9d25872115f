package data

import (
	"cmp"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// verdict says for which rows a condition is true and for which it is false; it
// is neither for the others. Bits beyond the last row are clear. There is no no
// where nobody wants it, which is wherever no Not stands above.
type verdict struct{ yes, no Bitmap }

// Eval returns the rows of b for which the predicate is true, never nil and
// with clear bits beyond the last row. The batch must have the filter's columns,
// in any place, of the types it was bound to.
func (f *Filter) Eval(b *Batch) (Bitmap, error) {
	v, err := f.root.eval(b, false)
	return v.yes, err
}

func (n *node) eval(b *Batch, wantNo bool) (verdict, error) {
	switch n.op {
	case OpAnd, OpOr:
		return n.evalList(b, wantNo)
	case OpNot:
		v, err := n.of[0].eval(b, true)
		return verdict{yes: v.no, no: v.yes}, err
	}
	c := b.Column(n.column)
	if c == nil || c.Type != n.typ {
		return verdict{}, fault.New(fault.Internal, "where: the batch has no column %q of type %v", n.column, n.typ)
	}
	if n.op == OpIsNull {
		known := c.known(b.NumRows)
		return verdict{yes: invert(known, b.NumRows), no: known}, nil
	}
	yes := NewBitmap(b.NumRows)
	n.compare(c, yes) // of NaN it is never true
	if c.Valid != nil {
		for i := range yes {
			yes[i] &= c.Valid[i]
		}
	}
	yes.trim(b.NumRows)
	if !wantNo {
		return verdict{yes: yes}, nil
	}
	no := c.known(b.NumRows)
	for i := range yes {
		no[i] &^= yes[i]
	}
	return verdict{yes, no}, nil
}

func (n *node) evalList(b *Batch, wantNo bool) (verdict, error) {
	out := verdict{yes: NewBitmap(b.NumRows), no: NewBitmap(b.NumRows)}
	and := n.op == OpAnd
	if and { // of none it is true
		out.yes = invert(out.yes, b.NumRows)
	} else {
		out.no = invert(out.no, b.NumRows)
	}
	for _, q := range n.of {
		v, err := q.eval(b, wantNo)
		if err != nil {
			return verdict{}, err
		}
		yes, yes2, no, no2 := out.yes, v.yes, out.no, v.no
		if !and { // by de Morgan
			yes, yes2, no, no2 = no, no2, yes, yes2
		}
		for i := range yes2 {
			yes[i] &= yes2[i]
		}
		for i := range no2 {
			no[i] |= no2[i]
		}
	}
	return out, nil
}

// invert flips the first numRows bits, in place.
func invert(b Bitmap, numRows int) Bitmap {
	out := NewBitmap(numRows)
	for i := range out {
		out[i] = ^b[i]
	}
	return out.trim(numRows)
}

// trim clears the bits beyond numRows.
func (b Bitmap) trim(numRows int) Bitmap {
	if k := uint(numRows) & 63; k != 0 {
		b[len(b)-1] &= 1<<k - 1
	}
	return b
}

// known returns a new bitmap of the values that are neither null nor NaN.
func (c *Column) known(numRows int) Bitmap {
	out := NewBitmap(numRows)
	if c.Valid == nil {
		for i := range out {
			out[i] = ^uint64(0)
		}
	} else {
		copy(out, c.Valid)
	}
	out.trim(numRows)
	switch c.Type {
	case Float32:
		clearNaN(c.Float32s, out)
	case Float64:
		clearNaN(c.Float64s, out)
	}
	return out
}

func clearNaN[T float32 | float64](vs []T, out Bitmap) {
	for i, v := range vs {
		there := uint64(0)
		if v == v {
			there = 1
		}
		out[i>>6] &= ^uint64(0) ^ (1^there)<<(uint(i)&63)
	}
}

// compare sets the rows whose value, were it there, makes the leaf true.
func (n *node) compare(c *Column, out Bitmap) {
	switch c.Type {
	case Bool:
		for i, v := range c.Bools {
			if slices.Contains(n.ints, BoolValue(v).i) {
				out.Set(i)
			}
		}
	case Int32, Date:
		compareNumbers(n.op, c.Int32s, n.ints, out)
	case Int64, Timestamp:
		compareNumbers(n.op, c.Int64s, n.ints, out)
	case Float32:
		compareNumbers(n.op, c.Float32s, n.floats, out)
	case Float64:
		compareNumbers(n.op, c.Float64s, n.floats, out)
	case String:
		hit := make([]uint64, len(c.Dict)+1) // a null's code may point nowhere
		for i, s := range c.Dict {
			if holds(n.op, s, n.texts) {
				hit[i] = 1
			}
		}
		last := uint32(len(c.Dict))
		for i, code := range c.Codes {
			out[i>>6] |= hit[min(code, last)] << (uint(i) & 63)
		}
	}
}

// holds reports whether a value stands in the relation to the literals.
func holds[T cmp.Ordered](op Op, v T, literals []T) bool {
	switch op {
	case Lt:
		return v < literals[0]
	case Le:
		return v <= literals[0]
	case Gt:
		return v > literals[0]
	case Ge:
		return v >= literals[0]
	default:
		_, found := slices.BinarySearch(literals, v)
		return found
	}
}

// compareNumbers compares in the kind of the literals, which holds every value
// of the column. NaN compares as nothing.
func compareNumbers[T int32 | int64 | float32 | float64, L int64 | float64](op Op, vs []T, literals []L, out Bitmap) {
	lo, hi, ok := interval(op, literals)
	least, most := limits[L]()
	for at := range out {
		part := vs[at*64 : min(at*64+64, len(vs))]
		m := uint64(0) // filled from above
		switch {
		case !ok:
			for _, v := range part {
				_, found := slices.BinarySearch(literals, L(v))
				m = m>>1 | bit(found)<<63
			}
		case hi == most:
			for _, v := range part {
				m = m>>1 | bit(L(v) >= lo)<<63
			}
		case lo == least:
			for _, v := range part {
				m = m>>1 | bit(L(v) <= hi)<<63
			}
		default:
			for _, v := range part {
				m = m>>1 | bit(L(v) >= lo)&bit(L(v) <= hi)<<63
			}
		}
		out[at] = m >> (64 - uint(len(part)))
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// interval returns the least and the greatest value for which a comparison
// holds; it is not ok when there is no such interval.
func interval[L int64 | float64](op Op, literals []L) (lo, hi L, ok bool) {
	lo, hi = limits[L]()
	switch {
	case op == OpIn && len(literals) != 1:
		return lo, hi, false
	case op == OpIn:
		return literals[0], literals[0], true
	case op == Le:
		hi = literals[0]
	case op == Ge:
		lo = literals[0]
	case op == Lt && literals[0] > lo:
		hi = neighbour(literals[0], -1)
	case op == Gt && literals[0] < hi:
		lo = neighbour(literals[0], 1)
	default: // beyond the last value there is none
		lo, hi = hi, lo
	}
	return lo, hi, true
}

func limits[L int64 | float64]() (lo, hi L) {
	switch lo := any(&lo).(type) {
	case *int64:
		*lo = math.MinInt64
	case *float64:
		*lo = math.Inf(-1)
	}
	switch hi := any(&hi).(type) {
	case *int64:
		*hi = math.MaxInt64
	case *float64:
		*hi = math.Inf(1)
	}
	return lo, hi
}

// neighbour returns the next value of the kind in that direction.
func neighbour[L int64 | float64](v L, direction int) L {
	switch v := any(&v).(type) {
	case *int64:
		*v += int64(direction)
	case *float64:
		*v = math.Nextafter(*v, math.Inf(direction))
	}
	return v
}
