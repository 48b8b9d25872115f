package run

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/collective"
)

// process is one that may be a rank: its Env lives on from one attempt to the next.
type process struct {
	env  *Env
	comm collective.Comm
}

func newProcess(w *workbench) *process {
	p := &process{}
	p.env = &Env{Store: w.store, Registry: w.env.Registry, Clock: w.env.Clock, Code: w.env.Code, Threads: 1}
	p.env.Comm = func(context.Context, Task) (collective.Comm, func() error, error) {
		return p.comm, func() error { return nil }, nil
	}
	return p
}

// stopping ends a generation after so many updates. One that the
// rank which has gone alone had made is made again, and no other.
type stopping struct {
	t    *testing.T
	mu   sync.Mutex
	left int
	rows int64 // seen so far
	stop context.CancelFunc
}

func (s *stopping) Progress(rows, _ int64, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rows < s.rows {
		s.t.Errorf("%d rows were seen, and now %d", s.rows, rows)
	}
	s.rows = rows
	if s.left--; s.left == 0 {
		s.stop()
	}
}

func (s *stopping) Checkpoint(string) {}

// generation runs one; after so many updates all ranks are told to stop.
func (s *stopping) generation(ctx context.Context, t Task, ps []*process, attempt, updates int) (jobs.Result, []error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.left, s.stop = updates, stop
	results, errs := make([]jobs.Result, len(ps)), make([]error, len(ps))
	var all sync.WaitGroup
	for rank, comm := range collective.Local(len(ps)) {
		one := t
		one.Rank, one.WorldSize, one.Attempt = rank, len(ps), attempt
		ps[rank].comm = comm
		all.Go(func() { results[rank], errs[rank] = ps[rank].env.Body(ctx, one, s) })
	}
	all.Wait()
	return results[0], errs
}

// The gang loses a rank, takes one in, and is handed over to it. Its input is
// gone from the first generation on, and so are the checkpoints: whoever goes on
// does so with what it has.
func TestAGangGoesOnWithWhatItsRanksHave(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	in := filepath.Join(folder, "in")
	sales(t, in, 1, 3, 500, 0)
	w := bench(t, folder)
	spec := replace(trainSpec, "batch_size: 128", "batch_size: 512") // several shards: ranks wait for each other
	want := w.succeed(spec)

	again := bench(t, folder)
	again.body = func(ctx context.Context, task Task, r Reporter) (jobs.Result, error) {
		if task.Stage.Name != plan.Train {
			return again.env.Body(ctx, task, r)
		}
		a, b, c := newProcess(again), newProcess(again), newProcess(again)
		canceled := func(errs []error) {
			for _, err := range errs {
				require.Equal(t, fault.Canceled, fault.Of(err), "%v", err)
			}
		}
		gang := &stopping{t: t}
		_, errs := gang.generation(ctx, task, []*process{a, b}, 1, 2)
		canceled(errs)
		joining := task
		joining.Rank, joining.WorldSize, joining.Attempt = jobs.Joining, 2, 1
		_, err := c.env.Body(ctx, joining, r)
		require.NoError(t, err)
		require.NoError(t, os.Rename(in, in+".away"))
		_, errs = gang.generation(ctx, task, []*process{c, b}, 2, 2)
		canceled(errs)
		_, errs = gang.generation(ctx, task, []*process{c}, 3, 2)
		canceled(errs)
		// b has missed a generation: it is behind, and is lifted.
		result, errs := gang.generation(ctx, task, []*process{b, c}, 4, -1)
		require.Equal(t, []error{nil, nil}, errs)
		require.Empty(t, b.env.seats.of)
		require.NoError(t, os.Rename(in+".away", in))
		return result, nil
	}
	require.Equal(t, want.Digest, again.succeed(spec).Digest)
}

func TestASeatIsGivenUpWhenItsGangDoesNotForm(t *testing.T) {
	t.Parallel()
	c := &setClock{now: time.Unix(1, 0)}
	e := &Env{Clock: c}
	released := 0
	sit := func(k seatKey) *seat {
		st, err := e.seats.take(t.Context(), k, 0)
		require.NoError(t, err)
		st.tables = &tables{release: func(done bool) {
			require.False(t, done)
			released++
		}}
		return st
	}
	one, two := seatKey{"j", "train/0"}, seatKey{"k", "train/0"}
	st := sit(one)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.seats.take(ctx, one, 0)
	require.Equal(t, fault.Canceled, fault.Of(err), "one attempt sits at a time")
	c.now = c.now.Add(time.Hour)
	e.Tidy()
	require.Zero(t, released, "somebody sits there")
	e.seats.leave(one, st, c.now, true, false)
	c.now = c.now.Add(seatKept - 1)
	e.Tidy()
	require.Zero(t, released)
	c.now = c.now.Add(1)
	e.Tidy()
	require.Equal(t, 1, released)

	e.seats.leave(one, sit(one), c.now, true, false)
	other := sit(two)
	require.Equal(t, 2, released, "another gang needs the memory")
	e.seats.leave(two, other, c.now, false, false)
	require.Equal(t, 3, released)
	require.Empty(t, e.seats.of)
}
