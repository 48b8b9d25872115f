package features

import (
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// minMaxScale is low + (x - min) / (max - min) * (high - low).
type minMaxScale struct {
	out       data.Field
	low, high float64
	clip      bool
	fitted    *rangeFit
}

type rangeFit struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

func newMinMaxScale(b *builder) operation {
	o := minMaxScale{out: b.field(data.Float64), low: 0, high: 1, clip: b.flag("clip", false)}
	if r := b.numbers("range"); r != nil {
		if len(r) != 2 || !finite(r...) || r[0] >= r[1] {
			b.fault("range: expected two finite numbers, the smaller one first, found %v", r)
			return o
		}
		o.low, o.high = r[0], r[1]
	}
	return o
}

func (o minMaxScale) outputs() []data.Field { return []data.Field{o.out} }
func (o minMaxScale) summary() summary      { return &moments{} }
func (o minMaxScale) learned() any          { return orNil(o.fitted) }

func (o minMaxScale) fit(s summary) (operation, error) {
	m := s.(*moments)
	if m.N() == 0 {
		return nil, noValues("finite number")
	}
	o.fitted = &rangeFit{m.Min(), m.Max()}
	return o, nil
}

func (o minMaxScale) learn(raw []byte) (operation, error) {
	fit, err := decodeLearned(raw, func(f rangeFit) bool { return finite(f.Min, f.Max) && f.Min <= f.Max })
	o.fitted = fit
	return o, err
}

func (o minMaxScale) apply(in []*data.Column, numRows int) []*data.Column {
	// Halves, since the difference of two numbers may be beyond all numbers.
	low, span := o.fitted.Min/2, o.fitted.Max/2-o.fitted.Min/2
	if span == 0 {
		span = 0.5 // as if max - min were 1
	}
	out := make([]float64, numRows)
	for i, v := range floats(in[0]) {
		out[i] = o.low + float64((v/2-low)/span*(o.high-o.low))
	}
	if o.clip {
		vector.Clip(out, out, o.low, o.high)
	}
	return []*data.Column{float64Column(out, in[0].Valid)}
}

// clip cuts x to min..max.
type clip struct {
	out       data.Field
	low, high float64
}

func newClip(b *builder) operation {
	o := clip{b.field(data.Float64), b.number("min", math.Inf(-1)), b.number("max", math.Inf(1))}
	switch {
	case math.IsInf(o.low, -1) && math.IsInf(o.high, 1):
		b.fault("min, max: expected at least one of them")
	case o.low > o.high:
		b.fault("min: expected at most max, which is %v, found %v", o.high, o.low)
	}
	return o
}

func (o clip) outputs() []data.Field { return []data.Field{o.out} }

func (o clip) apply(in []*data.Column, numRows int) []*data.Column {
	out := make([]float64, numRows)
	vector.Clip(out, floats(in[0]), o.low, o.high)
	return []*data.Column{float64Column(out, in[0].Valid)}
}

// interact is the product of all.
type interact struct{ out data.Field }

func newInteract(b *builder) operation { return interact{b.field(data.Float64)} }

func (o interact) outputs() []data.Field { return []data.Field{o.out} }

func (o interact) apply(in []*data.Column, numRows int) []*data.Column {
	out := make([]float64, numRows)
	copy(out, floats(in[0]))
	valid := in[0].Valid
	for _, c := range in[1:] {
		vector.Multiply(out, floats(c))
		valid = vector.And(valid, c.Valid)
	}
	return []*data.Column{float64Column(out, valid)}
}
