package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Names in an output folder.
const (
	ManifestName    = "_manifest.json"
	RejectedName    = "_rejected.ndjson" // the lines of an import that are no rows
	stagingName     = "_staging"
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
	Code    string      `json:"code"` // version of the program
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
func ReadManifest(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, ManifestName))
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

// output is the folder that one job writes. Parts are staged under names of
// their content, so that two attempts at a shard write the same file.
type output struct {
	dir string
	job string
}

func (o output) stagingRoot() string { return filepath.Join(o.dir, stagingName) }

func (o output) staging() string { return filepath.Join(o.stagingRoot(), o.job) }

func partName(shard int) string { return fmt.Sprintf("part-%05d.parquet", shard) }

// prepare makes the staging folder, after a look at what is in the way: a
// folder that holds anything but an output of Troupe is not touched.
func (o output) prepare() error {
	entries, err := os.ReadDir(o.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Invalid, "output %s: %w", o.dir, err)
	}
	for _, e := range entries {
		n := e.Name()
		ours := n == ManifestName || n == stagingName || n == RejectedName || strings.HasPrefix(n, ".tmp-") || strings.HasPrefix(n, "part-") && strings.HasSuffix(n, ".parquet")
		if !ours {
			return fault.New(fault.Conflict, "output %s: the folder holds %q, which Troupe has not written; name an empty folder", o.dir, n)
		}
	}
	if err := os.MkdirAll(o.staging(), 0o755); err != nil {
		return diskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	return nil
}

// stage writes one part under the staging folder and returns what it is.
func (o output) stage(ctx context.Context, shard int, write func(w io.Writer) error) (Part, error) {
	return o.stageFile(ctx, partName(shard), write)
}

func (o output) stageFile(ctx context.Context, name string, write func(w io.Writer) error) (Part, error) {
	p := Part{Name: name}
	if err := os.MkdirAll(o.staging(), 0o755); err != nil {
		return p, diskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	tmp, err := os.CreateTemp(o.staging(), ".tmp-*")
	if err != nil {
		return p, diskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it is gone already when all went well
	w := &meter{w: tmp, hash: sha256.New()}
	err = write(w)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = errors.Join(tmp.Sync(), tmp.Chmod(0o644))
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return p, diskFault(fmt.Errorf("output %s: %s: %w", o.dir, p.Name, err))
	}
	p.Bytes, p.Digest = w.n, "sha256:"+hex.EncodeToString(w.hash.Sum(nil))
	if err := os.Rename(tmp.Name(), o.staged(p)); err != nil {
		return p, diskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	return p, syncDir(o.staging())
}

func (o output) staged(p Part) string {
	return filepath.Join(o.staging(), strings.TrimPrefix(p.Digest, "sha256:")[:16]+"-"+p.Name)
}

// meter counts and hashes what passes through it.
type meter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.hash.Write(b[:n])
	m.n += int64(n)
	return n, err
}

// publish makes the parts visible: the old manifest goes, the parts move to
// their places, the new manifest is written. It may be repeated at any point.
func (o output) publish(m *Manifest) error {
	if err := m.seal(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("output %s: %w", o.dir, err)
	}
	text = append(text, '\n')
	if old, err := os.ReadFile(filepath.Join(o.dir, ManifestName)); err == nil && bytes.Equal(old, text) {
		return diskFault(os.RemoveAll(filepath.Join(o.dir, stagingName)))
	}
	if err := os.Remove(filepath.Join(o.dir, ManifestName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	if err := o.move(m.files()); err != nil {
		return err
	}
	if err := o.sweep(m.files()); err != nil {
		return diskFault(fmt.Errorf("output %s: %w", o.dir, err))
	}
	err = writeFile(filepath.Join(o.dir, ManifestName), func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return diskFault(os.RemoveAll(filepath.Join(o.dir, stagingName)))
}

// move puts every staged part in its place; one that is there already, from an
// attempt that was cut short, must have the right bytes.
func (o output) move(parts []Part) error {
	for _, p := range parts {
		to := filepath.Join(o.dir, p.Name)
		err := os.Rename(o.staged(p), to)
		if errors.Is(err, fs.ErrNotExist) {
			err = checkPart(to, p)
		}
		if err != nil {
			return diskFault(fmt.Errorf("output %s: %s: %w", o.dir, p.Name, err))
		}
	}
	return syncDir(o.dir)
}

// sweep removes parts of an earlier output that the new one does not have.
func (o output) sweep(parts []Part) error {
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		stale := strings.HasPrefix(e.Name(), "part-") || strings.HasPrefix(e.Name(), ".tmp-") || e.Name() == RejectedName
		if stale && !slices.ContainsFunc(parts, func(p Part) bool { return p.Name == e.Name() }) {
			if err := os.Remove(filepath.Join(o.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPart compares a file with what the manifest says of it.
func checkPart(path string, p Part) error {
	digest, size, err := digestFile(path)
	if err != nil {
		return err
	}
	if digest != p.Digest || size != p.Bytes {
		return fault.New(fault.Corrupt, "%s has digest %s and %d bytes, the manifest says %s and %d", path, digest, size, p.Digest, p.Bytes)
	}
	return nil
}

func digestFile(path string) (digest string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("read %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), size, nil
}

// Verify recomputes every digest of an output folder's manifest and returns one
// error, of kind Corrupt or NotFound, for each part that differs.
func Verify(dir string) (*Manifest, []error) {
	m, err := ReadManifest(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.New(fault.NotFound, "%s has no %s: it is not an output of Troupe, or its job has not ended", dir, ManifestName)
		}
		return nil, []error{err}
	}
	var errs []error
	for _, p := range m.files() {
		if err := checkPart(filepath.Join(dir, p.Name), p); err != nil {
			errs = append(errs, err)
		}
	}
	sealed := *m
	if err := sealed.seal(); err != nil || sealed.Digest != m.Digest || sealed.Rows != m.Rows {
		errs = append(errs, fault.New(fault.Corrupt, "%s: the digest of the manifest itself does not match", filepath.Join(dir, ManifestName)))
	}
	return m, errs
}
