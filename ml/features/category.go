package features

import (
	"encoding/binary"
	"maps"
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

	// Whole numbers that are not in values yet: how often each occurs.
	keys  vector.Places
	times []int64
	of    data.Type
}

func (c *counts) observe(in []*data.Column, mask data.Bitmap) {
	column := in[0]
	if !keyed(column.Type) {
		column := codes(column)
		seen, numNulls := column.countCodes(mask)
		for code, n := range seen {
			c.values.Add(column.dict[code], n)
		}
		c.numNulls += numNulls
		return
	}
	if c.of != column.Type {
		c.flush()
		c.of = column.Type
	}
	rows, used := vector.And(column.Valid, mask), 0
	if column.Type == data.Int64 {
		used = countKeys(c, column.Int64s, rows)
	} else {
		used = countKeys(c, column.Int32s, rows)
	}
	c.numNulls += int64(numSet(mask, column.Len()) - used)
	if len(c.keys.Keys) > c.values.MaxDistinct() {
		c.flush()
	}
}

// countKeys counts the rows that are set, and returns how many these are.
func countKeys[T int32 | int64](c *counts, keys []T, rows data.Bitmap) int {
	used := 0
	for i, key := range keys {
		if !rows.Get(i) {
			continue
		}
		place := int(c.keys.Number(int64(key)))
		if place == len(c.times) {
			c.times = append(c.times, 0)
		}
		c.times[place]++
		used++
	}
	return used
}

// flush brings whole numbers that were counted into values.
func (c *counts) flush() {
	for i, key := range c.keys.Keys {
		c.values.Add(keyText(c.of, key), c.times[i])
	}
	c.keys, c.times = vector.Places{}, nil
}

func (c *counts) merge(other summary) {
	o := other.(*counts)
	o.flush()
	c.flush()
	c.values.Merge(&o.values)
	c.numNulls += o.numNulls
}

func (c *counts) append(b []byte) []byte {
	c.flush()
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
	*c = counts{numNulls: int64(n)}
	return c.values.UnmarshalBinary(r.b)
}

// check makes sure that there is something to learn from.
func (c *counts) check() error {
	c.flush()
	if !c.values.Exact() {
		return fault.New(fault.Invalid,
			"the column has about %d distinct values, more than can be told apart: %d, of %d MiB together; is it an identifier? leave it out",
			c.values.NumDistinct(), c.values.MaxDistinct(), sketch.MaxCountedBytes>>20)
	}
	if c.values.N() == 0 {
		return noValues("value")
	}
	return nil
}

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
			fit.Categories = append(fit.Categories, v.Value)
		}
	}
	slices.SortFunc(fit.Categories, naturally(o.of))
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

type frequencyFit struct {
	N          int64            `json:"n"` // rows with a category
	Categories map[string]int64 `json:"categories"`
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
	f := &frequencyFit{N: c.values.N(), Categories: map[string]int64{}}
	for value, n := range c.values.All() {
		f.Categories[value] = n
	}
	return o.with(f), nil
}

func (o frequency) with(f *frequencyFit) frequency {
	o.fitted, o.categories = f, newCategories(o.of, slices.Sorted(maps.Keys(f.Categories)))
	o.values = make([]float64, 0, len(f.Categories)+1)
	for _, text := range o.categories.list {
		value := float64(f.Categories[text])
		if o.normalize {
			value /= float64(f.N)
		}
		o.values = append(o.values, value)
	}
	o.values = append(o.values, 0)
	return o
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
