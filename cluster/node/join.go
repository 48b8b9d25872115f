package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cluster/membership"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
)

// joinEvery is how often a node that waits for others looks for them.
const joinEvery = 200 * time.Millisecond

// join begins to gossip and finds the others. A node that has no state of its
// own waits for one of those that it was told of; what it becomes depends on who
// is here: a server only while servers are missing.
func (n *Node) join(ctx context.Context) (err error) {
	n.serving = n.cfg.has(Server)
	route := 0
	if n.serving && n.cfg.Servers > 1 && n.cfg.NATSURL == "" {
		if route, err = reserve("route", n.cfg.Bind, n.cfg.RoutePort); err != nil {
			return err
		}
	}
	self := membership.Member{
		ID: n.id, Name: n.cfg.Name, Host: n.host, Worker: n.cfg.has(Worker), Server: n.serving, Servers: n.cfg.Servers,
		HTTPPort: portOf(n.web.Addr().String()), ActorPort: portOf(n.system.Address()), DataPort: portOf(n.ring.Address()), RoutePort: route,
		PID: pid(), Version: n.cfg.Version, Protocol: wire.Protocol,
	}
	if !n.folder.memo.Server && len(n.cfg.Join) > 0 {
		self.Servers = 0 // the others may know better
	}
	if self.Worker {
		self.Slots, self.MemoryBytes = n.cfg.Slots, n.cfg.MemoryBytes
	}
	var key []byte
	if n.trust != nil {
		key = n.trust.GossipKey()
	}
	n.members, err = membership.Start(membership.Config{
		Self: self, Bind: n.cfg.Bind, Port: n.cfg.GossipPort, Seeds: n.cfg.Join, Key: key, Changed: n.changed(), Log: n.cfg.Log, Clock: n.cfg.Clock,
	})
	if err != nil {
		return err
	}
	n.onClose(n.members.Close)
	if err := n.find(ctx); err != nil {
		return err
	}
	return n.settleRole()
}

