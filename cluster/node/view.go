package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cluster/membership"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/store"
)

// view is the cluster as the HTTP door of this node sees it.
type view Node

var _ api.Cluster = (*view)(nil)

// Nudge implements api.Cluster.
func (v *view) Nudge() {
	if v.leader != nil {
		if _, leading := v.leader.Leading(); leading {
			v.leader.Nudge()
			return
		}
	}
	v.worker.Nudge()
}

// health is how a node says it is.
type health struct {
	ID      string `json:"id"`
	Running int    `json:"running"`
}

// status answers how this node is.
func (n *Node) status([]byte) []byte {
	b, err := json.Marshal(health{n.id, n.worker.Busy()})
	if err != nil {
		return nil
	}
	return b
}

// healthWait is how long Nodes waits for the others to say how they are.
const healthWait = 400 * time.Millisecond

// Nodes implements api.Cluster. A node that does not say how it is is suspect.
func (v *view) Nodes(ctx context.Context) ([]api.Node, error) {
	members := v.members.Members()
	limit, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	answers, err := v.bus.Gather(limit, bus.StatusSubject, nil, len(members))
	if err != nil {
		v.cfg.Log.Warn("nodes do not say how they are", slog.Any("err", err))
	}
	healthy := map[string]health{}
	for _, a := range answers {
		var h health
		if json.Unmarshal(a, &h) == nil {
			healthy[h.ID] = h
		}
	}
	leader := v.worker.Leader().Member
	nodes := make([]api.Node, 0, len(members))
	for _, m := range members {
		h, ok := healthy[m.ID]
		nodes = append(nodes, api.Node{
			ID: m.ID, Name: m.Name, Address: m.HTTP(), Roles: roles(m), Slots: m.Slots, Memory: m.MemoryBytes, Version: m.Version,
			State: state(m, ok), Leader: m.ID == leader, PID: m.PID, Running: h.Running,
		})
	}
	return nodes, nil
}

func roles(m membership.Member) []string {
	var r []string
	if m.Server {
		r = append(r, string(Server))
	}
	if m.Worker {
		r = append(r, string(Worker))
	}
	return r
}

func state(m membership.Member, answers bool) string {
	switch {
	case m.State == membership.Starting:
		return "starting"
	case !answers:
		return "suspect"
	default:
		return m.State
	}
}

// Drain implements api.Cluster.
func (v *view) Drain(_ context.Context, node string) error {
	members := v.members.Members()
	found := slices.DeleteFunc(slices.Clone(members), func(m membership.Member) bool { return m.ID != node && m.Name != node })
	switch {
	case len(found) == 0:
		names := make([]string, len(members))
		for i, m := range members {
			names[i] = m.Name
		}
		return fault.New(fault.NotFound, "drain: there is no node %s; here are %s", node, strings.Join(names, ", "))
	case len(found) > 1:
		return fault.New(fault.Conflict, "drain: %d nodes are called %s: name one by its id, such as %s", len(found), node, found[0].ID)
	case found[0].ID == v.id:
		(*Node)(v).ask("a person asked this node")
		return nil
	default:
		return v.worker.AskDrain(found[0].Actor(), found[0].ID, "a person asked "+v.cfg.Name)
	}
}

// Watch implements api.Cluster.
func (v *view) Watch(ctx context.Context, job string, fn func(api.Progress)) error {
	if store.CheckName(job) != nil || strings.Contains(job, ".") {
		return fault.New(fault.NotFound, "job %s: there is no such job", job)
	}
	stop, err := v.bus.Hear(bus.ProgressPrefix+job, func(b []byte) {
		var p api.Progress
		if json.Unmarshal(b, &p) == nil {
			fn(p)
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	<-ctx.Done()
	return ctx.Err()
}

// progress passes on how far a task is, to whoever watches its job.
func (n *Node) progress(p jobs.Progress) {
	b, err := json.Marshal(api.Progress{Job: string(p.Ref.Job), Task: string(p.Ref.Task), Rows: p.Rows, Total: p.Total, Text: p.Text})
	if err == nil {
		n.bus.Say(bus.ProgressPrefix+string(p.Ref.Job), b)
	}
}
