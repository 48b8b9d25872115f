package disk

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/store"
)

// defaultSegment is how long a file of the spill may get before the next is begun.
const defaultSegment = 256 << 20

// spill is blobs of jobs of this process, one behind the other in few files: they
// are many, and short-lived. Nothing is synced or checked, and where they are is
// known to this process alone. Their digests are not SHA-256, but the 128 bits of
// XXH3 and their length: equal bytes are one blob.
type spill struct {
	*folder

	mu      sync.Mutex
	at      map[store.Digest]extent
	current *segment
	number  int

	segmentBytes int64
}

// segment is a file of the spill. It is removed with the last blob that is in it.
type segment struct {
	file *os.File
	end  int64
	live int
}

type extent struct {
	in     *segment
	offset int64
	length int
}

func spillDigest(b []byte) store.Digest {
	sum := xxh3.Hash128(b).Bytes()
	return store.Digest(fmt.Sprintf("sha256:%032x%s", len(b), hex.EncodeToString(sum[:])))
}

func (s *spill) Put(ctx context.Context, b []byte) (store.Digest, error) {
	leave, err := s.enter(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("spill: %w", err)
	}
	defer leave()
	d := spillDigest(b)
	e, known, err := s.reserve(d, len(b))
	if err != nil || known {
		return d, err
	}
	err = s.write(e.in.file, b, e.offset)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.drop(e.in)
		return "", fmt.Errorf("spill %d bytes: %w", len(b), classify(err))
	}
	if _, known := s.at[d]; known { // another call has written the same meanwhile
		s.drop(e.in)
		return d, nil
	}
	s.at[d] = e
	return d, nil
}

// reserve finds room for a blob, unless it is there.
func (s *spill) reserve(d store.Digest, length int) (e extent, known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, known = s.at[d]; known {
		return e, true, nil
	}
	if s.current == nil || s.current.end >= s.segmentBytes {
		f, err := os.OpenFile(s.path(fmt.Sprintf("segment-%d", s.number)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return extent{}, false, fmt.Errorf("spill: %w", classify(err))
		}
		s.number++
		full := s.current
		s.current = &segment{file: f}
		if full != nil {
			full.live++
			s.drop(full)
		}
	}
	e = extent{in: s.current, offset: s.current.end, length: length}
	s.current.end += int64(length)
	s.current.live++
	return e, false, nil
}

// drop forgets one blob of a segment. What was in it may be written over by nobody,
// so its room comes back with the segment.
func (s *spill) drop(g *segment) {
	if g.live--; g.live > 0 || g == s.current {
		return
	}
	_ = os.Remove(g.file.Name()) // else the next Open does
	_ = g.file.Close()
}

func (s *spill) Get(ctx context.Context, d store.Digest) ([]byte, error) {
	leave, err := s.enter(ctx, d.Check())
	if err != nil {
		return nil, fmt.Errorf("spill: %w", err)
	}
	defer leave()
	s.mu.Lock()
	e, known := s.at[d]
	if known {
		e.in.live++ // so that it stays while it is read
	}
	s.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("spill %s: %w", d, store.ErrNotFound)
	}
	b := make([]byte, e.length)
	_, err = e.in.file.ReadAt(b, e.offset)
	s.mu.Lock()
	s.drop(e.in)
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("spill %s: %w", d, classify(err))
	}
	return b, nil
}

func (s *spill) Has(ctx context.Context, d store.Digest) (bool, error) {
	leave, err := s.enter(ctx, d.Check())
	if err != nil {
		return false, fmt.Errorf("spill: %w", err)
	}
	defer leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.at[d]
	return known, nil
}

func (s *spill) Delete(ctx context.Context, d store.Digest) error {
	leave, err := s.enter(ctx, d.Check())
	if err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	defer leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, known := s.at[d]; known {
		delete(s.at, d)
		s.drop(e.in)
	}
	return nil
}

// openSpill empties the folder of a spill and begins anew.
func openSpill(f *folder) (*spill, error) {
	if err := os.RemoveAll(f.dir); err != nil {
		return nil, classify(err)
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, classify(err)
	}
	return &spill{folder: f, segmentBytes: defaultSegment, at: map[store.Digest]extent{}}, nil
}

// end closes the files, which nobody can find again, and removes them.
func (s *spill) end() {
	if !s.close() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	segments := map[*segment]bool{}
	for _, e := range s.at {
		segments[e.in] = true
	}
	if s.current != nil {
		segments[s.current] = true
	}
	for g := range segments {
		_ = os.Remove(g.file.Name())
		_ = g.file.Close()
	}
	s.at, s.current = nil, nil
}
