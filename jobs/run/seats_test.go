package run

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/jobs"
)

func TestEveryAttemptThatWaitsForASeatGetsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s seats
		k := seatKey{jobs.ID("j"), jobs.TaskID("fit/0")}
		first, err := s.take(t.Context(), k)
		require.NoError(t, err)
		sat := make(chan struct{}, 2)
		for range 2 { // the second has come before the first was told to stop
			go func() {
				st, err := s.take(t.Context(), k)
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
