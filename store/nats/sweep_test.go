package nats

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/store"
)

// late is a clock that is ahead of the store's.
type late struct {
	clock.Real
	by atomic.Int64
}

func (c *late) Now() time.Time { return c.Real.Now().Add(time.Duration(c.by.Load())) }

// A blob that is old and is put again must not go with a sweep that has seen it
// old: it has another number then.
func TestABlobThatIsPutAgainIsYoung(t *testing.T) {
	t.Parallel()
	s, _ := alone(t, t.TempDir())
	c := &late{}
	st, err := Open(soon(t), dial(t, s), Config{Log: slog.New(slog.DiscardHandler), Clock: c})
	require.NoError(t, err)
	b, ok := st.Blobs.(*blobs)
	require.True(t, ok)
	for _, text := range [][]byte{[]byte("small"), make([]byte, 2<<20)} {
		ctx := soon(t)
		c.by.Store(0)
		d, err := b.Put(ctx, text)
		require.NoError(t, err)
		old, err := b.lastPatiently(ctx, b.subjectOf(d))
		require.NoError(t, err)
		_, err = b.Put(ctx, text)
		require.NoError(t, err)
		same, err := b.lastPatiently(ctx, b.subjectOf(d))
		require.NoError(t, err)
		require.Equal(t, old.seq, same.seq, "it is young enough")

		c.by.Store(int64(time.Hour))
		_, err = b.Put(ctx, text)
		require.NoError(t, err)
		young, err := b.lastPatiently(ctx, b.subjectOf(d))
		require.NoError(t, err)
		require.Greater(t, young.seq, old.seq)
		gone, err := b.forget(context.Background(), d, old) // as a sweep that has looked before
		require.NoError(t, err)
		require.False(t, gone)
		got, err := b.Get(ctx, d)
		require.NoError(t, err)
		require.Equal(t, text, got)
		require.NoError(t, b.Delete(ctx, d))
		_, err = b.Get(ctx, d)
		require.ErrorIs(t, err, store.ErrNotFound, "no older one comes to light")
	}
}
