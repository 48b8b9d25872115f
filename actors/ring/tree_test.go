package ring

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// After the fewest steps every rank has heard of every other once.
func TestAllRanksKnowAllAfterTheFewestSteps(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 70; n++ {
		others := make([]map[int]int, n) // by rank, whom it has heard of, how often
		for i := range others {
			others[i] = map[int]int{}
		}
		for _, h := range hops(n) {
			next := make([]map[int]int, n)
			for i := range next {
				from := (i - h.distance + n) % n
				next[i] = map[int]int{}
				for _, known := range []map[int]int{others[i], others[from]} {
					for rank, times := range known {
						next[i][rank] += times
					}
				}
				if h.whole {
					next[i][from]++
				}
			}
			others = next
		}
		require.Len(t, hops(n), bits.Len(uint(n-1)), "%d ranks", n)
		for i, known := range others {
			require.Len(t, known, n-1, "rank %d of %d", i, n)
			for rank, times := range known {
				require.Equal(t, 1, times, "rank %d of %d of rank %d", i, n, rank)
				require.NotEqual(t, i, rank)
			}
		}
	}
	require.Equal(t, []int{1}, distances(3), "no further links")
	require.Equal(t, []int{1, 2, 4}, distances(9))
}

func TestWhatIsSmallDependsOnTheNumberOfRanks(t *testing.T) {
	t.Parallel()
	for ranks, most := range map[int]int{2: 32768, 3: 24576, 4: 32768, 5: 29257, 8: 32768, 64: 32768, 600: 32768} {
		c := newComm(DefaultConfig(), Gang{Peers: make([]string, ranks)}, nil, nil)
		c.scratch = make([]int64, 32768)
		require.True(t, c.small(most), "%d ranks", ranks)
		require.False(t, c.small(most+1), "%d ranks", ranks)
		c.cfg.SmallBytes = 0
		require.True(t, c.small(0))
		require.Equal(t, ranks == 2, c.small(1), "%d ranks", ranks)
	}
}

// Whoever dies between two sums ends the second for all, also for those that never
// read from it: nobody waits for a deadline.
func TestARankThatDiesBetweenSmallSumsEndsThemForAll(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, cfg Config) {
		for _, n := range []int{3, 4, 5, 8} {
			for _, began := range []bool{false, true} {
				ls, addresses := listeners(t, n, cfg)
				errs := each(form(t, ls, addresses, 1), func(c *Comm) error {
					v := make([]int64, 1000)
					if err := c.AllReduce(context.Background(), v); err != nil {
						return err
					}
					if c.Rank() == n-1 {
						if began { // one of its neighbours goes on, the others do not
							if err := c.near.sendWhole(operation{code: opAllReduce, seq: 1, count: uint64(len(v))}, v, nil); err != nil {
								return err
							}
						}
						return c.Close()
					}
					return firstOfTwo(c, v, began)
				})
				require.NoError(t, errs[n-1])
				for rank, err := range errs[:n-1] {
					require.ErrorIs(t, err, ErrBroken, "rank %d of %d", rank, n)
					require.Equal(t, fault.Unavailable, fault.Of(err))
				}
			}
		}
	})
}

// firstOfTwo returns the error of a sum, or of the one after it, if all may have come
// that the first needs.
func firstOfTwo(c *Comm, v []int64, may bool) error {
	err := c.AllReduce(context.Background(), v)
	if err == nil && may {
		err = c.AllReduce(context.Background(), v)
	}
	return err
}

