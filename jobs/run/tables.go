package run

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models"
)

// learned are the parts of a table that a model reads, in the order of Part.
var learned = []split.Part{split.Train, split.Validation, split.Test}

// tableShare says up to which part of the memory for tasks a table is held in
// memory, or mapped, which is as quick; a larger one is read row by row from its
// file.
const tableShare = 2

// tables are the rows of a train job as its model reads them.
type tables struct {
	parts map[split.Part]models.Table
	// release lets go of the memory. When the job is done with, nobody will want
	// the tables again.
	release func(done bool)
}

// tables reads all rows, by part and in the order of the input: into a file that
// the ranks of this machine share if there is a folder for that, else into
// memory. A folder that cannot be written, or is full, is done without, unless
// the rows are too many for memory.
func (w *work) tables(l *learner, p *prepared) (*tables, error) {
	if len(p.Shards) != len(l.data.Shards) {
		return nil, fault.New(fault.Corrupt, "task %s: rows were counted in %d shards of %d", w.task.ID, len(p.Shards), len(l.data.Shards))
	}
	y := newLayout(p, l.train.Weight != "")
	large := w.Memory > 0 && y.bytes() > w.Memory/tableShare
	err := errNoCache
	if w.Cache != "" && y.bytes() >= leastShared {
		var t *tables
		if t, err = w.shared(l, p, y, large); !errors.Is(err, errNoCache) {
			return t, err
		}
	}
	if large {
		return nil, fault.New(fault.Exhausted,
			"task %s: the rows that are learned from take %d MiB, more than half of the memory for tasks (%d MiB), and can be in no file in the folder of prepared tables %q: %w; give more memory (--memory), or room for the file",
			w.task.ID, y.bytes()>>20, w.Memory>>20, w.Cache, err)
	}
	r := newRooms(y, func(_, numbers int) place { return make(floats, numbers) })
	var next atomic.Int64
	err = w.fill(l, p, r, func(context.Context) (int, func(error) error, error) {
		return int(next.Add(1)) - 1, nil, nil
	})
	if err != nil {
		return nil, err
	}
	out := map[split.Part]models.Table{}
	for i, part := range learned {
		x, _ := r[i].x.(floats)
		targets, _ := r[i].y.(floats)
		weights, _ := r[i].w.(floats)
		out[part] = models.Table{NumRows: len(targets), NumFeatures: r[i].width, X: x, Y: targets, W: weights, Weighted: y.weighted}
	}
	return &tables{out, func(bool) {}}, nil
}

