package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
)

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
		var plans planList
		err = a.with(func(b backend.Backend) error {
			for _, sp := range specs {
				p, err := b.Plan(ctx, sp)
				if err != nil {
					return unplanned(err)
				}
				plans = append(plans, p)
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case len(plans) == 1:
			return a.result(jobPlan(plans[0]))
		default:
			return a.result(plans)
		}
	})
	s.setFlags(c)
	s.fileFlags(c)
	return c
}

// unplanned gives an error of planning its exit code: what the data lack is a
// failure of the job, as it is when the job runs, and no fault of the command
// line.
func unplanned(err error) error {
	if exit.Of(err) == exit.Usage {
		return exit.With(exit.Failed, err)
	}
	return err
}

// jobPlan is what a job would do, as people see it.
type jobPlan api.Plan

// Sections says what is read, then what is done.
func (p jobPlan) Sections() []render.Section {
	facts := []render.Fact{{Name: "job", Value: fmt.Sprintf("%s %q", p.Kind, p.Name)}, {Name: "spec", Value: p.Digest}}
	for _, in := range []struct {
		name string
		plan *api.InputPlan
	}{{"input", p.Input}, {"reference", p.Reference}} {
		if in.plan != nil {
			facts = append(facts, inputFacts(in.name, in.plan)...)
		}
	}
	if p.Model != "" {
		facts = append(facts, render.Fact{Name: "model", Value: p.Model})
	}
	facts = append(facts, render.Fact{Name: "memory", Value: p.memory()})
	if p.Finished {
		facts = append(facts, render.Fact{Name: "note", Value: "the same job has been done before: running it would do nothing"})
	}
	t := render.Section{Title: "stages", Columns: []render.Column{{Title: "stage"}, {Title: "shape"}, {Title: "tasks", Right: true}, {Title: "memory per task", Right: true}}}
	for _, st := range p.Stages {
		memory := "small"
		if st.MaxBytes > 0 {
			memory = bytesText(st.MaxBytes)
		}
		t.Rows = append(t.Rows, []string{st.Name, st.Shape, strconv.Itoa(st.Tasks), memory})
	}
	return []render.Section{{Facts: facts}, t}
}

// inputFacts says what is there, and what of it is read.
func inputFacts(name string, p *api.InputPlan) []render.Fact {
	facts := []render.Fact{{Name: name, Value: fmt.Sprintf("%s rows in %s and %s, %s on disk, %s decoded", progress.Thousands(p.Rows),
		count(p.Files, "file"), count(p.Shards, "shard"), bytesText(p.FileBytes), bytesText(p.Bytes))}}
	if p.Explode != "" {
		facts = append(facts, render.Fact{Name: "  explode", Value: "a row for each element of " + p.Explode})
	}
	if p.Where != "" {
		facts = append(facts, render.Fact{Name: "  where", Value: fmt.Sprintf("%s; rules out the row groups of %s rows", p.Where, progress.Thousands(p.PrunedRows))})
	}
	return append(facts, render.Fact{Name: "  read", Value: fmt.Sprintf("%s of %s in one pass", bytesText(p.ReadBytes), bytesText(p.TotalBytes))})
}

// memory says what the job asks of a worker.
func (p jobPlan) memory() string {
	w := p.Worker
	switch {
	case w == nil:
		return "there is no worker"
	case !w.Fits:
		return fmt.Sprintf("a task may need %s, more than the %s of the largest worker: a worker with more memory is needed", bytesText(w.NeedBytes), bytesText(w.MemoryBytes))
	default:
		return fmt.Sprintf("up to %s of a worker's %s, with %s", bytesText(w.NeedBytes), bytesText(w.MemoryBytes), count(w.Slots, "slot"))
	}
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return progress.Thousands(int64(n)) + " " + what + "s"
}

// planList is several of them, one below the other.
type planList []api.Plan

// Sections is those of each.
func (l planList) Sections() []render.Section {
	var all []render.Section
	for _, p := range l {
		all = append(all, jobPlan(p).Sections()...)
	}
	return all
}
