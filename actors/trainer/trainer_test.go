package trainer

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/troupe-ml/troupe/actors/ring"
	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/ml/collective"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func formers(t *testing.T, n int) (fs []*Former, addresses []string) {
	t.Helper()
	for range n {
		l, err := ring.Listen("127.0.0.1:0", ring.DefaultConfig())
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		fs, addresses = append(fs, New(l)), append(addresses, l.Address())
	}
	return fs, addresses
}

func TestAGangIsFormedFromItsTasksAndBreaksAsOne(t *testing.T) {
	t.Parallel()
	const n = 3
	fs, addresses := formers(t, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i, f := range fs {
		all.Go(func() {
			c, release, err := f.Comm(context.Background(), run.Task{Job: "j", ID: "fit/0", Attempt: 4, Rank: i, WorldSize: n, Peers: addresses})
			if err != nil {
				errs[i] = err
				return
			}
			defer release() //nolint:errcheck // closing links cannot fail in a way that matters
			if c.Rank() != i || c.WorldSize() != n || c.Generation() != 4 {
				errs[i] = fault.New(fault.Internal, "rank %d of %d in %d", c.Rank(), c.WorldSize(), c.Generation())
				return
			}
			v := []int64{int64(i), 1}
			if errs[i] = c.AllReduce(context.Background(), v); errs[i] != nil || v[0] != 3 || v[1] != 3 {
				errs[i] = fault.New(fault.Internal, "sums %v: %v", v, errs[i])
				return
			}
			if i > 0 { // rank 0 leaves
				errs[i] = c.AllReduce(context.Background(), v)
			}
		})
	}
	all.Wait()
	require.NoError(t, errs[0])
	for _, err := range errs[1:] {
		require.ErrorIs(t, err, worker.ErrGangBroken)
		require.Equal(t, fault.Unavailable, fault.Of(err))
	}
}

func TestAGangOfOneNeedsNoLinks(t *testing.T) {
	t.Parallel()
	c, release, err := New(nil).Comm(context.Background(), run.Task{WorldSize: 1})
	require.NoError(t, err)
	require.Equal(t, collective.Solo{}, c)
	require.NoError(t, release())
}

func TestWhyAGangIsNotFormed(t *testing.T) {
	t.Parallel()
	fs, addresses := formers(t, 2)
	_, _, err := fs[0].Comm(context.Background(), run.Task{ID: "fit/0", Attempt: 1, WorldSize: 3, Peers: addresses})
	require.Equal(t, fault.Internal, fault.Of(err))
	_, _, err = fs[0].Comm(context.Background(), run.Task{ID: "fit/0", Attempt: 1, WorldSize: 2, Peers: []string{addresses[0], ""}})
	require.ErrorIs(t, err, worker.ErrGangBroken, "a peer that has never said hello is no fault of the task")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = fs[0].Comm(ctx, run.Task{ID: "fit/0", Attempt: 1, WorldSize: 2, Peers: addresses})
	require.Equal(t, fault.Canceled, fault.Of(err), "a stopped attempt is not a broken gang")
}
