package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func opened(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestDiskKeepsThePromisesOfAStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		dir := t.TempDir()
		s := opened(t, dir)
		return storetest.Fixture{
			Store: s.Store,
			Corrupt: func(t *testing.T, d store.Digest) {
				path := filepath.Join(dir, blobName(d))
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				b[len(b)/2] ^= 1
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			Reopen: func(t *testing.T) store.Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return opened(t, dir).Store
			},
		}
	})
}

func TestAFolderHasOneUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	if _, err := Open(dir, quiet()); fault.Of(err) != fault.Conflict {
		t.Fatalf("a second user: %v (%v)", err, fault.Of(err))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	opened(t, dir)
	if _, err := s.Blobs.Put(t.Context(), nil); fault.Of(err) != fault.Unavailable {
		t.Errorf("put into a closed store: %v", err)
	}
}

func TestAFolderOfSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.doc"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, quiet()); fault.Of(err) != fault.Invalid {
		t.Fatalf("got %v (%v)", err, fault.Of(err))
	}
}

// A crash may leave any beginning of the last frame.
func TestALogIsWholeAfterACrashAtAnyByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	for i := range 3 {
		if err := s.Logs.Append(t.Context(), "l", uint64(2*i), fmt.Appendf(nil, "record %d", 2*i), fmt.Appendf(nil, "record %d", 2*i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "logs", "l")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frame := (len(whole) - len(logLine)) / 3
	for cut := 1; cut <= 2*frame; cut++ {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := opened(t, dir)
		want := uint64(6 - 2*((cut+frame-1)/frame))
		records, err := s.Logs.Read(t.Context(), "l", 0)
		if err != nil || uint64(len(records)) != want {
			t.Fatalf("without the last %d bytes: %d records, %v, want %d", cut, len(records), err, want)
		}
		if err := s.Logs.Append(t.Context(), "l", want, []byte("next")); err != nil {
			t.Fatalf("without the last %d bytes: %v", cut, err)
		}
		if records, err = s.Logs.Read(t.Context(), "l", want); err != nil || len(records) != 1 || string(records[0]) != "next" {
			t.Fatalf("without the last %d bytes: %q, %v", cut, records, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What is damaged in the middle was durable: it must not be cut off silently.
func TestADamagedLogIsCorrupt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	for i := range 3 {
		if err := s.Logs.Append(t.Context(), "l", uint64(i), fmt.Appendf(nil, "record %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "logs", "l")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frame := (len(whole) - len(logLine)) / 3
	for i := range len(logLine) + 2*frame { // all but the last frame
		b := append([]byte(nil), whole...)
		b[i] ^= 0x10
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := opened(t, dir)
		if _, err := s.Logs.Read(t.Context(), "l", 0); fault.Of(err) != fault.Corrupt {
			t.Fatalf("byte %d: %v (%v)", i, err, fault.Of(err))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADamagedRefIsCorruptAndTheOthersAreNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	for _, name := range []string{"a", "b"} {
		if _, err := s.Refs.Set(t.Context(), name, []byte("value"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "refs", "a"), []byte("troupe ref 1 1 00000000\nvalue"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = opened(t, dir)
	if _, _, err := s.Refs.Get(t.Context(), "a"); fault.Of(err) != fault.Corrupt {
		t.Errorf("get: %v (%v)", err, fault.Of(err))
	}
	if _, err := s.Refs.Set(t.Context(), "a", nil, 0); fault.Of(err) != fault.Corrupt {
		t.Errorf("set: %v (%v)", err, fault.Of(err))
	}
	if v, _, err := s.Refs.Get(t.Context(), "b"); err != nil || string(v) != "value" {
		t.Errorf("the other: %q, %v", v, err)
	}
}

// A disk that is full now and then: what was refused is not there, what was
// accepted is, and it goes on when there is room.
func TestAFullDiskTearsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	if err := s.Logs.Append(t.Context(), "l", 0, []byte("before")); err != nil {
		t.Fatal(err)
	}
	revision, err := s.Refs.Set(t.Context(), "r", []byte("before"), 0)
	if err != nil {
		t.Fatal(err)
	}
	write, sync := s.folder.write, s.folder.sync
	for what, do := range losses(t, s, revision) {
		s.folder.write = func(f *os.File, b []byte, at int64) error { // half of it is written
			_ = write(f, b[:len(b)/2], at)
			return syscall.ENOSPC
		}
		err := do()
		s.folder.write = write
		if fault.Of(err) != fault.Exhausted {
			t.Errorf("%s, the disk is full: %v (%v)", what, err, fault.Of(err))
		}
		failed := false
		s.folder.sync = func(f *os.File) error { // the first sync fails
			if !failed {
				failed = true
				return syscall.ENOSPC
			}
			return sync(f)
		}
		err = do()
		s.folder.sync = sync
		if fault.Of(err) != fault.Exhausted {
			t.Errorf("%s, the sync fails: %v (%v)", what, err, fault.Of(err))
		}
	}
	if v, _, err := s.Refs.Get(t.Context(), "r"); err != nil || string(v) != "before" {
		t.Errorf("the ref is %q, %v", v, err)
	}
	if _, err := s.Blobs.Get(t.Context(), store.DigestOf([]byte("lost"))); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the blob: %v", err)
	}
	if err := s.Logs.Append(t.Context(), "l", 1, []byte("after")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	records, err := opened(t, dir).Logs.Read(t.Context(), "l", 0)
	if err != nil || fmt.Sprintf("%s", records) != "[before after]" {
		t.Errorf("the log is %s, %v", records, err)
	}
}

// losses are the writes that a full disk refuses.
func losses(t *testing.T, s *Store, revision uint64) map[string]func() error {
	t.Helper()
	return map[string]func() error{
		"append":       func() error { return s.Logs.Append(t.Context(), "l", 1, []byte("lost")) },
		"first append": func() error { return s.Logs.Append(t.Context(), "new", 0, []byte("lost")) },
		"put": func() error {
			_, err := s.Blobs.Put(t.Context(), []byte("lost"))
			return err
		},
		"set": func() error {
			_, err := s.Refs.Set(t.Context(), "r", []byte("lost"), revision)
			return err
		},
	}
}

func TestABlobThatIsPutAgainIsYoung(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blobs, ok := opened(t, dir).Store.Blobs.(store.Inventory)
	if !ok {
		t.Fatal("no inventory")
	}
	now := clock.Real{}.Now()
	for range 2 {
		d, err := blobs.Put(t.Context(), []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		gone, err := blobs.DeleteOld(t.Context(), d, now.Add(-time.Hour))
		if err != nil || gone {
			t.Fatalf("deleted %v: %v", gone, err)
		}
		if err := os.Chtimes(filepath.Join(dir, blobName(d)), now.Add(-24*time.Hour), now.Add(-24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}
