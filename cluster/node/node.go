package node

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/actors/predictor"
	"github.com/troupe-ml/troupe/actors/ring"
	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cluster/membership"
	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/gateway/stream"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// Addresses are where a node that has started is reached, as HOST:PORT.
type Addresses struct {
	HTTP   string `json:"http"`
	Actor  string `json:"actor"`
	Gossip string `json:"gossip"`
	NATS   string `json:"nats,omitempty"`  // of a server with an embedded store
	Route  string `json:"route,omitempty"` // of one among several
}

// Node is one running process of a cluster. A process may have one at a time.
type Node struct {
	cfg      Config
	id       string // of this life of the process
	host     string // that others reach it at
	folder   *folder
	trust    *trust.Trust // nil without a secret
	metrics  *prometheus.Registry
	web      net.Listener
	system   *actors.System
	ring     *ring.Listener
	members  *membership.Membership
	server   *bus.Server // nil on workers, and with an external store
	bus      *bus.Conn
	store    store.Store
	registry *registry.Registry
	env      *run.Env // of the bodies of tasks
	news     *news
	presence *presence
	releases *releases
	leader   *coordinator.Candidate // nil on workers
	oracle   *predictor.Predictor
	stream   *stream.Service
	worker   *worker.Member
	http     *http.Server
	api      *api.Server

	serving  bool // plays the role of a server
	ready    atomic.Bool
	draining atomic.Bool
	asked    chan string // why the node is asked to leave
	ended    chan struct{}
	err      error // why it has ended; set before ended is closed
	endOnce  sync.Once
	closing  sync.Once
	closers  []func()
	stop     context.CancelFunc // of what runs beside
	wg       sync.WaitGroup
}

// Addresses returns where the node is reached.
func (n *Node) Addresses() Addresses {
	a := Addresses{HTTP: n.at(n.web.Addr()), Actor: n.system.Address(), Gossip: n.members.Address()}
	if n.server != nil {
		a.NATS, a.Route = n.server.Address(), n.server.RouteAddress()
	}
	return a
}

// ID returns the id of this life of the node.
func (n *Node) ID() string { return n.id }

func (n *Node) at(a net.Addr) string {
	return membership.Member{Host: n.host, HTTPPort: portOf(a.String())}.HTTP()
}

// Wait blocks until the node has ended: by Close, by a drain that somebody asked
// for, or by an error of its own, which it returns. Close follows it.
func (n *Node) Wait() error {
	<-n.ended
	return n.err
}

// end lets Wait return.
func (n *Node) end(err error) {
	n.endOnce.Do(func() {
		n.err = err
		close(n.ended)
	})
}

// lastNews bounds how long a node that leaves waits for its events to be
// published; the coordinator publishes what is missing.
const lastNews = time.Second

// drainLook is how often Drain looks whether tasks still run.
const drainLook = 20 * time.Millisecond

// Drain takes no new tasks, waits for those that run until ctx ends or the
// DrainTimeout has passed, gives up the lease and tells the members that the
// node leaves. It is of kind Unavailable when tasks were still running: others
// begin them anew. Close follows it.
func (n *Node) Drain(ctx context.Context) error {
	if n.draining.Swap(true) {
		return nil
	}
	n.cfg.Log.Info("draining")
	ctx, cancel := context.WithTimeout(ctx, max(n.cfg.DrainTimeout, time.Millisecond))
	defer cancel()
	if err := n.members.Update(func(m *membership.Member) { m.State = membership.Draining }); err != nil {
		n.cfg.Log.Warn("members are not told", slog.Any("err", err))
	}
	n.presence.self("draining", "")
	busy := n.worker.Drain()
	for busy > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-n.cfg.Clock.After(drainLook):
			busy = n.worker.Busy()
		}
	}
	n.ready.Store(false)
	if n.leader != nil {
		n.leader.Close()
	}
	n.presence.self("left", wasDrained)
	flush, stop := context.WithTimeout(context.WithoutCancel(ctx), lastNews)
	n.news.flush(flush)
	stop()
	n.members.Leave()
	if busy > 0 {
		return fault.New(fault.Unavailable, "node: drain: %d tasks were still running when the time was over: others begin them anew", busy)
	}
	return nil
}

// Close ends the node at once and frees what it holds. It may be called again.
func (n *Node) Close() {
	n.closing.Do(func() {
		if n.stop != nil {
			n.stop()
		}
		n.closeDoors()
		n.wg.Wait()
		for i := len(n.closers) - 1; i >= 0; i-- {
			n.closers[i]()
		}
		n.end(nil)
	})
}

// doorWait is how long requests may take to end when the node does.
const doorWait = 500 * time.Millisecond

// closeDoors takes no more requests, and gives those that are being answered a
// moment to end.
func (n *Node) closeDoors() {
	if n.stream != nil {
		if err := n.stream.Stop(); err != nil {
			n.cfg.Log.Debug("predictions over NATS did not end well", slog.Any("err", err))
		}
	}
	if n.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), doorWait)
	defer cancel()
	if n.http.Shutdown(ctx) != nil {
		_ = n.http.Close() // watchers do not end by themselves
	}
}

// tidyEvery is how often the node looks for what tasks have left in its memory.
const tidyEvery = 10 * time.Second

func (n *Node) tidy(ctx context.Context) {
	t := n.cfg.Clock.NewTicker(tidyEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C():
			n.env.Tidy()
			if err := n.env.SweepScratch(ctx); err != nil {
				n.cfg.Log.Warn("the scratch folder could not be tidied", slog.Any("err", err))
			}
		}
	}
}

// leaveWhenAsked drains the node when somebody asks for it.
func (n *Node) leaveWhenAsked(ctx context.Context) {
	select {
	case <-ctx.Done():
	case why := <-n.asked:
		n.cfg.Log.Info("asked to leave", slog.String("why", why))
		err := n.Drain(ctx)
		if err != nil {
			n.cfg.Log.Warn("drained, with tasks left", slog.Any("err", err))
		}
		n.end(nil)
	}
}

// ask asks this node to leave.
func (n *Node) ask(why string) {
	select {
	case n.asked <- why:
	default: // it has been asked
	}
}
