// Package membership knows who is here: the members find each other by gossip,
// starting from the address of any one of them, and carry a few words about
// themselves. It is a hint. A member may be listed for some seconds after it
// has died, and be missing for some when the network is bad; who may write is
// decided by the store.
package membership

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// label parts our gossip from that of others; it changes when the format of
// what members say of themselves does.
const label = "troupe/1"

// rejoinEvery is how often members who should be here and are not are looked
// for: memberlist forgets the dead after 30 s, so that two halves of a network
// that was cut would never find each other again.
const rejoinEvery = 5 * time.Second

// Config are the settings of a member.
type Config struct {
	// Self is what the member says of itself. Its Gossip address is filled in.
	Self Member
	// Bind and Port are where it listens, TCP and UDP; port 0 takes a free one.
	Bind string
	Port int
	// Seeds are HOST:PORT of the gossip of any members.
	Seeds []string
	// Key encrypts the gossip: 32 bytes, or none.
	Key []byte
	// Changed is called with all members, this one included, by name, whenever
	// the list has changed; one call at a time.
	Changed func([]Member)
	Log     *slog.Logger
	Clock   clock.Clock
}

// Membership is one member's part in the gossip.
type Membership struct {
	cfg  Config
	list *memberlist.Memberlist
	kick chan struct{}
	stop chan struct{}
	wg   sync.WaitGroup
	once sync.Once

	mu      sync.Mutex
	self    Member
	meta    []byte
	servers map[string]bool // gossip addresses of all servers ever seen
	refusal error           // why the last merge was refused

	// What memberlist calls its nodes changes under its own lock, so what is
	// needed of them is copied while it calls.
	aliveMu sync.Mutex
	alive   map[string]contact // by memberlist's name of the node
}

// contact is what memberlist knows of a node that is here.
type contact struct {
	address string // of its gossip
	meta    []byte
}

// Start starts to listen. It looks for nobody before Join. A port in use is of
// kind Conflict.
func Start(cfg Config) (*Membership, error) {
	m := &Membership{cfg: cfg, kick: make(chan struct{}, 1), stop: make(chan struct{}), self: cfg.Self, servers: map[string]bool{}, alive: map[string]contact{}}
	c := memberlist.DefaultLANConfig()
	c.Name = cfg.Self.Name + "/" + cfg.Self.ID // of this life: a name that comes back is somebody else
	c.BindAddr, c.BindPort = cfg.Bind, cfg.Port
	c.AdvertiseAddr, c.AdvertisePort = cfg.Self.Host, cfg.Port
	c.SecretKey, c.Label = cfg.Key, label
	c.Delegate, c.Events, c.Merge = delegate{m}, events{m}, merges{m}
	c.LogOutput = logWriter{cfg.Log}
	c.TCPTimeout = 3 * time.Second
	c.PushPullInterval = 15 * time.Second
	if err := m.setSelf(cfg.Self); err != nil {
		return nil, err
	}
	list, err := memberlist.Create(c)
	if errors.Is(err, syscall.EADDRINUSE) || err != nil && strings.Contains(err.Error(), "address already in use") {
		return nil, fault.New(fault.Conflict, "membership: port %d of %s is in use: stop who uses it, or choose another port", cfg.Port, cfg.Bind)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "membership: listen on %s: %w", net.JoinHostPort(cfg.Bind, strconv.Itoa(cfg.Port)), err)
	}
	m.list = list
	if err := m.Update(func(s *Member) { s.GossipPort = int(list.LocalNode().Port) }); err != nil {
		return nil, errors.Join(err, list.Shutdown())
	}
	m.wg.Go(m.loop)
	m.signal()
	return m, nil
}

// Address returns HOST:PORT of this member's gossip.
func (m *Membership) Address() string { return m.list.LocalNode().Address() }

// Join looks for the seeds once and returns how many were found. If none was,
// the error is of kind Invalid when a member was reached and refused us, for its
// secret, its version or its number of servers is another, else Unavailable. Who
// hangs up without a reason is asked again, up to twice, as it may just have ended.
func (m *Membership) Join(ctx context.Context) (int, error) {
	seeds := slices.DeleteFunc(slices.Clone(m.cfg.Seeds), func(s string) bool { return s == m.Address() })
	if len(seeds) == 0 {
		return 0, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("join: %w", err)
	}
	m.mu.Lock()
	m.refusal = nil
	m.mu.Unlock()
	for tries := 1; ; tries++ {
		n, err := m.list.Join(seeds)
		if n > 0 {
			return n, nil
		}
		m.mu.Lock()
		refusal := m.refusal
		m.mu.Unlock()
		if refusal != nil {
			return 0, refusal
		}
		if err = joinError(seeds, err); fault.Of(err) != fault.Invalid || tries == surely {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("join: %w", ctx.Err())
		case <-m.cfg.Clock.After(joinPause):
		}
	}
}

// surely is how often a member has to hang up on us, with a pause in between, before
// it does not understand us: one that ends at this moment hangs up as well.
const (
	surely    = 3
	joinPause = 200 * time.Millisecond
)

// joinError says what a failed join most likely means.
func joinError(seeds []string, err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, sign := range []string{"connection refused", "no such host", "timeout", "no route", "unreachable", "server misbehaving"} {
		if strings.Contains(text, sign) {
			return fault.New(fault.Unavailable, "join %s: nobody answers: %s", strings.Join(seeds, ", "), text)
		}
	}
	return fault.New(fault.Invalid, "join %s: a member was reached and does not understand us: do all nodes have the same secret and version? (%s)", strings.Join(seeds, ", "), text)
}

