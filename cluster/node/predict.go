package node

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"

	"github.com/troupe-ml/troupe/actors/predictor"
	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cluster/membership"
	"github.com/troupe-ml/troupe/gateway/api"
)

// openOracle begins to keep deployed models warm.
func (n *Node) openOracle(context.Context) (err error) {
	pc := predictor.DefaultConfig()
	pc.Loops = runtime.GOMAXPROCS(0)
	n.oracle, err = predictor.Start(predictor.Parts{
		Config: pc, System: n.system, Registry: n.registry, Blobs: n.store.Blobs, Peers: n.peers, Clock: n.cfg.Clock, Log: n.cfg.Log, Metrics: n.metrics,
	})
	if err != nil {
		return err
	}
	n.onClose(n.oracle.Close)
	stop, err := n.bus.Hear(bus.DeployedSubject, func([]byte) {
		n.oracle.Refresh()
		n.releases.changed()
	})
	if err != nil {
		return err
	}
	n.onClose(stop)
	return nil
}

// peers returns the other members that predict.
func (n *Node) peers() []predictor.Peer {
	var peers []predictor.Peer
	for _, m := range n.members.Members() {
		if m.ID != n.id && m.State == membership.Ready {
			peers = append(peers, predictor.Peer{Address: m.Actor(), Boot: m.ID})
		}
	}
	return peers
}

// oracle is the node's predictor as its doors see it.
type oracle struct{ n *Node }

var _ api.Predictor = oracle{}

// Predict implements api.Predictor.
func (o oracle) Predict(ctx context.Context, model string, rows []json.RawMessage) ([]api.Answer, error) {
	found, err := o.n.oracle.Predict(ctx, model, rows)
	var fields predictor.FieldErrors
	if errors.As(err, &fields) {
		bad := make(api.FieldErrors, len(fields))
		for i, f := range fields {
			bad[i] = api.FieldError{Row: f.Row, Field: f.Field, Message: f.Message}
		}
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	answers := make([]api.Answer, len(found))
	for i, a := range found {
		answers[i] = api.Answer(a)
	}
	return answers, nil
}

// Served implements api.Predictor.
func (o oracle) Served() []string { return o.n.oracle.Served() }

// Refresh implements api.Predictor: all nodes look, for all of them predict.
func (o oracle) Refresh() {
	o.n.oracle.Refresh()
	o.n.bus.Say(bus.DeployedSubject, nil)
}
