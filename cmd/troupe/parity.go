package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/specfile"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	diskstore "github.com/troupe-ml/troupe/store/disk"
)

func (a *app) parityCommand() *cobra.Command {
	s := &submission{}
	var o run.ParityOptions
	var model string
	c := a.verb("parity [FILE...]", "Compare features computed for a batch with those of one row at a time; exit code 3 when a bit differs", nil, func(ctx context.Context, args []string) error {
		if (len(args)+len(s.files) == 0) == (model == "") {
			return fault.New(fault.Invalid, "parity: name a features or train spec, -f features.yaml, or a model and rows for it, --model models:/NAME@ENVIRONMENT --input DIR")
		}
		if o.Rows < 1 {
			return fault.New(fault.Invalid, "--rows %d: expected at least 1", o.Rows)
		}
		r, err := a.parity(ctx, s, args, model, o)
		if err != nil {
			return err
		}
		if err := a.result(parityView(*r)); err != nil {
			return err
		}
		return verdictOf(r.Equal)
	})
	c.Example = "  troupe features parity -f features.yaml\n  troupe features parity --model models:/fraud@production --input data/today --rows 20000 -o json"
	s.setFlags(c)
	s.fileFlags(c)
	s.field(c, "input", "input", "the Parquet files to read", true)
	c.Flags().StringVar(&model, "model", "", "a model: runs:/ID/model, models:/NAME@ENVIRONMENT or a file; its predictions are compared, too")
	c.Flags().IntVar(&o.Rows, "rows", run.DefaultParityRows, "compare at most so many rows: entities chosen by chance, with all that came before")
	return c
}

// verdictOf is the exit code of a comparison.
func verdictOf(equal bool) error {
	if equal {
		return nil
	}
	return exit.With(exit.Refused, nil)
}

// parity works in this process, with or without a cluster, in a folder of its own
// that is gone at the end.
func (a *app) parity(ctx context.Context, s *submission, files []string, model string, o run.ParityOptions) (r *run.ParityReport, err error) {
	dir, err := os.MkdirTemp("", "troupe-parity-")
	if err != nil {
		return nil, fault.New(fault.Exhausted, "parity: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o.Scratch = filepath.Join(dir, "out")
	one, err := a.comparedSpec(ctx, s, files, model, dir)
	if err != nil {
		return nil, err
	}
	if a.address != "" {
		a.tell("the data are read by this process, not by the cluster")
	}
	if a.granted, err = a.budget(); err != nil {
		return nil, err
	}
	a.cache = filepath.Join(dir, "cache")
	st, err := diskstore.Open(filepath.Join(dir, "store"), a.log())
	if err != nil {
		return nil, err
	}
	r, err = a.taskEnv(st.Store).Parity(ctx, one, o)
	if err = errors.Join(unplanned(err), st.Close()); err != nil {
		return nil, err
	}
	if model != "" {
		r.Model = model
	}
	return r, nil
}

// comparedSpec returns the one job that is compared. A model becomes a file, as it
// may be the cluster's.
func (a *app) comparedSpec(ctx context.Context, s *submission, files []string, model, dir string) (spec.Spec, error) {
	if model == "" {
		specs, err := a.specs(s, files, "")
		if err == nil && len(specs) != 1 {
			err = fault.New(fault.Invalid, "parity: %d jobs in these files: name one at a time", len(specs))
		}
		if err != nil {
			return spec.Spec{}, err
		}
		return specs[0], nil
	}
	path, err := filepath.Abs(model)
	if err != nil {
		return spec.Spec{}, fault.New(fault.Invalid, "--model: %w", err)
	}
	switch {
	case registry.IsURI(model):
		path = filepath.Join(dir, "model.bundle")
		err := a.with(func(b backend.Backend) error {
			bundle, err := b.Artifact(ctx, model)
			if err != nil {
				return err
			}
			return writeWhole(path, bundle)
		})
		if err != nil {
			return spec.Spec{}, err
		}
	case !isLocal(model):
		path = model
	}
	sets, err := s.overrides()
	if err != nil {
		return spec.Spec{}, err
	}
	for field, value := range map[string]string{"model": path, "output": filepath.Join(dir, "out")} {
		sets = append(sets, spec.Override(field, fmt.Sprintf("%q", value)))
	}
	return specfile.Build(spec.KindPredict, "parity", sets)
}

// parityView is what was compared, as people see it.
type parityView run.ParityReport

// Sections says what was compared, and then each feature.
func (v parityView) Sections() []render.Section {
	what := fmt.Sprintf("%s of %s", progress.Thousands(v.Rows), progress.Thousands(v.InputRows))
	if v.Entities > 0 {
		what += fmt.Sprintf("; entities: %s", progress.Thousands(v.Entities))
	}
	facts := []render.Fact{{Name: "job", Value: fmt.Sprintf("%s %q", v.Kind, v.Name)}}
	if v.Model != "" {
		facts = []render.Fact{{Name: "model", Value: v.Model}}
	}
	facts = append(facts, render.Fact{Name: "input", Value: v.Input}, render.Fact{Name: "rows", Value: what})
	t := render.Section{Title: "features", Columns: []render.Column{
		{Title: "feature"}, {Title: "op"}, {Title: "columns", Right: true}, {Title: "rows", Right: true}, {Title: "different", Right: true}, {Title: "first difference"},
	}}
	unequal := 0
	for _, f := range v.Features {
		first := ""
		if d := f.First; d != nil {
			unequal++
			first = fmt.Sprintf("%s row %d: %s is %s in a batch, %s alone", d.File, d.Row, d.Column, d.Batch, d.Online)
		}
		t.Rows = append(t.Rows, []string{f.Name, f.Op, fmt.Sprint(len(f.Columns)), progress.Thousands(f.Rows), progress.Thousands(f.Different), first})
	}
	end := []string{"equal, to the bit: a row alone has what its batch has"}
	if !v.Equal {
		end[0] = fmt.Sprintf("%s that a row alone has otherwise than its batch", count(unequal, "feature"))
	}
	for _, n := range v.Notes {
		end = append(end, "note: "+n)
	}
	return []render.Section{{Facts: facts}, t, {Text: strings.Join(end, "\n")}}
}
