package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/data/parquet"
)

// benchRead measures rows per second read from a file of ten million generated
// transactions, ten columns. Mode stream is what jobs do: row groups are decoded
// one after the other, every value is looked at once (a sum, so that no engine
// can answer from statistics), and the memory is used again. Mode keep is a
// table in memory at the end, which only Polars offers, too.
func benchRead(c Config) ([]Row, error) {
	two := []string{"amount", "user_id"}
	cases := []map[string]any{
		{"mode": "stream", "columns": []string{}},
		{"mode": "stream", "columns": two},
		{"mode": "stream", "columns": two, "where": "amount >= 500"},
		{"mode": "stream", "columns": two, "where": "ts >= timestamp '2024-01-28 00:00:00'"},
		{"mode": "keep", "columns": []string{}, "only": "polars"},
	}
	return benchTables(c, "read", cases)
}

// benchWrite measures rows per second written from memory, zstd of level 1 (that
// of Polars cannot be chosen from JavaScript and is its default).
func benchWrite(c Config) ([]Row, error) {
	return benchTables(c, "write", []map[string]any{{"mode": "write"}})
}

func benchTables(c Config, bench string, cases []map[string]any) ([]Row, error) {
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
	for _, one := range cases {
		one["path"], one["rows"], one["out"] = path, rows, filepath.Join(dir, "out.parquet")
	}
	var out []Row
	for _, threads := range []int{1, 2} {
		peer := func(name string) func() (*contender, error) {
			return func() (*contender, error) { return start(name, threads, c.Node, "node", script, name) }
		}
		var peers []func() (*contender, error)
		for _, name := range []string{"duckdb", "polars"} {
			if c.Against == "" || c.Against == name {
				peers = append(peers, peer(name))
			}
		}
		found, err := withContenders(threads, peers, func(all []*contender) ([]Row, error) {
			return compare(c, bench, "rows/s", threads, cases, all)
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

// tables is our side of the read and write benches.
type tables struct {
	loaded string
	kept   []*data.Batch
	used   sync.Pool // batches, for their memory
	peak   float64   // of the features jobs so far, in MB
}

// run returns the rows per second of one request.
func (t *tables) run(r request) (float64, error) {
	if r.Mode == "write" && t.loaded != r.Path {
		if err := t.read(request{Mode: "keep", Path: r.Path}); err != nil {
			return 0, err
		}
		t.loaded = r.Path
	}
	start := time.Now()
	var err error
	if r.Mode == "write" {
		err = t.write(r.Out)
	} else {
		err = t.read(r)
	}
	return float64(r.Rows) / time.Since(start).Seconds(), err
}

func (t *tables) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	cfg := parquet.DefaultWriterConfig()
	cfg.Workers = runtime.GOMAXPROCS(0)
	w, err := parquet.NewWriter(f, t.kept[0].Schema, cfg)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	for _, b := range t.kept {
		if err := w.Write(b); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Close(), f.Close())
}

// read reads the file, one row group a thread at a time. The batches are kept,
// or their memory takes the next ones after every value has been added up.
func (t *tables) read(r request) error {
	f, err := os.Open(r.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pf, err := parquet.Open(f, info.Size(), r.Path)
	if err != nil {
		return err
	}
	o := parquet.ReadOptions{Columns: r.Columns}
	if r.Where != "" {
		p, err := data.ParsePredicate(r.Where)
		if err != nil {
			return err
		}
		if o.Filter, err = p.Bind(pf.Schema()); err != nil {
			return err
		}
	}
	t.loaded, t.kept = "", make([]*data.Batch, pf.NumRowGroups())
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range pf.NumRowGroups() {
		g.Go(func() error {
			o := o
			o.Into, _ = t.used.Get().(*data.Batch)
			b, err := pf.Read(ctx, i, o)
			switch {
			case err != nil:
				return err
			case r.Mode == "keep":
				t.kept[i] = b
			default:
				addUp(b)
				t.used.Put(b)
			}
			return nil
		})
	}
	return g.Wait()
}

// sink keeps sums alive.
var sink struct {
	sync.Mutex
	ints   int64
	floats float64
}

// addUp adds up every value: numbers, times, and the lengths of strings.
func addUp(b *data.Batch) {
	ints, floats := int64(0), 0.0
	for _, c := range b.Columns {
		ints += sum[int64](c.Int64s) + sum[int64](c.Int32s)
		floats += sum[float64](c.Float64s) + sum[float64](c.Float32s)
		lengths := make([]int64, len(c.Dict)+1)
		for i, s := range c.Dict {
			lengths[i] = int64(len(s))
		}
		for i, code := range c.Codes {
			if c.Valid.Get(i) {
				ints += lengths[code]
			}
		}
	}
	sink.Lock()
	sink.ints, sink.floats = sink.ints+ints, sink.floats+floats
	sink.Unlock()
}

func sum[S int64 | float64, T int32 | int64 | float32 | float64](vs []T) (s S) {
	for _, v := range vs {
		s += S(v)
	}
	return s
}
