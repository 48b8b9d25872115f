package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/troupe-ml/troupe/data/generate"
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
	for i := range files {
		from, to := i*g.NumBatches()/files, (i+1)*g.NumBatches()/files
		if err := writeBatches(ctx, g, from, to, filepath.Join(dir, fmt.Sprintf("part-%03d.parquet", i))); err != nil {
			return err
		}
	}
	return nil
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
	err = g.WriteParquet(ctx, f, from, to, runtime.GOMAXPROCS(0))
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
