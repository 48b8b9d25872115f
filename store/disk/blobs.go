package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

type blobs struct {
	*folder
	// sweep is held for writing while an old blob is deleted, so that nobody finds
	// it there and takes it for kept.
	sweep sync.RWMutex
}

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
	s.sweep.RLock()
	defer s.sweep.RUnlock()
	if old, err := os.ReadFile(s.path(name)); err == nil && d.Verify(old) == nil {
		now := clock.Real{}.Now()                                                        // it is young again
		return errors.Join(classify(os.Chtimes(s.path(name), now, now)), s.syncDir(sub)) // whoever wrote it may not have got so far
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

// List implements store.Inventory.
func (s *blobs) List(ctx context.Context, fn func(store.Digest) error) error {
	leave, err := s.enter(ctx, nil)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	defer leave()
	subs, err := os.ReadDir(s.path("blobs"))
	if err != nil {
		return fmt.Errorf("list blobs: %w", classify(err))
	}
	for _, sub := range subs {
		files, err := os.ReadDir(s.path("blobs", sub.Name()))
		if err != nil {
			return fmt.Errorf("list blobs: %w", classify(err))
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		for _, f := range files {
			d := store.Digest("sha256:" + sub.Name() + f.Name())
			if d.Check() != nil {
				continue // nothing of ours
			}
			if err := fn(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// Stat implements store.Inventory.
func (s *blobs) Stat(ctx context.Context, d store.Digest) (store.Kept, error) {
	leave, err := s.enter(ctx, d.Check())
	if err != nil {
		return store.Kept{}, fmt.Errorf("find blob: %w", err)
	}
	defer leave()
	info, err := os.Stat(s.path(blobName(d)))
	if errors.Is(err, fs.ErrNotExist) {
		return store.Kept{}, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	if err != nil {
		return store.Kept{}, fmt.Errorf("find blob: %w", classify(err))
	}
	return store.Kept{Bytes: info.Size(), Put: info.ModTime()}, nil
}

// DeleteOld implements store.Inventory.
func (s *blobs) DeleteOld(ctx context.Context, d store.Digest, before time.Time) (bool, error) {
	if err := d.Check(); err != nil {
		return false, fmt.Errorf("delete blob: %w", err)
	}
	s.sweep.Lock()
	defer s.sweep.Unlock()
	kept, err := s.Stat(ctx, d)
	if errors.Is(err, store.ErrNotFound) || err == nil && !kept.Put.Before(before) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.Delete(ctx, d)
}
