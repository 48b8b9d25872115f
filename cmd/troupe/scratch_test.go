package main

import (
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/embedded"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

const trainOverWindows = `kind: train
name: habits
input: payments
target: is_fraud
task: binary
entity: user_id
timestamp: ts
features:
  - {name: before, op: lag, of: amount}
  - {name: usual, op: rolling_mean, of: amount, window: 30d}
model: {type: linear}
`

// A train job on a cluster has the rows of its windows in the folder that its
// workers share. Whether a worker is killed while it writes there, or the job is
// cancelled, nothing is left, and the model is the one of a single process.
func TestNothingIsLeftInTheScratchFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newApp()
	g := generate.DefaultConfig()
	g.Rows, g.RowsPerGroup = 800_000, 50_000
	require.NoError(t, a.generate(t.Context(), g, filepath.Join(dir, "payments"), 2))
	parsed, err := spec.Parse("train.yaml", []byte(trainOverWindows))
	require.NoError(t, err)
	train := parsed[0].Resolve(dir)
	e, err := embedded.Open(embedded.Config{Dir: filepath.Join(dir, "embedded"), Slots: 2, Version: version, Body: a.body, Clock: clock.Real{}, Log: a.log()})
	require.NoError(t, err)
	defer func() { _ = e.Close() }()
	alone, err := e.Submit(t.Context(), train)
	require.NoError(t, err)
	alone, err = e.Watch(t.Context(), alone.Job, func(backend.Update) {})
	require.NoError(t, err)
	require.Equal(t, jobs.Done.String(), alone.Status, "%+v", alone.Error)

	c := startClusterOn(t, filepath.Join(dir, "cluster"), 3, 1, "--slots", "1")
	staged := func(pattern string) []string {
		found, err := filepath.Glob(filepath.Join(dir, "cluster/scratch", pattern))
		require.NoError(t, err)
		return found
	}
	begin := func() run.Summary {
		j, err := c.client.Submit(t.Context(), train)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(staged(j.Job+"/*-partition-0-*.blocks")) > 0 }, patience, time.Millisecond)
		return j
	}

	cancelled := begin()
	_, err = c.client.Cancel(t.Context(), cancelled.Job)
	require.NoError(t, err)
	end, err := c.client.Watch(t.Context(), cancelled.Job, func(backend.Update) {})
	require.NoError(t, err)
	require.Equal(t, jobs.Cancelled.String(), end.Status)
	require.Eventually(t, func() bool { return len(staged("*")) == 0 }, patience, 20*time.Millisecond, "of the job that was cancelled")

	whole := begin()
	require.NoError(t, c.Signal(2, syscall.SIGKILL))
	end, err = c.client.Watch(t.Context(), whole.Job, func(backend.Update) {})
	require.NoError(t, err)
	require.Equal(t, jobs.Done.String(), end.Status, "%+v", end.Error)
	require.Equal(t, alone.Digest, end.Digest)
	lines, err := c.client.History(t.Context(), whole.Job)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(lines, func(l api.LogLine) bool { return l.Event == "task lost" }), "the killed node was at work")
	require.Empty(t, staged("*"))
}
