package shuffle

import (
	"cmp"
	"container/heap"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/block"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Part is what one run has in one partition: Next returns its blocks, one after
// the other, nil after the last.
type Part struct {
	Next func() ([]byte, error)
}

// chunkRows is how many rows are computed at a time.
const chunkRows = 1 << 16

// Compute gives each row of a batch something back: rows of a key are adjacent,
// in order of time. starts has the bits of the rows that begin a key; the first
// row of a call may go on where the last one ended. Nothing may be kept.
type Compute func(carried *data.Batch, times []int64, starts data.Bitmap) (*data.Batch, error)

// Merge brings the rows of one partition in order, over all runs in the order of
// the shards, has compute look at them, and gives what it returns to put: blocks
// for each run, in order, which Place reads.
func (c Config) Merge(parts []Part, compute Compute, put func(run int, block []byte) error) error {
	m := &merger{cfg: c, compute: compute, put: put, outs: make([]*out, len(parts))}
	for i, p := range parts {
		h := &cursor{cfg: c, part: p, run: i}
		if err := h.load(); err != nil {
			return err
		}
		if h.b != nil {
			m.heads = append(m.heads, h)
		}
	}
	heap.Init(&m.heads)
	for len(m.heads) > 0 {
		if err := m.step(); err != nil {
			return err
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	for run := range m.outs {
		if err := m.end(run); err != nil {
			return err
		}
	}
	return nil
}

// cursor is a place in the rows of a run.
type cursor struct {
	cfg   Config
	part  Part
	run   int
	b     *data.Batch // nil: at the end
	piece *data.Piece // of what the rows carry
	at    int
	keys  []int64
	ties  []int64 // nil: none
	times []int64
	rows  []int32
}

// load reads the next block.
func (h *cursor) load() error {
	h.b, h.at = nil, 0
	raw, err := h.part.Next()
	if err != nil || raw == nil {
		return err
	}
	b, err := block.Decode(raw, h.cfg.Label)
	if err != nil {
		return err
	}
	key, times, rows := b.Column(keyName), b.Column(timeName), b.Column(rowName)
	first := b.Schema.Index(rowName) + 1
	if key == nil || times == nil || rows == nil || key.Type != data.Int64 || times.Type != data.Int64 || rows.Type != data.Int32 || b.NumRows == 0 {
		return fault.New(fault.Corrupt, "shuffle: a block without key, time and row, or without rows")
	}
	h.b, h.keys, h.times, h.rows, h.ties = b, key.Int64s, times.Int64s, rows.Int32s, nil
	if b.Schema.Fields[1].Name == tieName {
		h.ties = b.Columns[1].Int64s
	}
	h.piece = &data.Piece{Batch: &data.Batch{
		Schema: data.Schema{Fields: b.Schema.Fields[first:]}, Columns: b.Columns[first:], NumRows: b.NumRows,
	}}
	return nil
}

func (h *cursor) tie(at int) int64 {
	if h.ties == nil {
		return 0
	}
	return h.ties[at]
}

// before reports whether a row of h comes before the row that o is at.
func (h *cursor) before(at int, o *cursor) bool {
	if c := cmp.Compare(uint64(h.keys[at]), uint64(o.keys[o.at])); c != 0 {
		return c < 0
	}
	if c := cmp.Compare(uint64(h.tie(at)), uint64(o.tie(o.at))); c != 0 {
		return c < 0
	}
	if c := cmp.Compare(h.times[at], o.times[o.at]); c != 0 {
		return c < 0
	}
	return h.run < o.run
}

// heads is a heap of cursors, the first row on top.
type heads []*cursor

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].before(h[i].at, h[j]) }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(*cursor)) } //nolint:errcheck,forcetypeassert // only cursors are pushed
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// second is the cursor that comes after the top, nil when there is none.
func (h heads) second() *cursor {
	switch {
	case len(h) < 2:
		return nil
	case len(h) > 2 && h.Less(2, 1):
		return h[2]
	}
	return h[1]
}

