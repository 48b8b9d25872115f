package ring

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/collective/collectivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is a config under which nothing is ever given up for being slow: what
// fails under it fails because somebody said so.
func patient() Config {
	c := DefaultConfig()
	c.Timeout, c.FormTimeout = time.Hour, time.Hour
	return c
}

// listeners returns a process each for n ranks.
func listeners(t testing.TB, n int, cfg Config) ([]*Listener, []string) {
	t.Helper()
	ls, addresses := make([]*Listener, n), make([]string, n)
	for i := range ls {
		l, err := Listen("127.0.0.1:0", cfg)
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		ls[i], addresses[i] = l, l.Address()
	}
	return ls, addresses
}

// bothWays runs a test over memory and over the network.
func bothWays(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Helper()
	for _, apart := range []bool{false, true} {
		t.Run(fmt.Sprintf("apart=%v", apart), func(t *testing.T) {
			t.Parallel()
			cfg := patient()
			cfg.Apart = apart
			test(t, cfg)
		})
	}
}

// form joins every rank of a gang.
func form(t testing.TB, ls []*Listener, addresses []string, generation uint64) []*Comm {
	t.Helper()
	comms, errs := make([]*Comm, len(ls)), make([]error, len(ls))
	var all sync.WaitGroup
	for i, l := range ls {
		all.Go(func() {
			comms[i], errs[i] = l.Join(context.Background(), Gang{Job: "j", Task: "fit/0", Generation: generation, Rank: i, Peers: addresses})
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	t.Cleanup(func() {
		for _, c := range comms {
			c.Close()
		}
	})
	return comms
}

// each calls f for every rank at once.
func each(comms []*Comm, f func(c *Comm) error) []error {
	errs := make([]error, len(comms))
	var all sync.WaitGroup
	for i, c := range comms {
		all.Go(func() { errs[i] = f(c) })
	}
	all.Wait()
	return errs
}

func gangOf(cfg Config) collectivetest.Gang {
	return func(t *testing.T, n int) []collective.Comm {
		ls, addresses := listeners(t, n, cfg)
		out := make([]collective.Comm, n)
		for i, c := range form(t, ls, addresses, 1) {
			out[i] = c
		}
		return out
	}
}

func TestTheRingKeepsThePromisesOfAComm(t *testing.T) {
	t.Parallel()
	collectivetest.Run(t, gangOf(patient()))
}

func TestTheRingKeepsThePromisesOfACommOverTheNetwork(t *testing.T) {
	t.Parallel()
	cfg := patient()
	cfg.Apart = true
	collectivetest.Run(t, gangOf(cfg))
}

func TestTheRingKeepsThePromisesOfACommOverTLS(t *testing.T) {
	t.Parallel()
	cfg := patient()
	cfg.Apart = true
	cfg.TLS = testTLS(t)
	collectivetest.Run(t, gangOf(cfg))
}

// Any length, in segments of any size, gives the sums that a loop gives.
func TestSumsAreThoseOfALoop(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := patient()
		cfg.SegmentBytes = 8 * rapid.IntRange(1, 40).Draw(rt, "segment")
		cfg.SmallBytes = rapid.SampledFrom([]int{0, 100, 64 << 10}).Draw(rt, "small")
		cfg.Apart = rapid.Bool().Draw(rt, "apart")
		n := rapid.IntRange(1, 9).Draw(rt, "ranks")
		lengths := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 8), rapid.IntRange(0, 900)), 1, 4).Draw(rt, "lengths")
		ls, addresses := listeners(t, n, cfg)
		comms := form(t, ls, addresses, 1)
		for _, c := range comms {
			c.away = rapid.Bool().Draw(rt, "away")
		}
		vectors := make([][][]int64, n) // by rank and operation
		for r := range vectors {
			for _, l := range lengths {
				vectors[r] = append(vectors[r], rapid.SliceOfN(rapid.Int64(), l, l).Draw(rt, "v"))
			}
		}
		want := make([][]int64, len(lengths))
		for op, l := range lengths {
			want[op] = make([]int64, l)
			for r := range n {
				for i, x := range vectors[r][op] {
					want[op][i] += x
				}
			}
		}
		errs := each(comms, func(c *Comm) error {
			for op := range lengths {
				if err := c.AllReduce(context.Background(), vectors[c.Rank()][op]); err != nil {
					return err
				}
				if !slices.Equal(vectors[c.Rank()][op], want[op]) {
					return fmt.Errorf("rank %d, operation %d: %v, want %v", c.Rank(), op, vectors[c.Rank()][op], want[op])
				}
			}
			return nil
		})
		over(rt, ls, comms, errs)
	})
}

