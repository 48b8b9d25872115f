// Package embedded runs jobs in the program's own process, with the same state
// machine, plan and task bodies as a cluster, over a store in a folder.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/disk"
)

// Config are the parts of an embedded engine.
type Config struct {
	Dir     string // the project folder; the store is in it
	Slots   int    // tasks at a time
	Memory  int64  // bytes that tasks may use in all; 0: no bound
	Version string
	// Body makes the bodies of tasks over the opened store.
	Body func(st store.Store) run.Body
	// Preview says what a job would do, over the opened store.
	Preview func(ctx context.Context, st store.Store, s spec.Spec) (*run.Preview, error)
	Files   *files.Files // opens what specs name; nil: disks only
	Clock   clock.Clock
	Log     *slog.Logger
}

// Engine is the backend in this process. Its folder is its own until Close.
type Engine struct {
	cfg      Config
	store    *disk.Store
	registry *registry.Registry

	mu      sync.Mutex
	waiting map[string]spec.Spec // submitted, and to start when watched
}

// Open opens the project folder, which is made if it is missing. It is of kind
// Conflict when another process works in it.
func Open(cfg Config) (*Engine, error) {
	st, err := disk.Open(filepath.Join(cfg.Dir, "store"), cfg.Log)
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, store: st, registry: registry.Open(st.Store), waiting: map[string]spec.Spec{}}, nil
}

// Embedded reports that jobs end with this process.
func (e *Engine) Embedded() bool { return true }

// Store is what the folder holds, until Close.
func (e *Engine) Store() store.Store { return e.store.Store }

// Close lets other processes open the folder.
func (e *Engine) Close() error { return e.store.Close() }

func (e *Engine) now() int64 { return e.cfg.Clock.Now().UnixMilli() }

// Plan says what a job would do.
func (e *Engine) Plan(ctx context.Context, s spec.Spec) (api.Plan, error) {
	p, err := e.cfg.Preview(ctx, e.store.Store, s)
	if err != nil {
		return api.Plan{}, err
	}
	nodes, err := e.Nodes(ctx)
	return api.NewPlan(s, p, nodes), err
}

// Submit takes a job, which starts when it is watched.
func (e *Engine) Submit(_ context.Context, s spec.Spec) (run.Summary, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := string(api.NewID())
	e.waiting[id] = s
	return run.Summary{Job: id, Kind: string(s.Kind), Name: s.Name, Status: jobs.Pending.String()}, nil
}

// stateInterval bounds how often a state is told while tasks come and go; a new
// stage and the end are always told.
const stateInterval = 100 * time.Millisecond

// Watch runs a submitted job to its end; ctx ends it before. A job of an
// earlier process is at its end already.
func (e *Engine) Watch(ctx context.Context, id string, hear func(backend.Update)) (run.Summary, error) {
	e.mu.Lock()
	s, mine := e.waiting[id]
	delete(e.waiting, id)
	e.mu.Unlock()
	if !mine {
		return e.Show(ctx, id)
	}
	var told time.Time
	watch := run.Watcher{
		Event: func(j *jobs.Job, ev jobs.Event) {
			now := e.cfg.Clock.Now()
			if ev.Kind != jobs.StagePlanned && !j.Phase.Ended() && now.Sub(told) < stateInterval {
				return
			}
			told = now
			state := run.Summarise(j, now.UnixMilli())
			hear(backend.Update{State: &state})
		},
		Progress: func(t run.Task, rows, total int64, text string) {
			hear(backend.Update{Progress: &api.Progress{Job: id, Task: string(t.ID), Rows: rows, Total: total, Text: text}})
		},
	}
	local := run.Local{Store: e.store.Store, Body: e.cfg.Body(e.store.Store), Clock: e.cfg.Clock, Slots: e.cfg.Slots, MaxBytes: e.cfg.Memory, Watch: watch}
	j, err := local.Run(ctx, jobs.ID(id), string(s.Kind), s.Name, s.Canonical())
	return run.Summarise(j, e.now()), errors.Join(err, e.record(context.WithoutCancel(ctx), j))
}

// record makes a job that did not succeed a run, too.
func (e *Engine) record(ctx context.Context, j *jobs.Job) error {
	return run.RecordEnd(ctx, e.registry.Runs, e.store.Store, e.cfg.Files, e.cfg.Version, j)
}

