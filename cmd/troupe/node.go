package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/troupe-ml/troupe/cluster/node"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
)

// nodeFlags are the settings of a node as people write them.
type nodeFlags struct {
	cfg        node.Config
	roles      []string
	memory     string
	storeSize  string
	secretFile string
	tokensFile string
	logLevel   string
}

func (n *nodeFlags) flags(f *pflag.FlagSet) {
	c := &n.cfg
	f.StringVar(&c.DataDir, "data", c.DataDir, "the folder of the node's durable state")
	f.StringVar(&c.Cache, "cache", "", "the folder of prepared tables, which the nodes of one machine may share (default: cache in --data)")
	f.StringVar(&c.Scratch, "scratch", "", "a folder that all nodes share, under one path, for rows of windows on their way to training (default: none, they pass through the store)")
	f.StringVar(&c.Name, "name", c.Name, "what the node is called; the node's alone")
	f.StringSliceVar(&c.Join, "join", nil, "HOST:PORT of the gossip of any member; may be repeated")
	f.StringVar(&c.Bind, "bind", c.Bind, "the IP address to listen on; outside loopback a secret is needed")
	f.StringVar(&c.Advertise, "advertise", "", "the IP address that others reach the node at (default: --bind)")
	f.IntVar(&c.HTTPPort, "http-port", c.HTTPPort, "the port of HTTP; 0 takes any free one")
	f.IntVar(&c.ActorPort, "actor-port", c.ActorPort, "the port of actors; 0 takes any free one")
	f.IntVar(&c.GossipPort, "gossip-port", c.GossipPort, "the port of membership, TCP and UDP; 0 takes any free one")
	f.IntVar(&c.NATSPort, "nats-port", c.NATSPort, "the port of the store's clients, on servers; 0 takes any free one")
	f.IntVar(&c.RoutePort, "route-port", c.RoutePort, "the port between servers; 0 takes any free one")
	f.IntVar(&c.Servers, "servers", c.Servers, "how many servers keep the durable state: 1, 3 or 5")
	f.StringSliceVar(&n.roles, "role", nil, "server, worker or both (default: both)")
	f.IntVar(&c.Slots, "slots", c.Slots, "tasks at a time")
	f.StringVar(&n.memory, "memory", "", "memory for tasks, such as 8GiB (default: half of the machine's, or of its container's)")
	f.StringVar(&n.storeSize, "store-size", "", "the most disk that the durable state may take, such as 100GiB")
	f.StringVar(&n.secretFile, "secret-file", "", "a file with the secret that all members share")
	f.StringVar(&n.tokensFile, "tokens-file", "", "a JSON file of tokens and their roles: {\"TOKEN\": \"read|submit|admin\"}")
	f.StringVar(&c.NATSURL, "nats", "", "an external NATS with JetStream to use instead of embedded servers")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", c.DrainTimeout, "how long running tasks are waited for when the node is told to stop")
	f.StringVar(&n.logLevel, "log-level", "info", "what is logged: debug, info, warn or error")
}

// config returns the node's settings, with what they name read from files.
func (n *nodeFlags) config(a *app) (node.Config, error) {
	c := n.cfg
	c.Version, c.Clock, c.Files = version, a.clock, a.files
	var errs []error
	if n.roles != nil {
		c.Roles = nil
		for _, r := range n.roles {
			c.Roles = append(c.Roles, node.Role(r))
		}
	}
	for _, size := range []struct {
		flag, text string
		into       *int64
	}{{"memory", n.memory, &c.MemoryBytes}, {"store-size", n.storeSize, &c.StoreBytes}} {
		if size.text == "" {
			continue
		}
		b, err := parseBytes(size.text)
		if err != nil {
			errs = append(errs, fault.New(fault.Invalid, "--%s %s: %w", size.flag, size.text, err))
			continue
		}
		*size.into = b
	}
	if n.secretFile != "" {
		secret, err := os.ReadFile(n.secretFile)
		if err != nil {
			errs = append(errs, fault.New(fault.Invalid, "--secret-file: %w", err))
		}
		c.Secret = bytes.TrimSpace(secret)
	}
	if n.tokensFile != "" {
		tokens, err := readTokens(n.tokensFile)
		if err != nil {
			errs = append(errs, err)
		}
		c.Tokens = tokens
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(n.logLevel)); err != nil {
		errs = append(errs, fault.New(fault.Invalid, "--log-level %s: expected debug, info, warn or error", n.logLevel))
	}
	c.Log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	if err := c.Validate(); err != nil {
		errs = append(errs, err)
	}
	return c, fault.Wrap(fault.Invalid, errors.Join(errs...))
}

func readTokens(file string) (api.Tokens, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Invalid, "--tokens-file: %w", err)
	}
	var tokens api.Tokens
	if err := json.Unmarshal(text, &tokens); err != nil {
		return nil, fault.New(fault.Invalid, "--tokens-file %s: %w", file, err)
	}
	for _, role := range tokens {
		if role != api.Read && role != api.Submit && role != api.Admin {
			return nil, fault.New(fault.Invalid, "--tokens-file %s: the role %q is none: expected read, submit or admin", file, role)
		}
	}
	if len(tokens) == 0 { // which would let everybody in
		return nil, fault.New(fault.Invalid, "--tokens-file %s: there is no token in it", file)
	}
	return tokens, nil
}

// parseBytes reads a size: a number of bytes, or one with a unit such as 8GiB
// or 500MB.
func parseBytes(text string) (int64, error) {
	units := []struct {
		name  string
		bytes float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		var n float64
		var rest string
		if count, _ := fmt.Sscanf(strings.TrimSpace(number)+" .", "%g %s", &n, &rest); count != 2 || rest != "." || n < 0 || n*u.bytes > 1<<62 {
			return 0, fault.New(fault.Invalid, "expected a size such as 8GiB or 500MB")
		}
		return int64(n * u.bytes), nil
	}
	return 0, fault.New(fault.Invalid, "expected a size such as 8GiB or 500MB")
}

// addressFile is where a node writes how it is reached, and its process id.
const addressFile = "node.json"

// nodeRecord is the content of that file.
type nodeRecord struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	node.Addresses
}

func (a *app) nodeCommand() *cobra.Command {
	n := &nodeFlags{cfg: node.DefaultConfig()}
	c := a.verb("node", "Be one node of a cluster", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		cfg, err := n.config(a)
		if err != nil {
			return err
		}
		return a.serve(ctx, cfg)
	})
	n.flags(c.Flags())
	return c
}

// serve runs a node until it is told to stop, or stops by itself.
func (a *app) serve(ctx context.Context, cfg node.Config) error {
	running, err := node.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer running.Close()
	record := nodeRecord{Name: cfg.Name, PID: os.Getpid(), Addresses: running.Addresses()}
	path := filepath.Join(cfg.DataDir, addressFile)
	if err := writeJSON(path, record); err != nil {
		return err
	}
	defer os.Remove(path) //nolint:errcheck // the next start writes it anew
	if err := a.result(record); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- running.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		a.say("node %s: draining", cfg.Name)
		if err := running.Drain(context.WithoutCancel(ctx)); err != nil {
			a.say("node %s: not everything was handed over: %v", cfg.Name, err)
		}
		running.Close()
		return <-ended
	}
}

// writeJSON makes a small file appear whole.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path+".tmp", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(path+".tmp", path)
}
