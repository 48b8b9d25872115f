package api_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// counted counts how often logs are read, and fails when told to.
type counted struct {
	store.Logs
	reads atomic.Int32
	fails error
}

func (c *counted) Read(ctx context.Context, name string, from uint64) ([][]byte, error) {
	c.reads.Add(1)
	if c.fails != nil {
		return nil, c.fails
	}
	return c.Logs.Read(ctx, name, from)
}

func TestAListReadsOnlyTheLogsOfJobsThatGoOn(t *testing.T) {
	t.Parallel()
	st := memory.New()
	logs := &counted{Logs: st.Logs}
	st.Logs = logs
	const n = 50
	for i := range n {
		id := jobs.ID(fmt.Sprintf("j%02d", i))
		require.NoError(t, joblog.Submit(t.Context(), st, id, "drift", "d", []byte("{}"), int64(i)))
		if i >= 2 {
			end, err := jobs.EncodeRecord(0, []jobs.Event{{Kind: jobs.CancelRequested, At: 100}})
			require.NoError(t, err)
			require.NoError(t, st.Logs.Append(t.Context(), joblog.Name(id), 1, end))
		}
	}
	require.NoError(t, st.Logs.Append(t.Context(), joblog.Name("broken"), 0, []byte("no record")))
	var l api.Lister
	first, err := l.Jobs(t.Context(), st, 1000)
	require.NoError(t, err)
	require.Len(t, first, n+1)
	assert.EqualValues(t, n+1, logs.reads.Load())
	assert.Equal(t, "j49", first[0].Job, "the newest first")
	assert.Equal(t, "cancelled", first[0].Status)
	assert.Equal(t, []string{"broken", "j00"}, []string{first[n-1].Job, first[n].Job})
	assert.Equal(t, api.Damaged, first[n-1].Status, "a job that cannot be read does not hide the others")
	assert.Contains(t, first[n-1].Error.Message, "record 0")
	assert.InDelta(t, 1, first[n].Seconds, 0)

	logs.reads.Store(0)
	second, err := l.Jobs(t.Context(), st, 2000)
	require.NoError(t, err)
	assert.EqualValues(t, 3, logs.reads.Load(), "two that run, and the damaged one")
	assert.InDelta(t, 2, second[n].Seconds, 0, "a job that runs has a new state")
	assert.Equal(t, first[:n-2], second[:n-2])

	logs.fails = fault.New(fault.Unavailable, "the store is away")
	_, err = l.Jobs(t.Context(), st, 2000)
	assert.Equal(t, fault.Unavailable, fault.Of(err))
}
