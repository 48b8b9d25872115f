// Package disk is a store in a folder of the local file system, for one process
// at a time.
//
//	format            "troupe store 1"
//	lock              held (flock) while the folder is open; names the process
//	blobs/ab/cdef...  the bytes, under the digits of their SHA-256
//	refs/NAME         "troupe ref 1 REVISION CRC", a line break, the value
//	revision          no ref has ever had a higher revision than this
//	logs/NAME         "troupe log 1", a line break, then a frame for each batch
//	tmp/              files that are being written; emptied when the folder is opened
//	spill/segment-N   blobs of jobs of this process, neither synced nor checked; emptied when the folder
//	                  is opened
//
// A frame is its length, the number of its records, the CRC-32C of its payload
// and that of these twelve bytes (little-endian words of 32 bits each), and the
// payload: every record behind its length as an unsigned varint.
//
// A file is written under tmp, synced, renamed and its folder synced; a log is
// written at its end and synced. So a crash at any moment leaves the old or the
// new state, and at most a torn frame at the end of a log, which is cut off when
// the log is read next. A full disk is of kind Exhausted and tears nothing.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

const (
	formatFile = "format"
	lockFile   = "lock"

	spillFolder = "spill"
	formatLine  = "troupe store 1\n"
)

// Store is a store in a folder. It is safe for concurrent use.
type Store struct {
	store.Store
	folder *folder
	spill  *spill
	lock   *os.File
}

// Open opens the store in the folder dir, which it makes if it is missing. It is
// of kind Conflict when another process, or another Store of this one, has it
// open, and of kind Invalid when dir holds something else.
func Open(dir string, log *slog.Logger) (*Store, error) {
	s, err := open(dir, log)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func open(dir string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, classify(err)
	}
	lock, err := acquire(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	f := newFolder(dir, log)
	refs, err := prepare(f)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	spill, err := openSpill(newFolder(filepath.Join(dir, spillFolder), log))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Store{
		Store:  store.Store{Blobs: &blobs{folder: f}, Refs: refs, Logs: newLogs(f), Spill: spill},
		folder: f,
		spill:  spill,
		lock:   lock,
	}, nil
}

// prepare checks the format, makes the folders and reads the revisions.
func prepare(f *folder) (*refs, error) {
	if err := checkFormat(f); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(f.path("tmp")); err != nil {
		return nil, classify(err)
	}
	for _, sub := range []string{"tmp", "blobs", "refs", "logs"} {
		if err := os.MkdirAll(f.path(sub), 0o700); err != nil {
			return nil, classify(err)
		}
	}
	if err := f.replace(formatFile, []byte(formatLine)); err != nil {
		return nil, err
	}
	return loadRefs(f)
}

// checkFormat refuses folders that are not a store of this version.
func checkFormat(f *folder) error {
	b, err := os.ReadFile(f.path(formatFile))
	switch {
	case err == nil && string(b) == formatLine:
		return nil
	case err == nil:
		return fault.New(fault.Invalid, "its format is %.40q, this program reads %q", b, formatLine)
	case !errors.Is(err, fs.ErrNotExist):
		return classify(err)
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return classify(err)
	}
	for _, e := range entries {
		if e.Name() != lockFile && e.Name() != "tmp" {
			return fault.New(fault.Invalid, "the folder is not a store, and not empty: it holds %q; name an empty or a new folder", e.Name())
		}
	}
	return nil
}

// Close waits for the calls under way, ends the watches with kind Unavailable
// and lets other processes open the folder. Later calls are Unavailable too.
func (s *Store) Close() error {
	if !s.folder.close() {
		return nil
	}
	s.spill.end()
	// Closing alone leaves the lock to a child that has not become its program yet.
	if err := errors.Join(syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// acquire takes the lock of a folder, or says who has it.
func acquire(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, classify(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := "another process"
		if b, _ := os.ReadFile(path); len(b) > 0 {
			holder = "process " + strings.TrimSpace(string(b))
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			holder = "lock: " + err.Error()
		}
		_ = lock.Close() // nothing was written to it
		return nil, fault.New(fault.Conflict, "it is in use by %s: stop it, or name another folder", holder)
	}
	if err := lock.Truncate(0); err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil && fault.Of(classify(err)) != fault.Exhausted { // a full disk may still be read
			return nil, errors.Join(classify(err), lock.Close())
		}
	}
	return lock, nil
}

// folder is the files of a store and whether it is open.
type folder struct {
	dir    string
	log    *slog.Logger
	closed chan struct{}
	life   sync.RWMutex // held for reading by every call

	write func(f *os.File, b []byte, at int64) error // replaced by tests
	sync  func(f *os.File) error
}

func newFolder(dir string, log *slog.Logger) *folder {
	return &folder{
		dir: dir, log: log, closed: make(chan struct{}),
		write: func(f *os.File, b []byte, at int64) error {
			_, err := f.WriteAt(b, at)
			return err
		},
		sync: (*os.File).Sync,
	}
}

func (f *folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}

// enter begins a call, which leave ends, unless the store is closed, ctx has
// ended or the arguments are wrong.
func (f *folder) enter(ctx context.Context, arguments error) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if arguments != nil {
		return nil, arguments
	}
	f.life.RLock()
	select {
	case <-f.closed:
		f.life.RUnlock()
		return nil, errClosed
	default:
		return f.life.RUnlock, nil
	}
}

var errClosed = fault.New(fault.Unavailable, "the store is closed")

// close reports whether the folder was open.
func (f *folder) close() bool {
	f.life.Lock()
	defer f.life.Unlock()
	select {
	case <-f.closed:
		return false
	default:
		close(f.closed)
		return true
	}
}

// replace makes b the content of a file, at once or not at all.
func (f *folder) replace(name string, b []byte) (err error) {
	tmp, err := os.CreateTemp(f.path("tmp"), "new-*")
	if err != nil {
		return classify(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // else the next Open does
		}
	}()
	err = f.write(tmp, b, 0)
	if err == nil {
		err = f.sync(tmp)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return classify(err)
	}
	if err := os.Rename(tmp.Name(), f.path(name)); err != nil {
		return classify(err)
	}
	return f.syncDir(filepath.Dir(name))
}

// syncDir makes the names in a folder durable.
func (f *folder) syncDir(name string) error {
	d, err := os.Open(f.path(name))
	if err != nil {
		return classify(err)
	}
	err = f.sync(d)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return classify(err)
}

// classify gives errors of the operating system their kind.
func classify(err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, full) {
			return fault.Wrap(fault.Exhausted, err)
		}
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR) {
		return fault.Wrap(fault.Invalid, err)
	}
	return err
}
