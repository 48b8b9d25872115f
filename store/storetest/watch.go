package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
)

var errEnough = errors.New("enough")

func watchAll(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	all := numbered(0, 60)
	must(t, logs.Append(ctx, "w", 0, all[:10]...))
	const watchers = 4
	results := make(chan error, watchers)
	for range watchers {
		go func() {
			next := uint64(0)
			results <- logs.Watch(ctx, "w", 0, func(seq uint64, record []byte) error {
				if seq != next || string(record) != string(all[seq]) {
					return fmt.Errorf("got record %d, %q, want %d", seq, record, next)
				}
				if next++; next == uint64(len(all)) {
					return errEnough
				}
				return nil
			})
		}()
	}
	for i := 10; i < len(all); i += 5 {
		must(t, logs.Append(ctx, "w", uint64(i), all[i:i+5]...))
		must(t, logs.Append(ctx, "other", uint64(i-10), all[i:i+5]...)) // not for these watchers
	}
	for range watchers {
		if err := <-results; !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	}
}

func watchMiddle(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	all := numbered(0, 30)
	must(t, logs.Append(ctx, "w", 0, all[:9]...)) // 9, 18: the middle of batches
	must(t, logs.Append(ctx, "w", 9, all[9:18]...))
	appended := make(chan error, 1)
	for _, from := range []uint64{0, 4, 9, 13, 18} {
		want := from
		err := logs.Watch(ctx, "w", from, func(seq uint64, record []byte) error {
			if seq != want || string(record) != string(all[seq]) {
				return fmt.Errorf("from %d: got record %d, %q, want %d", from, seq, record, want)
			}
			if want++; want == 18 && from < 18 {
				return errEnough
			}
			if seq == 29 {
				return errEnough
			}
			return nil
		})
		if from == 13 { // the last watcher starts at the end, and sees what comes
			go func() { appended <- logs.Append(ctx, "w", 18, all[18:]...) }()
		}
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	}
	must(t, <-appended) // a watcher may see records before their writer knows that they are kept
}

func watchBeyond(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	all := numbered(0, 12)
	result := make(chan error, 1)
	go func() {
		result <- logs.Watch(ctx, "w", 10, func(seq uint64, record []byte) error {
			if seq < 10 || string(record) != string(all[seq]) {
				return fmt.Errorf("got record %d, %q", seq, record)
			}
			if seq == 11 {
				return errEnough
			}
			return nil
		})
	}()
	must(t, logs.Append(ctx, "w", 0, all[:4]...))
	must(t, logs.Append(ctx, "w", 4, all[4:11]...))
	must(t, logs.Append(ctx, "w", 11, all[11]))
	if err := <-result; !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
}

func watchEnds(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	must(t, logs.Append(ctx, "w", 0, numbered(0, 3)...))
	calls := 0
	err := logs.Watch(ctx, "w", 0, func(uint64, []byte) error {
		calls++
		return errEnough
	})
	if !errors.Is(err, errEnough) || calls != 1 {
		t.Fatalf("got %v after %d calls", err, calls)
	}

	watching, cancel := context.WithCancel(ctx)
	err = logs.Watch(watching, "w", 0, func(seq uint64, _ []byte) error {
		if seq == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || fault.Of(err) != fault.Canceled {
		t.Fatalf("after the context's end: %v", err)
	}
	err = logs.Watch(watching, "w", 0, func(uint64, []byte) error {
		t.Error("called after the context's end")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("started after the context's end: %v", err)
	}
}
