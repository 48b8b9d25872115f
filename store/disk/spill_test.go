package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

func segments(t *testing.T, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, spillFolder, "segment-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestWhatIsSpilledComesBackAndItsRoomToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	s.spill.segmentBytes = 1000
	var wg sync.WaitGroup
	digests := make([]store.Digest, 64)
	blob := func(i int) []byte { return bytes.Repeat([]byte{byte(i / 2)}, 100+i/2) } // each twice
	for i := range digests {
		wg.Go(func() {
			d, err := s.Spill.Put(t.Context(), blob(i))
			if err != nil {
				t.Error(err)
			}
			digests[i] = d
			if b, err := s.Spill.Get(t.Context(), d); err != nil || !bytes.Equal(b, blob(i)) {
				t.Errorf("blob %d: %d bytes, %v", i, len(b), err)
			}
		})
	}
	wg.Wait()
	if segments(t, dir) < 3 {
		t.Error("one file holds it all")
	}
	for i, d := range digests {
		if i%2 == 1 && d != digests[i-1] {
			t.Error("equal bytes are two blobs")
		}
		if err := s.Spill.Delete(t.Context(), d); err != nil { // the second finds nothing
			t.Error(err)
		}
		if _, err := s.Spill.Get(t.Context(), d); !errors.Is(err, store.ErrNotFound) {
			t.Error("it is still there:", err)
		}
	}
	if n := segments(t, dir); n != 1 {
		t.Errorf("%d files are left, expected the one that is written to", n)
	}
}

// A blob that could not be written takes no part in how long its file stays.
func TestABlobThatWasNotSpilledKeepsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	s.spill.segmentBytes = 10
	write := s.spill.write
	s.spill.write = func(*os.File, []byte, int64) error { return syscall.ENOSPC }
	if _, err := s.Spill.Put(t.Context(), []byte("more than a segment")); fault.Of(err) != fault.Exhausted {
		t.Error("a full disk is", err)
	}
	s.spill.write = write
	if _, err := s.Spill.Put(t.Context(), []byte("passing")); err != nil {
		t.Fatal(err)
	}
	if n := segments(t, dir); n != 1 {
		t.Errorf("%d files are left, expected the one that is written to", n)
	}
}

func TestASpillIsEmptyWhenItIsOpenedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	d, err := s.Spill.Put(t.Context(), []byte("passing"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, spillFolder, "segment-77"), []byte("of a process that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spill.Get(t.Context(), d); err == nil {
		t.Error("a closed spill answers")
	}
	again := opened(t, dir)
	if has, err := again.Spill.Has(t.Context(), d); has || err != nil {
		t.Error("it is still there:", has, err)
	}
	if n := segments(t, dir); n != 0 {
		t.Errorf("%d files are left", n)
	}
	for _, bad := range []store.Digest{"", "sha256:1", store.Digest(fmt.Sprintf("md5:%064d", 1))} {
		if _, err := again.Spill.Get(t.Context(), bad); err == nil {
			t.Error("a digest that is none is taken")
		}
	}
}
