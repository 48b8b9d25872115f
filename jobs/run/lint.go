package run

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/lint"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// LintReport is what the rules of ml/features/lint have found in some jobs.
type LintReport struct {
	Findings []lint.Finding `json:"findings"`
	Errors   int            `json:"errors"`
	Warnings int            `json:"warnings"`
	Jobs     []LintedJob    `json:"jobs"`
	Notes    []string       `json:"notes"` // what could not be looked at
}

// LintedJob is a job that was looked at.
type LintedJob struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Input    string `json:"input"`
	Rows     int64  `json:"rows"`      // of the input; 0 when it was not read
	RowsRead int64  `json:"rows_read"` // fewer when a sample was asked for
	Columns  int    `json:"columns"`   // that were looked at
}

// LintOptions say how much is looked at.
type LintOptions struct {
	Static bool  // the specs alone
	Rows   int64 // about so many rows of each input, in whole shards; 0: all
}

// linted is a job on its way through the rules.
type linted struct {
	spec    spec.Spec
	subject *lint.Subject
	data    *Dataset // nil when it is not read
}

// Lint looks for leaks, and for columns of no use, in features and train jobs and
// in their inputs, which it reads twice, and writes nothing. Jobs that read each
// other's output are judged together; other kinds are passed over with a note.
// What it finds depends on specs and data alone.
//
// Errors: those that the jobs themselves would end with before they begin.
func (e *Env) Lint(ctx context.Context, specs []spec.Spec, o LintOptions) (*LintReport, error) {
	r := &LintReport{Findings: []lint.Finding{}, Notes: []string{}, Jobs: []LintedJob{}}
	all := r.subjects(specs)
	for _, l := range all {
		if err := e.lintOne(ctx, r, l, all, o); err != nil {
			return nil, fmt.Errorf("%s: %w", l.subject.Job, err)
		}
	}
	lint.Sort(r.Findings)
	r.count()
	return r, nil
}

func (r *LintReport) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// subjects returns the jobs as the rules see them, each with the one whose output
// it reads.
func (r *LintReport) subjects(specs []spec.Spec) []*linted {
	var out []*linted
	for _, s := range specs {
		job := fmt.Sprintf("%s %q", s.Kind, s.Name)
		switch {
		case s.Features != nil:
			f := s.Features
			out = append(out, &linted{spec: s, subject: &lint.Subject{Job: job, Target: f.Target, Entity: features.Entity(f.Entity), Timestamp: f.Timestamp, Steps: stepsOf(f.Steps)}})
		case s.Train != nil:
			out = append(out, &linted{spec: s, subject: trainSubject(job, s.Train)})
		default:
			r.note("%s was passed over: only features and train jobs are looked at", job)
		}
	}
	for _, reader := range out {
		for _, maker := range out {
			if reader.spec.Train != nil && maker.spec.Features != nil && reader.spec.Train.Features == nil && reader.spec.Train.Input == maker.spec.Features.Output {
				reader.subject.Made = maker.subject
			}
		}
	}
	return out
}

func trainSubject(job string, t *spec.Train) *lint.Subject {
	s := &lint.Subject{
		Job: job, Target: t.Target, Task: metrics.Task(t.Task), Entity: features.Entity(t.Entity), Timestamp: t.Timestamp,
		Include: t.Columns.Include, Exclude: t.Columns.Exclude,
		Split: &lint.Split{By: string(t.Split.By), Column: t.Split.Column, Validation: t.Split.Validation, Test: t.Split.Test, Seed: t.Split.Seed},
	}
	if t.Features != nil {
		s.Steps = stepsOf(t.Features.Steps)
	}
	return s
}

// lintOne applies all rules to one job.
func (e *Env) lintOne(ctx context.Context, r *LintReport, l *linted, all []*linted, o LintOptions) error {
	job := LintedJob{Kind: string(l.spec.Kind), Name: l.spec.Name, Input: inputOf(l.spec)}
	substitute, err := e.openLinted(ctx, r, l, all, o)
	if err != nil {
		return err
	}
	static := lint.Static(l.subject)
	r.Findings = append(r.Findings, static...)
	looked := l.subject
	switch {
	case substitute != nil:
		looked = substitute
	case l.data != nil:
		refused := slices.ContainsFunc(static, func(f lint.Finding) bool { return f.Code == lint.TargetInFeature || f.Code == lint.TargetHistory })
		if err := l.resolve(refused); err != nil {
			return err
		}
	}
	if l.data != nil {
		found, err := e.lintRows(ctx, looked, l.data, o, &job)
		if err != nil {
			return err
		}
		if substitute != nil { // the rest is said of the job whose input it is
			found = slices.DeleteFunc(found, func(f lint.Finding) bool { return f.Code != lint.EntityOverlap && f.Code != lint.EqualRows })
		}
		r.Findings = append(r.Findings, found...)
	}
	r.Jobs = append(r.Jobs, job)
	return nil
}

func inputOf(s spec.Spec) string {
	if s.Train != nil {
		return s.Train.Input
	}
	return s.Features.Input
}

func explodeOf(s spec.Spec) string {
	if s.Train != nil {
		return s.Train.Explode
	}
	return s.Features.Explode
}

// open looks at the input of a job, once.
func (l *linted) open(ctx context.Context, e *Env) error {
	if l.data != nil {
		return nil
	}
	p, err := (&work{spec: l.spec}).where().Predicate()
	if err != nil {
		return err
	}
	d, err := (&Dataset{Path: inputOf(l.spec), Explode: explodeOf(l.spec), files: e.Files}).open(ctx, p)
	if err != nil {
		return err
	}
	l.data, l.subject.Schema = d, d.Schema
	return nil
}

