package shuffle

import (
	"slices"
	"sort"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/block"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Part is what one run has in one partition: so many blocks, in order.
type Part struct {
	Blocks int
	Read   func(i int) ([]byte, error)
}

// Compute gives each row of a batch something back: rows of a key are adjacent,
// in order of time. starts has the bits of the rows that begin a key; the first
// row of a call may go on where the last one ended. Nothing may be kept.
type Compute func(carried *data.Batch, times []int64, starts data.Bitmap) (*data.Batch, error)

// Merge brings the rows of one partition in order, over all runs in the order of
// the shards, has compute look at them, and gives what it returns to put: blocks
// for each run, in order, which Place reads. One block of each run is in memory,
// and three times as much again.
func (c Config) Merge(parts []Part, compute Compute, put func(run int, block []byte) error) error {
	inBlocks := slices.ContainsFunc(parts, func(p Part) bool { return p.Blocks > 1 })
	m := &merger{cfg: c, compute: compute, put: put, outs: make([]*out, len(parts)), inBlocks: inBlocks}
	for i, p := range parts {
		h := &cursor{cfg: c, part: p, run: i, unsorted: inBlocks && p.Blocks == 1}
		if err := h.load(); err != nil {
			return err
		}
		if h.b != nil {
			m.cursors = append(m.cursors, h)
		}
	}
	for len(m.cursors) > 0 {
		if err := m.step(); err != nil {
			return err
		}
		m.cursors = slices.DeleteFunc(m.cursors, func(h *cursor) bool { return h.b == nil })
	}
	for run := range m.outs {
		if err := m.end(run); err != nil {
			return err
		}
	}
	return nil
}

// merger is a merge on its way.
type merger struct {
	cfg     Config
	cursors []*cursor // in the order of runs
	compute Compute
	put     func(run int, block []byte) error
	outs    []*out // by run

	inBlocks bool // some runs have several, so that not all is in memory at once

	begun bool
	last  key // of the last row

	// Memory that is used again.
	space   space
	keys    keys // of rows that are merged
	times   []int64
	order   []uint32 // sorted
	back    []uint32 // where each is then
	carried *data.Append
}

// out is what goes back to a run.
type out struct {
	rows []int32
	made *data.Append
}

// cursor is a place in the rows of a run.
type cursor struct {
	cfg  Config
	part Part
	run  int
	// A run's only block is not sorted, and has to be if others are in several.
	unsorted bool
	read     int         // blocks
	b        *data.Batch // nil: at the end
	piece    *data.Piece // of what the rows carry
	at       int
	keys     keys
	times    []int64
	rows     []int32
}

// load reads the next block.
func (h *cursor) load() error {
	h.b, h.at = nil, 0
	if h.read == h.part.Blocks {
		return nil
	}
	raw, err := h.part.Read(h.read)
	if err != nil {
		return err
	}
	h.read++
	b, err := block.Decode(raw, h.cfg.Label)
	if err != nil {
		return err
	}
	keys, times, rows := b.Column(keyName), b.Column(timeName), b.Column(rowName)
	first := b.Schema.Index(rowName) + 1
	if keys == nil || times == nil || rows == nil || keys.Type != data.Int64 || times.Type != data.Int64 || rows.Type != data.Int32 || b.NumRows == 0 {
		return fault.New(fault.Corrupt, "shuffle: a block without key, time and row, or without rows")
	}
	if h.unsorted {
		order := counting(nil, b.NumRows)
		new(space).sort(keysIn(b), times.Int64s, order)
		b = b.Gather(order)
	}
	h.b, h.keys, h.times, h.rows = b, keysIn(b), b.Column(timeName).Int64s, b.Column(rowName).Int32s
	h.piece = &data.Piece{Batch: &data.Batch{
		Schema: data.Schema{Fields: b.Schema.Fields[first:]}, Columns: b.Columns[first:], NumRows: b.NumRows,
	}}
	return nil
}

// keysIn returns the keys of a block's rows, in its memory.
func keysIn(b *data.Batch) keys {
	k := keys{first: data.Words64[uint64](b.Column(keyName).Int64s)}
	if b.Schema.Fields[1].Name == tieName {
		k.ties = data.Words64[uint64](b.Columns[1].Int64s)
	}
	return k
}

// counting returns the numbers below n.
func counting(into []uint32, n int) []uint32 {
	out := room(into, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

func (h *cursor) key(at int) key { return h.keys.at(uint32(at)) }

// step merges what is in memory of keys of which nothing else can come, or, when
// there are none, the rows of one key that is longer than a block.
func (m *merger) step() error {
	bound, above := m.bound()
	spans, total := make([]span, len(m.cursors)), 0
	for i, h := range m.cursors {
		to := len(h.rows)
		if above < 2 {
			to = h.at + sort.Search(len(h.rows)-h.at, func(k int) bool { return h.key(h.at+k).compare(bound) >= above })
		}
		spans[i] = span{h, h.at, to}
		total += to - h.at
	}
	if total > 0 {
		return m.merge(spans, total)
	}
	return m.long(bound)
}

// bound returns up to which key all rows are in memory: to below it (above is 0),
// to it (1), or to the end of all keys (2). It is the least last key of the blocks
// that others follow.
func (m *merger) bound() (least key, above int) {
	above = 2
	for _, h := range m.cursors {
		if h.read == h.part.Blocks {
			continue
		}
		last, goesOn := h.key(len(h.rows)-1), 1
		if h.key(0) == last {
			goesOn = 0 // in the next block, perhaps
		}
		switch c := last.compare(least); {
		case above == 2 || c < 0:
			least, above = last, goesOn
		case c == 0:
			above = min(above, goesOn)
		}
	}
	return least, above
}

// span is rows of one run that are next to each other in the order of all.
type span struct {
	of       *cursor
	from, to int
}

// merge sorts spans of all runs, in the order of runs.
func (m *merger) merge(spans []span, total int) error {
	carried := m.gather(spans, total)
	m.order = counting(m.order, total)
	m.space.sort(m.keys, m.times, m.order)
	m.back = room(m.back, total)
	for i, at := range m.order {
		m.back[at] = uint32(i)
	}
	starts := data.NewBitmap(total)
	for i := range total {
		m.begin(m.space.keys.at(uint32(i)), i, starts)
	}
	made, err := m.computed(carried.Gather(m.order), m.space.times, starts)
	if err != nil {
		return err
	}
	rows := make([]given, len(spans))
	for i, s := range spans {
		rows[i] = given{s.of.run, s.of.rows[s.from:s.to]}
	}
	if m.inBlocks {
		err = m.deal(made.Gather(m.back), rows)
	} else {
		err = m.answer(made, rows)
	}
	if err != nil {
		return err
	}
	for _, s := range spans {
		if s.of.at = s.to; s.to == len(s.of.rows) {
			if err := s.of.load(); err != nil {
				return err
			}
		}
	}
	return nil
}

// gather puts the rows of spans one behind the other: their keys and times, and what
// they carry, which is returned.
func (m *merger) gather(spans []span, rows int) *data.Batch {
	schema := spans[0].of.piece.Batch.Schema
	if m.carried == nil {
		m.carried = data.NewAppend(schema)
	}
	m.carried.Reset(schema)
	m.carried.Grow(rows)
	m.keys.first, m.keys.ties, m.times = slices.Grow(m.keys.first[:0], rows), m.keys.ties[:0], slices.Grow(m.times[:0], rows)
	for _, s := range spans {
		m.keys.first = append(m.keys.first, s.of.keys.first[s.from:s.to]...)
		if s.of.keys.ties != nil {
			m.keys.ties = append(m.keys.ties, s.of.keys.ties[s.from:s.to]...)
		}
		m.times = append(m.times, s.of.times[s.from:s.to]...)
		m.carried.Add(s.of.piece, s.from, s.to)
	}
	if len(m.keys.ties) == 0 {
		m.keys.ties = nil
	}
	return m.carried.Batch()
}

// begin sets the bit of a row that begins a key.
func (m *merger) begin(k key, row int, starts data.Bitmap) {
	if !m.begun || k != m.last {
		starts.Set(row)
		m.begun, m.last = true, k
	}
}

func (m *merger) computed(in *data.Batch, times []int64, starts data.Bitmap) (*data.Batch, error) {
	made, err := m.compute(in, times, starts)
	if err == nil && made.NumRows != in.NumRows {
		err = fault.New(fault.Internal, "shuffle: %d rows became %d", in.NumRows, made.NumRows)
	}
	return made, err
}

// answer gives all runs what their rows were given, which is all that they get. Rows
// of a run are next to each other in m.back, which says where in made they are.
func (m *merger) answer(made *data.Batch, rows []given) error {
	place, at := make([]int32, made.NumRows), 0
	for _, g := range rows {
		for i, r := range g.rows {
			place[m.back[at+i]] = r
		}
		at += len(g.rows)
	}
	b, at := withRows(made, place), 0
	for _, g := range rows {
		if len(g.rows) == 0 {
			continue
		}
		if err := m.put(g.run, block.AppendRows(nil, m.cfg.Label, b, m.back[at:at+len(g.rows)])); err != nil {
			return err
		}
		at += len(g.rows)
	}
	return nil
}

// given are rows of one run.
type given struct {
	run  int
	rows []int32
}

// deal hands out what rows were given, in their order.
func (m *merger) deal(made *data.Batch, rows []given) error {
	pieces, at := map[int]*data.Piece{}, 0
	for _, g := range rows {
		o := m.outs[g.run]
		if o == nil {
			o = &out{made: data.NewAppend(made.Schema)}
			m.outs[g.run] = o
		}
		if pieces[g.run] == nil {
			pieces[g.run] = &data.Piece{Batch: made}
		}
		o.made.Add(pieces[g.run], at, at+len(g.rows))
		o.rows = append(o.rows, g.rows...)
		at += len(g.rows)
		if len(o.rows) >= m.cfg.BlockRows {
			if err := m.end(g.run); err != nil {
				return err
			}
		}
	}
	return nil
}

// end encodes what goes back to a run, if there is something.
func (m *merger) end(run int) error {
	o := m.outs[run]
	if o == nil || len(o.rows) == 0 {
		return nil
	}
	m.outs[run] = nil
	return m.put(run, m.cfg.Answer(o.made.Batch(), o.rows))
}

// Answer encodes what rows of a run are given back, and which they are.
func (c Config) Answer(made *data.Batch, rows []int32) []byte {
	return block.Append(nil, c.Label, withRows(made, rows))
}

// withRows puts the places of rows in their run before what they are given.
func withRows(made *data.Batch, rows []int32) *data.Batch {
	return &data.Batch{
		Schema:  data.Schema{Fields: append([]data.Field{{Name: rowName, Type: data.Int32}}, made.Schema.Fields...)},
		Columns: append([]*data.Column{{Type: data.Int32, Int32s: rows}}, made.Columns...), NumRows: made.NumRows,
	}
}
