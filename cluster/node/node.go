package node

import (
	"context"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Addresses are where a node that has started is reached, as HOST:PORT.
type Addresses struct {
	HTTP   string `json:"http"`
	Actor  string `json:"actor"`
	Gossip string `json:"gossip"`
	NATS   string `json:"nats,omitempty"`  // of a server with an embedded store
	Route  string `json:"route,omitempty"` // of one among several
}

// Node is one running process of a cluster.
type Node struct {
	cfg       Config
	addresses Addresses
}

// Start starts a node and returns when it is ready: its store answers, and it
// serves. The errors are of kind Invalid when a setting is wrong (also a secret
// or version that the cluster does not share), Conflict when a port or the
// data folder is in use, and Unavailable when no member answers before ctx ends.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Canceled, err)
	}
	return nil, fault.New(fault.Unavailable, "node: start is not written yet")
}

// Addresses returns where the node is reached.
func (n *Node) Addresses() Addresses { return n.addresses }

// Wait blocks until the node has ended: by Close, by a drain that was asked for
// over HTTP, or by an error of its own, which it returns.
func (n *Node) Wait() error { return nil }

// Drain takes no new tasks, waits for those that run until ctx ends or the
// DrainTimeout has passed, gives up the lease and tells the members that the
// node leaves. Close follows it.
func (n *Node) Drain(ctx context.Context) error { return ctx.Err() }

// Close ends the node at once and frees what it holds. It may be called again.
func (n *Node) Close() {}
