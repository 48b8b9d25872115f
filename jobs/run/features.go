package run

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/store"
)

// compile returns the pipeline of a features job over a dataset.
func compile(f *spec.Features, d *Dataset) (*features.Pipeline, error) {
	return features.Compile(features.Config{
		Steps: stepsOf(f.Steps), Target: f.Target, Entity: features.Entity(f.Entity), Timestamp: f.Timestamp, Keep: f.Keep, Seed: f.Seed,
	}, d.Schema)
}

// fittedPipeline is the last pipeline that was read, by the digest of its blob:
// every shard of a job needs the same, and one with many categories takes seconds
// and much memory to read.
type fittedPipeline struct {
	mu       sync.Mutex
	digest   string
	pipeline *features.Pipeline
}

// load returns the pipeline of a digest, which read reads unless it is known.
func (f *fittedPipeline) load(digest string, read func() (*features.Pipeline, error)) (*features.Pipeline, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pipeline != nil && f.digest == digest && digest != "" {
		return f.pipeline, nil
	}
	f.pipeline = nil // for its memory
	p, err := read()
	if err == nil {
		f.digest, f.pipeline = digest, p
	}
	return p, err
}

func stepsOf(steps spec.Steps) []features.Step {
	out := make([]features.Step, len(steps))
	for i, s := range steps {
		out[i] = features.Step(s)
	}
	return out
}

func featurePasses(f *spec.Features, d *Dataset) (int, error) {
	p, err := compile(f, d)
	if err != nil {
		return 0, err
	}
	return p.NumPasses(), nil
}

// pipeline returns the job's pipeline as fitted before a pass.
func (w *work) pipeline(s *Survey, pass int) (*features.Pipeline, error) {
	if pass > 0 {
		stage := plan.Pass(plan.Fit, pass-1)
		return w.fitted.load(w.task.Stage.Inputs[stage], func() (*features.Pipeline, error) {
			raw, err := w.Store.Blobs.Get(w.ctx, store.Digest(w.task.Stage.Inputs[stage]))
			if err != nil {
				return nil, fmt.Errorf("task %s: %w", w.task.ID, err)
			}
			return features.Load(raw)
		})
	}
	if w.spec.Kind == spec.KindTrain {
		return compileTrain(w.spec.Train, s.Input)
	}
	return compile(w.spec.Features, s.Input)
}

// observe sums one shard up for the features that are fitted in a pass.
func (w *work) observe(pass int) (jobs.Result, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	if w.spec.Kind == spec.KindTrain {
		return w.observeTraining(&s, pass)
	}
	p, err := w.pipeline(&s, pass)
	if err != nil {
		return jobs.Result{}, err
	}
	w.attach(&s, p, pass)
	state := p.NewState(pass)
	rows, err := w.scan(s.Input, p.ObserveInputs(pass), func(b *data.Batch, at rowNumbers) error {
		return state.ObserveRows(b, at.learnedFrom(p, nil))
	})
	if err != nil {
		return jobs.Result{}, err
	}
	return w.keep(rows, state, state.Counted())
}

// scan reads this task's shard and reports how far it is.
func (w *work) scan(d *Dataset, columns []string, fn func(b *data.Batch, at rowNumbers) error) (rows int64, err error) {
	return w.scanPieces(d, columns, 0, fn)
}

// scanPieces is scan for a body that makes so many bytes of each row.
func (w *work) scanPieces(d *Dataset, columns []string, madePerRow int64, fn func(b *data.Batch, at rowNumbers) error) (rows int64, err error) {
	total := d.Shards[w.task.Index].Rows
	err = d.readPieces(w.ctx, w.task.Index, columns, madePerRow, func(b *data.Batch, at rowNumbers) error {
		if err := fn(b, at); err != nil {
			return err
		}
		rows += int64(b.NumRows)
		w.report.Progress(rows, total, "")
		return nil
	})
	return rows, err
}

// summary is a mergeable state that a blob can hold.
type summary interface{ MarshalBinary() ([]byte, error) }

