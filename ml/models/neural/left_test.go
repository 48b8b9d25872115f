package neural

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/models"
)

// dying is the Comm of a rank that dies in one of its sums: before it has said
// anything, or when it has the sums and another has not.
type dying struct {
	collective.Comm
	left   int
	cancel context.CancelFunc
}

func (d *dying) AllReduce(ctx context.Context, v []int64) error {
	return d.live(func() error { return d.Comm.AllReduce(ctx, v) })
}

func (d *dying) ReduceScatter(ctx context.Context, v, whole []int64) error {
	return d.live(func() error { return d.Comm.ReduceScatter(ctx, v, whole) })
}

func (d *dying) AllGather(ctx context.Context, v []float32) error {
	return d.live(func() error { return d.Comm.AllGather(ctx, v) })
}

func (d *dying) live(op func() error) error {
	if d.left--; d.left < 0 {
		d.cancel()
		return fault.New(fault.Unavailable, "dead")
	}
	return op()
}

// late is the Comm of a rank that does not get sums which others have.
type late struct {
	collective.Comm
	left   int
	cancel context.CancelFunc
}

func (l *late) AllReduce(ctx context.Context, v []int64) error {
	return live(l, v, func(v []int64) error { return l.Comm.AllReduce(ctx, v) })
}

func (l *late) ReduceScatter(ctx context.Context, v, whole []int64) error {
	return live(l, v, func(v []int64) error { return l.Comm.ReduceScatter(ctx, v, whole) })
}

func (l *late) AllGather(ctx context.Context, v []float32) error {
	return live(l, v, func(v []float32) error { return l.Comm.AllGather(ctx, v) })
}

func live[T any](l *late, v []T, op func([]T) error) error {
	if l.left--; l.left < 0 {
		_ = op(slices.Clone(v)) //nolint:errcheck // the others may have them
		l.cancel()
		return fault.New(fault.Unavailable, "the link broke")
	}
	return op(v)
}

// generation runs a gang whose last rank dies in a sum, and before whose end the
// first misses one; it returns what the survivors have left.
func (tr trial) generation(t *testing.T, world, dies, misses int, resume []byte) (left [][]byte, model []byte) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left = make([][]byte, world)
	var ranks sync.WaitGroup
	for i, comm := range collective.Local(world) {
		if i == 0 && misses >= 0 {
			comm = &late{comm, misses, cancel}
		}
		if i == world-1 && dies >= 0 {
			comm = &dying{comm, dies, cancel}
		}
		ranks.Go(func() {
			b, err := tr.fit(ctx, comm, models.Options{Threads: 1, Resume: resume, Left: func(b []byte) { left[i] = b }})
			if err == nil && i == 0 {
				model = b
			}
		})
	}
	ranks.Wait()
	return left[:max(world-1, 1)], model
}

// furthest is the state that the next generation begins with.
func furthest(t *testing.T, states [][]byte) []byte {
	best := states[0]
	for _, s := range states {
		p, err := PlaceOf(s)
		require.NoError(t, err)
		q, err := PlaceOf(best)
		require.NoError(t, err)
		if q.Less(p) {
			best = s
		}
	}
	return best
}

func TestSurvivorsGoOnFromWhereTheyAre(t *testing.T) {
	t.Parallel()
	for _, tr := range trials() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			var end []byte
			want, err := tr.fit(t.Context(), collective.Solo{}, models.Options{Left: func(b []byte) { end = b }})
			require.NoError(t, err)
			r := rng.New(5, tr.name)
			for range 5 {
				var state []byte
				for range 3 {
					misses := r.IntN(6)
					left, _ := tr.generation(t, 2+r.IntN(3), misses+r.IntN(2), misses, state)
					state = furthest(t, left)
				}
				left, got := tr.generation(t, 1+r.IntN(3), -1, -1, state)
				assert.True(t, bytes.Equal(want, got), "another model")
				assert.True(t, bytes.Equal(end, left[0]), "another state, or history of losses")
			}
		})
	}
}

func TestAStateThatIsNoneHasNoPlace(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, []byte("TRNN"), make([]byte, 100)} {
		_, err := PlaceOf(b)
		require.Equal(t, fault.Corrupt, fault.Of(err))
	}
	require.True(t, Place{1, 9}.Less(Place{2, 0}))
	require.True(t, Place{1, 8}.Less(Place{1, 9}))
	require.False(t, Place{1, 9}.Less(Place{1, 9}))
}
