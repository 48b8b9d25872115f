package dataview

import (
	"math"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Values is what is in a column.
type Values struct {
	Nulls    int64  `json:"nulls"`
	NaNs     int64  `json:"nans,omitempty"`
	Infinite int64  `json:"infinite,omitempty"`
	Distinct int64  `json:"distinct"` // estimated when Exact is false
	Exact    bool   `json:"exact"`
	Min      string `json:"min,omitempty"`
	Max      string `json:"max,omitempty"`

	Mean      *render.Number           `json:"mean,omitempty"`
	Std       *render.Number           `json:"std,omitempty"`
	Quantiles map[string]render.Number `json:"quantiles,omitempty"` // p01, p25, p50, p75 and p99
	Top       []Top                    `json:"top,omitempty"`       // the most frequent values
	Histogram []int64                  `json:"histogram,omitempty"` // counts in equal bins from p01 to p99
}

// Top is a value and how often it occurs.
type Top struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// Bounds of what is kept and told of a column.
const (
	maxDistinct = 1 << 16
	maxTop      = 5
	numBins     = 12
)

// summary is a mergeable summary of one column.
type summary struct {
	field           data.Field
	nulls, nans     int64
	infinite        int64
	numbers         *sketch.Quantiles
	moments         sketch.Moments
	counts          *sketch.Counts
	distinct        sketch.Distinct // of times
	earliest, later int64           // of times
	seen            bool            // any time
}

func newSummary(f data.Field) *summary {
	return &summary{field: f, numbers: sketch.NewQuantiles(maxDistinct), counts: sketch.NewCounts(maxDistinct)}
}

func (s *summary) observe(c *data.Column) {
	s.nulls += int64(c.NumNulls())
	each := func(visit func(i int)) {
		for i := range c.Len() {
			if c.Valid.Get(i) {
				visit(i)
			}
		}
	}
	switch c.Type {
	case data.Bool:
		each(func(i int) { s.counts.Add(map[bool]string{false: "false", true: "true"}[c.Bools[i]], 1) })
	case data.Int32:
		each(func(i int) { s.number(float64(c.Int32s[i])) })
	case data.Int64:
		each(func(i int) { s.number(float64(c.Int64s[i])) })
	case data.Float32:
		each(func(i int) { s.number(float64(c.Float32s[i])) })
	case data.Float64:
		each(func(i int) { s.number(c.Float64s[i]) })
	case data.Timestamp:
		each(func(i int) { s.time(c.Int64s[i]) })
	case data.Date:
		each(func(i int) { s.time(int64(c.Int32s[i])) })
	case data.String:
		n := make([]int64, len(c.Dict))
		each(func(i int) { n[c.Codes[i]]++ })
		for code, count := range n {
			s.counts.Add(c.Dict[code], count)
		}
	}
}

func (s *summary) number(v float64) {
	switch {
	case math.IsNaN(v):
		s.nans++
	case math.IsInf(v, 0):
		s.infinite++
		fallthrough
	default:
		s.numbers.Add(v)
		s.moments.Add(v)
	}
}

func (s *summary) time(v int64) {
	if !s.seen {
		s.earliest, s.later, s.seen = v, v, true
	}
	s.earliest, s.later = min(s.earliest, v), max(s.later, v)
	s.distinct.AddFloat(float64(v))
}

func (s *summary) merge(o *summary) {
	s.nulls, s.nans, s.infinite = s.nulls+o.nulls, s.nans+o.nans, s.infinite+o.infinite
	s.numbers.Merge(o.numbers)
	s.moments.Merge(&o.moments)
	s.counts.Merge(o.counts)
	s.distinct.Merge(&o.distinct)
	if o.seen {
		if !s.seen {
			s.earliest, s.later, s.seen = o.earliest, o.later, true
		}
		s.earliest, s.later = min(s.earliest, o.earliest), max(s.later, o.later)
	}
}

// values is what was found; present is how many values are not null.
func (s *summary) values(present int64) *Values {
	v := &Values{Nulls: s.nulls, NaNs: s.nans, Infinite: s.infinite}
	switch s.field.Type {
	case data.Timestamp, data.Date:
		v.Distinct, v.Exact = s.distinct.Estimate(), false
		if s.seen {
			v.Min, v.Max = s.instant(s.earliest), s.instant(s.later)
		}
	case data.Bool, data.String:
		v.Distinct, v.Exact = s.counts.NumDistinct(), s.counts.Exact()
		s.texts(v)
	default:
		v.Distinct, v.Exact = s.numbers.NumDistinct(), s.numbers.Exact()
		if s.numbers.N() > 0 {
			s.quantiles(v)
		}
	}
	v.Distinct = min(v.Distinct, present) // an estimate may say more
	return v
}

// instant writes a time as its column has it.
func (s *summary) instant(v int64) string {
	switch {
	case s.field.Type == data.Date:
		return time.Unix(v*86400, 0).UTC().Format(time.DateOnly)
	case s.field.UTC:
		return time.UnixMicro(v).UTC().Format("2006-01-02T15:04:05.999999Z")
	default:
		return time.UnixMicro(v).UTC().Format("2006-01-02T15:04:05.999999")
	}
}

func (s *summary) texts(v *Values) {
	first := true
	for text := range s.counts.All() {
		if first {
			v.Min, first = text, false
		}
		v.Max = text
	}
	for i, c := range s.counts.MostFrequent() {
		if i == maxTop {
			break
		}
		v.Top = append(v.Top, Top{c.Value, c.N})
	}
}

func (s *summary) quantiles(v *Values) {
	v.Min, v.Max = render.Number(s.numbers.Min()).String(), render.Number(s.numbers.Max()).String()
	if s.moments.N() > 0 {
		mean, std := render.Number(s.moments.Mean()), render.Number(s.moments.Std())
		v.Mean, v.Std = &mean, &std
	}
	v.Quantiles = map[string]render.Number{}
	for name, p := range map[string]float64{"p01": .01, "p25": .25, "p50": .5, "p75": .75, "p99": .99} {
		v.Quantiles[name] = render.Number(s.numbers.Quantile(p))
	}
	low, high := float64(v.Quantiles["p01"]), float64(v.Quantiles["p99"])
	width := (high - low) / numBins
	if !(width > 0) || math.IsInf(width, 0) {
		return
	}
	v.Histogram = make([]int64, numBins)
	for x, n := range s.numbers.All() {
		if x >= low && x <= high {
			v.Histogram[min(numBins-1, int((x-low)/width))] += n
		}
	}
}
