package registry_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/troupe-ml/troupe/store"
)

// mapStore is a store in two maps. before, when set, runs ahead of every Set of
// a ref: the moment at which another writer can be faster.
type mapStore struct {
	mu       sync.Mutex
	blobs    map[store.Digest][]byte
	refs     map[string][]byte
	revision map[string]uint64
	last     uint64 // the highest revision
	before   func()
	sets     int // changes of refs
}

func newMapStore() *mapStore {
	return &mapStore{blobs: map[store.Digest][]byte{}, refs: map[string][]byte{}, revision: map[string]uint64{}}
}

// blobs and refs are the two faces of a mapStore.
type (
	blobs struct{ *mapStore }
	refs  struct{ *mapStore }
)

func (s blobs) Put(_ context.Context, b []byte) (store.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := store.DigestOf(b)
	s.blobs[d] = slices.Clone(b)
	return d, nil
}

func (s blobs) Get(_ context.Context, d store.Digest) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[d]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	return slices.Clone(b), nil
}

func (s blobs) Has(_ context.Context, d store.Digest) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.blobs[d]
	return ok, nil
}

func (s blobs) Delete(_ context.Context, d store.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, d)
	return nil
}

func (s refs) Get(_ context.Context, name string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revision[name] == 0 {
		return nil, 0, fmt.Errorf("ref %s: %w", name, store.ErrNotFound)
	}
	return slices.Clone(s.refs[name]), s.revision[name], nil
}

func (s refs) Set(_ context.Context, name string, value []byte, revision uint64) (uint64, error) {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revision[name] != revision {
		return 0, fmt.Errorf("ref %s: %w", name, store.ErrConflict)
	}
	if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != "" {
		return 0, fmt.Errorf("ref %q: not a name", name)
	}
	s.sets++
	s.refs[name] = slices.Clone(value)
	s.last++
	s.revision[name] = s.last
	return s.last, nil
}

func (s refs) List(_ context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.refs {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s refs) Since(ctx context.Context, prefix string, revision uint64, fn func(name string, value []byte, revision uint64) error) error {
	names, err := s.List(ctx, prefix)
	if err != nil {
		return err
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(s.revision[a], s.revision[b]) })
	for _, name := range names {
		if s.revision[name] > revision {
			if err := fn(name, s.refs[name], s.revision[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s refs) Delete(_ context.Context, name string, revision uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revision[name] != revision {
		return fmt.Errorf("ref %s: %w", name, store.ErrConflict)
	}
	delete(s.refs, name)
	delete(s.revision, name)
	return nil
}