// over ends a gang of a law, and demands that there was no error.
func over(t *rapid.T, ls []*Listener, comms []*Comm, errs []error) {
	for i := range comms {
		comms[i].Close()
		ls[i].Close()
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// A segment of another length is refused by its header, whatever it is packed as.
func TestSegmentsOfAnotherLengthAreRefused(t *testing.T) {
	t.Parallel()
	for kind, lengths := range map[uint32][]int{frameData: {16, 32, 12}, frameHalf: {8, 16, 24}, framePacked: {packedLen(3) + 1}, frameWhole: {24}} {
		for _, n := range lengths {
			ls, addresses := listeners(t, 2, patient())
			comms := form(t, ls, addresses, 1)
			require.NoError(t, comms[0].near.send(kind, make([]byte, n)))
			v := []int64{7, 8, 9}
			require.ErrorIs(t, comms[1].receiveSegment(v, true), errDisagree, "kind %d of %d bytes", kind, n)
			require.Equal(t, []int64{7, 8, 9}, v)
		}
	}
	for kind, lengths := range map[uint32][]int{frameData: {8, 16, 10}, frameBrief: {4, 5, 8, 12}, frameHalf: {12}} {
		for _, n := range lengths {
			ls, addresses := listeners(t, 2, patient())
			comms := form(t, ls, addresses, 1)
			require.NoError(t, comms[0].near.send(kind, make([]byte, n)))
			require.ErrorIs(t, comms[1].receiveFloats(make([]float32, 3)), errDisagree, "kind %d of %d bytes", kind, n)
		}
	}
}

// Floats come as they are, also those that are sent by half of their bits.
func TestFloatsAreGatheredAsTheyAre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := patient()
		cfg.SegmentBytes = 8 * rapid.IntRange(1, 40).Draw(rt, "segment")
		n, length := rapid.IntRange(1, 5).Draw(rt, "ranks"), rapid.IntRange(0, 300).Draw(rt, "length")
		want := make([]uint32, length)
		for i := range want {
			want[i] = rapid.Uint32().Draw(rt, "bits")
			if i >= rapid.IntRange(0, 300).Draw(rt, "first that is not brief") {
				continue
			}
			want[i] &^= 1<<16 - 1
		}
		ls, addresses := listeners(t, n, cfg)
		comms := form(t, ls, addresses, 1)
		for _, c := range comms {
			c.away = rapid.Bool().Draw(rt, "away")
		}
		errs := each(comms, func(c *Comm) error {
			v := make([]float32, length)
			first, end := collective.Part(length, c.Rank(), n)
			for i := first; i < end; i++ {
				v[i] = math.Float32frombits(want[i])
			}
			if err := c.AllGather(context.Background(), v); err != nil {
				return err
			}
			for i, x := range v {
				if math.Float32bits(x) != want[i] {
					return fmt.Errorf("rank %d, place %d: %#x, want %#x", c.Rank(), i, math.Float32bits(x), want[i])
				}
			}
			return nil
		})
		over(rt, ls, comms, errs)
	})
}

