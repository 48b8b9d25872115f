package data

// Head returns the first n rows, or all when there are fewer. The values are
// shared with b.
func (b *Batch) Head(n int) *Batch {
	if n >= b.NumRows {
		return b
	}
	out := &Batch{Schema: b.Schema, NumRows: n, Columns: make([]*Column, len(b.Columns))}
	for i, c := range b.Columns {
		out.Columns[i] = c.head(n)
	}
	return out
}

func (c *Column) head(n int) *Column {
	out := &Column{Type: c.Type, Dict: c.Dict}
	if c.Valid != nil {
		out.Valid = c.Valid[:(n+63)/64]
	}
	switch c.Type {
	case Bool:
		out.Bools = c.Bools[:n]
	case Int32, Date:
		out.Int32s = c.Int32s[:n]
	case Int64, Timestamp:
		out.Int64s = c.Int64s[:n]
	case Float32:
		out.Float32s = c.Float32s[:n]
	case Float64:
		out.Float64s = c.Float64s[:n]
	case String:
		out.Codes = c.Codes[:n]
	}
	return out
}
