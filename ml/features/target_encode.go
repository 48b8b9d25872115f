package features

import (
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// The ways to deal rows out to folds.
const (
	foldByRandom = "random"
	foldByGroup  = "group"
	foldByTime   = "time"
)

// targetEncode is the mean of the target in a category, drawn towards that of all
// rows.
type targetEncode struct {
	out        data.Field
	of         data.Type
	target     data.Field
	by         string
	foldColumn data.Field // of group and time
	numFolds   int
	seed       uint64
	auto       bool    // smoothing by the variances
	rows       float64 // or as if so many rows more were as all are
	fitted     *encodingFit

	categories *categories
	places     int       // of categories, of null, of what is unseen
	full       []float64 // by place: what all rows taught
	outOfFold  []float64 // by fold, then place: what the other folds taught; NaN where nothing did
}

// encodingFit is what is learned. By time, the first pass learns Begins alone.
type encodingFit struct {
	Begins     []int64            `json:"begins,omitempty"` // the times at which folds begin, but the first
	Prior      *float64           `json:"prior,omitempty"`  // the mean of all rows
	Categories map[string]float64 `json:"categories,omitempty"`
	Null       *float64           `json:"null,omitempty"`  // absent where no null was learned from
	Folds      []foldFit          `json:"folds,omitempty"` // what a row of each fold becomes when it was learned from
}

// foldFit is what the rows of other folds taught: nothing where there were none.
type foldFit struct {
	Prior  *float64  `json:"prior,omitempty"`
	Null   *float64  `json:"null,omitempty"`
	Values []float64 `json:"values,omitempty"` // of the categories by their bytes
}

func newTargetEncode(b *builder) operation {
	o := targetEncode{out: b.field(data.Float64), of: b.in[0].Type, seed: b.cfg.Seed}
	o.numFolds = b.count("folds", 5, 2)
	if o.numFolds > split.MaxFolds {
		b.fault("folds: expected at most %d, found %d", split.MaxFolds, o.numFolds)
	}
	o.by = b.choice("fold_by", foldByRandom, foldByGroup, foldByTime)
	o.smoothing(b)
	o.chooseFoldColumn(b)
	if b.cfg.Target == "" {
		b.fault("there is no target to learn from; name the column to be predicted as the target of the spec")
		return o
	}
	at := b.input.Index(b.cfg.Target)
	if at < 0 {
		return broken{} // which the roles have said
	}
	o.target = b.input.Fields[at]
	if t := o.target.Type; t == data.Timestamp || t == data.Date {
		b.fault("the target %q is %v, expected a number, a truth, or a text of two classes", o.target.Name, t)
	}
	return o
}

func (o *targetEncode) smoothing(b *builder) {
	v, ok := b.lookup("smoothing")
	if text, isText := v.(string); !ok || isText && text == "auto" {
		o.auto = true
		return
	}
	rows, ok := toNumber(v)
	if !ok || !(rows >= 0) || math.IsInf(rows, 0) {
		b.fault("smoothing: expected auto, or a number of rows of 0 or more, found %v", v)
	}
	o.rows = rows
}

func (o *targetEncode) chooseFoldColumn(b *builder) {
	_, given := b.lookup("fold_column")
	name := b.text("fold_column", map[string]string{foldByGroup: b.cfg.Entity.alone(), foldByTime: b.cfg.Timestamp}[o.by])
	at := b.input.Index(name)
	switch {
	case o.by == foldByRandom && given:
		b.fault("fold_column: is only read with fold_by: group or time")
	case o.by == foldByRandom:
	case name == "" && o.by == foldByGroup && len(b.cfg.Entity) > 1:
		b.fault("fold_column: missing: fold_by: group needs one column, and the entity is %s; name one of them", b.cfg.Entity)
	case name == "":
		b.fault("fold_column: missing: fold_by: %s needs a column; name it, or the %s of the spec",
			o.by, map[string]string{foldByGroup: "entity", foldByTime: "timestamp"}[o.by])
	case at < 0:
		b.fault("fold_column: there is no column %q%s", name, didYouMean(name, b.input.Names()))
	case name == b.cfg.Target:
		b.fault("fold_column: %q is the target, which must not say which rows learn from which", name)
	default:
		o.foldColumn = b.input.Fields[at]
		timely := []data.Type{data.Timestamp, data.Date, data.Int32, data.Int64}
		if o.by == foldByTime && !slices.Contains(timely, o.foldColumn.Type) {
			b.fault("fold_column: %q is %v, expected a timestamp, a date or a whole number for fold_by: time", name, o.foldColumn.Type)
		}
	}
}

func (o targetEncode) outputs() []data.Field          { return []data.Field{o.out} }
func (o targetEncode) reads() (learning, fold string) { return o.target.Name, o.foldColumn.Name }
func (o targetEncode) learned() any                   { return orNil(o.fitted) }

func (o targetEncode) passes() (all, done int) {
	all = 1
	if o.by == foldByTime {
		all = 2
	}
	switch {
	case o.fitted == nil:
		return all, 0
	case o.fitted.Prior == nil:
		return all, 1
	}
	return all, all
}

func (o targetEncode) summary() summary {
	if o.by == foldByTime && o.fitted == nil {
		return &foldTimes{}
	}
	return newTargetSums(&o)
}

// numSlots is how many folds there may be, with that of the rows without a time.
func (o *targetEncode) numSlots() int {
	if o.by == foldByTime {
		return o.numFolds + 1
	}
	return o.numFolds
}

// deal sets the fold of each row, by the column that reads names.
func (o *targetEncode) deal(by *data.Column, folds []uint16) {
	var err error
	switch o.by {
	case foldByRandom:
		split.FoldsByRow(o.seed, o.numFolds, by.Int64s, folds)
	case foldByGroup:
		err = split.FoldsByValue(o.seed, o.numFolds, by, folds)
	default:
		err = split.FoldsByTime(by, o.fitted.Begins, uint16(o.numFolds), folds)
	}
	if err != nil {
		panic("features: folds of a column that was checked: " + err.Error())
	}
}

func (o targetEncode) fit(s summary) (operation, error) {
	switch s := s.(type) {
	case *foldTimes:
		begins, err := s.begins(o.foldColumn.Name, o.numFolds)
		if err != nil {
			return nil, err
		}
		o.fitted = &encodingFit{Begins: begins}
		return o, nil
	case *targetSums:
		if err := s.check(); err != nil {
			return nil, err
		}
		return o.with(o.encode(s)), nil
	}
	panic("features: a summary of another operation")
}

// with returns the operation with what was learned in all passes.
func (o targetEncode) with(f *encodingFit) targetEncode {
	o.fitted = f
	list := slices.Sorted(maps.Keys(f.Categories))
	o.categories = newCategories(o.of, list)
	o.places = len(list) + 2
	or := func(v *float64, other float64) float64 {
		if v == nil {
			return other
		}
		return *v
	}
	o.full = make([]float64, 0, o.places)
	for _, text := range list {
		o.full = append(o.full, f.Categories[text])
	}
	o.full = append(o.full, or(f.Null, *f.Prior), *f.Prior)
	o.outOfFold = nil
	if len(f.Folds) == 0 {
		return o
	}
	o.outOfFold = make([]float64, 0, o.numSlots()*o.places)
	for k := range o.numSlots() {
		if k < len(f.Folds) && f.Folds[k].Prior != nil {
			fold := f.Folds[k]
			o.outOfFold = append(o.outOfFold, fold.Values...)
			o.outOfFold = append(o.outOfFold, or(fold.Null, *fold.Prior), *fold.Prior)
			continue
		}
		o.outOfFold = append(o.outOfFold, slices.Repeat([]float64{math.NaN()}, o.places)...)
	}
	return o
}

func (o targetEncode) withoutFolds() operation {
	if o.fitted == nil || o.fitted.Prior == nil {
		return o
	}
	f := *o.fitted
	f.Folds = nil
	o.fitted, o.outOfFold = &f, nil
	return o
}

func (o targetEncode) learn(raw []byte) (operation, error) {
	f, err := decodeLearned(raw, o.sound)
	if err != nil {
		return nil, err
	}
	if f.Prior == nil {
		o.fitted = f
		return o, nil
	}
	return o.with(f), nil
}

func (o targetEncode) sound(f encodingFit) bool {
	numFolds := o.numFolds
	if o.by == foldByTime {
		numFolds = len(f.Begins) + 1
		if len(f.Begins) == 0 || numFolds > o.numFolds || !slices.IsSorted(f.Begins) {
			return false
		}
	} else if f.Begins != nil {
		return false
	}
	if f.Prior == nil {
		return o.by == foldByTime && f.Categories == nil && f.Null == nil && f.Folds == nil
	}
	if len(f.Folds) != 0 && len(f.Folds) != numFolds || !finiteOrNil(f.Prior, f.Null) {
		return false
	}
	for _, v := range f.Categories {
		if !finite(v) {
			return false
		}
	}
	for _, fold := range f.Folds {
		if fold.Prior == nil && (fold.Null != nil || fold.Values != nil) || fold.Prior != nil && len(fold.Values) != len(f.Categories) ||
			!finite(fold.Values...) || !finiteOrNil(fold.Prior, fold.Null) {
			return false
		}
	}
	return true
}

func finiteOrNil(values ...*float64) bool {
	return !slices.ContainsFunc(values, func(v *float64) bool { return v != nil && !finite(*v) })
}

// rowPlaces returns the places of the rows' categories.
func (o targetEncode) rowPlaces(c *data.Column) []uint32 {
	places, valid := o.categories.rows(c, uint32(o.places-1))
	if valid != nil {
		for i := range places {
			if !valid.Get(i) {
				places[i] = uint32(o.places - 2)
			}
		}
	}
	return places
}

func (o targetEncode) apply(in []*data.Column, numRows int) []*data.Column {
	out := make([]float64, numRows)
	vector.Gather(out, o.rowPlaces(in[0]), o.full)
	return []*data.Column{float64Column(out, nil)}
}

func (o targetEncode) applyOutOfFold(in []*data.Column, mask data.Bitmap, numRows int) ([]*data.Column, error) {
	if o.outOfFold == nil {
		return nil, errNoFolds
	}
	folds := make([]uint16, numRows)
	o.deal(in[1], folds)
	out, places := make([]float64, numRows), o.rowPlaces(in[0])
	unknown := false
	for i, place := range places[:numRows] {
		if !mask.Get(i) {
			out[i] = o.full[place]
			continue
		}
		v := o.outOfFold[int(folds[i])*o.places+int(place)]
		out[i] = v
		unknown = unknown || v != v
	}
	var valid data.Bitmap
	if unknown {
		valid = vector.Clear(nil, out, math.IsNaN)
	}
	return []*data.Column{float64Column(out, valid)}, nil
}
