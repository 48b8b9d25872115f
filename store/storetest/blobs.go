package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/store"
)

// noise returns n bytes that do not compress, the same for the same n.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rng.New(uint64(n), "storetest noise")
	for i := range b {
		b[i] = byte(r.Uint64())
	}
	return b
}

func blobRoundTrip(t *testing.T, f Fixture) {
	ctx, blobs := soon(t), f.Store.Blobs
	for _, n := range []int{0, 1, 1000, 512 << 10, 512<<10 + 1, 3 << 20} {
		want := noise(n)
		d := store.DigestOf(want)
		has, err := blobs.Has(ctx, d)
		must(t, err)
		_, err = blobs.Get(ctx, d)
		wantErr(t, fmt.Sprintf("get of %d bytes before put", n), err, store.ErrNotFound, fault.NotFound)
		for range 2 { // putting again is no error
			got, err := blobs.Put(ctx, want)
			must(t, err)
			if has || got != d {
				t.Fatalf("%d bytes: had them %v, digest %s, want %s", n, has, got, d)
			}
			back, err := blobs.Get(ctx, d)
			must(t, err)
			if !bytes.Equal(back, want) {
				t.Fatalf("%d bytes: came back changed, as %d", n, len(back))
			}
			present, err := blobs.Has(ctx, d)
			must(t, err)
			if !present {
				t.Fatalf("%d bytes: are there, but not for Has", n)
			}
		}
		for range 2 { // forgetting what is not there is no error
			must(t, blobs.Delete(ctx, d))
			wantErr(t, fmt.Sprintf("get of %d bytes after delete", n), f.get(ctx, d, store.ErrNotFound), store.ErrNotFound, fault.NotFound)
		}
		_, err = blobs.Put(ctx, want) // and back again
		must(t, err)
		_, err = blobs.Get(ctx, d)
		must(t, err)
	}
}

func blobCorrupt(t *testing.T, f Fixture) {
	ctx, blobs := soon(t), f.Store.Blobs
	d, err := blobs.Put(ctx, []byte("the truth"))
	must(t, err)
	other, err := blobs.Put(ctx, []byte("another truth"))
	must(t, err)
	f.Corrupt(t, d)
	wantErr(t, "get of a corrupt blob", f.get(ctx, d, store.ErrCorrupt), store.ErrCorrupt, fault.Corrupt)
	_, err = blobs.Get(ctx, other)
	must(t, err)
	must(t, blobs.Delete(ctx, d)) // the way out: forget it and put it again
	_, err = blobs.Put(ctx, []byte("the truth"))
	must(t, err)
	_, err = blobs.Get(ctx, d)
	must(t, err)
}

func blobConcurrent(t *testing.T, f Fixture) {
	ctx, blobs := soon(t), f.Store.Blobs
	shared := noise(200 << 10)
	d := store.DigestOf(shared)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := fmt.Appendf(nil, "of %d alone", i)
			for range 4 {
				if got, err := blobs.Put(ctx, shared); err != nil || got != d {
					t.Errorf("put: %s, %v", got, err)
				}
				if b, err := blobs.Get(ctx, d); err != nil || !bytes.Equal(b, shared) {
					t.Errorf("get: %d bytes, %v", len(b), err)
				}
				od, err := blobs.Put(ctx, own)
				if err != nil {
					t.Errorf("put: %v", err)
				}
				if err := blobs.Delete(ctx, od); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if b, err := blobs.Get(ctx, d); err != nil || !bytes.Equal(b, shared) {
		t.Errorf("get: %d bytes, %v", len(b), err)
	}
}

func blobBadDigest(t *testing.T, f Fixture) {
	ctx, blobs := soon(t), f.Store.Blobs
	for _, d := range []store.Digest{"", "x", "sha256:../../../etc/passwd", "md5:0123"} {
		_, err := blobs.Get(ctx, d)
		wantErr(t, "get", err, nil, fault.Invalid)
		_, err = blobs.Has(ctx, d)
		wantErr(t, "has", err, nil, fault.Invalid)
		wantErr(t, "delete", blobs.Delete(ctx, d), nil, fault.Invalid)
	}
}

// copies checks that neither side sees the other's later changes.
func copies(t *testing.T, f Fixture) {
	ctx, s := soon(t), f.Store
	scribble := func(b []byte) { copy(b, "XXXX") }
	mine := []byte("mine")
	d, err := s.Blobs.Put(ctx, mine)
	must(t, err)
	rev, err := s.Refs.Set(ctx, "mine", mine, 0)
	must(t, err)
	must(t, s.Logs.Append(ctx, "mine", 0, mine))
	scribble(mine)
	for range 2 {
		b, err := s.Blobs.Get(ctx, d)
		must(t, err)
		v, r, err := s.Refs.Get(ctx, "mine")
		must(t, err)
		l, err := s.Logs.Read(ctx, "mine", 0)
		must(t, err)
		if string(b) != "mine" || string(v) != "mine" || r != rev || len(l) != 1 || string(l[0]) != "mine" {
			t.Fatalf("got blob %q, ref %q at %d (want %d), log %q", b, v, r, rev, l)
		}
		scribble(b)
		scribble(v)
		scribble(l[0])
	}
}

func canceled(t *testing.T, f Fixture) {
	s := f.Store
	ctx, cancel := context.WithCancel(soon(t))
	cancel()
	d := store.DigestOf(nil)
	_, errPut := s.Blobs.Put(ctx, nil)
	_, errGet := s.Blobs.Get(ctx, d)
	_, errHas := s.Blobs.Has(ctx, d)
	_, _, errRef := s.Refs.Get(ctx, "a")
	_, errSet := s.Refs.Set(ctx, "a", nil, 0)
	_, errRefs := s.Refs.List(ctx, "")
	_, errRead := s.Logs.Read(ctx, "a", 0)
	_, errLogs := s.Logs.List(ctx, "")
	for what, err := range map[string]error{
		"put": errPut, "get": errGet, "has": errHas, "delete": s.Blobs.Delete(ctx, d),
		"ref get": errRef, "ref set": errSet, "ref list": errRefs, "ref delete": s.Refs.Delete(ctx, "a", 1),
		"append": s.Logs.Append(ctx, "a", 0, nil), "read": errRead, "log list": errLogs,
	} {
		if !errors.Is(err, context.Canceled) || fault.Of(err) != fault.Canceled {
			t.Errorf("%s: got %v (%v), want the context's error", what, err, fault.Of(err))
		}
	}
}
