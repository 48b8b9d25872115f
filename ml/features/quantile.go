package features

import (
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// quantiles summarises the distribution of the finite numbers of one column.
type quantiles struct{ sketch.Quantiles }

func (q *quantiles) observe(in []*data.Column, mask data.Bitmap) {
	eachFloats(in[0], mask, func(values []float64) {
		for _, v := range values {
			if v-v == 0 {
				q.Add(v)
			}
		}
	})
}

func (q *quantiles) merge(other summary) { q.Merge(&other.(*quantiles).Quantiles) }

func (q *quantiles) append(b []byte) []byte {
	text, _ := q.MarshalBinary() // never fails
	return append(b, text...)
}

func (q *quantiles) decode(b []byte) error { return q.UnmarshalBinary(b) }

// robustScale is (x - median) / (upper quartile - lower quartile).
type robustScale struct {
	out    data.Field
	fitted *robustFit
}

type robustFit struct {
	Median float64 `json:"median"`
	Spread float64 `json:"spread"` // 0 where both quartiles are equal
}

func newRobustScale(b *builder) operation { return robustScale{out: b.field(data.Float64)} }

func (o robustScale) outputs() []data.Field { return []data.Field{o.out} }
func (o robustScale) summary() summary      { return &quantiles{} }
func (o robustScale) learned() any          { return orNil(o.fitted) }

func (o robustScale) fit(s summary) (operation, error) {
	q := s.(*quantiles)
	if q.N() == 0 {
		return nil, noValues("finite number")
	}
	spread := q.Quantile(0.75) - q.Quantile(0.25)
	o.fitted = &robustFit{q.Quantile(0.5), min(spread, math.MaxFloat64)}
	return o, nil
}

func (o robustScale) learn(raw []byte) (operation, error) {
	fit, err := decodeLearned(raw, func(f robustFit) bool { return finite(f.Median, f.Spread) && f.Spread >= 0 })
	o.fitted = fit
	return o, err
}

func (o robustScale) apply(in []*data.Column, numRows int) []*data.Column {
	by := o.fitted.Spread
	if by == 0 {
		by = 1
	}
	out := make([]float64, numRows)
	vector.Scale(out, floats(in[0]), o.fitted.Median, by)
	return []*data.Column{float64Column(out, in[0].Valid)}
}

// quantileBin names the interval between quantiles that holds x.
type quantileBin struct {
	out    data.Field
	bins   int
	fitted *quantileFit
	bin    bin
}

type quantileFit struct {
	Edges []float64 `json:"edges"` // the inner ones, ascending
}

func newQuantileBin(b *builder) operation {
	o := quantileBin{out: b.field(data.String), bins: b.count("bins", 4, 2)}
	if o.bins > 1000 {
		b.fault("bins: expected at most 1000, found %d", o.bins)
	}
	return o
}

func (o quantileBin) outputs() []data.Field { return []data.Field{o.out} }
func (o quantileBin) summary() summary      { return &quantiles{} }
func (o quantileBin) learned() any          { return orNil(o.fitted) }

func (o quantileBin) fit(s summary) (operation, error) {
	q := s.(*quantiles)
	if q.N() == 0 {
		return nil, noValues("finite number")
	}
	f := &quantileFit{Edges: []float64{}}
	for i := 1; i < o.bins; i++ {
		e := q.Quantile(float64(i) / float64(o.bins))
		if n := len(f.Edges); n == 0 || e > f.Edges[n-1] {
			f.Edges = append(f.Edges, e)
		}
	}
	return o.with(f), nil
}

func (o quantileBin) with(f *quantileFit) quantileBin {
	edges := slices.Concat([]float64{math.Inf(-1)}, f.Edges, []float64{math.Inf(1)})
	o.fitted, o.bin = f, bin{out: o.out, edges: edges, labels: Intervals(edges)}
	return o
}

func (o quantileBin) learn(raw []byte) (operation, error) {
	fit, err := decodeLearned(raw, func(f quantileFit) bool {
		for i, e := range f.Edges {
			if !finite(e) || i > 0 && e <= f.Edges[i-1] {
				return false
			}
		}
		return len(f.Edges) < o.bins
	})
	if err != nil {
		return nil, err
	}
	return o.with(fit), nil
}

func (o quantileBin) apply(in []*data.Column, numRows int) []*data.Column {
	return o.bin.apply(in, numRows)
}
