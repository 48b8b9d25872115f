package run

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/drift"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// order sums up the column that a split by time follows, for one shard.
func (w *work) order() (jobs.Result, error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	var times split.Times
	column := w.spec.Train.Split.Column
	rows, err := w.scan(s.Input, []string{column}, func(b *data.Batch, _ rowNumbers) error {
		return times.Observe(b.Columns[0])
	})
	if err != nil {
		return jobs.Result{}, fmt.Errorf("split.column %q: %w", column, err)
	}
	return w.keep(rows, &times, nil)
}

// cut finds the two points in time between the parts.
func (w *work) cut() (jobs.Result, error) {
	var all split.Times
	rows, err := w.fold(plan.Order, func(b []byte) error {
		var one split.Times
		if err := one.UnmarshalBinary(b); err != nil {
			return err
		}
		all.Merge(&one)
		return nil
	})
	if err != nil {
		return jobs.Result{}, err
	}
	if where := w.where(); rows == 0 && where != "" {
		return jobs.Result{}, noneMeet(where)
	}
	by := w.spec.Train.Split
	cut, err := all.Cut(by.Validation, by.Test)
	if err != nil {
		return jobs.Result{}, err
	}
	digest, err := w.put(cut)
	return jobs.Result{Output: digest, RowsIn: rows}, err
}

// observation is what a shard's training rows sum up to in one pass: the state
// of the pipeline, or in the last pass what the model's inputs are fitted from.
type observation struct {
	Pipeline []byte           `json:"pipeline,omitempty"`
	Encoder  []byte           `json:"encoder,omitempty"`
	Target   []byte           `json:"target,omitempty"`
	Profile  []byte           `json:"profile,omitempty"`
	Rows     map[string]int64 `json:"rows,omitempty"`     // by part; "unlabelled" has no target
	Weighing map[string]int64 `json:"weighing,omitempty"` // of Rows, those that weigh more than nothing
	Slices   []shardSlice     `json:"slices,omitempty"`
}

// MarshalBinary writes the observation as JSON.
func (o *observation) MarshalBinary() ([]byte, error) { return json.Marshal(o) }

// unlabelled counts the rows without a target, which no part has.
const unlabelled = "unlabelled"

// observeTraining sums up the training rows of one shard.
func (w *work) observeTraining(s *Survey, pass int) (jobs.Result, error) {
	l, err := w.newLearner(s, pass)
	if err != nil {
		return jobs.Result{}, err
	}
	if l.pipeline != nil && pass < l.pipeline.NumPasses() {
		return w.observePass(l, pass)
	}
	return w.observeInputs(l)
}

func (w *work) observePass(l *learner, pass int) (jobs.Result, error) {
	state := l.pipeline.NewState(pass)
	o := &observation{Rows: map[string]int64{}}
	rows, err := w.scan(l.data, l.columns(l.pipeline.ObserveInputs(pass)), func(b *data.Batch, at rowNumbers) error {
		parts, err := l.parts(b, at)
		if err != nil {
			return err
		}
		o.count(b.Column(l.train.Target), parts)
		return state.ObserveRows(b, at.learnedFrom(l.pipeline, l.trainingMask(b, parts)))
	})
	if err != nil {
		return jobs.Result{}, err
	}
	if o.Pipeline, err = state.MarshalBinary(); err != nil {
		return jobs.Result{}, err
	}
	return w.keep(rows, o, state.Counted())
}

