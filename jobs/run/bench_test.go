package run

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// workbench runs jobs in one process over a store of its own.
type workbench struct {
	t      *testing.T
	folder string
	env    *Env
	store  store.Store
	slots  int
	body   Body // nil: the real one
}

var jobNumber atomic.Int64

// bench returns a workbench whose specs' paths are relative to a folder.
func bench(t *testing.T, folder string) *workbench {
	t.Helper()
	st := memory.New()
	return &workbench{
		t: t, folder: folder, store: st, slots: 2,
		env: &Env{Store: st, Registry: registry.Open(st), Clock: clock.Real{}, Code: "test", Threads: 2},
	}
}

// ganged is a bench over sales of its own, whose models gangs of that many ranks train.
func ganged(t *testing.T, world, files, groups, rows int) *workbench {
	t.Helper()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), files, groups, rows, 0)
	w := bench(t, folder)
	w.body = gang(w, world)
	return w
}

// submit returns the canonical spec of a text.
func (w *workbench) parse(text string) spec.Spec {
	w.t.Helper()
	specs, err := spec.Parse("spec.yaml", []byte(text))
	require.NoError(w.t, err)
	require.Len(w.t, specs, 1)
	return specs[0].Resolve(w.folder)
}

// run runs one job to its end.
func (w *workbench) run(text string) Summary {
	w.t.Helper()
	s := w.parse(text)
	body := w.body
	if body == nil {
		body = w.env.Body
	}
	l := Local{Store: w.store, Body: body, Clock: clock.Real{}, Slots: w.slots}
	id := jobs.ID(fmt.Sprintf("job%d", jobNumber.Add(1)))
	j, err := l.Run(context.Background(), id, string(s.Kind), s.Name, s.Canonical())
	require.NoError(w.t, err)
	return Summarise(j, 0)
}

// succeed runs one job that must succeed.
func (w *workbench) succeed(text string) Summary {
	w.t.Helper()
	s := w.run(text)
	require.Equal(w.t, "succeeded", s.Status, "%+v", s.Error)
	return s
}

// fails runs one job that must fail, and returns why.
func (w *workbench) fails(text string) string {
	w.t.Helper()
	s := w.run(text)
	require.Equal(w.t, "failed", s.Status, text)
	return s.Error.Message
}

func (w *workbench) path(name string) string { return filepath.Join(w.folder, name) }
