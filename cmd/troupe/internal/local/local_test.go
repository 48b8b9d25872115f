package local

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Real nodes are started by the tests of the program. Here the processes are
// scripts, which do what no node should.

// ready is a process that says what a node says, and ends when it is told to.
const ready = `trap 'exit 0' TERM
while [ "$1" != --name ]; do shift; done
echo "{\"name\": \"$2\", \"pid\": $$, \"http\": \"127.0.0.1:1\"}"
while :; do sleep 0.05; done
`

func config(t *testing.T, script string) Config {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	whileNobodyForks(func() { // or the system finds the file busy when it is to be run
		require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o755))
	})
	return Config{Program: program, Dir: t.TempDir(), Nodes: 3, Servers: 1, AnyPort: true, Log: io.Discard, Clock: clock.Real{}, StartTimeout: time.Minute}
}

func stop(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, c.Stop(ctx))
}

func TestNodesAreStartedHeardOfAndStopped(t *testing.T) {
	t.Parallel()
	cfg := config(t, ready)
	c, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	require.Len(t, c.Records, 3)
	assert.Equal(t, 3, c.Running())
	assert.Equal(t, "n1", c.Records[0].Name, "the first is ready before others join it")
	require.NoError(t, c.Signal(1, syscall.SIGKILL))
	gone := <-c.Exits
	assert.Equal(t, "n2", gone.Name)
	require.Error(t, gone.Err)
	require.NoError(t, c.Restart(t.Context(), 1))
	assert.Equal(t, 3, c.Running())
	assert.NotEqual(t, gone.PID, c.Records[1].PID)
	stop(t, c)
	assert.Zero(t, c.Running())
	for _, r := range c.Records {
		assert.ErrorIs(t, syscall.Kill(r.PID, 0), syscall.ESRCH, "nothing is left behind")
	}
}

func TestANodeThatDoesNotStartEndsTheOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		kind   fault.Kind
		says   string
	}{
		"a wrong setting": {"exit 2\n", fault.Invalid, "ended before it was ready"},
		"a crash":         {"kill -9 $$\n", fault.Internal, "ended before it was ready"},
		"the second only": {"case \"$*\" in *'--name n2'*) exit 1;; esac\n" + ready, fault.Internal, "node n2 ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, c.script)
			_, err := Start(t.Context(), cfg)
			assert.Equal(t, c.kind, fault.Of(err), "%v", err)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestANodeThatSaysNothingIsNotWaitedForLonger(t *testing.T) {
	t.Parallel()
	cfg := config(t, "trap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n")
	cfg.StartTimeout = 300 * time.Millisecond
	_, err := Start(t.Context(), cfg)
	assert.Equal(t, fault.Unavailable, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, cfg.Dir, "it says where the logs are")
}

func TestSettingsThatMakeNoCluster(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct{ nodes, servers int }{{0, 1}, {101, 1}, {2, 3}} {
		cfg := config(t, ready)
		cfg.Nodes, cfg.Servers = bad.nodes, bad.servers
		_, err := Start(t.Context(), cfg)
		assert.Equal(t, fault.Invalid, fault.Of(err), "%v", bad)
	}
	cfg := config(t, ready)
	cfg.Program = filepath.Join(cfg.Dir, "nowhere")
	_, err := Start(t.Context(), cfg)
	require.ErrorContains(t, err, "nowhere")
}

func TestPortsAreDifferentAndFree(t *testing.T) {
	t.Parallel()
	all, held, err := choose(5, true)
	require.NoError(t, err)
	t.Cleanup(func() { release(held) })
	seen := map[int]bool{}
	for _, p := range all {
		for _, port := range []int{p.http, p.actor, p.gossip, p.nats, p.route} {
			assert.False(t, seen[port], "%d is given twice", port)
			seen[port] = true
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if assert.NoError(t, err) {
				assert.NoError(t, l.Close())
			}
		}
	}
}

func TestNoTwoClustersPickTheSamePorts(t *testing.T) {
	t.Parallel()
	for _, anyPort := range []bool{true, false} { // of the default ports, too, one has them at most
		first, held, err := choose(3, anyPort)
		require.NoError(t, err)
		t.Cleanup(func() { release(held) })
		const blocks = (maxPort - minPort) / span
		tried.Add(blocks - 3) // as another process might begin
		second, more, err := choose(3, anyPort)
		require.NoError(t, err)
		t.Cleanup(func() { release(more) })
		taken := map[int]bool{}
		for _, p := range append(first, second...) {
			for _, port := range []int{p.http, p.actor, p.gossip, p.nats, p.route} {
				assert.False(t, taken[port], "%d is given twice", port)
				taken[port] = true
			}
		}
	}
}

func TestAFolderHoldsOneCluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cluster")
	release, err := Lock(dir)
	require.NoError(t, err)
	_, err = Lock(dir)
	assert.Equal(t, fault.Conflict, fault.Of(err))
	require.ErrorContains(t, err, dir)
	release()
	release, err = Lock(dir)
	require.NoError(t, err)
	release()
}
