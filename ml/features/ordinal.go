package features

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// ordered is the place of a category in an order that is known.
type ordered struct {
	out    data.Field
	order  []string
	places map[string]uint32
}

// ordinal is the place of a category in the order of those it learns.
type ordinal struct {
	ordered
	of     data.Type
	fitted *ordinalFit
}

type ordinalFit struct {
	Order []string `json:"order"`
}

func newOrdinal(b *builder) operation {
	o := ordered{out: b.field(data.Int32), order: b.texts("order")}
	if o.order == nil {
		return ordinal{ordered: o, of: b.in[0].Type}
	}
	o.places = placesOf(o.order)
	return o
}

func (o ordered) outputs() []data.Field { return []data.Field{o.out} }

func (o ordered) apply(in []*data.Column, numRows int) []*data.Column {
	c := codes(in[0])
	table := make([]int32, 0, len(c.dict)+1)
	for _, place := range translate(c.dict, o.places, ^uint32(0)) {
		table = append(table, int32(place)) // unknown becomes -1
	}
	out := make([]int32, numRows)
	vector.Gather(out, c.codes, table)
	return []*data.Column{int32Column(out, c.valid)}
}

func (o ordinal) summary() summary { return &counts{} }
func (o ordinal) learned() any     { return orNil(o.fitted) }

func (o ordinal) fit(s summary) (operation, error) {
	c := s.(*counts)
	if err := c.check(); err != nil {
		return nil, err
	}
	f := &ordinalFit{}
	for value := range c.values.All() {
		f.Order = append(f.Order, value)
	}
	slices.SortFunc(f.Order, naturally(o.of))
	return o.learnedFrom(f), nil
}

func (o ordinal) learnedFrom(f *ordinalFit) ordinal {
	o.fitted, o.order, o.places = f, f.Order, placesOf(f.Order)
	return o
}

func (o ordinal) learn(raw []byte) (operation, error) {
	f, err := decodeLearned(raw, func(f ordinalFit) bool { return len(f.Order) > 0 && len(placesOf(f.Order)) == len(f.Order) })
	if err != nil {
		return nil, err
	}
	return o.learnedFrom(f), nil
}
