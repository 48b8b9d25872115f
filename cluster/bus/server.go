// Package bus is the NATS of a cluster: servers with JetStream inside the
// server nodes, or an external one, and the connections of all nodes to it.
//
// One server stands alone: its state is in its folder, and while it restarts
// nobody can write. Three or five replicate every write to a majority before it
// is acknowledged; when the server that leads is killed, writes wait for up to
// ten seconds until another does. The number is fixed when a cluster is made,
// for NATS cannot turn one kind into the other in place.
//
// What has been acknowledged survives the end of the process at any moment. It
// is synced to disk every SyncInterval: a loss of power may take the writes
// since then of a server that stands alone.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// clusterName is that of the servers among themselves.
const clusterName = "troupe"

// ServerConfig are the settings of an embedded server.
type ServerConfig struct {
	// Name is the server's among the others; it must stay the same in its folder.
	Name string
	// Dir is the folder of the durable state, of this server alone.
	Dir string
	// Host and Port are where clients connect; port 0 takes a free one.
	Host string
	Port int
	// Advertise is the host that others reach this one at. Default: Host.
	Advertise string
	// RoutePort is where other servers connect, when Replicas is above 1. It has
	// no port 0, for the others must know it before the server starts.
	RoutePort int
	// Routes are HOST:PORT of all servers, this one included, when there are
	// several.
	Routes []string
	// Replicas is the number of servers: 1, 3 or 5.
	Replicas int
	// MaxMemoryBytes bounds streams in memory. Default 64 MiB.
	MaxMemoryBytes int64
	// MaxStoreBytes bounds the state on disk. Default: three quarters of what is
	// free in Dir when the server starts, or in use by it already.
	MaxStoreBytes int64
	// SyncInterval is how often files are synced. Default 10 s.
	SyncInterval time.Duration
	// Full hears that the disk has become full, so that nothing can be written,
	// and that it has room again. It may be nil.
	Full func(full bool)
	// Trust are the cluster's credentials; nil lets everybody in.
	Trust *trust.Trust
	Log   *slog.Logger
	Clock clock.Clock
}

// Server is an embedded server that runs.
type Server struct {
	cfg     ServerConfig
	options *server.Options
	log     *serverLog
	current atomic.Pointer[server.Server] // another one after a disk was full
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// StartServer starts a server and returns when it takes connections. Of several
// servers none can be written to before a majority runs; see Connect. A port in
// use is of kind Conflict.
func StartServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	for _, port := range []int{cfg.Port, options.Cluster.Port} {
		if err := free(cfg.Host, port); err != nil {
			return nil, err
		}
	}
	if cfg.Advertise == "" {
		cfg.Advertise = cfg.Host
	}
	s := &Server{cfg: cfg, options: options, log: &serverLog{log: cfg.Log, fatal: make(chan string, 1), full: make(chan struct{}, 1)}}
	n, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	s.current.Store(n)
	s.options.Port = n.Addr().(*net.TCPAddr).Port // the one that others know, should it start again
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.wg.Go(func() { s.watch(watching) })
	return s, nil
}

// run starts a server and waits until it takes connections.
func (s *Server) run(ctx context.Context) (*server.Server, error) {
	n, err := server.NewServer(s.options.Clone())
	if err != nil {
		return nil, fault.New(fault.Invalid, "bus: start the NATS server: %w", err)
	}
	n.SetLoggerV2(s.log, false, false, false)
	n.Start()
	if err := await(ctx, n, s.log, s.cfg.Clock); err != nil {
		n.Shutdown()
		n.WaitForShutdown()
		return nil, err
	}
	return n, nil
}

func (cfg ServerConfig) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: cfg.Name, Host: cfg.Host, Port: portOption(cfg.Port),
		NoSigs: true, NoSystemAccount: false, MaxPayload: 1 << 20,
		PingInterval: 5 * time.Second, MaxPingsOut: 2, WriteDeadline: 10 * time.Second,
		JetStream: true, StoreDir: cfg.Dir, SyncInterval: cfg.SyncInterval,
		JetStreamMaxMemory: cfg.MaxMemoryBytes, JetStreamMaxStore: cfg.MaxStoreBytes,
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = 10 * time.Second
	}
	if o.JetStreamMaxMemory == 0 {
		o.JetStreamMaxMemory = 64 << 20
	}
	if o.JetStreamMaxStore == 0 {
		o.JetStreamMaxStore = (freeBytes(cfg.Dir) + usedBytes(cfg.Dir)) / 4 * 3
	}
	if cfg.Advertise != "" && cfg.Port != 0 {
		o.ClientAdvertise = net.JoinHostPort(cfg.Advertise, strconv.Itoa(cfg.Port))
	}
	if cfg.Trust != nil {
		tls, err := cfg.Trust.TLS(cfg.Name)
		if err != nil {
			return nil, err
		}
		login := cfg.Trust.NodeLogin()
		o.TLS, o.TLSVerify, o.TLSConfig, o.TLSTimeout = true, true, tls, 5
		o.Username, o.Password, o.AuthTimeout = login.User, login.Password, 5
	}
	if cfg.Replicas > 1 {
		return o, cfg.join(o)
	}
	return o, nil
}

