package main

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
)

func (a *app) modelsCommand() *cobra.Command {
	list := a.verb("list", "List models", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return a.with(func(b backend.Backend) error {
			all, err := b.Models(ctx)
			if err != nil {
				return err
			}
			return a.result(append(modelList{}, all...))
		})
	})
	show := a.verb("show MODEL", "Show a model's versions and environments, or what one of them is and needs", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return a.with(func(b backend.Backend) error {
			if strings.Contains(args[0], ":/") {
				raw, err := b.Artifact(ctx, args[0])
				return a.showBundle(args[0], raw, err)
			}
			all, err := b.Models(ctx)
			if err != nil {
				return err
			}
			var names []string
			for _, m := range all {
				if m.Name == args[0] {
					return a.result(m)
				}
				names = append(names, m.Name)
			}
			if raw, err := os.ReadFile(args[0]); err == nil {
				return a.showBundle(args[0], raw, nil)
			}
			return fault.New(fault.NotFound, "there is no model %q, and no file; there is %s", args[0], orNone(names))
		})
	})
	show.Example = "  troupe models show fraud\n  troupe models show models:/fraud@production      # columns, classes, layers, metrics, and of a linear model its coefficients\n" +
		"  troupe models show runs:/ID/model\n  troupe models show fraud.bundle"
	return group("models", "Look at named models, and name their versions", list, show, a.exportCommand(), a.importWeightsCommand(), a.aliasCommand())
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (a *app) deployCommand() *cobra.Command {
	var req api.DeployRequest
	c := a.verb("deploy --model-uri URI --env ENVIRONMENT", "Move an environment to a model", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		if req.ModelURI == "" {
			return fault.New(fault.Invalid, "deploy: name the model: --model-uri runs:/ID/model or models:/NAME/VERSION")
		}
		return a.with(func(b backend.Backend) error {
			d, err := b.Deploy(ctx, req)
			if err != nil {
				return err
			}
			if b.Embedded() {
				a.tell("the environment has moved in %s; predictions are answered by nodes: `troupe up`", a.dir)
			}
			return a.result(d)
		})
	})
	c.Flags().StringVar(&req.ModelURI, "model-uri", "", "what to deploy: runs:/ID/model, models:/NAME/VERSION or models:/NAME@ENVIRONMENT")
	c.Flags().StringVar(&req.Environment, "env", "production", "the environment to move")
	c.Flags().StringVar(&req.Name, "name", "", "the model's name; by default that of its train job")
	c.Flags().StringVar(&req.Reason, "reason", "", "why, for the history")
	return c
}

func (a *app) rollbackCommand() *cobra.Command {
	var req api.RollbackRequest
	c := a.verb("rollback MODEL", "Move an environment back to the model before", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		req.Model = args[0]
		if name, env, ok := strings.Cut(strings.TrimPrefix(args[0], "models:/"), "@"); ok {
			req.Model, req.Environment = name, env
		}
		return a.with(func(b backend.Backend) error {
			d, err := b.Rollback(ctx, req)
			if err != nil {
				return err
			}
			return a.result(d)
		})
	})
	c.Flags().StringVar(&req.Environment, "env", "production", "the environment to move back")
	c.Flags().StringVar(&req.Reason, "reason", "", "why, for the history")
	return c
}
