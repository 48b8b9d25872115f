// Package local is a cluster of node processes on this machine, on loopback: it
// starts them as its children, hears when one ends, and ends none but those.
package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
)

// Config says what cluster to start.
type Config struct {
	Program string   // the path of troupe
	Dir     string   // the folder of all nodes' data
	Nodes   int      // processes
	Servers int      // of them that keep the durable state: 1, 3 or 5
	Args    []string // more flags for every node
	AnyPort bool     // not even the first node takes the default ports
	Log     io.Writer
	Clock   clock.Clock
	// StartTimeout is how long the nodes have until they are ready.
	StartTimeout time.Duration
}

// Record is what a node tells of itself when it is ready.
type Record struct {
	Name   string `json:"name"`
	PID    int    `json:"pid"`
	HTTP   string `json:"http"`
	Actor  string `json:"actor"`
	Gossip string `json:"gossip"`
	NATS   string `json:"nats,omitempty"`
	Route  string `json:"route,omitempty"`
}

// Exit says that a node's process has ended.
type Exit struct {
	Name string
	PID  int
	Err  error // nil when it ended well
}

// Cluster is the processes that Start has started.
type Cluster struct {
	Records []Record // in the order of the nodes
	Exits   <-chan Exit

	cfg      Config
	ports    []ports
	held     []io.Closer // what keeps other clusters from the ports
	exits    chan Exit
	children []*child // in the order of the nodes; of a restarted one the newest process
	waits    sync.WaitGroup
}

type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// ports are a node's, in the order of the flags that take them.
type ports struct{ http, actor, gossip, nats, route int }

// defaults are the ports that the first node has when they are free.
var defaults = ports{8270, 8271, 7946, 4222, 6222}

// defaultsGuard is listened on by the cluster that has taken them.
const defaultsGuard = 8269

// Start starts the nodes and returns when every one is ready. If one is not in
// time, or ends, all are ended again.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Nodes < 1 || cfg.Nodes > 100 {
		return nil, fault.New(fault.Invalid, "%d nodes: expected 1 to 100", cfg.Nodes)
	}
	if cfg.Servers > cfg.Nodes {
		return nil, fault.New(fault.Invalid, "%d servers among %d nodes: start more nodes, or fewer servers", cfg.Servers, cfg.Nodes)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.StartTimeout, fault.New(fault.Unavailable, "the nodes were not ready within %v; their logs are in %s", cfg.StartTimeout, cfg.Dir))
	defer cancel()
	all, held, err := choose(cfg.Nodes, cfg.AnyPort)
	if err != nil {
		return nil, err
	}
	const restarts = 100 // an end that nobody hears of must not hold its process up
	exits := make(chan Exit, cfg.Nodes+restarts)
	c := &Cluster{Exits: exits, exits: exits, cfg: cfg, ports: all, held: held, children: make([]*child, cfg.Nodes)}
	ready := make([]chan Record, cfg.Nodes)
	for i := range cfg.Nodes {
		ready[i] = make(chan Record, 1)
		if err := c.spawn(i, ready[i]); err != nil {
			c.abandon()
			return nil, err
		}
		// Servers find each other, so they start together; whoever joins them
		// waits for the first, which is then there to be joined.
		if i == 0 && cfg.Servers == 1 {
			if err := c.await(ctx, ready[0]); err != nil {
				c.abandon()
				return nil, err
			}
		}
	}
	for i := len(c.Records); i < cfg.Nodes; i++ {
		if err := c.await(ctx, ready[i]); err != nil {
			c.abandon()
			return nil, err
		}
	}
	return c, nil
}

