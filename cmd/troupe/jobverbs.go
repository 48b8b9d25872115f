package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

func (a *app) runCommand() *cobra.Command {
	s := &submission{}
	c := a.verb("run FILE...", "Run the jobs of spec files, in order, and wait for them", nil, func(ctx context.Context, args []string) error {
		if len(args)+len(s.files) == 0 {
			return fault.New(fault.Invalid, "run: name a spec file, or - for standard input; `troupe init` writes examples")
		}
		specs, err := a.specs(s, args, "")
		if err != nil {
			return err
		}
		return a.submit(ctx, s, specs)
	})
	c.Example = "  troupe run features.yaml train.yaml\n  troupe run train.yaml --set model.hidden=[64,32] --timeout 10m -o json"
	s.flags(c)
	s.fileFlags(c)
	return c
}

// kindVerb is a verb that runs jobs of one kind.
func (a *app) kindVerb(use, short string, kind spec.Kind, needsFile bool) (*cobra.Command, *submission) {
	s := &submission{}
	c := a.verb(use, short, nil, func(ctx context.Context, args []string) error {
		if s.again != nil && *s.again != "" && len(args)+len(s.files) == 0 {
			return a.runAgain(ctx, s)
		}
		if needsFile && len(args)+len(s.files) == 0 {
			return fault.New(fault.Invalid, "%s: name a spec file: -f FILE", kind)
		}
		specs, err := a.specs(s, args, kind)
		if err != nil {
			return err
		}
		return a.submit(ctx, s, specs)
	})
	s.flags(c)
	s.fileFlags(c)
	return c, s
}

func (a *app) featuresCommand() *cobra.Command {
	c, s := a.kindVerb("run [FILE...]", "Compute features", spec.KindFeatures, true)
	s.field(c, "input", "input", "the Parquet files to read", true)
	s.field(c, "out", "output", "the folder to write", true)
	return group("features", "Compute features, look at what they have learned, and for leaks",
		c, a.lintCommand(), a.parityCommand(), a.featuresShowCommand(), a.featuresDiffCommand())
}

func (a *app) trainCommand() *cobra.Command {
	c, s := a.kindVerb("train [FILE...]", "Train a model", spec.KindTrain, true)
	s.field(c, "input", "input", "the rows to learn from", true)
	s.field(c, "resume", "resume", "a train run whose last checkpoint to go on from; without a file, by that run's spec", false)
	s.again = s.fields[len(s.fields)-1].value
	s.field(c, "experiment", "experiment", "the group of runs to compare with", false)
	return c
}

func (a *app) predictCommand() *cobra.Command {
	c, s := a.kindVerb("predict [FILE...]", "Apply a model to rows", spec.KindPredict, false)
	s.field(c, "model", "model", "the model: runs:/ID/model, models:/NAME@ENVIRONMENT or a file", true)
	s.field(c, "input", "input", "the Parquet files to read", true)
	s.field(c, "out", "output", "the folder to write", true)
	return c
}

func (a *app) driftCommand() *cobra.Command {
	c, s := a.kindVerb("check [FILE...]", "Compare two sets of rows; exit code 3 when they differ", spec.KindDrift, false)
	s.field(c, "reference", "reference", "the Parquet files to compare with", true)
	s.field(c, "model", "model", "a model whose training rows to compare with", true)
	s.field(c, "current", "current", "the Parquet files in question", true)
	s.field(c, "report", "report", "the HTML file to write", true)
	return group("drift", "Compare rows", c)
}

func (a *app) jobsCommand() *cobra.Command {
	list := a.verb("list", "List jobs, the newest first", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return a.with(func(b backend.Backend) error {
			all, err := b.List(ctx)
			if err != nil {
				return err
			}
			return a.result(append(jobList{}, all...))
		})
	})
	show := a.verb("show JOB", "Show a job", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			s, err := b.Show(ctx, args[0])
			if err != nil {
				return err
			}
			return a.result(jobView(s))
		})
	})
	cancel := a.verb("cancel JOB", "Cancel a job", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			s, err := b.Cancel(ctx, args[0])
			if err != nil {
				return err
			}
			return a.result(jobView(s))
		})
	})
	return group("jobs", "Look at jobs and cancel them", list, show, a.watchCommand(), cancel, a.logsCommand())
}

func (a *app) watchCommand() *cobra.Command {
	var timeout time.Duration
	c := a.verb("watch JOB", "Follow a job to its end", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		ctx, stop, err := within(ctx, timeout)
		if err != nil {
			return err
		}
		defer stop()
		return a.with(func(b backend.Backend) error {
			last, err := a.follow(ctx, b, args[0])
			if ctx.Err() != nil && !backend.Ended(last) {
				a.say("%v: job %s goes on", context.Cause(ctx), args[0])
				return exit.With(exit.Of(context.Cause(ctx)), nil)
			}
			if err != nil {
				return err
			}
			return a.conclude([]run.Summary{last}, nil)
		})
	})
	c.Flags().DurationVar(&timeout, "timeout", 0, "stop watching after so long; the job goes on")
	return c
}

func (a *app) nodesCommand() *cobra.Command {
	list := a.verb("list", "List the nodes of the cluster", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return a.with(func(b backend.Backend) error {
			nodes, err := b.Nodes(ctx)
			if err != nil {
				return err
			}
			return a.result(append(nodeList{}, nodes...))
		})
	})
	drain := a.verb("drain NODE", "Let a node hand its work over and leave", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			if err := b.Drain(ctx, args[0]); err != nil {
				return err
			}
			return a.result(map[string]string{"node": args[0], "state": "draining"})
		})
	})
	return group("nodes", "Look at nodes and drain them", list, drain)
}
