package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/examples"
	"github.com/troupe-ml/troupe/internal/fault"
)

// project is what init has written.
type project struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
}

// Sections says what to do next.
func (p project) Sections() []render.Section {
	s := render.Section{Facts: []render.Fact{{Name: "project", Value: p.Dir}}}
	for _, f := range p.Files {
		s.Facts = append(s.Facts, render.Fact{Name: "wrote", Value: f})
	}
	return []render.Section{s, {Text: "next: the commands of " + filepath.Join(p.Dir, "README.md") + ", in order\n"}}
}

func (a *app) initCommand() *cobra.Command {
	return a.verb("init [DIR]", "Start a project: example specs, and how to run them", cobra.MaximumNArgs(1), func(_ context.Context, args []string) error {
		dir := "."
		if len(args) > 0 {
			dir = args[0]
		}
		files, err := writeExamples(examples.Transactions, "transactions", dir)
		if err != nil {
			return err
		}
		return a.result(project{dir, files})
	})
}

// writeExamples copies a folder of examples. No file that is there already is
// touched: then nothing is written at all.
func writeExamples(from fs.FS, root, dir string) ([]string, error) {
	entries, err := fs.ReadDir(from, root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(dir, e.Name())); !errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New(fault.Conflict, "init: %s is there already; name an empty folder", filepath.Join(dir, e.Name()))
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.New(fault.Invalid, "init: %w", err)
	}
	var files []string
	for _, e := range entries {
		text, err := fs.ReadFile(from, path.Join(root, e.Name()))
		if err != nil {
			return nil, err
		}
		to := filepath.Join(dir, e.Name())
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return nil, fault.New(fault.Invalid, "init: %w", err)
		}
		files = append(files, to)
	}
	return files, nil
}
