package run

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/features"
)

// measure adds a row group's size in the file, of which something is read or
// nothing.
func (d *Dataset) measure(schema data.Schema, group parquet.RowGroup, read bool) {
	if d.stored == nil {
		d.stored = map[string]int64{}
	}
	for i, c := range group.Columns {
		d.TotalBytes += c.CompressedBytes
		if read {
			d.stored[schema.Fields[i].Name] += c.CompressedBytes
		}
	}
}

// reading adds up the bytes of the columns that a job reads.
func (d *Dataset) reading(columns []string) {
	columns = slices.Clone(columns)
	if d.filter != nil {
		columns = append(columns, d.filter.Columns()...)
	}
	slices.Sort(columns)
	for _, c := range slices.Compact(columns) {
		d.ReadBytes += d.stored[c]
	}
}

// measure says how many bytes a job reads of its inputs, which look has found.
func (w *work) measure(s *Survey) error {
	columns, err := w.reads(s)
	if err != nil {
		return err
	}
	s.Input.reading(columns)
	if s.Reference != nil {
		s.Reference.reading(columns)
	}
	return nil
}

// demand says what memory a job's tasks may need to read its inputs, which look
// has found.
func (w *work) demand(s *Survey, facts *plan.Facts) error {
	columns, err := w.reads(s)
	if err != nil {
		return err
	}
	counts, err := w.counts(s)
	if err != nil {
		return err
	}
	s.Input.demand(facts, columns, counts)
	if s.Reference != nil {
		s.Reference.demand(facts, columns, nil)
	}
	return nil
}

// reads returns the columns that a job reads.
func (w *work) reads(s *Survey) (columns []string, err error) {
	switch k := w.spec; k.Kind {
	case spec.KindFeatures:
		p, err := compile(k.Features, s.Input)
		if err != nil {
			return nil, err
		}
		columns = pipelineReads(p, s.Input)
	case spec.KindTrain:
		columns, err = trainReads(k.Train, s.Input)
	case spec.KindPredict, spec.KindDrift:
		columns, err = w.modelReads(s)
	}
	columns = slices.DeleteFunc(columns, func(c string) bool { return c == "" })
	slices.Sort(columns)
	return slices.Compact(columns), err
}

// pipelineReads returns the columns of a dataset that a pipeline reads. Windows
// are columns of it only where they are given.
func pipelineReads(p *features.Pipeline, d *Dataset) []string {
	out := slices.Clone(p.Inputs())
	for pass := range p.NumPasses() {
		out = append(out, p.ObserveInputs(pass)...)
	}
	windows := p.WindowNames()
	if d.hasAll(windows) {
		return out
	}
	for _, level := range p.WindowLevels() {
		out = append(out, p.Windows(level).Inputs()...)
	}
	return slices.DeleteFunc(out, func(name string) bool { return slices.Contains(windows, name) })
}

// scoredReads returns the columns of a dataset that a model reads.
func scoredReads(d *Dataset, b *bundle.Bundle) []string {
	if b.Pipeline != nil {
		return pipelineReads(b.Pipeline, d)
	}
	return b.Signature.Names()
}

func trainReads(t *spec.Train, d *Dataset) ([]string, error) {
	out := append([]string{t.Target, t.Split.Column, t.Weight}, t.Slices...)
	p, err := compileTrain(t, d)
	if err != nil {
		return nil, err
	}
	if p != nil {
		return append(out, pipelineReads(p, d)...), nil
	}
	inputs, err := rawInputs(t, d)
	for _, f := range inputs {
		out = append(out, f.Name)
	}
	return out, err
}

// modelReads returns the columns that a predict or drift job reads.
func (w *work) modelReads(s *Survey) ([]string, error) {
	var b *bundle.Bundle
	if s.Model != nil {
		var err error
		if b, err = w.load(w.ctx, s.Model.Digest); err != nil {
			return nil, err
		}
	}
	if w.spec.Drift != nil {
		return driftColumns(w.spec.Drift, s, b)
	}
	return append(scoredReads(s.Input, b), keptColumns(s.Input, w.spec.Predict)...), nil
}
