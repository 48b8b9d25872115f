package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// Survey is what the first stage of a job finds out, once, for all that follow:
// which files are read and how they are cut, and which model is meant.
type Survey struct {
	Input     *Dataset  `json:"input,omitempty"`
	Reference *Dataset  `json:"reference,omitempty"` // of a drift job
	Model     *ModelRef `json:"model,omitempty"`
	Key       string    `json:"key"` // names what is computed: digest of spec, inputs, model and program
	// Replaces is the digest of the manifest that the job's output replaces, "" for none.
	Replaces string `json:"replaces,omitempty"`
	// Scratch is the folder of the job's rows on their way; "" where they are blobs, or
	// beside the job's output.
	Scratch string `json:"scratch,omitempty"`
}

// ModelRef is a model as an address stood for it when the job began.
type ModelRef struct {
	URI    string       `json:"uri"` // one that always means the same
	Digest store.Digest `json:"digest"`
}

// survey looks at the inputs, judges the spec against them, and finds out
// whether the job has been done before.
func (w *work) survey() (jobs.Result, error) {
	s, facts, err := w.look()
	if err != nil {
		return jobs.Result{}, err
	}
	if facts.Finished = w.finished(s); facts.Finished == nil {
		s.Scratch = w.scratch(facts)
		if out := w.output(); out.dir != "" {
			if s.Replaces, err = out.prepare(w.ctx); err != nil {
				return jobs.Result{}, err
			}
		}
		if err := w.begin(s); err != nil {
			return jobs.Result{}, err
		}
	}
	digest, err := w.put(s)
	if err != nil {
		return jobs.Result{}, err
	}
	r := jobs.Result{Output: digest, Meta: meta(facts)}
	if s.Input != nil {
		r.RowsIn = s.Input.Rows
	}
	return r, nil
}

// look is survey without writing anything.
func (w *work) look() (*Survey, plan.Facts, error) {
	var facts plan.Facts
	s := &Survey{}
	var err error
	switch k := w.spec; k.Kind {
	case spec.KindFeatures:
		if s.Input, err = w.open(k.Features.Input, k.Features.Explode, k.Features.Where, ""); err == nil {
			facts.Passes, err = featurePasses(k.Features, s.Input)
		}
	case spec.KindTrain:
		if s.Input, err = w.open(k.Train.Input, k.Train.Explode, k.Train.Where, ""); err == nil {
			facts.Passes, err = trainPasses(k.Train, s.Input)
			if err == nil && k.Train.Resume != "" {
				err = w.mayResume(k.Train.Resume, s.Input)
			}
		}
	case spec.KindPredict:
		err = w.lookPredict(s, k.Predict)
	case spec.KindDrift:
		err = w.lookDrift(s, k.Drift)
	}
	if err != nil {
		return nil, facts, err
	}
	facts.Shards = len(s.Input.Shards)
	if err := w.demand(s, &facts); err != nil {
		return nil, facts, err
	}
	if err := w.windowFacts(s, &facts); err != nil {
		return nil, facts, err
	}
	facts.TotalBytes, facts.ShardBytes = s.Input.Bytes, largest(s.Input.Shards)
	if s.Reference != nil {
		facts.ReferenceShards = len(s.Reference.Shards)
		facts.ShardBytes = max(facts.ShardBytes, largest(s.Reference.Shards))
	}
	s.Key = w.key(s)
	return s, facts, nil
}

// open looks at an input, a list of which becomes rows if one is named, and of
// which only rows count that meet two conditions.
func (w *work) open(path, list string, a, b spec.Where) (*Dataset, error) {
	where, err := both(a, b)
	if err != nil {
		return nil, err
	}
	return (&Dataset{Path: path, Explode: list, files: w.Files, known: w.Store.Refs}).open(w.ctx, where)
}

func largest(shards []split.Shard) int64 {
	var n int64
	for _, s := range shards {
		n = max(n, s.Bytes)
	}
	return n
}

func (w *work) lookPredict(s *Survey, p *spec.Predict) (err error) {
	if s.Input, err = w.open(p.Input, p.Explode, p.Where, ""); err != nil {
		return err
	}
	if err := s.Input.need("keep", p.Keep...); err != nil {
		return err
	}
	b, err := w.model(s, p.Model)
	if err != nil {
		return err
	}
	for _, name := range scoredReads(s.Input, b) {
		if err := s.Input.need("model "+p.Model, name); err != nil {
			return err
		}
	}
	_, err = scoredSchema(s.Input, p, b)
	return err
}

func (w *work) lookDrift(s *Survey, d *spec.Drift) (err error) {
	if s.Input, err = w.open(d.Current, d.CurrentExplode, d.Where, d.CurrentWhere); err != nil {
		return err
	}
	if d.Reference != "" {
		if s.Reference, err = w.open(d.Reference, d.ReferenceExplode, d.Where, d.ReferenceWhere); err != nil {
			return err
		}
	}
	if d.Model != "" {
		if _, err := w.model(s, d.Model); err != nil {
			return err
		}
	}
	_, err = driftColumns(d, s, nil)
	return err
}