// Each link has signs of life of its own: a rank that is waited for at any step may
// compute for as long as it likes, and is given up when it is frozen.
func TestFrozenRanksOfASmallSumAreGivenUpAndBusyOnesAreNot(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, cfg Config) {
		cfg.Timeout, cfg.Alive = time.Second, 50*time.Millisecond
		ls, addresses := listeners(t, 5, cfg)
		errs := each(form(t, ls, addresses, 1), func(c *Comm) error {
			if c.Rank() == 1 {
				<-clock.Real{}.After(3 * cfg.Timeout / 2) // it computes
			}
			return c.AllReduce(context.Background(), make([]int64, 10))
		})
		require.NoError(t, errors.Join(errs...))

		ls, addresses = withFrozen(t, ls, addresses, cfg)
		comms := form(t, ls, addresses, 2)
		errs = each(comms, func(c *Comm) error {
			v := make([]int64, 10)
			if c.Rank() == 1 { // its neighbour has what it needs of it: the rank at distance 2 has not
				return c.near.sendWhole(operation{code: opAllReduce, count: uint64(len(v))}, v, nil)
			}
			return firstOfTwo(c, v, true)
		})
		for rank, err := range errs {
			if rank != 1 {
				require.ErrorIs(t, err, ErrBroken, "rank %d", rank)
			}
		}
	})
}

// Ranks that do not agree are told so, wherever in the gang they are.
func TestRanksFarFromEachOtherThatDoNotAgreeFail(t *testing.T) {
	t.Parallel()
	for odd := range 5 {
		for name, other := range map[string]func(c *Comm) error{
			"a sum of another length": func(c *Comm) error { return c.AllReduce(context.Background(), make([]int64, 11)) },
			"a large sum":             func(c *Comm) error { return c.AllReduce(context.Background(), make([]int64, 1<<17)) },
			"a broadcast":             func(c *Comm) error { _, err := c.Broadcast(context.Background(), 0, nil); return err },
		} {
			ls, addresses := listeners(t, 5, patient())
			errs := each(form(t, ls, addresses, 1), func(c *Comm) error {
				if c.Rank() == odd {
					return other(c)
				}
				return c.AllReduce(context.Background(), make([]int64, 10))
			})
			require.ErrorIs(t, errors.Join(errs...), errDisagree, "%s of rank %d", name, odd)
			for rank, err := range errs {
				require.Error(t, err, "%s of rank %d: rank %d", name, odd, rank)
			}
		}
	}
}

// A rank that is not all there leaves nothing behind when it is given up.
func TestARankWhoseLinksAreNotAllThereIsGivenUp(t *testing.T) {
	t.Parallel()
	cfg := patient()
	cfg.FormTimeout = 100 * time.Millisecond
	ls, addresses := listeners(t, 4, cfg)
	g := Gang{Job: "j", Task: "t", Generation: 1, Rank: 3, Peers: addresses}
	link := dialRaw(t, addresses[0])
	_, err := link.Write(g.hello(1).bytes(offer{}))
	require.NoError(t, err)
	waiting(t, ls[0], 1) // or it may come when the rank has been given up
	g.Rank = 0
	_, err = ls[0].Join(context.Background(), g)
	require.ErrorIs(t, err, ErrBroken)
	require.ErrorIs(t, err, errSlow)
	require.Empty(t, ls[0].joining)
	require.NoError(t, link.SetReadDeadline(clock.Real{}.Now().Add(time.Minute)))
	said, err := io.ReadAll(link)
	require.NoError(t, err, "the link is closed")
	require.Subset(t, []byte{accepted}, said, "it is told so if it was in time")
}

func TestARankThatOneOfItsLinksCannotReachDoesNotWaitForTheOthers(t *testing.T) {
	t.Parallel()
	cfg := patient()
	cfg.ReachTimeout = 50 * time.Millisecond
	ls, addresses := listeners(t, 4, cfg)
	require.NoError(t, ls[2].Close())
	_, err := ls[0].Join(context.Background(), Gang{Job: "j", Task: "t", Generation: 1, Rank: 0, Peers: addresses})
	require.ErrorIs(t, err, ErrBroken)
	require.ErrorContains(t, err, "refused")
}