// find joins the members that the node was told of. A server that holds state
// does not wait for them: it may be the one that the others wait for.
func (n *Node) find(ctx context.Context) error {
	for said := false; len(n.cfg.Join) > 0; {
		found, err := n.members.Join(ctx)
		if found > 0 || fault.Of(err) == fault.Invalid {
			return err
		}
		if n.serving && (n.folder.memo.Server || n.cfg.Servers > 1) {
			return nil
		}
		if err == nil { // it was only told of itself
			return nil
		}
		if !said {
			said = true
			n.cfg.Log.Warn("waiting for a member", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-n.cfg.Clock.After(joinEvery):
		}
	}
	return nil
}

// settleRole makes a node that could be a server a worker when all servers are
// here already, or their number is not the one that this node was told.
func (n *Node) settleRole() error {
	if !n.serving {
		return nil
	}
	var others []membership.Member
	number := n.cfg.Servers
	for _, m := range n.members.Members() {
		if m.ID != n.id && m.Server && m.Name != n.cfg.Name {
			if m.Servers != 0 {
				number = m.Servers
			}
			// A claim is settled once its number is known; of two that are settling
			// at the same moment for one place, the first by name has it.
			if m.NATSPort != 0 || m.Servers != 0 || number == 1 && m.Name < n.cfg.Name {
				others = append(others, m)
			}
		}
	}
	if n.folder.memo.Server || n.cfg.NATSURL != "" || len(others) < number && number == n.cfg.Servers {
		return n.members.Update(func(m *membership.Member) { m.Servers = n.cfg.Servers })
	}
	if !n.cfg.has(Worker) {
		return fault.New(fault.Conflict, "node: the cluster has %d servers, and %d are here: start this node as a worker, or with --servers %d when one is missing", number, len(others), number)
	}
	n.cfg.Log.Info("the cluster has its servers, this node is a worker", slog.Int("servers", number))
	n.serving = false
	return n.members.Update(func(m *membership.Member) { m.Server, m.RoutePort = false, 0 })
}

// startServer starts this node's part of the store. Of several servers none
// starts before it knows all the others.
func (n *Node) startServer(ctx context.Context) error {
	sc := bus.ServerConfig{
		Name: n.cfg.Name, Dir: n.folder.store(), Host: n.cfg.Bind, Port: n.cfg.NATSPort, Advertise: n.host, Replicas: n.cfg.Servers,
		MaxStoreBytes: n.cfg.StoreBytes, Full: n.full, Trust: n.trust, Log: n.cfg.Log, Clock: n.cfg.Clock,
	}
	m := memo{Server: true, Servers: n.cfg.Servers}
	if n.cfg.Servers > 1 {
		routes, err := n.awaitServers(ctx)
		if err != nil {
			return err
		}
		m.Routes = routes
		sc.RoutePort, sc.Routes = portOf(routes[n.cfg.Name]), slices.Sorted(maps.Values(routes))
	}
	server, err := bus.StartServer(ctx, sc)
	if err != nil {
		return err
	}
	n.server = server
	n.onClose(server.Shutdown)
	if err := n.folder.remember(m); err != nil {
		return err
	}
	return n.members.Update(func(m *membership.Member) { m.NATSPort = portOf(server.Address()) })
}

// patienceForServers is how long a server that has been one before waits for
// the others, whose addresses it then takes from its last life.
const patienceForServers = 5 * time.Second

// awaitServers waits until all servers are here and returns their routes by
// name. When there are too many, the first by name are it.
func (n *Node) awaitServers(ctx context.Context) (map[string]string, error) {
	began, said := n.cfg.Clock.Now(), false
	for {
		routes := map[string]string{}
		for _, m := range n.members.Members() {
			if !m.Server || m.RoutePort == 0 {
				continue
			}
			if other, ok := routes[m.Name]; ok && other != m.Route() && n.cfg.Clock.Now().Sub(began) > patienceForServers {
				return nil, fault.New(fault.Conflict, "node: two servers are called %s, at %s and %s: give each a name of its own", m.Name, other, m.Route())
			}
			routes[m.Name] = m.Route()
		}
		routes[n.cfg.Name] = n.members.Self().Route()
		if len(routes) >= n.cfg.Servers {
			return routes, nil
		}
		if n.folder.memo.Server && n.cfg.Clock.Now().Sub(began) > patienceForServers {
			for name, route := range n.folder.memo.Routes {
				routes[name] = cmp.Or(routes[name], route)
			}
			return routes, nil
		}
		if !said {
			said = true
			n.cfg.Log.Info("waiting for the other servers", slog.Int("here", len(routes)), slog.Int("servers", n.cfg.Servers))
		}
		select {
		case <-ctx.Done():
			return nil, fault.New(fault.Unavailable, "node: %d of %d servers are here (%s): start the others", len(routes), n.cfg.Servers, strings.Join(slices.Sorted(maps.Keys(routes)), ", "))
		case <-n.cfg.Clock.After(joinEvery):
		}
		if len(n.cfg.Join) > 0 && len(routes) == 1 {
			if _, err := n.members.Join(ctx); fault.Of(err) == fault.Invalid {
				return nil, err
			}
		}
	}
}

// full tells the others that this server's disk is full, or has room again.
func (n *Node) full(full bool) {
	if err := n.members.Update(func(m *membership.Member) { m.Full = full }); err != nil {
		n.cfg.Log.Warn("members are not told", slog.Any("err", err))
	}
}

// storeURLs returns where the store can be reached now.
func (n *Node) storeURLs() []string {
	if n.cfg.NATSURL != "" {
		return strings.Split(n.cfg.NATSURL, ",")
	}
	return n.serverURLs(n.members.Members())
}

// missingServers says that too few servers are here, or that their disks are
// full, so that nothing can be written; or "" when there are enough, or they are not ours.
func (n *Node) missingServers() string {
	if n.cfg.NATSURL != "" {
		return ""
	}
	here, number := 0, n.cfg.Servers
	var full []string
	for _, m := range n.members.Members() {
		if m.Server && m.NATSPort != 0 {
			here++
			number = max(number, m.Servers)
			if m.Full {
				full = append(full, m.Name)
			}
		}
	}
	if n.server != nil && number > 1 { // the store knows better, and sooner than the gossip
		here = min(1+n.server.Others(), number)
	}
	switch majority := number/2 + 1; {
	case here-len(full) >= majority:
		return ""
	case here >= majority:
		return fmt.Sprintf("the disk of the store is full on %s: nothing can be written before there is room; free some", strings.Join(full, ", "))
	case number == 1:
		return "the only server is not here: nothing can be written before it is back; start it again"
	default:
		return fmt.Sprintf("%d of %d servers can be reached from here, and nothing can be written by fewer than %d: start the others again, or mend the network between them", here, number, majority)
	}
}

// countEvery is how often a node counts the servers.
const countEvery = 250 * time.Millisecond

// countServers says when there are too few servers, and when there are enough
// again, until ctx ends.
func (n *Node) countServers(ctx context.Context) {
	tick := n.cfg.Clock.NewTicker(countEvery)
	defer tick.Stop()
	for missing := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C():
		}
		why := n.missingServers()
		switch {
		case why == missing:
		case why != "":
			n.cfg.Log.Error("too few servers", slog.String("why", why))
		default:
			n.cfg.Log.Info("enough servers are here again")
		}
		missing = why
	}
}

func (n *Node) serverURLs(members []membership.Member) []string {
	var urls []string
	for _, m := range members {
		if m.Server && m.NATSPort != 0 {
			urls = append(urls, bus.URL(m.NATS(), n.trust != nil))
		}
	}
	return urls
}

// changed returns what hears of every change of the members: it passes on where
// the servers are, and that a member which was draining has gone. Who vanishes
// without a word is missed by the coordinator itself.
func (n *Node) changed() func([]membership.Member) {
	leaving := map[string]bool{}
	return func(now []membership.Member) {
		here := map[string]bool{}
		for _, m := range now {
			here[m.ID] = true
			if m.State == membership.Draining {
				leaving[m.ID] = true
			}
		}
		n.presence.changed(now)
		if !n.ready.Load() {
			return
		}
		if n.cfg.NATSURL == "" && n.server == nil {
			n.bus.UseServers(n.serverURLs(now))
		}
		for id := range leaving {
			if !here[id] {
				delete(leaving, id)
				if n.leader != nil {
					n.leader.Gone(jobs.MemberID(id))
				}
			}
		}
	}
}
