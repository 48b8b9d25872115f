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
	space   space
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
	in := added{keys: keysOf(key, n), times: appendTimes(nil, times, n), carried: &data.Piece{Batch: carried}}
	for i := range n {
		if !there(key, i) || times != nil && !times.Valid.Get(i) {
			in.nobody = append(in.nobody, uint32(i))
		}
	}
	for from, to := 0, n; from < n; from = to {
		if to = n; s.cfg.RunRows > 0 {
			to = min(n, from+s.cfg.RunRows-s.rows)
		}
		s.take(&in, from, to)
		if s.pending.Bytes()+headBytes*s.rows >= s.cfg.RunBytes || s.rows == s.cfg.RunRows {
			if err := s.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// added are rows that are on their way into runs.
type added struct {
	keys    keys
	times   []int64
	nobody  []uint32
	carried *data.Piece
}

// take puts some of the rows behind those of the run.
func (s *Sorter) take(in *added, from, to int) {
	s.keys.first = append(s.keys.first, in.keys.first[from:to]...)
	if in.keys.ties != nil {
		s.keys.ties = append(s.keys.ties, in.keys.ties[from:to]...)
	}
	s.times = append(s.times, in.times[from:to]...)
	for len(in.nobody) > 0 && int(in.nobody[0]) < to {
		s.nobody = append(s.nobody, uint32(s.rows+int(in.nobody[0])-from))
		in.nobody = in.nobody[1:]
	}
	s.pending.Add(in.carried, from, to)
	s.rows += to - from
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
	if len(s.nobody) > 0 {
		run.Alone = b.Gather(s.nobody)
		for _, r := range s.nobody {
			run.AloneRows = append(run.AloneRows, int32(r))
		}
	}
	whole := s.withHead(b, k)
	for p, rows := range s.divided() {
		run.Parts[p] = s.cfg.cut(whole, k, s.times, rows, &s.space)
	}
	s.pending.Reset(b.Schema)
	s.keys, s.times, s.nobody, s.rows = keys{s.keys.first[:0], s.keys.ties[:0]}, s.times[:0], s.nobody[:0], 0
	return s.yield(run)
}

// divided returns the rows of each partition, in their order, without those that
// belong to nobody.
func (s *Sorter) divided() [][]uint32 {
	counts := make([]int, s.cfg.Partitions)
	for _, k := range s.keys.first {
		counts[partition(k, len(counts))]++
	}
	all, parts, from := make([]uint32, s.rows), make([][]uint32, s.cfg.Partitions), 0
	for p, n := range counts {
		parts[p] = all[from : from : from+n]
		from += n
	}
	alone := s.nobody
	for row, k := range s.keys.first {
		if len(alone) > 0 && int(alone[0]) == row {
			alone = alone[1:]
			continue
		}
		p := partition(k, len(parts))
		parts[p] = append(parts[p], uint32(row))
	}
	return parts
}

// withHead puts keys, times and places before what rows carry, in the memory of s.
func (s *Sorter) withHead(b *data.Batch, k keys) *data.Batch {
	out := &data.Batch{Schema: head(k), NumRows: b.NumRows}
	out.Columns = append(out.Columns, &data.Column{Type: data.Int64, Int64s: data.Words64[int64](k.first)})
	if k.ties != nil {
		out.Columns = append(out.Columns, &data.Column{Type: data.Int64, Int64s: data.Words64[int64](k.ties)})
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
