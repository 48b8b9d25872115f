package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

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