// Members returns all members, this one included, by name.
func (m *Membership) Members() []Member {
	var all []Member
	for _, c := range m.contacts() {
		if member, err := decode(c.meta); err == nil {
			all = append(all, member)
		}
	}
	slices.SortFunc(all, compare)
	return all
}

// contacts returns the nodes that are here, in no order.
func (m *Membership) contacts() []contact {
	m.aliveMu.Lock()
	defer m.aliveMu.Unlock()
	return slices.Collect(maps.Values(m.alive))
}

// Self returns what this member says of itself.
func (m *Membership) Self() Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self
}

// Update changes what this member says of itself and tells the others.
func (m *Membership) Update(change func(*Member)) error {
	self := m.Self()
	change(&self)
	if err := m.setSelf(self); err != nil {
		return err
	}
	// It only waits for the news to be on its way, which it is on its own.
	if err := m.list.UpdateNode(time.Millisecond); err != nil {
		m.cfg.Log.Debug("members are told in a moment", slog.Any("err", err))
	}
	m.signal()
	return nil
}

func (m *Membership) setSelf(self Member) error {
	meta, err := encode(self)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self, m.meta = self, meta
	return nil
}

// Leave tells the others that this member goes, for at most a second or two.
func (m *Membership) Leave() {
	if err := m.list.Leave(2 * time.Second); err != nil {
		m.cfg.Log.Info("members find out by themselves that this one leaves", slog.Any("err", err))
	}
}

// Close stops to listen. Without Leave before, the others take some seconds to
// notice.
func (m *Membership) Close() {
	m.once.Do(func() {
		close(m.stop)
		m.wg.Wait()
		if err := m.list.Shutdown(); err != nil {
			m.cfg.Log.Warn("gossip did not end well", slog.Any("err", err))
		}
	})
}

// signal wakes the loop. memberlist calls its delegates with its lock held, so
// they may do no more than this.
func (m *Membership) signal() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// loop passes changes on and looks for members who are missing.
func (m *Membership) loop() {
	rejoin := m.cfg.Clock.NewTicker(rejoinEvery)
	defer rejoin.Stop()
	var last []Member
	for {
		select {
		case <-m.stop:
			return
		case <-m.kick:
			now := m.Members()
			m.note(now)
			if !slices.Equal(now, last) && m.cfg.Changed != nil {
				m.cfg.Changed(now)
			}
			last = now
		case <-rejoin.C():
			if missing := m.missing(); len(missing) > 0 {
				_, _ = m.list.Join(missing) // and again later
			}
		}
	}
}

// note remembers servers, for the case that the network parts us.
func (m *Membership) note(now []Member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, member := range now {
		if member.Server && member.ID != m.self.ID {
			m.servers[member.Gossip()] = true
		}
	}
	if len(m.servers) > 64 { // they have moved often: begin anew with those that are here
		clear(m.servers)
	}
}

// missing returns the addresses of seeds and servers that are not here.
func (m *Membership) missing() []string {
	here := map[string]bool{m.Address(): true}
	for _, c := range m.contacts() {
		here[c.address] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var missing []string
	for s := range m.servers {
		if !here[s] {
			missing = append(missing, s)
		}
	}
	for _, s := range m.cfg.Seeds {
		if !here[s] && !m.servers[s] {
			missing = append(missing, s)
		}
	}
	return missing
}

// delegate tells memberlist what we say of ourselves.
type delegate struct{ m *Membership }

// NodeMeta implements memberlist.Delegate.
func (d delegate) NodeMeta(int) []byte {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	return d.m.meta
}

// NotifyMsg implements memberlist.Delegate.
func (delegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (delegate) MergeRemoteState([]byte, bool) {}

// events wakes the loop.
type events struct{ m *Membership }

// NotifyJoin implements memberlist.EventDelegate.
func (e events) NotifyJoin(n *memberlist.Node) { e.here(n) }

// here copies what a node says of itself; the caller holds memberlist's lock.
func (e events) here(n *memberlist.Node) {
	e.m.aliveMu.Lock()
	e.m.alive[n.Name] = contact{n.Address(), slices.Clone(n.Meta)}
	e.m.aliveMu.Unlock()
	e.m.signal()
}

// NotifyLeave implements memberlist.EventDelegate.
func (e events) NotifyLeave(n *memberlist.Node) {
	e.m.aliveMu.Lock()
	delete(e.m.alive, n.Name)
	e.m.aliveMu.Unlock()
	e.m.signal()
}

// NotifyUpdate implements memberlist.EventDelegate.
func (e events) NotifyUpdate(n *memberlist.Node) { e.here(n) }

// merges refuses members that do not fit.
type merges struct{ m *Membership }

// NotifyMerge implements memberlist.MergeDelegate.
func (g merges) NotifyMerge(peers []*memberlist.Node) error {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	for _, p := range peers {
		if p.State == memberlist.StateDead || p.State == memberlist.StateLeft {
			continue
		}
		other, err := decode(p.Meta)
		if err == nil {
			err = fits(g.m.self, other)
		}
		if err != nil {
			g.m.refusal = err
			return err
		}
	}
	return nil
}

// logWriter passes on what memberlist logs, quietly.
type logWriter struct{ log *slog.Logger }

var _ io.Writer = logWriter{}

// Write implements io.Writer.
func (w logWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if _, after, ok := strings.Cut(text, "memberlist: "); ok {
		text = after
	}
	w.log.Debug("gossip", slog.String("text", text)) // even its errors heal by themselves, and are usual when nodes come and go
	return len(line), nil
}

// NewID returns the id of one life of a process: 16 hexadecimal digits.
func NewID() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("membership: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
