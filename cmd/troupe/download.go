package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// downloaded is an artifact that has become a file.
type downloaded struct {
	Path   string       `json:"path"`
	Output string       `json:"output"`
	Bytes  int          `json:"bytes"`
	Digest store.Digest `json:"digest"`
}

type downloads []downloaded

// Sections is a line for each file.
func (d downloads) Sections() []render.Section {
	s := render.Section{Columns: []render.Column{{Title: "path"}, {Title: "bytes", Right: true}, {Title: "file"}}}
	for _, f := range d {
		s.Rows = append(s.Rows, []string{f.Path, progress.Thousands(int64(f.Bytes)), f.Output})
	}
	return []render.Section{s}
}

func (a *app) runsDownload() *cobra.Command {
	var out string
	c := a.verb("download RUN [PATH...]", "Write artifacts of a run to files", cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			r, err := b.Run(ctx, args[0])
			if err != nil {
				return err
			}
			names, err := chosen(&r, args[1:])
			if err != nil {
				return err
			}
			files, err := places(out, names)
			if err != nil {
				return err
			}
			all := downloads{}
			for i, name := range names {
				content, err := b.Artifact(ctx, registry.URI{Run: r.ID, Path: name}.String())
				if err != nil {
					return err
				}
				if err := os.MkdirAll(filepath.Dir(files[i]), 0o755); err != nil {
					return fault.New(fault.Exhausted, "runs download: %w", err)
				}
				if err := writeWhole(files[i], content); err != nil {
					return err
				}
				all = append(all, downloaded{name, files[i], len(content), store.DigestOf(content)})
			}
			return a.result(all)
		})
	})
	c.Flags().StringVar(&out, "out", ".", "the folder to write to")
	c.Example = "  troupe runs download RUN evaluation.json\n  troupe runs download RUN --out artifacts      # all of them\n  troupe runs download runs:/ID plots --out artifacts"
	return c
}

// chosen returns the artifacts of a run that are named, or in folders that are; all
// where none are.
func chosen(r *runs.Run, paths []string) ([]string, error) {
	all := slices.Sorted(maps.Keys(r.Artifacts))
	if len(paths) == 0 {
		return all, nil
	}
	var out []string
	for _, p := range paths {
		p = strings.Trim(p, "/")
		n := len(out)
		for _, name := range all {
			if name == p || strings.HasPrefix(name, p+"/") {
				out = append(out, name)
			}
		}
		if len(out) == n {
			return nil, fault.New(fault.NotFound, "run %s has no artifact %q; it has %s", r.ID, p, orNone(all))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// places returns where artifacts are written, below the folder whatever their names
// say. Nothing that is there is written over.
func places(folder string, names []string) ([]string, error) {
	out := make([]string, len(names))
	for i, name := range names {
		if err := runs.CheckPath(name); err != nil {
			return nil, err
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, fault.New(fault.Invalid, "runs download: the artifact %q would be outside of %s", name, folder)
		}
		at, err := filepath.Abs(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			return nil, fault.New(fault.Invalid, "runs download: %w", err)
		}
		if _, err := os.Lstat(at); err == nil {
			return nil, fault.New(fault.Conflict, "%s is there already: remove it, or name another folder with --out", at)
		}
		out[i] = at
	}
	return out, nil
}
