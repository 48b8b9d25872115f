// Package backend is what the verbs of troupe act on: a cluster over HTTP, or
// the same engine embedded in the program's own process.
package backend

import (
	"context"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/sweep"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/runs"
)

// Update is news of a job that is being watched; one of its fields is set.
type Update struct {
	State    *run.Summary  // the whole job; may be older than the one before
	Progress *api.Progress // one task
	Notice   string        // what happened to the watching itself
}

// Jobs runs jobs and looks at them.
type Jobs interface {
	// Plan says what a job would do, and runs nothing.
	Plan(ctx context.Context, s spec.Spec) (api.Plan, error)
	// Submit asks for a job, whose paths are absolute. An embedded one starts when
	// it is watched.
	Submit(ctx context.Context, s spec.Spec) (run.Summary, error)
	// Watch tells hear of a job until it ends, and returns its end. When ctx ends
	// before, an embedded job is cancelled; one on a cluster goes on, and the
	// summary is the newest that was seen.
	Watch(ctx context.Context, id string, hear func(Update)) (run.Summary, error)
	Show(ctx context.Context, id string) (run.Summary, error)
	List(ctx context.Context) ([]run.Summary, error)
	// Cancel asks for the end of a job; Watch tells when that has come.
	Cancel(ctx context.Context, id string) (run.Summary, error)
}

// Records are what jobs have left: the runs, and the models with their names.
type Records interface {
	// SearchRuns returns the runs that are asked for.
	SearchRuns(ctx context.Context, s runs.Search) ([]runs.Run, error)
	// Run returns the run of an id, or of the only one that begins so, with all
	// points of its metrics.
	Run(ctx context.Context, id string) (runs.Run, error)
	// DeleteRun hides a run, RestoreRun shows it again.
	DeleteRun(ctx context.Context, id string) (runs.Run, error)
	RestoreRun(ctx context.Context, id string) (runs.Run, error)
	// Collect gives up what was deleted long ago and what nothing refers to, or
	// counts it.
	Collect(ctx context.Context, r sweep.Request) (*sweep.Report, error)
	Models(ctx context.Context) ([]models.Model, error)
	Deploy(ctx context.Context, req api.DeployRequest) (api.Deployment, error)
	Rollback(ctx context.Context, req api.RollbackRequest) (api.Deployment, error)
	// Undeploy lets an environment stand for no model.
	Undeploy(ctx context.Context, model, environment, reason string) (api.Deployment, error)
	// Artifact returns the bytes that an address such as models:/NAME/1 stands for.
	Artifact(ctx context.Context, uri string) ([]byte, error)
}

// Members are who does the work.
type Members interface {
	Nodes(ctx context.Context) ([]api.Node, error)
	Drain(ctx context.Context, node string) error
}

// Backend is all of it.
type Backend interface {
	Jobs
	Records
	Members
	// History returns a job's log in words.
	History(ctx context.Context, id string) ([]api.LogLine, error)
	// Embedded reports whether jobs run in this process and end with it.
	Embedded() bool
	Close() error
}

// Ended reports whether a summary is that of a job that has ended.
func Ended(s run.Summary) bool {
	return s.Status == jobs.Done.String() || s.Status == jobs.Failed.String() || s.Status == jobs.Cancelled.String()
}
