package node

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cluster/membership"
)

// presence turns who is here into events. A node says itself that it has
// joined, drains and has left. That one has vanished is said by whoever
// coordinates: all take note, for the coordinator may be the one who
// has vanished, and his successor says what happened before his term.
type presence struct {
	node *Node

	mu       sync.Mutex
	here     map[string]membership.Member
	vanished map[string]loss
	returned map[string]int // how often a member was given up and came back
}

// loss is a member that is not here any more.
type loss struct {
	member membership.Member
	reason string
	at     time.Time
}

// recently is how long a loss may wait for a coordinator to say it: well within
// the time in which the stream knows an event that it has.
const recently = 50 * time.Minute

// reasons why a node has left.
const (
	wasDrained = "drained"
	wasLost    = "lost"
)

func newPresence(n *Node) *presence {
	return &presence{node: n, here: map[string]membership.Member{}, vanished: map[string]loss{}, returned: map[string]int{}}
}

// changed takes in who is here now.
func (p *presence) changed(now []membership.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.here
	p.here = make(map[string]membership.Member, len(now))
	for _, m := range now {
		p.here[m.ID] = m
		delete(before, m.ID)
		if _, was := p.vanished[m.ID]; was {
			delete(p.vanished, m.ID)
			p.returned[m.ID]++
			p.ifLeading(func() { p.say("joined", m, "") })
		}
	}
	for id, m := range before {
		if m.State == membership.Starting {
			continue // it was never here
		}
		reason := wasLost
		if m.State == membership.Draining {
			reason = wasDrained
		}
		p.vanished[id] = loss{m, reason, p.node.cfg.Clock.Now()}
		p.ifLeading(func() { p.say("left", m, reason) })
	}
}

// lead says what happened before this node's term; the stream drops what a
// predecessor has said.
func (p *presence) lead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, l := range p.vanished {
		if p.node.cfg.Clock.Now().Sub(l.at) > recently {
			delete(p.vanished, id)
			continue
		}
		p.say("left", l.member, l.reason)
	}
}

func (p *presence) ifLeading(do func()) {
	if !p.node.ready.Load() || p.node.leader == nil {
		return
	}
	if _, leading := p.node.leader.Leading(); leading {
		do()
	}
}

// self says something of this node.
func (p *presence) self(event, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.say(event, p.node.members.Self(), reason)
}

// nodeEvent is what an event says of a node.
type nodeEvent struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Address string   `json:"address"`
	Roles   []string `json:"roles"`
	Slots   int      `json:"slots"`
	Memory  int64    `json:"memory_bytes"`
	Version string   `json:"version"`
	Reason  string   `json:"reason,omitempty"`
}

func (p *presence) say(event string, m membership.Member, reason string) {
	data, err := json.Marshal(nodeEvent{m.ID, m.Name, m.HTTP(), roles(m), m.Slots, m.MemoryBytes, m.Version, reason})
	if err != nil {
		p.node.cfg.Log.Error("event not made", slog.String("member", m.ID), slog.Any("err", err))
		return
	}
	id := m.ID + "." + event
	if n := p.returned[m.ID]; n > 0 {
		id = fmt.Sprintf("%s.%d", id, n)
	}
	p.node.news.say(note{subject: "node." + event, event: bus.Event{
		ID: id, Source: "troupe/nodes", Type: "troupe.node." + event, Subject: m.ID, Time: p.node.cfg.Clock.Now().UTC(), Data: data,
	}})
}
