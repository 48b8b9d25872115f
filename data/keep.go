package data

import "math/bits"

// Keep returns the rows that are set, in their order, in memory of its own. The
// strings of a column are those that its rows still have, in order of first
// appearance, so the result does not depend on what else b held.
func (b *Batch) Keep(rows Bitmap) *Batch {
	if rows == nil {
		return b
	}
	return b.KeepInto(rows, nil)
}

// KeepInto does the same in the memory of a batch that nobody looks at any more
// and that shares none with b; into may be nil.
func (b *Batch) KeepInto(rows Bitmap, into *Batch) *Batch {
	n := 0
	for i, w := range rows {
		if rest := b.NumRows - i*64; rest < 64 {
			w &= 1<<uint(rest) - 1
		}
		n += bits.OnesCount64(w)
	}
	out := &Batch{Schema: b.Schema, NumRows: n, Columns: make([]*Column, len(b.Columns))}
	for i, c := range b.Columns {
		old := &Column{}
		if into != nil && i < len(into.Columns) {
			old = into.Columns[i]
		}
		out.Columns[i] = c.keep(rows, b.NumRows, n, old)
	}
	return out
}

func (c *Column) keep(rows Bitmap, numRows, n int, old *Column) *Column {
	out := &Column{Type: c.Type}
	switch c.Type {
	case Bool:
		out.Bools = pick(old.Bools, c.Bools, rows, n)
	case Int32, Date:
		out.Int32s = pick(old.Int32s, c.Int32s, rows, n)
	case Int64, Timestamp:
		out.Int64s = pick(old.Int64s, c.Int64s, rows, n)
	case Float32:
		out.Float32s = pick(old.Float32s, c.Float32s, rows, n)
	case Float64:
		out.Float64s = pick(old.Float64s, c.Float64s, rows, n)
	case String:
		out.Codes = pick(old.Codes, c.Codes, rows, n)
	}
	if c.Valid != nil {
		out.Valid = pickBits(c.Valid, rows, numRows, n)
	}
	if c.Type == String {
		out.Dict = old.Dict
		out.UseStrings(c.Dict)
	}
	return out
}

// pick copies the n values whose bits are set, into old if that is large enough.
func pick[T any](old, vs []T, rows Bitmap, n int) []T {
	if cap(old) < n {
		old = make([]T, n)
	}
	out := old[:n]
	k := 0
	for i := 0; i < len(vs); i += 64 {
		part := vs[i:min(i+64, len(vs))]
		w := rows[i>>6]
		if len(part) < 64 {
			w &= 1<<uint(len(part)) - 1
		}
		if w == ^uint64(0) {
			k += copy(out[k:], part)
			continue
		}
		for ; w != 0; w &= w - 1 {
			out[k] = part[bits.TrailingZeros64(w)]
			k++
		}
	}
	return out
}

// pickBits does the same for marks; it returns nil when all n are set.
func pickBits(valid, rows Bitmap, numRows, n int) Bitmap {
	out := NewBitmap(n)
	k, nulls := 0, 0
	for i := 0; i < numRows; i += 64 {
		w := rows[i>>6]
		if rest := numRows - i; rest < 64 {
			w &= 1<<uint(rest) - 1
		}
		for ; w != 0; w &= w - 1 {
			there := valid[i>>6] >> uint(bits.TrailingZeros64(w)) & 1
			out[k>>6] |= there << (uint(k) & 63)
			nulls += int(1 - there)
			k++
		}
	}
	if nulls == 0 {
		return nil
	}
	return out
}

// UseStrings takes the codes of c for places in dict, and gives c a dictionary
// of those strings that occur, in order of first appearance, in the memory of
// its old one. Nulls have code 0.
func (c *Column) UseStrings(dict []string) {
	codes := make([]uint32, len(dict)) // code+1, 0: not yet seen
	c.Dict = c.Dict[:0]
	for i, old := range c.Codes {
		if !c.Valid.Get(i) {
			c.Codes[i] = 0
			continue
		}
		if codes[old] == 0 {
			c.Dict = append(c.Dict, dict[old])
			codes[old] = uint32(len(c.Dict))
		}
		c.Codes[i] = codes[old] - 1
	}
}
