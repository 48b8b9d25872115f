package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

func logExpectedPlace(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	wantErr(t, "first append beyond the start", logs.Append(ctx, "l", 1, []byte("x")), store.ErrConflict, fault.Conflict)
	all := numbered(0, 20)
	must(t, logs.Append(ctx, "l", 0, all[0]))
	must(t, logs.Append(ctx, "l", 1, all[1:7]...))
	must(t, logs.Append(ctx, "l", 7, all[7:]...))
	for _, expected := range []uint64{0, 1, 6, 7, 19, 21, 1 << 40} {
		wantErr(t, fmt.Sprintf("append after %d of 20", expected), logs.Append(ctx, "l", expected, []byte("x")), store.ErrConflict, fault.Conflict)
		wantErr(t, fmt.Sprintf("append of nothing after %d of 20", expected), logs.Append(ctx, "l", expected), store.ErrConflict, fault.Conflict)
	}
	must(t, logs.Append(ctx, "l", 20))
	for from := range uint64(23) {
		wantRecords(t, ctx, logs, "l", from, all[min(from, 20):])
	}
	wantRecords(t, ctx, logs, "l", 1<<40, nil)
	wantRecords(t, ctx, logs, "m", 0, nil) // the neighbour is untouched
}

func logEmpty(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	wantRecords(t, ctx, logs, "none", 0, nil)
	wantRecords(t, ctx, logs, "none", 5, nil)
	must(t, logs.Append(ctx, "none", 0))
	names, err := logs.List(ctx, "")
	must(t, err)
	if len(names) != 0 {
		t.Fatalf("logs %q appeared from nothing", names)
	}
}

func logAllOrNone(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	var want [][]byte
	for batch := range 8 {
		var mu sync.Mutex
		var won [][]byte
		var wg sync.WaitGroup
		for writer := range 4 {
			wg.Go(func() {
				mine := make([][]byte, 5+writer)
				for i := range mine {
					mine[i] = fmt.Appendf(nil, "batch %d writer %d record %d", batch, writer, i)
				}
				if logs.Append(ctx, "l", uint64(len(want)), mine...) == nil {
					mu.Lock()
					won = append(won, mine...)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		want = append(want, won...)
		wantRecords(t, ctx, logs, "l", 0, want)
	}
}

func logSizes(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	want := [][]byte{nil, []byte("x"), noise(300 << 10), nil, noise(3 << 20)}
	must(t, logs.Append(ctx, "l", 0, want...))
	must(t, logs.Append(ctx, "l", 5, nil, nil))
	want = append(want, nil, nil)
	large := noise(2 << 20)
	must(t, logs.Append(ctx, "l", 7, large))
	want = append(want, large)
	wantRecords(t, ctx, logs, "l", 0, want)
	wantRecords(t, ctx, logs, "l", 4, want[4:])
	wantErr(t, "append of too much", logs.Append(ctx, "l", 8, make([]byte, store.MaxRecordBytes), []byte("x")), nil, fault.Invalid)
}

func logRace(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	for place := range uint64(10) {
		var wins atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { // all write the same bytes: that must not hide a loss
				err := logs.Append(ctx, "race", place, []byte("me"))
				if err == nil {
					wins.Add(1)
				} else if !errors.Is(err, store.ErrConflict) {
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("place %d has %d winners", place, wins.Load())
		}
	}
	records, err := logs.Read(ctx, "race", 0)
	must(t, err)
	if len(records) != 10 {
		t.Fatalf("%d records, want 10", len(records))
	}
}

func logConcurrent(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	const writers, each = 6, 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			own := fmt.Sprintf("own.%d", w)
			place := uint64(0)
			for i := 0; i < each; {
				if err := logs.Append(ctx, own, uint64(i), []byte("x")); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
					return
				}
				err := logs.Append(ctx, "shared", place, fmt.Appendf(nil, "%d.%d", w, i), fmt.Appendf(nil, "%d.%d again", w, i))
				switch {
				case err == nil:
					i++
					place += 2
				case errors.Is(err, store.ErrConflict):
					newer, err := logs.Read(ctx, "shared", place)
					if err != nil {
						t.Error(err)
						return
					}
					place += uint64(len(newer))
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	records, err := logs.Read(ctx, "shared", 0)
	must(t, err)
	if len(records) != 2*writers*each {
		t.Fatalf("%d records, want %d", len(records), 2*writers*each)
	}
	next := [writers]int{}
	for i := 0; i < len(records); i += 2 {
		var w, n int
		if _, err := fmt.Sscanf(string(records[i]), "%d.%d", &w, &n); err != nil || n != next[w] {
			t.Fatalf("record %d is %q, writer %d was at %d", i, records[i], w, next[w])
		}
		if want := string(records[i]) + " again"; string(records[i+1]) != want {
			t.Fatalf("record %d is %q, want %q: a batch was torn apart", i+1, records[i+1], want)
		}
		next[w]++
	}
}

// logStaleWriter plays a coordinator that was replaced while it slept.
func logStaleWriter(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	must(t, logs.Append(ctx, "job", 0, numbered(0, 3)...))
	old := uint64(3)
	must(t, logs.Append(ctx, "job", 3, []byte("fence of the next")))
	wantErr(t, "append of the stale writer", logs.Append(ctx, "job", old, []byte("late")), store.ErrConflict, fault.Conflict)
	must(t, logs.Append(ctx, "job", 4, []byte("of the next")))
	wantErr(t, "second try of the stale writer", logs.Append(ctx, "job", old, []byte("late")), store.ErrConflict, fault.Conflict)
	wantRecords(t, ctx, logs, "job", 3, [][]byte{[]byte("fence of the next"), []byte("of the next")})
}

func logList(t *testing.T, f Fixture) {
	ctx, logs := soon(t), f.Store.Logs
	for _, name := range []string{"job.b", "job.a", "job.a.x", "jobs", "stream.a", "Job.a", strings.Repeat("n", store.MaxNameBytes)} {
		must(t, logs.Append(ctx, name, 0, []byte(name), []byte("second")))
	}
	wantNames(t, func(prefix string) ([]string, error) { return logs.List(ctx, prefix) }, map[string][]string{
		"":       {"Job.a", "job.a", "job.a.x", "job.b", "jobs", strings.Repeat("n", store.MaxNameBytes), "stream.a"},
		"job":    {"job.a", "job.a.x", "job.b", "jobs"},
		"job.":   {"job.a", "job.a.x", "job.b"},
		"job.a":  {"job.a", "job.a.x"},
		"job.a.": {"job.a.x"},
		"nope":   nil,
		"*":      nil,
		"job.>":  nil,
	})
}
