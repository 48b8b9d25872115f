package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/nearest"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features/lint"
)

func (a *app) lintCommand() *cobra.Command {
	s := &submission{}
	var o run.LintOptions
	var strict bool
	var ignore []string
	c := a.verb("lint [FILE...]", "Look for leaks in features and train jobs and in their data, and for columns of no use", nil, func(ctx context.Context, args []string) error {
		if len(args)+len(s.files) == 0 {
			return fault.New(fault.Invalid, "lint: name the spec files of features and train jobs that belong together: -f features.yaml train.yaml")
		}
		if err := knownCodes(ignore); err != nil {
			return err
		}
		if o.Rows < 0 {
			return fault.New(fault.Invalid, "--rows %d: expected 0, for all, or more", o.Rows)
		}
		specs, err := a.specs(s, args, "")
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(specs, func(sp spec.Spec) bool { return sp.Features != nil || sp.Train != nil }) {
			return fault.New(fault.Invalid, "lint: there is no features or train job in these files")
		}
		r, err := a.lint(ctx, specs, o)
		if err != nil {
			return unplanned(err)
		}
		r.Ignore(ignore)
		if err := a.result(lintView(*r)); err != nil {
			return err
		}
		if strict && len(r.Findings) > 0 {
			return exit.With(exit.Refused, nil)
		}
		return nil
	})
	c.Example = "  troupe features lint -f features.yaml train.yaml\n  troupe features lint train.yaml --strict --ignore TL006 -o json"
	s.setFlags(c)
	s.fileFlags(c)
	f := c.Flags()
	f.BoolVar(&strict, "strict", false, "exit with 3 if there is any finding")
	f.BoolVar(&o.Static, "static", false, "judge the specs alone, and read no data")
	f.Int64Var(&o.Rows, "rows", 0, "read about so many rows of each input, in shards chosen by chance (default: all)")
	f.StringSliceVar(&ignore, "ignore", nil, "codes of findings to leave out, such as TL012; may be repeated")
	return c
}

// knownCodes refuses codes that there are not, as what is misspelt would be
// reported all the same.
func knownCodes(codes []string) error {
	for _, code := range codes {
		if slices.Contains(lint.Codes(), code) {
			continue
		}
		hint := "there are " + lint.Codes()[0] + " to " + lint.Codes()[len(lint.Codes())-1]
		if near := nearest.Word(strings.ToUpper(code), lint.Codes()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return fault.New(fault.Invalid, "--ignore %s: there is no such code; %s", code, hint)
	}
	return nil
}

// lint looks in this process, with or without a cluster.
func (a *app) lint(ctx context.Context, specs []spec.Spec, o run.LintOptions) (*run.LintReport, error) {
	budget, err := a.budget()
	if err != nil {
		return nil, err
	}
	if a.address != "" && !o.Static {
		a.tell("the data are read by this process, not by the cluster, which is not asked")
	}
	limitMemory(budget)
	env := &run.Env{Files: a.files, Threads: runtime.GOMAXPROCS(0), Memory: budget}
	return env.Lint(ctx, specs, o)
}

// lintView is what was found, as people see it.
type lintView run.LintReport

// Sections says what was looked at, and then every finding.
func (v lintView) Sections() []render.Section {
	jobs := render.Section{Title: "looked at", Columns: []render.Column{{Title: "kind"}, {Title: "name"}, {Title: "rows", Right: true}, {Title: "read", Right: true}, {Title: "columns", Right: true}, {Title: "input"}}}
	for _, j := range v.Jobs {
		jobs.Rows = append(jobs.Rows, []string{j.Kind, j.Name, progress.Thousands(j.Rows), progress.Thousands(j.RowsRead), progress.Thousands(int64(j.Columns)), j.Input})
	}
	out := []render.Section{jobs}
	if len(v.Findings) > 0 {
		t := render.Section{Title: "findings", Columns: render.Left("code", "severity", "job", "column", "features", "evidence")}
		for _, f := range v.Findings {
			t.Rows = append(t.Rows, []string{f.Code, string(f.Severity), f.Job, f.Column, few(f.Features), f.Evidence})
		}
		out = append(out, t, render.Section{Title: "what to do", Text: v.fixes()})
	}
	end := fmt.Sprintf("%s, %s", count(v.Errors, "error"), count(v.Warnings, "warning"))
	if len(v.Findings) == 0 {
		end = "nothing was found"
	}
	for _, note := range v.Notes {
		end += "\nnote: " + note
	}
	return append(out, render.Section{Text: end})
}

// fixes says each way to mend something once.
func (v lintView) fixes() string {
	var lines []string
	for _, f := range v.Findings {
		line := fmt.Sprintf("%s (%s): %s", f.Code, f.Name, f.Fix)
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// few names at most three things.
func few(names []string) string {
	const most = 3
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names[:min(len(names), most)], ", ") + more
}
