package ring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/clock"
)

// twoEnds are those of a link through memory of so many bytes.
func twoEnds(t require.TestingT, room int) (from, to *shared) {
	memory := make([]byte, stateBytes+room+8)
	for uintptr(unsafe.Pointer(unsafe.SliceData(memory)))%8 != 0 {
		memory = memory[1:]
	}
	memory = memory[:stateBytes+room]
	near, far := connected(t)
	return newShared(near, memory), newShared(far, memory)
}

func connected(t require.TestingT) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	far, err = l.Accept()
	require.NoError(t, err)
	return near, far
}

// Whatever is written comes out, in order, whoever waits for whom; and then the end.
func TestAllBytesComeThroughMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		from, to := twoEnds(rt, rapid.SampledFrom([]int{1, 7, 64, 1000}).Draw(rt, "room"))
		defer to.Close()
		seed := rapid.Uint64().Draw(rt, "seed")
		want := make([]byte, rapid.IntRange(0, 20_000).Draw(rt, "bytes"))
		random := rand.New(rand.NewPCG(seed, 0))
		for i := range want {
			want[i] = byte(random.Uint32())
		}
		largest := rapid.SampledFrom([]int{1, 3, 100, 5000}).Draw(rt, "largest")
		wrote := make(chan error, 1)
		go func() {
			defer from.Close()
			random := rand.New(rand.NewPCG(seed, 1))
			wrote <- writePieces(from, want, largest, random)
		}()
		var got []byte
		random = rand.New(rand.NewPCG(seed, 2))
		for {
			b := make([]byte, 1+random.IntN(largest))
			n, err := to.Read(b)
			got = append(got, b[:n]...)
			if err == io.EOF { //nolint:errorlint // as io.Reader says it
				break
			}
			require.NoError(rt, err)
			require.Positive(rt, n)
		}
		require.NoError(rt, <-wrote)
		require.True(rt, bytes.Equal(want, got), "%d bytes, %d wanted", len(got), len(want))
	})
}