// Show returns a job of this folder.
func (e *Engine) Show(ctx context.Context, id string) (run.Summary, error) {
	j, err := e.load(ctx, jobs.ID(id))
	if err != nil {
		return run.Summary{}, err
	}
	return run.Summarise(j, e.now()), nil
}

// load replays a job. One that has no end was cut off with its process, since
// the folder is ours alone: that is then its end.
func (e *Engine) load(ctx context.Context, id jobs.ID) (*jobs.Job, error) {
	j, err := joblog.Load(ctx, e.store.Store, id)
	if err != nil || j.Phase.Ended() {
		return j, err
	}
	records, err := e.store.Logs.Read(ctx, joblog.Name(id), 0)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", id, err)
	}
	why := &jobs.Failure{Kind: fault.Canceled, Message: "the process that ran it has ended; run it again"}
	record, err := jobs.EncodeRecord(0, []jobs.Event{{Kind: jobs.CancelRequested, At: e.now(), Failure: why}})
	if err != nil {
		return nil, err
	}
	if err := e.store.Logs.Append(ctx, joblog.Name(id), uint64(len(records)), record); err != nil {
		return nil, fmt.Errorf("job %s: %w", id, err)
	}
	if err := j.Apply(record); err != nil {
		return j, err
	}
	return j, e.record(ctx, j)
}

// List returns the jobs of this folder, the newest first.
func (e *Engine) List(ctx context.Context) ([]run.Summary, error) {
	if err := e.endCutOff(ctx); err != nil {
		return nil, err
	}
	return new(api.Lister).Jobs(ctx, e.store.Store, e.now())
}

// endCutOff ends the jobs whose process has ended before them.
func (e *Engine) endCutOff(ctx context.Context) error {
	ids, err := joblog.List(ctx, e.store.Store)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := e.load(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// Cancel is for jobs of a cluster: one of this folder runs only while its own
// process does.
func (e *Engine) Cancel(ctx context.Context, id string) (run.Summary, error) {
	s, err := e.Show(ctx, id)
	if err == nil {
		err = fault.New(fault.Conflict, "cancel %s: it has already %s", id, s.Status)
	}
	return s, err
}

// History returns a job's log.
func (e *Engine) History(ctx context.Context, id string) ([]api.LogLine, error) {
	return api.History(ctx, e.store.Store, jobs.ID(id))
}

// Nodes returns this process.
func (e *Engine) Nodes(context.Context) ([]api.Node, error) {
	return []api.Node{{
		ID: "embedded", Name: "embedded", Roles: []string{"server", "worker"}, Slots: e.cfg.Slots, Memory: e.cfg.Memory,
		Version: e.cfg.Version, State: "ready", Leader: true, PID: os.Getpid(),
	}}, nil
}

var errNoCluster = errors.New("there is no cluster here: pass --address HOST:PORT of one of its nodes")

// Drain is for clusters.
func (e *Engine) Drain(_ context.Context, node string) error {
	return fault.New(fault.Invalid, "drain %s: %w", node, errNoCluster)
}

// Models returns the named models of this folder.
func (e *Engine) Models(ctx context.Context) ([]models.Model, error) {
	return e.registry.Models.List(ctx)
}

func (e *Engine) move(reason string) models.Move {
	return models.Move{Time: e.cfg.Clock.Now().UTC(), Reason: reason}
}

// Deploy moves an environment to a model.
func (e *Engine) Deploy(ctx context.Context, req api.DeployRequest) (api.Deployment, error) {
	return api.Deploy(ctx, e.registry, req, e.move(req.Reason))
}

// Rollback moves an environment back.
func (e *Engine) Rollback(ctx context.Context, req api.RollbackRequest) (api.Deployment, error) {
	return api.Rollback(ctx, e.registry, req, e.move(req.Reason))
}

// Undeploy lets an environment stand for no model.
func (e *Engine) Undeploy(ctx context.Context, model, environment, reason string) (api.Deployment, error) {
	return api.Undeploy(ctx, e.registry, model, environment, e.move(reason))
}

// Artifact returns the bytes that an address stands for.
func (e *Engine) Artifact(ctx context.Context, uri string) ([]byte, error) {
	return api.Artifact(ctx, e.registry, e.store.Blobs, uri)
}
