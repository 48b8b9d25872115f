package run

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/store/memory"
)

// leaping is a clock on which every wait is over at once, and remembered.
type leaping struct {
	clock.Real
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func (c *leaping) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *leaping) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.waits = c.now.Add(d), append(c.waits, d)
	fired := make(chan time.Time, 1)
	fired <- c.now
	return fired
}

func TestALocalJobWaitsBeforeItTriesAgain(t *testing.T) {
	t.Parallel()
	c := &leaping{now: time.Unix(1, 0)}
	tries := map[int]time.Time{}
	body := func(_ context.Context, task Task, _ Reporter) (jobs.Result, error) {
		tries[task.Attempt] = c.Now()
		if task.Attempt < jobs.MaxFailures {
			return jobs.Result{}, fault.New(fault.Unavailable, "try again")
		}
		return jobs.Result{}, fault.New(fault.Invalid, "enough")
	}
	j, err := Local{Store: memory.New(), Body: body, Clock: c, Slots: 1}.Run(t.Context(), "j", "drift", "d", []byte(`{"kind":"drift","name":"d"}`))
	require.NoError(t, err)
	require.Equal(t, jobs.Failed, j.Phase)
	require.Contains(t, j.Failure.Message, "enough")
	require.Len(t, tries, jobs.MaxFailures)
	for attempt := 2; attempt <= jobs.MaxFailures; attempt++ {
		wait := jobs.Backoff(jobs.DefaultBackoff, attempt-1, "j", "survey/0")
		require.Equal(t, wait, tries[attempt].Sub(tries[attempt-1]), "before attempt %d", attempt)
		require.Contains(t, c.waits, wait)
	}
}
