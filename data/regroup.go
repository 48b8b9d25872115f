package data

// Regroup cuts a sequence of batches of one schema into batches of exactly so
// many rows, but for the last one. A batch that has that size already passes as
// it is. What comes out does not depend on how the rows were cut before, unless
// strings are so long that a bound on their bytes cuts earlier.
type Regroup struct {
	schema   Schema
	rows     int
	maxBytes int64
	columns  []*Column
	codes    []map[string]uint32 // by column
	numRows  int
	bytes    int64 // of the distinct strings
}

// NewRegroup returns a Regroup to so many rows. After a batch with which the
// distinct strings take more than maxBytes, the rows go out as they are.
func NewRegroup(schema Schema, rows int, maxBytes int64) *Regroup {
	return &Regroup{schema: schema, rows: rows, maxBytes: maxBytes}
}

// Add takes a batch, which nobody may change any more, and returns those that
// are full.
func (r *Regroup) Add(b *Batch) (full []*Batch) {
	if r.numRows == 0 && b.NumRows == r.rows {
		return []*Batch{b}
	}
	for from := 0; from < b.NumRows; {
		to := min(b.NumRows, from+r.rows-r.numRows)
		r.take(b, from, to)
		if from = to; r.numRows == r.rows {
			full = append(full, r.Rest())
		}
	}
	if r.bytes > r.maxBytes {
		full = append(full, r.Rest())
	}
	return full
}

// Rest returns what is left, nil when that is nothing.
func (r *Regroup) Rest() *Batch {
	if r.numRows == 0 {
		return nil
	}
	b := &Batch{Schema: r.schema, Columns: r.columns, NumRows: r.rows}
	b = b.Head(r.numRows)
	r.columns, r.codes, r.numRows, r.bytes = nil, nil, 0, 0
	return b
}

// take copies rows of a batch.
func (r *Regroup) take(b *Batch, from, to int) {
	if r.columns == nil {
		for _, f := range r.schema.Fields {
			r.columns = append(r.columns, NewColumn(f.Type, r.rows))
			r.codes = append(r.codes, map[string]uint32{})
		}
	}
	for i, c := range b.Columns {
		out := r.columns[i]
		out.takeMarks(c, from, to, r.numRows, r.rows)
		switch c.Type {
		case Bool:
			copy(out.Bools[r.numRows:], c.Bools[from:to])
		case Int32, Date:
			copy(out.Int32s[r.numRows:], c.Int32s[from:to])
		case Int64, Timestamp:
			copy(out.Int64s[r.numRows:], c.Int64s[from:to])
		case Float32:
			copy(out.Float32s[r.numRows:], c.Float32s[from:to])
		case Float64:
			copy(out.Float64s[r.numRows:], c.Float64s[from:to])
		case String:
			r.bytes += out.takeStrings(c, from, to, r.numRows, r.codes[i])
		}
	}
	r.numRows += to - from
}

// takeMarks copies which values are null.
func (c *Column) takeMarks(in *Column, from, to, at, capacity int) {
	if in.Valid == nil {
		return
	}
	for i := from; i < to; i++ {
		if in.Valid.Get(i) {
			continue
		}
		if c.Valid == nil {
			c.Valid = NewBitmap(capacity)
			for k := range c.Valid {
				c.Valid[k] = ^uint64(0)
			}
		}
		c.Valid.Clear(at + i - from)
	}
}

// takeStrings copies strings, and returns the bytes of those that are new.
func (c *Column) takeStrings(in *Column, from, to, at int, codes map[string]uint32) (bytes int64) {
	known := make([]uint32, len(in.Dict)) // code+1, 0: not yet looked for
	for i, old := range in.Codes[from:to] {
		if !in.Valid.Get(from + i) {
			continue
		}
		if known[old] == 0 {
			s := in.Dict[old]
			code, ok := codes[s]
			if !ok {
				code = uint32(len(c.Dict))
				c.Dict = append(c.Dict, s)
				codes[s] = code
				bytes += int64(len(s))
			}
			known[old] = code + 1
		}
		c.Codes[at+i] = known[old] - 1
	}
	return bytes
}
