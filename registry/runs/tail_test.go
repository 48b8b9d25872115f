package runs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// meter is a store that counts the bytes that are written to it, and the records
// that are read.
type meter struct {
	store.Store
	mu      sync.Mutex
	written int
	read    int
}

func metered() (*meter, store.Store) {
	m := &meter{Store: memory.New()}
	return m, store.Store{Blobs: meteredBlobs{m.Blobs, m}, Refs: meteredRefs{m.Refs, m}, Logs: meteredLogs{m.Logs, m}}
}

func (m *meter) wrote(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written += n
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written, m.read = 0, 0
}

type meteredBlobs struct {
	store.Blobs
	m *meter
}

func (b meteredBlobs) Put(ctx context.Context, p []byte) (store.Digest, error) {
	b.m.wrote(len(p))
	return b.Blobs.Put(ctx, p)
}

type meteredRefs struct {
	store.Refs
	m *meter
}

func (r meteredRefs) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	r.m.wrote(len(value))
	return r.Refs.Set(ctx, name, value, revision)
}

type meteredLogs struct {
	store.Logs
	m *meter
}

func (l meteredLogs) Append(ctx context.Context, name string, expected uint64, records ...[]byte) error {
	for _, r := range records {
		l.m.wrote(len(r))
	}
	return l.Logs.Append(ctx, name, expected, records...)
}

func (l meteredLogs) Read(ctx context.Context, name string, from uint64) ([][]byte, error) {
	records, err := l.Logs.Read(ctx, name, from)
	l.m.mu.Lock()
	l.m.read += len(records)
	l.m.mu.Unlock()
	return records, err
}

// What logging costs is in proportion to what is logged, whatever is logged
// already.
func TestLoggingManyTimesCostsAsMuchAsWhatIsLogged(t *testing.T) {
	t.Parallel()
	m, st := metered()
	b := runs.Open(st)
	ctx := t.Context()
	for what, log := range map[string]func(id runs.ID, n int) error{
		"metrics of new names": func(id runs.ID, n int) error {
			return b.Log(ctx, id, runs.Batch{Metrics: []runs.Measure{{Metric: fmt.Sprintf("m%d", n), Point: runs.Point{Step: int64(n), Value: 1}}}})
		},
		"one metric": func(id runs.ID, n int) error {
			return b.Log(ctx, id, runs.Batch{Metrics: []runs.Measure{{Metric: "loss", Point: runs.Point{Step: int64(n), Value: 1}}}})
		},
		"models": func(id runs.ID, n int) error {
			return b.LogModel(ctx, id, json.RawMessage(fmt.Sprintf(`{"artifact_path":"m%d","note":"%0300d"}`, n, n)))
		},
	} {
		r := created(t, b, runs.Run{})
		m.reset()
		cost := map[int]int{}
		for n := range 4000 {
			require.NoError(t, log(r.ID, n))
			cost[n+1] = m.written
		}
		require.Less(t, cost[4000], 5*cost[1000], "%s: 1000 cost %d bytes, 4000 cost %d", what, cost[1000], cost[4000])
	}
}

func TestWhatIsLoggedIsSeenByAllAtOnce(t *testing.T) {
	t.Parallel()
	st := memory.New()
	a, other := runs.Open(st), runs.Open(st)
	ctx := t.Context()
	r := created(t, a, runs.Run{})
	seen := func(n int64) {
		t.Helper()
		for _, b := range []*runs.Book{a, other, runs.Open(st)} {
			run, err := b.Show(ctx, r.ID)
			require.NoError(t, err)
			p, ok := run.Metric("loss")
			require.True(t, ok)
			require.Equal(t, n, p.Step)
			found, err := b.Search(ctx, runs.Search{Filter: fmt.Sprintf("metrics.loss = %d", n)})
			require.NoError(t, err)
			require.Len(t, found.Runs, 1)
			points, err := b.History(ctx, run, "loss")
			require.NoError(t, err)
			require.Len(t, points, int(n))
			var models []json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(run.Tags[runs.ModelsTag]), &models))
			require.Len(t, models, int(n))
			require.Equal(t, run.Tags[runs.ModelsTag], found.Runs[0].Tags[runs.ModelsTag])
		}
	}
	for n := int64(1); n <= 300; n++ {
		by := []*runs.Book{a, other}[n%2]
		require.NoError(t, by.Log(ctx, r.ID, runs.Batch{Metrics: []runs.Measure{{Metric: "loss", Point: runs.Point{Step: n, Value: runs.Value(n)}}}}))
		require.NoError(t, by.LogModel(ctx, r.ID, json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))))
		if n < 4 || n%61 == 0 {
			seen(n)
		}
	}
	_, err := a.Set(ctx, r.ID, runs.Change{Status: runs.Succeeded, Ended: noon})
	require.NoError(t, err)
	seen(300)
	require.NoError(t, other.Delete(ctx, r.ID, noon))
	one := runs.Batch{Metrics: []runs.Measure{{Metric: "loss"}}}
	require.Equal(t, fault.Invalid, fault.Of(a.Log(ctx, r.ID, one)), "it is deleted, and nobody has told this process")
	require.NoError(t, other.Restore(ctx, r.ID))
	require.NoError(t, a.Log(ctx, r.ID, one))
	require.Equal(t, fault.NotFound, fault.Of(a.Log(ctx, "none", one)))
}

