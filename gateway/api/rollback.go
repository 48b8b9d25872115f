package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
)

// RollbackRequest moves an environment back to the version before.
type RollbackRequest struct {
	Model       string `json:"model" doc:"the model's name"`
	Environment string `json:"environment" doc:"the alias to move back, such as production"`
	Reason      string `json:"reason,omitempty" doc:"why, for the history"`
}

type rollbackInput struct{ Body RollbackRequest }

func (s *Server) rollbackRoute() {
	huma.Register(s.api, huma.Operation{OperationID: "rollback", Method: http.MethodPost, Path: "/v1/rollbacks", Summary: "Move an environment back to the model before"}, func(ctx context.Context, in *rollbackInput) (*deployOutput, error) {
		d, err := Rollback(ctx, s.cfg.Registry, in.Body, models.Move{Time: s.cfg.Clock.Now().UTC(), Reason: in.Body.Reason})
		if err != nil {
			return nil, problem(err)
		}
		s.cfg.Predictor.Refresh()
		return &deployOutput{d}, nil
	})
}

// Rollback moves an environment back to the version that it named before.
// NotFound when there is none.
func Rollback(ctx context.Context, r *registry.Registry, req RollbackRequest, move models.Move) (Deployment, error) {
	if req.Model == "" || req.Environment == "" {
		return Deployment{}, fault.New(fault.Invalid, "rollback: the model or the environment is missing")
	}
	before, err := r.Models.Show(ctx, req.Model)
	if err != nil {
		return Deployment{}, err
	}
	after, err := r.Models.Rollback(ctx, req.Model, req.Environment, move)
	if err != nil {
		return Deployment{}, err
	}
	d := Deployment{Model: req.Model, Environment: req.Environment, Version: after.Alias(req.Environment).Version}
	if a := before.Alias(req.Environment); a != nil {
		d.Previous = a.Version
	}
	d.ModelURI = registry.URI{Model: req.Model, Version: d.Version}.String()
	return d, nil
}
