package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/store"
)

type artifactInput struct {
	URI string `query:"uri" required:"true" doc:"runs:/ID/PATH, models:/NAME/VERSION or models:/NAME@ENVIRONMENT"`
}

type artifactOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

type aliasInput struct {
	Model  string `path:"model" doc:"the model's name"`
	Alias  string `path:"alias" doc:"the environment"`
	Reason string `query:"reason" doc:"why, for the history"`
}

func (s *Server) artifactRoutes() {
	huma.Register(s.api, huma.Operation{OperationID: "get-artifact", Method: http.MethodGet, Path: "/v1/artifacts", Summary: "Read an artifact, such as a model's bundle"}, func(ctx context.Context, in *artifactInput) (*artifactOutput, error) {
		b, err := Artifact(ctx, s.cfg.Registry, s.cfg.Store.Blobs, in.URI)
		if err != nil {
			return nil, problem(err)
		}
		return &artifactOutput{"application/octet-stream", b}, nil
	})
	huma.Register(s.api, huma.Operation{OperationID: "remove-alias", Method: http.MethodDelete, Path: "/v1/models/{model}/aliases/{alias}", Summary: "Let an environment stand for no model", DefaultStatus: http.StatusOK}, func(ctx context.Context, in *aliasInput) (*deployOutput, error) {
		d, err := Undeploy(ctx, s.cfg.Registry, in.Model, in.Alias, models.Move{Time: s.cfg.Clock.Now().UTC(), Reason: in.Reason})
		if err != nil {
			return nil, problem(err)
		}
		s.cfg.Predictor.Refresh()
		return &deployOutput{d}, nil
	})
}

// Artifact returns the bytes that an address stands for at this moment: an alias
// moves.
func Artifact(ctx context.Context, r *registry.Registry, blobs store.Blobs, uri string) ([]byte, error) {
	found, err := r.Resolve(ctx, uri)
	if err != nil {
		return nil, err
	}
	b, err := blobs.Get(ctx, found.Digest)
	if err != nil {
		return nil, fmt.Errorf("artifact %s: %w", uri, err)
	}
	return b, nil
}

// Undeploy lets an environment stand for no model. NotFound when it stands for
// none already.
func Undeploy(ctx context.Context, r *registry.Registry, model, alias string, move models.Move) (Deployment, error) {
	before, err := r.Models.Show(ctx, model)
	if err != nil {
		return Deployment{}, err
	}
	a := before.Alias(alias)
	if a == nil || a.Version == 0 {
		return Deployment{}, fault.New(fault.NotFound, "the model %q has no alias %q", model, alias)
	}
	move.Version = 0
	if _, err := r.Models.MoveAlias(ctx, model, alias, move, a.Version); err != nil {
		return Deployment{}, err
	}
	return Deployment{Model: model, Environment: alias, Previous: a.Version}, nil
}
