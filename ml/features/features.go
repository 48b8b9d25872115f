package features

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Step is one feature: an operation on columns of the input, or on columns that
// earlier steps have made.
type Step struct {
	Name   string         `json:"name"`
	Op     string         `json:"op"`
	Of     []string       `json:"of"` // of expr it may be nil: the columns are those of its text
	Params map[string]any `json:"params,omitempty"`
}

// Config is a list of features, and the parts that some columns play.
type Config struct {
	Steps     []Step   `json:"steps"`
	Target    string   `json:"target,omitempty"`    // what is to be predicted; no step reads it
	Entity    Entity   `json:"entity,omitempty"`    // who a row belongs to
	Timestamp string   `json:"timestamp,omitempty"` // when a row was
	Keep      []string `json:"keep,omitempty"`      // input columns that are copied to the output
	Seed      uint64   `json:"seed,omitempty"`
}

// Pipeline is a list of features, compiled for tables of one schema. It is
// immutable and safe for concurrent use.
//
// Some features must be fitted: learn from rows, in one or more passes over
// them. In each pass, any number of States observe rows and are merged, and Fit
// returns the pipeline that has learned from what they saw. After NumPasses
// passes the pipeline is ready to be applied.
type Pipeline struct {
	cfg       Config
	input     data.Schema // the columns that the pipeline knows of, in order of the input
	steps     []step
	numPasses int
	fitted    int // passes that are done
	print     func() uint64
}

// step is one feature, compiled.
type step struct {
	Step
	op     operation
	of     []source
	also   []source // that a crossFitted reads, beside of
	pass   int      // in which it learns, or begins to; for a step that learns nothing, the first in which it can be applied
	taught string   // the step before, or this, that learns from the target; "" if none does
}

// source is where a column comes from.
type source struct {
	step int // -1: the input; or byRowNumber
	at   int // place in the input's schema, or among the outputs of the step
}

// operation is what a step does, with its parameters. It is immutable.
type operation interface {
	// outputs returns the columns that it makes, nullable as they are; nil when
	// that is not known before it has learned.
	outputs() []data.Field
	// apply computes the outputs of columns that are of the types it was built
	// for, all of one length.
	apply(in []*data.Column, numRows int) []*data.Column
}

// carrier is an operation that carries more than its parameters tell.
type carrier interface {
	operation
	// learned returns what it carries, to be written as JSON; nil if nothing yet.
	learned() any
	// learn returns the operation with what learned has returned.
	learn(raw []byte) (operation, error)
}

// learner is an operation that has to learn from rows what it carries.
type learner interface {
	carrier
	// summary returns an empty summary of what it needs to know.
	summary() summary
	// fit returns the operation with what the summary tells.
	fit(s summary) (operation, error)
}

// summary is what a learner needs to know of the rows: a function of the
// multiset of rows observed.
type summary interface {
	// observe adds the rows of mask; all rows when it is nil.
	observe(in []*data.Column, mask data.Bitmap)
	// merge adds what another summary of the same learner has seen.
	merge(other summary)
	// append writes the state, in the one form it has.
	append(b []byte) []byte
	// decode replaces the state by what append has written.
	decode(b []byte) error
}

// NumPasses returns how many passes over the rows it takes until every feature
// is fitted; 0 when there is nothing to learn.
func (p *Pipeline) NumPasses() int { return p.numPasses }

// Ready reports whether every feature is fitted.
func (p *Pipeline) Ready() bool { return p.fitted == p.numPasses }

// Config returns what the pipeline was compiled from.
func (p *Pipeline) Config() Config { return p.cfg }

// Inputs returns the columns that Apply reads: those of the steps, and those
// that are kept, in the order of the schema; then windows, by their names.
func (p *Pipeline) Inputs() []string { return append(p.inputsWhere(p.used()), p.WindowNames()...) }

// used marks the columns of the input that Apply reads.
func (p *Pipeline) used() []bool {
	all := make([]bool, len(p.steps))
	for i := range all {
		all[i] = true
	}
	used := p.inputsOf(all, false)
	for _, name := range p.cfg.Keep {
		used[p.input.Index(name)] = true
	}
	return used
}

