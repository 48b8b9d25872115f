// Package actors is how the members of a cluster converse: one System a
// process, hardened against what proto.actor's remote lets through, and the
// roles that live in it, each in a room of its own.
//
// Messages are small, carry references instead of tables, and may be lost,
// repeated or late. Nobody waits for an answer in an actor; whoever needs one
// says it again until it comes. Names of actors end with the id of their
// process, which is never used again, so that nothing meant for a process that
// has died reaches the one that took its port.
package actors

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Config are the settings of a System.
type Config struct {
	// Host and Port are where messages are received; port 0 takes a free one.
	Host string
	Port int
	// Advertise is the host by which others reach this one, if not Host.
	Advertise string
	// Boot is the id of this process, which no other ever has.
	Boot string
	// TLS, if set, is used on both ends of every connection. Without it anybody
	// who reaches the port is believed: bind to loopback only.
	TLS *tls.Config
	// Messages are the protobuf packages whose messages are let in.
	Messages []string
	// QueueLength is how many messages to one peer are kept room for at first.
	QueueLength int
	// BatchLength is how many messages are sent to a peer at once. Times the
	// size of the largest message it must stay below MaxBatchBytes.
	BatchLength int
	// MaxBatchBytes is the most that is received at once.
	MaxBatchBytes int
	// KeepaliveTimeout is how long sent bytes may stay unacknowledged before a
	// peer counts as lost.
	KeepaliveTimeout time.Duration
	// Log hears what a person may want to know; Metrics may be nil.
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// DefaultConfig suits messages of up to 256 KiB and notices a peer that is cut
// off about two seconds after something was sent to it.
func DefaultConfig() Config {
	return Config{
		Host: "127.0.0.1", QueueLength: 1024, BatchLength: 64, MaxBatchBytes: 64 << 20, KeepaliveTimeout: 2 * time.Second,
		Log: slog.New(slog.DiscardHandler),
	}
}

// Validate reports every setting that makes no sense.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("actors: "+format, args...))
		}
	}
	check(c.Host != "", "host is empty: name the address to listen on")
	check(c.Port >= 0 && c.Port < 1<<16, "port is %d: it must be from 0 to 65535", c.Port)
	check(c.Boot != "" && !strings.ContainsAny(c.Boot, "/ "), "boot is %q: it must be a word", c.Boot)
	check(len(c.Messages) > 0, "messages is empty: name the protobuf packages to let in")
	check(c.QueueLength > 0, "queue_length is %d: it must be positive", c.QueueLength)
	check(c.BatchLength > 0, "batch_length is %d: it must be positive", c.BatchLength)
	check(c.MaxBatchBytes > 0, "max_batch_bytes is %d: it must be positive", c.MaxBatchBytes)
	check(c.KeepaliveTimeout > 0, "keepalive_timeout is %v: it must be positive", c.KeepaliveTimeout)
	check(c.Log != nil, "log is missing")
	return fault.Wrap(fault.Invalid, errors.Join(errs...))
}

// System is one process's place in the conversation. Its methods may be called
// from several goroutines.
type System struct {
	cfg    Config
	system *actor.ActorSystem
	remote *remote.Remote
	guard  *guard

	mu   sync.Mutex
	subs []*eventstream.Subscription
}

// Start listens and returns the system. An address that is in use or not of
// this machine is of kind Unavailable. A process may have one system only: the
// library keeps some of its state for all of them.
func Start(cfg Config) (*System, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	port, err := freePort(cfg.Host, cfg.Port)
	if err != nil {
		return nil, err
	}
	s := &System{cfg: cfg, guard: newGuard(cfg.Messages, cfg.Log, cfg.Metrics)}
	quiet := slog.New(slog.DiscardHandler) // the library calls each lost peer an error, and says so each time
	s.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	s.remote = remote.NewRemote(s.system, s.remoteConfig(port))
	s.remote.Start()
	return s, nil
}

