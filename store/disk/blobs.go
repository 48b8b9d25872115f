package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

type blobs struct{ *folder }

// blobName returns the file of a blob, within the folder.
func blobName(d store.Digest) string {
	hex := d.Hex()
	return filepath.Join("blobs", hex[:2], hex[2:])
}

func (s *blobs) Put(ctx context.Context, b []byte) (store.Digest, error) {
	leave, err := s.enter(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("put blob: %w", err)
	}
	defer leave()
	d := store.DigestOf(b)
	if err := s.put(d, b); err != nil {
		return "", fmt.Errorf("put blob of %d bytes: %w", len(b), err)
	}
	return d, nil
}

func (s *blobs) put(d store.Digest, b []byte) error {
	name := blobName(d)
	sub := filepath.Dir(name)
	if old, err := os.ReadFile(s.path(name)); err == nil && d.Verify(old) == nil {
		return s.syncDir(sub) // whoever wrote it may not have got so far
	}
	switch err := os.Mkdir(s.path(sub), 0o700); {
	case err == nil:
		if err := s.syncDir("blobs"); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return classify(err)
	}
	return s.replace(name, b)
}

func (s *blobs) Get(ctx context.Context, d store.Digest) ([]byte, error) {
	leave, err := s.enter(ctx, d.Check())
	if err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	defer leave()
	b, err := os.ReadFile(s.path(blobName(d)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get blob: %w", classify(err))
	}
	return b, d.Verify(b)
}

func (s *blobs) Has(ctx context.Context, d store.Digest) (bool, error) {
	leave, err := s.enter(ctx, d.Check())
	if err != nil {
		return false, fmt.Errorf("find blob: %w", err)
	}
	defer leave()
	_, err = os.Stat(s.path(blobName(d)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find blob: %w", classify(err))
	}
	return true, nil
}

func (s *blobs) Delete(ctx context.Context, d store.Digest) error {
	leave, err := s.enter(ctx, d.Check())
	if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	defer leave()
	name := blobName(d)
	err = os.Remove(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.syncDir(filepath.Dir(name))
	}
	if err != nil {
		return fault.Wrap(fault.Of(classify(err)), fmt.Errorf("delete blob: %w", err))
	}
	return nil
}