// join makes the server one of several.
func (cfg ServerConfig) join(o *server.Options) error {
	if cfg.RoutePort == 0 {
		return fault.New(fault.Invalid, "bus: one of %d servers needs a route port that the others can know", cfg.Replicas)
	}
	o.Cluster = server.ClusterOpts{
		Name: clusterName, Host: cfg.Host, Port: cfg.RoutePort, PingInterval: 2 * time.Second, MaxPingsOut: 2, // a dead link is noticed after 4 to 6 s
		ConnectRetries: 1 << 30, // a server that is away comes back
	}
	if cfg.Advertise != "" {
		o.Cluster.Advertise = net.JoinHostPort(cfg.Advertise, strconv.Itoa(cfg.RoutePort))
	}
	var user *url.Userinfo
	if cfg.Trust != nil {
		login := cfg.Trust.NodeLogin()
		user = url.UserPassword(login.User, login.Password)
		o.Cluster.Username, o.Cluster.Password, o.Cluster.AuthTimeout = login.User, login.Password, 5
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = o.TLSConfig.Clone(), 5
	}
	for _, r := range cfg.Routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: r, User: user})
	}
	if len(o.Routes) == 0 {
		return fault.New(fault.Invalid, "bus: one of %d servers needs the addresses of the others", cfg.Replicas)
	}
	return nil
}

// await waits until the server takes connections or says why it does not.
func await(ctx context.Context, n *server.Server, log *serverLog, c clock.Clock) error {
	for {
		select {
		case why := <-log.fatal:
			return fault.New(fault.Unavailable, "bus: the NATS server did not start: %s", why)
		case <-ctx.Done():
			return fmt.Errorf("bus: start the NATS server: %w", ctx.Err())
		case <-c.After(time.Millisecond):
			if n.ReadyForConnections(time.Millisecond) {
				return nil
			}
		}
	}
}

// Address returns HOST:PORT for clients.
func (s *Server) Address() string { return s.reached(s.current.Load().Addr()) }

// RouteAddress returns HOST:PORT for other servers, "" when there are none.
func (s *Server) RouteAddress() string {
	a := s.current.Load().ClusterAddr()
	if a == nil {
		return ""
	}
	return s.reached(a)
}

// Others returns how many other servers this one is connected to. One that
// vanishes without a word counts for up to six seconds more.
func (s *Server) Others() int { return s.current.Load().NumRemotes() }

func (s *Server) reached(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return ""
	}
	return net.JoinHostPort(s.cfg.Advertise, strconv.Itoa(tcp.Port))
}

// URL returns the URL for clients.
func (s *Server) URL() string { return URL(s.Address(), s.cfg.Trust != nil) }

// URL returns that of a server at HOST:PORT.
func URL(address string, secure bool) string {
	if secure {
		return "tls://" + address
	}
	return "nats://" + address
}

// Shutdown ends the server and waits until its files are closed.
func (s *Server) Shutdown() {
	s.stop()
	s.wg.Wait()
	n := s.current.Load()
	n.Shutdown()
	n.WaitForShutdown()
}

func portOption(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

// free looks whether a port can be had: the server itself says it less clearly.
func free(host string, port int) error {
	if port <= 0 {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.New(fault.Conflict, "bus: port %d of %s is in use: stop who uses it, or choose another port", port, host)
	}
	if err != nil {
		return fault.New(fault.Invalid, "bus: listen: %w", err)
	}
	return l.Close()
}

// freeBytes returns what is free on the disk of a folder that may not exist yet.
func freeBytes(dir string) int64 {
	const unknown = 16 << 30
	var st syscall.Statfs_t
	for _, d := range []string{dir, "."} {
		if syscall.Statfs(d, &st) == nil {
			return int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // its type differs between systems
		}
	}
	return unknown
}

// serverLog passes on what a person should know of the server.
type serverLog struct {
	log   *slog.Logger
	fatal chan string
	full  chan struct{} // has an item when the disk is full
}

func (l *serverLog) say(level slog.Level, format string, args ...any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats server", slog.String("text", fmt.Sprintf(format, args...)))
	}
}

// usual are warnings of what is usual when servers start and stop.
var usual = []string{
	"Plaintext passwords", "Error trying to connect to route", "Waiting for routing", "has not established contact with a meta leader",
	"Error flushing", "TLS route handshake error", "Server Exiting",
}

// warn says a warning, quietly when it is usual.
func (l *serverLog) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if outOfSpace(text) { // it says so with every write
		select {
		case l.full <- struct{}{}:
		default:
		}
		l.say(slog.LevelDebug, "%s", text)
		return
	}
	for _, u := range usual {
		if strings.Contains(text, u) {
			l.say(slog.LevelDebug, "%s", text)
			return
		}
	}
	l.say(slog.LevelWarn, "%s", text)
}

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, args ...any) { l.say(slog.LevelDebug, format, args...) }

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, args ...any) { l.warn(format, args...) }

// Errorf implements server.Logger. The server calls much an error that heals by
// itself, such as a client that goes away.
func (l *serverLog) Errorf(format string, args ...any) { l.warn(format, args...) }

// Fatalf implements server.Logger: the server has stopped half-way.
func (l *serverLog) Fatalf(format string, args ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
		l.say(slog.LevelError, format, args...)
	}
}

// Debugf implements server.Logger.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (l *serverLog) Tracef(string, ...any) {}
