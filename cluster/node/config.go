// Package node is one process of a cluster: it starts the parts that its roles
// ask for, serves until it is told to stop, hands its work over and leaves.
//
// Durable is what the servers' store holds. Everything else that a node has is
// rebuilt when it starts again: it comes back under a new boot id.
package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// The ports of a node, unless its Config names others.
const (
	DefaultHTTPPort   = 8270 // HTTP for people and programs
	DefaultActorPort  = 8271 // actors, TLS
	DefaultGossipPort = 7946 // membership, TCP and UDP
	DefaultNATSPort   = 4222 // clients of the store, on servers
	DefaultRoutePort  = 6222 // between the servers of a store, if there are several
)

// Role is a part that a node plays in its cluster.
type Role string

// The roles.
const (
	Server Role = "server" // keeps the durable state and can coordinate
	Worker Role = "worker" // runs tasks
)

// Config are the settings of a node. Port 0 takes any free one.
type Config struct {
	// DataDir is the folder of the node's durable state; a worker keeps nothing
	// but its name there.
	DataDir string
	// Cache is the folder of the prepared tables of training, on a disk of this
	// machine. Nodes of one machine may share it: then a table is there once.
	// Default: cache in DataDir.
	Cache string
	// Scratch is a folder that all nodes share, under the same path: the rows of
	// windows of train jobs are there on their way, which else pass through the store.
	// Default: none.
	Scratch string
	// Name is what people call the node: letters, digits, "-", "_" and ".". It
	// is kept across restarts and must be the node's alone. Default: the host.
	Name string
	// Join are addresses HOST:PORT of the gossip of members, any of them: one is
	// enough. Without any the node starts a cluster, or waits to be joined.
	Join []string
	// Bind is the address that the node listens on. Default 127.0.0.1, which
	// nobody else reaches; anything outside loopback needs a Secret.
	Bind string
	// Advertise is the address that others reach the node at. Default: Bind, or
	// the machine's first private address when Bind is 0.0.0.0 or ::.
	Advertise string

	HTTPPort   int // default 8270
	ActorPort  int // default 8271
	GossipPort int // default 7946
	NATSPort   int // default 4222
	RoutePort  int // default 6222

	// Servers is how many servers keep the durable state: 1, 3 or 5. It is fixed
	// when a cluster is made. One is away while it restarts; three survive the
	// loss of one, five of two, and every write waits for a majority.
	Servers int
	// Roles are what the node does. Default: server and worker.
	Roles []Role
	// Slots are how many tasks run at a time. Default: the number of cores.
	Slots int
	// MemoryBytes is the memory for tasks. Default: half of what the process may
	// use: of the machine's, or of its container's. The rest is for the store, the
	// system's cache of files, and what a task's estimate has missed.
	MemoryBytes int64
	// StoreBytes bounds the durable state on a server's disk. Default: three
	// quarters of what is free when it starts, or in use by that state already.
	StoreBytes int64
	// Secret is shared by all members of a cluster; from it follow the gossip
	// key, the TLS identities and the store's passwords. At least 16 bytes that
	// nobody can guess: `openssl rand -hex 32`. Without one everything is open,
	// which is allowed on loopback only.
	Secret []byte
	// NATSURL is that of an external NATS with JetStream, used instead of
	// embedded servers: nats:// or tls://, several separated by commas.
	NATSURL string
	// Tokens are the bearer tokens of the HTTP door. Default: none is asked for
	// on loopback; elsewhere those that Token derives from the secret, which are
	// the same on all nodes and are written to tokens.json in DataDir.
	Tokens api.Tokens

	// Version is that of the program. Members of another major version, or
	// below 1.0 of another minor one, are refused.
	Version string
	// DrainTimeout bounds how long Drain waits for running tasks, in wall time.
	DrainTimeout time.Duration
	// Coordinator are the settings of the coordinator and of the heartbeats.
	Coordinator coordinator.Config

	// Files opens what specs name. nil: disks only, no object store.
	Files *files.Files

	Log   *slog.Logger
	Clock clock.Clock
}

// DefaultConfig is a node that is a cluster by itself, reached on loopback only.
func DefaultConfig() Config {
	name, err := os.Hostname()
	if err != nil || !validName(name) {
		name = "node"
	}
	return Config{
		DataDir: ".troupe-node", Name: name, Bind: "127.0.0.1",
		HTTPPort: DefaultHTTPPort, ActorPort: DefaultActorPort, GossipPort: DefaultGossipPort,
		NATSPort: DefaultNATSPort, RoutePort: DefaultRoutePort,
		Servers: 1, Roles: []Role{Server, Worker}, Slots: runtime.GOMAXPROCS(0),
		MemoryBytes: MachineBytes() / 2, Version: "dev",
		DrainTimeout: 30 * time.Second,
		Coordinator:  coordinator.DefaultConfig(),
		Log:          slog.New(slog.DiscardHandler), Clock: clock.Real{},
	}
}