// writePieces writes b in pieces of all kinds.
func writePieces(s *shared, b []byte, largest int, random *rand.Rand) error {
	for len(b) > 0 {
		piece := b[:min(len(b), 1+random.IntN(largest))]
		cut := random.IntN(len(piece) + 1)
		var n int
		var err error
		switch random.IntN(3) {
		case 0:
			n, err = s.writeSome(piece) // and what it has not written is in the next piece
		case 1:
			n, err = s.writeAll(piece[:cut], piece[cut:])
		default:
			n, err = s.Write(piece)
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// One that waits for the other end hears of its end, and of its own.
func TestWhoWaitsForMemoryIsNotForgotten(t *testing.T) {
	t.Parallel()
	read := func(s *shared) error {
		_, err := s.Read(make([]byte, 1))
		return err
	}
	write := func(s *shared) error {
		_, err := s.Write(make([]byte, 100))
		return err
	}
	for _, c := range []struct {
		name string
		wait func(from, to *shared) error
		end  func(from, to *shared) error
		want error
	}{
		{"the writer ends", func(_, to *shared) error { return read(to) }, func(from, _ *shared) error { return from.Close() }, io.EOF},
		{"the reader ends, which waits", func(_, to *shared) error { return read(to) }, func(_, to *shared) error { return to.Close() }, nil},
		{"the reader ends", func(from, _ *shared) error { return write(from) }, func(_, to *shared) error { return to.Close() }, io.ErrClosedPipe},
		{"the writer ends, which waits", func(from, _ *shared) error { return write(from) }, func(from, _ *shared) error { return from.Close() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			from, to := twoEnds(t, 64)
			defer from.Close()
			defer to.Close()
			waited := make(chan error, 1)
			go func() { waited <- c.wait(from, to) }()
			select {
			case err := <-waited:
				t.Fatalf("it did not wait: %v", err)
			case <-clock.Real{}.After(20 * time.Millisecond): // most of the time it sleeps by then
			}
			require.NoError(t, c.end(from, to))
			err := <-waited
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
		})
	}
}

func TestWhoReadsMemoryWaitsNoLongerThanItSays(t *testing.T) {
	t.Parallel()
	from, to := twoEnds(t, 64)
	defer from.Close()
	defer to.Close()
	require.NoError(t, to.SetReadDeadline(clock.Real{}.Now().Add(10*time.Millisecond)))
	_, err := to.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = from.Write([]byte{7})
	require.NoError(t, err)
	n, err := to.Read(make([]byte, 2))
	require.NoError(t, err, "what is there can be read at any time")
	require.Equal(t, 1, n)
}

func TestMemoryThatLiesIsAnError(t *testing.T) {
	t.Parallel()
	from, to := twoEnds(t, 64)
	defer from.Close()
	defer to.Close()
	from.state.written.Store(1000)
	_, err := to.Read(make([]byte, 1))
	require.ErrorIs(t, err, errDisagree)
	_, err = from.Write(make([]byte, 1))
	require.ErrorIs(t, err, errDisagree)
}

// onLinux skips a test where no two processes can have memory.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has memory that two processes find by a name")
	}
}

func lentMemory(t *testing.T) *lent {
	t.Helper()
	onLinux(t)
	m, err := lend()
	require.NoError(t, err)
	return m
}

func TestMemoryThatIsNotWhatWasOfferedIsNotTaken(t *testing.T) {
	t.Parallel()
	m := lentMemory(t)
	defer unmap(m.memory)
	defer m.taken()
	memory, err := borrow(m.offer)
	require.NoError(t, err)
	defer unmap(memory)
	m.memory[stateBytes] = 42
	require.EqualValues(t, 42, memory[stateBytes], "it is the same")

	other := m.offer
	other.name[0]++
	_, err = borrow(other)
	require.ErrorContains(t, err, "troupe-ring")
	other = m.offer
	other.file = 1 << 30
	_, err = borrow(other)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// mapsNaming counts the places of this process in which the memory of an offer is.
func mapsNaming(t *testing.T, o offer) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	return strings.Count(string(b), fmt.Sprintf("%x", o.name))
}

func TestNothingStaysOfMemoryThatNobodyUses(t *testing.T) {
	t.Parallel()
	m := lentMemory(t)
	memory, err := borrow(m.offer)
	require.NoError(t, err)
	m.taken()
	near, far := connected(t)
	from, to := newShared(near, m.memory), newShared(far, memory)
	require.Equal(t, 2, mapsNaming(t, m.offer))
	_, err = borrow(m.offer)
	require.Error(t, err, "its file is closed")
	require.NoError(t, from.Close())
	require.NoError(t, to.Close())
	require.NoError(t, to.Close(), "twice is no harm")
	require.Zero(t, mapsNaming(t, m.offer))
	_, err = to.Read(make([]byte, 1))
	require.Error(t, err)
	_, err = from.Write(make([]byte, 1))
	require.Error(t, err)
}

// Links within a machine go through memory, unless one of the two would not have it.
func TestLinksWithinAMachineGoThroughMemory(t *testing.T) {
	t.Parallel()
	onLinux(t)
	apart := patient()
	apart.Apart = true
	for _, c := range []struct {
		name        string
		left, right Config
		want        bool
	}{
		{"both", patient(), patient(), true},
		{"not the left", apart, patient(), false},
		{"not the right", patient(), apart, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			left, a := listeners(t, 1, c.left)
			right, b := listeners(t, 1, c.right)
			comms := form(t, append(left, right...), append(a, b...), 1)
			for _, comm := range comms {
				_, in := comm.near.in.(*shared)
				_, out := comm.near.out.(*shared)
				require.Equal(t, [2]bool{c.want, c.want}, [2]bool{in, out})
			}
			errs := each(comms, func(c *Comm) error { return c.AllReduce(context.Background(), make([]int64, 1000)) })
			require.NoError(t, errors.Join(errs...))
		})
	}
}

// Ranks that have a core each look for longer before they sleep than those that
// would take it from each other.
func TestWhoHasNoCoreOfItsOwnSleepsSoon(t *testing.T) {
	t.Parallel()
	onLinux(t)
	for ranks, want := range map[int]int{2: looks, runtime.NumCPU() + 1: fewLooks} {
		if ranks == 2 && runtime.NumCPU() < 2 || ranks > 9 {
			continue // the machine has too few cores to say, or so many that it takes long
		}
		ls, addresses := listeners(t, ranks, patient())
		for _, c := range form(t, ls, addresses, 1) {
			for _, l := range c.links {
				require.Equal(t, want, l.in.(*shared).looks, "%d ranks", ranks)
				require.Equal(t, want, l.out.(*shared).looks, "%d ranks", ranks)
			}
		}
	}
	g := Gang{Rank: 1, Peers: []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.2:2", "[fe80::1]:1"}}
	require.Equal(t, 2, g.beside())
}
