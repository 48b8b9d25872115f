package node

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
)

const patience = 60 * time.Second // only a failing test waits so long

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// anyPort is a node on loopback that takes what ports are free.
func anyPort(dir string) Config {
	c := DefaultConfig()
	c.DataDir, c.Name = dir, "alone"
	c.HTTPPort, c.ActorPort, c.GossipPort, c.NATSPort, c.RoutePort = 0, 0, 0, 0, 0
	c.StoreBytes = 1 << 30
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return c
}

func get(t *testing.T, n *Node, path string, into any) {
	t.Helper()
	call(t, n, http.MethodGet, path, nil, http.StatusOK, into)
}

func call(t *testing.T, n *Node, method, path string, body []byte, want int, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, "http://"+n.Addresses().HTTP+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, want, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, b)
	}
}

// The conversation's library keeps state for the whole process, so that nodes
// have to be tested one after the other: this is the only test that starts any.
func TestANode(t *testing.T) {
	dir := t.TempDir()
	began := clock.Real{}.Now()
	n, err := Start(soon(t), anyPort(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	t.Logf("ready after %v", clock.Real{}.Now().Sub(began))
	var nodes struct {
		Nodes []struct {
			Name, State string
			Leader      bool
			Roles       []string
		} `json:"nodes"`
	}
	for ctx := soon(t); ; {
		get(t, n, "/v1/nodes", &nodes)
		if len(nodes.Nodes) == 1 && nodes.Nodes[0].Leader || ctx.Err() != nil {
			break
		}
	}
	t.Logf("%+v", nodes)
	n.Close()
}
