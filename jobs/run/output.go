package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
)

// Names in an output folder.
const (
	ManifestName    = "_manifest.json"
	RejectedName    = "_rejected.ndjson" // the lines of an import that are no rows
	stagingName     = "_staging"
	madeName        = ".made" // among what is staged: the folder is Troupe's own
	manifestVersion = 1
)

// Part is one file of an output, made from one shard of the input.
type Part struct {
	Name         string `json:"name"`
	RowsIn       int64  `json:"rows_in"`
	RowsOut      int64  `json:"rows_out"`
	RowsRejected int64  `json:"rows_rejected"`
	RowsFiltered int64  `json:"rows_filtered,omitempty"` // of the shard, for which where is not true
	Bytes        int64  `json:"bytes"`
	Digest       string `json:"digest"`
}

// Manifest says what an output folder holds. It is written last, once: a folder
// without it holds nothing.
type Manifest struct {
	Version int         `json:"version"`
	Kind    string      `json:"kind"`
	Name    string      `json:"name"`
	Digest  string      `json:"digest"` // of schema and parts: what was computed, not where or when
	Spec    string      `json:"spec"`   // digest of the spec
	Input   string      `json:"input"`  // digest of the input's files
	Model   string      `json:"model,omitempty"`
	Code    string      `json:"code"`          // version of the program
	Job     string      `json:"job,omitempty"` // that wrote it; no part of Digest
	Schema  data.Schema `json:"schema"`
	// Features are the columns to learn from, of the output of a features job;
	// the others were kept.
	Features []string `json:"features,omitempty"`
	Rows     int64    `json:"rows"`
	Parts    []Part   `json:"parts"`
	// Rejected is the file of the lines of an import that are no rows.
	Rejected *Part `json:"rejected,omitempty"`
}

// files are the parts and the file of rejected lines.
func (m *Manifest) files() []Part {
	if m.Rejected == nil {
		return m.Parts
	}
	return append(slices.Clone(m.Parts), *m.Rejected)
}

