package features

import (
	"encoding/json"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// moments summarises the finite numbers of one column.
type moments struct{ sketch.Moments }

func (m *moments) observe(in []*data.Column, mask data.Bitmap) {
	eachFloats(in[0], mask, m.Observe)
}
func (m *moments) merge(other summary)    { m.Merge(&other.(*moments).Moments) }
func (m *moments) append(b []byte) []byte { return m.Append(b) }
func (m *moments) decode(b []byte) error  { return m.UnmarshalBinary(b) }

// noValues is the error of a column that nothing can be learned from.
func noValues(what string) error {
	return fault.New(fault.Invalid, "none of the rows to learn from has a %s; leave it out, or check the column", what)
}

// decodeLearned reads what an operation has learned, and checks it.
func decodeLearned[T any](raw []byte, sound func(T) bool) (*T, error) {
	var got *T
	if err := json.Unmarshal(raw, &got); err != nil {
		return nil, err
	}
	if got == nil || !sound(*got) {
		return nil, fault.New(fault.Corrupt, "what was learned is not sound: %s", raw[:min(len(raw), 100)])
	}
	return got, nil
}

// orNil turns a nil pointer into a nil any.
func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}

func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// standardScale is (x - mean) / std.
type standardScale struct {
	out    data.Field
	fitted *scaleFit
}

type scaleFit struct {
	Mean float64 `json:"mean"`
	Std  float64 `json:"std"` // 0 where all values are equal
}

func newStandardScale(b *builder) operation {
	return standardScale{out: b.field(data.Float64)}
}

func (s standardScale) outputs() []data.Field { return []data.Field{s.out} }
func (s standardScale) summary() summary      { return &moments{} }
func (s standardScale) learned() any          { return orNil(s.fitted) }

func (s standardScale) fit(sum summary) (operation, error) {
	m := sum.(*moments)
	if m.N() == 0 {
		return nil, noValues("finite number")
	}
	s.fitted = &scaleFit{m.Mean(), m.Std()}
	return s, nil
}

func (s standardScale) learn(raw []byte) (operation, error) {
	fit, err := decodeLearned(raw, func(f scaleFit) bool { return finite(f.Mean, f.Std) && f.Std >= 0 })
	s.fitted = fit
	return s, err
}

func (s standardScale) apply(in []*data.Column, numRows int) []*data.Column {
	by := s.fitted.Std
	if by == 0 {
		by = 1
	}
	out := make([]float64, numRows)
	vector.Scale(out, floats(in[0]), s.fitted.Mean, by)
	return []*data.Column{float64Column(out, in[0].Valid)}
}

// log1p is log(1 + x).
type log1p struct{ out data.Field }

func newLog1p(b *builder) operation { return log1p{b.field(data.Float64)} }

func (l log1p) outputs() []data.Field { return []data.Field{l.out} }

func (l log1p) apply(in []*data.Column, numRows int) []*data.Column {
	out, values, valid := make([]float64, numRows), floats(in[0]), in[0].Valid
	if !vector.Log1p(out, values) {
		valid = vector.Clear(valid, values, func(v float64) bool { return v <= -1 })
	}
	return []*data.Column{float64Column(out, valid)}
}

// ratio is a / b.
type ratio struct{ out data.Field }

func newRatio(b *builder) operation { return ratio{b.field(data.Float64)} }

func (r ratio) outputs() []data.Field { return []data.Field{r.out} }

func (r ratio) apply(in []*data.Column, numRows int) []*data.Column {
	out, above, below := make([]float64, numRows), floats(in[0]), floats(in[1])
	valid := vector.And(in[0].Valid, in[1].Valid)
	if !vector.Ratio(out, above, below) {
		valid = vector.Clear(valid, below, func(v float64) bool { return v == 0 })
	}
	return []*data.Column{float64Column(out, valid)}
}