// Between machines, floats whose last bits are all zero take two bytes.
func TestBriefFloatsTakeHalfOfTheBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		away bool
		last float32
		kind uint32
		n    int
	}{{true, -3, frameBrief, 2}, {true, 1.001, frameData, 4}, {false, -3, frameData, 4}} {
		ls, addresses := listeners(t, 2, patient())
		comms := form(t, ls, addresses, 1)
		comms[0].away = c.away
		v := make([]float32, 1000)
		v[999] = c.last
		require.NoError(t, comms[0].sendFloats(v, false))
		kind, n, err := comms[1].near.next()
		require.NoError(t, err)
		require.Equal(t, c.kind, kind)
		require.Equal(t, 1000*c.n, n)
	}
}

// An operation and short segments wait for what is sent next, on links of both kinds,
// and come before it.
func TestWhatIsShortGoesWithTheNextFrame(t *testing.T) {
	t.Parallel()
	network := patient()
	network.Apart = true
	secure := network
	secure.TLS = testTLS(t)
	for _, cfg := range []Config{patient(), network, secure} {
		cfg.Alive = time.Hour / 4 // or what is owed goes with a sign of life
		for _, away := range []bool{false, true} {
			ls, addresses := listeners(t, 2, cfg)
			comms := form(t, ls, addresses, 1)
			from, to := comms[0], comms[1]
			from.away = away
			from.near.owe(operation{code: opReduceScatter, count: 3})
			require.NoError(t, from.sendSegment([]int64{1, 1 << 40}, true))
			long := make([]int64, 8<<10)
			for i := range long {
				long[i] = int64(i) << 30
			}
			require.NotEmpty(t, from.near.owed)
			require.NoError(t, from.sendSegment(long, true), "it is not short")
			require.Empty(t, from.near.owed)
			require.NoError(t, from.sendSegment([]int64{7}, true))
			require.NoError(t, from.near.send(frameAlive, nil))
			require.Empty(t, from.near.owed)

			require.NoError(t, to.near.expect(operation{code: opReduceScatter, count: 3}))
			for _, want := range [][]int64{{1, 1 << 40}, long, {7}} {
				got := make([]int64, len(want))
				require.NoError(t, to.receiveSegment(got, true))
				require.Equal(t, want, got)
			}
		}
	}
}

// The news of a dead rank runs around the ring: nobody waits for a deadline.
func TestARankThatDiesInTheMiddleEndsItForAllAtOnce(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, cfg Config) {
		for _, n := range []int{2, 3, 5} {
			ls, addresses := listeners(t, n, cfg)
			errs := each(form(t, ls, addresses, 1), func(c *Comm) error {
				v := make([]int64, 1<<21) // more than the kernel keeps for readers who do not come
				if c.Rank() == n-1 {
					_ = c.near.sendOperation(operation{code: opAllReduce, count: uint64(len(v))}) // it has begun
					return c.Close()
				}
				return c.AllReduce(context.Background(), v)
			})
			for rank, err := range errs[:n-1] {
				require.ErrorIs(t, err, ErrBroken, "rank %d of %d", rank, n)
				require.Equal(t, fault.Unavailable, fault.Of(err))
			}
		}
	})
}

func TestAnOldGenerationIsRefusedByItsNeighbourAndAtHome(t *testing.T) {
	t.Parallel()
	ls, addresses := listeners(t, 3, patient())
	old := Gang{Job: "j", Task: "fit/0", Generation: 6, Rank: 2, Peers: addresses}
	comms := form(t, ls[:2], addresses[:2], 7) // without the third, which was frozen
	_, err := ls[2].Join(context.Background(), old)
	require.ErrorIs(t, err, ErrStale)
	require.ErrorIs(t, err, ErrBroken)
	old.Rank = 1
	_, err = ls[1].Join(context.Background(), old)
	require.ErrorIs(t, err, ErrStale)
	require.NoError(t, errors.Join(each(comms, func(c *Comm) error { return c.AllReduce(context.Background(), make([]int64, 100)) })...), "the new generation is not disturbed")
	other := old
	other.Task, other.Peers, other.Rank = "fit/1", addresses[:1], 0
	solo, err := ls[0].Join(context.Background(), other)
	require.NoError(t, err, "another task has generations of its own")
	require.NoError(t, solo.AllReduce(context.Background(), []int64{1}))
}

