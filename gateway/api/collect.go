package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupe-ml/troupe/jobs/run/sweep"
)

type collectInput struct{ Body sweep.Request }
type collectOutput struct{ Body *sweep.Report }

func (s *Server) collectRoute() {
	huma.Register(s.api, huma.Operation{OperationID: "collect", Method: http.MethodPost, Path: "/v1/collect", Summary: "Give up deleted runs and experiments, and blobs that nothing refers to; or count them"}, func(ctx context.Context, in *collectInput) (*collectOutput, error) {
		cfg, err := in.Body.Config()
		if err != nil {
			return nil, problem(err)
		}
		r, err := sweep.Run(ctx, s.cfg.Store, s.cfg.Registry, cfg, s.cfg.Clock.Now())
		return &collectOutput{r}, problem(err)
	})
}