// fill writes the rows of shards to their places. next says which shard is to be
// written, at or beyond the last when none is, and whom to tell how that went, if
// anybody.
func (w *work) fill(l *learner, p *prepared, r []*room, next func(context.Context) (shard int, tell func(error) error, err error)) error {
	g, ctx := errgroup.WithContext(w.ctx)
	threads := min(w.threads(), len(p.Shards))
	if need := w.task.Stage.MaxBytes; need > 0 && w.Memory > 0 {
		threads = min(threads, max(1, int(w.Memory/need))) // each needs as much as the task was admitted with
	}
	for range threads {
		g.Go(func() error {
			f := &filler{learner: l, prepared: p, rooms: r}
			for {
				shard, tell, err := next(ctx)
				if err != nil || shard >= len(p.Shards) {
					return err
				}
				err = f.shard(ctx, shard)
				if tell != nil {
					err = tell(err)
				}
				if err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// layout says how many rows every shard has of each part.
type layout struct {
	first    [][]int // by part, of each shard; then the number of rows
	width    int     // features
	weighted bool    // whether rows have weights
}

func newLayout(p *prepared, weighted bool) *layout {
	y := &layout{width: p.Encoder.NumFeatures(), weighted: weighted}
	for _, part := range learned {
		first := make([]int, len(p.Shards)+1)
		for i, rows := range p.Shards {
			first[i+1] = first[i] + int(rows[part.String()])
		}
		y.first = append(y.first, first)
	}
	return y
}

func (y *layout) rows(part int) int { return y.first[part][len(y.first[part])-1] }

// bytes is the size of all parts.
func (y *layout) bytes() int64 {
	var rows int64
	for i := range y.first {
		rows += int64(y.rows(i))
	}
	return 4 * rows * int64(y.numbers())
}

// numbers returns how many numbers a row has: features, target and weight.
func (y *layout) numbers() int {
	if y.weighted {
		return y.width + 2
	}
	return y.width + 1
}

// place is where numbers are put, from the at-th on.
type place interface {
	put(at int, v []float32) error
}

// floats are a place in the memory of this process.
type floats []float32

func (f floats) put(at int, v []float32) error {
	copy(f[at:], v)
	return nil
}

// room is a part's table on its way. A shard's rows have a place of their own.
type room struct {
	first []int // of each shard
	rows  []int // that each shard has written
	width int
	put   func(from int, x, y, w []float32) error // writes rows of the part from one on; w is empty without weights
	x, y  place                                   // where they are, if each has a place of its own
	w     place                                   // likewise; nil without weights
}

// newRooms makes a room for each part, from places for so many numbers that
// begin after so many others.
func newRooms(y *layout, open func(before, numbers int) place) []*room {
	var rooms []*room
	before := 0
	add := func(numbers int) place {
		p := open(before, numbers)
		before += numbers
		return p
	}
	for i, first := range y.first {
		x, targets := add(y.rows(i)*y.width), add(y.rows(i))
		var weights place
		if y.weighted {
			weights = add(y.rows(i))
		}
		r := newRoom(first, y.width, func(from int, px, py, pw []float32) error {
			err := errors.Join(x.put(from*y.width, px), targets.put(from, py))
			if err == nil && weights != nil {
				err = weights.put(from, pw)
			}
			return err
		})
		r.x, r.y, r.w = x, targets, weights
		rooms = append(rooms, r)
	}
	return rooms
}

func newRoom(first []int, width int, put func(from int, x, y, w []float32) error) *room {
	return &room{first: first, rows: make([]int, len(first)-1), width: width, put: put}
}

// add writes a shard's next rows.
func (r *room) add(shard int, x, y, w []float32) error {
	from := r.first[shard] + r.rows[shard]
	if from+len(y) > r.first[shard+1] {
		return recount(shard)
	}
	r.rows[shard] += len(y)
	return r.put(from, x, y, w)
}

func recount(shard int) error {
	return fault.New(fault.Conflict, "input: shard %d has other rows than were counted: it must not change while the job runs", shard)
}

// filler writes the rows of shards, one after the other, to their places.
type filler struct {
	*learner
	prepared *prepared
	rooms    []*room // of each part
	// of a batch, and of those of its rows that go to one part; w and pw are empty
	// without weights
	x, y, w    []float32
	px, py, pw []float32
}

// shard writes one shard's rows; those without a target are left out.
func (f *filler) shard(ctx context.Context, shard int) error {
	perRow := 4 * int64(f.prepared.Encoder.NumFeatures()+1)
	err := f.data.readPieces(ctx, shard, f.reads(), perRow, func(b *data.Batch, at rowNumbers) error {
		parts, err := f.parts(b, at)
		if err != nil {
			return err
		}
		seen, err := f.seen(b, at, f.trainingMask(b, parts))
		if err != nil {
			return err
		}
		f.x, f.y = resize(f.x, b.NumRows*f.prepared.Encoder.NumFeatures()), resize(f.y, b.NumRows)
		labelled, err := f.prepared.Target.Encode(b, f.y)
		if err != nil {
			return err
		}
		if err := f.prepared.Encoder.Encode(seen, f.x); err != nil {
			return err
		}
		if f.train.Weight != "" {
			f.w = resize(f.w, b.NumRows)
			if err := f.weights(b, at, f.w); err != nil {
				return err
			}
		}
		if whole(parts, labelled) {
			return f.rooms[parts[0]].add(shard, f.x, f.y, f.w)
		}
		return f.scatter(shard, parts, labelled)
	})
	if err != nil {
		return err
	}
	for _, r := range f.rooms {
		if r.first[shard]+r.rows[shard] != r.first[shard+1] {
			return recount(shard)
		}
	}
	return nil
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

// scatter writes the rows of a batch to the places of their parts.
func (f *filler) scatter(shard int, parts []split.Part, labelled data.Bitmap) error {
	width := f.prepared.Encoder.NumFeatures()
	for part, r := range f.rooms {
		f.px, f.py, f.pw = f.px[:0], f.py[:0], f.pw[:0]
		for i, p := range parts {
			if int(p) == part && labelled.Get(i) {
				f.px, f.py = append(f.px, f.x[i*width:(i+1)*width]...), append(f.py, f.y[i])
				if len(f.w) > 0 {
					f.pw = append(f.pw, f.w[i])
				}
			}
		}
		if err := r.add(shard, f.px, f.py, f.pw); err != nil {
			return err
		}
	}
	return nil
}

func resize(b []float32, n int) []float32 {
	if cap(b) < n {
		return make([]float32, n)
	}
	return b[:n]
}
