package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/store"
)

// model is a store so dumb that it is right.
type model struct {
	refs map[string]string
	revs map[string]uint64
	logs map[string][]string
}

func (m *model) names(prefix string) (refs, logs []string) {
	for name := range m.refs {
		if strings.HasPrefix(name, prefix) {
			refs = append(refs, name)
		}
	}
	for name := range m.logs {
		if strings.HasPrefix(name, prefix) {
			logs = append(logs, name)
		}
	}
	slices.Sort(refs)
	slices.Sort(logs)
	return refs, logs
}

func twin(t *testing.T, f Fixture) {
	ctx, s := soon(t), f.Store
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		prefix := fmt.Sprintf("run%d.", run)
		m := model{map[string]string{}, map[string]uint64{}, map[string][]string{}}
		agree := func(what string, err error, conflict bool) { sameAnswer(t, what, err, conflict) }
		name := rapid.Custom(func(t *rapid.T) string { return prefix + rapid.SampledFrom([]string{"a", "b", "a.c"}).Draw(t, "name") })
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			n := name.Draw(t, "name")
			revision := m.revs[n]
			if rapid.IntRange(0, 3).Draw(t, "stale") == 0 {
				revision = rapid.SampledFrom([]uint64{0, revision + 1, revision - min(revision, 1)}).Draw(t, "revision")
			}
			switch rapid.SampledFrom([]string{"set", "set", "delete", "append", "append", "append", "read"}).Draw(t, "op") {
			case "set":
				value := rapid.StringN(0, 10, 20).Draw(t, "value")
				next, err := s.Refs.Set(ctx, n, []byte(value), revision)
				agree("set", err, revision != m.revs[n])
				if err == nil {
					m.refs[n], m.revs[n] = value, next
				}
			case "delete":
				err := s.Refs.Delete(ctx, n, revision)
				agree("delete", err, m.revs[n] == 0 || revision != m.revs[n])
				if err == nil {
					delete(m.refs, n)
					delete(m.revs, n)
				}
			case "append":
				expected := uint64(len(m.logs[n]))
				if rapid.IntRange(0, 3).Draw(t, "wrong") == 0 {
					expected = rapid.Uint64Range(0, 5).Draw(t, "expected")
				}
				texts := rapid.SliceOfN(rapid.StringN(0, 6, 12), 1, 4).Draw(t, "records")
				records := make([][]byte, len(texts))
				for i := range texts {
					records[i] = []byte(texts[i])
				}
				err := s.Logs.Append(ctx, n, expected, records...)
				agree("append", err, expected != uint64(len(m.logs[n])))
				if err == nil {
					m.logs[n] = append(m.logs[n], texts...)
				}
			case "read":
				from := rapid.Uint64Range(0, 8).Draw(t, "from")
				records, err := s.Logs.Read(ctx, n, from)
				agree("read", err, false)
				want := m.logs[n][min(from, uint64(len(m.logs[n]))):]
				if !slices.EqualFunc(records, want, func(a []byte, b string) bool { return string(a) == b }) {
					t.Fatalf("read %s from %d: got %q, want %q", n, from, records, want)
				}
			}
		}
		sameEnd(ctx, t, s, m, prefix)
	})
}

// sameAnswer compares an answer of the store with what the dumb one would say.
func sameAnswer(t *rapid.T, what string, err error, conflict bool) {
	if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("%s: %v", what, err)
	}
	if (err != nil) != conflict {
		t.Fatalf("%s: got %v, the dumb store has a conflict: %v", what, err, conflict)
	}
}

// sameEnd compares what is left in the store with what the dumb one holds.
func sameEnd(ctx context.Context, t *rapid.T, s store.Store, m model, prefix string) {
	refs, err := s.Refs.List(ctx, prefix)
	wantRefs, wantLogs := m.names(prefix)
	if err != nil || !slices.Equal(refs, wantRefs) {
		t.Fatalf("refs: got %q, %v, want %q", refs, err, wantRefs)
	}
	logs, err := s.Logs.List(ctx, prefix)
	if err != nil || !slices.Equal(logs, wantLogs) {
		t.Fatalf("logs: got %q, %v, want %q", logs, err, wantLogs)
	}
	for _, n := range refs {
		value, revision, err := s.Refs.Get(ctx, n)
		if err != nil || string(value) != m.refs[n] || revision != m.revs[n] {
			t.Fatalf("ref %s: got %q at %d, %v, want %q at %d", n, value, revision, err, m.refs[n], m.revs[n])
		}
	}
}

func reopened(t *testing.T, f Fixture) {
	if f.Reopen == nil {
		t.Skip("nothing of this store outlives its process")
	}
	ctx, s := soon(t), f.Store
	d, err := s.Blobs.Put(ctx, noise(700<<10))
	must(t, err)
	kept, err := s.Refs.Set(ctx, "kept", []byte("value"), 0)
	must(t, err)
	gone, err := s.Refs.Set(ctx, "gone", []byte("value"), 0)
	must(t, err)
	must(t, s.Refs.Delete(ctx, "gone", gone))
	all := numbered(0, 9)
	must(t, s.Logs.Append(ctx, "log", 0, all[:5]...))
	must(t, s.Logs.Append(ctx, "log", 5, all[5:7]...))

	s = f.Reopen(t)
	b, err := s.Blobs.Get(ctx, d)
	must(t, err)
	if len(b) != 700<<10 {
		t.Fatalf("the blob has %d bytes", len(b))
	}
	value, revision, err := s.Refs.Get(ctx, "kept")
	must(t, err)
	if string(value) != "value" || revision != kept {
		t.Fatalf("got %q at %d, want value at %d", value, revision, kept)
	}
	again, err := s.Refs.Set(ctx, "gone", []byte("value"), 0)
	must(t, err)
	if again <= gone {
		t.Fatalf("revision %d after %d: it was used again", again, gone)
	}
	if err := s.Logs.Append(ctx, "log", 5, []byte("stale")); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("append of a stale writer: %v", err)
	}
	must(t, s.Logs.Append(ctx, "log", 7, all[7:]...))
	wantRecords(t, ctx, s.Logs, "log", 0, all)
	names, err := s.Logs.List(ctx, "")
	must(t, err)
	refs, err := s.Refs.List(ctx, "")
	must(t, err)
	if !slices.Equal(names, []string{"log"}) || !slices.Equal(refs, []string{"gone", "kept"}) {
		t.Fatalf("logs %q, refs %q", names, refs)
	}
}