// seal computes the manifest's digest and sums.
func (m *Manifest) seal() error {
	m.Version, m.Rows = manifestVersion, 0
	for _, p := range m.Parts {
		m.Rows += p.RowsOut
	}
	b, err := json.Marshal(struct {
		Schema data.Schema
		Parts  []Part
	}{m.Schema, m.Parts})
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	m.Digest = digestOf(b)
	return nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ReadManifest reads the manifest of an output folder. The error is
// fs.ErrNotExist when there is none, kind Corrupt when it cannot be read.
func ReadManifest(ctx context.Context, f *files.Files, dir string) (*Manifest, error) {
	b, err := f.Read(ctx, files.Join(dir, ManifestName), maxManifestBytes)
	if _, none := leaseOf(b); err == nil && none {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", dir, err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fault.New(fault.Corrupt, "manifest of %s: %w", dir, err)
	}
	if m.Version != manifestVersion {
		return nil, fault.New(fault.Invalid, "manifest of %s: version %d, this program reads %d", dir, m.Version, manifestVersion)
	}
	return &m, nil
}

// maxManifestBytes bounds a manifest: some hundred thousand parts.
const maxManifestBytes = 256 << 20

// output is the folder that one job writes. Parts are staged under names of
// their content, so that two attempts at a shard write the same file. In an
// object store it is a bucket.
type output struct {
	dir     string
	job     string
	attempt int // of the task that stages
	files   *files.Files
	clock   clock.Clock // nil: the machine's
	// replaces is the digest of the manifest that was there when the job began, as
	// prepare returns it; "" for none.
	replaces string
	// apart is the folder to stage in, if that is not one below dir.
	apart string
}

// stagedPart is a part on its way, as its task leaves it to the one that
// publishes. The rest says which object it is in a bucket.
type stagedPart struct {
	Part
	At      string `json:"staged,omitempty"` // below the folder
	Version string `json:"version,omitempty"`
}

// output is the folder that this task's job writes.
func (w *work) output() output {
	return output{dir: outputOf(w.spec), job: string(w.task.Job), attempt: w.task.Attempt, files: w.Files, clock: w.Clock}
}

func (o output) time() clock.Clock {
	if o.clock == nil {
		return clock.Real{}
	}
	return o.clock
}

func (o output) stagingRoot() string { return filepath.Join(o.dir, stagingName) }

func (o output) staging() string {
	if o.apart != "" {
		return o.apart
	}
	return filepath.Join(o.stagingRoot(), o.job)
}

func partName(shard int) string { return fmt.Sprintf("part-%05d.parquet", shard) }

// prepare makes the staging folder, after a look at what is in the way: a
// folder that holds anything but an output of Troupe is not touched. It returns
// what the new output will replace, for publish.
func (o output) prepare(ctx context.Context) (replaces string, err error) {
	if files.Remote(o.dir) {
		b, err := o.bucket()
		if err != nil {
			return "", err
		}
		return b.prepare(ctx)
	}
	entries, err := os.ReadDir(o.dir)
	made := errors.Is(err, fs.ErrNotExist)
	if err != nil && !made {
		return "", fault.New(fault.Invalid, "output %s: %w", o.dir, err)
	}
	for _, e := range entries {
		n := e.Name()
		if !ours(n) {
			return "", fault.New(fault.Conflict, "output %s: the folder holds %q, which Troupe has not written; name an empty folder", o.dir, n)
		}
	}
	err = os.MkdirAll(o.staging(), 0o755)
	if err == nil && made {
		err = os.WriteFile(filepath.Join(o.stagingRoot(), madeName), nil, 0o644)
	}
	if err != nil {
		return "", files.DiskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	old, err := o.manifestOnDisk()
	return seen(old), err
}

// manifestOnDisk returns the bytes of the manifest, nil when there is none.
func (o output) manifestOnDisk() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(o.dir, ManifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, files.DiskFault(err)
}

// ours reports whether a name in an output folder is one that Troupe gives.
func ours(name string) bool {
	return name == ManifestName || name == stagingName || isPart(name) || strings.HasPrefix(name, ".tmp-")
}

// isPart reports whether a name is one of a file that a manifest lists.
func isPart(name string) bool {
	return name == RejectedName || strings.HasPrefix(name, "part-") && strings.HasSuffix(name, ".parquet")
}

// stage writes one part under the staging folder and returns what it is.
func (o output) stage(ctx context.Context, shard int, write func(w io.Writer) error) (stagedPart, error) {
	return o.stageFile(ctx, partName(shard), write)
}

// stageFile writes a file that is durable when it returns.
func (o output) stageFile(ctx context.Context, name string, write func(w io.Writer) error) (stagedPart, error) {
	return o.stageAs(ctx, name, nil, write)
}

// stageAs writes a file that is durable when it returns. One that is on its way to a
// task that follows is left to the system, which often need not bring it to the disk
// at all before it is removed; and its digest is not SHA-256, but what write has
// added to a hash of its own.
func (o output) stageAs(ctx context.Context, name string, passing *xxh3.Hasher, write func(w io.Writer) error) (stagedPart, error) {
	p := stagedPart{Part: Part{Name: name}}
	if files.Remote(o.dir) {
		b, err := o.bucket()
		if err != nil {
			return p, err
		}
		return b.stageFile(ctx, name, write)
	}
	if ctx.Err() != nil { // what is staged may have been removed with the job's end
		return p, context.Cause(ctx)
	}
	if err := os.MkdirAll(o.staging(), 0o755); err != nil {
		return p, files.DiskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	tmp, err := os.CreateTemp(o.staging(), ".tmp-*")
	if err != nil {
		return p, files.DiskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it is gone already when all went well
	sum := sha256.New()
	w, sync, digest := &meter{w: tmp, hash: sum, file: tmp}, tmp.Sync, "sha256:"
	if passing != nil {
		w, sum, sync, digest = &meter{w: tmp}, passing, func() error { return nil }, "xxh3:"
	}
	err = write(w)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		w.begin(w.n)
		err = errors.Join(sync(), tmp.Chmod(0o644))
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return p, files.DiskFault(fmt.Errorf("output %s: %s: %w", o.dir, p.Name, err))
	}
	p.Bytes, p.Digest = w.n, digest+hex.EncodeToString(sum.Sum(nil))
	if err := os.Rename(tmp.Name(), o.staged(p.Part)); err != nil {
		return p, files.DiskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	if passing != nil {
		return p, nil
	}
	return p, files.SyncDir(o.staging())
}

func (o output) staged(p Part) string {
	_, digest, _ := strings.Cut(p.Digest, ":")
	return filepath.Join(o.staging(), digest[:16]+"-"+p.Name)
}

// publish makes the parts visible: the old manifest goes, the parts move to
// their places, the new manifest is written. It may be repeated at any point.
// Of several jobs one publishes: where another has done so since this one began,
// or does at this moment, it is of kind Conflict, and names the other.
func (o output) publish(ctx context.Context, m *Manifest, staged []stagedPart) error {
	m.Job = o.job
	if err := m.seal(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("output %s: %w", o.dir, err)
	}
	text = append(text, '\n')
	if files.Remote(o.dir) {
		b, err := o.bucket()
		if err != nil {
			return err
		}
		return b.publish(ctx, m, text, staged)
	}
	unlock, err := o.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return o.publishLocked(ctx, m, text)
}

func (o output) publishLocked(ctx context.Context, m *Manifest, text []byte) error {
	old, err := o.manifestOnDisk()
	if err != nil {
		return fmt.Errorf("output %s: %w", o.dir, err)
	}
	same, err := o.mayReplace(old, m)
	if err != nil {
		return err
	}
	if same {
		return o.clear()
	}
	if err := o.writeManifest(lease{Job: o.job, Attempt: o.attempt}.text()); err != nil { // the old output is gone
		return err
	}
	if err := o.move(ctx, m.files()); err != nil {
		return err
	}
	if err := o.sweep(m.files()); err != nil {
		return files.DiskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	if err := o.writeManifest(text); err != nil {
		return err
	}
	return o.clear()
}

// clear removes what is staged, by this job and by those that it has overtaken.
// One of them may come for the lock in the middle of it: the folder is that
// one's to remove then.
func (o output) clear() error {
	err := os.RemoveAll(o.stagingRoot())
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) { // both are in POSIX
		return nil
	}
	return files.DiskFault(err)
}

func (o output) writeManifest(text []byte) error {
	return files.WriteDisk(filepath.Join(o.dir, ManifestName), func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}

// unstage removes what this job has staged, and the folder if Troupe has made it
// and nothing else is in it. Where the job was cut off while it published, the
// next need not wait for it; where it publishes still, the lock stays.
func (o output) unstage(ctx context.Context) error {
	if files.Remote(o.dir) {
		b, err := o.bucket()
		if err != nil {
			return err
		}
		return b.unstage(ctx)
	}
	if info, err := os.Stat(o.dir); err == nil && !info.IsDir() || errors.Is(err, syscall.ENOTDIR) {
		return nil // there was never a folder to stage in, and what is there is the user's
	}
	err := os.RemoveAll(o.staging())
	left, _ := os.ReadDir(o.stagingRoot()) //nolint:errcheck // an empty list is no worse than none
	made := false
	for _, e := range left {
		made = made || e.Name() == madeName
		if e.Name() != madeName && e.Name() != lockName {
			return files.DiskFault(err) // others are at work
		}
	}
	if len(left) > 0 {
		lock, _, broken := o.tryLock()
		if lock == nil && broken == nil { // likewise, or this job's last attempt, which has not heard of the end
			return files.DiskFault(err)
		}
		defer lock.Close() //nolint:errcheck // its file is gone by then
	}
	gone := []string{filepath.Join(o.stagingRoot(), lockName), filepath.Join(o.stagingRoot(), madeName), o.stagingRoot()}
	if made {
		gone = append(gone, o.dir)
	}
	for _, path := range gone {
		_ = os.Remove(path) //nolint:errcheck // a folder stays when something is in it
	}
	return files.DiskFault(err)
}

// move puts every staged part in its place; one that is there already, from an
// attempt that was cut short, must have the right bytes.
func (o output) move(ctx context.Context, parts []Part) error {
	for _, p := range parts {
		to := filepath.Join(o.dir, p.Name)
		err := os.Rename(o.staged(p), to)
		if errors.Is(err, fs.ErrNotExist) {
			err = checkPart(ctx, nil, to, p)
		}
		if err != nil {
			return files.DiskFault(fmt.Errorf("output %s: %s: %w", o.dir, p.Name, err))
		}
	}
	return files.SyncDir(o.dir)
}

// sweep removes parts of an earlier output that the new one does not have.
func (o output) sweep(parts []Part) error {
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		stale := isPart(e.Name()) || strings.HasPrefix(e.Name(), ".tmp-")
		if stale && !slices.ContainsFunc(parts, func(p Part) bool { return p.Name == e.Name() }) {
			if err := os.Remove(filepath.Join(o.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPart compares a file with what the manifest says of it.
func checkPart(ctx context.Context, f *files.Files, path string, p Part) error {
	digest, size, err := digestFile(ctx, f, path)
	if err != nil {
		return err
	}
	if digest != p.Digest || size != p.Bytes {
		return fault.New(fault.Corrupt, "%s has digest %s and %d bytes, the manifest says %s and %d", path, digest, size, p.Digest, p.Bytes)
	}
	return nil
}

func digestFile(ctx context.Context, fs *files.Files, path string) (digest string, size int64, err error) {
	f, err := fs.Open(ctx, path, "")
	if err != nil {
		return "", 0, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	announceAll(f)
	h := sha256.New()
	if size, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.NewSectionReader(f, 0, f.Size())}, make([]byte, 1<<20)); err != nil {
		return "", 0, fmt.Errorf("read %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), size, nil
}

// Verify recomputes every digest of an output folder's manifest and returns one
// error, of kind Corrupt or NotFound, for each part that differs.
func Verify(ctx context.Context, f *files.Files, dir string) (*Manifest, []error) {
	m, err := ReadManifest(ctx, f, dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.New(fault.NotFound, "%s has no %s: it is not an output of Troupe, or its job has not ended", dir, ManifestName)
		}
		return nil, []error{err}
	}
	var errs []error
	for _, p := range m.files() {
		if err := checkPart(ctx, f, files.Join(dir, p.Name), p); err != nil {
			errs = append(errs, err)
		}
	}
	sealed := *m
	if err := sealed.seal(); err != nil || sealed.Digest != m.Digest || sealed.Rows != m.Rows {
		errs = append(errs, fault.New(fault.Corrupt, "%s: the digest of the manifest itself does not match", files.Join(dir, ManifestName)))
	}
	return m, errs
}
