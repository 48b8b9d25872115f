package features

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Rows says which rows of a batch are learned from, and which of the whole table
// they are.
type Rows struct {
	Mask    data.Bitmap // the rows that are learned from; nil: all
	Numbers []int64     // of each row of the batch, in the table; may be nil unless NeedsNumbers
}

// crossFitted is a learner whose outputs, for the rows it has learned from, must
// not depend on those rows themselves.
type crossFitted interface {
	learner
	// reads returns the columns of the input that it needs beyond those of its
	// step: first what only learning needs, then what says which fold a row is in.
	// In place of the latter, "" is the number of the row.
	reads() (learning, fold string)
	// applyOutOfFold is apply for a table of which the rows of mask were learned
	// from: what each of these becomes was learned from others. in is followed by
	// the column that says which fold a row is in.
	applyOutOfFold(in []*data.Column, mask data.Bitmap, numRows int) ([]*data.Column, error)
	// withoutFolds returns the operation without what only applyOutOfFold needs.
	withoutFolds() operation
}

// inPasses is a learner that learns in several passes.
type inPasses interface {
	learner
	// passes returns in how many, and how many of them are done.
	passes() (all, done int)
}

// passesOf returns in how many passes a step learns.
func passesOf(s step) int {
	switch op := s.op.(type) {
	case inPasses:
		all, _ := op.passes()
		return all
	case learner:
		return 1
	}
	return 0
}

// byRowNumber is the place of a source that is the number of the row.
const byRowNumber = -2

// NeedsNumbers reports whether the folds of some feature follow the numbers of the
// rows, so that Rows must have them.
func (p *Pipeline) NeedsNumbers() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool {
		return slices.ContainsFunc(s.also, func(from source) bool { return from.step == byRowNumber })
	})
}

// OutOfFoldInputs returns the columns that ApplyOutOfFold reads: those of Inputs,
// and those that say which fold a row is in.
func (p *Pipeline) OutOfFoldInputs() []string {
	used := p.used()
	for _, s := range p.steps {
		if len(s.also) > 0 {
			if fold := s.also[1]; fold.step == -1 {
				used[fold.at] = true
			}
		}
	}
	return append(p.inputsWhere(used), p.WindowNames()...)
}

// ApplyOutOfFold is Apply for a batch of which some rows were learned from:
// features that learn from the target compute each of these from what the rows of
// other folds have taught them, so that no row sees its own target. All other rows
// become what Apply makes of them. rows must be as they were when the pipeline
// observed them.
//
// The error is of kind Invalid where Apply's is, when rows have no numbers and
// NeedsNumbers, and when the pipeline is one WithoutFolds.
func (p *Pipeline) ApplyOutOfFold(b *data.Batch, rows Rows) (*data.Batch, error) {
	return p.applyTo(b, &rows)
}

// WithoutFolds returns the pipeline without what only ApplyOutOfFold needs, for
// those who apply it to rows that it has not learned from.
func (p *Pipeline) WithoutFolds() *Pipeline {
	out := p.clone()
	for i, s := range out.steps {
		if op, ok := s.op.(crossFitted); ok {
			out.steps[i].op = op.withoutFolds()
		}
	}
	return out
}

// more returns the columns that a step reads beyond those it is computed from.
func (p *Pipeline) more(b *data.Batch, s step, rows *Rows) ([]*data.Column, error) {
	out := make([]*data.Column, len(s.also))
	for i, from := range s.also {
		if from.step == byRowNumber {
			if rows == nil || len(rows.Numbers) != b.NumRows {
				return nil, fault.New(fault.Invalid, "features: %v: the rows have no numbers, by which it deals them out to folds", s.Step)
			}
			out[i] = &data.Column{Type: data.Int64, Int64s: rows.Numbers}
			continue
		}
		f := p.input.Fields[from.at]
		c := b.Column(f.Name)
		isFold := i > 0
		switch {
		case c == nil && !isFold: // only learning needs it
		case c == nil:
			return nil, fault.New(fault.Invalid, "features: there is no column %q, by which %v deals rows out to folds", f.Name, s.Step)
		case c.Type != f.Type && (isFold || !(c.Type.Numeric() && f.Type.Numeric())):
			return nil, fault.New(fault.Invalid, "features: column %q is %v, expected %v, which %v reads", f.Name, c.Type, f.Type, s.Step)
		}
		out[i] = c
	}
	return out, nil
}

// learning returns the columns that a step learns from.
func (p *Pipeline) learning(b *data.Batch, s step, made [][]*data.Column, rows *Rows) ([]*data.Column, error) {
	in, err := p.columns(b, s, made)
	if err != nil || len(s.also) == 0 {
		return in, err
	}
	also, err := p.more(b, s, rows)
	if err != nil {
		return nil, err
	}
	if also[0] == nil {
		return nil, fault.New(fault.Invalid, "features: there is no column %q, which %v learns from", p.input.Fields[s.also[0].at].Name, s.Step)
	}
	return append(in, also...), nil
}

// outputOf applies a step: out of fold when rows say which were learned from.
func (p *Pipeline) outputOf(b *data.Batch, s step, in []*data.Column, rows *Rows) ([]*data.Column, error) {
	op, ok := s.op.(crossFitted)
	if !ok || rows == nil {
		return s.op.apply(in, b.NumRows), nil
	}
	also, err := p.more(b, s, rows)
	if err != nil {
		return nil, err
	}
	out, err := op.applyOutOfFold(append(in, also[1]), rows.Mask, b.NumRows)
	if err != nil {
		return nil, fault.New(fault.Invalid, "features: %v: %w", s.Step, err)
	}
	return out, nil
}
