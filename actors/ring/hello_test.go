package ring

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// say writes b and returns the first byte of the answer, or why there is none.
func say(t *testing.T, c net.Conn, b []byte) (byte, error) {
	t.Helper()
	_, err := c.Write(b)
	require.NoError(t, err)
	var what [1]byte
	_, err = io.ReadFull(c, what[:])
	return what[0], err
}

func TestStrangersAreClosed(t *testing.T) {
	t.Parallel()
	ls, addresses := listeners(t, 1, patient())
	good := Gang{Job: "j", Task: "t", Generation: 1, Rank: 0, Peers: []string{"a", "b"}}.hello(1).bytes(offer{})
	for name, spoil := range map[string]func(b []byte){
		"another protocol altogether": func(b []byte) { copy(b, "GET / HTTP/1.1\r\nHost: troupe\r\nAccept: x\r\n\r\n") },
		"another version":             func(b []byte) { b[4]++ },
		"the other byte order":        func(b []byte) { b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0] },
	} {
		b := append([]byte(nil), good...)
		spoil(b)
		_, err := say(t, dialRaw(t, addresses[0]), b)
		require.Error(t, err, name)
	}
	require.Empty(t, ls[0].waiting)
}

// A link that comes before its rank waits for it; one that comes again takes
// its own place.
func TestLinksThatComeEarlyWait(t *testing.T) {
	t.Parallel()
	ls, addresses := listeners(t, 1, patient())
	g := Gang{Job: "j", Task: "t", Generation: 3, Rank: 0, Peers: []string{addresses[0], addresses[0]}}
	early := g
	early.Rank = 1 // its right neighbour is rank 0
	first := dialRaw(t, addresses[0])
	_, err := first.Write(early.hello(1).bytes(offer{}))
	require.NoError(t, err)
	waiting(t, ls[0], 1)
	second := dialRaw(t, addresses[0])
	_, err = second.Write(early.hello(1).bytes(offer{}))
	require.NoError(t, err)
	_, err = first.Read(make([]byte, 1))
	require.Error(t, err, "the earlier link of the same rank is closed")

	got, err := ls[0].expect(g.left(1))
	require.NoError(t, err)
	require.NoError(t, answer(<-got, ls[0].cfg.Clock, ls[0].cfg.Timeout, accepted))
	what := make([]byte, 1)
	_, err = io.ReadFull(second, what)
	require.NoError(t, err)
	require.Equal(t, accepted, what[0])
}

// waiting waits until n links wait for their rank.
func waiting(t *testing.T, l *Listener, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.waiting) == n && len(l.open) == 0
	}, patient().Timeout, patient().Alive/1000)
}

func TestWhatWaitsIsBounded(t *testing.T) {
	t.Parallel()
	cfg := patient()
	cfg.MaxWaiting = 2
	ls, addresses := listeners(t, 1, cfg)
	g := Gang{Job: "j", Task: "t", Generation: 1, Peers: make([]string, 9)}
	var links []net.Conn
	for rank := range 4 {
		g.Rank = rank
		c := dialRaw(t, addresses[0])
		links = append(links, c)
		_, err := c.Write(g.hello(1).bytes(offer{}))
		require.NoError(t, err)
		waiting(t, ls[0], min(rank+1, 2))
		if rank >= 2 {
			_, err = links[rank-2].Read(make([]byte, 1))
			require.Error(t, err, "the oldest makes room")
		}
	}
}

// A new generation clears away what an old one has left.
func TestWhatAnOldGenerationLeftIsClosed(t *testing.T) {
	t.Parallel()
	ls, addresses := listeners(t, 1, patient())
	g := Gang{Job: "j", Task: "t", Generation: 1, Rank: 1, Peers: []string{addresses[0], addresses[0]}}
	old := dialRaw(t, addresses[0])
	_, err := old.Write(g.hello(1).bytes(offer{}))
	require.NoError(t, err)
	waiting(t, ls[0], 1)
	g.Generation, g.Rank = 2, 0
	rank, err := ls[0].expect(g.left(1))
	require.NoError(t, err)
	defer ls[0].forget(g.left(1), rank)
	_, err = old.Read(make([]byte, 1))
	require.Error(t, err)
	g.Generation = 1
	_, err = ls[0].Join(context.Background(), g)
	require.ErrorIs(t, err, ErrStale)
	what, err := say(t, dialRaw(t, addresses[0]), g.hello(1).bytes(offer{}))
	require.NoError(t, err)
	require.Equal(t, stale, what)
}
