package features

import (
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// oneHot is a column of truths for each category.
type oneHot struct {
	name          string
	of            data.Type
	minCount, cap int
	other         bool
	fitted        *oneHotFit
	categories    *categories
	fields        []data.Field
}

type oneHotFit struct {
	Categories []string `json:"categories"` // each of which has a column
	Missing    bool     `json:"missing"`    // nulls have a column
}

func newOneHot(b *builder) operation {
	return oneHot{
		name: b.step.Name, of: b.in[0].Type,
		minCount: b.count("min_count", 1, 1), cap: b.count("max_categories", 256, 1),
		other: b.flag("other", true),
	}
}

func (o oneHot) outputs() []data.Field { return o.fields }
func (o oneHot) summary() summary      { return &counts{} }
func (o oneHot) learned() any          { return orNil(o.fitted) }

func (o oneHot) fit(s summary) (operation, error) {
	c := s.(*counts)
	if err := c.check(); err != nil {
		return nil, err
	}
	fit := &oneHotFit{Categories: []string{}, Missing: c.numNulls > 0}
	for _, v := range c.values.MostFrequent() {
		if v.N >= int64(o.minCount) && len(fit.Categories) < o.cap {
			fit.Categories = append(fit.Categories, strings.Clone(v.Value))
		}
	}
	sortNaturally(o.of, fit.Categories)
	return o.with(fit), nil
}

// with returns the operation with what was learned, and its columns named.
func (o oneHot) with(fit *oneHotFit) oneHot {
	o.fitted, o.categories = fit, newCategories(o.of, fit.Categories)
	names := slices.Clone(fit.Categories)
	more := func(wanted bool, name string) {
		for wanted && slices.Contains(names, name) { // a category may be called so itself
			name += "_"
		}
		if wanted {
			names = append(names, name)
		}
	}
	more(fit.Missing, "missing")
	more(o.other, "other")
	o.fields = []data.Field{}
	for _, name := range names {
		o.fields = append(o.fields, data.Field{Name: o.name + "_" + name, Type: data.Bool})
	}
	return o
}

func (o oneHot) learn(raw []byte) (operation, error) {
	fit, err := decodeLearned(raw, func(f oneHotFit) bool {
		return len(f.Categories) <= o.cap && distinct(f.Categories)
	})
	if err != nil {
		return nil, err
	}
	return o.with(fit), nil
}

func (o oneHot) apply(in []*data.Column, numRows int) []*data.Column {
	out := make([]*data.Column, len(o.fields))
	truths := make([][]bool, len(o.fields), len(o.fields)+1)
	for i := range out {
		truths[i] = make([]bool, numRows)
		out[i] = &data.Column{Type: data.Bool, Bools: truths[i]}
	}
	// The places of what has no column of its own, beyond all of those that have.
	nowhere := uint32(len(truths))
	missing, other := nowhere, nowhere
	next := uint32(len(o.fitted.Categories))
	if o.fitted.Missing {
		missing, next = next, next+1
	}
	if o.other {
		other = next
	}
	places, valid := o.categories.rows(in[0], other)
	for i, place := range places {
		if valid != nil && !valid.Get(i) {
			place = missing
		}
		if place < nowhere {
			truths[place][i] = true
		}
	}
	return out
}

// frequency is the share of the rows learned from that have the same category.
type frequency struct {
	out        data.Field
	of         data.Type
	normalize  bool
	fitted     *frequencyFit
	categories *categories
	values     []float64 // of the categories, then of all else
}

func newFrequency(b *builder) operation {
	return frequency{out: b.field(data.Float64), of: b.in[0].Type, normalize: b.flag("normalize", true)}
}

func (o frequency) outputs() []data.Field { return []data.Field{o.out} }
func (o frequency) summary() summary      { return &counts{} }
func (o frequency) learned() any          { return orNil(o.fitted) }

func (o frequency) fit(s summary) (operation, error) {
	c := s.(*counts)
	if err := c.check(); err != nil {
		return nil, err
	}
	f := &frequencyFit{rows: c.values.N()}
	for value, n := range c.values.All() {
		f.add(value, n)
	}
	return o.with(f), nil
}

func (o frequency) with(f *frequencyFit) frequency {
	o.fitted, o.categories = f, categoriesOf(o.of, &f.texts)
	o.values = make([]float64, 0, len(f.times)+1)
	for _, n := range f.times {
		value := float64(n)
		if o.normalize {
			value /= float64(f.rows)
		}
		o.values = append(o.values, value)
	}
	o.values = append(o.values, 0)
	return o
}

func (o frequency) learn(raw []byte) (operation, error) {
	fit, err := decodeLearned(raw, func(f frequencyFit) bool { return f.sound() })
	if err != nil {
		return nil, err
	}
	return o.with(fit), nil
}

func (o frequency) apply(in []*data.Column, numRows int) []*data.Column {
	places, valid := o.categories.rows(in[0], uint32(len(o.values)-1))
	out := make([]float64, numRows)
	vector.Gather(out, places, o.values)
	return []*data.Column{float64Column(out, valid)}
}
