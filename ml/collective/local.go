package collective

import (
	"bytes"
	"context"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Local returns the numRanks members of a gang within this process, in rank
// order; each may be used by a goroutine of its own. They add and send for
// real. When one of them fails (its context ends, or two ranks do not agree on
// what they do) all of them are dead, and whoever waits is told so.
func Local(numRanks int) []Comm {
	g := &gang{size: numRanks}
	for i := range g.turns {
		g.turns[i].done = make(chan struct{})
	}
	comms := make([]Comm, numRanks)
	for i := range comms {
		comms[i] = &local{gang: g, rank: i}
	}
	return comms
}

// gang is what the ranks share. Two turns alternate: a rank joins the next one
// only when it has taken what it needs of the last, so when a turn is over, the
// one before it has been read by all.
type gang struct {
	size int

	mu    sync.Mutex
	turns [2]turn
	at    int   // the turn that ranks are joining
	err   error // why the gang is dead
}

// turn is one operation of the whole gang.
type turn struct {
	what    operation
	arrived int
	sums    []int64
	floats  []float32
	bytes   []byte
	done    chan struct{}
}

// operation is what all ranks must agree on.
type operation struct {
	name  string
	root  int // of a broadcast
	size  int // of a sum, or of what is gathered
	whole int // of what is added whole beside parts
}

type local struct {
	gang *gang
	rank int
}

// Rank returns the member's place.
func (l *local) Rank() int { return l.rank }

// WorldSize returns the number of ranks.
func (l *local) WorldSize() int { return l.gang.size }

// Generation returns 1: such a gang forms once.
func (l *local) Generation() uint64 { return 1 }

// AllReduce adds v over the ranks. The error is of kind Invalid when they
// brought vectors of different lengths, Unavailable when another rank failed,
// and Canceled when ctx has ended.
func (l *local) AllReduce(ctx context.Context, v []int64) error {
	sums, err := l.sum(ctx, operation{name: "sum", size: len(v)}, v)
	copy(v, sums)
	return err
}

// ReduceScatter leaves the sums in this rank's part of v, and in all of whole.
// Errors are as of AllReduce.
func (l *local) ReduceScatter(ctx context.Context, v, whole []int64) error {
	sums, err := l.sum(ctx, operation{name: "sum of parts", size: len(v), whole: len(whole)}, v, whole)
	if err != nil {
		return err
	}
	first, end := Part(len(v), l.rank, l.gang.size)
	copy(v[first:end], sums[first:end])
	copy(whole, sums[len(v):])
	return nil
}

// sum adds vectors, one behind the other.
func (l *local) sum(ctx context.Context, what operation, vectors ...[]int64) ([]int64, error) {
	t, err := l.take(ctx, what, func(t *turn) {
		if t.arrived == 0 {
			t.sums = append(t.sums[:0], make([]int64, what.size+what.whole)...)
		}
		at := 0
		for _, v := range vectors {
			for i, x := range v {
				t.sums[at+i] += x
			}
			at += len(v)
		}
	})
	if err != nil {
		return nil, err
	}
	return t.sums, nil
}

// AllGather puts all parts of v in their places. Errors are as of AllReduce.
func (l *local) AllGather(ctx context.Context, v []float32) error {
	first, end := Part(len(v), l.rank, l.gang.size)
	t, err := l.take(ctx, operation{name: "gathering", size: len(v)}, func(t *turn) {
		if t.arrived == 0 {
			t.floats = append(t.floats[:0], v...)
		}
		copy(t.floats[first:end], v[first:end])
	})
	if err != nil {
		return err
	}
	copy(v, t.floats)
	return nil
}

// Broadcast returns a copy of root's bytes. Errors are as of AllReduce; a root
// that is no rank is Invalid.
func (l *local) Broadcast(ctx context.Context, root int, b []byte) ([]byte, error) {
	t, err := l.take(ctx, operation{name: "broadcast", root: root}, func(t *turn) {
		if l.rank == root {
			t.bytes = bytes.Clone(b)
		}
	})
	if err != nil || l.rank == root {
		return b, err
	}
	return bytes.Clone(t.bytes), nil
}

// take joins the current turn with what, adds its part, and waits for the others.
func (l *local) take(ctx context.Context, what operation, add func(*turn)) (*turn, error) {
	g := l.gang
	t, err := g.join(ctx, what, add)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.done:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.arrived == g.size { // it went through, whatever has happened since
		return t, nil
	}
	if g.err == nil {
		return nil, g.fail(canceled(ctx))
	}
	return nil, g.err
}

func (g *gang) join(ctx context.Context, what operation, add func(*turn)) (*turn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return nil, g.err
	}
	t := &g.turns[g.at]
	switch {
	case ctx.Err() != nil:
		return nil, g.fail(canceled(ctx))
	case what.root < 0 || what.root >= g.size:
		return nil, g.fail(fault.New(fault.Invalid, "collective: broadcast from rank %d of %d", what.root, g.size))
	case t.arrived > 0 && t.what != what:
		return nil, g.fail(fault.New(fault.Invalid,
			"collective: the ranks do not agree: a %s of %d numbers from root %d meets a %s of %d from root %d",
			what.name, what.size, what.root, t.what.name, t.what.size, t.what.root))
	}
	t.what = what
	add(t)
	if t.arrived++; t.arrived == g.size {
		g.at = 1 - g.at
		g.turns[g.at].arrived = 0
		g.turns[g.at].done = make(chan struct{})
		close(t.done)
	}
	return t, nil
}

// fail ends the gang for the reason err, which it returns; the other ranks hear
// that a rank is away, unless all of them are to blame. It is called once.
func (g *gang) fail(err error) error {
	g.err = err
	if fault.Of(err) != fault.Invalid {
		g.err = fault.New(fault.Unavailable, "collective: the gang is over: another rank gave up: %v", err)
	}
	close(g.turns[g.at].done) // of those who wait now
	return err
}

func canceled(ctx context.Context) error {
	return fault.New(fault.Canceled, "collective: %w", context.Cause(ctx))
}
