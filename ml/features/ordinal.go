package features

import (
	"github.com/troupe-ml/troupe/data"
)

// ordered is the place of a category in an order that is known.
type ordered struct {
	out   data.Field
	of    data.Type
	order *categories
}

// ordinal is the place of a category in the order of those it learns.
type ordinal struct {
	ordered
	fitted *ordinalFit
}

type ordinalFit struct {
	Order []string `json:"order"`
}

func newOrdinal(b *builder) operation {
	o := ordered{out: b.field(data.Int32), of: b.in[0].Type}
	order := b.texts("order")
	if order == nil {
		return ordinal{ordered: o}
	}
	o.order = newCategories(o.of, order)
	return o
}

func (o ordered) outputs() []data.Field { return []data.Field{o.out} }

func (o ordered) apply(in []*data.Column, numRows int) []*data.Column {
	places, valid := o.order.rows(in[0], ^uint32(0))
	out := make([]int32, numRows)
	for i, place := range places {
		out[i] = int32(place) // unknown becomes -1
	}
	return []*data.Column{int32Column(out, valid)}
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
	sortNaturally(o.of, f.Order)
	return o.learnedFrom(f), nil
}

func (o ordinal) learnedFrom(f *ordinalFit) ordinal {
	o.fitted, o.order = f, newCategories(o.of, f.Order)
	return o
}

func (o ordinal) learn(raw []byte) (operation, error) {
	f, err := decodeLearned(raw, func(f ordinalFit) bool { return len(f.Order) > 0 && distinct(f.Order) })
	if err != nil {
		return nil, err
	}
	return o.learnedFrom(f), nil
}
