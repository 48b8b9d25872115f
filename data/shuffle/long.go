package shuffle

import (
	"container/heap"

	"github.com/troupe-ml/troupe/data"
)

// chunkRows is how many rows of a long key are computed at a time.
const chunkRows = 1 << 16

// long merges the rows of one key, of which a run has more than a block, in order
// of time: as many as blocks are in memory of, until none of it is left.
func (m *merger) long(k key) error {
	var of heads
	for _, h := range m.cursors {
		if h.b != nil && h.key(h.at) == k {
			of = append(of, h)
		}
	}
	heap.Init(&of)
	l := &longKey{merger: m, key: k}
	for len(of) > 0 {
		if err := l.take(of); err != nil {
			return err
		}
		if h := of[0]; h.b == nil || h.key(h.at) != k {
			heap.Pop(&of)
		} else {
			heap.Fix(&of, 0)
		}
	}
	return l.flush()
}

// longKey is the chunk of a long key on its way.
type longKey struct {
	*merger
	key   key
	chunk *data.Append
	times []int64
	given []given
}

// take takes as many rows of the first run as come before those of others.
func (l *longKey) take(of heads) error {
	h, other := of[0], of.second()
	if l.chunk == nil {
		l.chunk = data.NewAppend(h.piece.Batch.Schema)
	}
	to := h.at + 1
	for most := min(len(h.rows), h.at+chunkRows-l.chunk.NumRows()); to < most && h.key(to) == l.key && (other == nil || h.before(to, other)); {
		to++
	}
	l.chunk.Add(h.piece, h.at, to)
	l.times = append(l.times, h.times[h.at:to]...)
	l.given = append(l.given, given{h.run, h.rows[h.at:to]})
	if h.at = to; to == len(h.rows) {
		if err := h.load(); err != nil {
			return err
		}
	}
	if l.chunk.NumRows() == chunkRows {
		return l.flush()
	}
	return nil
}

// flush has the rows of the chunk looked at, and deals out what comes back.
func (l *longKey) flush() error {
	if l.chunk == nil {
		return nil
	}
	starts := data.NewBitmap(l.chunk.NumRows())
	l.begin(l.key, 0, starts)
	made, err := l.computed(l.chunk.Batch(), l.times, starts)
	if err != nil {
		return err
	}
	if err := l.deal(made, l.given); err != nil {
		return err
	}
	l.chunk, l.times, l.given = nil, l.times[:0], l.given[:0]
	return nil
}

// heads is a heap of runs at rows of one key, the first row on top.
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

// second is the run that comes after the top, nil when there is none.
func (h heads) second() *cursor {
	switch {
	case len(h) < 2:
		return nil
	case len(h) > 2 && h.Less(2, 1):
		return h[2]
	}
	return h[1]
}

// before reports whether a row of h comes before the one that o is at.
func (h *cursor) before(at int, o *cursor) bool {
	if h.times[at] != o.times[o.at] {
		return h.times[at] < o.times[o.at]
	}
	return h.run < o.run
}
