package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// resize gives a disk another size.
func resize(t *testing.T, dir, size string) {
	t.Helper()
	require.NoError(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size))
}

// nothingVisible checks that nobody takes what is in a folder for an output.
func nothingVisible(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"_manifest.json", "part-*", "*.html", ".tmp-*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		assert.Empty(t, found)
	}
}

// onFullDisks runs jobs whose output is on a full disk: each fails and says so,
// nobody sees half of an output, and the same job gives the right bytes when
// there is room.
func (p *place) onFullDisks(model string, digests map[string]any) {
	t := p.t
	t.Helper()
	for _, job := range []struct {
		kind, size string
		args       []string
	}{
		{"features", "64k", []string{"features", "run", "-f", "features.yaml", "--out"}},
		{"predict", "64k", []string{"predict", "--model", model, "--input", "data/october", "--out"}},
		{"drift", "4k", []string{"drift", "check", "--reference", "data/september", "--current", "data/september", "--set", "columns.exclude=[ts]", "--report"}},
	} {
		full := disk(t, job.size)
		out := filepath.Join(full, "out")
		r := p.run(append(job.args, out, "-q", "-o", "json")...)
		assert.Equal(t, 1, r.code, "%s: %s", job.kind, r.stderr)
		assert.Equal(t, "failed", one(t, r.stdout)["status"])
		assert.Contains(t, r.stderr, "no space left on device: free some")
		assert.Contains(t, r.stderr, out)
		nothingVisible(t, out)
		nothingVisible(t, full)
		assert.NotEqual(t, 0, p.run("verify", out).code)
		resize(t, full, "64m")
		got := p.ok(append(job.args, out)...)
		if digests[job.kind] == nil {
			digests[job.kind] = got["digest"]
		}
		assert.Equal(t, digests[job.kind], got["digest"], job.kind)
		if job.kind == "drift" {
			assert.FileExists(t, out)
			continue
		}
		assert.Equal(t, true, p.ok("verify", out)["verified"])
		assert.NoDirExists(t, filepath.Join(out, "_staging"), "no traces of the failure are left")
	}
}

func TestAFullDiskIsAClearErrorAndCorruptsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("disks are filled and emptied several times")
	}
	t.Parallel()
	if !inside(t, 0) {
		return
	}
	p := newPlace(t)
	p.examples(20_000)
	digests := map[string]any{}
	train := []string{"train", "-f", "train.yaml", "--set", "epochs=1"}
	m := p.ok(train...)
	for kind, args := range map[string][]string{
		"features": {"features", "run", "-f", "features.yaml", "--out", "roomy/features"},
		"predict":  {"predict", "--model", m["model_uri"].(string), "--input", "data/october", "--out", "roomy/scored"},
	} {
		digests[kind] = p.ok(args...)["digest"]
	}
	p.onFullDisks(m["model_uri"].(string), digests)

	small := disk(t, "8k")
	embedded := []string{"features", "run", "-f", "features.yaml", "--out", "embedded", "--dir", filepath.Join(small, "project"), "-o", "json"}
	r := p.run(embedded...)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "no space left on device")
	nothingVisible(t, filepath.Join(p.dir, "embedded"))
	resize(t, small, "64m")
	assert.Equal(t, digests["features"], p.ok(embedded[:len(embedded)-2]...)["digest"])

	store := disk(t, "64m")
	c := startClusterOn(t, store, 2, 1)
	p.env = []string{"TROUPE_ADDRESS=" + c.Records[0].HTTP}
	again := p.ok(train...)
	require.Equal(t, m["digest"], again["digest"])
	p.onFullDisks(again["model_uri"].(string), digests)
	c.outlivesAFullStore(p, store)
}

// outlivesAFullStore fills the disk of the store while a job runs: new jobs are
// refused with a reason, and when there is room again the job goes on.
func (c *testCluster) outlivesAFullStore(p *place, store string) {
	t := p.t
	t.Helper()
	ts := newTrainings(t, 1, 30_000, 60)
	hear, wait := whenTraining(func() {
		fill(t, store)
		c.says("the disk of the store is full, nothing can be written: free some")
		everybody := func() bool {
			return strings.Count(c.log.String(), "the disk of the store is full on n1") >= len(c.Records)
		}
		assert.Eventually(t, everybody, patience, 50*time.Millisecond, "every node knows of it")
		for _, r := range c.Records { // the server itself, and a node that has none
			refused := p.run("features", "run", "-f", "features.yaml", "--out", "elsewhere", "--address", r.HTTP, "--patience", "1s", "--detach")
			assert.Equal(t, 4, refused.code, refused.stderr)
			assert.Contains(t, refused.stderr, "the disk of the store is full on n1: nothing can be written before there is room; free some")
			nothingVisible(t, filepath.Join(p.dir, "elsewhere"))
		}
		assert.NoError(t, os.Remove(filepath.Join(store, "ballast")))
		c.says("the disk of the store has room again")
	})
	end := finish(t, c.client, ts.specs[0], hear)
	assert.True(t, wait(), "it was too fast to be hit")
	assert.Equal(t, ts.digests[0], end.Digest)
}

// fill leaves next to no room on a disk.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // it is removed again
	for _, size := range []int{1 << 16, 1 << 12} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
}
