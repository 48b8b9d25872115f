package features

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/sketch"
)

const (
	targetVersion = 1
	maxClasses    = 1000
)

// Target turns the column that is to be predicted into numbers: the places of
// classes, or the values of a regression. It is immutable and safe for
// concurrent use.
//
// Classes are texts, truths or whole numbers, in their natural order: false
// before true, numbers by size, texts by their bytes. Of two classes, the second
// is the positive one.
type Target struct {
	task    metrics.Task
	field   data.Field
	fitted  *targetFit
	classes *categories
}

type targetFit struct {
	Classes []string `json:"classes,omitempty"` // in order
	Counts  []int64  `json:"counts,omitempty"`  // of each, among the rows learned from
	Mean    float64  `json:"mean,omitempty"`
	Std     float64  `json:"std,omitempty"`
}

// NewTarget returns the target of a task, which has learned nothing yet. The
// error is of kind Invalid: the task is not known, or the column is of a type
// that cannot be its target.
func NewTarget(task metrics.Task, field data.Field) (*Target, error) {
	t := &Target{task: task, field: field}
	switch {
	case task.Names() == nil:
		return nil, fault.New(fault.Invalid, "target: there is no task %q; known are %s, %s, %s",
			task, metrics.Binary, metrics.Multiclass, metrics.Regression)
	case task == metrics.Regression && !field.Type.Numeric():
		return nil, fault.New(fault.Invalid, "target: column %q is %v, expected a number for a regression", field.Name, field.Type)
	case field.Type == data.Timestamp || field.Type == data.Date:
		return nil, fault.New(fault.Invalid, "target: column %q is %v, expected a text, a truth or a whole number", field.Name, field.Type)
	}
	return t, nil
}

// Task returns what the target is for.
func (t *Target) Task() metrics.Task { return t.task }

// Name returns the column's name.
func (t *Target) Name() string { return t.field.Name }

// Field returns the column.
func (t *Target) Field() data.Field { return t.field }

// Ready reports whether the target is fitted.
func (t *Target) Ready() bool { return t.fitted != nil }

// Classes returns the names of the classes, in the order of their numbers; nil
// for a regression, and before the target is fitted.
func (t *Target) Classes() []string {
	if t.fitted == nil {
		return nil
	}
	return t.fitted.Classes
}

// ClassCounts returns how many of the rows learned from have each class.
func (t *Target) ClassCounts() []int64 {
	if t.fitted == nil {
		return nil
	}
	return t.fitted.Counts
}

// Mean returns the mean of the rows learned from; 0 for classes.
func (t *Target) Mean() float64 {
	if t.fitted == nil {
		return 0
	}
	return t.fitted.Mean
}

// Std returns the standard deviation of the rows learned from; 0 for classes.
func (t *Target) Std() float64 {
	if t.fitted == nil {
		return 0
	}
	return t.fitted.Std
}

// TargetState is what a Target needs to know of the rows: a function of the
// multiset of rows, and of which of them are learned from. It is not safe for
// concurrent use.
type TargetState struct {
	target *Target
	all    sketch.Counts // classes of all rows; whatever there is, it is a class
	used   sketch.Counts // classes of the rows learned from
	values sketch.Moments
}

// NewState returns a state that has seen no rows.
func (t *Target) NewState() *TargetState {
	return &TargetState{target: t, all: *sketch.NewCounts(maxClasses), used: *sketch.NewCounts(maxClasses)}
}

// Observe adds the rows of b, of which those in mask, all when it is nil, are
// learned from. Classes are taken from all rows, so that one that only rows to
// validate or to test have is known, too: that there is a class is no secret.
// Nulls, and NaN, are passed over.
//
// The error is of kind Invalid, and nothing is added: the column is missing or
// of another type; a class is not a whole number; a value of a regression is
// infinite.
func (s *TargetState) Observe(b *data.Batch, mask data.Bitmap) error {
	c, err := s.target.column(b)
	if err != nil {
		return err
	}
	if s.target.task == metrics.Regression {
		eachFloats(c, mask, s.values.Observe)
		return nil
	}
	column := codes(c)
	all, _ := column.countCodes(nil)
	used, _ := column.countCodes(mask)
	for code, n := range all {
		s.all.Add(column.dict[code], n)
		s.used.Add(column.dict[code], used[code])
	}
	return nil
}

