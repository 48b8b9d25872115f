package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cluster/node"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/local"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
)

// upFlags are the settings of a local cluster.
type upFlags struct {
	nodes, servers int
	data           string
	slots          int
	memory         string
	timeout        time.Duration
}

// clusterFile is where `troupe up` writes who was started.
const clusterFile = "cluster.json"

// minNodeBytes is the least memory for tasks that a node starts with.
const minNodeBytes = 64 << 20

// started is the content of that file, and the result of the verb.
type started struct {
	PID     int            `json:"pid"`
	Address string         `json:"address"`
	Nodes   []local.Record `json:"nodes"`
}

// Sections says where the nodes are and how to use them.
func (s started) Sections() []render.Section {
	t := render.Section{Columns: render.Left("node", "pid", "http", "gossip", "nats")}
	for _, n := range s.Nodes {
		t.Rows = append(t.Rows, []string{n.Name, strconv.Itoa(n.PID), n.HTTP, n.Gossip, n.NATS})
	}
	return []render.Section{t, {Text: "API and documentation: http://" + s.Address + "/docs\nto use it:             export TROUPE_ADDRESS=" + s.Address + "\nto stop it:            Ctrl-C\n"}}
}

func (a *app) upCommand() *cobra.Command {
	u := &upFlags{}
	c := a.verb("up", "Start a cluster of node processes on this machine", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return a.up(ctx, u)
	})
	c.Flags().IntVar(&u.nodes, "nodes", 3, "how many processes")
	c.Flags().IntVar(&u.servers, "servers", 1, "how many of them keep the durable state: 1, 3 or 5; with 3, any one may die")
	c.Flags().StringVar(&u.data, "data", "", "the folder of the nodes' data (default: cluster in the project folder)")
	c.Flags().IntVar(&u.slots, "slots", 0, "tasks at a time of each node (default: one per core)")
	c.Flags().StringVar(&u.memory, "memory", "", "memory for tasks of each node, such as 2GiB (default: its share of half the machine's)")
	c.Flags().DurationVar(&u.timeout, "start-timeout", time.Minute, "how long the nodes have to become ready")
	return c
}

func (a *app) up(ctx context.Context, u *upFlags) error {
	if u.servers != 1 && u.servers != 3 && u.servers != 5 {
		return fault.New(fault.Invalid, "--servers %d: expected 1, 3 or 5", u.servers)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	dir := u.data
	if dir == "" {
		dir = filepath.Join(a.dir, "cluster")
	}
	release, err := local.Lock(dir)
	if err != nil {
		return err
	}
	defer release()
	logs, err := os.OpenFile(filepath.Join(dir, "nodes.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	defer logs.Close() //nolint:errcheck // the nodes have written it
	var args []string
	if u.slots != 0 {
		args = append(args, "--slots", strconv.Itoa(u.slots))
	}
	if u.memory == "" { // they share one machine
		u.memory = strconv.FormatInt(max(node.DefaultConfig().MemoryBytes/int64(max(u.nodes, 1)), minNodeBytes), 10)
	}
	args = append(args, "--memory", u.memory)
	c, err := local.Start(ctx, local.Config{
		Program: program, Dir: dir, Nodes: u.nodes, Servers: u.servers, Args: args, Log: logs, Clock: a.clock, StartTimeout: u.timeout,
	})
	if err != nil {
		return a.withLog(err, logs.Name())
	}
	s := started{PID: os.Getpid(), Address: c.Records[0].HTTP, Nodes: c.Records}
	file := filepath.Join(dir, clusterFile)
	err = writeJSON(file, s)
	if err == nil {
		defer os.Remove(file) //nolint:errcheck // the next start writes it anew
		err = a.result(s)
	}
	return errors.Join(err, a.attend(ctx, c, err != nil))
}

// withLog shows the end of the nodes' log beside an error.
func (a *app) withLog(err error, path string) error {
	text, rerr := os.ReadFile(path)
	if rerr != nil || len(text) == 0 {
		return err
	}
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	a.say("%s", text)
	return err
}

// attend tells of nodes that end, until ctx does or none is left; then it lets
// the rest drain.
func (a *app) attend(ctx context.Context, c *local.Cluster, stop bool) error {
	for !stop && c.Running() > 0 {
		select {
		case e := <-c.Exits:
			why := "it was drained"
			if e.Err != nil {
				why = e.Err.Error()
			}
			a.say("node %s (process %d) has ended: %s; %s left", e.Name, e.PID, why, count(c.Running(), "node"))
		case <-ctx.Done():
			a.say("draining %s; Ctrl-C again ends them without", count(c.Running(), "node"))
			stop = true
		}
	}
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 45*time.Second)
	defer cancel()
	if err := c.Stop(fresh); err != nil {
		return err
	}
	if ctx.Err() == nil && !stop {
		return exit.With(exit.Failed, fault.New(fault.Internal, "every node has ended"))
	}
	return nil
}