// keep stores a shard's summary as the task's output, and says what values it
// tells apart.
func (w *work) keep(rows int64, state summary, counted []features.Counted) (jobs.Result, error) {
	b, err := state.MarshalBinary()
	if err != nil {
		return jobs.Result{}, fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	d, err := w.Store.Blobs.Put(w.ctx, b)
	if err != nil {
		return jobs.Result{}, fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	return jobs.Result{Output: string(d), RowsIn: rows, Meta: toldApart(counted)}, nil
}

// toldApart is what the planner is told of values that are told apart.
func toldApart(counted []features.Counted) json.RawMessage {
	if len(counted) == 0 {
		return nil
	}
	return meta(plan.Learned{Counted: counted})
}

// fold reads the summaries of a stage's shards in their order.
func (w *work) fold(stage string, merge func(b []byte) error) (rows int64, err error) {
	results, err := w.results(stage)
	if err != nil {
		return 0, err
	}
	for i, r := range results {
		b, err := w.Store.Blobs.Get(w.ctx, store.Digest(r.Output))
		if err == nil {
			err = merge(b)
		}
		if err != nil {
			return 0, fmt.Errorf("task %s: %s/%d: %w", w.task.ID, stage, i, err)
		}
		rows += r.RowsIn
		w.report.Progress(int64(i+1), int64(len(results)), "")
	}
	return rows, nil
}

// fit merges the shards' summaries and fits the features of a pass.
func (w *work) fit(pass int) (jobs.Result, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	if w.spec.Kind == spec.KindTrain {
		return w.fitTraining(&s, pass)
	}
	p, err := w.pipeline(&s, pass)
	if err != nil {
		return jobs.Result{}, err
	}
	fitted, r, err := w.fitPass(p, pass, func(b []byte) ([]byte, error) { return b, nil })
	if err != nil {
		return jobs.Result{}, err
	}
	r.Output, err = w.put(fitted)
	return r, err
}

// fitPass merges the states of a pass and returns the pipeline fitted with it,
// and a result that lacks its output; part takes a pipeline's state out of a
// shard's blob.
func (w *work) fitPass(p *features.Pipeline, pass int, part func(b []byte) ([]byte, error)) (*features.Pipeline, jobs.Result, error) {
	all := p.NewState(pass)
	rows, err := w.fold(plan.Pass(plan.Observe, pass), func(b []byte) error {
		b, err := part(b)
		if err != nil {
			return err
		}
		one := p.NewState(pass)
		if err := one.UnmarshalBinary(b); err != nil {
			return err
		}
		return all.Merge(one)
	})
	if err != nil {
		return nil, jobs.Result{}, err
	}
	if where := w.where(); rows == 0 && where != "" {
		return nil, jobs.Result{}, noneMeet(where)
	}
	r := jobs.Result{RowsIn: rows, Meta: toldApart(all.Counted())}
	fitted, err := p.Fit(pass, all)
	return fitted, r, err
}

// apply computes the features of one shard and stages them as a part. Its rows are
// those that were learned from.
func (w *work) apply() (jobs.Result, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	p, err := w.ready(&s)
	if err != nil {
		return jobs.Result{}, err
	}
	schema, err := p.OutputSchema()
	if err != nil {
		return jobs.Result{}, err
	}
	w.attach(&s, p, p.NumPasses())
	return w.stagePart(s.Input, p.OutOfFoldInputs(), schema, func(b *data.Batch, at rowNumbers) (*data.Batch, error) {
		return p.ApplyOutOfFold(b, at.learnedFrom(p, nil))
	})
}

// ready returns a features job's pipeline with all its passes fitted.
func (w *work) ready(s *Survey) (*features.Pipeline, error) {
	p, err := w.pipeline(s, 0)
	if err != nil {
		return nil, err
	}
	return w.pipeline(s, p.NumPasses())
}

// rowBytes is what the columns of a schema take in memory for each row, without
// the strings.
func rowBytes(s data.Schema) (n int64) {
	for _, f := range s.Fields {
		switch f.Type {
		case data.Bool:
			n++
		case data.Int32, data.Float32, data.Date, data.String:
			n += 4
		default:
			n += 8
		}
	}
	return n
}

// stagePart maps the row groups of one shard, or pieces of them, to row groups
// of a part of the output.
func (w *work) stagePart(d *Dataset, columns []string, schema data.Schema, apply func(b *data.Batch, at rowNumbers) (*data.Batch, error)) (jobs.Result, error) {
	var rows, filtered int64
	part, err := w.output().stage(w.ctx, w.task.Index, func(f io.Writer) error {
		pw, err := parquet.NewWriter(f, schema, parquet.DefaultWriterConfig())
		if err != nil {
			return err
		}
		rows, err = w.scanPieces(d, columns, rowBytes(schema), func(b *data.Batch, at rowNumbers) error {
			made, err := apply(b, at)
			if err != nil {
				return err
			}
			if made.NumRows != b.NumRows {
				return fault.New(fault.Internal, "%d rows became %d", b.NumRows, made.NumRows)
			}
			return pw.Write(made)
		})
		if err != nil {
			return err
		}
		if d.Where != "" {
			filtered = d.Shards[w.task.Index].Rows - rows
		}
		return pw.Close()
	})
	if err != nil {
		return jobs.Result{}, err
	}
	part.RowsIn, part.RowsOut, part.RowsFiltered = rows, rows, filtered
	return jobs.Result{Output: part.Digest, RowsIn: rows, RowsOut: rows, Meta: meta(part)}, nil
}
