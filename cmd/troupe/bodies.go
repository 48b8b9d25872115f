package main

import (
	"context"
	"errors"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/embedded"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// taskEnv is what the bodies of tasks work with over a store of this process.
func (a *app) taskEnv(st store.Store) *run.Env {
	return &run.Env{
		Store: st, Registry: registry.Open(st.Blobs, st.Refs), Clock: a.clock, Code: version, Threads: runtime.GOMAXPROCS(0),
	}
}

// body returns the bodies of tasks over a store.
func (a *app) body(st store.Store) run.Body { return a.taskEnv(st).Body }

func (a *app) planCommand() *cobra.Command {
	s := &submission{}
	c := a.verb("plan FILE...", "Say what jobs would do, and run nothing", nil, func(ctx context.Context, args []string) error {
		if len(args)+len(s.files) == 0 {
			return fault.New(fault.Invalid, "plan: name a spec file")
		}
		specs, err := a.specs(s, args, "")
		if err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		plans, err := a.plans(ctx, e, specs)
		if err := errors.Join(err, e.Close()); err != nil {
			return exit.With(exit.Failed, err)
		}
		if len(plans) == 1 {
			return a.result(plans[0])
		}
		return a.result(planList(plans))
	})
	s.setFlags(c)
	s.fileFlags(c)
	return c
}

func (a *app) plans(ctx context.Context, e *embedded.Engine, specs []spec.Spec) ([]jobPlan, error) {
	var plans []jobPlan
	env := a.taskEnv(e.Store())
	for _, sp := range specs {
		p, err := env.Preview(ctx, sp)
		if err != nil {
			return nil, err
		}
		plans = append(plans, newJobPlan(sp, p))
	}
	return plans, nil
}