// column finds the target in a batch and checks its values.
func (t *Target) column(b *data.Batch) (*data.Column, error) {
	c := b.Column(t.field.Name)
	if c == nil {
		return nil, fault.New(fault.Invalid, "target: there is no column %q", t.field.Name)
	}
	if c.Type != t.field.Type && !(c.Type.Numeric() && t.field.Type.Numeric() && c.Type != data.Bool && t.field.Type != data.Bool) {
		return nil, fault.New(fault.Invalid, "target: column %q is %v, expected %v", t.field.Name, c.Type, t.field.Type)
	}
	if c.Type != data.Float32 && c.Type != data.Float64 {
		return c, nil
	}
	for i, v := range floats(c) {
		if math.IsInf(v, 0) {
			return nil, fault.New(fault.Invalid, "target: column %q is %v in row %d, expected a finite number", t.field.Name, v, i)
		}
		if t.task != metrics.Regression && v == v && v != math.Trunc(v) {
			return nil, fault.New(fault.Invalid,
				"target: column %q is %v in row %d, expected a whole number for a class; is the task a regression?", t.field.Name, v, i)
		}
	}
	return c, nil
}

// Merge adds what o has seen. The error is of kind Invalid when o is of another
// target.
func (s *TargetState) Merge(o *TargetState) error {
	if s.target.task != o.target.task || s.target.field.Name != o.target.field.Name {
		return fault.New(fault.Invalid, "target: merge: the states are of different targets")
	}
	s.all.Merge(&o.all)
	s.used.Merge(&o.used)
	s.values.Merge(&o.values)
	return nil
}

// MarshalBinary writes the state: the same bytes for the same multiset of rows.
//
// Layout: version; the counts of all rows and of those learned from, and the
// moments, each with its length before it.
func (s *TargetState) MarshalBinary() ([]byte, error) {
	b := []byte{targetVersion}
	b = appendNested(b, s.all.Append(nil))
	b = appendNested(b, s.used.Append(nil))
	return appendNested(b, s.values.Append(nil)), nil
}

// UnmarshalBinary replaces what s has seen by what MarshalBinary has written.
// The error is of kind Corrupt when b is anything else; s is of no use then.
func (s *TargetState) UnmarshalBinary(b []byte) error {
	r := newReader("features: decode target state", b)
	r.Version(targetVersion)
	for _, part := range []interface{ UnmarshalBinary([]byte) error }{&s.all, &s.used, &s.values} {
		one := r.Nested()
		if r.Err() != nil {
			return r.Err()
		}
		if err := part.UnmarshalBinary(one); err != nil {
			return fault.New(fault.Corrupt, "features: decode target state: %w", err)
		}
	}
	return r.End()
}

// Fit returns the target that has learned from what s has seen. The error is of
// kind Invalid: the rows to learn from have no value, or only one, or more
// classes than the task has.
func (t *Target) Fit(s *TargetState) (*Target, error) {
	name := t.field.Name
	out := &Target{task: t.task, field: t.field}
	if t.task == metrics.Regression {
		switch {
		case s.values.N() == 0:
			return nil, fault.New(fault.Invalid, "target: column %q: %w", name, noValues("value"))
		case s.values.Min() == s.values.Max():
			return nil, fault.New(fault.Invalid, "target: column %q is %v in all rows to learn from: there is nothing to learn", name, s.values.Min())
		}
		out.fitted = &targetFit{Mean: s.values.Mean(), Std: s.values.Std()}
		return out, nil
	}
	if !s.all.Exact() {
		return nil, fault.New(fault.Invalid, "target: column %q has about %d values, expected at most %d classes; is the task a regression?",
			name, s.all.NumDistinct(), maxClasses)
	}
	fit := &targetFit{}
	for class := range s.all.All() {
		fit.Classes = append(fit.Classes, class)
	}
	sortNaturally(t.field.Type, fit.Classes)
	for _, class := range fit.Classes {
		fit.Counts = append(fit.Counts, s.used.Count(class))
	}
	switch n := s.used.NumDistinct(); {
	case n == 0:
		return nil, fault.New(fault.Invalid, "target: column %q: %w", name, noValues("value"))
	case n == 1:
		return nil, fault.New(fault.Invalid, "target: column %q is %q in all rows to learn from: there is nothing to learn", name, s.used.MostFrequent()[0].Value)
	case t.task == metrics.Binary && len(fit.Classes) != 2:
		return nil, fault.New(fault.Invalid, "target: column %q has %d classes, expected 2; is the task multiclass?", name, len(fit.Classes))
	}
	out.fitted, out.classes = fit, newCategories(t.field.Type, fit.Classes)
	return out, nil
}

