package shuffle

import (
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Run is a part of a shard's rows, in their order.
type Run struct {
	Rows  int        // of the shard that it covers, with those that belong to nobody
	Parts [][][]byte // by partition: its blocks
	// Alone is what rows carry that belong to nobody, nil when there are none, and
	// AloneRows their places in the run.
	Alone     *data.Batch
	AloneRows []int32
}

// Sorter turns the rows of one shard, in their order, into runs. It is not safe
// for concurrent use.
type Sorter struct {
	cfg     Config
	pending *data.Append
	keys    keys
	times   []int64
	nobody  []uint32 // rows without key or time
	rows    int
	yield   func(Run) error
}

// NewSorter returns a sorter that gives runs to yield.
func NewSorter(cfg Config, yield func(Run) error) *Sorter {
	return &Sorter{cfg: cfg, yield: yield}
}

// Add takes the shard's next rows: the columns of their keys, none when all have
// one; that of their times, nil when their order is the input's; and what they
// carry. Nothing of it is kept.
func (s *Sorter) Add(key []*data.Column, times *data.Column, carried *data.Batch) error {
	n := carried.NumRows
	if s.rows+n > 1<<31-1 {
		return fault.New(fault.Exhausted, "shuffle: a shard of more than 2^31 rows")
	}
	if s.pending == nil {
		s.pending = data.NewAppend(carried.Schema)
	}
	k := keysOf(key, n)
	s.keys.first = append(s.keys.first, k.first...)
	s.keys.ties = append(s.keys.ties, k.ties...)
	s.times = appendTimes(s.times, times, n)
	for i := range n {
		if !there(key, i) || times != nil && !times.Valid.Get(i) {
			s.nobody = append(s.nobody, uint32(s.rows+i))
		}
	}
	s.pending.Add(&data.Piece{Batch: carried}, 0, n)
	s.rows += n
	if s.pending.Bytes()+headBytes*s.rows >= s.cfg.RunBytes {
		return s.Flush()
	}
	return nil
}

// there reports whether no part of a row's key is null.
func there(key []*data.Column, row int) bool {
	for _, c := range key {
		if !c.Valid.Get(row) {
			return false
		}
	}
	return true
}

func appendTimes(out []int64, c *data.Column, n int) []int64 {
	switch {
	case c == nil:
		return append(out, make([]int64, n)...)
	case c.Type == data.Date:
		const day = 24 * 3600 * 1e6
		for _, v := range c.Int32s {
			out = append(out, int64(v)*day)
		}
	case c.Type == data.Int32:
		for _, v := range c.Int32s {
			out = append(out, int64(v))
		}
	default:
		out = append(out, c.Int64s...)
	}
	return out
}

// Flush gives the rows so far as a run; call it after the last.
func (s *Sorter) Flush() error {
	if s.rows == 0 {
		return nil
	}
	b := s.pending.Batch()
	run := Run{Rows: s.rows, Parts: make([][][]byte, s.cfg.Partitions)}
	k := s.keys
	if len(k.ties) == 0 {
		k.ties = nil
	}
	order := k.sorted(s.times)
	if len(s.nobody) > 0 {
		run.Alone = b.Gather(s.nobody)
		for _, r := range s.nobody {
			run.AloneRows = append(run.AloneRows, int32(r))
		}
		order = withoutRows(order, s.nobody, s.rows)
	}
	whole := s.withHead(b, k)
	for from, p := 0, 0; p < s.cfg.Partitions; p++ {
		to := from
		for to < len(order) && partition(k.first[order[to]], s.cfg.Partitions) == p {
			to++
		}
		run.Parts[p] = s.cfg.cut(whole, k, order[from:to])
		from = to
	}
	s.pending, s.keys, s.times, s.nobody, s.rows = nil, keys{s.keys.first[:0], s.keys.ties[:0]}, s.times[:0], nil, 0
	return s.yield(run)
}

// withHead puts keys, times and places before what rows carry.
func (s *Sorter) withHead(b *data.Batch, k keys) *data.Batch {
	out := &data.Batch{Schema: head(k), NumRows: b.NumRows}
	out.Columns = append(out.Columns, words(k.first))
	if k.ties != nil {
		out.Columns = append(out.Columns, words(k.ties))
	}
	rows := make([]int32, b.NumRows)
	for i := range rows {
		rows[i] = int32(i)
	}
	out.Columns = append(out.Columns, &data.Column{Type: data.Int64, Int64s: s.times}, &data.Column{Type: data.Int32, Int32s: rows})
	out.Schema.Fields = append(out.Schema.Fields, b.Schema.Fields...)
	out.Columns = append(out.Columns, b.Columns...)
	return out
}

func words(vs []uint64) *data.Column {
	out := make([]int64, len(vs))
	for i, v := range vs {
		out[i] = int64(v)
	}
	return &data.Column{Type: data.Int64, Int64s: out}
}

// withoutRows takes some of numRows rows out of an order.
func withoutRows(order, rows []uint32, numRows int) []uint32 {
	gone := data.NewBitmap(numRows)
	for _, r := range rows {
		gone.Set(int(r))
	}
	out := order[:0]
	for _, r := range order {
		if !gone.Get(int(r)) {
			out = append(out, r)
		}
	}
	return out
}
