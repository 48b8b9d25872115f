package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

const whereFeatures = "a model (runs:/ID/model, models:/NAME@ALIAS, a file), the features of a features job (runs:/ID/features), or the folder it has written"

func (a *app) featuresShowCommand() *cobra.Command {
	c := a.verb("show WHERE", "Show fitted features and what they have learned", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			steps, err := a.fitted(ctx, b, args[0])
			if err != nil {
				return err
			}
			return a.result(featureList{args[0], steps})
		})
	})
	c.Long = "Show the steps of fitted features, with what each has learned. WHERE is " + whereFeatures + "."
	return c
}

func (a *app) featuresDiffCommand() *cobra.Command {
	var strict bool
	c := a.verb("diff A B", "Say how fitted features differ: steps, parameters and what they have learned", cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			var both [2][]features.Description
			for i, where := range args {
				var err error
				if both[i], err = a.fitted(ctx, b, where); err != nil {
					return err
				}
			}
			found, err := features.Differences(both[0], both[1])
			if err != nil {
				return err
			}
			if err := a.result(featureDiff{args[0], args[1], len(found) == 0, found}); err != nil {
				return err
			}
			if strict && len(found) > 0 {
				return exit.With(exit.Refused, nil)
			}
			return nil
		})
	})
	c.Long = "Say how the features of B differ from those of A. Each is " + whereFeatures + "."
	c.Flags().BoolVar(&strict, "strict", false, "exit with 3 if they differ")
	return c
}

// fitted returns the fitted features that are somewhere.
func (a *app) fitted(ctx context.Context, b backend.Backend, where string) ([]features.Description, error) {
	raw, err := a.fittedBytes(ctx, b, where)
	if err != nil {
		return nil, err
	}
	var p *features.Pipeline
	if bytes.HasPrefix(raw, []byte("{")) { // a bundle is an archive
		p, err = features.Load(raw)
	} else {
		var m *bundle.Bundle
		if m, err = bundle.Decode(raw); err == nil {
			p = m.Pipeline
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", where, err)
	case p == nil:
		return nil, fault.New(fault.NotFound, "%s: the model has no features: it reads its columns as they are", where)
	}
	return p.Describe()
}

func (a *app) fittedBytes(ctx context.Context, b backend.Backend, where string) ([]byte, error) {
	if registry.IsURI(where) {
		return b.Artifact(ctx, where)
	}
	if info, err := os.Stat(where); err == nil && !info.IsDir() {
		return a.files.Read(ctx, where, store.MaxBlobBytes)
	}
	m, err := run.ReadManifest(ctx, a.files, where)
	if err != nil && files.Remote(where) {
		if raw, err := a.files.Read(ctx, where, store.MaxBlobBytes); err == nil {
			return raw, nil
		}
	}
	if err != nil {
		return nil, fault.New(fault.NotFound, "%s: expected %s: %w", where, whereFeatures, err)
	}
	if m.Kind != string(spec.KindFeatures) {
		return nil, fault.New(fault.Invalid, "%s: was written by a %s job; expected one of features", where, m.Kind)
	}
	all, err := b.SearchRuns(ctx, runs.Search{Filter: isText("digest", m.Digest)})
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if _, ok := r.Artifacts[run.FeaturesPath]; ok {
			return b.Artifact(ctx, registry.URI{Run: r.ID, Path: run.FeaturesPath}.String())
		}
	}
	return nil, fault.New(fault.NotFound, "%s: the run that has written it is not known here; look where it ran (--dir, or --address)", where)
}

// featureList is fitted features.
type featureList struct {
	Where string                 `json:"where"`
	Steps []features.Description `json:"steps"`
}

// Sections is one line a step.
func (l featureList) Sections() []render.Section {
	t := render.Section{Columns: render.Left("name", "op", "of", "params", "learned")}
	for _, s := range l.Steps {
		params := ""
		if len(s.Params) > 0 {
			params = brief(s.Params)
		}
		learned := ""
		if s.Learned != nil {
			learned = brief(s.Learned)
		}
		t.Rows = append(t.Rows, []string{s.Name, s.Op, strings.Join(s.Of, ", "), params, learned})
	}
	return []render.Section{t}
}

// featureDiff is how fitted features differ.
type featureDiff struct {
	A           string                `json:"a"`
	B           string                `json:"b"`
	Equal       bool                  `json:"equal"`
	Differences []features.Difference `json:"differences"`
}

// Sections shows a few differences of each step, and says how many more there
// are.
func (d featureDiff) Sections() []render.Section {
	if d.Equal {
		return []render.Section{{Text: "they are equal"}}
	}
	const few = 6
	t := render.Section{Columns: render.Left("feature", "what", "before", "after", "change")}
	shown := map[string]int{}
	for _, f := range d.Differences {
		if shown[f.Step]++; shown[f.Step] > few {
			continue
		}
		change := ""
		if f.Relative != nil {
			change = fmt.Sprintf("%+.3g%%", 100**f.Relative)
		}
		t.Rows = append(t.Rows, []string{f.Step, f.What, value(f.Before), value(f.After), change})
	}
	var more []string
	for step, n := range shown {
		if n > few {
			more = append(more, fmt.Sprintf("%s: %s more; -o json has all", step, count(n-few, "difference")))
		}
	}
	sort.Strings(more)
	return []render.Section{t, {Text: strings.Join(more, "\n")}}
}

// value writes one side of a difference.
func value(v any) string {
	if v == nil {
		return "-"
	}
	return brief(v)
}

// brief writes a value as JSON, cut where it is long.
func brief(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is for people: > is >
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	text := strings.TrimSuffix(b.String(), "\n")
	const most = 70
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + " ..."
	}
	return text
}