func (c *Cluster) await(ctx context.Context, ready <-chan Record) error {
	select {
	case r := <-ready:
		c.Records = append(c.Records, r)
		return nil
	case e := <-c.exits:
		kind := fault.Internal
		var status *exec.ExitError
		if errors.As(e.Err, &status) && status.ExitCode() == 2 {
			kind = fault.Invalid
		}
		return fault.New(kind, "node %s ended before it was ready: %v", e.Name, e.Err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spawn starts one node.
func (c *Cluster) spawn(i int, ready chan<- Record) error {
	cfg, all, exits := c.cfg, c.ports, c.exits
	name := "n" + strconv.Itoa(i+1)
	p := all[i]
	role := "server,worker"
	if i >= cfg.Servers {
		role = "worker"
	}
	args := []string{"node", "-o", "json", "--name", name, "--data", filepath.Join(cfg.Dir, name), "--cache", filepath.Join(cfg.Dir, "cache"), "--scratch", filepath.Join(cfg.Dir, "scratch"), "--role", role,
		"--servers", strconv.Itoa(cfg.Servers), "--http-port", strconv.Itoa(p.http), "--actor-port", strconv.Itoa(p.actor),
		"--gossip-port", strconv.Itoa(p.gossip), "--nats-port", strconv.Itoa(p.nats), "--route-port", strconv.Itoa(p.route)}
	for j := range max(1, cfg.Servers) {
		if j != i {
			args = append(args, "--join", net.JoinHostPort("127.0.0.1", strconv.Itoa(all[j].gossip)))
		}
	}
	cmd := exec.Command(cfg.Program, append(args, cfg.Args...)...)
	cmd.Stderr = cfg.Log
	cmd.SysProcAttr = apart()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start node %s: %w", name, err)
	}
	ch := &child{name: name, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	c.waits.Go(func() {
		// The system takes the end of this thread for the end of the parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		var r Record
		if json.NewDecoder(bufio.NewReader(out)).Decode(&r) == nil {
			ready <- r
		}
		_, _ = io.Copy(io.Discard, out) // it says no more
		err = cmd.Wait()
		close(ch.done)
		exits <- Exit{name, cmd.Process.Pid, err}
	})
	if err := <-started; err != nil {
		return fmt.Errorf("start node %s: %w", name, err)
	}
	c.children[i] = ch
	return nil
}

// minPort and maxPort bound the ports that choose picks: below those that systems
// give to outgoing connections, any of which could take a port between the time
// it is found free and the time its node listens.
const (
	minPort = 10_000
	maxPort = 32_000
	span    = 6 // a block: the port that holds it, and those of a node
)

// tried is the block that was tried last. Every cluster of this process goes on
// from there, and every process starts somewhere else.
var tried = func() *atomic.Uint32 {
	var a atomic.Uint32
	a.Store(uint32(rng.Mix(uint64(os.Getpid()), 0)))
	return &a
}()

// choose picks the ports of n nodes: those of the first are the default ones as
// far as they are free, unless any will do. The others are in blocks of span
// ports. The first of a block, and one beside the default ports, is listened on for
// as long as the cluster lives: so no two clusters of a machine pick the same, though
// a port is free until its node listens. Programs of other kinds may still take one
// before its node does.
func choose(n int, anyPort bool) (all []ports, held []io.Closer, err error) {
	for range n {
		base, guard, err := takeBlock()
		if err != nil {
			release(held)
			return nil, nil, err
		}
		held = append(held, guard)
		all = append(all, ports{base + 1, base + 2, base + 3, base + 4, base + 5})
	}
	if anyPort {
		return all, held, nil
	}
	if guard, err := net.Listen("tcp", loopback(defaultsGuard)); err == nil { // else another cluster has them, or is about to
		held = append(held, guard)
		all[0] = all[0].orDefaults()
	}
	return all, held, nil
}

// orDefaults puts the default ports, as far as they are free, in the place of p.
func (p ports) orDefaults() ports {
	or := func(port, other int) int {
		if free(port) {
			return port
		}
		return other
	}
	return ports{
		or(defaults.http, p.http), or(defaults.actor, p.actor), or(defaults.gossip, p.gossip),
		or(defaults.nats, p.nats), or(defaults.route, p.route),
	}
}

// takeBlock returns the first port of a block of free ones, and what holds it.
func takeBlock() (base int, guard io.Closer, err error) {
	const blocks = (maxPort - minPort) / span
	for range blocks {
		base := minPort + int(tried.Add(1)%blocks)*span
		guard, err := net.Listen("tcp", loopback(base))
		if err != nil {
			continue
		}
		if allFree(base+1, base+span) {
			return base, guard, nil
		}
		_ = guard.Close() // nothing was sent
	}
	return 0, nil, fault.New(fault.Unavailable, "no %d free ports in a row from %d to %d", span, minPort, maxPort-1)
}

func allFree(from, to int) bool {
	for port := from; port < to; port++ {
		if !free(port) {
			return false
		}
	}
	return true
}

// free reports whether nobody listens on a port, for streams or for packets.
func free(port int) (ok bool) {
	whileNobodyForks(func() { ok = listens(port) })
	return ok
}

// listens tries a port.
func listens(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	u, err := net.ListenPacket("udp", loopback(port))
	if err == nil {
		_ = u.Close() // nothing was sent
	}
	return l.Close() == nil && err == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func release(held []io.Closer) {
	for _, h := range held {
		_ = h.Close() // nothing was sent
	}
}

// Signal sends a signal to the process of node i, from 0.
func (c *Cluster) Signal(i int, sig syscall.Signal) error {
	if err := c.children[i].cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal node %s: %w", c.children[i].name, err)
	}
	return nil
}

// Restart starts node i, whose process must be at its end, over the same folder
// and ports, and returns when it is ready.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	select {
	case <-c.children[i].done:
	case <-ctx.Done():
		return fmt.Errorf("restart node %s: it has not ended: %w", c.children[i].name, context.Cause(ctx))
	}
	ready := make(chan Record, 1)
	if err := c.spawn(i, ready); err != nil {
		return err
	}
	select {
	case c.Records[i] = <-ready:
		return nil
	case <-c.children[i].done:
		return fault.New(fault.Internal, "node %s ended before it was ready", c.children[i].name)
	case <-ctx.Done():
		return fmt.Errorf("restart node %s: it is not ready: %w", c.children[i].name, context.Cause(ctx))
	}
}

// Running returns how many of the processes have not ended.
func (c *Cluster) Running() int {
	n := 0
	for _, ch := range c.children {
		if ch == nil {
			continue
		}
		select {
		case <-ch.done:
		default:
			n++
		}
	}
	return n
}

// Stop tells every node to drain and waits for their ends: the workers first,
// so that the servers are there while they hand over. When ctx ends before,
// those that are left are killed.
func (c *Cluster) Stop(ctx context.Context) error {
	killed := c.end(ctx, c.children[min(c.cfg.Servers, len(c.children)):])
	killed += c.end(ctx, c.children[:min(c.cfg.Servers, len(c.children))])
	c.waits.Wait()
	release(c.held)
	if killed > 0 {
		return fault.New(fault.Internal, "%d nodes did not end in time, and were killed", killed)
	}
	return nil
}

// end tells some of the nodes to drain, waits for them, and returns how many it
// had to kill.
func (c *Cluster) end(ctx context.Context, children []*child) (killed int) {
	for _, ch := range children {
		if ch != nil {
			_ = ch.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}
	for _, ch := range children {
		if ch == nil {
			continue
		}
		select {
		case <-ch.done:
		case <-ctx.Done():
			_ = ch.cmd.Process.Kill() // it may have ended
			killed++
		}
	}
	return killed
}

// abandon ends what was started of a cluster that will not be.
func (c *Cluster) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = c.Stop(ctx) // the first error is the one that matters
}

// Lock takes the folder for one cluster at a time.
func Lock(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fault.New(fault.Conflict, "%s: another `troupe up` runs there: stop it, or name another folder with --data", dir)
	}
	return func() {
		// Closing alone leaves the lock to a child that has not become its program yet.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close() // nothing was written
	}, nil
}
