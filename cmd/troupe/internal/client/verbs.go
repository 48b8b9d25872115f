package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/sweep"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/runs"
)

// Plan says what a job would do.
func (c *Client) Plan(ctx context.Context, s spec.Spec) (api.Plan, error) {
	var out api.Plan
	err := c.call(ctx, http.MethodPost, "/v1/jobs/plan", api.SubmitRequest{Spec: s}, &out)
	return out, err
}

// Submit asks for a job under an id of its own, so that asking twice is one job.
func (c *Client) Submit(ctx context.Context, s spec.Spec) (run.Summary, error) {
	var out run.Summary
	err := c.call(ctx, http.MethodPost, "/v1/jobs", api.SubmitRequest{ID: string(api.NewID()), Spec: s}, &out)
	if err == nil {
		c.mu.Lock()
		c.submitted[out.Job] = true
		c.mu.Unlock()
	}
	return out, err
}

// Show returns a job as it is now.
func (c *Client) Show(ctx context.Context, id string) (run.Summary, error) {
	var out run.Summary
	err := c.call(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id), nil, &out)
	return out, err
}

// List returns all jobs, the newest first.
func (c *Client) List(ctx context.Context) ([]run.Summary, error) {
	var out struct {
		Jobs []run.Summary `json:"jobs"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/jobs", nil, &out)
	return out.Jobs, err
}

// Cancel asks for the end of a job.
func (c *Client) Cancel(ctx context.Context, id string) (run.Summary, error) {
	var out run.Summary
	err := c.call(ctx, http.MethodPost, "/v1/jobs/"+url.PathEscape(id)+"/cancel", nil, &out)
	return out, err
}

// History returns a job's log.
func (c *Client) History(ctx context.Context, id string) ([]api.LogLine, error) {
	var out struct {
		Events []api.LogLine `json:"events"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id)+"/log", nil, &out)
	return out.Events, err
}

// Nodes returns the members of the cluster and remembers their addresses.
func (c *Client) Nodes(ctx context.Context) ([]api.Node, error) {
	var out struct {
		Nodes []api.Node `json:"nodes"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/nodes", nil, &out)
	c.learn(out.Nodes)
	return out.Nodes, err
}

// Drain asks a node to leave.
func (c *Client) Drain(ctx context.Context, node string) error {
	var out struct {
		Node string `json:"node"`
	}
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+url.PathEscape(node)+"/drain", nil, &out)
}

// SearchRuns returns the records that are asked for.
func (c *Client) SearchRuns(ctx context.Context, s runs.Search) ([]runs.Run, error) {
	query := url.Values{}
	if s.Filter != "" {
		query.Set("filter", s.Filter)
	}
	for _, o := range s.Order {
		query.Add("order_by", o)
	}
	if s.Limit > 0 {
		query.Set("limit", strconv.Itoa(s.Limit))
	}
	if s.View == runs.OnlyDeleted {
		query.Set("deleted", "true")
	}
	var out struct {
		Runs []runs.Run `json:"runs"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/runs?"+query.Encode(), nil, &out)
	return out.Runs, err
}

// DeleteRun hides a run.
func (c *Client) DeleteRun(ctx context.Context, id string) (runs.Run, error) {
	var out runs.Run
	err := c.call(ctx, http.MethodDelete, "/v1/runs/"+url.PathEscape(id), nil, &out)
	return out, err
}

// Collect gives up what nobody wants any more, or counts it.
func (c *Client) Collect(ctx context.Context, r sweep.Request) (*sweep.Report, error) {
	out := &sweep.Report{}
	err := c.call(ctx, http.MethodPost, "/v1/collect", r, out)
	return out, err
}

// RestoreRun shows a deleted run again.
func (c *Client) RestoreRun(ctx context.Context, id string) (runs.Run, error) {
	var out runs.Run
	err := c.call(ctx, http.MethodPost, "/v1/runs/"+url.PathEscape(id)+"/restore", nil, &out)
	return out, err
}

// Run returns the record of an id, or of the only one that begins so.
func (c *Client) Run(ctx context.Context, id string) (runs.Run, error) {
	var out runs.Run
	err := c.call(ctx, http.MethodGet, "/v1/runs/"+url.PathEscape(id), nil, &out)
	return out, err
}

// Models returns all named models.
func (c *Client) Models(ctx context.Context) ([]models.Model, error) {
	var out struct {
		Models []models.Model `json:"models"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/models", nil, &out)
	return out.Models, err
}

// Deploy moves an environment to a model.
func (c *Client) Deploy(ctx context.Context, req api.DeployRequest) (api.Deployment, error) {
	var out api.Deployment
	err := c.call(ctx, http.MethodPost, "/v1/deployments", req, &out)
	return out, err
}

// Rollback moves an environment back. Other than the rest it must not happen
// twice, so it is asked of one node once.
func (c *Client) Rollback(ctx context.Context, req api.RollbackRequest) (api.Deployment, error) {
	if _, err := c.Nodes(ctx); err != nil { // finds a node that answers
		return api.Deployment{}, err
	}
	var out api.Deployment
	err := c.once(ctx, "/v1/rollbacks", req, &out)
	if fault.Of(err) == fault.Unavailable {
		err = fault.New(fault.Unavailable, "%w; whether it was rolled back is unknown: look with `troupe models show %s`", err, req.Model)
	}
	return out, err
}

// Undeploy lets an environment stand for no model.
func (c *Client) Undeploy(ctx context.Context, model, environment, reason string) (api.Deployment, error) {
	var out api.Deployment
	path := "/v1/models/" + url.PathEscape(model) + "/aliases/" + url.PathEscape(environment) + "?" + url.Values{"reason": {reason}}.Encode()
	err := c.call(ctx, http.MethodDelete, path, nil, &out)
	return out, err
}

// Artifact returns the bytes that an address stands for.
func (c *Client) Artifact(ctx context.Context, uri string) ([]byte, error) {
	var out raw
	err := c.call(ctx, http.MethodGet, "/v1/artifacts?"+url.Values{"uri": {uri}}.Encode(), nil, &out)
	return out, err
}
