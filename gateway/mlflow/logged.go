package mlflow

import (
	"context"
	"net/http"
	"strings"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

type loggedInfo struct {
	ID         runs.ID `json:"model_id"`
	Experiment string  `json:"experiment_id"`
	Name       string  `json:"name"`
	Created    integer `json:"creation_timestamp_ms"`
	Changed    integer `json:"last_updated_timestamp_ms"`
	Artifacts  string  `json:"artifact_uri"`
	Status     string  `json:"status"`
	Type       string  `json:"model_type,omitempty"`
	Run        runs.ID `json:"source_run_id,omitempty"`
	Tags       []pair  `json:"tags,omitempty"`
}

type loggedMetric struct {
	metric
	Run runs.ID `json:"run_id,omitempty"`
}

type loggedData struct {
	Params  []pair         `json:"params,omitempty"`
	Metrics []loggedMetric `json:"metrics,omitempty"`
}

type loggedModel struct {
	Info loggedInfo `json:"info"`
	Data loggedData `json:"data"`
}

type loggedAnswer struct {
	Model loggedModel `json:"model"`
}

// loggedStatus begins the words of a logged model's status.
const loggedStatus = "LOGGED_MODEL_"

// loggedOf is a logged model as clients see it.
func loggedOf(m *runs.Run) loggedModel {
	out := loggedModel{
		Info: loggedInfo{
			ID: m.ID, Experiment: m.Group, Name: m.Name, Created: millis(m.Started), Changed: millis(m.Changed), Artifacts: m.ArtifactURI(),
			Status: loggedStatus + m.Status.ModelWord(), Type: m.ModelType, Run: m.Source, Tags: pairsOf(m.Tags),
		},
		Data: loggedData{Params: pairsOf(m.Params)},
	}
	for _, p := range m.ModelMetrics() {
		point := metricOf(m, p.Metric, p.Point)
		point.Model, point.Dataset, point.Digest = m.ID, p.Dataset, p.Digest
		out.Data.Metrics = append(out.Data.Metrics, loggedMetric{point, p.Run})
	}
	return out
}

// modelID names the logged model in the path of a request.
type modelID struct {
	ID runs.ID `json:"-"`
}

func (m *modelID) fromPath(r *http.Request) { m.ID = runs.ID(r.PathValue("model_id")) }

// modelTag names a tag of it.
type modelTag struct {
	modelID
	tag string
}

func (m *modelTag) fromPath(r *http.Request) {
	m.modelID.fromPath(r)
	m.tag = r.PathValue("tag_key")
}

func (s *Server) loggedModelRoutes() {
	const one = "logged-models/{model_id}"
	logged := s.cfg.Registry.Logged
	on(s, "POST", "logged-models", api.Submit, s.createLogged)
	on(s, "POST", "logged-models/search", api.Read, s.searchLogged)
	on(s, "GET", one, api.Read, func(ctx context.Context, in *modelID) (*loggedAnswer, error) {
		m, err := logged.Show(ctx, in.ID)
		return &loggedAnswer{loggedOf(&m)}, err
	})
	on(s, "PATCH", one, api.Submit, func(ctx context.Context, in *struct {
		modelID
		Status string `json:"status"`
	}) (*loggedAnswer, error) {
		status, err := runs.ModelStatusOf(strings.TrimPrefix(in.Status, loggedStatus))
		if err != nil {
			return nil, err
		}
		m, err := logged.Finalize(ctx, in.ID, status, s.cfg.Clock.Now())
		return &loggedAnswer{loggedOf(&m)}, err
	})
	on(s, "DELETE", one, api.Submit, func(ctx context.Context, in *modelID) (*none, error) {
		return &none{}, logged.Delete(ctx, in.ID, s.cfg.Clock.Now())
	})
	on(s, "POST", one+"/params", api.Submit, func(ctx context.Context, in *struct {
		modelID
		Params []pair `json:"params"`
	}) (*none, error) {
		params, err := paramsOf(in.Params)
		if err != nil {
			return nil, err
		}
		return &none{}, logged.AddParams(ctx, in.ID, params)
	})
	on(s, "PATCH", one+"/tags", api.Submit, func(ctx context.Context, in *struct {
		modelID
		Tags []pair `json:"tags"`
	}) (*none, error) {
		tags := make([]runs.Pair, len(in.Tags))
		for i, t := range in.Tags {
			if err := checkTag(t); err != nil {
				return nil, err
			}
			tags[i] = runs.Pair(t)
		}
		return &none{}, logged.Tag(ctx, in.ID, tags)
	})
	on(s, "DELETE", one+"/tags/{tag_key...}", api.Submit, func(ctx context.Context, in *modelTag) (*none, error) {
		return &none{}, logged.Untag(ctx, in.ID, in.tag)
	})
	on(s, "GET", one+"/artifacts/directories", api.Read, s.listLogged)
}

// paramsOf checks params.
func paramsOf(list []pair) ([]runs.Pair, error) {
	params := make([]runs.Pair, len(list))
	for i, p := range list {
		if len(p.Value) > maxParam {
			return nil, fault.New(fault.Invalid, "the param %q has %d bytes: at most %d are kept", p.Key, len(p.Value), maxParam)
		}
		params[i] = runs.Pair(p)
	}
	return params, nil
}

func (s *Server) listLogged(ctx context.Context, in *struct {
	modelID
	Path string `json:"artifact_directory_path"`
},
) (*listAnswer, error) {
	at := strings.TrimSuffix(in.Path, "/")
	if at != "" {
		if err := runs.CheckPath(at); err != nil {
			return nil, err
		}
	}
	m, err := s.cfg.Registry.Logged.Show(ctx, in.ID)
	return listing(&m, at), err
}

type createLogged struct {
	Experiment string  `json:"experiment_id"`
	Name       string  `json:"name"`
	Type       string  `json:"model_type"`
	Run        runs.ID `json:"source_run_id"`
	Params     []pair  `json:"params"`
	Tags       []pair  `json:"tags"`
}

func (s *Server) createLogged(ctx context.Context, in *createLogged) (*loggedAnswer, error) {
	if in.Experiment == "" {
		return nil, missing("experiment_id")
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	list, err := paramsOf(in.Params)
	if err != nil {
		return nil, err
	}
	params := make(map[string]string, len(list))
	for _, p := range list {
		if old, ok := params[p.Key]; ok && old != p.Value {
			return nil, fault.New(fault.Invalid, "the param %q is %q and %q: give one", p.Key, old, p.Value)
		}
		params[p.Key] = p.Value
	}
	m, err := s.cfg.Registry.Logged.Create(ctx, runs.Run{
		Group: in.Experiment, Name: in.Name, ModelType: in.Type, Source: in.Run, Params: params, Tags: tags, Started: s.cfg.Clock.Now(),
	})
	return &loggedAnswer{loggedOf(&m)}, err
}

type loggedDataset struct {
	Name   string `json:"dataset_name"`
	Digest string `json:"dataset_digest"`
}

type searchLogged struct {
	Experiments texts           `json:"experiment_ids"`
	Filter      string          `json:"filter"`
	Datasets    []loggedDataset `json:"datasets"`
	Max         integer         `json:"max_results"`
	Order       []struct {
		loggedDataset
		Field     string `json:"field_name"`
		Ascending *flag  `json:"ascending"`
	} `json:"order_by"`
	Page string `json:"page_token"`
}

type foundLogged struct {
	Models []loggedModel `json:"models,omitempty"`
	Next   string        `json:"next_page_token,omitempty"`
}

func (s *Server) searchLogged(ctx context.Context, in *searchLogged) (*foundLogged, error) {
	most, err := resultsOf(in.Max, 1000, 100)
	if err != nil {
		return nil, err
	}
	search := runs.LoggedSearch{Groups: in.Experiments, Filter: in.Filter, Limit: most, Page: in.Page}
	for _, d := range in.Datasets {
		if d.Name == "" {
			return nil, missing("dataset_name")
		}
		search.Datasets = append(search.Datasets, runs.DatasetName(d))
	}
	for _, o := range in.Order {
		if o.Field == "" {
			return nil, missing("field_name")
		}
		search.Order = append(search.Order, runs.LoggedOrder{Field: o.Field, Down: o.Ascending != nil && !bool(*o.Ascending), Dataset: runs.DatasetName(o.loggedDataset)})
	}
	found, err := s.cfg.Registry.Logged.Search(ctx, search)
	if err != nil {
		return nil, err
	}
	out := &foundLogged{Next: found.Next}
	for i := range found.Runs {
		out.Models = append(out.Models, loggedOf(&found.Runs[i]))
	}
	return out, nil
}
