package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/jobs/run/sweep"
)

func (a *app) runsGC() *cobra.Command {
	var r sweep.Request
	c := a.verb("gc", "Give up runs that were deleted long ago, and bytes that nothing refers to", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		if _, err := r.Config(); err != nil {
			return err
		}
		return a.with(func(b backend.Backend) error {
			report, err := b.Collect(ctx, r)
			if err != nil {
				return err
			}
			return a.result(collected(*report))
		})
	})
	c.Flags().StringVar(&r.DeletedFor, "deleted-for", "", "runs and experiments that were deleted so long ago (default 30d)")
	c.Flags().StringVar(&r.UnusedFor, "unused-for", "", "blobs that nothing refers to and that are so old (default 24h, at least 1h)")
	c.Flags().BoolVar(&r.Yes, "yes", false, "do it; else it is only said what would go")
	return c
}

// collected is what was given up, or would be.
type collected sweep.Report

// Sections is a table of the runs, logged models and experiments, and the sum in words.
func (c collected) Sections() []render.Section {
	var out []render.Section
	for _, list := range []struct {
		what string
		gone []sweep.Gone
	}{{"run", c.Runs}, {"logged model", c.Models}, {"experiment", c.Experiments}} {
		if len(list.gone) == 0 {
			continue
		}
		s := render.Section{Columns: render.Left(list.what, "name", "deleted")}
		for _, g := range list.gone {
			deleted := "with its experiment"
			if !g.Deleted.IsZero() {
				deleted = g.Deleted.Local().Format(time.DateTime)
			}
			s.Rows = append(s.Rows, []string{g.ID, g.Name, deleted})
		}
		out = append(out, s)
	}
	r := sweep.Report(c)
	return append(out, render.Section{Text: r.Words() + "\n"})
}
