package mlflow

import (
	"context"
	"maps"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

type runInfo struct {
	ID         runs.ID `json:"run_id"`
	UUID       runs.ID `json:"run_uuid"` // the same, for old clients
	Name       string  `json:"run_name"`
	Experiment string  `json:"experiment_id"`
	User       string  `json:"user_id"`
	Status     string  `json:"status"`
	Start      integer `json:"start_time"`
	End        integer `json:"end_time,omitempty"`
	Artifacts  string  `json:"artifact_uri"`
	Lifecycle  string  `json:"lifecycle_stage"`
}

type metric struct {
	Key   string     `json:"key"`
	Value runs.Value `json:"value"`
	Time  integer    `json:"timestamp"`
	Step  integer    `json:"step"`
	// Of what it is, in questions and of logged models.
	Model   runs.ID `json:"model_id,omitempty"`
	Dataset string  `json:"dataset_name,omitempty"`
	Digest  string  `json:"dataset_digest,omitempty"`
}

type runData struct {
	Metrics []metric `json:"metrics,omitempty"`
	Params  []pair   `json:"params,omitempty"`
	Tags    []pair   `json:"tags,omitempty"`
}

type dataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

type datasetInput struct {
	Tags    []pair  `json:"tags,omitempty"`
	Dataset dataset `json:"dataset"`
}

type modelInput struct {
	Model runs.ID `json:"model_id"`
}

type modelOutput struct {
	Model runs.ID `json:"model_id"`
	Step  integer `json:"step"`
}

type runInputs struct {
	Datasets []datasetInput `json:"dataset_inputs,omitempty"`
	Models   []modelInput   `json:"model_inputs,omitempty"`
}

type runOutputs struct {
	Models []modelOutput `json:"model_outputs,omitempty"`
}

type run struct {
	Info    runInfo    `json:"info"`
	Data    runData    `json:"data"`
	Inputs  runInputs  `json:"inputs"`
	Outputs runOutputs `json:"outputs"`
}

type runAnswer struct {
	Run run `json:"run"`
}

// runID names a run; run_uuid is how old clients call it.
type runID struct {
	ID   runs.ID `json:"run_id"`
	UUID runs.ID `json:"run_uuid"`
}

func (in runID) id() (runs.ID, error) {
	if in.ID == "" && in.UUID == "" {
		return "", missing("run_id")
	}
	if in.ID == "" {
		return in.UUID, nil
	}
	return in.ID, nil
}

// runOf is a run, of which the experiment is known, as clients see it.
func runOf(r runs.Run) run {
	out := run{Info: runInfo{
		ID: r.ID, UUID: r.ID, Name: r.Name, Experiment: r.Group, User: r.Owner, Status: r.Status.Word(),
		Start: millis(r.Started), End: millis(r.Ended), Artifacts: r.ArtifactURI(), Lifecycle: lifecycle(!r.Deleted.IsZero()),
	}}
	for _, name := range r.MetricNames() {
		if p, ok := r.Metric(name); ok {
			out.Data.Metrics = append(out.Data.Metrics, metricOf(&r, name, p))
		}
	}
	out.Data.Params, out.Data.Tags = pairsOf(r.Params), pairsOf(Tags(&r))
	for _, in := range r.AllInputs() {
		out.Inputs.Datasets = append(out.Inputs.Datasets, datasetInput{pairsOf(in.Tags), dataset{in.Name, in.Digest, in.SourceType, in.Source, in.Schema, in.Profile}})
	}
	for _, m := range r.ModelInputs {
		out.Inputs.Models = append(out.Inputs.Models, modelInput{m})
	}
	for _, m := range r.Outputs {
		out.Outputs.Models = append(out.Outputs.Models, modelOutput{m.Model, integer(m.Step)})
	}
	return out
}

// metricOf is a point as clients see it.
func metricOf(r *runs.Run, name string, p runs.Point) metric {
	return metric{Key: name, Value: p.Value, Time: integer(r.TimeOf(p)), Step: integer(p.Step)}
}

// Tags returns the tags of a run, and with them what clients look for in tags.
func Tags(r *runs.Run) map[string]string {
	tags := map[string]string{runs.NameTag: r.Name}
	if r.Owner != "" {
		tags["mlflow.user"] = r.Owner
	}
	if r.Job != "" {
		maps.Copy(tags, map[string]string{
			"mlflow.source.type": "JOB", "mlflow.source.name": "troupe " + r.Kind,
			"troupe.job": r.Job, "troupe.kind": r.Kind, "troupe.code": r.Code, "troupe.digest": string(r.Digest), "troupe.error": r.Error,
		})
		maps.DeleteFunc(tags, func(_, v string) bool { return v == "" })
	}
	maps.Copy(tags, r.Tags)
	tags[runs.NameTag] = r.Name
	return tags
}

func (s *Server) runRoutes() {
	on(s, "POST", "runs/create", api.Submit, s.createRun)
	on(s, "GET", "runs/get", api.Read, func(ctx context.Context, in *runID) (*runAnswer, error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		return s.runAnswer(ctx, id)
	})
	on(s, "POST", "runs/update", api.Submit, s.updateRun)
	on(s, "POST", "runs/search", api.Read, s.searchRuns)
	on(s, "POST", "runs/delete", api.Submit, func(ctx context.Context, in *runID) (*none, error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		return &none{}, s.cfg.Registry.Runs.Delete(ctx, id, s.cfg.Clock.Now())
	})
	on(s, "POST", "runs/restore", api.Submit, func(ctx context.Context, in *runID) (*none, error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		return &none{}, s.cfg.Registry.Runs.Restore(ctx, id)
	})
}

// run loads a run by its whole id.
func (s *Server) run(ctx context.Context, id runs.ID) (runs.Run, error) {
	r, err := s.cfg.Registry.Runs.Show(ctx, id)
	if err == nil && r.ID != id { // Show also knows its beginning
		err = fault.New(fault.NotFound, "there is no run %q", id)
	}
	return r, err
}

// grouped loads a run by its whole id, with its experiment, whose deletion is
// the run's, too.
func (s *Server) grouped(ctx context.Context, id runs.ID) (runs.Run, error) {
	r, err := s.run(ctx, id)
	if err != nil {
		return runs.Run{}, err
	}
	x, err := s.cfg.Registry.Runs.ExperimentOf(ctx, r)
	if r.Group = x.ID; r.Deleted.IsZero() {
		r.Deleted = x.Deleted
	}
	return r, err
}

func (s *Server) runAnswer(ctx context.Context, id runs.ID) (*runAnswer, error) {
	r, err := s.grouped(ctx, id)
	return &runAnswer{runOf(r)}, err
}

type createRun struct {
	Experiment string  `json:"experiment_id"`
	User       string  `json:"user_id"`
	Name       string  `json:"run_name"`
	Start      integer `json:"start_time"`
	Tags       []pair  `json:"tags"`
}

func (s *Server) createRun(ctx context.Context, in *createRun) (*runAnswer, error) {
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	r := runs.Run{Group: in.Experiment, Owner: in.User, Name: in.Name, Started: in.Start.time(), Status: runs.Running, Tags: tags}
	if r.Group == "" {
		r.Group = runs.DefaultGroup
	}
	if r.Started.IsZero() {
		r.Started = s.cfg.Clock.Now()
	}
	if tag := r.Tags[runs.NameTag]; tag != "" {
		if r.Name != "" && r.Name != tag {
			return nil, fault.New(fault.Invalid, "run_name is %q and the tag %s is %q: give one, or the same", r.Name, runs.NameTag, tag)
		}
		r.Name = tag
	}
	if r.Owner == "" {
		r.Owner = r.Tags["mlflow.user"]
	}
	r, err = s.cfg.Registry.Runs.Create(ctx, r)
	return &runAnswer{runOf(r)}, err
}

type updateRun struct {
	runID
	Status string  `json:"status"`
	End    integer `json:"end_time"`
	Name   string  `json:"run_name"`
}

func (s *Server) updateRun(ctx context.Context, in *updateRun) (*struct {
	Info runInfo `json:"run_info"`
}, error,
) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	c := runs.Change{Ended: in.End.time(), Name: in.Name}
	if in.Status != "" {
		if c.Status, err = runs.StatusOf(in.Status); err != nil {
			return nil, err
		}
	}
	if _, err := s.cfg.Registry.Runs.Set(ctx, id, c); err != nil {
		return nil, err
	}
	r, err := s.grouped(ctx, id)
	if err != nil {
		return nil, err
	}
	return &struct {
		Info runInfo `json:"run_info"`
	}{runOf(r).Info}, nil
}

type searchRuns struct {
	Experiments texts   `json:"experiment_ids"`
	Filter      string  `json:"filter"`
	View        string  `json:"run_view_type"`
	Max         integer `json:"max_results"`
	Order       texts   `json:"order_by"`
	Page        string  `json:"page_token"`
}

type foundRuns struct {
	Runs []run  `json:"runs,omitempty"`
	Next string `json:"next_page_token,omitempty"`
}

func (s *Server) searchRuns(ctx context.Context, in *searchRuns) (*foundRuns, error) {
	most, err := resultsOf(in.Max, 50_000, 1000)
	if err != nil {
		return nil, err
	}
	view, err := viewOf(in.View)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Registry.Runs.Search(ctx, runs.Search{
		Groups: in.Experiments, Filter: in.Filter, Order: in.Order, View: view, Limit: most, Page: in.Page,
	})
	if err != nil {
		return nil, err
	}
	out := &foundRuns{Next: found.Next}
	for _, r := range found.Runs {
		out.Runs = append(out.Runs, runOf(r))
	}
	return out, nil
}
