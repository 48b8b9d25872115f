package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
)

const (
	numbersOfWide = 80
	groupOfWide   = 1 << 18 // rows
)

// wideTable writes so many row groups of a table of 80 numbers, a text, a class and
// an hour, all of one content, which makes it quick.
func wideTable(t *testing.T, folder string, groups, rows int) {
	t.Helper()
	b := &data.Batch{NumRows: rows}
	add := func(name string, c *data.Column) {
		b.Schema.Fields, b.Columns = append(b.Schema.Fields, data.Field{Name: name, Type: c.Type}), append(b.Columns, c)
	}
	class, hour, text := data.NewColumn(data.Int64, rows), data.NewColumn(data.Int64, rows), data.NewColumn(data.String, rows)
	text.Dict = []string{"food", "fuel", "books", "shoes", "travel"}
	for i := range rows {
		class.Int64s[i], text.Codes[i] = int64(i*i%11/9), uint32(i%len(text.Dict))
		hour.Int64s[i] = int64(i * 7919 % 1000)
	}
	add("class", class)
	add("hour", hour)
	add("text", text)
	for k := range numbersOfWide {
		c := data.NewColumn(data.Float64, rows)
		for i := range rows {
			c.Float64s[i] = float64((i/8*(k+3) + i*i%11/9) % 101)
		}
		add(fmt.Sprintf("x%02d", k), c)
	}
	require.NoError(t, os.MkdirAll(folder, 0o755))
	f, err := os.Create(filepath.Join(folder, "part.parquet"))
	require.NoError(t, err)
	w, err := parquet.NewWriter(f, b.Schema, parquet.DefaultWriterConfig())
	require.NoError(t, err)
	for range groups {
		require.NoError(t, w.Write(b))
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

// someNumbers names columns of the wide table.
func someNumbers(from, to int) string {
	var names []string
	for k := from; k < to; k++ {
		names = append(names, fmt.Sprintf("x%02d", k))
	}
	return strings.Join(names, ", ")
}

// budgetFeatures are features of many columns, and windows over five entities, each
// of which has a fifth of all rows: far more than the budget.
func budgetFeatures() string {
	s := "kind: features\nname: budget\ninput: large\noutput: OUT\ntarget: class\nentity: text\ntimestamp: hour\nfeatures:\n" +
		"- {name: text, op: one_hot, of: text}\n- {name: u, op: frequency_encode, of: x40}\n" +
		"- {name: last, op: lag, of: x41}\n- {name: mean, op: rolling_mean, of: x42, window: 500}\n- {name: text_before, op: lag, of: text, n: 3}\n"
	for k := range 16 {
		op := []string{"robust_scale", "standard_scale"}[k%2]
		s += fmt.Sprintf("- {name: f%02d, op: %s, of: x%02d}\n", k, op, k)
	}
	return s
}

func budgetModel(input string) string {
	return "kind: train\nname: NAME\ninput: " + input + "\ntarget: class\ntask: binary\nsplit: {by: random, validation: 0.05, test: 0.05}\nmodel: {type: mlp, hidden: [8]}\n" +
		"epochs: 1\nbatch_size: 8192\ncolumns: {include: [text, " + someNumbers(0, 12) + "]}\n"
}

// Data of more than twenty times what tasks may use, in row groups of more than
// all of it, goes through every kind of job: each keeps to its budget, and gives
// the same bytes as with memory for everything.
func TestJobsOverTwentyTimesTheirMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const budget = 128 << 20
	p := newPlace(t, "GOMEMLIMIT=")
	wideTable(t, filepath.Join(p.dir, "large"), 16, groupOfWide)
	wideTable(t, filepath.Join(p.dir, "small"), 1, 50_000)
	p.write("train.yaml", budgetModel("small"))
	model, ok := p.ok("run", "train.yaml")["model_uri"].(string)
	require.True(t, ok)
	for _, job := range []struct{ name, spec string }{
		{"features", budgetFeatures()},
		{"predict", "kind: predict\nname: budget\nmodel: " + model + "\ninput: large\noutput: OUT\nkeep: [x70]\n"},
		{"drift", "kind: drift\nname: budget\nreference: large\ncurrent: small\nreport: OUT.html\ncolumns: {include: [text, " + someNumbers(60, 76) + "]}\n"},
		{"train", budgetModel("large")},
	} {
		var digests []any
		for _, memory := range []string{"128MiB", "4GiB"} {
			p.write("spec.yaml", strings.NewReplacer("OUT", job.name+"-"+memory, "NAME", "of-"+memory).Replace(job.spec))
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
			if memory == "128MiB" && runtime.GOOS == "linux" {
				assert.Greater(t, peak, 10.0*(1<<20))
				assert.LessOrEqual(t, peak, 1.25*budget, job.name)
				shown := p.ok("jobs", "show", got["job"].(string))
				assert.Equal(t, peak, shown["peak_rss_bytes"])
				assert.Equal(t, map[string]any{"local": peak}, shown["peak_rss_by_worker"])
			}
		}
		assert.Equal(t, digests[0], digests[1], job.name)
	}
	p.ok("verify", filepath.Join(p.dir, "features-128MiB"))
}

// What an encoder learns is in the budget: it holds, or the job is refused.
func TestCategoriesAreInTheBudget(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	p := newPlace(t, "GOMEMLIMIT=")
	p.ok("data", "generate", "transactions", "--rows", "2000000", "--users", "1000000", "--out", "many")
	p.write("spec.yaml", "kind: features\nname: f\ninput: many\noutput: out\nfeatures:\n- {name: u, op: frequency_encode, of: user_id}\n")
	r := p.run("run", "spec.yaml", "--memory", "64MiB")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, `because of what is learned of column "user_id"`)
	assert.Contains(t, r.stderr, "64 MiB for tasks")
	got := p.ok("run", "spec.yaml", "--memory", "192MiB")
	if peak, _ := got["peak_rss_bytes"].(float64); runtime.GOOS == "linux" {
		assert.LessOrEqual(t, peak, 1.25*(192<<20))
		t.Logf("peak %.1f MiB", peak/(1<<20))
	}
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
