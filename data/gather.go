package data

// Gather returns the rows of the given numbers, in their order, in memory of its
// own. The strings of a column are those that its rows still have, in order of
// first appearance.
func (b *Batch) Gather(rows []uint32) *Batch {
	out := &Batch{Schema: b.Schema, NumRows: len(rows), Columns: make([]*Column, len(b.Columns))}
	for i, c := range b.Columns {
		out.Columns[i] = c.Gather(rows)
	}
	return out
}

// Gather returns the values of the given rows, in their order.
func (c *Column) Gather(rows []uint32) *Column {
	out := &Column{Type: c.Type}
	switch c.Type {
	case Bool:
		out.Bools = gather(c.Bools, rows)
	case Int32, Date:
		out.Int32s = gather(c.Int32s, rows)
	case Int64, Timestamp:
		out.Int64s = gather(c.Int64s, rows)
	case Float32:
		out.Float32s = gather(c.Float32s, rows)
	case Float64:
		out.Float64s = gather(c.Float64s, rows)
	case String:
		out.Codes = gather(c.Codes, rows)
	}
	if c.Valid != nil {
		out.Valid = gatherBits(c.Valid, rows)
	}
	if c.Type == String {
		out.UseStrings(c.Dict)
	}
	return out
}

func gather[T any](vs []T, rows []uint32) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = vs[r]
	}
	return out
}

// gatherBits returns the marks of rows; nil when all are set.
func gatherBits(valid Bitmap, rows []uint32) Bitmap {
	out := NewBitmap(len(rows))
	nulls := uint64(0)
	for i, r := range rows {
		there := valid[r>>6] >> (r & 63) & 1
		out[i>>6] |= there << (uint(i) & 63)
		nulls += 1 - there
	}
	if nulls == 0 {
		return nil
	}
	return out
}
