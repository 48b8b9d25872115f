package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// lease is what a manifest says while its parts are replaced: it counts as none.
// Who writes it is the only one to touch the parts until it has gone.
type lease struct {
	Version int    `json:"version"` // 0: no manifest
	Job     string `json:"job,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	Beat    int    `json:"beat,omitempty"` // grows as long as the holder is at work
}

func (c lease) text() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("run: lease: %v", err)) // a plain struct of ours
	}
	return append(b, '\n')
}

// leaseOf returns what the text of a manifest says if it is a claim.
func leaseOf(text []byte) (lease, bool) {
	c := lease{Version: -1}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&c) != nil || c.Version != 0 {
		return lease{}, false
	}
	return c, true
}

// lockName is held (flock) by the one who publishes, and names its job.
const lockName = ".lock"

// lockPause is how long to wait between two tries to lock.
const lockPause = 50 * time.Millisecond

// lock makes this attempt the only one to publish to a folder on disk, until it
// calls what lock returns. Another attempt at the same task is waited for; where
// another job publishes it is of kind Conflict. The lock goes with its process.
func (o output) lock(ctx context.Context) (unlock func(), err error) {
	for unnamed := 0; ; {
		f, holder, err := o.tryLock()
		if f != nil || err != nil {
			return func() { letGo(f) }, err
		}
		switch {
		case holder == "" && unnamed < 100: // it has the lock and not yet said who it is
			unnamed++
		case holder != o.job:
			return nil, o.taken(holder, "is publishing to it at this moment")
		}
		select {
		case <-o.time().After(lockPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// letGo ends the lock of a file and closes it. Closing alone ends it later, where a
// process is just being started, which has all files until it is its program.
func letGo(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) //nolint:errcheck // closing it does the same, later
	_ = f.Close()                                   //nolint:errcheck // it has nothing to write
}

// tryLock returns the locked file, or who holds it.
func (o output) tryLock() (f *os.File, holder string, err error) {
	if err := os.MkdirAll(o.stagingRoot(), 0o755); err != nil {
		return nil, "", files.DiskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	path := filepath.Join(o.stagingRoot(), lockName)
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrNotExist) { // its holder has ended, and the folder with it
		return nil, o.job, nil
	}
	if err != nil {
		return nil, "", files.DiskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	// Where a file system has no locks, the manifest alone tells jobs apart.
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK { //nolint:errorlint // it is an errno
		b, rerr := os.ReadFile(path)
		if errors.Is(rerr, fs.ErrNotExist) { // as above
			return nil, o.job, f.Close()
		}
		return nil, string(b), errors.Join(files.DiskFault(rerr), f.Close())
	}
	mine, err := f.Stat()
	now, serr := os.Stat(path)
	if err != nil || serr != nil || !os.SameFile(mine, now) { // locked after its holder has removed it
		return nil, o.job, f.Close()
	}
	err = f.Truncate(0) // whoever looks meanwhile finds no name rather than a wrong one
	if err == nil {
		_, err = f.WriteAt([]byte(o.job), 0)
	}
	if err != nil {
		return nil, "", files.DiskFault(errors.Join(fmt.Errorf("output %s: %w", o.dir, err), f.Close()))
	}
	return f, "", nil
}

// taken is that another job has the folder.
func (o output) taken(other, does string) error {
	if other == "" {
		other = "another job"
	} else {
		other = "job " + other
	}
	return fault.New(fault.Conflict, "output %s: %s %s: one job at a time writes to a folder; run this one again once the other has ended, or name another folder", o.dir, other, does)
}

// mayReplace reports whether the manifest that is there says the same as the new
// one, and is of kind Conflict when it is neither that, nor the one that was
// there when the job began, nor an earlier attempt's.
func (o output) mayReplace(old []byte, m *Manifest) (same bool, err error) {
	if _, none := leaseOf(old); none || len(old) == 0 {
		return false, nil
	}
	var was Manifest
	if json.Unmarshal(old, &was) != nil {
		was = Manifest{}
	}
	if was.Version == manifestVersion && was.says() == m.says() {
		return true, nil
	}
	if was.Job != "" && was.Job == o.job || digestOf(old) == o.replaces {
		return false, nil
	}
	other := was.Job
	if other == "" && was.Name != "" {
		other = fmt.Sprintf("%q (%s)", was.Name, was.Kind)
	}
	return false, o.taken(other, "has published to it since this job began")
}

// says is the manifest but for the job that wrote it.
func (m Manifest) says() string {
	m.Job = ""
	return string(meta(m))
}

// seen is what prepare notes of the manifest that is there.
func seen(text []byte) string {
	if _, none := leaseOf(text); none || len(text) == 0 {
		return ""
	}
	return digestOf(text)
}

// overtaken replaces an error that another job has caused by publishing to the
// folder, and clearing away what was staged there, by one that says so.
func (w *work) overtaken(err error) error {
	out := w.output()
	kind := fault.Of(err)
	if err == nil || kind != fault.NotFound && kind != fault.Corrupt || out.dir == "" || w.task.Stage.Inputs[plan.Survey] == "" {
		return err
	}
	var s Survey
	if w.input(plan.Survey, &s) != nil {
		return err
	}
	out.replaces = s.Replaces
	now, rerr := out.files.Read(w.ctx, files.Join(out.dir, ManifestName), maxManifestBytes)
	if rerr != nil {
		return err
	}
	if _, taken := out.mayReplace(now, &Manifest{}); taken != nil {
		return fault.New(fault.Conflict, "%w (%s)", taken, err.Error())
	}
	return err
}
