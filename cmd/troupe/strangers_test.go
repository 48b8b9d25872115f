package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/cluster/membership"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// stranger is a node that asks to join, with other flags than the members have.
func (p *place) stranger(gossip string, flags ...string) result {
	p.t.Helper()
	return p.run(append([]string{
		"node", "--name", "stranger", "--data", "stranger", "--role", "worker", "--join", gossip,
		"--http-port", "0", "--actor-port", "0", "--gossip-port", "0", "--nats-port", "0", "--route-port", "0",
	}, flags...)...)
}

// unharmed checks that a cluster has the members that it had, and works.
func (c *testCluster) unharmed(p *place, flags ...string) {
	p.t.Helper()
	assert.EventuallyWithT(p.t, func(t *assert.CollectT) { // word of what a node does gets around in a moment
		nodes := p.ok(append([]string{"nodes", "list"}, flags...)...)[""].([]any)
		assert.Len(t, nodes, len(c.Records))
		for _, n := range nodes {
			assert.Equal(t, "ready", n.(map[string]any)["state"])
		}
	}, patience, 200*time.Millisecond)
}

func TestWhoHasAnotherSecretOrNoTokenIsTurnedAway(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("secret", strings.Repeat("a", 32)+"\n")
	p.write("other", strings.Repeat("b", 32)+"\n")
	p.write("tokens.json", `{"reader": "read", "boss": "admin"}`)
	p.write("spec.yaml", "kind: drift\nname: d\nreference: r\ncurrent: c\n")
	c := startClusterOn(t, t.TempDir(), 2, 1, "--secret-file", p.dir+"/secret", "--tokens-file", p.dir+"/tokens.json")
	p.env = []string{"TROUPE_ADDRESS=" + c.Records[0].HTTP}
	c.unharmed(p, "--token", "boss")
	for _, flags := range [][]string{{"--secret-file", "other"}, nil} {
		r := p.stranger(c.Records[1].Gossip, flags...)
		assert.Equal(t, 2, r.code, r.stderr)
		assert.Empty(t, r.stdout)
		assert.Contains(t, r.stderr, "do all nodes have the same secret")
		assert.Contains(t, r.stderr, c.Records[1].Gossip)
	}
	for _, args := range [][]string{
		{"nodes", "list"},
		{"nodes", "list", "--token", "guessed"},
		{"run", "spec.yaml"},
		{"run", "spec.yaml", "--token", "reader"},
		{"nodes", "drain", "n2", "--token", "reader"},
	} {
		r := p.run(args...)
		assert.Equal(t, 4, r.code, "%v: %s", args, r.stderr)
		assert.Empty(t, r.stdout)
		assert.Contains(t, r.stderr, "with role", "%v", args)
	}
	c.unharmed(p, "--token", "reader")
}

func TestWhoSpeaksAnotherVersionIsTurnedAway(t *testing.T) {
	t.Parallel()
	p := newPlace(t, asVersion+"=1.4.0")
	first := p.begin("node", "--name", "first", "-o", "json", "--http-port", "0", "--actor-port", "0", "--gossip-port", "0", "--nats-port", "0", "--route-port", "0")
	first.until("the node was ready", func(stdout, _ string) bool { return json.Valid([]byte(stdout)) })
	stdout, _ := first.text()
	record := one(t, stdout)
	gossip, address := record["gossip"].(string), record["http"].(string)

	p.env = []string{asVersion + "=2.0.0"}
	r := p.stranger(gossip)
	assert.Equal(t, 2, r.code, r.stderr)
	assert.Empty(t, r.stdout)
	assert.Contains(t, r.stderr, "this is version 2.0.0, member first is 1.4.0: they do not work together; install one version on all nodes")

	err := joinAs(t, gossip, wire.Protocol+1)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, fmt.Sprintf("this node speaks version %d of the protocol (troupe 1.4.9), member first version %d (troupe 1.4.0)", wire.Protocol+1, wire.Protocol))

	p.env = []string{asVersion + "=1.5.0"}
	second := p.begin("node", "--name", "second", "--data", "second", "--role", "worker", "--join", gossip, "-o", "json", "--http-port", "0", "--actor-port", "0", "--gossip-port", "0")
	second.until("a node of a later minor version was ready", func(stdout, _ string) bool { return json.Valid([]byte(stdout)) })
	assert.Len(t, p.ok("nodes", "list", "--address", address)[""], 2, "nobody else was let in")
}

// joinAs joins a cluster from this process, as a member of another protocol does.
func joinAs(t *testing.T, gossip string, protocol int) error {
	t.Helper()
	id, err := membership.NewID()
	require.NoError(t, err)
	m, err := membership.Start(membership.Config{
		Self: membership.Member{ID: id, Name: "stranger", Host: "127.0.0.1", Worker: true, Version: "1.4.9", Protocol: protocol},
		Bind: "127.0.0.1", Seeds: []string{gossip}, Log: slog.New(slog.DiscardHandler), Clock: clock.Real{},
	})
	require.NoError(t, err)
	defer m.Close()
	_, err = m.Join(t.Context())
	return err
}
