package run

import (
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/features"
)

// attached are the columns of windows that have been computed for a dataset:
// they are read like its own.
type attached struct {
	work   *work
	levels []*shuffling
}

// attach gives the survey's input the windows of all levels up to one.
func (w *work) attach(s *Survey, p *features.Pipeline, upTo int) {
	if p == nil || s.Input.hasAll(p.WindowNames()) {
		return
	}
	a := &attached{work: w}
	for _, level := range p.WindowLevels() {
		if level <= upTo {
			a.levels = append(a.levels, w.newShuffling(p, level, s.Input))
		}
	}
	if len(a.levels) > 0 {
		s.Input.windows = a
	}
}

// has reports whether a column is a window's.
func (a *attached) has(name string) bool {
	return a != nil && slices.ContainsFunc(a.levels, func(l *shuffling) bool { return l.Schema().Index(name) >= 0 })
}

// divide returns those of the columns that the files have to be read for. Rows
// are counted by a column, if by nothing else.
func (d *Dataset) divide(columns []string) (stored []string, rest bool) {
	for _, c := range columns {
		if !d.windows.has(c) {
			stored = append(stored, c)
		}
	}
	rest = len(stored) < len(columns)
	if rest && len(stored) == 0 {
		stored = append(stored, d.Schema.Fields[0].Name)
	}
	return stored, rest
}

// windowReader reads the windows of one shard's rows, in their order.
type windowReader struct {
	work   *work
	levels []*levelReader
}

type levelReader struct {
	*shuffling
	work *work
	runs []runBlocks
	// The run that was read last, of which rows from at on have not been taken.
	b  *data.Batch
	at int
}

// runBlocks are a run's rows, and the blobs with what they are given.
type runBlocks struct {
	rows   int
	blocks []shelved
}

// shelved is a block, and the shelf that it is on.
type shelved struct {
	on shelf
	at ref
}

// add notes blocks with what a run's rows are given.
func (r *runBlocks) add(on shelf, refs []ref) {
	for _, at := range refs {
		r.blocks = append(r.blocks, shelved{on, at})
	}
}

// open begins with the first row of a shard.
func (a *attached) open(shard int) (*windowReader, error) {
	r := &windowReader{work: a.work}
	for _, l := range a.levels {
		one := &levelReader{shuffling: l, work: a.work}
		if err := one.find(shard); err != nil {
			return nil, err
		}
		r.levels = append(r.levels, one)
	}
	return r, nil
}

// find looks up the runs of a shard.
func (l *levelReader) find(shard int) error {
	all, err := notesOf[sorted](l.work, plan.Pass(plan.Partition, l.level))
	if err != nil {
		return err
	}
	answers, err := notesOf[answered](l.work, plan.Pass(plan.Window, l.level))
	if err != nil {
		return err
	}
	if shard >= len(all) {
		return fault.New(fault.Corrupt, "shard %d of %d", shard, len(all))
	}
	before := 0
	for _, s := range all[:shard] {
		before += len(s.Runs)
	}
	own := all[shard]
	for i, run := range own.Runs {
		one := runBlocks{rows: run.Rows}
		one.add(own.shelf, run.Alone)
		for _, a := range answers {
			if len(a.Runs) <= before+i {
				return fault.New(fault.Corrupt, "shard %d: a partition has no answer for run %d", shard, before+i)
			}
			one.add(a.shelf, a.Runs[before+i])
		}
		l.runs = append(l.runs, one)
	}
	return nil
}

// load reads the next run.
func (l *levelReader) load() error {
	if len(l.runs) == 0 {
		return fault.New(fault.Conflict, "window: the shard has more rows than were sorted: the input must not change while the job runs")
	}
	run := l.runs[0]
	l.runs = l.runs[1:]
	place := l.cfg.NewPlace(l.Schema(), run.rows)
	for _, s := range run.blocks {
		b, err := l.work.block(s.on, s.at)
		if err == nil {
			err = place.Add(b)
		}
		if err != nil {
			return fmt.Errorf("task %s: %w", l.work.task.ID, err)
		}
	}
	b, err := place.Batch()
	l.b, l.at = b, 0
	return err
}

// take returns the windows of the next rows.
func (l *levelReader) take(numRows int) (*data.Batch, error) {
	out := data.NewAppend(l.Schema())
	var piece *data.Piece
	for out.NumRows() < numRows {
		if l.b == nil || l.at == l.b.NumRows {
			if err := l.load(); err != nil {
				return nil, err
			}
			piece = nil
		}
		if l.at == 0 && out.NumRows() == 0 && l.b.NumRows == numRows {
			l.at = numRows
			return l.b, nil
		}
		if out.NumRows() == 0 {
			out.Grow(numRows)
		}
		if piece == nil {
			piece = &data.Piece{Batch: l.b}
		}
		to := min(l.b.NumRows, l.at+numRows-out.NumRows())
		out.Add(piece, l.at, to)
		l.at = to
	}
	return out.Batch(), nil
}

// with returns a batch's columns, and those of windows, in the order that is
// asked for. The rows follow those of the call before.
func (r *windowReader) with(b *data.Batch, columns []string) (*data.Batch, error) {
	made := make([]*data.Batch, len(r.levels))
	for i, l := range r.levels {
		var err error
		if made[i], err = l.take(b.NumRows); err != nil {
			return nil, err
		}
	}
	out := &data.Batch{NumRows: b.NumRows}
	for _, name := range columns {
		for _, from := range append(slices.Clone(made), b) {
			if i := from.Schema.Index(name); i >= 0 {
				out.Schema.Fields, out.Columns = append(out.Schema.Fields, from.Schema.Fields[i]), append(out.Columns, from.Columns[i])
				break
			}
		}
	}
	return out, nil
}
