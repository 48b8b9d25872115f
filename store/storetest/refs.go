package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

func refCompareAndSet(t *testing.T, f Fixture) {
	ctx, refs := soon(t), f.Store.Refs
	_, _, err := refs.Get(ctx, "a.b")
	wantErr(t, "get of nothing", err, store.ErrNotFound, fault.NotFound)
	_, err = refs.Set(ctx, "a.b", []byte("x"), 7)
	wantErr(t, "set of nothing from a revision", err, store.ErrConflict, fault.Conflict)
	wantErr(t, "delete of nothing", refs.Delete(ctx, "a.b", 7), store.ErrNotFound, fault.NotFound)

	first, err := refs.Set(ctx, "a.b", []byte("one"), 0)
	must(t, err)
	_, err = refs.Set(ctx, "a.b", []byte("x"), 0)
	wantErr(t, "second creation", err, store.ErrConflict, fault.Conflict)
	second, err := refs.Set(ctx, "a.b", []byte("two"), first)
	must(t, err)
	_, err = refs.Set(ctx, "a.b", []byte("x"), first)
	wantErr(t, "set from an old revision", err, store.ErrConflict, fault.Conflict)
	for _, revision := range []uint64{0, first, second + 1} {
		wantErr(t, "delete at another revision", refs.Delete(ctx, "a.b", revision), store.ErrConflict, fault.Conflict)
	}
	value, revision, err := refs.Get(ctx, "a.b")
	must(t, err)
	if string(value) != "two" || revision != second || first == 0 || second <= first {
		t.Fatalf("got %q at %d, want two at %d > %d > 0", value, revision, second, first)
	}

	empty, err := refs.Set(ctx, "a.b", nil, second) // a value may be empty
	must(t, err)
	if value, _, err = refs.Get(ctx, "a.b"); err != nil || len(value) != 0 {
		t.Fatalf("got %q, %v, want an empty value", value, err)
	}
	must(t, refs.Delete(ctx, "a.b", empty))
	_, _, err = refs.Get(ctx, "a.b")
	wantErr(t, "get after delete", err, store.ErrNotFound, fault.NotFound)
	wantErr(t, "second delete", refs.Delete(ctx, "a.b", empty), store.ErrNotFound, fault.NotFound)
	_, err = refs.Set(ctx, "a.b", []byte("x"), empty)
	wantErr(t, "set from a deleted revision", err, store.ErrConflict, fault.Conflict)
}

func refRace(t *testing.T, f Fixture) {
	ctx, refs := soon(t), f.Store.Refs
	var revision uint64
	for round := range 10 {
		var wins atomic.Int64
		var next atomic.Uint64
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				value := fmt.Sprintf("round %d writer %d", round, i)
				r, err := refs.Set(ctx, "race", []byte(value), revision)
				switch {
				case err == nil:
					wins.Add(1)
					next.Store(r)
					winner.Store(value)
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("round %d has %d winners", round, wins.Load())
		}
		value, r, err := refs.Get(ctx, "race")
		must(t, err)
		if revision = next.Load(); r != revision || string(value) != winner.Load() {
			t.Fatalf("round %d: %q at %d is there, %q at %d has won", round, value, r, winner.Load(), revision)
		}
	}
}

func refCounter(t *testing.T, f Fixture) {
	ctx, refs := soon(t), f.Store.Refs
	const writers, each = 6, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				value, revision, err := refs.Get(ctx, "counter")
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(value))
				_, err = refs.Set(ctx, "counter", strconv.AppendInt(nil, int64(n+1), 10), revision)
				if err == nil {
					done++
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if value, _, err := refs.Get(ctx, "counter"); err != nil || string(value) != strconv.Itoa(writers*each) {
		t.Fatalf("counted %s (%v), want %d", value, err, writers*each)
	}
}

func refRevisionsGrow(t *testing.T, f Fixture) {
	ctx, refs := soon(t), f.Store.Refs
	var last uint64
	for range 5 {
		created, err := refs.Set(ctx, "again", []byte("x"), 0)
		must(t, err)
		changed, err := refs.Set(ctx, "again", []byte("x"), created)
		must(t, err)
		if created <= last || changed <= created {
			t.Fatalf("revisions %d, %d after %d", created, changed, last)
		}
		last = changed
		must(t, refs.Delete(ctx, "again", changed))
	}
}