// observeInputs sums up, over the training rows, what the model reads, what it
// is to predict, and the profile that drift is measured against.
func (w *work) observeInputs(l *learner) (jobs.Result, error) {
	e, t, err := l.encoders()
	if err != nil {
		return jobs.Result{}, err
	}
	encoder, target := e.NewState(), t.NewState()
	signature := l.signature()
	profile := drift.NewProfile(signature)
	slicers := newSlicers(l.train.Slices)
	o := &observation{Rows: map[string]int64{}}
	rows, err := w.scan(l.data, withNames(l.reads(), l.train.Slices...), func(b *data.Batch, at rowNumbers) error {
		parts, err := l.parts(b, at)
		if err != nil {
			return err
		}
		mask := l.trainingMask(b, parts)
		o.count(b.Column(l.train.Target), parts)
		if err := o.weigh(l, b, at, parts); err != nil {
			return err
		}
		seen, err := l.seen(b, at, mask)
		if err != nil {
			return err
		}
		if err := encoder.Observe(seen, mask); err != nil {
			return err
		}
		if err := target.Observe(b, mask); err != nil {
			return err
		}
		for _, s := range slicers {
			if err := s.observe(b, b.Column(l.train.Target), parts); err != nil {
				return err
			}
		}
		return profile.Observe(b, mask)
	})
	if err != nil {
		return jobs.Result{}, err
	}
	for _, s := range slicers {
		o.Slices = append(o.Slices, s.shardSlice)
	}
	for into, state := range map[*[]byte]summary{&o.Encoder: encoder, &o.Target: target, &o.Profile: profile} {
		if *into, err = state.MarshalBinary(); err != nil {
			return jobs.Result{}, err
		}
	}
	return w.keep(rows, o, encoder.Counted())
}

// count adds the rows of a batch to those of their parts.
func (o *observation) count(target *data.Column, parts []split.Part) {
	for i, p := range parts {
		if labelled(target, i) {
			o.Rows[p.String()]++
		} else {
			o.Rows[unlabelled]++
		}
	}
}

// encoders returns the encoders of the model's inputs and of the target, not
// fitted yet.
func (l *learner) encoders() (*features.Encoder, *features.Target, error) {
	cfg := features.DefaultEncoderConfig()
	for _, m := range l.train.Model.Embeddings {
		cfg.Coded = append(cfg.Coded, m.Column)
	}
	e, err := features.NewEncoder(l.inputs, cfg)
	if err != nil {
		return nil, nil, err
	}
	field := l.data.Schema.Fields[l.data.Schema.Index(l.train.Target)]
	t, err := features.NewTarget(metrics.Task(l.train.Task), field)
	return e, t, err
}

// prepared is what the training rows have been summed up to before the model
// learns: everything that a bundle holds but the model.
type prepared struct {
	Encoder *features.Encoder  `json:"encoder"`
	Target  *features.Target   `json:"target"`
	Profile []byte             `json:"profile"`
	Rows    map[string]int64   `json:"rows"`
	Shards  []map[string]int64 `json:"shards"` // the same for each shard
	Slices  []*sliceColumn     `json:"slices,omitempty"`
}

// count adds the rows of the next shard.
func (p *prepared) count(rows map[string]int64) {
	for part, n := range rows {
		p.Rows[part] += n
	}
	p.Shards = append(p.Shards, rows)
}

// all returns how many rows the parts have together, with those of none.
func (p *prepared) all() (rows int64) {
	for _, n := range p.Rows {
		rows += n
	}
	return rows
}

// fitTraining merges what the shards have observed in one pass.
func (w *work) fitTraining(s *Survey, pass int) (jobs.Result, error) {
	l, err := w.newLearner(s, pass)
	if err != nil {
		return jobs.Result{}, err
	}
	if l.pipeline == nil || pass >= l.pipeline.NumPasses() {
		return w.fitInputs(l, pass)
	}
	all := map[string]int64{}
	fitted, r, err := w.fitPass(l.pipeline, pass, func(b []byte) ([]byte, error) {
		var o observation
		if err := json.Unmarshal(b, &o); err != nil {
			return nil, fault.New(fault.Corrupt, "observation: %w", err)
		}
		for part, n := range o.Rows {
			all[part] += n
		}
		return o.Pipeline, nil
	})
	if none := l.labelled(all); none != nil { // more to the point than what the features say of no rows
		return jobs.Result{}, none
	}
	if err != nil {
		return jobs.Result{}, err
	}
	r.Output, err = w.put(fitted)
	return r, err
}

