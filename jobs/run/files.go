package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// List returns the Parquet files that a path of a spec stands for, in the order
// in which their rows are read: the file itself, the matches of a glob in order
// of name, or the files of a folder and its sub-folders in order of path. Names
// that begin with "_" or "." are left out; of a folder that Troupe has written,
// only what its manifest lists counts.
//
// Errors: NotFound when nothing is there, Invalid when there is no Parquet file.
func List(path string) ([]string, error) {
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
	return folder(path)
}

func glob(pattern string) ([]string, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fault.New(fault.Invalid, "input %s: %w", pattern, err)
	}
	var files []string
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && !info.IsDir() && visible(m) {
			files = append(files, m)
		}
	}
	if len(files) == 0 {
		return nil, fault.New(fault.NotFound, "input %s: no file matches", pattern)
	}
	slices.Sort(files)
	return files, nil
}

func folder(path string) ([]string, error) {
	m, err := ReadManifest(path)
	if err == nil {
		var files []string
		for _, p := range m.Parts {
			files = append(files, filepath.Join(path, p.Name))
		}
		return files, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, stagingName)); err == nil {
		return nil, fault.New(fault.Invalid, "input %s: the job that writes it has not ended: it has no %s yet", path, ManifestName)
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

// writeFile makes a file appear whole or not at all: it is written under
// another name, synced, and renamed. A full disk is kind Exhausted.
func writeFile(path string, write func(f *os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return diskFault(fmt.Errorf("write %s: %w", path, err))
	}
	defer func() {
		if err != nil {
			err = diskFault(fmt.Errorf("write %s: %w", path, err))
			_ = os.Remove(f.Name()) //nolint:errcheck // the first error is the one that matters
		}
	}()
	if err := write(f); err != nil {
		_ = f.Close() //nolint:errcheck // the first error is the one that matters
		return err
	}
	if err := errors.Join(f.Sync(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
