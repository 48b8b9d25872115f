package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetriesWaitLongerEachTimeAndNotAllTheSame(t *testing.T) {
	t.Parallel()
	const base = 200 * time.Millisecond
	require.Zero(t, Backoff(base, 0, "j", "t"))
	for failures := 1; failures < 20; failures++ {
		whole := base << min(failures-1, 8)
		waits := map[time.Duration]bool{}
		for task := range 50 {
			id := TaskID(fmt.Sprint("t/", task))
			d := Backoff(base, failures, "j", id)
			require.InDelta(t, float64(whole), float64(d), float64(whole)/5+1)
			require.Equal(t, d, Backoff(base, failures, "j", id))
			waits[d] = true
		}
		require.Greater(t, len(waits), 40)
	}
	require.NotEqual(t, Backoff(base, 1, "j", "t"), Backoff(base, 1, "k", "t"))
}