// frozen is a clock that never ticks: its rank does not say that it is alive.
type frozen struct{ clock.Real }

func (frozen) NewTicker(time.Duration) clock.Ticker { return never{} }

type never struct{}

func (never) C() <-chan time.Time { return nil }
func (never) Stop()               {}

// withFrozen has another Listener for rank 1, which is frozen. Those that there are
// cannot be changed: they are at work.
func withFrozen(t *testing.T, ls []*Listener, addresses []string, cfg Config) ([]*Listener, []string) {
	t.Helper()
	cfg.Clock = frozen{}
	one, address := listeners(t, 1, cfg)
	ls, addresses = slices.Clone(ls), slices.Clone(addresses)
	ls[1], addresses[1] = one[0], address[0]
	return ls, addresses
}

func TestAFrozenRankIsGivenUpAndABusyOneIsNot(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, cfg Config) {
		cfg.Timeout, cfg.Alive = time.Second, 50*time.Millisecond
		ls, addresses := listeners(t, 3, cfg)
		comms := form(t, ls, addresses, 1)
		errs := each(comms, func(c *Comm) error {
			if c.Rank() == 1 {
				<-clock.Real{}.After(3 * cfg.Timeout / 2) // it computes
			}
			return c.AllReduce(context.Background(), make([]int64, 10))
		})
		require.NoError(t, errors.Join(errs...))

		ls, addresses = withFrozen(t, ls, addresses, cfg)
		comms = form(t, ls, addresses, 2)
		errs = each([]*Comm{comms[0], comms[2]}, func(c *Comm) error { return c.AllReduce(context.Background(), make([]int64, 10)) })
		for _, err := range errs {
			require.ErrorIs(t, err, ErrBroken)
		}
	})
}

func TestAGangThatDoesNotCompleteIsGivenUp(t *testing.T) {
	t.Parallel()
	cfg := patient()
	cfg.FormTimeout = 50 * time.Millisecond
	ls, addresses := listeners(t, 2, cfg)
	g := Gang{Job: "j", Task: "t", Generation: 1, Rank: 0, Peers: addresses}
	_, err := ls[0].Join(context.Background(), g)
	require.ErrorIs(t, err, ErrBroken)
	require.Equal(t, fault.Unavailable, fault.Of(err))

	cfg.FormTimeout, cfg.ReachTimeout = time.Hour, 50*time.Millisecond
	ls, g.Peers = listeners(t, 2, cfg)
	require.NoError(t, ls[1].Close())
	_, err = ls[0].Join(context.Background(), g)
	require.ErrorIs(t, err, ErrBroken, "the process of a neighbour is not there")
	require.ErrorContains(t, err, "refused")

	ls, g.Peers = listeners(t, 2, cfg)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("stopped"))
	_, err = ls[0].Join(ctx, g)
	require.Equal(t, fault.Canceled, fault.Of(err))
	require.ErrorContains(t, err, "stopped")
	require.Empty(t, ls[0].joining, "nothing is left behind")
}

func TestAGangMustMakeSense(t *testing.T) {
	t.Parallel()
	for _, g := range []Gang{{Rank: 0, Peers: []string{"a"}}, {Generation: 1, Rank: 1, Peers: []string{"a"}}, {Generation: 1, Rank: 0, Peers: []string{"a", ""}}} {
		require.Error(t, g.Validate())
	}
	require.Error(t, Config{}.Validate())
	require.NoError(t, DefaultConfig().Validate())
}

// testTLS is a config with which one process trusts itself.
func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	now := clock.Real{}.Now()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"troupe"},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(nil, cert, cert, public, private)
	require.NoError(t, err)
	root, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "troupe", MinVersion: tls.VersionTLS13,
	}
}
