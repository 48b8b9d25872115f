package main

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/specfile"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// submission are the flags of verbs that run jobs.
type submission struct {
	files   []string
	sets    []string
	detach  bool
	timeout time.Duration
	fields  []field
	again   *string // the run whose spec counts when no file is named; nil where there is no such flag
}

// field is a flag of its own for a field of the spec.
type field struct {
	path  string
	value *string
	file  bool // relative to the working folder, other than in a spec
	flag  string
}

// setFlags are those that plan takes, too.
func (s *submission) setFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.sets, "set", nil, "override a field, such as model.hidden=[64,32]; may be repeated")
}

func (s *submission) flags(c *cobra.Command) {
	s.setFlags(c)
	c.Flags().BoolVar(&s.detach, "detach", false, "print the job's id and do not wait for its end")
	c.Flags().DurationVar(&s.timeout, "timeout", 0, "cancel the job when it has not ended by then, such as 10m")
}

func (s *submission) fileFlags(c *cobra.Command) {
	c.Flags().StringArrayVarP(&s.files, "file", "f", nil, "a spec file, or - for standard input; may be repeated")
	c.Flags().StringArrayVar(&s.files, "config", nil, "the same as --file")
}

// field adds a flag for a field of the spec.
func (s *submission) field(c *cobra.Command, flag, path, help string, file bool) {
	f := field{path: path, value: new(string), file: file, flag: flag}
	c.Flags().StringVar(f.value, flag, "", help)
	s.fields = append(s.fields, f)
}