// openLinted opens the input of a job, unless the specs alone are looked at. Where
// a features job has yet to write it, the features job's own input stands in, and
// what is returned is the job as if it read that.
func (e *Env) openLinted(ctx context.Context, r *LintReport, l *linted, all []*linted, o LintOptions) (*lint.Subject, error) {
	if o.Static {
		return nil, nil //nolint:nilnil // nothing stands in for anything
	}
	made := l.subject.Made
	err := l.open(ctx, e)
	if err == nil {
		for _, reader := range all { // it says what the features are for
			if target := reader.subject.Target; reader.subject.Made == l.subject && l.subject.Target == "" && l.subject.Schema.Index(target) >= 0 {
				l.subject.Target, l.subject.Task = target, reader.subject.Task
			}
		}
		if made == nil && l.spec.Train != nil && len(l.data.Features) > 0 {
			r.note("%s: its input was written by a features job; name that spec, too, to see what its features have learned from", l.subject.Job)
		}
		return nil, nil //nolint:nilnil // nothing stands in for anything
	}
	if made == nil || fault.Of(err) != fault.NotFound && fault.Of(err) != fault.Invalid {
		return nil, err
	}
	maker := all[slices.IndexFunc(all, func(m *linted) bool { return m.subject == made })]
	if err := maker.open(ctx, e); err != nil {
		return nil, err
	}
	standIn := *l.subject
	standIn.Made, standIn.Steps, standIn.Schema = nil, made.Steps, maker.data.Schema
	standIn.Entity, standIn.Timestamp = made.Entity, made.Timestamp
	for _, name := range []string{standIn.Target, standIn.Split.Column} {
		if name != "" && standIn.Schema.Index(name) < 0 {
			r.note("%s: its input has not been written yet, and the one of %s has no column %q: its rows were not looked at", l.subject.Job, made.Job, name)
			return nil, nil //nolint:nilnil // nothing stands in for it
		}
	}
	r.note("%s: its input has not been written yet; its split was looked at in the input of %s", l.subject.Job, made.Job)
	l.data = maker.data
	return &standIn, nil
}

// resolve judges a job against its input, as it would be when it runs, and finds
// the columns that its model reads as they are. A job that is refused because of
// its target has been told so.
func (l *linted) resolve(refused bool) error {
	if refused {
		return nil
	}
	if f := l.spec.Features; f != nil {
		_, err := featurePasses(f, l.data)
		return err
	}
	t := l.spec.Train
	if _, err := trainPasses(t, l.data); err != nil || t.Features != nil {
		return err
	}
	inputs, err := rawInputs(t, l.data)
	for _, f := range inputs {
		l.subject.Inputs = append(l.subject.Inputs, f.Name)
	}
	return err
}

// lintRows reads the rows of a job's input, twice if it has a target.
func (e *Env) lintRows(ctx context.Context, s *lint.Subject, d *Dataset, o LintOptions, job *LintedJob) ([]lint.Finding, error) {
	p, err := lint.NewProfile(s)
	if err != nil {
		return nil, err
	}
	columns := p.Columns()
	job.Rows, job.Columns = d.Rows-d.Pruned, len(columns)
	if len(columns) == 0 {
		return nil, nil
	}
	shards := lintedShards(d, o.Rows)
	for _, shard := range shards {
		job.RowsRead += d.Shards[shard].Rows
	}
	err = passOver(ctx, e, d, shards, columns, p, func() (*lint.Profile, error) { return lint.NewProfile(s) }, (*lint.Profile).Observe, (*lint.Profile).Merge)
	if err != nil {
		return nil, err
	}
	a := p.Association()
	if a != nil {
		observe := func(one *lint.Association, b *data.Batch, numbers []int64) error {
			one.Observe(b, numbers)
			return nil
		}
		err = passOver(ctx, e, d, shards, a.Columns(), a, func() (*lint.Association, error) { return p.Association(), nil }, observe, (*lint.Association).Merge)
	}
	return lint.Check(p, a), err
}

// lintedShards chooses shards, spread by chance, that have so many rows together;
// all of them for 0.
func lintedShards(d *Dataset, rows int64) []int {
	order := rng.New(uint64(d.Rows), "lint").Perm(len(d.Shards))
	if rows > 0 {
		for i, shard := range order {
			if rows -= d.Shards[shard].Rows; rows <= 0 {
				order = order[:i+1]
				break
			}
		}
	}
	slices.Sort(order)
	return order
}

// passOver reads shards, several at a time, and adds what each worker has seen to
// into. What comes of it does not depend on which worker saw what.
func passOver[T any](ctx context.Context, e *Env, d *Dataset, shards []int, columns []string, into T,
	fresh func() (T, error), observe func(one T, b *data.Batch, numbers []int64) error, merge func(into, one T)) error {
	workers := max(1, min(e.Threads, runtime.GOMAXPROCS(0), len(shards)))
	d.maxBytes = e.Memory / int64(workers)
	next := make(chan int, len(shards))
	for _, shard := range shards {
		next <- shard
	}
	close(next)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			one, err := fresh()
			if err != nil {
				return err
			}
			for shard := range next {
				err := d.readShard(ctx, shard, columns, func(b *data.Batch, at rowNumbers) error { return observe(one, b, at.numbers()) })
				if err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			merge(into, one)
			return nil
		})
	}
	return group.Wait()
}

// Ignore leaves out the findings of some codes.
func (r *LintReport) Ignore(codes []string) {
	r.Findings = slices.DeleteFunc(r.Findings, func(f lint.Finding) bool { return slices.Contains(codes, f.Code) })
	r.count()
}

func (r *LintReport) count() {
	r.Errors, r.Warnings = 0, 0
	for _, f := range r.Findings {
		if f.Severity == lint.Error {
			r.Errors++
		} else {
			r.Warnings++
		}
	}
}
