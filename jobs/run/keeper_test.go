package run

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

func TestTheCoresOfAMachineAreDividedAmongItsRanks(t *testing.T) {
	t.Parallel()
	peers := []string{"10.0.0.1:5", "10.0.0.2:5", "10.0.0.1:6", "[fd00::1]:5", "[fd00::1]:6", "[fd00::2]:5"}
	want := []int{2, 1, 2, 2, 2, 1}
	for rank, n := range want {
		require.Equal(t, n, neighbours(peers, rank), peers[rank])
	}
	require.Equal(t, 1, neighbours(nil, 0))
}

// gate is a blob store whose writes wait for a word: nil, or the error to fail with.
type gate struct {
	store.Blobs
	words chan error
}

func (g gate) Put(ctx context.Context, b []byte) (store.Digest, error) {
	if err := <-g.words; err != nil {
		return "", err
	}
	return g.Blobs.Put(ctx, b)
}

// setClock shows the time that it is set to.
type setClock struct {
	clock.Real
	now time.Time
}

func (c *setClock) Now() time.Time { return c.now }

// told is a reporter that remembers the checkpoints.
type told struct {
	mu   sync.Mutex
	kept []string
}

func (r *told) Progress(int64, int64, string) {}

func (r *told) Checkpoint(digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, digest)
}

func TestCheckpointsAreKeptBesideTraining(t *testing.T) {
	t.Parallel()
	st := memory.New()
	words, r, clk := make(chan error, 1), &told{}, &setClock{now: time.Unix(0, 0)}
	st.Blobs = gate{st.Blobs, words}
	k := newKeeper(&work{Env: &Env{Store: st, Clock: clk}, ctx: t.Context(), report: r})
	idle := func() { // waits for what is on its way
		k.busy <- struct{}{}
		<-k.busy
	}
	keep := func(s string) error { return k.keep(t.Context(), []byte(s)) }

	require.NoError(t, keep("a"), "it does not wait for the store")
	require.NoError(t, keep("b"), "which is busy")
	words <- nil
	idle()
	require.NoError(t, keep("c"), "too soon")
	idle()
	require.Equal(t, []string{string(store.DigestOf([]byte("a")))}, r.kept)

	clk.now = clk.now.Add(keepEvery)
	require.NoError(t, keep("d"))
	words <- fault.New(fault.Unavailable, "away")
	idle()
	clk.now = clk.now.Add(keepEvery)
	require.NoError(t, keep("e"), "a store that was away stops nobody")
	words <- nil
	idle()
	require.Len(t, r.kept, 2)

	clk.now = clk.now.Add(keepEvery)
	require.NoError(t, keep("f"))
	words <- fault.New(fault.Invalid, "no permission")
	idle()
	require.ErrorContains(t, keep("g"), "no permission")
	words <- nil
	k.close()
	require.Equal(t, string(store.DigestOf([]byte("g"))), r.kept[2], "the last state of all is kept")
	k.close()
	require.Len(t, r.kept, 3, "once")
}
