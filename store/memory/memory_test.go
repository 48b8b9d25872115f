package memory

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryKeepsThePromisesOfAStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) storetest.Fixture {
		s := New()
		return storetest.Fixture{
			Store: s,
			Corrupt: func(_ *testing.T, d store.Digest) {
				b := s.Blobs.(*blobs)
				b.mu.Lock()
				defer b.mu.Unlock()
				b.bytes[d] = []byte("something else")
			},
		}
	})
}

func TestTenThousandRecordsAreAppendedInBatches(t *testing.T) {
	t.Parallel()
	logs := New().Logs
	batch := make([][]byte, 100)
	for i := range batch {
		batch[i] = fmt.Appendf(nil, "record %d", i)
	}
	for i := range 100 {
		if err := logs.Append(t.Context(), "l", uint64(100*i), batch...); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := logs.Read(t.Context(), "l", 0); err != nil || len(all) != 10_000 {
		t.Fatalf("%d records, %v", len(all), err)
	}
}

func TestABlobThatIsPutAgainIsYoung(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		blobs := New().Blobs.(*blobs)
		for range 2 {
			if _, err := blobs.Put(t.Context(), []byte("text")); err != nil {
				t.Fatal(err)
			}
			<-clock.Real{}.After(time.Hour)
		}
		gone, err := blobs.DeleteOld(t.Context(), store.DigestOf([]byte("text")), clock.Real{}.Now().Add(-90*time.Minute))
		if err != nil || gone {
			t.Fatalf("deleted %v: %v", gone, err)
		}
	})
}