func refList(t *testing.T, f Fixture) {
	ctx, refs := soon(t), f.Store.Refs
	revisions := map[string]uint64{}
	for _, name := range []string{"run.b", "run.a", "runs", "run", "run.a.deep", "model.a", "Run.a", "run.ab-c_D"} {
		r, err := refs.Set(ctx, name, []byte(name), 0)
		must(t, err)
		revisions[name] = r
	}
	must(t, refs.Delete(ctx, "model.a", revisions["model.a"]))
	wantNames(t, func(prefix string) ([]string, error) { return refs.List(ctx, prefix) }, map[string][]string{
		"":       {"Run.a", "run", "run.a", "run.a.deep", "run.ab-c_D", "run.b", "runs"},
		"run":    {"run", "run.a", "run.a.deep", "run.ab-c_D", "run.b", "runs"},
		"run.":   {"run.a", "run.a.deep", "run.ab-c_D", "run.b"},
		"run.a":  {"run.a", "run.a.deep", "run.ab-c_D"},
		"run.a.": {"run.a.deep"},
		"model.": nil,
		"*":      nil,
		"run.*":  nil,
		"..":     nil,
		"run/":   nil,
	})
}

func refSince(t *testing.T, f Fixture) {
	ctx, refs := soon(t), f.Store.Refs
	set := func(name, value string, revision uint64) uint64 {
		r, err := refs.Set(ctx, name, []byte(value), revision)
		must(t, err)
		return r
	}
	type change struct {
		name, value string
		revision    uint64
	}
	changes := func(prefix string, after uint64) (all []change) {
		must(t, refs.Since(ctx, prefix, after, func(name string, value []byte, revision uint64) error {
			all = append(all, change{name, string(value), revision})
			return nil
		}))
		return all
	}
	want := func(what, prefix string, after uint64, want ...change) {
		t.Helper()
		got := changes(prefix, after)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
	want("of nothing", "run.", 0)
	b := set("run.b", "one", 0)
	a := set("run.a", "one", 0)
	other := set("runs", "x", 0)
	gone := set("run.gone", "x", 0)
	b2 := set("run.b", "two", b)
	must(t, refs.Delete(ctx, "run.gone", gone))
	want("all", "run.", 0, change{"run.a", "one", a}, change{"run.b", "two", b2})
	want("by the start of a word", "ru", 0, change{"run.a", "one", a}, change{"runs", "x", other}, change{"run.b", "two", b2})
	want("after one", "run.", a, change{"run.b", "two", b2})
	want("after the last", "run.", b2)
	want("of a name that is none", "run.*", 0)
	stop := errors.New("stop")
	var seen int
	err := refs.Since(ctx, "run.", 0, func(string, []byte, uint64) error { seen++; return stop })
	if !errors.Is(err, stop) || seen != 1 {
		t.Fatalf("a function that stops was called %d times, and Since returns %v", seen, err)
	}
	for i := range 50 { // who asks after a write is told of it
		r := set(fmt.Sprintf("now.%d", i), "x", 0)
		if got := changes("now.", r-1); len(got) != 1 || got[0].revision != r {
			t.Fatalf("after the write of revision %d: %v", r, got)
		}
	}
	var many []change
	for i := range 1100 { // more than one answer of a server holds
		name := fmt.Sprintf("many.%d", i)
		many = append(many, change{name, "x", set(name, "x", 0)})
	}
	want("many", "many.", b2, many...)
}

func wantNames(t *testing.T, list func(prefix string) ([]string, error), wants map[string][]string) {
	t.Helper()
	for prefix, want := range wants {
		got, err := list(prefix)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("list %q: got %q, %v, want %q", prefix, got, err, want)
		}
	}
}

func refTooLarge(t *testing.T, f Fixture) {
	ctx, refs := soon(t), f.Store.Refs
	_, err := refs.Set(ctx, "large", make([]byte, store.MaxRefBytes+1), 0)
	wantErr(t, "set of too much", err, nil, fault.Invalid)
	want := noise(store.MaxRefBytes)
	_, err = refs.Set(ctx, "large", want, 0)
	must(t, err)
	got, _, err := refs.Get(ctx, "large")
	must(t, err)
	if string(got) != string(want) {
		t.Fatal("the largest value came back changed")
	}
}

func badNames(t *testing.T, f Fixture) {
	ctx, s := soon(t), f.Store
	for _, name := range []string{"", ".", "a.", ".a", "a..b", "a b", "a/b", "../a", "a.*", "a.>", "ä", "a\x00"} {
		_, _, err := s.Refs.Get(ctx, name)
		wantErr(t, "get "+name, err, nil, fault.Invalid)
		_, err = s.Refs.Set(ctx, name, nil, 0)
		wantErr(t, "set "+name, err, nil, fault.Invalid)
		wantErr(t, "delete "+name, s.Refs.Delete(ctx, name, 1), nil, fault.Invalid)
		wantErr(t, "append "+name, s.Logs.Append(ctx, name, 0, []byte("x")), nil, fault.Invalid)
		_, err = s.Logs.Read(ctx, name, 0)
		wantErr(t, "read "+name, err, nil, fault.Invalid)
		err = s.Logs.Watch(ctx, name, 0, func(uint64, []byte) error { return nil })
		wantErr(t, "watch "+name, err, nil, fault.Invalid)
	}
}
