package features

import (
	"encoding/binary"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// counts summarises the categories of one column.
type counts struct {
	values   sketch.Counts
	numNulls int64
}

func (c *counts) observe(in []*data.Column, mask data.Bitmap) {
	column := codes(in[0])
	seen, numNulls := column.countCodes(mask)
	for code, n := range seen {
		c.values.Add(column.dict[code], n)
	}
	c.numNulls += numNulls
}

func (c *counts) merge(other summary) {
	o := other.(*counts)
	c.values.Merge(&o.values)
	c.numNulls += o.numNulls
}

func (c *counts) append(b []byte) []byte {
	return c.values.Append(binary.AppendUvarint(b, uint64(c.numNulls)))
}

func (c *counts) decode(b []byte) error {
	r := &reader{b: b, what: "counts"}
	n := r.uvarint()
	if n > 1<<56 {
		r.fail("%d nulls", n)
	}
	if r.err != nil {
		return r.err
	}
	c.numNulls = int64(n)
	return c.values.UnmarshalBinary(r.b)
}

// check makes sure that there is something to learn from.
func (c *counts) check() error {
	if !c.values.Exact() {
		return fault.New(fault.Invalid,
			"the column has about %d distinct values, more than the %d that can be told apart; is it an identifier? leave it out",
			c.values.NumDistinct(), c.values.MaxDistinct())
	}
	if c.values.N() == 0 {
		return noValues("value")
	}
	return nil
}

// translate writes, for each entry of a dictionary, its place among categories;
// unknown for one that is not among them. There is at least one entry, so that
// the codes of nulls can be looked up, too.
func translate(dict []string, places map[string]uint32, unknown uint32) []uint32 {
	table := make([]uint32, max(1, len(dict)))
	table[0] = unknown
	for i, text := range dict {
		place, ok := places[text]
		if !ok {
			place = unknown
		}
		table[i] = place
	}
	return table
}

func placesOf(categories []string) map[string]uint32 {
	places := make(map[string]uint32, len(categories))
	for i, c := range categories {
		places[c] = uint32(i)
	}
	return places
}

// oneHot is a column of truths for each category.
type oneHot struct {
	name          string
	of            data.Type
	minCount, cap int
	other         bool
	fitted        *oneHotFit
	places        map[string]uint32
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
			fit.Categories = append(fit.Categories, v.Value)
		}
	}
	slices.SortFunc(fit.Categories, naturally(o.of))
	return o.with(fit), nil
}

// with returns the operation with what was learned, and its columns named.
func (o oneHot) with(fit *oneHotFit) oneHot {
	o.fitted, o.places = fit, placesOf(fit.Categories)
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
		return len(f.Categories) <= o.cap && len(placesOf(f.Categories)) == len(f.Categories)
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
	c := codes(in[0])
	table := translate(c.dict, o.places, other)
	if c.valid == nil {
		for i, code := range c.codes {
			if place := table[code]; place < nowhere {
				truths[place][i] = true
			}
		}
		return out
	}
	for i, code := range c.codes {
		place := table[code]
		if !c.valid.Get(i) {
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
	out       data.Field
	normalize bool
	fitted    *frequencyFit
}

type frequencyFit struct {
	N          int64            `json:"n"` // rows with a category
	Categories map[string]int64 `json:"categories"`
}

func newFrequency(b *builder) operation {
	return frequency{out: b.field(data.Float64), normalize: b.flag("normalize", true)}
}

func (o frequency) outputs() []data.Field { return []data.Field{o.out} }
func (o frequency) summary() summary      { return &counts{} }
func (o frequency) learned() any          { return orNil(o.fitted) }

func (o frequency) fit(s summary) (operation, error) {
	c := s.(*counts)
	if err := c.check(); err != nil {
		return nil, err
	}
	o.fitted = &frequencyFit{N: c.values.N(), Categories: map[string]int64{}}
	for value, n := range c.values.All() {
		o.fitted.Categories[value] = n
	}
	return o, nil
}

func (o frequency) learn(raw []byte) (operation, error) {
	fit, err := decodeLearned(raw, func(f frequencyFit) bool {
		left := f.N
		for _, n := range f.Categories {
			if n < 1 || n > left {
				return false
			}
			left -= n
		}
		return left == 0 && f.N > 0
	})
	o.fitted = fit
	return o, err
}

func (o frequency) apply(in []*data.Column, numRows int) []*data.Column {
	c := codes(in[0])
	table := make([]float64, max(1, len(c.dict)))
	for i, text := range c.dict {
		table[i] = float64(o.fitted.Categories[text])
		if o.normalize {
			table[i] /= float64(o.fitted.N)
		}
	}
	out := make([]float64, numRows)
	vector.Gather(out, c.codes, table)
	return []*data.Column{float64Column(out, c.valid)}
}
