package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

func inventory(t *testing.T, f Fixture) store.Inventory {
	t.Helper()
	blobs, ok := f.Store.Blobs.(store.Inventory)
	if !ok {
		t.Fatalf("%T is no store.Inventory", f.Store.Blobs)
	}
	return blobs
}

func listed(t *testing.T, blobs store.Inventory) []store.Digest {
	t.Helper()
	all := []store.Digest{}
	must(t, blobs.List(soon(t), func(d store.Digest) error {
		all = append(all, d)
		return nil
	}))
	slices.Sort(all)
	return all
}

func blobInventory(t *testing.T, f Fixture) {
	ctx, blobs := soon(t), inventory(t, f)
	if all := listed(t, blobs); len(all) != 0 {
		t.Fatalf("an empty store has %v", all)
	}
	long, now := time.Hour, clock.Real{}.Now()
	var all []store.Digest
	for _, n := range []int{0, 1000, 3 << 20} {
		b := noise(n)
		d := store.DigestOf(b)
		_, err := blobs.Stat(ctx, d)
		wantErr(t, "stat before put", err, store.ErrNotFound, fault.NotFound)
		gone, err := blobs.DeleteOld(ctx, d, now.Add(long))
		if err != nil || gone {
			t.Fatalf("deleted what was not there: %v %v", gone, err)
		}
		_, err = blobs.Put(ctx, b)
		must(t, err)
		kept, err := blobs.Stat(ctx, d)
		must(t, err)
		if kept.Bytes != int64(n) || kept.Put.Before(now.Add(-long)) || kept.Put.After(now.Add(long)) {
			t.Errorf("%d bytes that were put at %v are known as %+v", n, now, kept)
		}
		all = append(all, d)
	}
	slices.Sort(all)
	if got := listed(t, blobs); !slices.Equal(got, all) {
		t.Fatalf("the store has %v, want %v", got, all)
	}
	for i, d := range all {
		gone, err := blobs.DeleteOld(ctx, d, now.Add(-long))
		if err != nil || gone {
			t.Errorf("a young blob: deleted %v, %v", gone, err)
		}
		_, err = blobs.Get(ctx, d)
		must(t, err)
		gone, err = blobs.DeleteOld(ctx, d, now.Add(long))
		if err != nil || !gone {
			t.Errorf("an old blob: deleted %v, %v", gone, err)
		}
		wantErr(t, "get after deletion", f.get(ctx, d, store.ErrNotFound), store.ErrNotFound, fault.NotFound)
		if got := listed(t, blobs); !slices.Equal(got, all[i+1:]) {
			t.Errorf("the store has %v, want %v", got, all[i+1:])
		}
	}
	_, err := blobs.DeleteOld(ctx, "sha256:no", now)
	wantErr(t, "a digest that is none", err, nil, fault.Invalid)
	_, err = blobs.Stat(ctx, "sha256:no")
	wantErr(t, "a digest that is none", err, nil, fault.Invalid)
}

// What was put before the sweep looked may go; what is put afterwards is there.
func blobSweep(t *testing.T, f Fixture) {
	ctx, blobs := soon(t), inventory(t, f)
	later := clock.Real{}.Now().Add(time.Hour)
	for _, n := range []int{100, 2 << 20} {
		b := noise(n)
		var both sync.WaitGroup
		var turn sync.Mutex
		take := func() func() {
			if !f.Frail {
				return func() {}
			}
			turn.Lock()
			return turn.Unlock
		}
		for range 4 {
			both.Go(func() {
				for range 5 {
					leave := take()
					if _, err := blobs.Put(ctx, b); err != nil {
						t.Errorf("put: %v", err)
					}
					leave()
				}
			})
			both.Go(func() {
				for range 5 {
					leave := take()
					if _, err := blobs.DeleteOld(ctx, store.DigestOf(b), later); err != nil {
						t.Errorf("delete: %v", err)
					}
					leave()
				}
			})
		}
		both.Wait()
		_, err := blobs.Put(ctx, b)
		must(t, err)
		got, err := blobs.Get(ctx, store.DigestOf(b))
		must(t, err)
		if !slices.Equal(got, b) {
			t.Errorf("%d bytes came back changed", n)
		}
	}
}
