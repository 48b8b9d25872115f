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

func (a *app) exportCommand() *cobra.Command {
	var out string
	c := a.verb("export MODEL-URI --out FILE", "Write a model's bundle to a file, which predict takes as a model", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		if out == "" {
			return fault.New(fault.Invalid, "models export: name the file to write: --out FILE")
		}
		if _, err := os.Stat(out); err == nil {
			return fault.New(fault.Conflict, "models export: %s is there already: remove it, or name another file", out)
		}
		return a.with(func(b backend.Backend) error {
			bundle, err := b.Artifact(ctx, args[0])
			if err != nil {
				return err
			}
			if err := writeWhole(out, bundle); err != nil {
				return err
			}
			path, err := filepath.Abs(out)
			if err != nil {
				path = out
			}
			return a.result(exported{args[0], path, len(bundle), store.DigestOf(bundle)})
		})
	})
	c.Flags().StringVar(&out, "out", "", "the file to write")
	c.Example = "  troupe models export models:/fraud@production --out fraud.bundle"
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
