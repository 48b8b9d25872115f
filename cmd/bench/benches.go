package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/data/parquet"
)

// ours starts this program as a contender.
func ours(threads int) (*contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start("troupe", threads, "", self, "-worker")
}

// withContenders starts ours and the peers with so many threads, and ends them
// when fn has returned.
func withContenders(threads int, peers []func() (*contender, error), fn func([]*contender) ([]Row, error)) ([]Row, error) {
	var all []*contender
	defer func() {
		for _, c := range all {
			c.stop()
		}
	}()
	us, err := ours(threads)
	if err != nil {
		return nil, err
	}
	all = append(all, us)
	for _, p := range peers {
		c, err := p()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return fn(all)
}

// benchTrain measures samples per second of training loops against PyTorch.
func benchTrain(c Config) ([]Row, error) {
	seconds := 1.0
	nets := []map[string]any{
		{"inputs": 10, "hidden": []int{64, 32}, "outputs": 2},
		{"inputs": 100, "hidden": []int{256, 128}, "outputs": 2},
		{"inputs": 200, "hidden": []int{1024, 512}, "outputs": 10},
	}
	batches, dropouts := []int{256, 1024, 4096}, []float64{0.3, 0}
	if c.Quick {
		seconds, nets, batches = 0.2, nets[:1], batches[1:2]
	}
	var cases []map[string]any
	for _, n := range nets {
		for _, b := range batches {
			for _, d := range dropouts {
				one := map[string]any{"batch": b, "dropout": d, "seconds": seconds}
				for k, v := range n {
					one[k] = v
				}
				cases = append(cases, one)
			}
		}
	}
	var rows []Row
	for _, threads := range []int{1, 2} {
		torch := func() (*contender, error) {
			return start("pytorch", threads, "", "/usr/bin/python3", filepath.Join(c.Peers, "train.py"))
		}
		found, err := withContenders(threads, []func() (*contender, error){torch}, func(all []*contender) ([]Row, error) {
			return compare(c, "train", "samples/s", threads, cases, all)
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return rows, nil
}

// benchRead measures rows per second read from a generated file of ten million
// transactions, against DuckDB and Polars.
func benchRead(c Config) ([]Row, error) {
	rows := int64(10_000_000)
	if c.Quick {
		rows = 500_000
	}
	dir, err := os.MkdirTemp("", "troupe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "transactions.parquet")
	if err := writeTransactions(path, rows); err != nil {
		return nil, err
	}
	script, err := filepath.Abs(filepath.Join(c.Peers, "read.mjs"))
	if err != nil {
		return nil, err
	}
	cases := []map[string]any{
		{"path": path, "rows": rows, "columns": []string{}},
		{"path": path, "rows": rows, "columns": []string{"amount", "user_id"}},
	}
	var out []Row
	for _, threads := range []int{1, 2} {
		peer := func(name string) func() (*contender, error) {
			return func() (*contender, error) { return start(name, threads, c.Node, "node", script, name) }
		}
		found, err := withContenders(threads, []func() (*contender, error){peer("duckdb"), peer("polars")}, func(all []*contender) ([]Row, error) {
			return compare(c, "read", "rows/s", threads, cases, all)
		})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func writeTransactions(path string, rows int64) error {
	cfg := generate.DefaultConfig()
	cfg.Rows = rows
	g, err := generate.New(cfg)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := parquet.NewWriter(f, g.Schema(), parquet.DefaultWriterConfig())
	if err != nil {
		return err
	}
	for i := range g.NumBatches() {
		if err := w.Write(g.Batch(i)); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}
