package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/generate"
)

// playbook is the spec of the ten features that the peers compute, too. Ours encode the target
// out of fold, and the rows come out in the order of the input.
const playbook = `kind: features
name: playbook
input: %s
output: %s
target: is_fraud
entity: user_id
timestamp: ts
features:
  - {name: amount_scaled, op: standard_scale, of: amount}
  - {name: amount_log, op: log1p, of: amount}
  - {name: amount_bucket, op: bin, of: amount, edges: [0, 100, 500, 1000, .inf], labels: [low, medium, high, very_high]}
  - {name: amount_per_tx, op: ratio, of: [total_amount, transaction_count]}
  - {name: amount_x_hour, op: interact, of: [amount, hour]}
  - {name: cat, op: one_hot, of: category, other: false}
  - {name: category_target_enc, op: target_encode, of: category}
  - {name: category_freq, op: frequency_encode, of: category}
  - {name: ts, op: datetime, of: ts, parts: [hour, day_of_week, month, is_weekend], cyclical: [hour]}
  - {name: amount_lag_1, op: lag, of: amount}
  - {name: amount_mean_7, op: rolling_mean, of: amount, window: 7}
keep: [user_id, is_fraud]
`

// benchFeatures measures the playbook's ten features of ten million transactions,
// from Parquet to Parquet: rows per second, and the most memory of each process.
// Ours is the program itself, started anew each turn. The peer playbook is pandas as
// the playbook has it, with a function of Python for each user; pandas has the same
// in its fastest way.
func benchFeatures(c Config) ([]Row, error) {
	rows := int64(10_000_000)
	if c.Quick {
		rows = 300_000
	}
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	params := map[string]any{"mode": "features", "rows": rows, "path": filepath.Join(dir, "transactions.parquet"), "out": filepath.Join(dir, "out"), "numpy": dir}
	if params["program"], err = filepath.Abs(c.Program); err != nil {
		return nil, err
	}
	if err := writeTransactions(filepath.Join(dir, "transactions.parquet"), rows); err != nil {
		return nil, err
	}
	if params["categories"], err = writeNumpy(dir, rows); err != nil {
		return nil, err
	}
	once := c // a turn of the playbook's own pandas takes a minute and more
	once.Runs = 1
	var out []Row
	for _, threads := range []int{1, 2} {
		for _, t := range []struct {
			Config
			names []string
		}{{c, []string{"duckdb", "polars", "pandas"}}, {once, []string{"playbook"}}} {
			found, err := compareFeatures(t.Config, threads, t.names, params)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
	}
	return out, nil
}

// compareFeatures measures some peers and us: rows per second and the most memory.
func compareFeatures(c Config, threads int, names []string, params map[string]any) ([]Row, error) {
	peers, err := featurePeers(c, threads, names)
	if err != nil || len(peers) == 0 {
		return nil, err
	}
	return withContenders(threads, peers, func(all []*contender) ([]Row, error) {
		found, err := compare(c, "features", "rows/s", threads, []map[string]any{params}, all)
		if err != nil {
			return nil, err
		}
		peak := map[string]any{"mode": "peak", "path": params["numpy"], "numpy": params["numpy"]}
		peaks, err := compare(Config{Runs: 1}, "features", "MB peak", threads, []map[string]any{peak}, all)
		return append(found, peaks...), err
	})
}

func featurePeers(c Config, threads int, names []string) ([]func() (*contender, error), error) {
	folder, err := filepath.Abs(c.Peers)
	if err != nil {
		return nil, err
	}
	var peers []func() (*contender, error)
	for _, name := range names {
		argv := []string{"node", filepath.Join(folder, "features.mjs"), name}
		if name == "pandas" || name == "playbook" {
			argv = []string{"/usr/bin/python3", filepath.Join(folder, "features.py"), name}
		}
		if c.Against == "" || c.Against == name {
			peers = append(peers, func() (*contender, error) { return start(name, threads, c.Node, argv...) })
		}
	}
	return peers, nil
}

// writeNumpy writes the transactions as files of numpy's, one a column, texts as
// codes, and returns the categories.
func writeNumpy(dir string, rows int64) ([]string, error) {
	cfg := generate.DefaultConfig()
	cfg.Rows = rows
	g, err := generate.New(cfg)
	if err != nil {
		return nil, err
	}
	files := map[string]*bytes.Buffer{}
	codes := map[string]int8{}
	var names []string
	for i := range g.NumBatches() {
		b := g.Batch(i)
		for k, f := range b.Schema.Fields {
			if files[f.Name] == nil {
				files[f.Name] = &bytes.Buffer{}
			}
			column := numpyValues(b.Columns[k], func(s string) int8 {
				if _, ok := codes[s]; !ok && f.Name == "category" {
					codes[s] = int8(len(names))
					names = append(names, s)
				}
				return codes[s]
			})
			if err := binary.Write(files[f.Name], binary.LittleEndian, column); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range g.Schema().Fields {
		kind := map[data.Type]string{data.Int64: "<i8", data.Timestamp: "<i8", data.Float64: "<f8", data.String: "|i1"}[f.Type]
		header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }", kind, rows)
		header += strings.Repeat(" ", 117-len(header)) + "\n"
		whole := slices.Concat([]byte("\x93NUMPY\x01\x00\x76\x00"), []byte(header), files[f.Name].Bytes())
		if err := os.WriteFile(filepath.Join(dir, f.Name+".npy"), whole, 0o600); err != nil {
			return nil, err
		}
	}
	list, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	return names, os.WriteFile(filepath.Join(dir, "category.json"), list, 0o600)
}

func numpyValues(c *data.Column, code func(string) int8) any {
	switch c.Type {
	case data.Float64:
		out := slices.Clone(c.Float64s)
		for i := range out {
			if !c.Valid.Get(i) {
				out[i] = math.NaN()
			}
		}
		return out
	case data.String:
		out := make([]int8, len(c.Codes))
		for i, k := range c.Codes {
			out[i] = -1
			if c.Valid.Get(i) {
				out[i] = code(c.Dict[k])
			}
		}
		return out
	default:
		return c.Int64s
	}
}

// runFeatures runs the job in a program of its own and returns rows per second.
func (t *tables) runFeatures(r request) (float64, error) {
	dir, err := os.MkdirTemp("", "troupe-bench-job-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "features.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, playbook, r.Path, filepath.Join(dir, "out")), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command(r.Program, "run", file, "--dir", filepath.Join(dir, "project"), "--quiet", "-o", "json")
	cmd.Stderr = os.Stderr
	start := time.Now()
	text, err := cmd.Output()
	seconds := time.Since(start).Seconds()
	var end struct {
		Status string `json:"status"`
		Peak   int64  `json:"peak_rss_bytes"`
	}
	if err := errors.Join(err, json.Unmarshal(text, &end)); err != nil {
		return 0, err
	}
	if end.Status != "succeeded" {
		return 0, fmt.Errorf("the job %s: %s", end.Status, text)
	}
	t.peak = max(t.peak, float64(end.Peak)/(1<<20))
	return float64(r.Rows) / seconds, nil
}
