package run

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/registry/runs"
)

// manifest publishes the staged parts: from here on the output is there.
func (w *work) manifest() (jobs.Result, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	m, err := w.describe(&s)
	if err != nil {
		return jobs.Result{}, err
	}
	stage := plan.Apply
	if w.spec.Kind == spec.KindPredict {
		stage = plan.Score
	}
	results, err := w.results(stage)
	if err != nil {
		return jobs.Result{}, err
	}
	var r jobs.Result
	var filtered int64
	var staged []stagedPart
	for i, part := range results {
		var p stagedPart
		if err := json.Unmarshal(part.Meta, &p); err != nil {
			return jobs.Result{}, fault.New(fault.Corrupt, "task %s: part %d: %w", w.task.ID, i, err)
		}
		staged = append(staged, p)
		m.Parts = append(m.Parts, p.Part)
		r.RowsIn, r.RowsOut, r.RowsRejected = r.RowsIn+p.RowsIn, r.RowsOut+p.RowsOut, r.RowsRejected+p.RowsRejected
		filtered += p.RowsFiltered
	}
	if r.RowsIn+filtered != s.Input.Rows || r.RowsOut+r.RowsRejected != r.RowsIn {
		return jobs.Result{}, fault.New(fault.Internal, "the input has %d rows, of which the parts have read %d, left out %d, written %d and rejected %d", s.Input.Rows, r.RowsIn, filtered, r.RowsOut, r.RowsRejected)
	}
	out := w.output()
	out.replaces = s.Replaces
	if err := out.publish(w.ctx, m, staged); err != nil {
		return jobs.Result{}, err
	}
	w.forget()
	r.Output = m.Digest
	more, err := w.fittedFeatures(&s)
	if err != nil {
		return jobs.Result{}, err
	}
	return w.concludeWith(&s, r, Outcome{Digest: m.Digest, Output: out.dir, Shards: len(s.Input.Shards)}, more)
}

// FeaturesPath is the path of a features job's fitted features among the
// artifacts of its run.
const FeaturesPath = "features"

// fittedFeatures makes what a features job has fitted an artifact of its run;
// nil of other jobs.
func (w *work) fittedFeatures(s *Survey) (func(*runs.Run), error) {
	if w.spec.Kind != spec.KindFeatures {
		return nil, nil //nolint:nilnil // nothing is added to the run
	}
	p, err := w.ready(s)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fault.New(fault.Internal, "task %s: %w", w.task.ID, err)
	}
	digest, err := w.Store.Blobs.Put(w.ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	artifacts := map[string]runs.Artifact{FeaturesPath: {Digest: digest, Bytes: int64(len(raw))}}
	return func(run *runs.Run) { run.Artifacts = artifacts }, nil
}

// describe returns the manifest of a features or predict job without its parts.
func (w *work) describe(s *Survey) (*Manifest, error) {
	m := &Manifest{Kind: string(w.spec.Kind), Name: w.spec.Name, Spec: w.spec.Digest(), Input: s.Input.Digest, Code: w.Code}
	if w.spec.Kind == spec.KindFeatures {
		p, err := w.ready(s)
		if err != nil {
			return nil, err
		}
		m.Features = p.FeatureNames()
		m.Schema, err = p.OutputSchema()
		return m, err
	}
	m.Model = s.Model.URI
	b, err := w.load(w.ctx, s.Model.Digest)
	if err != nil {
		return nil, err
	}
	m.Schema, err = scoredSchema(s.Input, w.spec.Predict, b)
	return m, err
}

// score predicts the rows of one shard and stages them as a part.
func (w *work) score() (jobs.Result, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	m, err := w.load(w.ctx, s.Model.Digest)
	if err != nil {
		return jobs.Result{}, err
	}
	schema, err := scoredSchema(s.Input, w.spec.Predict, m)
	if err != nil {
		return jobs.Result{}, err
	}
	kept := keptColumns(s.Input, w.spec.Predict)
	columns := slices.Clone(kept)
	for _, f := range m.Signature.Fields {
		if !slices.Contains(columns, f.Name) {
			columns = append(columns, f.Name)
		}
	}
	if m.Pipeline != nil {
		w.attach(&s, m.Pipeline, m.Pipeline.NumPasses())
	}
	return w.stagePart(s.Input, columns, schema, func(b *data.Batch, _ rowNumbers) (*data.Batch, error) {
		p, err := m.Predict(b)
		if err != nil {
			return nil, err
		}
		out := make([]*data.Column, 0, len(schema.Fields))
		for _, name := range kept {
			out = append(out, b.Column(name))
		}
		return data.NewBatch(schema, append(out, p.Columns()...))
	})
}

// keptColumns are the input columns that a predict job copies to its output.
func keptColumns(d *Dataset, p *spec.Predict) []string {
	if len(p.Keep) > 0 {
		return p.Keep
	}
	return d.Schema.Names()
}

// conclude is the end of every job's last task: the job becomes a run of the
// registry, and its result is remembered for the next job of the same key.
func (w *work) conclude(s *Survey, r jobs.Result, o Outcome) (jobs.Result, error) {
	return w.concludeWith(s, r, o, nil)
}

// concludeWith is conclude for a job whose run has something of its own.
func (w *work) concludeWith(s *Survey, r jobs.Result, o Outcome, more func(*runs.Run)) (jobs.Result, error) {
	if o.Shards == 0 && s.Input != nil {
		o.Shards = len(s.Input.Shards)
	}
	r.Meta = meta(o)
	if err := w.record(s, r, o, more); err != nil {
		return jobs.Result{}, fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	return r, w.remember(s, r)
}

// scoredSchema is the schema of a predict job's output: the kept columns, then
// the predictions.
func scoredSchema(d *Dataset, p *spec.Predict, b *bundle.Bundle) (data.Schema, error) {
	kept := keptColumns(d, p)
	var schema data.Schema
	for _, n := range kept {
		schema.Fields = append(schema.Fields, d.Schema.Fields[d.Schema.Index(n)])
	}
	added, err := b.OutputFields(kept)
	schema.Fields = append(schema.Fields, added...)
	return schema, err
}
