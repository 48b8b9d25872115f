package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

const patience = 2 * time.Minute // only a failing test waits so long

// seen keeps the members as told last.
type seen struct {
	mu      sync.Mutex
	members []Member
	changed chan struct{}
}

func (s *seen) set(m []Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = m
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// await waits until the members are as wanted.
func (s *seen) await(t *testing.T, what string, want func([]Member) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		s.mu.Lock()
		members := s.members
		s.mu.Unlock()
		if want(members) {
			return
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			t.Fatalf("%s: the members are %+v", what, members)
		}
	}
}

func key(t *testing.T, secret string) []byte {
	t.Helper()
	if secret == "" {
		return nil
	}
	tr, err := trust.New([]byte(secret), clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	return tr.GossipKey()
}

func start(t *testing.T, self Member, k []byte, seeds ...string) (*Membership, *seen) {
	t.Helper()
	id, err := NewID()
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{changed: make(chan struct{}, 1)}
	self.ID, self.Host = id, "127.0.0.1"
	m, err := Start(Config{Self: self, Bind: "127.0.0.1", Seeds: seeds, Key: k, Changed: s.set, Log: slog.New(slog.DiscardHandler), Clock: clock.Real{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, s
}

func named(names ...string) func([]Member) bool {
	return func(all []Member) bool {
		var got []string
		for _, m := range all {
			got = append(got, m.Name)
		}
		return fmt.Sprint(got) == fmt.Sprint(names)
	}
}

func TestMembersFindEachOtherThroughAnyOne(t *testing.T) {
	t.Parallel()
	k := key(t, "0123456789abcdef")
	a, seenA := start(t, Member{Name: "a", Server: true, Servers: 1, NATSPort: 4222, Version: "1.2.3"}, k)
	b, seenB := start(t, Member{Name: "b", Worker: true, Slots: 4, Version: "1.3.0"}, k, a.Address())
	if n, err := b.Join(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	c, seenC := start(t, Member{Name: "c", Worker: true}, k, b.Address())
	if n, err := c.Join(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, s := range []*seen{seenA, seenB, seenC} {
		s.await(t, "all are here", named("a", "b", "c"))
	}
	for _, m := range c.Members() {
		if m.Name == "a" && (!m.Server || m.NATS() != "127.0.0.1:4222" || m.Gossip() != a.Address()) || m.Name == "b" && m.Slots != 4 {
			t.Errorf("c hears %+v", m)
		}
	}
	if err := b.Update(func(m *Member) { m.State = Draining }); err != nil {
		t.Fatal(err)
	}
	seenA.await(t, "b is draining", func(all []Member) bool { return len(all) == 3 && all[1].State == Draining })
	b.Leave()
	b.Close()
	seenA.await(t, "b has left", named("a", "c"))
}

func TestADeadMemberIsMissedAndComesBack(t *testing.T) {
	t.Parallel()
	a, seenA := start(t, Member{Name: "a", Server: true}, nil)
	b, _ := start(t, Member{Name: "b", Server: true}, nil, a.Address())
	if _, err := b.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	seenA.await(t, "b is here", named("a", "b"))
	port := b.list.LocalNode().Port
	b.Close() // without a word
	seenA.await(t, "b is missed", named("a"))
	again, err := Start(Config{ // it knows nobody: a looks for it
		Self: Member{ID: "ffff", Name: "b", Host: "127.0.0.1", Server: true}, Bind: "127.0.0.1", Port: int(port), Log: slog.New(slog.DiscardHandler), Clock: clock.Real{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	seenA.await(t, "b is back", func(all []Member) bool { return len(all) == 2 && all[1].ID == "ffff" })
}

func TestWhoDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	k := key(t, "0123456789abcdef")
	a, _ := start(t, Member{Name: "a", Server: true, Servers: 3, Version: "1.2.3"}, k)
	for _, c := range []struct {
		name string
		self Member
		key  []byte
		seed string
		kind fault.Kind
		says string
	}{
		{"another secret", Member{Name: "b"}, key(t, "0123456789abcdeX"), a.Address(), fault.Invalid, "secret"},
		{"no secret", Member{Name: "b"}, nil, a.Address(), fault.Invalid, "secret"},
		{"another version", Member{Name: "b", Version: "2.0.0"}, k, a.Address(), fault.Invalid, "version"},
		{"another protocol", Member{Name: "b", Version: "1.2.3", Protocol: 2}, k, a.Address(), fault.Invalid, "this node speaks version 2 of the protocol (troupe 1.2.3), member a version 0"},
		{"another number of servers", Member{Name: "b", Server: true, Servers: 1}, k, a.Address(), fault.Invalid, "--servers"},
		{"nobody there", Member{Name: "b"}, k, "127.0.0.1:1", fault.Unavailable, "nobody answers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := start(t, c.self, c.key, c.seed)
			n, err := b.Join(t.Context())
			if n != 0 || fault.Of(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("joined %d, %v (%v)", n, err, fault.Of(err))
			}
			if all := a.Members(); len(all) != 1 {
				t.Errorf("the member now knows %+v", all)
			}
		})
	}
}

// Who hangs up and is gone may have ended at that moment, which is no reason to give
// up: it comes back, or another does.
func TestAMemberThatEndsWhileWeJoinIsWaitedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = errors.Join(l.Close(), c.Close())
		}
		ended <- err
	}()
	b, _ := start(t, Member{Name: "b"}, nil, l.Addr().String())
	if n, err := b.Join(t.Context()); n != 0 || fault.Of(err) != fault.Unavailable {
		t.Errorf("joined %d, %v (%v)", n, err, fault.Of(err))
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	t.Parallel()
	a, _ := start(t, Member{Name: "a"}, nil)
	_, err := Start(Config{
		Self: Member{ID: "x", Name: "b", Host: "127.0.0.1"}, Bind: "127.0.0.1", Port: int(a.list.LocalNode().Port), Log: slog.New(slog.DiscardHandler), Clock: clock.Real{},
	})
	if fault.Of(err) != fault.Conflict || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v (%v)", err, fault.Of(err))
	}
}

func TestALongNameFits(t *testing.T) {
	t.Parallel()
	m := Member{
		ID: strings.Repeat("f", 16), Name: strings.Repeat("n", 63), Host: "fe80:1234:1234:1234:1234:1234:1234:1234", Server: true, Worker: true, Servers: 5,
		HTTPPort: 65535, ActorPort: 65535, DataPort: 65535, GossipPort: 65535, NATSPort: 65535, RoutePort: 65535, Slots: 1024, MemoryBytes: 1 << 44,
		PID: 1 << 22, Version: "v10.20.30-400-gabcdef0-dirty", State: Draining,
	}
	b, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := decode(b); err != nil || back != m {
		t.Errorf("came back as %+v, %v", back, err)
	}
	m.NATSURL = strings.Repeat("x", 200)
	if _, err := encode(m); fault.Of(err) != fault.Invalid {
		t.Errorf("too much was accepted: %v", err)
	}
}

func TestCompatible(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.2.3", "v1.9.0", true}, {"1.2.3", "2.0.0", false}, {"0.1.0", "0.1.9", true}, {"0.1.0", "0.2.0", false},
		{"dev", "1.0.0", true}, {"", "1.0.0", true}, {"v0.1.0-3-gabcdef", "0.1.2", true}, {"10.0.0", "1.0.0", false},
	} {
		if Compatible(c.a, c.b) != c.want || Compatible(c.b, c.a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}
