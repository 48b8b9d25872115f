package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/store"
)

// LeaseName is the name of the coordinator's lease in the store.
const LeaseName = "ctl.coordinator"

// Holder is who holds the lease. Epoch grows with every change of holder: it is
// the fencing token of everything the holder does.
type Holder struct {
	Member string `json:"member"`
	Addr   string `json:"addr"` // where its messages go
	Epoch  uint64 `json:"epoch"`
}

// Lease elects the coordinator by compare-and-set on one name. No two clocks
// are compared: a member takes over when it has itself seen no renewal for TTL,
// and a holder that cannot renew steps down after two thirds of that.
type Lease struct {
	refs  store.Refs
	clock clock.Clock
	self  Holder
	ttl   time.Duration

	looked  bool
	found   uint64 // rev at the first look
	rev     uint64
	current Holder
	seen    time.Time // when rev was seen first
	renewed time.Time // when this holder renewed last
	leading bool
}

// NewLease returns the candidate's side of the lease. TTL is the time without a
// coordinator after one has died; the holder renews at every Tick, which the
// shell calls about six times in a TTL.
func NewLease(refs store.Refs, c clock.Clock, member, addr string, ttl time.Duration) *Lease {
	return &Lease{refs: refs, clock: c, self: Holder{Member: member, Addr: addr}, ttl: ttl}
}

// Tick looks at the lease, renews it or tries to take it, and reports whether
// this member holds it now, and in which epoch. Errors of the store are no
// answer: a holder goes on until two thirds of the TTL have passed without one.
func (l *Lease) Tick(ctx context.Context) (epoch uint64, leading bool, err error) {
	if err := l.look(ctx); err != nil {
		if l.leading && l.clock.Now().Sub(l.renewed) > l.ttl*2/3 {
			l.leading = false
		}
		return l.self.Epoch, l.leading, err
	}
	now := l.clock.Now()
	mine := l.rev != 0 && l.current.Member == l.self.Member
	switch {
	case mine && l.leading:
		err = l.set(ctx, l.current)
		if err != nil && now.Sub(l.renewed) > l.ttl*2/3 {
			l.leading = false
		}
	case l.rev == 0, mine, l.reborn(), now.Sub(l.seen) > l.ttl:
		next := l.self
		next.Epoch = l.current.Epoch + 1
		if err = l.set(ctx, next); err == nil {
			l.self.Epoch, l.leading = next.Epoch, true
		}
	default:
		l.leading = false
	}
	if errors.Is(err, store.ErrConflict) {
		err = nil // somebody else was faster: the next look shows who
	}
	return l.self.Epoch, l.leading, err
}

// reborn reports whether the lease that this process has found at its start was
// that of the node's process before it: a node has one process at a time, so
// nobody needs to wait for its end.
func (l *Lease) reborn() bool {
	return l.rev == l.found && l.current.Member != "" && jobs.MemberID(l.current.Member).Node() == jobs.MemberID(l.self.Member).Node()
}

// Current returns the holder as last seen; its Member is empty before the first
// successful Tick.
func (l *Lease) Current() Holder { return l.current }

// Resign gives the lease up, so that another member need not wait for its TTL.
func (l *Lease) Resign(ctx context.Context) error {
	if !l.leading {
		return nil
	}
	l.leading = false
	gone := l.current
	gone.Member, gone.Addr = "", ""
	return l.set(ctx, gone)
}

func (l *Lease) look(ctx context.Context) error {
	b, rev, err := l.refs.Get(ctx, LeaseName)
	if errors.Is(err, store.ErrNotFound) {
		l.looked, l.rev, l.current = true, 0, Holder{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	if !l.looked {
		l.looked, l.found = true, rev
	}
	if rev == l.rev {
		return nil
	}
	var h Holder
	if err := json.Unmarshal(b, &h); err != nil {
		return fault.New(fault.Corrupt, "lease: %w", err)
	}
	if l.leading && (h.Member != l.self.Member || h.Epoch != l.self.Epoch) {
		l.leading = false
	}
	l.rev, l.current, l.seen = rev, h, l.clock.Now()
	if h.Member == "" { // resigned: nobody needs to wait
		l.seen = l.seen.Add(-2 * l.ttl)
	}
	return nil
}

func (l *Lease) set(ctx context.Context, h Holder) error {
	b, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	rev, err := l.refs.Set(ctx, LeaseName, b, l.rev)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	now := l.clock.Now()
	l.rev, l.current, l.seen, l.renewed = rev, h, now, now
	return nil
}

// ReadHolder returns who coordinates now, for members that look for it.
func ReadHolder(ctx context.Context, refs store.Refs) (Holder, error) {
	b, _, err := refs.Get(ctx, LeaseName)
	if err != nil {
		return Holder{}, fmt.Errorf("lease: %w", err)
	}
	var h Holder
	if err := json.Unmarshal(b, &h); err != nil {
		return Holder{}, fault.New(fault.Corrupt, "lease: %w", err)
	}
	return h, nil
}
