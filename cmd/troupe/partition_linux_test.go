package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cluster/node"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/client"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/local"
	"github.com/troupe-ml/troupe/gateway/api"
)

// network is a switch with machines, each a network namespace with one cable,
// which share the disks. It is there only inside.
type network struct {
	t        *testing.T
	machines []*machine
	secret   string // the file
	token    string // that admits to everything
	servers  int
}

// machine is one of them, and the node that runs on it.
type machine struct {
	name, ip string
	ended    <-chan error
	cmd      *exec.Cmd
	log      *syncBuffer
	record   chan local.Record
}

// newNetwork makes a switch with n machines.
func newNetwork(t *testing.T, n, servers int) *network {
	t.Helper()
	if err := syscall.Mount("none", "/run", "tmpfs", 0, "size=1m"); err != nil { // where the names of networks are
		t.Skipf("the system permits no mounts: %v", err)
	}
	secret := []byte(hex.EncodeToString([]byte("a secret of this test")))
	w := &network{t: t, secret: filepath.Join(t.TempDir(), "secret"), servers: servers}
	require.NoError(t, os.WriteFile(w.secret, secret, 0o600))
	var err error
	w.token, err = node.Token(secret, api.Admin)
	require.NoError(t, err)
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "add", "switch", "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("the system permits no bridge: %s", out)
	}
	w.ip("link set lo up")
	w.ip("addr add 10.77.0.254/24 dev switch")
	w.ip("link set switch up")
	for i := range n {
		m := &machine{name: "m" + strconv.Itoa(i+1), ip: fmt.Sprintf("10.77.0.%d", i+1), log: &syncBuffer{}}
		w.machines = append(w.machines, m)
		w.ip("netns add %s", m.name)
		w.ip("link add %s type veth peer name eth0 netns %s", m.name, m.name)
		w.ip("link set %s master switch up", m.name)
		w.ip("-n %s link set lo up", m.name)
		w.ip("-n %s addr add %s/24 dev eth0", m.name, m.ip)
		w.ip("-n %s link set eth0 up", m.name)
	}
	return w
}

// ip runs the program of that name.
func (w *network) ip(format string, args ...any) {
	w.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	out, err := exec.CommandContext(context.Background(), "ip", words...).CombinedOutput()
	require.NoError(w.t, err, "ip %v: %s", words, out)
}

// cut takes the cable of a machine out of the switch: nothing that is sent to it
// or by it arrives, and nobody is told. mend puts it back.
func (w *network) cut(m *machine)  { w.ip("link set %s nomaster", m.name) }
func (w *network) mend(m *machine) { w.ip("link set %s master switch", m.name) }

// on makes a command run on a machine.
func (w *network) on(m *machine, cmd *exec.Cmd) *exec.Cmd {
	w.t.Helper()
	enter, err := exec.LookPath("nsenter")
	require.NoError(w.t, err)
	cmd.Args = append([]string{enter, "--net=/run/netns/" + m.name, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = enter
	return cmd
}

// start starts the nodes, of which the first are servers, and waits until all
// are ready. They end with the test.
func (w *network) start() *client.Client {
	w.t.Helper()
	p := newPlace(w.t)
	for i, m := range w.machines {
		role := "worker"
		if i < w.servers {
			role = "server,worker"
		}
		args := []string{
			"node", "-o", "json", "--name", m.name, "--data", filepath.Join(p.dir, m.name), "--role", role, "--servers", strconv.Itoa(w.servers),
			"--bind", m.ip, "--secret-file", w.secret, "--slots", "1", "--memory", "1GiB", "--store-size", "1GiB",
		}
		for _, other := range w.machines[:w.servers] {
			if other != m {
				args = append(args, "--join", other.ip+":7946")
			}
		}
		m.cmd = w.on(m, p.command(context.Background(), args...))
		m.cmd.Stderr = m.log
		out, in := io.Pipe()
		m.cmd.Stdout = in
		m.record = make(chan local.Record, 1)
		go func() {
			var r local.Record
			if json.NewDecoder(out).Decode(&r) == nil {
				m.record <- r
			}
			_, _ = io.Copy(io.Discard, out) // it says no more
		}()
		var started <-chan error
		started, m.ended = tied(m.cmd)
		require.NoError(w.t, <-started)
	}
	w.t.Cleanup(w.stop)
	cfg := client.DefaultConfig()
	cfg.Token = w.token
	for _, m := range w.machines {
		select {
		case r := <-m.record:
			cfg.Addresses = append(cfg.Addresses, r.HTTP)
		case <-time.After(patience):
			require.Fail(w.t, "not ready: "+m.name)
		}
	}
	c, err := client.New(cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, c.Close()) })
	return c
}