// span is rows of one run that are next to each other in the order of all.
type span struct {
	run  int
	rows []int32
}

// merger is a merge on its way.
type merger struct {
	cfg     Config
	heads   heads
	compute Compute
	put     func(run int, block []byte) error

	chunk  *data.Append
	times  []int64
	starts data.Bitmap
	spans  []span
	outs   []*out // by run

	begun    bool
	key, tie int64 // of the last row
}

// out is what goes back to a run.
type out struct {
	rows []int32
	made *data.Append
}

// step takes as many rows as there are of one run before those of others.
func (m *merger) step() error {
	h, other := m.heads[0], m.heads.second()
	room := chunkRows
	if m.chunk != nil {
		room -= m.chunk.NumRows()
	}
	from := h.at
	to := from + 1
	for most := min(len(h.keys), from+room); to < most && (other == nil || h.before(to, other)); {
		to++
	}
	if m.chunk == nil {
		m.chunk = data.NewAppend(h.piece.Batch.Schema)
		m.starts = data.NewBitmap(chunkRows)
	}
	for i := from; i < to; i++ {
		if !m.begun || h.keys[i] != m.key || h.tie(i) != m.tie {
			m.starts.Set(m.chunk.NumRows() + i - from)
			m.begun, m.key, m.tie = true, h.keys[i], h.tie(i)
		}
	}
	m.chunk.Add(h.piece, from, to)
	m.times = append(m.times, h.times[from:to]...)
	m.spans = append(m.spans, span{h.run, h.rows[from:to]})
	if h.at = to; to == len(h.keys) {
		if err := h.load(); err != nil {
			return err
		}
	}
	if h.b == nil {
		heap.Pop(&m.heads)
	} else {
		heap.Fix(&m.heads, 0)
	}
	if m.chunk.NumRows() == chunkRows {
		return m.flush()
	}
	return nil
}

// flush has the rows of the chunk looked at, and deals out what comes back.
func (m *merger) flush() error {
	if m.chunk == nil {
		return nil
	}
	in := m.chunk.Batch()
	made, err := m.compute(in, m.times, m.starts)
	if err != nil {
		return err
	}
	if made.NumRows != in.NumRows {
		return fault.New(fault.Internal, "shuffle: %d rows became %d", in.NumRows, made.NumRows)
	}
	piece, at := &data.Piece{Batch: made}, 0
	pieces := map[int]*data.Piece{}
	for _, s := range m.spans {
		o := m.outs[s.run]
		if o == nil {
			o = &out{made: data.NewAppend(made.Schema)}
			m.outs[s.run] = o
		}
		if pieces[s.run] == nil {
			one := *piece
			pieces[s.run] = &one
		}
		o.made.Add(pieces[s.run], at, at+len(s.rows))
		o.rows = append(o.rows, s.rows...)
		at += len(s.rows)
		if len(o.rows) >= m.cfg.BlockRows {
			if err := m.end(s.run); err != nil {
				return err
			}
		}
	}
	m.chunk, m.times, m.spans = nil, m.times[:0], m.spans[:0]
	return nil
}

// end encodes what goes back to a run, if there is something.
func (m *merger) end(run int) error {
	o := m.outs[run]
	if o == nil {
		return nil
	}
	m.outs[run] = nil
	return m.put(run, m.cfg.Answer(o.made.Batch(), o.rows))
}

// Answer encodes what rows of a run are given back, and which they are.
func (c Config) Answer(made *data.Batch, rows []int32) []byte {
	b := &data.Batch{
		Schema:  data.Schema{Fields: append([]data.Field{{Name: rowName, Type: data.Int32}}, made.Schema.Fields...)},
		Columns: append([]*data.Column{{Type: data.Int32, Int32s: rows}}, made.Columns...), NumRows: made.NumRows,
	}
	return block.Append(nil, c.Label, b)
}
