package data

// Regroup cuts a sequence of batches of one schema into batches of exactly so
// many rows, but for the last one. A batch that has that size already passes as
// it is. What comes out does not depend on how the rows were cut before, unless
// strings are so long that a bound on their bytes cuts earlier.
type Regroup struct {
	schema   Schema
	rows     int
	maxBytes int64
	pending  *Append
}

// NewRegroup returns a Regroup to so many rows. After a batch with which the
// distinct strings take more than maxBytes, the rows go out as they are.
func NewRegroup(schema Schema, rows int, maxBytes int64) *Regroup {
	return &Regroup{schema: schema, rows: rows, maxBytes: maxBytes, pending: NewAppend(schema)}
}

// Add takes a batch, which nobody may change any more, and returns those that
// are full.
func (r *Regroup) Add(b *Batch) (full []*Batch) {
	if r.pending.NumRows() == 0 && b.NumRows == r.rows {
		return []*Batch{b}
	}
	piece := &Piece{Batch: b}
	for from := 0; from < b.NumRows; {
		to := min(b.NumRows, from+r.rows-r.pending.NumRows())
		r.pending.Add(piece, from, to)
		if from = to; r.pending.NumRows() == r.rows {
			full = append(full, r.Rest())
		}
	}
	if int64(r.pending.bytes) > r.maxBytes {
		full = append(full, r.Rest())
	}
	return full
}

// Rest returns what is left, nil when that is nothing.
func (r *Regroup) Rest() *Batch {
	if r.pending.NumRows() == 0 {
		return nil
	}
	b := r.pending.Batch()
	r.pending = NewAppend(r.schema)
	return b
}
