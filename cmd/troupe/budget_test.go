package main

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const budgetSpec = `kind: features
name: budget
input: large
output: OUT
target: is_fraud
entity: user_id
timestamp: ts
features:
  - {name: amount_robust, op: robust_scale, of: amount}
  - {name: amount_log, op: log1p, of: amount}
  - {name: cat, op: one_hot, of: category, max_categories: 32}
  - {name: ts, op: datetime, of: ts, parts: [hour]}
`

const budgetModel = `kind: train
name: small
input: small
target: is_fraud
task: binary
split: {by: time, column: ts, validation: 0.1, test: 0.2}
model: {type: mlp, hidden: [8]}
epochs: 1
batch_size: 1024
features:
  - {name: amount_log, op: log1p, of: amount}
  - {name: cat, op: one_hot, of: category, max_categories: 32}
`

// Data of more than twenty times what tasks may use, in row groups of more than
// twice as much, goes through the three jobs that stream: each keeps to its
// budget, and gives the same bytes as with memory for everything.
func TestJobsOverTwentyTimesTheirMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const (
		budget = 64 << 20
		// The program itself, its libraries' tables, and what the runtime keeps
		// outside its limit.
		program = 32 << 20
	)
	p := newPlace(t, "GOMEMLIMIT=")
	p.ok("data", "generate", "transactions", "--rows", "19500000", "--rows-per-group", "2000000", "--out", "large")
	p.ok("data", "generate", "transactions", "--rows", "100000", "--seed", "2", "--drift", "0.5", "--out", "small")
	p.write("train.yaml", budgetModel)
	model, ok := p.ok("run", "train.yaml")["model_uri"].(string)
	require.True(t, ok)
	for _, job := range []struct{ name, spec string }{
		{"features", budgetSpec},
		{"predict", "kind: predict\nname: budget\nmodel: " + model + "\ninput: large\noutput: OUT\nkeep: [transaction_id]\n"},
		{"drift", "kind: drift\nname: budget\nreference: large\ncurrent: small\nreport: OUT.html\n"},
	} {
		var digests []any
		for _, memory := range []string{"64MiB", "4GiB"} {
			p.write("spec.yaml", strings.ReplaceAll(job.spec, "OUT", job.name+"-"+memory))
			plan := p.ok("plan", "spec.yaml")
			input := "input"
			if job.name == "drift" {
				input = "reference"
			}
			decoded, _ := plan[input].(map[string]any)["bytes"].(float64)
			require.Greater(t, decoded, 20.0*budget, "%v", plan)
			got := p.ok("run", "spec.yaml", "--memory", memory)
			require.Equal(t, "succeeded", got["status"])
			digests = append(digests, got["digest"])
			peak, _ := got["peak_rss_bytes"].(float64)
			t.Logf("%s with %s: %.1f s, peak %.1f MiB", job.name, memory, got["seconds"], peak/(1<<20))
			if memory == "64MiB" && runtime.GOOS == "linux" {
				assert.Greater(t, peak, 10.0*(1<<20))
				assert.Less(t, peak, 1.25*(budget+program), job.name)
				shown := p.ok("jobs", "show", got["job"].(string))
				assert.Equal(t, peak, shown["peak_rss_bytes"])
				assert.Equal(t, map[string]any{"local": peak}, shown["peak_rss_by_worker"])
			}
		}
		assert.Equal(t, digests[0], digests[1], job.name)
	}
	p.ok("verify", filepath.Join(p.dir, "features-64MiB"))
}

func TestTheMemoryOfJobsMustBeASize(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ok("data", "generate", "transactions", "--rows", "1000", "--out", "small")
	p.write("spec.yaml", "kind: drift\nname: d\nreference: small\ncurrent: small\n")
	for _, wrong := range []string{"1MiB", "much"} {
		r := p.run("run", "spec.yaml", "--memory", wrong, "-o", "json")
		assert.Equal(t, 2, r.code, r.stderr)
		assert.Contains(t, r.stderr, "--memory "+wrong)
		p.env = []string{"TROUPE_MEMORY=" + wrong}
		r = p.run("run", "spec.yaml", "-o", "json")
		assert.Equal(t, 2, r.code, r.stderr)
		p.env = nil
	}
	p.ok("run", "spec.yaml", "--memory", "64MiB")
}
