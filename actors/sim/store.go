package sim

import (
	"context"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// faultyStore is Refs and Logs in memory. Some calls fail; half of those have
// taken effect nevertheless, as when an answer is lost.
type faultyStore struct {
	w    *World
	refs map[string]ref
	logs map[string][][]byte
	rev  uint64
}

type ref struct {
	value []byte
	rev   uint64
}

func newFaultyStore(w *World) *faultyStore {
	return &faultyStore{w: w, refs: map[string]ref{}, logs: map[string][][]byte{}}
}

// view is the store as one host reaches it; nobody reaches it with no host.
type view struct {
	s    *faultyStore
	host string // empty: without faults
}

func (s *faultyStore) honest() view { return view{s, ""} }

var errAway = fault.New(fault.Unavailable, "store: no answer")

// before says whether the call has no effect, after whether its answer is lost.
func (v view) weather() (before, after bool) {
	if v.host == "" {
		return false, false
	}
	if v.s.w.cut[v.host] {
		return true, true
	}
	if v.s.w.rand.Float64() >= v.s.w.cfg.StoreFault {
		return false, false
	}
	return v.s.w.rand.IntN(2) == 0, true
}

func (v view) Get(_ context.Context, name string) ([]byte, uint64, error) {
	if _, lost := v.weather(); lost {
		return nil, 0, errAway
	}
	r, ok := v.s.refs[name]
	if !ok {
		return nil, 0, fault.Wrap(fault.NotFound, store.ErrNotFound)
	}
	return r.value, r.rev, nil
}

func (v view) Set(_ context.Context, name string, value []byte, revision uint64) (uint64, error) {
	none, lost := v.weather()
	if none {
		return 0, errAway
	}
	if v.s.refs[name].rev != revision {
		return 0, fault.Wrap(fault.Conflict, store.ErrConflict)
	}
	v.s.rev++
	v.s.refs[name] = ref{slices.Clone(value), v.s.rev}
	if lost {
		return 0, errAway
	}
	return v.s.rev, nil
}

func (v view) List(_ context.Context, prefix string) ([]string, error) {
	if _, lost := v.weather(); lost {
		return nil, errAway
	}
	var names []string
	for n := range v.s.refs {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Since is not simulated: the cores do not ask for changes.
func (v view) Since(context.Context, string, uint64, func(string, []byte, uint64) error) error {
	return errAway
}

func (v view) Delete(_ context.Context, name string, revision uint64) error {
	none, lost := v.weather()
	if none {
		return errAway
	}
	r, ok := v.s.refs[name]
	if !ok {
		return fault.Wrap(fault.NotFound, store.ErrNotFound)
	}
	if r.rev != revision {
		return fault.Wrap(fault.Conflict, store.ErrConflict)
	}
	delete(v.s.refs, name)
	if lost {
		return errAway
	}
	return nil
}

func (v view) Append(_ context.Context, name string, expected uint64, records ...[]byte) error {
	none, lost := v.weather()
	if none {
		return errAway
	}
	if uint64(len(v.s.logs[name])) != expected {
		return fault.Wrap(fault.Conflict, store.ErrConflict)
	}
	for _, r := range records {
		v.s.logs[name] = append(v.s.logs[name], slices.Clone(r))
	}
	if lost {
		return errAway
	}
	return nil
}

func (v view) Read(_ context.Context, name string, from uint64) ([][]byte, error) {
	if _, lost := v.weather(); lost {
		return nil, errAway
	}
	log := v.s.logs[name]
	return slices.Clone(log[min(from, uint64(len(log))):]), nil
}

// Watch is not simulated: the cores do not watch.
func (v view) Watch(context.Context, string, uint64, func(uint64, []byte) error) error {
	return errAway
}
