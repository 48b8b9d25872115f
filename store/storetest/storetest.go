// Package storetest holds every implementation of package store to its promises:
// one call of Run in the implementation's own tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// Fixture is a fresh, empty store under test and what the tests may do to it
// behind its back.
type Fixture struct {
	Store store.Store
	// Corrupt changes the stored bytes of a blob that is there.
	Corrupt func(t *testing.T, d store.Digest)
	// Reopen closes the store and returns it as a new process finds it; nil when
	// nothing outlives the process. The old store is not used afterwards.
	Reopen func(t *testing.T) store.Store
	// Frail is a server that answers with an error of its own when one blob is put
	// and deleted at the same instant: each waits for the other then.
	Frail bool
	// Lags is a store of several servers, of which any may be asked for a blob: what
	// was done to it is true of each of them a moment later.
	Lags bool
}

// get asks for a blob, again and again while a server may lag, and returns the
// error.
func (f Fixture) get(ctx context.Context, d store.Digest, want error) error {
	for {
		_, err := f.Store.Blobs.Get(ctx, d)
		if !f.Lags || errors.Is(err, want) || ctx.Err() != nil {
			return err
		}
	}
}

// patience bounds whatever a test waits for; only a failing test waits so long.
const patience = 2 * time.Minute

// Run checks every guarantee of package store. open is called for each test
// and must return a store that no other test sees.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, f Fixture)
	}{
		{"a blob comes back as it was put", blobRoundTrip},
		{"a corrupt blob is refused", blobCorrupt},
		{"a blob may be put and deleted by many at once", blobConcurrent},
		{"a digest that is none is refused", blobBadDigest},
		{"a store knows what blobs it keeps and since when", blobInventory},
		{"a blob that is put while old ones are deleted is there", blobSweep},
		{"a ref changes only from the revision it has", refCompareAndSet},
		{"a ref has one winner in every race", refRace},
		{"a ref counts right under contention", refCounter},
		{"a revision is never used again", refRevisionsGrow},
		{"a ref is listed by the start of its name", refList},
		{"a ref is told to who knows all up to a revision", refSince},
		{"a ref that is too large is refused", refTooLarge},
		{"a log grows at the expected place only", logExpectedPlace},
		{"a log of an unknown name is empty", logEmpty},
		{"a log takes a batch whole or not at all", logAllOrNone},
		{"a log keeps records large and empty", logSizes},
		{"a log has one winner in every race", logRace},
		{"a log keeps what concurrent appenders write", logConcurrent},
		{"a log refuses a stale writer", logStaleWriter},
		{"a log is listed by the start of its name", logList},
		{"a name that is none is refused", badNames},
		{"a watcher sees each record once and in order", watchAll},
		{"a watcher starts in the middle", watchMiddle},
		{"a watcher starts beyond the end", watchBeyond},
		{"a watcher ends with its function or its context", watchEnds},
		{"what is given and returned is copied", copies},
		{"an ended context is of kind canceled", canceled},
		{"a store agrees with a dumb one", twin},
		{"a store is as it was when it is opened again", reopened},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

// soon returns a context for one test.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr checks the sentinel and its kind.
func wantErr(t *testing.T, what string, err, sentinel error, kind fault.Kind) {
	t.Helper()
	if sentinel != nil && !errors.Is(err, sentinel) || err == nil || fault.Of(err) != kind {
		t.Errorf("%s: got %v (%v), want kind %v and %v", what, err, fault.Of(err), kind, sentinel)
	}
}

// numbered returns records "from", "from+1" ... below to.
func numbered(from, to int) [][]byte {
	records := make([][]byte, 0, to-from)
	for i := from; i < to; i++ {
		records = append(records, fmt.Appendf(nil, "record %d", i))
	}
	return records
}

// wantRecords compares a log with what it has to hold from place from on.
func wantRecords(t *testing.T, ctx context.Context, logs store.Logs, name string, from uint64, want [][]byte) { //nolint:revive // t comes first in helpers
	t.Helper()
	got, err := logs.Read(ctx, name, from)
	must(t, err)
	if len(got) != len(want) {
		t.Fatalf("log %s from %d: got %d records, want %d", name, from, len(got), len(want))
	}
	for i := range want {
		if string(got[i]) != string(want[i]) {
			t.Fatalf("log %s: record %d is %.40q, want %.40q", name, from+uint64(i), got[i], want[i])
		}
	}
}
