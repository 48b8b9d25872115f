package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// Blobs returns the blobs that are kept as objects below u. Putting a blob again
// writes it again, so that one that was damaged is whole afterwards.
func (c *Client) Blobs(u URL) store.Blobs { return &blobs{c, u} }

type blobs struct {
	c    *Client
	root URL
}

func (s *blobs) at(d store.Digest) URL { return s.root.Join(d.Hex()[:2]).Join(d.Hex()[2:]) }

// enter says why a call cannot begin.
func enter(ctx context.Context, d store.Digest) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Canceled, context.Cause(ctx))
	}
	return d.Check()
}

// Put implements store.Blobs.
func (s *blobs) Put(ctx context.Context, b []byte) (_ store.Digest, err error) {
	d := store.DigestOf(b)
	if err := enter(ctx, d); err != nil {
		return "", fmt.Errorf("put blob: %w", err)
	}
	up := s.c.Create(ctx, s.at(d))
	defer func() { err = errors.Join(err, up.Abort(context.WithoutCancel(ctx))) }()
	if _, err = up.Write(b); err == nil {
		_, err = up.Commit()
	}
	if err != nil {
		return "", fmt.Errorf("put blob of %d bytes: %w", len(b), err)
	}
	return d, nil
}

// Get implements store.Blobs.
func (s *blobs) Get(ctx context.Context, d store.Digest) ([]byte, error) {
	if err := enter(ctx, d); err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	o, err := s.c.Open(ctx, s.at(d), "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	defer o.Close() //nolint:errcheck // it was only read
	size := o.Info().Bytes
	if size > store.MaxBlobBytes {
		return nil, fault.New(fault.Corrupt, "blob %s: %w: it has %d bytes", d, store.ErrCorrupt, size)
	}
	o.Plan([]Range{{0, size}})
	b := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(o, 0, size), b); err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	return b, d.Verify(b)
}

// Has implements store.Blobs.
func (s *blobs) Has(ctx context.Context, d store.Digest) (bool, error) {
	if err := enter(ctx, d); err != nil {
		return false, fmt.Errorf("find blob: %w", err)
	}
	is, err := s.c.Exists(ctx, s.at(d))
	if err != nil {
		return false, fmt.Errorf("find blob: %w", err)
	}
	return is, nil
}

// Delete implements store.Blobs.
func (s *blobs) Delete(ctx context.Context, d store.Digest) error {
	if err := enter(ctx, d); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	if err := s.c.Delete(ctx, s.at(d)); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

// List implements store.Inventory.
func (s *blobs) List(ctx context.Context, fn func(store.Digest) error) error {
	root := s.root
	if root.Key != "" && !strings.HasSuffix(root.Key, "/") {
		root.Key += "/"
	}
	var told error
	err := s.c.List(ctx, root, func(i Info) bool {
		d := store.Digest("sha256:" + strings.ReplaceAll(strings.TrimPrefix(i.URL.Key, root.Key), "/", ""))
		if d.Check() == nil && s.at(d) == i.URL {
			told = fn(d)
		}
		return told == nil
	})
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	return told
}

// Stat implements store.Inventory.
func (s *blobs) Stat(ctx context.Context, d store.Digest) (store.Kept, error) {
	if err := enter(ctx, d); err != nil {
		return store.Kept{}, fmt.Errorf("find blob: %w", err)
	}
	i, err := s.c.Stat(ctx, s.at(d))
	if errors.Is(err, fs.ErrNotExist) {
		return store.Kept{}, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	if err != nil {
		return store.Kept{}, fmt.Errorf("find blob: %w", err)
	}
	return store.Kept{Bytes: i.Bytes, Put: i.Changed}, nil
}

// DeleteOld implements store.Inventory. A store with the S3 API cannot delete
// under a condition, so one that is put again between the look and the deletion
// is lost: whoever sweeps must leave alone what is anywhere near as young.
func (s *blobs) DeleteOld(ctx context.Context, d store.Digest, before time.Time) (bool, error) {
	kept, err := s.Stat(ctx, d)
	if errors.Is(err, store.ErrNotFound) || err == nil && !kept.Put.Before(before) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.Delete(ctx, d)
}
