package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/troupe-ml/troupe/internal/fault"
)

// folderFile says what a data folder is of, so that it is not taken for another.
const (
	folderFile   = "cluster.json"
	folderFormat = 1
)

// folder is a node's data folder, which it has for itself while it runs.
type folder struct {
	dir  string
	lock *os.File
	memo memo
}

// memo is what the folder remembers of the node's last life.
type memo struct {
	Format  int  `json:"format"`
	Server  bool `json:"server"`  // it holds a part of the cluster's state
	Servers int  `json:"servers"` // how many servers the cluster has
	// Routes are the addresses of all servers when there are several, by name.
	Routes map[string]string `json:"routes,omitempty"`
}

// openFolder takes a data folder. It is of kind Conflict when another process
// has it, and of kind Invalid when it is of another kind of cluster.
func openFolder(cfg Config) (*folder, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fault.New(fault.Invalid, "node: data folder: %w", err)
	}
	lock, err := takeLock(filepath.Join(cfg.DataDir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("node: data folder %s: %w", cfg.DataDir, err)
	}
	f := &folder{dir: cfg.DataDir, lock: lock}
	if err := f.read(cfg); err != nil {
		f.close()
		return nil, fmt.Errorf("node: data folder %s: %w", cfg.DataDir, err)
	}
	return f, nil
}

// openScratch makes the scratch folder and returns its whole path, "" for none.
func openScratch(cfg Config) (string, error) {
	if cfg.Scratch == "" {
		return "", nil
	}
	dir, err := filepath.Abs(cfg.Scratch)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "node: scratch folder: %w", err)
	}
	return dir, nil
}

func (f *folder) read(cfg Config) error {
	b, err := os.ReadFile(filepath.Join(f.dir, folderFile))
	if errors.Is(err, fs.ErrNotExist) {
		f.memo = memo{Format: folderFormat}
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err)
	}
	if err := json.Unmarshal(b, &f.memo); err != nil || f.memo.Format != folderFormat {
		return fault.New(fault.Invalid, "%s is %.60q: it is not of this version of Troupe", folderFile, b)
	}
	if f.memo.Server && cfg.has(Server) && f.memo.Servers != cfg.Servers {
		return fault.New(fault.Invalid, "it holds the state of a cluster of %d servers, not %d: the number is fixed when a cluster is made; pass --servers %d or another folder", f.memo.Servers, cfg.Servers, f.memo.Servers)
	}
	return nil
}

// remember writes the memo.
func (f *folder) remember(m memo) error {
	m.Format = folderFormat
	b, err := json.Marshal(m)
	if err != nil {
		return fault.Wrap(fault.Internal, err)
	}
	name := filepath.Join(f.dir, folderFile)
	if err := os.WriteFile(name+".tmp", append(b, '\n'), 0o600); err != nil {
		return fault.New(fault.Exhausted, "node: %w", err)
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return fault.New(fault.Exhausted, "node: %w", err)
	}
	f.memo = m
	return nil
}

// store returns the folder of the embedded store.
func (f *folder) store() string { return filepath.Join(f.dir, "nats") }

func (f *folder) close() {
	// Closing alone leaves the lock to a child that has not become its program yet.
	_ = syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN)
	_ = f.lock.Close() // nothing was written that matters
}

func takeLock(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := "another process"
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			holder = "process " + strings.TrimSpace(string(b))
		}
		_ = lock.Close() // nothing was written to it
		return nil, fault.New(fault.Conflict, "it is in use by %s: stop it, or pass another --data", holder)
	}
	if err := lock.Truncate(0); err == nil {
		_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // it only helps to find who has it
	}
	return lock, nil
}
