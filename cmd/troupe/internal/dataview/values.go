package dataview

import (
	"cmp"
	"math"
	"slices"
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
	Times     map[string]string        `json:"time_quantiles,omitempty"`
	Top       []Top                    `json:"top,omitempty"`       // the most frequent values
	Histogram []int64                  `json:"histogram,omitempty"` // counts in equal bins, of numbers from p01 to p99, of times from first to last
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
	maxFew      = 12 // different numbers, up to which they are listed
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
	origin          int64           // numbers of times count from here, since they are rounded by their size
}

// newSummary returns one that has seen nothing; known is what is known of the
// column beforehand.
func newSummary(f data.Field, known data.Range) *summary {
	return &summary{field: f, origin: originOf(f, known), numbers: sketch.NewQuantiles(maxDistinct), counts: sketch.NewCounts(maxDistinct)}
}

// originOf is the earliest time, as the footers say.
func originOf(f data.Field, known data.Range) int64 {
	if known.Bounded && (f.Type == data.Timestamp || f.Type == data.Date) {
		return known.Min.Int()
	}
	return 0
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
	s.numbers.Add(float64(v) - float64(s.origin))
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
			v.Min, v.Max = instant(s.field, s.earliest), instant(s.field, s.later)
		}
		if s.seen && (s.origin != 0 || s.numbers.Exact()) {
			v.Times = map[string]string{}
			for name, x := range s.percentiles() {
				v.Times[name] = instant(s.field, min(max(int64(x)+s.origin, s.earliest), s.later))
			}
			s.histogram(v, float64(s.earliest-s.origin), float64(s.later-s.origin))
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
func instant(f data.Field, v int64) string {
	switch {
	case f.Type == data.Date:
		return time.Unix(v*86400, 0).UTC().Format(time.DateOnly)
	case f.UTC:
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
	for name, x := range s.percentiles() {
		v.Quantiles[name] = render.Number(x)
	}
	s.histogram(v, float64(v.Quantiles["p01"]), float64(v.Quantiles["p99"]))
	if s.numbers.Exact() && v.Distinct <= maxFew {
		s.few(v)
	}
}

// percentiles are those that are told.
func (s *summary) percentiles() map[string]float64 {
	out := map[string]float64{}
	for name, p := range map[string]float64{"p01": .01, "p25": .25, "p50": .5, "p75": .75, "p99": .99} {
		out[name] = s.numbers.Quantile(p)
	}
	return out
}

// few lists the most frequent of a few different numbers.
func (s *summary) few(v *Values) {
	for x, n := range s.numbers.All() {
		v.Top = append(v.Top, Top{render.Number(x).String(), n})
	}
	slices.SortStableFunc(v.Top, func(a, b Top) int { return cmp.Compare(b.Count, a.Count) })
	v.Top = v.Top[:min(len(v.Top), maxTop)]
}

// histogram counts the values in equal bins.
func (s *summary) histogram(v *Values, low, high float64) {
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
