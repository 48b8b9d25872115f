package main

import (
	"context"
	"runtime"

	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// taskEnv is what the bodies of tasks work with over a store of this process.
func (a *app) taskEnv(st store.Store) *run.Env {
	return &run.Env{
		Store: st, Registry: registry.Open(st), Files: a.files, Clock: a.clock, Code: version, Threads: runtime.GOMAXPROCS(0), Memory: a.granted, Cache: a.cache,
	}
}

// body returns the bodies of tasks over a store.
func (a *app) body(st store.Store) run.Body { return a.taskEnv(st).Body }

// preview says what a job would do, over a store.
func (a *app) preview(ctx context.Context, st store.Store, s spec.Spec) (*run.Preview, error) {
	return a.taskEnv(st).Preview(ctx, s)
}