// Encode writes the target of every row of b to y, of shape (rows,): the number
// of its class, or the value of a regression in the unit of the column. It
// returns which rows have one: a row without, because it is null or NaN, is 0 in
// y and to be left out; nil means that all have.
//
// The error is of kind Invalid: the target is not fitted, y is of another length,
// what Observe does not take, or a class that Observe has never seen.
func (t *Target) Encode(b *data.Batch, y []float32) (known data.Bitmap, err error) {
	switch {
	case t.fitted == nil:
		return nil, fault.New(fault.Invalid, "target: it is not fitted")
	case len(y) != b.NumRows:
		return nil, fault.New(fault.Invalid, "target: room for %d numbers, expected %d", len(y), b.NumRows)
	}
	c, err := t.column(b)
	if err != nil {
		return nil, err
	}
	if t.task == metrics.Regression {
		return encodeValues(c, y), nil
	}
	column := codes(c)
	unknown := uint32(len(t.fitted.Classes))
	table := t.classes.table(column.dict, unknown)
	for i, code := range column.codes {
		y[i] = 0
		if !column.valid.Get(i) {
			continue
		}
		if table[code] == unknown {
			return nil, fault.New(fault.Invalid, "target: column %q is %q in row %d, which is none of the classes %q",
				t.field.Name, column.dict[code], i, t.fitted.Classes)
		}
		y[i] = float32(table[code])
	}
	return column.valid, nil
}

func encodeValues(c *data.Column, y []float32) data.Bitmap {
	values, valid := floats(c), c.Valid
	if slices.ContainsFunc(values, math.IsNaN) {
		valid = vector.Clear(valid, values, math.IsNaN)
	}
	for i, v := range values {
		y[i] = 0
		if valid.Get(i) {
			y[i] = float32(v)
		}
	}
	return valid
}

// targetDocument is a target as JSON.
type targetDocument struct {
	Version int          `json:"version"`
	Task    metrics.Task `json:"task"`
	Field   data.Field   `json:"field"`
	Learned *targetFit   `json:"learned"`
}

// MarshalJSON writes the target and what it has learned. Floats come back to the
// bit.
func (t *Target) MarshalJSON() ([]byte, error) {
	return json.Marshal(targetDocument{targetVersion, t.task, t.field, t.fitted})
}

// UnmarshalJSON reads what MarshalJSON has written. The error is of kind
// Corrupt, and t is left as it was, when it is anything else.
func (t *Target) UnmarshalJSON(text []byte) error {
	var d targetDocument
	if err := json.Unmarshal(text, &d); err != nil {
		return fault.New(fault.Corrupt, "features: read a target: %w", err)
	}
	if d.Version != targetVersion {
		return fault.New(fault.Corrupt, "features: read a target: version %d, expected %d", d.Version, targetVersion)
	}
	got, err := NewTarget(d.Task, d.Field)
	if err != nil {
		return fault.New(fault.Corrupt, "features: read a target: %w", err)
	}
	if f := d.Learned; f != nil {
		got.fitted, got.classes = f, newCategories(d.Field.Type, f.Classes)
		sound := finite(f.Mean, f.Std) && f.Std >= 0 && len(f.Counts) == len(f.Classes) && distinct(f.Classes)
		if !sound || (d.Task == metrics.Regression) != (len(f.Classes) == 0) {
			return fault.New(fault.Corrupt, "features: read a target: what was learned is not sound")
		}
	}
	*t = *got
	return nil
}
