package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/actors/ring"
	"github.com/troupe-ml/troupe/actors/trainer"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cluster/membership"
	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/gateway/mlflow"
	"github.com/troupe-ml/troupe/gateway/stream"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/memory"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store/nats"
)

// Start starts a node and returns when it is ready: its store answers, and it
// serves. The errors are of kind Invalid when a setting is wrong (also a secret
// or version that the cluster does not share), Conflict when a port or the
// data folder is in use, and Unavailable when ctx ends before enough members
// answer.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, metrics: prometheus.NewRegistry(), asked: make(chan string, 1), ended: make(chan struct{})}
	n.news, n.presence, n.releases = newNews(n), newPresence(n), newReleases(n)
	limitMemory(cfg.MemoryBytes)
	if err := n.start(ctx); err != nil {
		n.Close()
		if errors.Is(err, context.DeadlineExceeded) && fault.Of(err) == fault.Canceled {
			err = fault.New(fault.Unavailable, "%w", err)
		}
		return nil, err
	}
	return n, nil
}

// limitMemory lets the collector work harder before the node exceeds its share,
// unless the person who started it has said so already.
func limitMemory(taskBytes int64) {
	if taskBytes > 0 {
		memory.Limit(heapLimit(taskBytes, MachineBytes()))
	}
}

// onClose has f called by Close, after what was started later has ended.
func (n *Node) onClose(f func()) { n.closers = append(n.closers, f) }

func (n *Node) start(ctx context.Context) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	for _, step := range []func(context.Context) error{
		n.openSelf, n.openDoors, n.join, n.openStore, n.openActors, n.openOracle, n.serve,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	n.wg.Go(func() { n.leaveWhenAsked(beside) })
	n.wg.Go(func() { n.news.run(beside) })
	n.wg.Go(func() { n.countServers(beside) })
	n.wg.Go(func() { n.releases.run(beside) })
	n.wg.Go(func() { n.tidy(beside) })
	n.ready.Store(true)
	if err := n.members.Update(func(m *membership.Member) { m.State = membership.Ready }); err != nil {
		return err
	}
	n.presence.self("joined", "")
	n.cfg.Log.Info("ready", slog.String("member", n.id), slog.String("http", n.Addresses().HTTP), slog.Bool("server", n.serving))
	return nil
}

// openSelf finds out who this node is.
func (n *Node) openSelf(context.Context) error {
	id, err := membership.NewID()
	if err != nil {
		return err
	}
	n.id = n.cfg.Name + "." + id[:10]
	if n.host, err = advertised(n.cfg); err != nil {
		return err
	}
	if len(n.cfg.Secret) > 0 {
		if n.trust, err = trust.New(n.cfg.Secret, n.cfg.Clock); err != nil {
			return err
		}
	}
	if n.folder, err = openFolder(n.cfg); err != nil {
		return err
	}
	n.onClose(n.folder.close)
	if n.cfg.Scratch, err = openScratch(n.cfg); err != nil {
		return err
	}
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return nil
}

// tls returns the settings of connections between members, nil without a secret.
func (n *Node) tls() (*tls.Config, error) {
	if n.trust == nil {
		return nil, nil
	}
	return n.trust.TLS(n.id)
}

// openDoors takes the ports, so that one in use is noticed at once.
func (n *Node) openDoors(context.Context) (err error) {
	if n.web, err = listen("HTTP", n.cfg.Bind, n.cfg.HTTPPort); err != nil {
		return err
	}
	n.onClose(func() { _ = n.web.Close() }) // the server may have closed it
	secure, err := n.tls()
	if err != nil {
		return err
	}
	if _, err := reserve("actor", n.cfg.Bind, n.cfg.ActorPort); err != nil {
		return err
	}
	ac := actors.DefaultConfig()
	ac.Host, ac.Port, ac.Advertise, ac.Boot, ac.TLS = n.cfg.Bind, n.cfg.ActorPort, n.host, n.id, secure
	ac.Messages, ac.Log, ac.Metrics = []string{wire.Package}, n.cfg.Log, n.metrics
	if n.system, err = actors.Start(ac); err != nil {
		return err
	}
	n.onClose(n.system.Close)
	rc := ring.DefaultConfig()
	rc.TLS, rc.Clock = secure, n.cfg.Clock
	if n.ring, err = ring.Listen(net.JoinHostPort(n.cfg.Bind, "0"), rc); err != nil {
		return err
	}
	n.onClose(func() { _ = n.ring.Close() }) // nobody joins any more
	return nil
}