// summaries reads what a shard has summed up of the model's inputs, of the target
// and of the profile.
func (o *observation) summaries(encoder, target, profile encoding.BinaryUnmarshaler) error {
	if err := encoder.UnmarshalBinary(o.Encoder); err != nil {
		return err
	}
	if err := target.UnmarshalBinary(o.Target); err != nil {
		return err
	}
	return profile.UnmarshalBinary(o.Profile)
}

// fitInputs fits the encoders with the training rows of all shards.
func (w *work) fitInputs(l *learner, pass int) (jobs.Result, error) {
	e, t, err := l.encoders()
	if err != nil {
		return jobs.Result{}, err
	}
	encoder, target, profile := e.NewState(), t.NewState(), &drift.Profile{}
	seen, sliced := 0, make([][]shardSlice, len(l.train.Slices))
	p, weighing := prepared{Rows: map[string]int64{}}, map[string]int64{}
	rows, err := w.fold(plan.Pass(plan.Observe, pass), func(b []byte) error {
		var o observation
		if err := json.Unmarshal(b, &o); err != nil {
			return fault.New(fault.Corrupt, "observation: %w", err)
		}
		p.count(o.Rows)
		for part, n := range o.Weighing {
			weighing[part] += n
		}
		for i := range min(len(sliced), len(o.Slices)) {
			sliced[i] = append(sliced[i], o.Slices[i])
		}
		oneEncoder, oneTarget, oneProfile := e.NewState(), t.NewState(), &drift.Profile{}
		if err := o.summaries(oneEncoder, oneTarget, oneProfile); err != nil {
			return err
		}
		if err := encoder.Merge(oneEncoder); err != nil {
			return err
		}
		if err := target.Merge(oneTarget); err != nil {
			return err
		}
		if seen++; seen == 1 {
			profile = oneProfile
			return nil
		}
		return profile.Merge(oneProfile)
	})
	if err != nil {
		return jobs.Result{}, err
	}
	if err := errors.Join(l.enough(p.Rows), l.weighing(p.Rows, weighing)); err != nil {
		return jobs.Result{}, err
	}
	if p.Encoder, err = e.Fit(encoder); err != nil {
		return jobs.Result{}, err
	}
	if p.Target, err = t.Fit(target); err != nil {
		return jobs.Result{}, err
	}
	if p.Profile, err = profile.MarshalBinary(); err == nil {
		err = p.slice(l.train.Slices, sliced)
	}
	if err != nil {
		return jobs.Result{}, err
	}
	digest, err := w.put(p)
	return jobs.Result{Output: digest, RowsIn: rows, Meta: meta(p.Rows)}, err
}

// labelled checks that some row has a target.
func (l *learner) labelled(rows map[string]int64) error {
	if n := rows[unlabelled]; n > 0 && len(rows) == 1 {
		return fault.New(fault.Invalid, "target: column %q is null in all %d rows: name another column, or label some rows", l.train.Target, n)
	}
	return nil
}

// enough checks that every part that the spec asks for has rows.
func (l *learner) enough(rows map[string]int64) error {
	by := l.train.Split
	if where := l.train.Where; len(rows) == 0 && where != "" {
		return noneMeet(where)
	}
	if err := l.labelled(rows); err != nil {
		return err
	}
	want := []string{split.Train.String()}
	if by.Validation > 0 {
		want = append(want, split.Validation.String())
	}
	if by.Test > 0 {
		want = append(want, split.Test.String())
	}
	for _, part := range want {
		if rows[part] == 0 {
			have := []string{}
			for p, n := range rows {
				have = append(have, fmt.Sprintf("%s %d", p, n))
			}
			slices.Sort(have)
			return fault.New(fault.Invalid, "split: no row is left for %s (rows: %v): use more rows or other shares", part, have)
		}
	}
	return nil
}
