// Package memory is a store in the memory of one process: for tests, and for
// work whose results nobody wants to keep.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/store"
)

// New returns an empty store. Nothing in it outlives the process.
func New() store.Store {
	return store.Store{
		Blobs: &blobs{bytes: map[store.Digest][]byte{}, put: map[store.Digest]time.Time{}},
		Refs:  &refs{values: map[string]ref{}},
		Logs:  &logs{records: map[string][][]byte{}, grown: make(chan struct{})},
	}
}

type blobs struct {
	mu    sync.Mutex
	bytes map[store.Digest][]byte
	put   map[store.Digest]time.Time // when, last
}

func (s *blobs) Put(ctx context.Context, b []byte) (store.Digest, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("put blob: %w", err)
	}
	d := store.DigestOf(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.bytes[d]; !ok {
		s.bytes[d] = slices.Clone(b)
	}
	s.put[d] = clock.Real{}.Now()
	return d, nil
}

// List implements store.Inventory.
func (s *blobs) List(ctx context.Context, fn func(store.Digest) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.bytes))
	s.mu.Unlock()
	for _, d := range all {
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}

// Stat implements store.Inventory.
func (s *blobs) Stat(ctx context.Context, d store.Digest) (store.Kept, error) {
	if err := check(ctx, d.Check()); err != nil {
		return store.Kept{}, fmt.Errorf("find blob: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bytes[d]
	if !ok {
		return store.Kept{}, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	return store.Kept{Bytes: int64(len(b)), Put: s.put[d]}, nil
}

// DeleteOld implements store.Inventory.
func (s *blobs) DeleteOld(ctx context.Context, d store.Digest, before time.Time) (bool, error) {
	if err := check(ctx, d.Check()); err != nil {
		return false, fmt.Errorf("delete blob: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.bytes[d]
	if !ok || !s.put[d].Before(before) {
		return false, nil
	}
	delete(s.bytes, d)
	delete(s.put, d)
	return true, nil
}

func (s *blobs) Get(ctx context.Context, d store.Digest) ([]byte, error) {
	if err := check(ctx, d.Check()); err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	s.mu.Lock()
	b, ok := s.bytes[d]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	if err := d.Verify(b); err != nil {
		return nil, err
	}
	return slices.Clone(b), nil
}

func (s *blobs) Has(ctx context.Context, d store.Digest) (bool, error) {
	if err := check(ctx, d.Check()); err != nil {
		return false, fmt.Errorf("find blob: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.bytes[d]
	return ok, nil
}

func (s *blobs) Delete(ctx context.Context, d store.Digest) error {
	if err := check(ctx, d.Check()); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bytes, d)
	delete(s.put, d)
	return nil
}

type ref struct {
	value    []byte
	revision uint64
}

type refs struct {
	mu       sync.Mutex
	values   map[string]ref
	revision uint64 // the last one given to any name, so that none is used again
}

func (s *refs) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	if err := check(ctx, store.CheckName(name)); err != nil {
		return nil, 0, fmt.Errorf("get ref: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.values[name]
	if !ok {
		return nil, 0, fmt.Errorf("ref %s: %w", name, store.ErrNotFound)
	}
	return slices.Clone(r.value), r.revision, nil
}

func (s *refs) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	if err := check(ctx, store.CheckRef(name, value)); err != nil {
		return 0, fmt.Errorf("set ref: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.values[name].revision; now != revision {
		return 0, fmt.Errorf("ref %s: %w: it is at revision %d, expected %d", name, store.ErrConflict, now, revision)
	}
	s.revision++
	s.values[name] = ref{slices.Clone(value), s.revision}
	return s.revision, nil
}

func (s *refs) List(ctx context.Context, prefix string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list refs: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return matching(s.values, prefix), nil
}

func (s *refs) Since(ctx context.Context, prefix string, revision uint64, fn func(name string, value []byte, revision uint64) error) error {
	type change struct {
		name string
		ref
	}
	var changes []change
	s.mu.Lock()
	for name, r := range s.values {
		if r.revision > revision && strings.HasPrefix(name, prefix) {
			changes = append(changes, change{name, ref{slices.Clone(r.value), r.revision}})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.revision, b.revision) })
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("refs since %d: %w", revision, err)
		}
		if err := fn(c.name, c.value, c.revision); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *refs) Delete(ctx context.Context, name string, revision uint64) error {
	if err := check(ctx, store.CheckName(name)); err != nil {
		return fmt.Errorf("delete ref: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch now := s.values[name].revision; now {
	case 0:
		return fmt.Errorf("ref %s: %w", name, store.ErrNotFound)
	case revision:
		delete(s.values, name)
		return nil
	default:
		return fmt.Errorf("ref %s: %w: it is at revision %d, expected %d", name, store.ErrConflict, now, revision)
	}
}

type logs struct {
	mu      sync.Mutex
	records map[string][][]byte
	grown   chan struct{} // closed and replaced when any log has grown
}

func (s *logs) Append(ctx context.Context, name string, expected uint64, records ...[]byte) error {
	if err := check(ctx, store.CheckRecords(name, records)); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := uint64(len(s.records[name])); n != expected {
		return fmt.Errorf("log %s: %w: it holds %d records, expected %d", name, store.ErrConflict, n, expected)
	}
	if len(records) == 0 {
		return nil
	}
	for _, r := range records {
		s.records[name] = append(s.records[name], slices.Clone(r))
	}
	close(s.grown)
	s.grown = make(chan struct{})
	return nil
}

func (s *logs) Read(ctx context.Context, name string, from uint64) ([][]byte, error) {
	if err := check(ctx, store.CheckName(name)); err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	records, _ := s.read(name, from)
	return records, nil
}

// read also returns the channel that is closed when there is more.
func (s *logs) read(name string, from uint64) ([][]byte, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.records[name]
	tail := all[min(from, uint64(len(all))):]
	records := make([][]byte, len(tail))
	for i, r := range tail {
		records[i] = slices.Clone(r)
	}
	return records, s.grown
}

func (s *logs) Watch(ctx context.Context, name string, from uint64, fn func(seq uint64, record []byte) error) error {
	if err := store.CheckName(name); err != nil {
		return fmt.Errorf("watch log: %w", err)
	}
	for {
		records, grown := s.read(name, from)
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("watch log %s: %w", name, err)
			}
			if err := fn(from, r); err != nil {
				return err
			}
			from++
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watch log %s: %w", name, ctx.Err())
		case <-grown:
		}
	}
}

func (s *logs) List(ctx context.Context, prefix string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return matching(s.records, prefix), nil
}

// check returns the context's error, or else that of the arguments.
func check(ctx context.Context, arguments error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return arguments
}

// matching returns the names in m that start with prefix, sorted.
func matching[V any](m map[string]V, prefix string) []string {
	var names []string
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
