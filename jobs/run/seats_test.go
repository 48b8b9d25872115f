package run

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
)

func TestEveryAttemptThatWaitsForASeatGetsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s seats
		k := seatKey{jobs.ID("j"), jobs.TaskID("fit/0")}
		first, err := s.take(t.Context(), k, 0)
		require.NoError(t, err)
		sat := make(chan struct{}, 2)
		for range 2 { // the second has come before the first was told to stop
			go func() {
				st, err := s.take(t.Context(), k, 0)
				if err != nil {
					return // the test is over
				}
				s.leave(k, st, time.Time{}, false, false)
				sat <- struct{}{}
			}()
		}
		synctest.Wait()
		s.leave(k, first, time.Time{}, false, false)
		synctest.Wait()
		require.Len(t, sat, 2, "one waits for a seat that is no more")
	})
}

// The tables on a free seat give way to a task that may need their memory.
func TestAFreeSeatIsNotInTheWayOfTasks(t *testing.T) {
	t.Parallel()
	for need, stays := range map[int64]bool{20: true, 21: false} {
		released := false
		e := &Env{Clock: clock.Real{}, Memory: 100}
		gang := seatKey{"j", "train/0"}
		st, err := e.seats.take(t.Context(), gang, 50)
		require.NoError(t, err)
		st.tables = &tables{release: func(bool) { released = true }}
		defer e.seats.admit(seatKey{"k", "apply/0"}, 30, e.Memory)() // beside it
		body := func(job jobs.ID, task jobs.TaskID, need int64) {
			_, err := e.Body(t.Context(), Task{
				Job: job, ID: task, Spec: []byte(`{"kind":"drift","name":"d","reference":"r","current":"c"}`), Stage: jobs.Stage{Name: plan.Compare, MaxBytes: need},
			}, nil)
			require.Error(t, err, "it has nothing to compare")
		}
		body("k", "compare/0", 1000)
		require.False(t, released, "somebody sits there")
		e.seats.leave(gang, st, e.Clock.Now(), true, false)
		body("j", "train/0", 1000)
		require.False(t, released, "it is its own")
		body("k", "compare/0", need)
		require.Equal(t, stays, !released, "%d", need)
	}
}
