package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/kernels"
)

func (a *app) schemaCommand() *cobra.Command {
	var kinds []string
	for _, k := range spec.Kinds() {
		kinds = append(kinds, string(k))
	}
	c := a.verb("schema KIND", "Print the JSON Schema of a kind of spec, for editors", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		text, err := spec.Schema(spec.Kind(args[0]))
		if err != nil {
			return err
		}
		if f, ferr := render.ParseFormat(a.output); ferr == nil && f == render.YAML {
			return a.result(json.RawMessage(text))
		}
		_, err = fmt.Fprintf(a.stdout, "%s\n", text)
		return err
	})
	c.ValidArgs = kinds
	return c
}

func (a *app) verifyCommand() *cobra.Command {
	return a.verb("verify DIR", "Recompute every digest of an output", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		m, errs := run.Verify(ctx, a.files, args[0])
		if m == nil && len(errs) == 1 && fault.Of(errs[0]) != fault.Corrupt {
			return exit.With(exit.Usage, errs[0])
		}
		v := verification{Output: args[0], Verified: len(errs) == 0, Faults: []string{}}
		if m != nil {
			v.Kind, v.Name, v.Digest, v.Rows, v.Parts = m.Kind, m.Name, m.Digest, m.Rows, len(m.Parts)
		}
		for _, err := range errs {
			v.Faults = append(v.Faults, err.Error())
		}
		if err := a.result(v); err != nil {
			return err
		}
		if !v.Verified {
			return exit.With(exit.Refused, nil)
		}
		return nil
	})
}

// verification is what verify found.
type verification struct {
	Output   string   `json:"output"`
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Digest   string   `json:"digest"`
	Rows     int64    `json:"rows"`
	Parts    int      `json:"parts"`
	Verified bool     `json:"verified"`
	Faults   []string `json:"faults"`
}

// Sections says yes or what is wrong.
func (v verification) Sections() []render.Section {
	s := render.Section{Facts: []render.Fact{
		{Name: "output", Value: v.Output}, {Name: "job", Value: fmt.Sprintf("%s %q", v.Kind, v.Name)}, {Name: "digest", Value: v.Digest},
		{Name: "rows", Value: progress.Thousands(v.Rows)}, {Name: "parts", Value: fmt.Sprint(v.Parts)},
		{Name: "verified", Value: yesNo(v.Verified)},
	}}
	for _, f := range v.Faults {
		s.Facts = append(s.Facts, render.Fact{Name: "fault", Value: f})
	}
	return []render.Section{s}
}

// build is what the program is.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	System  string `json:"system"`
	SIMD    string `json:"simd"`
}

func (a *app) versionCommand() *cobra.Command {
	return a.verb("version", "Say which program this is", cobra.NoArgs, func(context.Context, []string) error {
		b := build{Version: version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, SIMD: kernels.Active().String()}
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					b.Commit = s.Value
				}
			}
		}
		return a.result(b)
	})
}
