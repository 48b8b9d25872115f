package data

import "slices"

// Append joins rows of batches of one schema to one batch.
type Append struct {
	schema  Schema
	columns []*Column
	codes   []map[string]uint32 // by column of strings
	numRows int
	bytes   int // of the distinct strings
	resets  int
}

// NewAppend returns an Append without rows.
func NewAppend(schema Schema) *Append {
	a := &Append{schema: schema}
	for _, f := range schema.Fields {
		a.columns = append(a.columns, &Column{Type: f.Type})
		var codes map[string]uint32
		if f.Type == String {
			codes = map[string]uint32{}
		}
		a.codes = append(a.codes, codes)
	}
	return a
}

// Reset begins anew, without rows, in the memory of what Batch has returned, which
// must not be looked at any more. The schema may be another.
func (a *Append) Reset(schema Schema) {
	old, resets := a.columns, a.resets+1
	*a = *NewAppend(schema)
	a.resets = resets
	for i, c := range a.columns {
		if i == len(old) {
			return
		}
		was := old[i]
		c.Bools, c.Int32s, c.Int64s = was.Bools[:0], was.Int32s[:0], was.Int64s[:0]
		c.Float32s, c.Float64s, c.Codes = was.Float32s[:0], was.Float64s[:0], was.Codes[:0]
	}
}

// Piece is a batch whose rows are appended bit by bit.
type Piece struct {
	Batch *Batch
	to    *Append
	reset int        // to.resets when known was begun
	known [][]uint32 // by column of strings: for each of its strings the code+1 in to, 0: not looked for
}

// NumRows is how many rows there are.
func (a *Append) NumRows() int { return a.numRows }

// Bytes is about how much memory the rows take.
func (a *Append) Bytes() int {
	n := a.bytes
	for _, c := range a.columns {
		switch c.Type {
		case Bool:
			n += a.numRows
		case Int32, Date, Float32, String:
			n += 4 * a.numRows
		default:
			n += 8 * a.numRows
		}
	}
	return n
}

// Grow makes room for so many more rows.
func (a *Append) Grow(rows int) {
	for _, c := range a.columns {
		switch c.Type {
		case Bool:
			c.Bools = slices.Grow(c.Bools, rows)
		case Int32, Date:
			c.Int32s = slices.Grow(c.Int32s, rows)
		case Int64, Timestamp:
			c.Int64s = slices.Grow(c.Int64s, rows)
		case Float32:
			c.Float32s = slices.Grow(c.Float32s, rows)
		case Float64:
			c.Float64s = slices.Grow(c.Float64s, rows)
		case String:
			c.Codes = slices.Grow(c.Codes, rows)
		}
	}
}

// Add appends rows from..to of a piece.
func (a *Append) Add(p *Piece, from, to int) {
	if p.to != a || p.reset != a.resets {
		p.to, p.reset, p.known = a, a.resets, make([][]uint32, len(a.columns))
	}
	for i, c := range p.Batch.Columns {
		out := a.columns[i]
		out.appendMarks(c, from, to, a.numRows)
		switch c.Type {
		case Bool:
			out.Bools = append(out.Bools, c.Bools[from:to]...)
		case Int32, Date:
			out.Int32s = append(out.Int32s, c.Int32s[from:to]...)
		case Int64, Timestamp:
			out.Int64s = append(out.Int64s, c.Int64s[from:to]...)
		case Float32:
			out.Float32s = append(out.Float32s, c.Float32s[from:to]...)
		case Float64:
			out.Float64s = append(out.Float64s, c.Float64s[from:to]...)
		case String:
			if p.known[i] == nil {
				p.known[i] = make([]uint32, len(c.Dict))
			}
			a.bytes += out.appendStrings(c, from, to, a.codes[i], p.known[i])
		}
	}
	a.numRows += to - from
}

// Batch returns the rows; the Append is done with.
func (a *Append) Batch() *Batch {
	return &Batch{Schema: a.schema, Columns: a.columns, NumRows: a.numRows}
}

// appendMarks appends which values are null behind the first at rows.
func (c *Column) appendMarks(in *Column, from, to, at int) {
	if in.Valid == nil && c.Valid == nil {
		return
	}
	grow := func(numRows int) {
		for len(c.Valid) < (numRows+63)/64 {
			c.Valid = append(c.Valid, ^uint64(0))
		}
	}
	if c.Valid != nil {
		grow(at + to - from)
	}
	if in.Valid == nil {
		return
	}
	for i := from; i < to; i++ {
		if in.Valid.Get(i) {
			continue
		}
		grow(at + to - from)
		c.Valid.Clear(at + i - from)
	}
}

// appendStrings appends strings, and returns the bytes of those that are new.
func (c *Column) appendStrings(in *Column, from, to int, codes map[string]uint32, known []uint32) (bytes int) {
	for i := from; i < to; i++ {
		if !in.Valid.Get(i) {
			c.Codes = append(c.Codes, 0)
			continue
		}
		old := in.Codes[i]
		if known[old] == 0 {
			s := in.Dict[old]
			code, ok := codes[s]
			if !ok {
				code = uint32(len(c.Dict))
				c.Dict = append(c.Dict, s)
				codes[s] = code
				bytes += len(s)
			}
			known[old] = code + 1
		}
		c.Codes = append(c.Codes, known[old]-1)
	}
	return bytes
}