// openActors begins to work, and on servers to stand for coordinator.
func (n *Node) openActors(context.Context) (err error) {
	n.env = &run.Env{
		Store: n.store, Registry: n.registry, Files: n.cfg.Files, Clock: n.cfg.Clock, Code: n.cfg.Version,
		Threads: runtime.GOMAXPROCS(0), Memory: n.cfg.MemoryBytes, Comm: trainer.New(n.ring).Comm, Cache: cmp.Or(n.cfg.Cache, filepath.Join(n.cfg.DataDir, "cache")), Scratch: n.cfg.Scratch,
	}
	self := worker.Self{Member: jobs.MemberID(n.id), DataAddr: net.JoinHostPort(n.host, strconv.Itoa(portOf(n.ring.Address())))}
	if n.cfg.has(Worker) {
		self.Slots, self.MaxBytes = n.cfg.Slots, n.cfg.MemoryBytes
	}
	if n.serving {
		n.leader, err = coordinator.Start(coordinator.Parts{
			Config: n.cfg.Coordinator, System: n.system, Member: self.Member, Store: n.store, Plan: plan.Next,
			Ended: n.news.ended, Progress: n.progress, Leads: n.leads, Clock: n.cfg.Clock, Log: n.cfg.Log, Metrics: n.metrics,
		})
		if err != nil {
			return err
		}
		n.onClose(n.leader.Close)
	}
	n.worker, err = worker.Start(worker.Parts{
		System: n.system, Self: self, Run: worker.Bodies(n.env.Body), Refs: n.store.Refs, Heartbeat: n.cfg.Coordinator.Heartbeat,
		Drain: n.ask, Clock: n.cfg.Clock, Log: n.cfg.Log,
	})
	if err != nil {
		return err
	}
	n.onClose(n.worker.Close)
	return nil
}

// openStore connects to the store, whose server a server node starts first.
func (n *Node) openStore(ctx context.Context) error {
	if n.serving && n.cfg.NATSURL == "" {
		if err := n.startServer(ctx); err != nil {
			return err
		}
	}
	cc := bus.ConnectConfig{Name: n.id, Server: n.server, URLs: n.storeURLs, Trust: n.trust, Log: n.cfg.Log, Clock: n.cfg.Clock}
	if n.cfg.NATSURL != "" {
		cc.Trust = nil // it is somebody else's: its URL says how to log in
	}
	conn, err := bus.Connect(ctx, cc)
	if err != nil {
		return err
	}
	n.bus = conn
	n.onClose(conn.Close)
	st, err := nats.Open(ctx, conn.NATS, nats.Config{Replicas: n.cfg.Servers, Why: n.missingServers, Log: n.cfg.Log, Clock: n.cfg.Clock})
	if err != nil {
		return err
	}
	n.store, n.registry = st.Store, registry.Open(st.Store)
	return nil
}

// serve opens the HTTP door.
func (n *Node) serve(context.Context) error {
	asked, err := n.tokens()
	if err != nil {
		return err
	}
	tracking := mlflow.New(mlflow.Config{Registry: n.registry, Blobs: n.store.Blobs, Refresh: oracle{n}.Refresh, Clock: n.cfg.Clock})
	n.api = api.New(api.Config{
		Doors:   []api.Door{tracking.Door()},
		Version: n.cfg.Version, Store: n.store, Registry: n.registry, Cluster: (*view)(n), Predictor: oracle{n}, Preview: n.env.Preview, Tokens: asked, Unwritable: n.missingServers,
		Clock: n.cfg.Clock, Log: n.cfg.Log, Metrics: n.metrics,
	})
	n.http = &http.Server{
		Handler: n.api, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(n.cfg.Log.Handler(), slog.LevelDebug),
	}
	n.wg.Go(func() {
		if err := n.http.Serve(n.web); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			n.end(fault.New(fault.Unavailable, "node: HTTP door: %w", err))
		}
	})
	stopAnswers, err := n.bus.Answer(bus.StatusSubject, n.status)
	if err != nil {
		return err
	}
	n.onClose(stopAnswers)
	n.stream, err = stream.Serve(n.bus.NATS, n.cfg.Version, n.api, n.cfg.Log)
	return err
}

// leads hears that this node begins or ceases to coordinate.
func (n *Node) leads(_ uint64, leading bool) {
	if leading {
		n.presence.lead()
		n.releases.changed()
	}
}

func pid() int { return os.Getpid() }
