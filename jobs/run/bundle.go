package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/drift"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// modelPath is the path of a run's model among its artifacts.
const modelPath = "model"

// bundle puts all that was learned into one file and records the run. The file
// depends on data and spec alone: it holds no time, no job and no member.
func (w *work) bundle() (jobs.Result, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	var t trained
	if err := w.input(plan.Train, &t); err != nil {
		return jobs.Result{}, err
	}
	l, p, err := w.preparation(&s)
	if err != nil {
		return jobs.Result{}, err
	}
	b, err := w.assemble(&s, l, p, &t)
	if err != nil {
		return jobs.Result{}, err
	}
	raw, err := b.Encode()
	if err != nil {
		return jobs.Result{}, err
	}
	digest, err := w.Store.Blobs.Put(w.ctx, raw)
	if err != nil {
		return jobs.Result{}, fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	id := runs.IDOf(string(w.task.Job))
	o := Outcome{
		Digest: string(digest), Run: string(id), ModelURI: fmt.Sprintf("runs:/%s/%s", id, modelPath),
		Metrics: map[string]map[string]float64{}, Epochs: len(t.Epochs),
	}
	for part, report := range t.Metrics {
		o.Metrics[part] = values(report)
	}
	o.Details, o.Slices, o.Baseline = t.Details, t.Slices, t.Baseline
	if t.Baseline != nil {
		o.BeatsBaseline = &t.Baseline.Beaten
	}
	r := jobs.Result{Output: string(digest), RowsIn: p.all(), RowsRejected: p.Rows[unlabelled]}
	r.RowsOut = r.RowsIn - r.RowsRejected
	if r.RowsRejected > 0 {
		o.Rejections = map[string]int64{"no target": r.RowsRejected}
	}
	o.Shards = len(s.Input.Shards)
	r.Meta = meta(o)
	artifacts := map[string]runs.Artifact{modelPath: {Digest: digest, Bytes: int64(len(raw))}}
	if artifacts[evaluationPath], err = w.evaluation(&t); err != nil {
		return jobs.Result{}, err
	}
	w.forget()
	if err := w.record(&s, r, o, func(run *runs.Run) { run.Artifacts = artifacts; curves(run, &t); graded(run, &t) }); err != nil {
		return jobs.Result{}, err
	}
	return r, w.remember(&s, r)
}

// assemble builds the bundle and gives it golden rows.
func (w *work) assemble(s *Survey, l *learner, p *prepared, t *trained) (*bundle.Bundle, error) {
	m, err := neural.Load(t.Model)
	if err != nil {
		return nil, err
	}
	b := &bundle.Bundle{
		Kind: bundle.MLP, Signature: l.signature(), Pipeline: l.bundled(), Encoder: p.Encoder, Target: p.Target, Model: m, Metrics: t.Metrics,
	}
	b.Profile = &drift.Profile{}
	if err := b.Profile.UnmarshalBinary(p.Profile); err != nil {
		return nil, err
	}
	const numGolden = 16
	enough := errors.New("enough rows")
	var golden *data.Batch
	for shard := 0; shard < len(s.Input.Shards) && golden == nil; shard++ {
		err := s.Input.readShard(w.ctx, shard, b.Signature.Names(), func(rows *data.Batch, _ rowNumbers) error {
			golden = rows.Head(numGolden)
			return enough
		})
		if err != nil && !errors.Is(err, enough) {
			return nil, err
		}
	}
	return b, b.SetGolden(golden)
}

// evaluationPath is the path of how good a run's model is, in full.
const evaluationPath = "evaluation.json"

// evaluation stores how good the model is.
func (w *work) evaluation(t *trained) (runs.Artifact, error) {
	b, err := json.Marshal(struct {
		Metrics  map[string]metrics.Report `json:"metrics"`
		Details  map[string]metrics.Detail `json:"details"`
		Baseline *Baseline                 `json:"baseline,omitempty"`
		Slices   []Slice                   `json:"slices,omitempty"`
	}{t.Metrics, t.Details, t.Baseline, t.Slices})
	if err != nil {
		return runs.Artifact{}, fault.New(fault.Internal, "evaluation: %w", err)
	}
	d, err := w.Store.Blobs.Put(w.ctx, b)
	if err != nil {
		return runs.Artifact{}, fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	return runs.Artifact{Digest: d, Bytes: int64(len(b))}, nil
}

// graded adds baseline and slices to a run.
func graded(run *runs.Run, t *trained) {
	for _, s := range t.Slices {
		run.Slices = append(run.Slices, runs.SliceMetrics(s))
	}
	if t.Baseline == nil {
		return
	}
	run.BeatsBaseline = &t.Baseline.Beaten
	for part, metrics := range t.Baseline.Metrics {
		for name, v := range metrics {
			run.Metrics["baseline."+part+"."+name] = []runs.Point{{Value: runs.Value(v)}}
		}
	}
}

// curves adds the metrics of every epoch to a run.
func curves(run *runs.Run, t *trained) {
	for _, e := range t.Epochs {
		add := func(name string, v float64) {
			run.Metrics[name] = append(run.Metrics[name], runs.Point{Step: int64(e.Number), Value: runs.Value(v)})
		}
		add("train.loss", e.Loss)
		add("learning_rate", e.LearningRate)
		for name, v := range values(e.Validation) {
			add("validation."+name+".epoch", v)
		}
	}
}

// record makes the job a run of the registry; more adds what only its kind has.
// A run that is recorded already stands.
func (w *work) record(s *Survey, r jobs.Result, o Outcome, more func(*runs.Run)) error {
	j, err := joblog.Load(w.ctx, w.Store, w.task.Job)
	if err != nil {
		return err
	}
	run := runs.Run{
		Job: string(w.task.Job), Kind: string(w.spec.Kind), Name: w.spec.Name, Status: runs.Succeeded,
		Started: time.UnixMilli(j.SubmittedAt).UTC(), Ended: w.Clock.Now().UTC(), Spec: w.task.Spec, Digest: store.Digest(r.Output),
		Params: params(w.task.Spec), Metrics: map[string][]runs.Point{}, Code: w.Code,
	}
	run.Experiment = experimentOf(w.spec)
	for part, metrics := range o.Metrics {
		for name, v := range metrics {
			run.Metrics[part+"."+name] = []runs.Point{{Value: runs.Value(v)}}
		}
	}
	run.Data = datasets(s)
	if more != nil {
		more(&run)
	}
	_, err = w.Registry.Runs.Record(w.ctx, run)
	return err
}

// params flattens a spec's scalar fields: model.hidden, optimizer.learning_rate.
func params(canonical []byte) map[string]string {
	var doc map[string]any
	out := map[string]string{}
	if json.Unmarshal(canonical, &doc) != nil {
		return out
	}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		if m, ok := v.(map[string]any); ok {
			for k, inner := range m {
				walk(prefix+"."+k, inner)
			}
			return
		}
		b, err := json.Marshal(v)
		if err != nil {
			return
		}
		text := string(b)
		if s, ok := v.(string); ok {
			text = s
		}
		if len(text) <= 500 { // what is longer is in the spec
			out[prefix[1:]] = text
		}
	}
	walk("", doc)
	return out
}

// estimator fits a model.
type estimator interface {
	Fit(ctx context.Context, comm collective.Comm, train, validation models.Table, o models.Options) (models.Model, error)
}

func estimatorOf(t *spec.Train, p *prepared) (estimator, error) {
	problem := problemOf(t, p)
	loss, err := lossOf(t, p.Target.Classes())
	if err != nil {
		return nil, err
	}
	if t.Model.Type != spec.Linear {
		c := configOf(t, p)
		c.Loss = loss
		return neural.New(c, problem)
	}
	c := neural.DefaultLinearConfig()
	c.L2, c.Loss = *t.Model.L2, loss
	if t.Model.L1 != nil {
		c.L1 = *t.Model.L1
	}
	return neural.NewLinear(c, problem)
}

// configOf returns the network and its training as a spec wants them.
func configOf(t *spec.Train, p *prepared) neural.Config {
	c := neural.Config{
		Hidden: t.Model.Hidden, Activation: neural.Activation(t.Model.Activation), Dropout: t.Model.Dropout,
		Norm: neural.Norm(t.Model.Norm), Residual: t.Model.Residual,
		Optimizer: optimizerOf(t.Optimizer), Scheduler: schedulerOf(t.Scheduler),
		Epochs: t.Epochs, BatchSize: t.BatchSize, Seed: t.Seed,
	}
	for _, code := range p.Encoder.Codes() {
		at := slices.IndexFunc(t.Model.Embeddings, func(e spec.Embedding) bool { return e.Column == code.Column })
		c.Embeddings = append(c.Embeddings, neural.Embedding{Feature: code.Feature, Codes: code.Codes, Size: t.Model.Embeddings[at].Size})
	}
	if s := t.EarlyStopping; s != nil {
		c.EarlyStopping = &neural.EarlyStopping{Metric: s.Metric, Patience: s.Patience, MinDelta: s.MinDelta}
	}
	return c
}

func optimizerOf(o spec.Optimizer) neural.Optimizer {
	return neural.Optimizer{
		Type: neural.OptimizerType(o.Type), LearningRate: o.LearningRate, WeightDecay: o.WeightDecay,
		Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon, Momentum: o.Momentum, Nesterov: o.Nesterov,
		ClipNorm: o.ClipNorm, ClipValue: o.ClipValue, Gradient: neural.GradientFormat(o.Gradient),
	}
}

func schedulerOf(s spec.Scheduler) neural.Scheduler {
	return neural.Scheduler{
		Type: neural.SchedulerType(s.Type), Interval: neural.Interval(s.Interval), Factor: s.Factor, Every: s.Every,
		Patience: s.Patience, MinLearningRate: s.MinLearningRate,
		WarmupIterations: s.WarmupIterations, WarmupEpochs: s.WarmupEpochs, WarmupStart: s.WarmupStart,
	}
}
