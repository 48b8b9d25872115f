package worker

import (
	"slices"

	"github.com/troupe-ml/troupe/jobs"
)

// maxRemembered is of how many tasks the newest attempt is remembered. An order
// that is later than this many others runs again, which costs time and no more.
const maxRemembered = 4096

// place is a task without its attempt.
type place struct {
	job  jobs.ID
	task jobs.TaskID
}

// attempts remembers which attempts have begun here, so that an order that
// arrives again, however late, does not run again.
type attempts struct {
	newest map[place]int
	order  []place // the oldest first
}

// begin reports whether an attempt is newer than every one of its task that has
// begun, and takes note of it.
func (a *attempts) begin(r jobs.Ref) bool {
	p := place{r.Job, r.Task}
	newest, known := a.newest[p]
	if known && r.Attempt <= newest {
		return false
	}
	if !known {
		a.order = append(a.order, p)
		if len(a.order) > maxRemembered {
			delete(a.newest, a.order[0])
			a.order = slices.Delete(a.order, 0, 1)
		}
	}
	a.newest[p] = r.Attempt
	return true
}
