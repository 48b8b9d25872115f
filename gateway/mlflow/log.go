package mlflow

import (
	"context"
	"encoding/json"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/query"
	"github.com/troupe-ml/troupe/registry/runs"
)

// Bounds of one batch, and of a param's value, which are MLflow's.
const (
	maxBatch       = 1000
	maxBatchParams = 100
	maxBatchTags   = 100
	maxParam       = 6000
)

func (s *Server) logRoutes() {
	on(s, "POST", "runs/log-metric", api.Submit, func(ctx context.Context, in *struct {
		runID
		metric
		Value *runs.Value `json:"value"`
	}) (*none, error) {
		if in.Value == nil {
			return nil, missing("value")
		}
		in.metric.Value = *in.Value
		return s.log(ctx, in.runID, []metric{in.metric}, nil, nil)
	})
	on(s, "POST", "runs/log-parameter", api.Submit, func(ctx context.Context, in *struct {
		runID
		pair
	}) (*none, error) {
		return s.log(ctx, in.runID, nil, []pair{in.pair}, nil)
	})
	on(s, "POST", "runs/set-tag", api.Submit, func(ctx context.Context, in *struct {
		runID
		pair
	}) (*none, error) {
		return s.log(ctx, in.runID, nil, nil, []pair{in.pair})
	})
	on(s, "POST", "runs/delete-tag", api.Submit, func(ctx context.Context, in *struct {
		runID
		pair
	}) (*none, error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		return &none{}, s.cfg.Registry.Runs.Untag(ctx, id, in.Key)
	})
	on(s, "POST", "runs/log-batch", api.Submit, s.logBatch)
	on(s, "POST", "runs/log-inputs", api.Submit, s.logInputs)
	on(s, "POST", "runs/outputs", api.Submit, s.logOutputs)
	on(s, "POST", "runs/log-model", api.Submit, s.logModel)
	on(s, "GET", "metrics/get-history", api.Read, s.history)
	on(s, "GET", "metrics/get-history-bulk-interval", api.Read, s.histories)
}

type logBatch struct {
	runID
	Metrics []metric `json:"metrics"`
	Params  []pair   `json:"params"`
	Tags    []pair   `json:"tags"`
}

func (s *Server) logBatch(ctx context.Context, in *logBatch) (*none, error) {
	m, p, t := len(in.Metrics), len(in.Params), len(in.Tags)
	if m+p+t > maxBatch || p > maxBatchParams || t > maxBatchTags {
		return nil, fault.New(fault.Invalid, "a batch of %d metrics, %d params and %d tags: at most %d together, %d params and %d tags are logged at a time", m, p, t, maxBatch, maxBatchParams, maxBatchTags)
	}
	return s.log(ctx, in.runID, in.Metrics, in.Params, in.Tags)
}

func (s *Server) log(ctx context.Context, in runID, metrics []metric, params, tags []pair) (*none, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	var b runs.Batch
	of := map[runs.ID][]runs.Measure{} // logged models
	for _, m := range metrics {
		point := runs.Measure{Metric: m.Key, Point: runs.Point{Step: int64(m.Step), Time: int64(m.Time), Value: m.Value}}
		b.Metrics = append(b.Metrics, point)
		if m.Model != "" {
			point.Run, point.Dataset, point.Digest = id, m.Dataset, m.Digest
			of[m.Model] = append(of[m.Model], point)
		}
	}
	for _, p := range params {
		if len(p.Value) > maxParam {
			return nil, fault.New(fault.Invalid, "the param %q has %d bytes: at most %d are kept", p.Key, len(p.Value), maxParam)
		}
		b.Params = append(b.Params, runs.Pair(p))
	}
	for _, t := range tags {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		b.Tags = append(b.Tags, runs.Pair(t))
	}
	for model := range of { // before anything is logged
		if err := s.cfg.Registry.Logged.Check(ctx, model); err != nil {
			return nil, err
		}
	}
	if err := s.cfg.Registry.Runs.Log(ctx, id, b); err != nil {
		return nil, err
	}
	for model, points := range of {
		if err := s.cfg.Registry.Logged.Log(ctx, model, points); err != nil {
			return nil, err
		}
	}
	return &none{}, nil
}

type logInputs struct {
	runID
	Datasets []datasetInput `json:"datasets"`
	Models   []modelInput   `json:"models"`
}

func (s *Server) logInputs(ctx context.Context, in *logInputs) (*none, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	var inputs []runs.Input
	for _, d := range in.Datasets {
		tags := map[string]string{}
		for _, t := range d.Tags {
			tags[t.Key] = t.Value
		}
		inputs = append(inputs, runs.Input{
			Name: d.Dataset.Name, Digest: d.Dataset.Digest, SourceType: d.Dataset.SourceType, Source: d.Dataset.Source,
			Schema: d.Dataset.Schema, Profile: d.Dataset.Profile, Tags: tags,
		})
	}
	models := make([]runs.ID, len(in.Models))
	for i, m := range in.Models {
		if models[i] = m.Model; m.Model == "" {
			return nil, missing("model_id")
		}
	}
	return &none{}, s.cfg.Registry.Runs.AddInputs(ctx, id, inputs, models)
}

// logOutputs adds logged models to those that a run has made.
func (s *Server) logOutputs(ctx context.Context, in *struct {
	runID
	Models []modelOutput `json:"models"`
},
) (*none, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	outputs := make([]runs.Output, len(in.Models))
	for i, m := range in.Models {
		if m.Model == "" {
			return nil, missing("model_id")
		}
		outputs[i] = runs.Output{Model: m.Model, Step: int64(m.Step)}
	}
	return &none{}, s.cfg.Registry.Runs.AddOutputs(ctx, id, outputs)
}

// logModel adds a model to the list in a tag of the run.
func (s *Server) logModel(ctx context.Context, in *struct {
	runID
	Model string `json:"model_json"`
},
) (*none, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	var model struct {
		Path *string `json:"artifact_path"`
		Run  runs.ID `json:"run_id"`
	}
	if err := json.Unmarshal([]byte(in.Model), &model); err != nil || model.Path == nil {
		return nil, fault.New(fault.Invalid, "model_json is not the JSON of a model with its artifact_path: %v", err)
	}
	return &none{}, s.cfg.Registry.Runs.LogModel(ctx, id, json.RawMessage(in.Model))
}

type historyAnswer struct {
	Metrics []metric `json:"metrics,omitempty"`
	Next    string   `json:"next_page_token,omitempty"`
}

func (s *Server) history(ctx context.Context, in *struct {
	runID
	Key  string  `json:"metric_key"`
	Max  integer `json:"max_results"`
	Page string  `json:"page_token"`
},
) (*historyAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if in.Key == "" {
		return nil, missing("metric_key")
	}
	from, err := query.PageStart(in.Page)
	if err != nil {
		return nil, err
	}
	r, err := s.run(ctx, id)
	if err != nil {
		return nil, err
	}
	points, err := s.cfg.Registry.Runs.History(ctx, r, in.Key)
	if err != nil {
		return nil, err
	}
	page, next := query.Page(points, from, int(max(0, in.Max)))
	out := &historyAnswer{Next: next}
	for _, p := range page {
		out.Metrics = append(out.Metrics, metricOf(&r, in.Key, p))
	}
	return out, nil
}
