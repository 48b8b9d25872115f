package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A shared table is a file that the ranks of one machine write together, each
// some of the shards, and map into their memory. It is there once however many
// ranks there are, the system may write it out and drop it when memory is short,
// and when a gang forms anew nobody reads the input again.
//
// Its folder is named by all that the bytes follow from, and by the machine's
// start: what a machine's crash has left is not trusted. Beside the table are
// "use", which whoever has it open holds a shared lock of, and for every shard
// an empty file, which is locked by whoever writes the shard and not empty when
// that is done. Locks end with their process, so nothing waits for the dead.
const (
	tablesFolder = "tables"
	leastShared  = 1 << 20          // bytes; less is not worth the files
	unusedAfter  = 10 * time.Minute // a gang forms anew sooner
	claimPoll    = 5 * time.Millisecond
)

// errNoCache marks what a table in memory does without.
var errNoCache = errors.New("no shared table")

func noCache(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errNoCache, err)
}

// shared returns the tables in a file of the Cache; as rows to be read from it if
// they are too large for memory.
func (w *work) shared(l *learner, p *prepared, y *layout, large bool) (_ *tables, err error) {
	dir, err := w.tableFolder(large)
	if err != nil {
		return nil, err
	}
	w.sweep(filepath.Dir(dir), filepath.Base(dir))
	use, err := enter(dir)
	if err != nil {
		return nil, noCache(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, use.Close())
		}
	}()
	f, err := os.OpenFile(filepath.Join(dir, "table"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, noCache(err)
	}
	keep := false
	defer func() {
		if !keep {
			_ = f.Close() //nolint:errcheck // what was written is there for whoever maps the file
		}
	}()
	if err := allocate(f, y.bytes()); err != nil {
		return nil, noCache(err)
	}
	r := newRooms(y, func(before, _ int) place { return region{f, 4 * int64(before)} })
	if large {
		r = y.roomsIn(f)
	}
	if err := w.fill(l, p, r, w.claims(dir, len(p.Shards))); err != nil {
		return nil, err
	}
	if keep = large; large {
		return &tables{y.in(f), leave(dir, use, func() { _ = f.Close() })}, nil //nolint:errcheck // it was read
	}
	b, unmap, err := mapped(f, y.bytes())
	if err != nil {
		return nil, noCache(err)
	}
	return &tables{y.over(b), leave(dir, use, unmap)}, nil
}

// leave returns how to let go of a table in a folder.
func leave(dir string, use *os.File, let func()) func(done bool) {
	return func(done bool) {
		let()
		if done {
			_ = os.RemoveAll(dir) //nolint:errcheck // a later sweep tries again
		}
		letGo(use)
	}
}

// tableFolder names the folder of the task's table, whose targets lie with their
// rows or apart.
func (w *work) tableFolder(together bool) (string, error) {
	boot, err := machineStart()
	if err != nil {
		return "", noCache(err)
	}
	h := sha256.New()
	add := func(s string) { fmt.Fprintf(h, "%d %s\n", len(s), s) } //nolint:errcheck // a hash takes everything
	add(map[bool]string{false: "1", true: "rows"}[together])       // the file's format
	add(boot)
	add(w.Code)
	add(string(w.task.Spec))
	var roles []string
	for role := range w.task.Stage.Inputs {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	for _, role := range roles {
		add(role)
		add(w.task.Stage.Inputs[role])
	}
	return filepath.Join(w.Cache, tablesFolder, hex.EncodeToString(h.Sum(nil)[:16])), nil
}

// enter opens a table's folder for use, so that nobody sweeps it away.
func enter(dir string) (*os.File, error) {
	for {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		name := filepath.Join(dir, "use")
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // it is just being swept away
			}
			return nil, err
		}
		if _, err := f.WriteAt([]byte("used\n"), 0); err != nil { // also says when
			return nil, errors.Join(err, f.Close())
		}
		if _, err = lock(f, false, true); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		mine, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if there, err := os.Stat(name); err == nil && os.SameFile(mine, there) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// sweep removes the tables beside the one called keep that nobody has used for a
// while: of jobs that were stopped, and of machines' earlier lives. What cannot
// be removed now is tried again by the next one.
func (w *work) sweep(folder, keep string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Name() != keep {
			sweepOne(filepath.Join(folder, e.Name()), w.Clock.Now())
		}
	}
}

func sweepOne(dir string, now time.Time) {
	f, err := os.OpenFile(filepath.Join(dir, "use"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it ends the lock, and has nothing to write
	info, err := f.Stat()
	if err != nil || now.Sub(info.ModTime()) < unusedAfter {
		return
	}
	if ok, err := lock(f, true, false); err == nil && ok {
		_ = os.RemoveAll(dir) //nolint:errcheck // the next one tries again
	}
}

// claims deals out the shards that nobody on this machine has written yet. Ranks
// begin at different ones. What others are busy with is looked at again, since
// whoever writes may die.
func (w *work) claims(dir string, numShards int) func(context.Context) (int, func(error) error, error) {
	queue := make(chan int, numShards) // holds every shard at most once
	for i := range numShards {
		queue <- (i + numShards*max(w.task.Rank, 0)/max(w.task.WorldSize, 1)) % numShards
	}
	return func(ctx context.Context) (int, func(error) error, error) {
		for {
			var shard int
			select {
			case shard = <-queue:
			default:
				return numShards, nil, nil
			}
			c, err := claim(filepath.Join(dir, strconv.Itoa(shard)))
			switch {
			case err != nil:
				return 0, nil, noCache(err)
			case c.file != nil:
				return shard, c.end, nil
			case !c.busy:
				continue
			}
			queue <- shard
			select {
			case <-ctx.Done():
				return 0, nil, context.Cause(ctx)
			case <-w.Clock.After(claimPoll):
			}
		}
	}
}

// claimed is what became of the attempt to write a shard: file is set if it is
// ours to write, busy if another is writing it; else it is written.
type claimed struct {
	file *os.File
	busy bool
}

func claim(name string) (claimed, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return claimed{}, err
	}
	ok, err := lock(f, true, false)
	if err == nil && ok {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil && info.Size() == 0 {
			return claimed{file: f}, nil
		}
	}
	return claimed{busy: err == nil && !ok}, errors.Join(err, f.Close())
}

// end gives the claim up; without an error the shard is written.
func (c claimed) end(err error) error {
	if err == nil {
		_, err = c.file.Write([]byte("written\n"))
		err = noCache(err)
	}
	return errors.Join(err, noCache(c.file.Close()))
}
