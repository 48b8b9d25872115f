package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/mlruns"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
)

func (a *app) runsCommand() *cobra.Command {
	return group("runs", "Look at the records of jobs", a.runsList(), a.runsShow(), a.runsCompare(), a.runsDelete(), a.runsRestore(), a.runsDownload(), a.runsExport(), a.runsGC())
}

// question is which runs the flags of a verb ask for.
type question struct {
	kind, experiment string
	deleted          bool
	runs.Search
}

func (q *question) flags(c *cobra.Command) {
	c.Flags().StringVar(&q.kind, "kind", "", "only runs of this kind of job")
	c.Flags().StringVar(&q.experiment, "experiment", "", "only runs of this experiment")
	c.Flags().StringVar(&q.Filter, "filter", "", "only runs of which this holds, such as \"metrics.test.auc > 0.9 AND params.model.type = 'gbt'\"")
	c.Flags().StringArrayVar(&q.Order, "order-by", nil, "by what to sort, such as \"metrics.test.auc DESC\"; may be given several times")
	c.Flags().IntVar(&q.Limit, "limit", 0, "at most so many (default all)")
	c.Flags().BoolVar(&q.deleted, "deleted", false, "those that are deleted, rather than the others")
}

func (q *question) search() runs.Search {
	s := q.Search
	for _, want := range [][2]string{{"experiment", q.experiment}, {"kind", q.kind}} {
		if want[1] == "" {
			continue
		}
		term := isText(want[0], want[1])
		if strings.TrimSpace(s.Filter) != "" {
			term += " AND " + s.Filter
		}
		s.Filter = term
	}
	if q.deleted {
		s.View = runs.OnlyDeleted
	}
	return s
}

// isText is a filter for runs of which a field is a text, whatever is in that.
func isText(field, text string) string {
	return field + " = '" + strings.ReplaceAll(text, "'", "''") + "'"
}

func (a *app) runsList() *cobra.Command {
	var q question
	c := a.verb("list", "List runs, the newest first", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return a.with(func(b backend.Backend) error {
			all, err := b.SearchRuns(ctx, q.search())
			if err != nil {
				return err
			}
			return a.result(append(runList{}, all...))
		})
	})
	q.flags(c)
	return c
}

const metricUsage = "a metric whose curve is drawn; may be given several times (default a few)"

func (a *app) runsShow() *cobra.Command {
	var metrics []string
	c := a.verb("show RUN", "Show a run, by its id or the beginning of it", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			r, err := b.Run(ctx, args[0])
			if err != nil {
				return err
			}
			curves, err := curvesOf([]runs.Run{r}, metrics)
			if err != nil {
				return err
			}
			return a.result(runView{r, curves})
		})
	})
	c.Flags().StringArrayVar(&metrics, "metric", nil, metricUsage)
	return c
}

func (a *app) runsCompare() *cobra.Command {
	var metrics []string
	c := a.verb("compare RUN RUN...", "Show where runs differ: params, data and metrics", cobra.MinimumNArgs(2), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			var all []runs.Run
			for _, id := range args {
				r, err := b.Run(ctx, id)
				if err != nil {
					return err
				}
				all = append(all, r)
			}
			curves, err := curvesOf(all, metrics)
			if err != nil {
				return err
			}
			return a.result(newComparison(all, curves))
		})
	})
	c.Flags().StringArrayVar(&metrics, "metric", nil, metricUsage)
	return c
}

func (a *app) runsDelete() *cobra.Command {
	return a.verb("delete RUN...", "Hide runs, until they are restored", cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
		return a.each(ctx, args, backend.Backend.DeleteRun)
	})
}

func (a *app) runsRestore() *cobra.Command {
	return a.verb("restore RUN...", "Show deleted runs again", cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
		return a.each(ctx, args, backend.Backend.RestoreRun)
	})
}

// each does something to every run that is named, and shows what became of them.
func (a *app) each(ctx context.Context, ids []string, do func(b backend.Backend, ctx context.Context, id string) (runs.Run, error)) error {
	return a.with(func(b backend.Backend) error {
		list := runList{}
		for _, id := range ids {
			r, err := do(b, ctx, id)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return a.result(list)
	})
}

// exportedRuns is what came of an export.
type exportedRuns struct {
	Folder string `json:"folder"`
	Runs   int    `json:"runs"`
	// Renamed says which names would have been a file and a folder, and what they are called.
	Renamed []string `json:"renamed,omitempty"`
}

func (a *app) runsExport() *cobra.Command {
	var q question
	var dir string
	c := a.verb("export --mlflow DIR", "Write runs with their artifacts to a folder, as MLflow's file store has them", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		if dir == "" {
			return fault.New(fault.Invalid, "runs export: name the folder: --mlflow DIR")
		}
		folder, err := mlruns.Open(dir)
		if err != nil {
			return err
		}
		return a.with(func(b backend.Backend) error {
			all, err := b.SearchRuns(ctx, q.search())
			if err != nil {
				return err
			}
			for _, found := range all {
				r, err := b.Run(ctx, string(found.ID))
				if err != nil {
					return err
				}
				if err := folder.Write(r, func(path string) ([]byte, error) {
					return b.Artifact(ctx, registry.URI{Run: r.ID, Path: path}.String())
				}); err != nil {
					return err
				}
			}
			for _, what := range folder.Renamed() {
				a.say("a file cannot be a folder: %s", what)
			}
			return a.result(exportedRuns{dir, len(all), folder.Renamed()})
		})
	})
	c.Flags().StringVar(&dir, "mlflow", "", "the folder, which must be new or empty")
	q.flags(c)
	return c
}
