// Package ring is a gang's Comm over plain TCP, or within a machine through memory that
// both have: every rank sends to its right neighbour and receives from its left one. It is the data plane: sums of many
// megabytes, which never travel through mailboxes. In gangs of four and more, ranks
// have further links, to some at distances of 2 and more, over which what is small is
// added in log2 n steps rather than n-1.
//
// A Listener per process accepts the links of many gangs, told apart by job,
// task and generation. A rank that has been left behind in an old generation is
// refused, strangers are closed. Nothing is durable and nothing is repaired:
// whatever goes wrong with one link, its rank closes all of its links, so that
// the news runs through the gang at once and every rank's call fails with
// ErrBroken. The ranks then form a new generation.
//
// A rank that computes says so once a second, so that a neighbour waits for it
// as long as it likes; one that is frozen or cut off is given up after
// Config.Timeout.
package ring

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Errors of a ring, for errors.Is.
var (
	// ErrBroken means that a link of the ring broke: the generation is over, and
	// nobody here is to blame. Its kind is Unavailable.
	ErrBroken = errors.New("a link of the ring broke")
	// ErrStale means that there is a newer generation of the gang.
	ErrStale = errors.New("there is a newer generation")
)

// Config are the settings of a Listener and of the rings that it forms.
type Config struct {
	// Timeout is how long a neighbour may be silent within an operation before it
	// counts as lost. Shorter notices a frozen member sooner; longer survives
	// longer pauses of the machine.
	Timeout time.Duration
	// Alive is the interval at which a rank that computes says so: about a quarter
	// of Timeout.
	Alive time.Duration
	// FormTimeout is how long a rank waits for its neighbours to join. They may
	// have to read their data first, so it is long: whoever orders the gang knows
	// earlier when a member is gone, and ends the wait.
	FormTimeout time.Duration
	// ReachTimeout is how long the process of a neighbour may be out of reach
	// before the gang is given up.
	ReachTimeout time.Duration
	// SegmentBytes is what is sent at a time; a reduction passes segments on
	// while the next ones arrive.
	SegmentBytes int
	// SmallBytes is how many bytes more a rank may send for each step that a sum is
	// done in less: what a link carries in the time of a step. 0 sums in parts whatever
	// is longer than nothing, unless there are but two ranks.
	SmallBytes int
	// MaxWaiting is how many links may wait for their rank to join; when there
	// are more, the oldest is closed, and its rank tries again.
	MaxWaiting int
	// MaxBroadcastBytes is the most that a broadcast may carry.
	MaxBroadcastBytes int64
	// Apart sends also what stays on this machine through its network. Else links
	// between processes of one machine and user go through memory that both have, where
	// the system has such memory (Linux).
	Apart bool
	// TLS, if set, is used on every link, on both ends. It costs a half of the
	// speed. What goes through memory is not encrypted.
	TLS *tls.Config
	// Clock says what time it is.
	Clock clock.Clock
}

// DefaultConfig gives a frozen rank up after four seconds.
func DefaultConfig() Config {
	return Config{
		Timeout: 4 * time.Second, Alive: time.Second, FormTimeout: 15 * time.Minute, ReachTimeout: 10 * time.Second, SegmentBytes: 256 << 10, SmallBytes: 64 << 10, MaxWaiting: 256,
		MaxBroadcastBytes: 4 << 30, Clock: clock.Real{},
	}
}

// Validate reports every setting that makes no sense.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("ring: "+format, args...))
		}
	}
	check(c.Timeout > 0, "timeout is %v: it must be positive", c.Timeout)
	check(c.Alive > 0 && c.Alive <= c.Timeout/2, "alive is %v: it must be positive, and at most half of timeout, %v", c.Alive, c.Timeout)
	check(c.FormTimeout > 0, "form_timeout is %v: it must be positive", c.FormTimeout)
	check(c.ReachTimeout > 0, "reach_timeout is %v: it must be positive", c.ReachTimeout)
	check(c.SegmentBytes > 0 && c.SegmentBytes%8 == 0, "segment_bytes is %d: it must be a positive multiple of 8", c.SegmentBytes)
	check(c.SmallBytes >= 0, "small_bytes is %d: it must not be negative", c.SmallBytes)
	check(c.MaxWaiting > 0, "max_waiting is %d: it must be positive", c.MaxWaiting)
	check(c.MaxBroadcastBytes > 0, "max_broadcast_bytes is %d: it must be positive", c.MaxBroadcastBytes)
	check(c.Clock != nil, "clock is missing")
	return fault.Wrap(fault.Invalid, errors.Join(errs...))
}

// Gang is one generation of a gang as one of its ranks sees it.
type Gang struct {
	Job, Task  string
	Generation uint64   // from 1
	Rank       int      // from 0
	Peers      []string // HOST:PORT of every rank's Listener, in order
}

// Validate reports everything that is wrong with a gang.
func (g Gang) Validate() error {
	var errs []error
	if g.Generation < 1 {
		errs = append(errs, errors.New("ring: the generation is 0: the first is 1"))
	}
	if g.Rank < 0 || g.Rank >= len(g.Peers) {
		errs = append(errs, fmt.Errorf("ring: rank %d of %d: there is no such rank", g.Rank, len(g.Peers)))
	}
	for i, p := range g.Peers {
		if p == "" && len(g.Peers) > 1 {
			errs = append(errs, fmt.Errorf("ring: the address of rank %d is unknown", i))
		}
	}
	return fault.Wrap(fault.Unavailable, errors.Join(errs...))
}

// beside is how many ranks this one's host has, with this one.
func (g Gang) beside() (n int) {
	mine, _, _ := net.SplitHostPort(g.Peers[g.Rank])
	for _, p := range g.Peers {
		if host, _, _ := net.SplitHostPort(p); host == mine {
			n++
		}
	}
	return n
}
