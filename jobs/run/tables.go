package run

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models"
)

// learned are the parts of a table that a model reads, in the order of Part.
var learned = []split.Part{split.Train, split.Validation, split.Test}

// tables reads all rows into memory, by part and in the order of the input.
// How many rows every shard has of each part is known, so that every row is
// written once, to its place.
func (w *work) tables(l *learner, p *prepared) (map[split.Part]models.Table, error) {
	if len(p.Shards) != len(l.data.Shards) {
		return nil, fault.New(fault.Corrupt, "task %s: rows were counted in %d shards of %d", w.task.ID, len(p.Shards), len(l.data.Shards))
	}
	rooms := make([]*room, len(learned))
	for i, part := range learned {
		rooms[i] = newRoom(p, part)
	}
	g, ctx := errgroup.WithContext(w.ctx)
	var next atomic.Int64
	for range min(w.threads(), len(p.Shards)) {
		g.Go(func() error {
			f := &filler{learner: l, prepared: p, rooms: rooms}
			for shard := int(next.Add(1)) - 1; shard < len(p.Shards); shard = int(next.Add(1)) - 1 {
				if err := f.shard(ctx, shard); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := map[split.Part]models.Table{}
	for i, part := range learned {
		out[part] = rooms[i].close()
	}
	return out, nil
}

// room is a part's table on its way. A shard's rows have a place of their own.
type room struct {
	models.Table
	first []int // of each shard's rows
	rows  []int // that each shard has written
}

func newRoom(p *prepared, part split.Part) *room {
	r := &room{first: make([]int, len(p.Shards)+1), rows: make([]int, len(p.Shards))}
	for i, rows := range p.Shards {
		r.first[i+1] = r.first[i] + int(rows[part.String()])
	}
	r.NumRows, r.NumFeatures = r.first[len(p.Shards)], p.Encoder.NumFeatures()
	r.X = make([]float32, r.NumRows*r.NumFeatures)
	r.Y = make([]float32, r.NumRows)
	return r
}

// take returns the place of a shard's next rows.
func (r *room) take(shard, numRows int) (x, y []float32, err error) {
	from := r.first[shard] + r.rows[shard]
	to := from + numRows
	if to > r.first[shard+1] {
		return nil, nil, fault.New(fault.Conflict, "input: shard %d has more rows than were counted: it must not change while the job runs", shard)
	}
	r.rows[shard] += numRows
	return r.X[from*r.NumFeatures : to*r.NumFeatures], r.Y[from:to], nil
}

// close returns the table. A target that is NaN was counted and is left out, so
// rows may have to move up.
func (r *room) close() models.Table {
	n := 0
	for i, rows := range r.rows {
		if from := r.first[i]; from != n {
			copy(r.X[n*r.NumFeatures:], r.X[from*r.NumFeatures:(from+rows)*r.NumFeatures])
			copy(r.Y[n:], r.Y[from:from+rows])
		}
		n += rows
	}
	t := r.Table
	t.NumRows, t.X, t.Y = n, t.X[:n*t.NumFeatures], t.Y[:n]
	return t
}

// filler writes the rows of shards, one after the other, to their places.
type filler struct {
	*learner
	prepared *prepared
	rooms    []*room   // of each part
	x, y     []float32 // of a batch whose rows go to several places
}

// shard writes one shard's rows; those without a target are left out.
func (f *filler) shard(ctx context.Context, shard int) error {
	return f.data.readShard(ctx, shard, f.columns(f.signature().Names()), func(b *data.Batch, at rowNumbers) error {
		parts, err := f.parts(b, at)
		if err != nil {
			return err
		}
		seen, err := f.seen(b)
		if err != nil {
			return err
		}
		f.y = resize(f.y, b.NumRows)
		labelled, err := f.prepared.Target.Encode(b, f.y)
		if err != nil {
			return err
		}
		if whole(parts, labelled) {
			x, y, err := f.rooms[parts[0]].take(shard, b.NumRows)
			if err != nil {
				return err
			}
			copy(y, f.y)
			return f.prepared.Encoder.Encode(seen, x)
		}
		f.x = resize(f.x, b.NumRows*f.prepared.Encoder.NumFeatures())
		if err := f.prepared.Encoder.Encode(seen, f.x); err != nil {
			return err
		}
		return f.scatter(shard, parts, labelled)
	})
}

// whole reports whether all rows of a batch go to one part.
func whole(parts []split.Part, labelled data.Bitmap) bool {
	for i, part := range parts {
		if part != parts[0] || !labelled.Get(i) {
			return false
		}
	}
	return len(parts) > 0
}

// scatter writes the rows of a batch to the places of their parts, runs of
// neighbours at once.
func (f *filler) scatter(shard int, parts []split.Part, labelled data.Bitmap) error {
	width := f.prepared.Encoder.NumFeatures()
	for from := 0; from < len(parts); {
		to := from + 1
		for to < len(parts) && parts[to] == parts[from] && labelled.Get(to) == labelled.Get(from) {
			to++
		}
		if labelled.Get(from) {
			x, y, err := f.rooms[parts[from]].take(shard, to-from)
			if err != nil {
				return err
			}
			copy(x, f.x[from*width:to*width])
			copy(y, f.y[from:to])
		}
		from = to
	}
	return nil
}

func resize(b []float32, n int) []float32 {
	if cap(b) < n {
		return make([]float32, n)
	}
	return b[:n]
}
