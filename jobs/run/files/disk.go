package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

// disk is a File of a file system.
type disk struct {
	*os.File
	size    int64
	changed time.Time
}

func (d disk) Size() int64   { return d.size }
func (disk) Version() string { return "" }
func (d disk) Stamp() string { return strconv.FormatInt(d.changed.UnixNano(), 10) }

func openDisk(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, DiskFault(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(DiskFault(err), f.Close())
	}
	return disk{f, info.Size(), info.ModTime()}, nil
}

func readDisk(path string, limit int64) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > limit {
		return nil, fault.New(fault.Invalid, "%s has %d bytes, at most %d are expected here", path, info.Size(), limit)
	}
	b, err := os.ReadFile(path)
	return b, DiskFault(err)
}

func existsOnDisk(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, DiskFault(err)
}

func writeDisk(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return DiskFault(err)
	}
	return WriteDisk(path, func(f *os.File) error {
		_, err := f.Write(b)
		return err
	})
}

// WriteDisk makes a file appear whole or not at all: it is written under another
// name, synced, and renamed.
func WriteDisk(path string, write func(f *os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return DiskFault(fmt.Errorf("write %s: %w", path, err))
	}
	defer func() {
		if err != nil {
			err = DiskFault(fmt.Errorf("write %s: %w", path, err))
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
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes a folder's names durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
