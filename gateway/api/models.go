package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
)

type modelsOutput struct {
	Body struct {
		Models []models.Model `json:"models"`
	}
}

// DeployRequest moves an environment to a model.
type DeployRequest struct {
	ModelURI    string `json:"model_uri" doc:"what to deploy: runs:/ID/model or models:/NAME/VERSION"`
	Environment string `json:"environment" doc:"the alias to move, such as production"`
	Name        string `json:"name,omitempty" doc:"the model's name; by default that of the run"`
	Reason      string `json:"reason,omitempty" doc:"why, for the history"`
}

// Deployment is where an environment stands now.
type Deployment struct {
	Model       string `json:"model"`
	Environment string `json:"environment"`
	Version     int    `json:"version"`
	Previous    int    `json:"previous,omitempty"`
	ModelURI    string `json:"model_uri,omitempty"` // none when no model is left there
}

type deployInput struct{ Body DeployRequest }
type deployOutput struct{ Body Deployment }

func (s *Server) modelRoutes() {
	huma.Register(s.api, huma.Operation{OperationID: "list-models", Method: http.MethodGet, Path: "/v1/models", Summary: "List models, versions and aliases"}, func(ctx context.Context, _ *struct{}) (*modelsOutput, error) {
		list, err := s.cfg.Registry.Models.List(ctx)
		if err != nil {
			return nil, problem(err)
		}
		out := &modelsOutput{}
		out.Body.Models = list
		return out, nil
	})
	huma.Register(s.api, huma.Operation{OperationID: "deploy", Method: http.MethodPost, Path: "/v1/deployments", Summary: "Move an environment to a model"}, func(ctx context.Context, in *deployInput) (*deployOutput, error) {
		d, err := Deploy(ctx, s.cfg.Registry, in.Body, models.Move{Time: s.cfg.Clock.Now().UTC(), Reason: in.Body.Reason})
		if err != nil {
			return nil, problem(err)
		}
		s.cfg.Predictor.Refresh()
		return &deployOutput{d}, nil
	})
}

// Deploy registers the model under its name, if it has none yet, and moves the
// environment's alias to it. Deploying what is deployed changes nothing.
func Deploy(ctx context.Context, r *registry.Registry, req DeployRequest, move models.Move) (Deployment, error) {
	u, err := registry.ParseURI(req.ModelURI)
	if err != nil {
		return Deployment{}, err
	}
	if req.Environment == "" {
		return Deployment{}, fault.New(fault.Invalid, "deploy %s: the environment is missing: name one, such as production", req.ModelURI)
	}
	if err := models.CheckAlias(req.Environment); err != nil { // before anything is registered
		return Deployment{}, fmt.Errorf("deploy %s: %w", req.ModelURI, err)
	}
	found, err := r.Resolve(ctx, req.ModelURI)
	if err != nil {
		return Deployment{}, err
	}
	name, version := found.Model, found.Version
	if u.Run != "" {
		if name = req.Name; name == "" {
			run, err := r.Runs.Show(ctx, u.Run)
			if err != nil {
				return Deployment{}, err
			}
			name = run.Name
		}
		v, err := r.Register(ctx, name, u, models.Version{Created: move.Time})
		if err != nil {
			return Deployment{}, err
		}
		version = v.Number
	}
	d := Deployment{Model: name, Environment: req.Environment, Version: version}
	if before, err := r.Models.Show(ctx, name); err == nil {
		if a := before.Alias(req.Environment); a != nil {
			d.Previous = a.Version
		}
	}
	move.Version = version
	if _, err := r.Models.MoveAlias(ctx, name, req.Environment, move, models.AnyVersion); err != nil {
		return Deployment{}, err
	}
	d.ModelURI = registry.URI{Model: name, Version: version}.String()
	return d, nil
}
