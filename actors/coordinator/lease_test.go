package coordinator

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

const ttl = 3 * time.Second

// cutOff is Refs that can be out of reach.
type cutOff struct {
	store.Refs
	away bool
}

func (c *cutOff) err() error {
	if c.away {
		return fault.New(fault.Unavailable, "out of reach")
	}
	return nil
}

func (c *cutOff) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	if err := c.err(); err != nil {
		return nil, 0, err
	}
	return c.Refs.Get(ctx, name)
}

func (c *cutOff) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	if err := c.err(); err != nil {
		return 0, err
	}
	return c.Refs.Set(ctx, name, value, revision)
}

// leases are candidates for one lease, and the clock of all.
type leases struct {
	clock *manual
	reach []*cutOff
	all   []*Lease
}

func newLeases(n int) *leases {
	refs := memory.New().Refs
	l := &leases{clock: &manual{now: time.Unix(0, 0)}}
	for i := range n {
		l.reach = append(l.reach, &cutOff{Refs: refs})
		l.all = append(l.all, NewLease(l.reach[i], l.clock, fmt.Sprint("m", i), fmt.Sprint("addr", i), ttl))
	}
	return l
}

// tick returns the epoch in which a candidate leads, 0 when it does not.
func (l *leases) tick(i int) uint64 {
	epoch, leading, _ := l.all[i].Tick(context.Background()) //nolint:errcheck // what counts is what it believes
	if !leading {
		return 0
	}
	return epoch
}

func TestTheLeaseIsTakenOverWhenItsHolderIsSilent(t *testing.T) {
	t.Parallel()
	l := newLeases(2)
	require.EqualValues(t, 1, l.tick(0))
	for range 20 { // renewed, it stays
		l.clock.now = l.clock.now.Add(ttl / 6)
		require.EqualValues(t, 1, l.tick(0))
		require.Zero(t, l.tick(1))
	}
	l.clock.now = l.clock.now.Add(ttl)
	require.Zero(t, l.tick(1), "not before more than a TTL has passed since it saw a renewal")
	l.clock.now = l.clock.now.Add(time.Millisecond)
	require.EqualValues(t, 2, l.tick(1))
	require.Zero(t, l.tick(0), "the one before finds out when it looks")
	h, err := ReadHolder(context.Background(), l.reach[0])
	require.NoError(t, err)
	require.Equal(t, Holder{Member: "m1", Addr: "addr1", Epoch: 2}, h)
}

func TestALeaseThatIsGivenUpIsTakenAtOnce(t *testing.T) {
	t.Parallel()
	l := newLeases(2)
	require.EqualValues(t, 1, l.tick(0))
	require.Zero(t, l.tick(1))
	require.NoError(t, l.all[1].Resign(context.Background()), "of one that it does not hold")
	require.Zero(t, l.tick(1))
	require.NoError(t, l.all[0].Resign(context.Background()))
	require.EqualValues(t, 2, l.tick(1))
	require.Zero(t, l.tick(0))
}

func TestANodeThatIsStartedAgainNeedNotWaitForItself(t *testing.T) {
	t.Parallel()
	refs, clock := memory.New().Refs, &manual{now: time.Unix(0, 0)}
	before, after, other := NewLease(refs, clock, "n1.aa", "x", ttl), NewLease(refs, clock, "n1.bb", "x", ttl), NewLease(refs, clock, "n2.cc", "y", ttl)
	_, leading, err := before.Tick(t.Context())
	require.NoError(t, err)
	require.True(t, leading)
	for _, l := range []*Lease{other, after} {
		epoch, leading, err := l.Tick(t.Context())
		require.NoError(t, err)
		require.Equal(t, l == after, leading, "only the node's next process takes over at once")
		if leading {
			require.Equal(t, uint64(2), epoch)
		}
	}
	_, leading, err = before.Tick(t.Context())
	require.NoError(t, err)
	require.False(t, leading, "should it live after all, the two do not quarrel")
}

func TestAHolderThatReachesNoStoreStepsDownBeforeAnotherMayLead(t *testing.T) {
	t.Parallel()
	l := newLeases(2)
	require.EqualValues(t, 1, l.tick(0))
	require.Zero(t, l.tick(1))
	l.reach[0].away = true
	l.clock.now = l.clock.now.Add(ttl * 2 / 3)
	require.EqualValues(t, 1, l.tick(0), "a hiccup of the store changes nothing")
	l.clock.now = l.clock.now.Add(time.Millisecond)
	require.Zero(t, l.tick(0))
	require.Zero(t, l.tick(1))
	l.reach[0].away = false
	require.EqualValues(t, 2, l.tick(0), "it may take its own lease again, in a new term")
}

// Whoever looks when, and whoever is out of reach: epochs belong to one member
// each, and of those who have just looked one leads at most.
func TestNoTwoLead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := newLeases(3)
		holder := map[uint64]int{}
		newest := uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "who")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				l.reach[i].away = !l.reach[i].away
			case 1:
				_ = l.all[i].Resign(context.Background()) // it may be out of reach
			default:
				l.clock.now = l.clock.now.Add(time.Duration(rapid.Int64Range(0, int64(ttl)).Draw(t, "wait")))
			}
			var leads []uint64
			for k := range l.all {
				epoch := l.tick(k)
				if epoch == 0 {
					continue
				}
				if who, ok := holder[epoch]; ok && who != k || !ok && epoch <= newest {
					t.Fatalf("m%d leads in epoch %d, of m%d; the newest is %d", k, epoch, who, newest)
				}
				holder[epoch], newest = k, max(newest, epoch)
				if !l.reach[k].away {
					leads = append(leads, epoch)
				}
			}
			if len(leads) > 1 {
				t.Fatalf("epochs %v at once", leads)
			}
		}
	})
}
