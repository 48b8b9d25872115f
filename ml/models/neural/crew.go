package neural

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/troupe-ml/troupe/internal/fault"
)

// crew are the executors of a fit, each with a goroutine of its own but for the
// first, which works on the caller's.
type crew struct {
	members []*executor
	work    []chan func(*executor) error // of members from 1 on
	left    atomic.Int32                 // calls that have not returned,
	pending sync.WaitGroup               // for whom looking took too long
	alive   sync.WaitGroup               // goroutines
}

func newCrew(members []*executor) *crew {
	c := &crew{members: members}
	for _, e := range members[1:] {
		work := make(chan func(*executor) error, 1)
		c.work = append(c.work, work)
		c.alive.Go(func() {
			for f, open := take(work); open; f, open = take(work) {
				e.err = guarded(f, e)
				c.left.Add(-1)
				c.pending.Done()
			}
		})
	}
	return c
}

// run has f done by the first n members at once, and returns when all are done.
// The error is that of the first one that failed.
func (c *crew) run(n int, f func(*executor) error) error {
	n = max(1, min(n, len(c.members)))
	c.pending.Add(n - 1)
	c.left.Store(int32(n - 1))
	for _, work := range c.work[:n-1] {
		work <- f
	}
	err := guarded(f, c.members[0])
	for look := 0; look < looks && c.left.Load() > 0; look++ {
		runtime.Gosched()
	}
	c.pending.Wait()
	for _, e := range c.members[1:n] {
		if err == nil {
			err = e.err
		}
	}
	return err
}

// looks is how often somebody who waits looks before going to sleep: to be woken takes
// as long as a step of a small network. These are some tens of microseconds, in which
// others may run.
const looks = 400

// take waits for work; false when there will be none.
func take(work chan func(*executor) error) (f func(*executor) error, open bool) {
	for range looks {
		select {
		case f, open = <-work:
			return f, open
		default:
			runtime.Gosched()
		}
	}
	f, open = <-work
	return f, open
}

// close ends the goroutines and waits for them.
func (c *crew) close() {
	for _, work := range c.work {
		close(work)
	}
	c.alive.Wait()
}

func guarded(f func(*executor) error, e *executor) (err error) {
	defer door(&err)
	return f(e)
}

// door turns a panic, of gorgonia or of a bug of ours, into an error of kind
// Internal. It is deferred where the package is entered, and where a goroutine
// begins.
func door(err *error) {
	if r := recover(); r != nil {
		*err = fault.New(fault.Internal, "neural: a bug: %v\n%s", r, debug.Stack())
	}
}
