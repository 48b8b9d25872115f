package jobs

import (
	"time"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/internal/rng"
)

// DefaultBackoff is the wait before the first retry of a failed task.
const DefaultBackoff = 200 * time.Millisecond

// Backoff returns how long a task that has failed so often waits before it is
// tried again: base, doubled with every failure but the first up to 256 times
// base, and a fifth more or less, so that tasks that failed together do not all
// come back together. The same task waits the same whoever asks.
func Backoff(base time.Duration, failures int, job ID, task TaskID) time.Duration {
	if failures <= 0 {
		return 0
	}
	d := base << min(failures-1, 8)
	jitter := rng.Mix(xxh3.HashString(string(job)+"\x00"+string(task)), uint64(failures)) % 4001 // of 10,000
	return d/10_000*8_000 + d/10_000*time.Duration(jitter)
}