// Pages of a history, one after the other, read the log once.
func TestAHistoryIsReadOnceForAllPagesAndMetrics(t *testing.T) {
	t.Parallel()
	m, st := metered()
	b := runs.Open(st)
	ctx := t.Context()
	r := created(t, b, runs.Run{})
	for n := range 500 {
		require.NoError(t, b.Log(ctx, r.ID, runs.Batch{Metrics: []runs.Measure{
			{Metric: "a", Point: runs.Point{Step: int64(n)}}, {Metric: "b", Point: runs.Point{Step: int64(n)}},
		}}))
	}
	_, err := b.Set(ctx, r.ID, runs.Change{Status: runs.Succeeded, Ended: noon})
	require.NoError(t, err)
	m.reset()
	for range 100 {
		run, err := b.Show(ctx, r.ID)
		require.NoError(t, err)
		for _, name := range []string{"a", "b"} {
			points, err := b.History(ctx, run, name)
			require.NoError(t, err)
			require.Len(t, points, 500)
		}
	}
	require.Equal(t, 500, m.read)
}

func TestManyLogAtOnceAndNothingIsLost(t *testing.T) {
	t.Parallel()
	st := memory.New()
	ctx := t.Context()
	r := created(t, runs.Open(st), runs.Run{})
	var all sync.WaitGroup
	const writers, each = 6, 60
	for w := range writers {
		b := runs.Open(st)
		all.Go(func() {
			for n := range each {
				err := b.Log(context.Background(), r.ID, runs.Batch{Metrics: []runs.Measure{{Metric: fmt.Sprintf("m%d.%d", w, n), Point: runs.Point{Step: 1, Value: 1}}}})
				if err != nil {
					panic(err) // of a store that works
				}
			}
		})
	}
	all.Wait()
	run, err := runs.Open(st).Show(ctx, r.ID)
	require.NoError(t, err)
	require.Len(t, run.Latest, writers*each)
	found, err := runs.Open(st).Search(ctx, runs.Search{})
	require.NoError(t, err)
	require.Len(t, found.Runs[0].Latest, writers*each)
}

// A client that sets the list of models itself has read what was logged before.
func TestTheListOfModelsIsWhatAClientHasMadeOfIt(t *testing.T) {
	t.Parallel()
	b := runs.Open(memory.New())
	ctx := t.Context()
	models := func(id runs.ID) string {
		t.Helper()
		run, err := b.Show(ctx, id)
		require.NoError(t, err)
		return run.Tags[runs.ModelsTag]
	}
	set := func(value string) runs.Batch {
		return runs.Batch{Tags: []runs.Pair{{Key: runs.ModelsTag, Value: value}}}
	}
	r := created(t, b, runs.Run{})
	require.NoError(t, b.LogModel(ctx, r.ID, json.RawMessage(`{"n":1}`)))
	require.NoError(t, b.Log(ctx, r.ID, set(`[{"n":1},{"n":2}]`)))
	require.Equal(t, `[{"n":1},{"n":2}]`, models(r.ID))
	require.NoError(t, b.LogModel(ctx, r.ID, json.RawMessage(`{"n":3}`)))
	require.Equal(t, `[{"n":1},{"n":2},{"n":3}]`, models(r.ID))
	_, err := b.Tag(ctx, r.ID, map[string]string{runs.ModelsTag: `[{"n":3}]`})
	require.NoError(t, err)
	require.Equal(t, `[{"n":3}]`, models(r.ID))

	other := created(t, b, runs.Run{})
	require.NoError(t, b.LogModel(ctx, other.ID, json.RawMessage(`{"n":1}`)))
	require.NoError(t, b.Untag(ctx, other.ID, runs.ModelsTag))
	require.Empty(t, models(other.ID))
}
