package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/store"
)

// shelf is where a task has left blocks for others: blobs, or a file beside the
// staged parts of the job's output or in its scratch folder, which all workers see
// and which is gone with them. What a block is found by (a ref) has a meaning with its shelf alone.
type shelf struct {
	Job     string `json:"job"`            // whose it is: else equal notes of two jobs would be one blob, which the first to end removes
	File    string `json:"file,omitempty"` // "": blobs
	Version string `json:"version,omitempty"`
}

// ref is a blob's digest, or in a file "OFFSET+LENGTH:XXH3".
type ref string

// keepBlocks stores blocks and returns where each is.
type keepBlocks func(blocks [][]byte) ([]ref, error)

// shelve has fill leave blocks on a shelf of the task's.
func (w *work) shelve(name string, fill func(keep keepBlocks) error) (shelf, error) {
	o, err := w.onTheWay()
	if err != nil {
		return shelf{}, err
	}
	if o.dir == "" {
		return shelf{Job: o.job}, fill(w.keepBlobs)
	}
	all := xxh3.New() // of where the blocks are and of their sums
	p, err := o.stageAs(w.ctx, name, all, func(f io.Writer) error {
		offset := int64(0)
		return fill(func(blocks [][]byte) ([]ref, error) {
			refs := make([]ref, len(blocks))
			for i, b := range blocks {
				refs[i] = ref(fmt.Sprintf("%d+%d:%016x", offset, len(b), xxh3.Hash(b)))
				offset += int64(len(b))
				_, _ = all.WriteString(string(refs[i]) + ",") //nolint:errcheck // a hash takes everything
				if _, err := f.Write(b); err != nil {
					return nil, err
				}
			}
			return refs, nil
		})
	})
	if err != nil {
		return shelf{}, err
	}
	if files.Remote(o.dir) {
		return shelf{Job: o.job, File: files.Join(o.dir, p.At), Version: p.Version}, nil
	}
	return shelf{Job: o.job, File: o.staged(p.Part)}, nil
}

// keepBlobs stores blocks as blobs, several at a time.
func (w *work) keepBlobs(blocks [][]byte) ([]ref, error) {
	refs := make([]ref, len(blocks))
	g, ctx := errgroup.WithContext(w.ctx)
	g.SetLimit(atATime)
	for i, b := range blocks {
		g.Go(func() error {
			d, err := w.Store.Passing().Put(ctx, b)
			refs[i] = ref(d)
			return err
		})
	}
	return refs, g.Wait()
}

// block reads a block from the shelf that it was left on.
func (w *work) block(s shelf, r ref) (b []byte, err error) {
	if s.File == "" {
		return w.Store.Passing().Get(w.ctx, store.Digest(r))
	}
	offset, length, sum, err := r.inFile()
	if err != nil {
		return nil, err
	}
	f, err := w.Files.Open(w.ctx, s.File, s.Version)
	if err != nil {
		return nil, lacking(s.File, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if offset+length > f.Size() {
		return nil, fault.New(fault.Corrupt, "%s: has %d bytes, a block ends at %d", s.File, f.Size(), offset+length)
	}
	b = make([]byte, length)
	if _, err := f.ReadAt(b, offset); err != nil {
		return nil, files.DiskFault(fmt.Errorf("read %s: %w", s.File, err))
	}
	if xxh3.Hash(b) != sum {
		return nil, fault.New(fault.Corrupt, "%s: the block at %d is damaged", s.File, offset)
	}
	return b, nil
}

// inFile reads a ref within a file.
func (r ref) inFile() (offset, length int64, sum uint64, err error) {
	at, rest, _ := strings.Cut(string(r), "+")
	size, digits, _ := strings.Cut(rest, ":")
	offset, err = strconv.ParseInt(at, 10, 64)
	if err == nil {
		length, err = strconv.ParseInt(size, 10, 64)
	}
	if err == nil {
		sum, err = strconv.ParseUint(digits, 16, 64)
	}
	const most = 1 << 31
	if err != nil || offset < 0 || length < 0 || length > most {
		return 0, 0, 0, fault.New(fault.Corrupt, "%q is no place of a block", string(r))
	}
	return offset, length, sum, nil
}

// dropBlocks removes blocks from a shelf of blobs; a file goes with the output's
// staged parts.
func dropBlocks(ctx context.Context, g *errgroup.Group, from store.Blobs, s shelf, refs []ref) {
	for _, r := range refs {
		if s.File == "" && r != "" {
			g.Go(func() error { return from.Delete(ctx, store.Digest(r)) })
		}
	}
}