// overrides returns what the flags say about fields.
func (s *submission) overrides() ([]spec.Set, error) {
	var sets []spec.Set
	for _, f := range s.fields {
		if *f.value == "" {
			continue
		}
		value := *f.value
		if f.file && isLocal(value) {
			absolute, err := filepath.Abs(value)
			if err != nil {
				return nil, fault.New(fault.Invalid, "--%s: %w", f.flag, err)
			}
			value = absolute
		}
		sets = append(sets, spec.Override(f.path, strconv.Quote(value)))
	}
	for _, text := range s.sets {
		set, err := spec.ParseSet(text)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// isLocal reports whether a path is one of the file system rather than an
// address such as s3://bucket or models:/name/1.
func isLocal(path string) bool { return !strings.Contains(path, ":/") }

// specs reads the jobs that the command line names. Without any file it builds
// one of the kind from the flags alone.
func (a *app) specs(s *submission, files []string, kind spec.Kind) ([]spec.Spec, error) {
	sets, err := s.overrides()
	if err != nil {
		return nil, err
	}
	files = append(append([]string(nil), s.files...), files...)
	if len(files) == 0 {
		built, err := specfile.Build(kind, string(kind), sets)
		return []spec.Spec{built}, err
	}
	specs, err := specfile.Read(a.stdin, files, sets)
	if err != nil {
		return nil, err
	}
	for _, sp := range specs {
		if kind != "" && sp.Kind != kind {
			return nil, fault.New(fault.Invalid, "%s %q: the verb runs %s jobs; use `troupe run` for any kind", sp.Kind, sp.Name, kind)
		}
	}
	return specs, nil
}

// runAgain submits the spec of a run, changed as the flags say.
func (a *app) runAgain(ctx context.Context, s *submission) error {
	sets, err := s.overrides()
	if err != nil {
		return err
	}
	var specs []spec.Spec
	err = a.with(func(b backend.Backend) error {
		r, err := b.Run(ctx, *s.again)
		if err != nil {
			return err
		}
		specs, err = spec.Parse("the spec of run "+string(r.ID), r.Spec, sets...)
		return err
	})
	if err != nil {
		return err
	}
	return a.submit(ctx, s, specs)
}

// submit runs jobs one after the other, shows how they go on and writes what
// they came to.
func (a *app) submit(ctx context.Context, s *submission, specs []spec.Spec) error {
	ctx, stop, err := within(ctx, s.timeout)
	if err != nil {
		return err
	}
	defer stop()
	return a.with(func(b backend.Backend) error {
		if s.detach {
			return a.detach(ctx, b, specs)
		}
		var ends []run.Summary
		for _, sp := range specs {
			end, err := a.one(ctx, b, sp)
			if err != nil && end.Job == "" {
				return err
			}
			ends = append(ends, end)
			if err != nil || verdict(end) != exit.OK {
				return a.conclude(ends, err)
			}
		}
		return a.conclude(ends, nil)
	})
}

func (a *app) detach(ctx context.Context, b backend.Backend, specs []spec.Spec) error {
	if b.Embedded() {
		return fault.New(fault.Invalid, "--detach: a job without a cluster ends with this process: pass --address, or wait for it")
	}
	var begun []run.Summary
	for _, sp := range specs {
		sum, err := b.Submit(ctx, sp)
		if err != nil {
			return err
		}
		begun = append(begun, sum)
	}
	return a.result(summaries(begun))
}

// one runs one job to its end. When ctx ends before, the job is cancelled and
// people are told.
func (a *app) one(ctx context.Context, b backend.Backend, sp spec.Spec) (run.Summary, error) {
	sum, err := b.Submit(ctx, sp)
	if err != nil {
		return run.Summary{}, err
	}
	id := sum.Job
	a.tell("job %s: %s %q", id, sum.Kind, sum.Name)
	last, err := a.follow(ctx, b, id)
	if last.Job == "" {
		last = sum
	}
	if ctx.Err() == nil {
		if err == nil {
			a.mirror(ctx, b, last)
		}
		return last, err
	}
	if !backend.Ended(last) {
		last = a.cancel(ctx, b, last)
	}
	if backend.Ended(last) {
		a.say("%v: job %s is %s", context.Cause(ctx), id, last.Status)
	}
	return last, context.Cause(ctx)
}

// tell says what is only said when nothing else is.
func (a *app) tell(format string, args ...any) {
	if !a.quiet {
		a.say(format, args...)
	}
}

// follow watches a job and shows its progress.
func (a *app) follow(ctx context.Context, b backend.Backend, id string) (run.Summary, error) {
	if a.quiet {
		return b.Watch(ctx, id, func(backend.Update) {})
	}
	cfg := progress.DefaultConfig()
	cfg.Out, cfg.Terminal, cfg.Clock = a.stderr, a.terminal, a.clock
	view := progress.New(cfg)
	defer view.Close()
	return b.Watch(ctx, id, view.Hear)
}

// cancelPatience is how long the end of a cancelled job is waited for.
const cancelPatience = 15 * time.Second

// cancel asks for the end of a job of which nobody wants to hear any more.
func (a *app) cancel(ctx context.Context, b backend.Backend, last run.Summary) run.Summary {
	a.say("%v: cancelling job %s", context.Cause(ctx), last.Job)
	fresh, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelPatience)
	defer stop()
	if _, err := b.Cancel(fresh, last.Job); err != nil && fault.Of(err) != fault.Conflict {
		a.say("job %s could not be cancelled, and goes on: %v", last.Job, err)
		return last
	}
	end, err := b.Watch(fresh, last.Job, func(backend.Update) {})
	if err != nil {
		a.say("job %s was asked to end; whether it has is not known yet: %v", last.Job, err)
		return last
	}
	return end
}

// verdict is the exit code that the end of a job stands for.
func verdict(s run.Summary) exit.Code {
	switch {
	case s.Status != jobs.Done.String():
		return exit.Failed
	case s.Drift != nil && *s.Drift:
		return exit.Refused
	default:
		return exit.OK
	}
}

// conclude writes the ends of jobs, of which the last may have gone wrong.
func (a *app) conclude(ends []run.Summary, err error) error {
	if werr := a.result(summaries(ends)); werr != nil {
		return werr
	}
	last := ends[len(ends)-1]
	code := verdict(last)
	switch {
	case err != nil:
		if exit.Of(err) == exit.Interrupted || exit.Of(err) == exit.TimedOut {
			return exit.With(exit.Of(err), nil) // it has been said
		}
		return err
	case last.Error != nil:
		a.say("job %s %s: %s", last.Job, last.Status, last.Error.Message)
	case last.Unchanged:
		a.tell("job %s had nothing to do: the same job has been done before", last.Job)
	case code == exit.Refused:
		a.say("drift found")
	}
	if code != exit.OK {
		return exit.With(code, nil)
	}
	return nil
}

// summaries is one document for one job, a list for several.
func summaries(s []run.Summary) any {
	if len(s) == 1 {
		return jobView(s[0])
	}
	return jobList(s)
}