// stop ends the nodes.
func (w *network) stop() {
	for _, m := range w.machines {
		_ = m.cmd.Process.Kill() // it may have ended
		<-m.ended
		if w.t.Failed() {
			w.t.Logf("%s:\n%s", m.name, m.log)
		}
	}
}

// client returns one that knows all machines but one.
func (w *network) client(but *machine) *client.Client {
	cfg := client.DefaultConfig()
	cfg.Token = w.token
	for _, m := range w.machines {
		if m != but {
			cfg.Addresses = append(cfg.Addresses, m.ip+":8270")
		}
	}
	c, err := client.New(cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, c.Close()) })
	return c
}

// ready waits until so many nodes are ready, and returns the machine of the
// coordinator.
func (w *network) ready(c *client.Client, n int) (leader *machine) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		nodes, err := c.Nodes(w.t.Context())
		leader = nil
		ready := 0
		for _, n := range nodes {
			if n.State == "ready" {
				ready++
			}
			for _, m := range w.machines {
				if n.Leader && m.name == n.Name {
					leader = m
				}
			}
		}
		return err == nil && ready == n && leader != nil
	}, patience, 200*time.Millisecond)
	return leader
}

// leads reports whether the node coordinates, as it says itself.
func (m *machine) leads() bool {
	log := m.log.String()
	return strings.LastIndex(log, "msg=coordinating") > strings.LastIndex(log, "no longer coordinating")
}

// says waits for a text in a node's log.
func (m *machine) says(t *testing.T, text string) {
	t.Helper()
	assert.Eventually(t, func() bool { return strings.Contains(m.log.String(), text) }, patience, 50*time.Millisecond, "%s does not say %q", m.name, text)
}

func TestANetworkThatIsCutChangesNoByte(t *testing.T) {
	if testing.Short() {
		t.Skip("a network takes its time to be missed")
	}
	t.Parallel()
	if !inside(t, syscall.CLONE_NEWNET, "ip", "nsenter") {
		return
	}
	const servers = 3
	ts := newTrainings(t, 3, 30_000, 60)
	w := newNetwork(t, servers+1, servers)
	c := w.start()
	w.ready(c, servers+1)

	// A machine vanishes with the worker on it, without a word.
	worker := w.machines[servers]
	c = w.client(worker)
	hear, wait := whenTraining(func() { w.ip("-n %s link set eth0 down", worker.name) })
	end := finish(t, c, ts.specs[0], hear)
	assert.True(t, wait(), "it was too fast to be hit")
	assert.Equal(t, ts.digests[0], end.Digest, "a machine vanished")
	w.ip("-n %s link set eth0 up", worker.name)
	leader := w.ready(c, servers+1)

	// The server that coordinates is parted from the others.
	c = w.client(leader)
	led := false // on a busy machine another may have taken over meanwhile
	hear, wait = whenTraining(func() {
		led = leader.leads()
		w.cut(leader)
		leader.says(t, "1 of 3 servers can be reached from here")
		w.refuses(leader)
	})
	end = finish(t, c, ts.specs[1], hear)
	assert.True(t, wait(), "it was too fast to be hit")
	assert.Equal(t, ts.digests[1], end.Digest, "the majority goes on")
	if led {
		leader.says(t, "no longer coordinating")
	}
	w.mend(leader)
	leader.says(t, "enough servers are here again")
	w.ready(c, servers+1)
	end = finish(t, c, ts.specs[2], nil)
	assert.Equal(t, ts.digests[2], end.Digest, "all are together again")
}

// refuses checks that a machine apart takes no jobs.
func (w *network) refuses(m *machine) {
	t := w.t
	t.Helper()
	p := newPlace(t, "TROUPE_TOKEN="+w.token, "TROUPE_ADDRESS="+m.ip+":8270")
	p.write("spec.yaml", "kind: drift\nname: d\nreference: r\ncurrent: c\n")
	cmd := w.on(m, p.command(t.Context(), "run", "spec.yaml", "--patience", "1s"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	assert.Error(t, cmd.Run())
	assert.Equal(t, 4, cmd.ProcessState.ExitCode(), "%s", &stderr)
	assert.Empty(t, stdout.String())
	assert.Contains(t, stderr.String(), minoritySays)
}
