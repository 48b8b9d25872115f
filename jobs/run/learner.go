package run

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// compileTrain returns the pipeline of a train job's list of features over raw
// data, or nil when it has none. It keeps no column: the model reads features.
func compileTrain(t *spec.Train, d *Dataset) (*features.Pipeline, error) {
	if t.Features == nil {
		return nil, nil //nolint:nilnil // no pipeline is a pipeline that changes nothing
	}
	if t.Features.File != "" {
		return nil, fault.New(fault.Invalid, "train: the features file %s was not written out into the spec", t.Features.File)
	}
	return features.Compile(features.Config{
		Steps: stepsOf(t.Features.Steps), Target: t.Target, Entity: features.Entity(t.Entity), Timestamp: t.Timestamp, Seed: t.Seed,
	}, d.Schema)
}

// trainPasses judges a train job against its input and returns how often the
// rows are summed up: once for each pass of the features, and once for the
// model's own inputs.
func trainPasses(t *spec.Train, d *Dataset) (int, error) {
	if err := d.need("target", t.Target); err != nil {
		return 0, err
	}
	if t.Split.Column != "" {
		if err := d.need("split.column", t.Split.Column); err != nil {
			return 0, err
		}
	}
	if err := checkWeight(t.Weight, d); err != nil {
		return 0, err
	}
	if err := checkSlices(t.Slices, d); err != nil {
		return 0, err
	}
	if d.Rows == 0 {
		return 0, fault.New(fault.Invalid, "train: input %s: %w", d.Path, errNoRows)
	}
	if _, err := features.NewTarget(metrics.Task(t.Task), d.Schema.Fields[d.Schema.Index(t.Target)]); err != nil {
		return 0, err
	}
	p, err := compileTrain(t, d)
	if err != nil {
		return 0, err
	}
	if p != nil {
		return p.NumPasses() + 1, nil
	}
	_, err = rawInputs(t, d)
	return 1, err
}

// rawInputs returns the columns that a model learns from when there is no
// pipeline: those of the spec, or else the features of a features job, or else
// whatever can be one: not the target, the rows' weight, the column that splits,
// entity or timestamp, and no point in time.
func rawInputs(t *spec.Train, d *Dataset) ([]data.Field, error) {
	not := append([]string{t.Target, t.Weight, t.Timestamp}, t.Entity...)
	if t.Split.By != spec.ByRandom {
		not = append(not, t.Split.Column)
	}
	var candidates []string
	switch {
	case len(t.Columns.Include) > 0:
		candidates = t.Columns.Include
	case len(d.Features) > 0:
		candidates = without(without(d.Features, t.Target), t.Weight)
	default:
		for _, f := range d.Schema.Fields {
			if !slices.Contains(not, f.Name) && f.Type != data.Timestamp && f.Type != data.Date {
				candidates = append(candidates, f.Name)
			}
		}
	}
	return chosen(t, d.Schema, candidates)
}

