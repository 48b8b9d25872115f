package run

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// List returns the Parquet files that a path of a spec stands for, in the order
// in which their rows are read: the file itself, the matches of a glob in order
// of name, or the files of a folder and its sub-folders in order of path. Names
// that begin with "_" or "." are left out; of a folder that Troupe has written,
// only what its manifest lists counts.
//
// Errors: NotFound when nothing is there, Invalid when there is no Parquet file.
func List(ctx context.Context, f *files.Files, path string) ([]string, error) {
	if files.Remote(path) {
		return listObjects(ctx, f, path)
	}
	if strings.ContainsAny(path, "*?[") {
		return glob(path)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "input %s: there is no such file or folder", path)
	case err != nil:
		return nil, fault.New(fault.Invalid, "input %s: %w", path, err)
	case !info.IsDir():
		return []string{path}, nil
	}
	return folder(ctx, path)
}

func glob(pattern string) ([]string, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fault.New(fault.Invalid, "input %s: %w", pattern, err)
	}
	var files []string
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && !info.IsDir() && visibleMatch(pattern, m) {
			files = append(files, m)
		}
	}
	if len(files) == 0 {
		return nil, fault.New(fault.NotFound, "input %s: no file matches", pattern)
	}
	slices.Sort(files)
	return files, nil
}

func folder(ctx context.Context, path string) ([]string, error) {
	m, err := ReadManifest(ctx, nil, path)
	if err == nil {
		var files []string
		for _, p := range m.Parts {
			files = append(files, filepath.Join(path, p.Name))
		}
		return files, nil
	}
	if !isNone(err) {
		return nil, err
	}
	for _, name := range []string{stagingName, ManifestName} { // one that counts as none
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return nil, unfinished(path)
		}
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != path && !visible(p):
			if d.IsDir() {
				return filepath.SkipDir
			}
		case !d.IsDir() && strings.HasSuffix(strings.ToLower(p), ".parquet"):
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		return nil, fault.New(fault.Invalid, "input %s: %w", path, err)
	}
	if len(files) == 0 {
		return nil, fault.New(fault.Invalid, "input %s: the folder holds no Parquet file (*.parquet)", path)
	}
	slices.Sort(files)
	return files, nil
}

func visible(path string) bool {
	name := filepath.Base(path)
	return !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".")
}

// isNone reports whether an error says that there is no such file.
func isNone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func unfinished(path string) error {
	return fault.New(fault.Invalid, "input %s: it has no %s: the job that writes it has not ended, or has failed", path, ManifestName)
}