// model finds out what a model's address stands for and loads it. A file's
// bytes are kept as a blob, so that every worker has them.
func (w *work) model(s *Survey, address string) (*bundle.Bundle, error) {
	if registry.IsURI(address) {
		found, err := w.Registry.Resolve(w.ctx, address)
		if err != nil {
			return nil, err
		}
		s.Model = &ModelRef{URI: found.URI.String(), Digest: found.Digest}
	} else {
		raw, err := w.Files.Read(w.ctx, address, store.MaxBlobBytes)
		if err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
		if _, err := bundle.Decode(raw); err != nil {
			return nil, fmt.Errorf("model %s: %w", address, err)
		}
		digest, err := w.Store.Blobs.Put(w.ctx, raw)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", address, err)
		}
		s.Model = &ModelRef{URI: address, Digest: digest}
	}
	return w.load(w.ctx, s.Model.Digest)
}

// key names what a job computes.
func (w *work) key(s *Survey) string {
	h := sha256.New()
	part := func(text string) { fmt.Fprintf(h, "%d:%s,", len(text), text) }
	part(w.Code)
	part(w.spec.Digest())
	for _, d := range []*Dataset{s.Input, s.Reference} {
		if d != nil {
			part(d.Digest)
		}
	}
	if s.Model != nil {
		part(string(s.Model.Digest))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// donePrefix begins the names under which the store remembers what has been
// done; the rest is the job's key, the value its result.
const donePrefix = "done."

// finished returns the result of a job that has been done before and whose
// output is still there, or nil.
func (w *work) finished(s *Survey) *jobs.Result {
	b, _, err := w.Store.Refs.Get(w.ctx, donePrefix+s.Key)
	if err != nil {
		return nil
	}
	var r jobs.Result
	var o Outcome
	if json.Unmarshal(b, &r) != nil || json.Unmarshal(r.Meta, &o) != nil || !w.stands(o) {
		return nil
	}
	o.Unchanged = true
	r.Meta = meta(o)
	return &r
}

// stands reports whether what a job has left is still there.
func (w *work) stands(o Outcome) bool {
	switch w.spec.Kind {
	case spec.KindTrain:
		found, err := w.Registry.Resolve(w.ctx, o.ModelURI)
		if err != nil {
			return false
		}
		has, err := w.Store.Blobs.Has(w.ctx, found.Digest)
		return err == nil && has
	case spec.KindDrift:
		if o.Output == "" {
			return true
		}
		there, err := w.Files.Exists(w.ctx, o.Output)
		return err == nil && there
	default:
		m, errs := Verify(w.ctx, w.Files, o.Output)
		return len(errs) == 0 && m.Digest == o.Digest
	}
}

// remember notes that the job is done, for the next one of the same key.
func (w *work) remember(s *Survey, r jobs.Result) error {
	name, value := donePrefix+s.Key, meta(r)
	for {
		_, rev, err := w.Store.Refs.Get(w.ctx, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("task %s: %w", w.task.ID, err)
		}
		if errors.Is(err, store.ErrNotFound) {
			rev = 0
		}
		_, err = w.Store.Refs.Set(w.ctx, name, value, rev)
		if errors.Is(err, store.ErrConflict) {
			continue // another attempt at the same task was faster
		}
		if err != nil {
			return fmt.Errorf("task %s: %w", w.task.ID, err)
		}
		return nil
	}
}

// outputOf returns the folder that a job writes, if it writes one.
func outputOf(s spec.Spec) string {
	switch s.Kind {
	case spec.KindFeatures:
		return s.Features.Output
	case spec.KindPredict:
		return s.Predict.Output
	}
	return ""
}

// Preview is what a job would do.
type Preview struct {
	Survey Survey       `json:"survey"`
	Facts  plan.Facts   `json:"facts"`
	Stages []jobs.Stage `json:"stages"`
}

// Preview surveys a job and plans it; nothing is run and nothing written but,
// for a model given as a file, its blob.
func (e *Env) Preview(ctx context.Context, s spec.Spec) (*Preview, error) {
	w := &work{Env: e, ctx: ctx, spec: s, task: Task{ID: "preview"}}
	found, facts, err := w.look()
	if err != nil {
		return nil, err
	}
	facts.Finished = w.finished(found)
	stages, err := plan.Stages(s, facts)
	if err != nil {
		return nil, err
	}
	if err := w.measure(found); err != nil {
		return nil, err
	}
	return &Preview{Survey: *found, Facts: facts, Stages: stages}, nil
}

var errNoRows = fault.New(fault.Invalid, "the input has no rows")