// chosen returns the fields of the candidates that the spec does not exclude.
func chosen(t *spec.Train, schema data.Schema, candidates []string) ([]data.Field, error) {
	for _, n := range append(slices.Clone(t.Columns.Exclude), candidates...) {
		if schema.Index(n) < 0 {
			return nil, fault.New(fault.Invalid, "columns: there is no column %q to learn from; there are %s", n, listed(schema.Names()))
		}
	}
	var out []data.Field
	for _, n := range candidates {
		if slices.Contains(t.Columns.Exclude, n) {
			continue
		}
		f := schema.Fields[schema.Index(n)]
		if f.Type == data.Timestamp || f.Type == data.Date {
			return nil, fault.New(fault.Invalid, "columns: %q is a %v, which no model reads: take parts of it with a feature of op datetime, or exclude it", n, f.Type)
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "columns: no column is left to learn from; the input has %s", listed(schema.Names()))
	}
	return out, nil
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// withNames returns names and those of more that are not among them.
func withNames(names []string, more ...string) []string {
	out := slices.Clone(names)
	for _, n := range more {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// learner reads the rows of a train job: which part each belongs to, and what
// the model sees of it.
type learner struct {
	train    *spec.Train
	data     *Dataset
	cut      split.Cut
	pipeline *features.Pipeline // ready; nil when the model reads the input's columns
	inputs   []data.Field       // what the encoder reads, of the pipeline's output or of the input
}

// newLearner returns a learner whose pipeline is fitted as before a pass; with
// all passes done its inputs are known, too.
func (w *work) newLearner(s *Survey, pass int) (*learner, error) {
	l := &learner{train: w.spec.Train, data: s.Input}
	if l.train.Split.By == spec.ByTime {
		if err := w.input(plan.Cut, &l.cut); err != nil {
			return nil, err
		}
	}
	var err error
	if l.train.Features == nil {
		l.inputs, err = rawInputs(l.train, s.Input)
		return l, err
	}
	if l.pipeline, err = w.pipeline(s, pass); err != nil {
		return nil, err
	}
	w.attach(s, l.pipeline, pass)
	if pass < l.pipeline.NumPasses() {
		return l, nil
	}
	schema, err := l.pipeline.OutputSchema()
	if err != nil {
		return nil, err
	}
	candidates := l.pipeline.FeatureNames()
	if len(l.train.Columns.Include) > 0 {
		candidates = l.train.Columns.Include
	}
	l.inputs, err = chosen(l.train, schema, candidates)
	return l, err
}

// signature returns the columns of the input that a prediction needs.
func (l *learner) signature() data.Schema {
	if l.pipeline != nil {
		return l.pipeline.InputSchema()
	}
	var out data.Schema
	for _, f := range l.inputs {
		out.Fields = append(out.Fields, l.data.Schema.Fields[l.data.Schema.Index(f.Name)])
	}
	return out
}

// columns adds to some columns of the input those that target, weight and split
// need.
func (l *learner) columns(names []string) []string {
	names = withNames(names, l.train.Target)
	for _, more := range []string{l.train.Split.Column, l.train.Weight} {
		if more != "" {
			names = withNames(names, more)
		}
	}
	return names
}

// parts says which part every row of a batch belongs to.
func (l *learner) parts(b *data.Batch, at rowNumbers) ([]split.Part, error) {
	parts := make([]split.Part, b.NumRows)
	by, c := l.train.Split, b.Column(l.train.Split.Column)
	switch by.By {
	case spec.ByTime:
		return parts, split.ByTime(c, l.cut, parts)
	case spec.ByHash:
		return parts, split.ByHash(by.Seed, by.Validation, by.Test, c, parts)
	case spec.ByColumn:
		return parts, split.ByName(c, parts)
	default:
		all := make([]split.Part, at.count)
		split.ByRandom(by.Seed, by.Validation, by.Test, at.first, all)
		return at.of(all), nil
	}
}

// trainingMask marks the training rows whose target is there.
func (l *learner) trainingMask(b *data.Batch, parts []split.Part) data.Bitmap {
	mask := split.Mask(parts, split.Train)
	if target := b.Column(l.train.Target); target.Valid != nil {
		for i := range mask {
			mask[i] &= target.Valid[i]
		}
	}
	return mask
}

// reads returns the columns of the input that a fitted learner reads.
func (l *learner) reads() []string {
	if l.pipeline == nil {
		return l.columns(l.signature().Names())
	}
	return l.columns(l.pipeline.OutOfFoldInputs())
}

// bundled returns the pipeline as a bundle has it, which applies it to rows that
// it has not learned from; nil without one.
func (l *learner) bundled() *features.Pipeline {
	if l.pipeline == nil {
		return nil
	}
	return l.pipeline.WithoutFolds()
}

// seen returns what the encoder reads of a batch, of which the rows of mask are
// learned from.
func (l *learner) seen(b *data.Batch, at rowNumbers, mask data.Bitmap) (*data.Batch, error) {
	if l.pipeline == nil {
		return b, nil
	}
	return l.pipeline.ApplyOutOfFold(b, at.learnedFrom(l.pipeline, mask))
}