// InputSchema returns the fields of Inputs.
func (p *Pipeline) InputSchema() data.Schema {
	var s data.Schema
	for _, name := range p.Inputs() {
		if at := p.input.Index(name); at >= 0 {
			s.Fields = append(s.Fields, p.input.Fields[at])
			continue
		}
		from, f, _ := lookup(name, p.steps)
		if from.step >= 0 {
			s.Fields = append(s.Fields, f)
		}
	}
	return s
}

// inputsOf marks the columns of the input that steps read when they are applied;
// when they learn, too, if learning.
func (p *Pipeline) inputsOf(needed []bool, learning bool) []bool {
	used := make([]bool, len(p.input.Fields))
	for i, s := range p.steps {
		if _, ok := p.window(i); ok || !needed[i] {
			continue
		}
		for _, from := range s.of {
			if from.step == -1 {
				used[from.at] = true
			}
		}
		for _, from := range s.also {
			if learning && from.step == -1 {
				used[from.at] = true
			}
		}
	}
	return used
}

// ObserveInputs returns the columns that a pass reads; none for a pass that
// there is not.
func (p *Pipeline) ObserveInputs(pass int) []string {
	needed := p.needed(pass)
	return append(p.inputsWhere(p.inputsOf(needed, true)), p.windowNames(needed)...)
}

func (p *Pipeline) inputsWhere(used []bool) []string {
	names := []string{}
	for i, f := range p.input.Fields {
		if used[i] {
			names = append(names, f.Name)
		}
	}
	return names
}

// learns reports whether a step learns in a pass.
func (p *Pipeline) learns(i, pass int) bool {
	first := p.steps[i].pass
	return pass >= first && pass < first+passesOf(p.steps[i])
}

// needed returns which steps play a part in a pass: those that learn in it, and
// those that make the columns these read.
func (p *Pipeline) needed(pass int) []bool {
	needed := make([]bool, len(p.steps))
	for i := range needed {
		needed[i] = p.learns(i, pass)
	}
	p.closure(needed)
	return needed
}

// closure adds to some steps those that make the columns they read. What windows
// read is not among them: they are computed apart.
func (p *Pipeline) closure(needed []bool) {
	for i := len(p.steps) - 1; i >= 0; i-- {
		if _, ok := p.window(i); ok || !needed[i] {
			continue
		}
		for _, from := range p.steps[i].of {
			if from.step >= 0 {
				needed[from.step] = true
			}
		}
	}
}

// FeatureNames returns the columns that the steps make, in order. Before the
// pipeline is ready, those that only a fit can tell are missing.
func (p *Pipeline) FeatureNames() []string {
	names := []string{}
	for _, s := range p.steps {
		for _, f := range s.op.outputs() {
			names = append(names, f.Name)
		}
	}
	return names
}

// Outputs returns the columns that each step makes; those that only a fit can tell
// are missing before it.
func (p *Pipeline) Outputs() [][]data.Field {
	out := make([][]data.Field, len(p.steps))
	for i, s := range p.steps {
		out[i] = s.op.outputs()
	}
	return out
}

// OutputSchema returns the schema of what Apply returns: the columns that are
// kept, then the features, in the order of the config. The error is of kind
// Invalid when the pipeline is not ready.
func (p *Pipeline) OutputSchema() (data.Schema, error) {
	if err := p.checkReady("output schema"); err != nil {
		return data.Schema{}, err
	}
	var s data.Schema
	for _, name := range p.cfg.Keep {
		s.Fields = append(s.Fields, p.input.Fields[p.input.Index(name)])
	}
	for _, st := range p.steps {
		s.Fields = append(s.Fields, st.op.outputs()...)
	}
	return s, nil
}

func (p *Pipeline) checkReady(op string) error {
	if p.Ready() {
		return nil
	}
	return fault.New(fault.Invalid, "features: %s: the pipeline is fitted in %d of %d passes; fit the others first",
		op, p.fitted, p.numPasses)
}

// WithKeep returns the pipeline with other columns to keep, such as none where
// rows are scored one at a time. The error is of kind Invalid when the pipeline
// knows no column of that name (those it knows are the columns its steps read
// and the ones that were kept) or a feature is called so.
func (p *Pipeline) WithKeep(keep ...string) (*Pipeline, error) {
	out := p.clone()
	out.cfg.Keep = slices.Clone(keep)
	c := &compiler{cfg: out.cfg, input: p.input}
	c.checkKeep()
	for _, name := range p.FeatureNames() {
		if slices.Contains(keep, name) {
			c.fault("keep: %q is also a feature; rename one of them", name)
		}
	}
	return out, c.err()
}