// freePort finds out whether an address can be listened on, since the library
// panics when it cannot, and which port that is.
func freePort(host string, port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return 0, fault.New(fault.Unavailable, "actors: %w: choose another address, or stop what listens there", err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// remoteConfig is the configuration that was found to be safe: see the
// architecture page.
func (s *System) remoteConfig(port int) *remote.Config {
	creds := insecure.NewCredentials()
	if s.cfg.TLS != nil {
		creds = credentials.NewTLS(s.cfg.TLS)
	}
	host := s.cfg.Advertise
	if host == "" {
		host = s.cfg.Host
	}
	c := remote.Configure(s.cfg.Host, port,
		remote.WithAdvertisedHost(net.JoinHostPort(host, strconv.Itoa(port))),
		remote.WithEndpointWriterQueueSize(s.cfg.QueueLength),
		remote.WithEndpointWriterBatchSize(s.cfg.BatchLength),
		remote.WithEndpointManagerQueueSize(s.cfg.QueueLength),
		remote.WithServerOptions(
			grpc.Creds(creds), grpc.MaxRecvMsgSize(s.cfg.MaxBatchBytes), grpc.StreamInterceptor(s.guard.intercept),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true})),
		remote.WithDialOptions(
			grpc.WithTransportCredentials(creds),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: s.cfg.KeepaliveTimeout, PermitWithoutStream: true})))
	c.MaxRetryCount = 2 // 4 s to give up on a peer instead of 10
	return c
}

// Address is host:port, as others reach this process.
func (s *System) Address() string { return s.system.Address() }

// Boot is the id of this process.
func (s *System) Boot() string { return s.cfg.Boot }

// Dropped is how many messages have been turned away at the door.
func (s *System) Dropped() uint64 { return s.guard.dropped.Load() }

// Name is what a role's actor is called in the process with that id.
func Name(role, boot string) string { return role + "-" + boot }

// At is where a role's actor is in the process with that id and address.
func At(address, role, boot string) *actor.PID { return actor.NewPID(address, Name(role, boot)) }

// Format writes the place of an actor as HOST:PORT/NAME, Parse reads it.
func Format(pid *actor.PID) string { return pid.Address + "/" + pid.Id }

// Parse reads what Format has written; anything else is of kind Invalid.
func Parse(s string) (*actor.PID, error) {
	address, name, ok := strings.Cut(s, "/")
	if _, _, err := net.SplitHostPort(address); !ok || err != nil || name == "" {
		return nil, fault.New(fault.Invalid, "actor %q: expected HOST:PORT/NAME", s)
	}
	return actor.NewPID(address, name), nil
}

// Spawn starts the actor of a role. When it panics, a new one is made and goes
// on with the next message.
func (s *System) Spawn(role string, make actor.Producer) (*actor.PID, error) {
	pid, err := s.system.Root.SpawnNamed(actor.PropsFromProducer(make), Name(role, s.cfg.Boot))
	if err != nil {
		return nil, fault.New(fault.Conflict, "actors: start %s: %w", Name(role, s.cfg.Boot), err)
	}
	return pid, nil
}

// Send sends a message from one actor to another. It does not wait; the message
// may be lost. The message must not be changed afterwards.
func (s *System) Send(to, from *actor.PID, m proto.Message) {
	if from == nil {
		s.system.Root.Send(to, m)
		return
	}
	s.system.Root.RequestWithCustomSender(to, m, from)
}

// OnLost calls fn with the address of every process to which the connection
// broke. It is called by the library and must return at once.
func (s *System) OnLost(fn func(address string)) {
	sub := s.system.EventStream.Subscribe(func(e any) {
		if lost, ok := e.(*remote.EndpointTerminatedEvent); ok {
			fn(lost.Address)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = append(s.subs, sub)
}

// Stop ends an actor and waits until it has; what it has not received is lost.
func (s *System) Stop(pid *actor.PID) {
	if err := s.system.Root.StopFuture(pid).Wait(); err != nil {
		s.cfg.Log.Warn("actor does not stop", slog.String("actor", pid.Id), slog.Any("err", err))
	}
}

// Close stops receiving. Peers notice at once.
func (s *System) Close() {
	s.mu.Lock()
	for _, sub := range s.subs {
		s.system.EventStream.Unsubscribe(sub)
	}
	s.subs = nil
	s.mu.Unlock()
	s.remote.Shutdown(false)
	s.system.Shutdown()
}
