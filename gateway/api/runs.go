package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupe-ml/troupe/registry/runs"
)

type runsInput struct {
	Filter  string   `query:"filter" doc:"comparisons joined by AND, such as metrics.test.auc > 0.9 AND params.model.type = 'gbt'"`
	Order   []string `query:"order_by,explode" doc:"by what to sort, such as metrics.test.auc DESC; the newest first by default"`
	Limit   int      `query:"limit" minimum:"0" doc:"at most so many; 0 for all"`
	Deleted bool     `query:"deleted" doc:"those that are deleted, rather than the others"`
}

type runsOutput struct {
	Body struct {
		Runs []runs.Run `json:"runs"`
	}
}

type runInput struct {
	ID string `path:"id" doc:"a run's id or the beginning of it"`
}

type runOutput struct{ Body runs.Run }

func (s *Server) runRoutes() {
	book := s.cfg.Registry.Runs
	huma.Register(s.api, huma.Operation{OperationID: "list-runs", Method: http.MethodGet, Path: "/v1/runs", Summary: "Search runs: with the newest point of each metric, and without specs"}, func(ctx context.Context, in *runsInput) (*runsOutput, error) {
		q := runs.Search{Filter: in.Filter, Order: in.Order, Limit: in.Limit}
		if in.Deleted {
			q.View = runs.OnlyDeleted
		}
		found, err := book.Search(ctx, q)
		if err != nil {
			return nil, problem(err)
		}
		out := &runsOutput{}
		out.Body.Runs = found.Runs
		return out, nil
	})
	huma.Register(s.api, huma.Operation{OperationID: "show-run", Method: http.MethodGet, Path: "/v1/runs/{id}", Summary: "Show a run, with all points of its metrics"}, func(ctx context.Context, in *runInput) (*runOutput, error) {
		run, err := book.Whole(ctx, runs.ID(in.ID))
		return &runOutput{run}, problem(err)
	})
	huma.Register(s.api, huma.Operation{OperationID: "delete-run", Method: http.MethodDelete, Path: "/v1/runs/{id}", Summary: "Hide a run, until it is restored", DefaultStatus: http.StatusOK}, func(ctx context.Context, in *runInput) (*runOutput, error) {
		run, err := book.Hide(ctx, runs.ID(in.ID), s.cfg.Clock.Now())
		return &runOutput{run}, problem(err)
	})
	huma.Register(s.api, huma.Operation{OperationID: "restore-run", Method: http.MethodPost, Path: "/v1/runs/{id}/restore", Summary: "Show a deleted run again"}, func(ctx context.Context, in *runInput) (*runOutput, error) {
		run, err := book.Unhide(ctx, runs.ID(in.ID))
		return &runOutput{run}, problem(err)
	})
}