// Validate reports every setting that makes no sense, all at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("node: "+format, args...)) }
	if c.DataDir == "" {
		bad("data is missing: name a folder")
	}
	if files.Remote(c.Scratch) {
		bad("scratch is %q: want a folder of a file system that all nodes share", c.Scratch)
	}
	if !validName(c.Name) {
		bad("name is %q: want 1 to 63 of [A-Za-z0-9._-]", c.Name)
	}
	c.checkAddresses(bad)
	c.checkRoles(bad)
	for _, p := range []struct {
		name string
		port int
	}{{"http", c.HTTPPort}, {"actor", c.ActorPort}, {"gossip", c.GossipPort}, {"nats", c.NATSPort}, {"route", c.RoutePort}} {
		if p.port < 0 || p.port > 65535 {
			bad("%s port is %d: want 1 to 65535, or 0 for any free one", p.name, p.port)
		}
	}
	if c.DrainTimeout < 0 {
		bad("the drain timeout is %v: it must not be negative", c.DrainTimeout)
	}
	if c.Log == nil || c.Clock == nil {
		bad("log and clock must be set: start from DefaultConfig")
	}
	if err := c.Coordinator.Validate(); err != nil {
		errs = append(errs, err)
	}
	return fault.Wrap(fault.Invalid, errors.Join(errs...))
}

// checkAddresses looks at where the node listens, what it joins, and whether
// that is safe.
func (c Config) checkAddresses(bad func(format string, args ...any)) {
	ip := net.ParseIP(c.Bind)
	if ip == nil {
		bad("bind is %q: want an IP address of this machine, such as 127.0.0.1 or 0.0.0.0", c.Bind)
	}
	if c.Advertise != "" && (net.ParseIP(c.Advertise) == nil || net.ParseIP(c.Advertise).IsUnspecified()) {
		bad("advertise is %q: want the IP address that other nodes reach this one at", c.Advertise)
	}
	switch {
	case len(c.Secret) == 0 && ip != nil && !ip.IsLoopback():
		bad("bind is %s, which others can reach, and there is no secret: make one with `openssl rand -hex 32 > secret`, copy it to every node and pass --secret-file secret; or bind to 127.0.0.1", c.Bind)
	case len(c.Secret) > 0 && len(c.Secret) < trust.MinSecretBytes:
		bad("the secret has %d bytes, at least %d are needed: make one with `openssl rand -hex 32`", len(c.Secret), trust.MinSecretBytes)
	}
	for _, j := range c.Join {
		if host, _, err := net.SplitHostPort(j); err != nil || host == "" {
			bad("join is %q: want HOST:PORT of the gossip of a member, such as 10.0.0.5:%d", j, DefaultGossipPort)
		}
	}
	for u := range strings.FieldsFuncSeq(c.NATSURL, func(r rune) bool { return r == ',' }) {
		if p, err := url.Parse(u); err != nil || p.Host == "" || p.Scheme != "nats" && p.Scheme != "tls" {
			bad("nats is %q: want nats://HOST:PORT or tls://HOST:PORT", u)
		}
	}
}

func (c Config) checkRoles(bad func(format string, args ...any)) {
	if c.Servers != 1 && c.Servers != 3 && c.Servers != 5 {
		bad("servers is %d: want 1, 3 or 5", c.Servers)
	}
	if len(c.Roles) == 0 {
		bad("there is no role: want %s, %s or both", Server, Worker)
	}
	for _, r := range c.Roles {
		if r != Server && r != Worker {
			bad("role is %q: want %s, %s or both", r, Server, Worker)
		}
	}
	if c.has(Worker) && c.Slots < 1 {
		bad("slots is %d: a worker needs at least 1", c.Slots)
	}
	if c.has(Worker) && c.MemoryBytes < 64<<20 {
		bad("memory is %d bytes: a worker needs at least 64 MiB", c.MemoryBytes)
	}
	if c.StoreBytes < 0 {
		bad("the bound of the store is %d bytes: it must not be negative", c.StoreBytes)
	}
	if !c.has(Server) && len(c.Join) == 0 {
		bad("a worker needs a cluster: pass --join HOST:PORT of any member")
	}
}

// has reports whether the node plays a role.
func (c Config) has(r Role) bool { return slices.Contains(c.Roles, r) }

func validName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 63
}