// Apply computes the features of a batch, row by row: what a row becomes does
// not depend on the rows beside it, nor on their number. The columns of
// OutputSchema come out, and as many rows as went in; columns that are kept are
// those of b. Columns of b beyond Inputs are passed over, and a number column
// may be of another number type than the pipeline was compiled for.
//
// The error is of kind Invalid: the pipeline is not ready, a column is missing,
// of another type, or has nulls where its field says that there are none.
//
// It is for rows that the pipeline has not learned from; see ApplyOutOfFold.
func (p *Pipeline) Apply(b *data.Batch) (*data.Batch, error) { return p.applyTo(b, nil) }

func (p *Pipeline) applyTo(b *data.Batch, rows *Rows) (*data.Batch, error) {
	schema, err := p.OutputSchema()
	if err != nil {
		return nil, err
	}
	columns := make([]*data.Column, 0, len(schema.Fields))
	for _, name := range p.cfg.Keep {
		c, err := p.kept(b, name)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	all := make([]bool, len(p.steps))
	for i := range all {
		all[i] = true
	}
	made, err := p.run(b, all, rows)
	if err != nil {
		return nil, err
	}
	for _, m := range made {
		columns = append(columns, m...)
	}
	out, err := data.NewBatch(schema, columns)
	if err != nil {
		return nil, fault.New(fault.Internal, "features: apply: %w", err)
	}
	out.NumRows = b.NumRows
	return out, nil
}

// kept returns a column of the batch that is to be copied.
func (p *Pipeline) kept(b *data.Batch, name string) (*data.Column, error) {
	f := p.input.Fields[p.input.Index(name)]
	c := b.Column(name)
	switch {
	case c == nil:
		return nil, fault.New(fault.Invalid, "features: apply: there is no column %q, which is to be kept", name)
	case c.Type != f.Type:
		return nil, fault.New(fault.Invalid, "features: apply: column %q is %v, expected %v", name, c.Type, f.Type)
	case !f.Nullable && c.NumNulls() > 0:
		return nil, fault.New(fault.Invalid, "features: apply: column %q has nulls, expected none", name)
	}
	return c, nil
}

// run applies the steps that are needed and returns what each has made: out of
// fold, when rows say which were learned from.
func (p *Pipeline) run(b *data.Batch, needed []bool, rows *Rows) ([][]*data.Column, error) {
	made := make([][]*data.Column, len(p.steps))
	for i, s := range p.steps {
		if !needed[i] {
			continue
		}
		if w, ok := p.window(i); ok {
			c := b.Column(w.out.Name)
			if c == nil || c.Type != w.out.Type {
				return nil, fault.New(fault.Invalid, "features: there is no column %q of type %v; %v looks at other rows, and has to be computed before", w.out.Name, w.out.Type, s.Step)
			}
			made[i] = []*data.Column{c}
			continue
		}
		in, err := p.columns(b, s, made)
		if err != nil {
			return nil, err
		}
		if made[i], err = p.outputOf(b, s, in, rows); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// columns gathers what a step reads.
func (p *Pipeline) columns(b *data.Batch, s step, made [][]*data.Column) ([]*data.Column, error) {
	in := make([]*data.Column, len(s.of))
	for i, from := range s.of {
		var err error
		if in[i], err = p.column(b, from, made, s.Step); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// column returns a column that a step reads.
func (p *Pipeline) column(b *data.Batch, from source, made [][]*data.Column, reader Step) (*data.Column, error) {
	if from.step >= 0 {
		return made[from.step][from.at], nil
	}
	f := p.input.Fields[from.at]
	c := b.Column(f.Name)
	if c == nil {
		return nil, fault.New(fault.Invalid, "features: there is no column %q, which %v reads", f.Name, reader)
	}
	if c.Type != f.Type && !(c.Type.Numeric() && f.Type.Numeric()) {
		return nil, fault.New(fault.Invalid, "features: column %q is %v, expected %v, which %v reads", f.Name, c.Type, f.Type, reader)
	}
	return c, nil
}
