package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
)

// releases turns the histories of models into events. They are read from the
// registry by whoever coordinates, so that none is lost when the node that was
// asked to deploy dies before it could say so.
type releases struct {
	node *Node
	look chan struct{}        // has an item when there may be something new
	said map[string]time.Time // events of this term, by id
}

func newReleases(n *Node) *releases {
	return &releases{node: n, look: make(chan struct{}, 1), said: map[string]time.Time{}}
}

// releasesEvery is how often the histories are read without being asked to.
const releasesEvery = time.Minute

// changed says that a model may have changed.
func (r *releases) changed() {
	select {
	case r.look <- struct{}{}:
	default:
	}
}

// run looks until ctx ends.
func (r *releases) run(ctx context.Context) {
	tick := r.node.cfg.Clock.NewTicker(releasesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C():
		case <-r.look:
		}
		if r.node.leader == nil {
			continue
		}
		if _, leading := r.node.leader.Leading(); !leading {
			clear(r.said)
			continue
		}
		if err := r.tell(ctx); err != nil && ctx.Err() == nil {
			r.node.cfg.Log.Warn("histories of models cannot be read", slog.Any("err", err))
		}
	}
}

func (r *releases) tell(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	all, err := r.node.registry.Models.List(limit)
	if err != nil {
		return err
	}
	now := r.node.cfg.Clock.Now()
	for id, at := range r.said {
		if now.Sub(at) > recently {
			delete(r.said, id)
		}
	}
	for _, m := range all {
		for _, e := range released(m) {
			if _, said := r.said[e.event.ID]; said || now.Sub(e.event.Time) > recently {
				continue
			}
			r.said[e.event.ID] = e.event.Time
			r.node.news.say(e)
		}
	}
	return nil
}

// release is what an event says of a model.
type release struct {
	Model       string `json:"model"`
	Version     int    `json:"version,omitempty"` // none when an environment is left without a model
	ModelURI    string `json:"model_uri,omitempty"`
	Run         string `json:"run,omitempty"`
	Digest      string `json:"digest,omitempty"`
	Environment string `json:"environment,omitempty"`
	Previous    int    `json:"previous,omitempty"` // the version that the environment had
	By          string `json:"by,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

// released returns all that has happened to a model: its versions in order, then
// the moves of each environment.
func released(m models.Model) []note {
	var out []note
	add := func(event, id string, at time.Time, r release) {
		if r.Model = m.Name; r.Version > 0 {
			r.ModelURI = registry.URI{Model: m.Name, Version: r.Version}.String()
		}
		data, err := json.Marshal(r)
		if err != nil {
			return // plain words always encode
		}
		out = append(out, note{subject: "model." + event, event: bus.Event{
			ID: fmt.Sprintf("model.%s.%s.%s", m.Name, id, event), Source: "troupe/models", Type: "troupe.model." + event, Subject: m.Name, Time: at, Data: data,
		}})
	}
	for _, v := range m.Versions {
		add("registered", fmt.Sprint(v.Number), v.Created, release{Version: v.Number, Run: string(v.Run), Digest: string(v.Digest)})
	}
	for _, a := range m.Aliases {
		previous := 0
		for i, move := range a.History {
			event := "deployed"
			switch {
			case move.Version == 0:
				event = "undeployed"
			case move.Back:
				event = "rolled_back"
			}
			add(event, fmt.Sprintf("%s.%d", a.Name, i), move.Time, release{Version: move.Version, Environment: a.Name, Previous: previous, By: move.By, Reason: move.Reason})
			previous = move.Version
		}
	}
	return out
}
