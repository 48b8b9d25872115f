package embedded_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/embedded"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/disk"
)

var _ backend.Backend = (*embedded.Engine)(nil)

// open opens an engine whose tasks do what body says.
func open(t *testing.T, dir string, body run.Body) *embedded.Engine {
	t.Helper()
	e, err := embedded.Open(config(dir, body))
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func config(dir string, body run.Body) embedded.Config {
	return embedded.Config{
		Dir: dir, Slots: 2, Memory: 1 << 30, Version: "1.2.3", Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler),
		Body: func(store.Store) run.Body { return body },
		Preview: func(_ context.Context, _ store.Store, s spec.Spec) (*run.Preview, error) {
			if s.Drift.Reference != "/r" {
				return nil, fault.New(fault.NotFound, "no %s", s.Drift.Reference)
			}
			return &run.Preview{Stages: []jobs.Stage{{Name: "current", NumTasks: 3, MaxBytes: 100}}}, nil
		},
	}
}

func fails(kind fault.Kind) run.Body {
	return func(context.Context, run.Task, run.Reporter) (jobs.Result, error) {
		return jobs.Result{}, fault.New(kind, "the input is missing")
	}
}

func someSpec(t *testing.T) spec.Spec {
	t.Helper()
	s, err := spec.Decode([]byte(`{"kind":"drift","name":"d","reference":"/r","current":"/c"}`))
	require.NoError(t, err)
	return s
}

func TestAJobThatFailedIsKeptWithItsReason(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir, fails(fault.NotFound))
	sum, err := e.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
	assert.Equal(t, "pending", sum.Status)
	var heard []string
	end, err := e.Watch(t.Context(), sum.Job, func(u backend.Update) {
		if u.State != nil {
			heard = append(heard, u.State.Status)
		}
	})
	require.NoError(t, err)
	assert.Equal(t, "failed", end.Status)
	assert.Contains(t, end.Error.Message, "the input is missing")
	assert.Equal(t, "failed", heard[len(heard)-1], "the end is told")
	require.NoError(t, e.Close())

	e = open(t, dir, nil) // as a later process does
	list, err := e.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, end, list[0])
	again, err := e.Watch(t.Context(), sum.Job, func(backend.Update) {})
	require.NoError(t, err)
	assert.Equal(t, end, again, "watching a job that has ended shows its end")
	all, err := e.SearchRuns(t.Context(), runs.Search{})
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, runs.Failed, all[0].Status)
	assert.Equal(t, sum.Job, all[0].Job)
	assert.Contains(t, all[0].Error, "the input is missing")
	assert.Equal(t, "1.2.3", all[0].Code)
	assert.Equal(t, "/c", all[0].Params["current"])
	assert.False(t, all[0].Ended.IsZero())
	one, err := e.Run(t.Context(), string(all[0].ID[:8]))
	require.NoError(t, err)
	assert.NotEmpty(t, one.Spec)
	one.Spec = nil // a list has none
	assert.Equal(t, all[0], one)
	lines, err := e.History(t.Context(), sum.Job)
	require.NoError(t, err)
	assert.Equal(t, "submitted", lines[0].Event)
	_, err = e.Cancel(t.Context(), sum.Job)
	assert.Equal(t, fault.Conflict, fault.Of(err), "%v", err)
}

func TestACancelledJobIsARunToo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	e := open(t, t.TempDir(), func(ctx context.Context, _ run.Task, _ run.Reporter) (jobs.Result, error) {
		cancel(errors.New("somebody pressed Ctrl-C"))
		<-ctx.Done()
		return jobs.Result{}, ctx.Err()
	})
	sum, err := e.Submit(t.Context(), someSpec(t))
	require.NoError(t, err)
	end, err := e.Watch(ctx, sum.Job, func(backend.Update) {})
	require.NoError(t, err)
	assert.Equal(t, "cancelled", end.Status)
	all, err := e.SearchRuns(t.Context(), runs.Search{})
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, runs.Cancelled, all[0].Status)
	assert.Equal(t, "somebody pressed Ctrl-C", all[0].Error)
}

// A process that was killed has left a job without an end: whoever opens the
// folder next ends it, wherever they look.
func TestAJobThatWasCutOffIsEnded(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(e *embedded.Engine) (string, error){
		"in the list": func(e *embedded.Engine) (string, error) {
			list, err := e.List(t.Context())
			if err != nil || len(list) != 1 {
				return "", errors.Join(err, errors.New("not one job"))
			}
			return list[0].Status, nil
		},
		"by its id": func(e *embedded.Engine) (string, error) {
			s, err := e.Show(t.Context(), "j")
			return s.Status, err
		},
		"in the runs": func(e *embedded.Engine) (string, error) {
			all, err := e.SearchRuns(t.Context(), runs.Search{})
			if err != nil || len(all) != 1 {
				return "", errors.Join(err, errors.New("not one run"))
			}
			return string(all[0].Status), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			st, err := disk.Open(dir+"/store", slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			s := someSpec(t)
			require.NoError(t, joblog.Submit(t.Context(), st.Store, "j", string(s.Kind), s.Name, s.Canonical(), time.Now().UnixMilli()))
			require.NoError(t, st.Close())
			e := open(t, dir, nil)
			status, err := look(e)
			require.NoError(t, err)
			assert.Equal(t, "cancelled", status)
			end, err := e.Show(t.Context(), "j")
			require.NoError(t, err)
			assert.Contains(t, end.Error.Message, "run it again")
			all, err := e.SearchRuns(t.Context(), runs.Search{})
			require.NoError(t, err)
			require.Len(t, all, 1)
			assert.Equal(t, runs.Cancelled, all[0].Status)
		})
	}
}

func TestAFolderIsOneProcessesAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir, nil)
	_, err := embedded.Open(config(dir, nil))
	assert.Equal(t, fault.Conflict, fault.Of(err), "%v", err)
	require.NoError(t, e.Close())
	open(t, dir, nil)
}

func TestWhatOnlyAClusterCan(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), nil)
	assert.True(t, e.Embedded())
	require.ErrorContains(t, e.Drain(t.Context(), "n1"), "--address")
	nodes, err := e.Nodes(t.Context())
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	assert.Equal(t, 2, nodes[0].Slots)
	assert.True(t, nodes[0].Leader)
	_, err = e.Show(t.Context(), "none")
	assert.Equal(t, fault.NotFound, fault.Of(err))
	_, err = e.Watch(t.Context(), "none", func(backend.Update) {})
	assert.Equal(t, fault.NotFound, fault.Of(err))
	_, err = e.Deploy(t.Context(), api.DeployRequest{ModelURI: "runs:/ffff/model", Environment: "p"})
	assert.Equal(t, fault.NotFound, fault.Of(err))
	_, err = e.Rollback(t.Context(), api.RollbackRequest{Model: "m", Environment: "p"})
	assert.Equal(t, fault.NotFound, fault.Of(err))
}

func TestAPlanIsOfThisProcess(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), nil)
	p, err := e.Plan(t.Context(), someSpec(t))
	require.NoError(t, err)
	assert.Equal(t, &api.WorkerPlan{Slots: 2, MemoryBytes: 1 << 30, NeedBytes: 200, Fits: true}, p.Worker)
	other := someSpec(t)
	other.Drift.Reference = "/x"
	_, err = e.Plan(t.Context(), other)
	assert.Equal(t, fault.NotFound, fault.Of(err))
}
