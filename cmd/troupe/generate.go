package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// generate writes a table of transactions as so many files of about the same
// size. The rows do not depend on the number of files or of cores.
func (a *app) generate(ctx context.Context, cfg generate.Config, dir string, files int) error {
	g, err := generate.New(cfg)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fault.New(fault.Invalid, "generate: %w", err)
	}
	files = max(1, min(files, g.NumBatches()))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range files {
		group.Go(func() error {
			from, to := i*g.NumBatches()/files, (i+1)*g.NumBatches()/files
			return writeBatches(ctx, g, from, to, filepath.Join(dir, fmt.Sprintf("part-%03d.parquet", i)))
		})
	}
	return group.Wait()
}

// writeBatches writes a run of batches as one file, which appears whole or not
// at all.
func writeBatches(ctx context.Context, g *generate.Generator, from, to int, path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("generate %s: %w", path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	err = func() error {
		w, err := parquet.NewWriter(f, g.Schema(), parquet.DefaultWriterConfig())
		if err != nil {
			return err
		}
		for i := from; i < to; i++ {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := w.Write(g.Batch(i)); err != nil {
				return err
			}
		}
		return w.Close()
	}()
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
