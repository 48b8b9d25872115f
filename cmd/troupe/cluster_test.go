package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/client"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/embedded"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/local"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// testCluster is a cluster of real processes of a test's own.
type testCluster struct {
	*local.Cluster
	t      *testing.T
	client *client.Client
	log    *syncBuffer
}

// syncBuffer is a log that several processes write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startCluster starts so many nodes, of which some are servers, and ends them
// with the test.
func startCluster(t *testing.T, nodes, servers int) *testCluster {
	t.Helper()
	return startClusterOn(t, t.TempDir(), nodes, servers)
}

// startClusterOn is startCluster with a folder for the nodes' data and more flags
// for all of them.
func startClusterOn(t *testing.T, dir string, nodes, servers int, flags ...string) *testCluster {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	log := &syncBuffer{}
	c, err := local.Start(t.Context(), local.Config{
		Program: program, Dir: dir, Nodes: nodes, Servers: servers, AnyPort: true, Log: log, Clock: clock.Real{}, StartTimeout: 2 * time.Minute,
		Args: append([]string{"--store-size", "2GiB"}, flags...),
	})
	require.NoError(t, err, "%s", log)
	tc := &testCluster{Cluster: c, t: t, log: log}
	t.Cleanup(func() {
		for i := range c.Records {
			_ = c.Signal(i, syscall.SIGCONT) // it may have ended
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Log(err)
		}
		if t.Failed() {
			t.Log(log)
		}
		if s := log.String(); strings.Contains(s, "DATA RACE") || strings.Contains(s, "task panicked") {
			t.Errorf("a node has raced or panicked:\n%s", s)
		}
	})
	cfg := client.DefaultConfig()
	for _, r := range c.Records {
		cfg.Addresses = append(cfg.Addresses, r.HTTP)
	}
	tc.client, err = client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tc.client.Close() })
	return tc
}

// leader returns the place of the node that coordinates, or -1.
func (c *testCluster) leader() int {
	nodes, err := c.client.Nodes(c.t.Context())
	if err != nil {
		return -1
	}
	for _, n := range nodes {
		if n.Leader {
			return c.place(n.Name)
		}
	}
	return -1
}

func (c *testCluster) place(name string) int {
	for i, r := range c.Records {
		if r.Name == name {
			return i
		}
	}
	return -1
}

// workload is data, specs, and what they must come to.
type workload struct {
	dir     string
	digests map[string]string // by kind
}

const workloadSpecs = `kind: features
name: transactions
input: september
output: OUT/features
target: is_fraud
entity: user_id
timestamp: ts
features:` + demoFeatures + demoWindows + `---
kind: train
name: fraud
input: september
target: is_fraud
task: binary
split: {by: time, column: ts, validation: 0.1, test: 0.2}
model: {type: mlp, hidden: [64, 32], dropout: 0.2}
epochs: EPOCHS
batch_size: 512
features:` + demoFeatures + `---
kind: predict
name: score
model: MODEL
input: october
output: OUT/scored
keep: [transaction_id, user_id]
---
kind: drift
name: october
reference: september
current: october
columns: {exclude: [transaction_id, user_id, ts]}
threshold: {share: 0.2}
report: OUT/drift.html
`

// specs returns the four jobs, writing below a folder.
func (w *workload) specs(t *testing.T, out string, epochs int) []spec.Spec {
	t.Helper()
	text := strings.NewReplacer("OUT", out, "EPOCHS", fmt.Sprint(epochs)).Replace(workloadSpecs)
	specs, err := spec.Parse("workload.yaml", []byte(text))
	require.NoError(t, err)
	for i := range specs {
		specs[i] = specs[i].Resolve(w.dir)
	}
	return specs
}

// newWorkload generates data and runs the jobs in this process: the oracle.
func newWorkload(t *testing.T, rows int64, epochs int) *workload {
	t.Helper()
	w := &workload{dir: t.TempDir(), digests: map[string]string{}}
	a := newApp()
	for i, month := range []string{"september", "october"} {
		g := generate.DefaultConfig()
		g.Rows, g.RowsPerGroup, g.Drift = rows>>uint(i), int(rows/16), float64(i)
		require.NoError(t, a.generate(t.Context(), g, filepath.Join(w.dir, month), 2))
	}
	e, err := embedded.Open(embedded.Config{Dir: filepath.Join(w.dir, "embedded"), Slots: 2, Version: version, Body: a.body, Clock: clock.Real{}, Log: a.log()})
	require.NoError(t, err)
	defer func() { _ = e.Close() }()
	for kind, s := range w.runAll(t, e, filepath.Join(w.dir, "alone"), epochs, nil) {
		w.digests[kind] = s.Digest
	}
	require.Len(t, w.digests, 4)
	return w
}

// runAll runs the four jobs on a backend; hear is told of every update.
func (w *workload) runAll(t *testing.T, b backend.Backend, out string, epochs int, hear func(kind string, u backend.Update)) map[string]run.Summary {
	t.Helper()
	model := ""
	ends := map[string]run.Summary{}
	for _, s := range w.specs(t, out, epochs) {
		s = demoModel(s, model)
		sum, err := b.Submit(t.Context(), s)
		require.NoError(t, err)
		end, err := b.Watch(t.Context(), sum.Job, func(u backend.Update) {
			if hear != nil {
				hear(string(s.Kind), u)
			}
		})
		require.NoError(t, err)
		require.Equal(t, jobs.Done.String(), end.Status, "%s: %+v", s.Kind, end.Error)
		if end.ModelURI != "" {
			model = end.ModelURI
		}
		ends[string(s.Kind)] = end
	}
	return ends
}

func TestAClusterOfAnySizeGivesTheBytesOfTheEmbeddedEngine(t *testing.T) {
	t.Parallel()
	const epochs = 2
	w := newWorkload(t, 40_000, epochs)
	sizes := []int{1, 2, 3, 5}
	if testing.Short() {
		sizes = []int{2}
	}
	for _, nodes := range sizes {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			c := startCluster(t, nodes, 1)
			ends := w.runAll(t, c.client, t.TempDir(), epochs, nil)
			for kind, digest := range w.digests {
				require.Equal(t, digest, ends[kind].Digest, kind)
			}
		})
	}
}
