package disk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// unread is the revision of a ref whose file is damaged.
const unread = ^uint64(0)

// reserve is how many revisions the file "revision" is ahead.
const reserve = 1024

type refs struct {
	*folder
	mu       sync.RWMutex
	revision map[string]uint64 // of every name that is there
	last     uint64            // the highest revision given so far
	reserved uint64            // what the file "revision" says
}

// loadRefs reads the revisions of all refs. A damaged file is reported and kept.
func loadRefs(f *folder) (*refs, error) {
	s := &refs{folder: f, revision: map[string]uint64{}}
	b, err := os.ReadFile(f.path("revision"))
	switch {
	case err == nil:
		if s.reserved, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err != nil {
			return nil, fault.New(fault.Corrupt, "file revision: %.40q is not a number: write a number in it that is higher than the revision of every file in refs", b)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, classify(err)
	}
	s.last = s.reserved
	entries, err := os.ReadDir(f.path("refs"))
	if err != nil {
		return nil, classify(err)
	}
	for _, e := range entries {
		_, revision, err := s.read(e.Name())
		if err != nil {
			f.log.Error("a ref is damaged", "ref", e.Name(), "err", err)
			revision = unread
		} else {
			s.last = max(s.last, revision)
		}
		s.revision[e.Name()] = revision
	}
	return s, nil
}

func encodeRef(value []byte, revision uint64) []byte {
	b := fmt.Appendf(nil, "troupe ref 1 %d %08x\n", revision, refSum(value, revision))
	return append(b, value...)
}

func refSum(value []byte, revision uint64) uint32 {
	return crc32.Update(crc32.Checksum(strconv.AppendUint(nil, revision, 10), castagnoli), castagnoli, value)
}

// read returns what the file of a ref says.
func (s *refs) read(name string) (value []byte, revision uint64, err error) {
	b, err := os.ReadFile(s.path("refs", name))
	if err != nil {
		return nil, 0, classify(err)
	}
	line, value, found := bytes.Cut(b, []byte("\n"))
	var sum uint32
	n, _ := fmt.Sscanf(string(line), "troupe ref 1 %d %08x", &revision, &sum)
	if !found || n != 2 || sum != refSum(value, revision) {
		return nil, 0, fault.New(fault.Corrupt, "ref %s: %w in its file %s", name, store.ErrCorrupt, s.path("refs", name))
	}
	return value, revision, nil
}

func (s *refs) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	leave, err := s.enter(ctx, store.CheckName(name))
	if err != nil {
		return nil, 0, fmt.Errorf("get ref: %w", err)
	}
	defer leave()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, ok := s.revision[name]; !ok {
		return nil, 0, fmt.Errorf("ref %s: %w", name, store.ErrNotFound)
	}
	value, revision, err := s.read(name)
	if err != nil {
		return nil, 0, fmt.Errorf("get ref: %w", err)
	}
	return value, revision, nil
}

func (s *refs) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	leave, err := s.enter(ctx, store.CheckRef(name, value))
	if err != nil {
		return 0, fmt.Errorf("set ref: %w", err)
	}
	defer leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.expect(name, revision); err != nil {
		return 0, err
	}
	next := s.last + 1
	if next > s.reserved { // so that a revision stays known when its ref is deleted
		if err := s.replace("revision", fmt.Appendf(nil, "%d\n", s.reserved+reserve)); err != nil {
			return 0, fmt.Errorf("set ref %s: %w", name, err)
		}
		s.reserved += reserve
	}
	s.last = next // never given again, whatever happens to the file
	if err := s.replace(filepath.Join("refs", name), encodeRef(value, next)); err != nil {
		if _, now, rerr := s.read(name); rerr == nil && now == next {
			s.revision[name] = next // renamed, but perhaps not durable
		}
		return 0, fmt.Errorf("set ref %s: %w", name, err)
	}
	s.revision[name] = next
	return next, nil
}

// expect returns an error unless the name has the revision, or is missing for 0.
func (s *refs) expect(name string, revision uint64) error {
	switch now := s.revision[name]; now {
	case revision:
		return nil
	case unread:
		return fault.New(fault.Corrupt, "ref %s: %w in its file %s", name, store.ErrCorrupt, s.path("refs", name))
	default:
		return fmt.Errorf("ref %s: %w: it is at revision %d, expected %d", name, store.ErrConflict, now, revision)
	}
}

func (s *refs) List(ctx context.Context, prefix string) ([]string, error) {
	leave, err := s.enter(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list refs: %w", err)
	}
	defer leave()
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for name := range s.revision {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s *refs) Since(ctx context.Context, prefix string, revision uint64, fn func(name string, value []byte, revision uint64) error) error {
	leave, err := s.enter(ctx, nil)
	if err != nil {
		return fmt.Errorf("refs since %d: %w", revision, err)
	}
	defer leave()
	type change struct {
		name     string
		revision uint64
	}
	var changes []change
	s.mu.RLock()
	for name, r := range s.revision {
		if r > revision && strings.HasPrefix(name, prefix) {
			changes = append(changes, change{name, r})
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.revision, b.revision) })
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("refs since %d: %w", revision, err)
		}
		s.mu.RLock()
		value, now, err := s.read(c.name)
		s.mu.RUnlock()
		switch {
		case err != nil && fault.Of(err) == fault.NotFound, err == nil && now != c.revision:
			continue // gone meanwhile, or for the next time
		case err != nil:
			return fmt.Errorf("refs since %d: %w", revision, err)
		}
		if err := fn(c.name, value, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *refs) Delete(ctx context.Context, name string, revision uint64) error {
	leave, err := s.enter(ctx, store.CheckName(name))
	if err != nil {
		return fmt.Errorf("delete ref: %w", err)
	}
	defer leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.revision[name]; !ok {
		return fmt.Errorf("ref %s: %w", name, store.ErrNotFound)
	}
	if err := s.expect(name, revision); err != nil {
		return err
	}
	if err := os.Remove(s.path("refs", name)); err != nil {
		return fmt.Errorf("delete ref: %w", classify(err))
	}
	delete(s.revision, name)
	if err := s.syncDir("refs"); err != nil {
		return fmt.Errorf("delete ref %s: %w", name, err)
	}
	return nil
}
