package bundle

import (
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

const (
	microsOfSecond = 1_000_000
	secondsOfDay   = 86_400
)

// clock is a time taken apart, in int64s.
type clock struct {
	*exporter
	days    string // since 1970-01-01
	seconds string // since midnight; none of a date
}

// clock takes a timestamp in microseconds apart; offset is what a place's clocks
// show more, in seconds, of the seconds since 1970.
func (e *exporter) clock(micros string, offset func(seconds string) string) clock {
	s := e.floorDivide(micros, microsOfSecond)
	if offset != nil {
		s = e.op("Add", s, offset(s))
	}
	days := e.floorDivide(s, secondsOfDay)
	return clock{e, days, e.op("Sub", s, e.op("Mul", days, e.integer(secondsOfDay)))}
}

// floorDivide rounds down, where Div of int64s rounds towards 0; by is positive.
func (e *exporter) floorDivide(a string, by int64) string {
	q := e.op("Div", a, e.integer(by))
	rest := e.op("Sub", a, e.op("Mul", q, e.integer(by)))
	return e.op("Sub", q, e.cast(e.op("Less", rest, e.integer(0)), onnx.Int64))
}

// part writes a part of the time: whole numbers, of is_weekend truths.
func (c clock) part(name string) string {
	divided := func(a string, by int64) string { return c.op("Div", a, c.integer(by)) }
	rest := func(a string, by int64) string { return c.op("Sub", a, c.op("Mul", divided(a, by), c.integer(by))) }
	switch name {
	case "hour":
		return divided(c.seconds, 3600)
	case "minute":
		return rest(divided(c.seconds, 60), 60)
	case "second":
		return rest(c.seconds, 60)
	case "day_of_week", "is_weekend":
		fromThursday := c.op("Add", c.days, c.integer(3)) // 1970-01-01 was one, and Monday is 0
		day := c.op("Sub", fromThursday, c.op("Mul", c.floorDivide(fromThursday, 7), c.integer(7)))
		if name == "is_weekend" {
			return c.op("GreaterOrEqual", day, c.integer(5))
		}
		return day
	}
	return c.civil(name)
}

// civil writes a part of the date, as vector.Civil computes it.
func (c clock) civil(name string) string {
	add := func(a string, n int64) string { return c.op("Add", a, c.integer(n)) }
	times := func(a string, n int64) string { return c.op("Mul", a, c.integer(n)) }
	divided := func(a string, by int64) string { return c.op("Div", a, c.integer(by)) }
	const ofEra, toEra = 146_097, 719_468 // days of 400 years; days from 0000-03-01 to 1970-01-01
	z := add(c.days, toEra)
	era := c.floorDivide(z, ofEra)
	inEra := c.op("Sub", z, times(era, ofEra))
	shorter := c.op("Sub", c.op("Add", c.op("Sub", inEra, divided(inEra, 1460)), divided(inEra, 36_524)), divided(inEra, 146_096))
	yearOfEra := divided(shorter, 365)
	before := c.op("Sub", c.op("Add", times(yearOfEra, 365), divided(yearOfEra, 4)), divided(yearOfEra, 100))
	inYear := c.op("Sub", inEra, before) // from 1 March
	m := divided(add(times(inYear, 5), 2), 153)
	sameYear := c.op("Less", m, c.integer(10)) // as that of 1 March
	year := c.op("Add", yearOfEra, times(era, 400))
	month := c.op("Where", sameYear, add(m, 3), add(m, -9))
	switch name {
	case "day":
		return add(c.op("Sub", inYear, divided(add(times(m, 153), 2), 5)), 1)
	case "month":
		return month
	case "quarter":
		return divided(add(month, 2), 3)
	case "day_of_year":
		whole := func(by int64) string { // 0 unless by divides the year
			return c.op("Equal", c.op("Sub", year, times(c.floorDivide(year, by), by)), c.integer(0))
		}
		leap := c.op("And", whole(4), c.op("Or", c.op("Not", whole(100)), whole(400)))
		return c.op("Where", sameYear, c.op("Add", add(inYear, 60), c.cast(leap, onnx.Int64)), add(inYear, -305))
	}
	return c.op("Where", sameYear, year, add(year, 1))
}

// datetime takes a column of times apart.
func (s *step) datetime() ([]value, error) {
	in := s.in[0]
	missing := s.missing(in)
	c := clock{s.exporter, s.integers(in, missing), ""}
	if in.kind == data.Timestamp {
		offset, err := s.offsets()
		if err != nil {
			return nil, err
		}
		c = s.clock(c.days, offset)
	}
	parts, err := textList(s.Params["parts"])
	if err != nil {
		return nil, err
	}
	cyclical, err := textList(s.Params["cyclical"])
	if err != nil {
		return nil, err
	}
	var out []value
	for _, name := range parts {
		kind := data.Int32
		if name == "is_weekend" {
			kind = data.Bool
		}
		number := s.cast(c.part(name), onnx.Double)
		out = append(out, value{name: s.op("Where", missing, s.nan(), number), kind: kind, nullable: true})
	}
	for _, name := range cyclical {
		place := c.part(name)
		for _, table := range circle(name) {
			numbers := s.graph.Constant(s.name("circle"), onnx.Tensor{Shape: []int64{int64(len(table))}, Doubles: table})
			out = append(out, numeric(s.op("Where", missing, s.nan(), s.op("Gather", numbers, place)))...)
		}
	}
	return out, nil
}

// textList is a list of texts, or none.
func textList(v any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	return asTexts(v)
}

// circle returns the sine and the cosine of each value of a part.
func circle(part string) [2][]float64 {
	period := map[string]int{"quarter": 4, "month": 12, "day": 31, "day_of_year": 366, "day_of_week": 7, "hour": 24, "minute": 60, "second": 60}[part]
	var out [2][]float64
	for v := range period + 1 {
		sin, cos := vector.Turn(v, max(period, 1))
		out[0], out[1] = append(out[0], sin), append(out[1], cos)
	}
	return out
}

// offsets returns what writes the offsets of the zone, or nil of UTC.
func (s *step) offsets() (func(seconds string) string, error) {
	all, ok := s.Learned.(map[string]any)
	if !ok {
		return nil, nil
	}
	starts, err := asNumbers(all["starts"])
	if err != nil {
		return nil, err
	}
	seconds, err := asNumbers(all["seconds"])
	if err != nil {
		return nil, err
	}
	if len(starts) == 0 || len(starts) != len(seconds) {
		return nil, fault.New(fault.Internal, "a zone of %d times and %d offsets", len(starts), len(seconds))
	}
	whole := func(of []float64) []int64 {
		out := make([]int64, len(of))
		for i, v := range of {
			if out[i] = math.MinInt64; v > math.MinInt64 {
				out[i] = int64(v)
			}
		}
		return out
	}
	table := s.graph.Constant(s.name("offsets"), onnx.Tensor{Shape: []int64{int64(len(seconds))}, Int64s: whole(seconds)})
	if len(seconds) == 1 {
		return func(string) string { return table }, nil
	}
	// What is before the first has its offset, so it counts as begun.
	later := whole(starts[1:])
	if !slices.IsSorted(later) {
		return nil, fault.New(fault.Internal, "a zone whose times are not in order")
	}
	begins := s.graph.Constant(s.name("begins"), onnx.Tensor{Shape: []int64{1, int64(len(later))}, Int64s: later})
	axis := s.graph.Constant(s.name("axis"), onnx.Tensor{Shape: []int64{1}, Int64s: []int64{1}})
	return func(at string) string {
		begun := s.op("ReduceSum", s.cast(s.op("GreaterOrEqual", at, begins), onnx.Int64), axis)
		return s.op("Gather", table, begun)
	}, nil
}