// Signs of life that nobody has waited for make room for more, and nothing but they
// is read; an operation is not disturbed.
func TestSignsOfLifeAreReadBetweenOperations(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, cfg Config) {
		cfg.Alive = time.Hour / 4 // there are no signs but those of the test
		ls, addresses := listeners(t, 2, cfg)
		comms := form(t, ls, addresses, 1)
		require.NoError(t, errors.Join(each(comms, func(c *Comm) error { return c.AllReduce(context.Background(), []int64{1}) })...))
		from, to := comms[0].near, comms[1].near
		for range 100 {
			require.NoError(t, from.send(frameAlive, nil))
		}
		sums := func(c *Comm, v []int64) error {
			return errors.Join(c.AllReduce(context.Background(), v), c.AllReduce(context.Background(), v))
		}
		far := make(chan error, 1)
		go func() { far <- sums(comms[0], []int64{5}) }()
		_, err := to.reader.Peek(101*headerBytes + operationBytes + 8) // all of it has come
		require.NoError(t, err)

		to.reading.Lock()
		to.drain()
		require.Equal(t, 101*headerBytes+operationBytes+8, to.reader.Buffered(), "an operation reads")
		to.reading.Unlock()
		to.drain()
		<-clock.Real{}.After(5 * time.Millisecond) // its deadline has passed, which is no error of the link
		to.drain()
		require.Equal(t, headerBytes+operationBytes+8, to.reader.Buffered())
		b, err := to.reader.Peek(4)
		require.NoError(t, err)
		require.EqualValues(t, frameWhole, binary.NativeEndian.Uint32(b))
		<-clock.Real{}.After(5 * time.Millisecond)
		v := []int64{5}
		require.NoError(t, sums(comms[1], v), "nor is it of what comes after")
		require.NoError(t, <-far)
		require.Equal(t, []int64{20}, v)
	})
}

// Nobody waits for room for a sign of life.
func TestASignOfLifeThatHasNoRoomKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	onLinux(t) // links through the network have room for hours
	cfg := patient()
	cfg.Alive = time.Millisecond
	ls, addresses := listeners(t, 2, cfg)
	comms := form(t, ls, addresses, 1)
	comms[1].near.reading.Lock() // or it would drain
	defer comms[1].near.reading.Unlock()
	l := comms[0].near
	l.write.Lock()
	_, err := l.out.(*shared).writeSome(bytes.Repeat(putHeader(nil, frameAlive, 0), memoryBytes/headerBytes))
	l.write.Unlock()
	require.NoError(t, err)
	<-clock.Real{}.After(20 * cfg.Alive) // more than one is due
	require.Eventually(t, l.write.TryLock, time.Minute, time.Millisecond)
	l.write.Unlock()
}

// More signs of life than a link has room for do not stop who sends them, nor sums
// that come between them.
func TestALinkThatNobodyReadsForLongIsNotFull(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, cfg Config) {
		cfg.Alive = time.Millisecond
		ls, addresses := listeners(t, 4, cfg)
		comms := form(t, ls, addresses, 1)
		signs := bytes.Repeat(putHeader(nil, frameAlive, 0), 1<<18)
		errs := each(comms, func(c *Comm) error {
			l := c.links[2]
			l.write.Lock()
			err := l.out.SetWriteDeadline(clock.Real{}.Now().Add(time.Minute))
			if conn, ok := l.out.(*net.TCPConn); ok && err == nil {
				err = conn.SetWriteBuffer(64 << 10) // the system keeps megabytes of its own accord, which take minutes on a busy machine
			}
			if err == nil {
				_, err = l.out.Write(signs)
			}
			l.write.Unlock()
			for round := range 200 {
				v := []int64{int64(round)}
				if err == nil {
					err = c.AllReduce(context.Background(), v)
				}
				if err == nil && v[0] != int64(4*round) {
					err = fmt.Errorf("round %d: %d", round, v[0])
				}
			}
			return err
		})
		require.NoError(t, errors.Join(errs...))
	})
}
