package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// exported is what export has written.
type exported struct {
	Model  string       `json:"model_uri"`
	Output string       `json:"output"`
	Bytes  int          `json:"bytes"`
	Digest store.Digest `json:"digest"`
}

// The formats that models are exported in.
const (
	formatBundle      = "bundle"
	formatONNX        = "onnx"
	formatSafetensors = "safetensors"
)

func (a *app) exportCommand() *cobra.Command {
	var out, format string
	var modelOnly bool
	c := a.verb("export MODEL-URI --out FILE", "Write a model to a file: its bundle, which predict takes, or ONNX or safetensors for other programs", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		if out == "" {
			return fault.New(fault.Invalid, "models export: name the file to write: --out FILE")
		}
		if modelOnly && format != formatONNX {
			return fault.New(fault.Invalid, "models export: --model-only is for --format onnx: of a bundle nothing is left out, and safetensors is the model alone")
		}
		return a.with(func(b backend.Backend) error {
			raw, err := b.Artifact(ctx, args[0])
			if err == nil {
				raw, err = inFormat(raw, format, modelOnly)
			}
			if err != nil {
				return err
			}
			return a.writeModel(args[0], out, raw)
		})
	})
	c.Flags().StringVar(&out, "out", "", "the file to write")
	c.Flags().StringVar(&format, "format", formatBundle, "bundle, onnx or safetensors")
	c.Flags().BoolVar(&modelOnly, "model-only", false, "of onnx: leave out the features, and take the numbers that the model reads")
	c.Example = "  troupe models export models:/fraud@production --out fraud.bundle\n" +
		"  troupe models export models:/fraud@production --format onnx --out fraud.onnx"
	return c
}

// inFormat returns a bundle as a format has it.
func inFormat(raw []byte, format string, modelOnly bool) ([]byte, error) {
	if format == formatBundle {
		return raw, nil
	}
	if format != formatONNX && format != formatSafetensors {
		return nil, fault.New(fault.Invalid, "models export: there is no format %q: write bundle, onnx or safetensors", format)
	}
	b, err := bundle.Decode(raw)
	if err != nil {
		return nil, err
	}
	if format == formatONNX {
		return b.ONNX(modelOnly)
	}
	return b.Weights()
}

// writeModel writes a new file and says so.
func (a *app) writeModel(uri, out string, content []byte) error {
	if _, err := os.Stat(out); err == nil {
		return fault.New(fault.Conflict, "%s is there already: remove it, or name another file", out)
	}
	if err := writeWhole(out, content); err != nil {
		return err
	}
	path, err := filepath.Abs(out)
	if err != nil {
		path = out
	}
	return a.result(exported{uri, path, len(content), store.DigestOf(content)})
}

func (a *app) importWeightsCommand() *cobra.Command {
	var out, like string
	c := a.verb("import FILE --like MODEL-URI --out BUNDLE", "Put weights of a safetensors file into a model, and write its bundle", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		if out == "" || like == "" {
			return fault.New(fault.Invalid, "models import: name the model whose features and classes the weights belong to, and the file to write: --like MODEL-URI --out FILE")
		}
		weights, err := os.ReadFile(args[0])
		if err != nil {
			return fault.New(fault.NotFound, "models import: %w", err)
		}
		return a.with(func(b backend.Backend) error {
			raw, err := b.Artifact(ctx, like)
			if err != nil {
				return err
			}
			model, err := bundle.Decode(raw)
			if err == nil {
				model, err = model.WithWeights(weights)
			}
			if err == nil {
				raw, err = model.Encode()
			}
			if err != nil {
				return err
			}
			return a.writeModel(like, out, raw)
		})
	})
	c.Flags().StringVar(&out, "out", "", "the file to write, which predict takes as a model")
	c.Flags().StringVar(&like, "like", "", "the model that the weights are put into")
	c.Example = "  troupe models import tuned.safetensors --like models:/fraud@production --out fraud.bundle"
	return c
}

// writeWhole makes a file appear whole.
func writeWhole(path string, content []byte) error {
	if err := os.WriteFile(path+".tmp", content, 0o644); err != nil {
		return fault.New(fault.Exhausted, "write %s: %w", path, err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fault.New(fault.Exhausted, "write %s: %w", path, err)
	}
	return nil
}

func (a *app) aliasCommand() *cobra.Command {
	var remove bool
	var reason string
	c := a.verb("alias MODEL ALIAS [VERSION]", "Let an alias stand for a version, or --delete it", cobra.RangeArgs(2, 3), func(ctx context.Context, args []string) error {
		model, alias := args[0], args[1]
		if remove == (len(args) == 3) {
			return fault.New(fault.Invalid, "models alias: name a version, or pass --delete")
		}
		return a.with(func(b backend.Backend) error {
			if remove {
				d, err := b.Undeploy(ctx, model, alias, reason)
				if err != nil {
					return err
				}
				return a.result(d)
			}
			version, err := strconv.Atoi(args[2])
			if err != nil || version < 1 {
				return fault.New(fault.Invalid, "models alias: the version %q is not a whole number from 1", args[2])
			}
			d, err := b.Deploy(ctx, api.DeployRequest{ModelURI: registry.URI{Model: model, Version: version}.String(), Environment: alias, Reason: reason})
			if err != nil {
				return err
			}
			return a.result(d)
		})
	})
	c.Flags().BoolVar(&remove, "delete", false, "let the alias stand for no version")
	c.Flags().StringVar(&reason, "reason", "", "why, for the history")
	c.Example = "  troupe models alias fraud champion 3"
	return c
}

func (a *app) promoteCommand() *cobra.Command {
	var from, to, reason string
	c := a.verb("promote MODEL", "Move an environment to the model of another: staging to production", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			d, err := b.Deploy(ctx, api.DeployRequest{ModelURI: registry.URI{Model: args[0], Alias: from}.String(), Environment: to, Reason: reason})
			if err != nil {
				return err
			}
			return a.result(d)
		})
	})
	c.Flags().StringVar(&from, "from", "staging", "the environment whose model it is")
	c.Flags().StringVar(&to, "to", "production", "the environment to move")
	c.Flags().StringVar(&reason, "reason", "", "why, for the history")
	return c
}
