package expr

import (
	"math"

	"github.com/troupe-ml/troupe/ml/features/vector"
)

const (
	microsOfSecond = 1_000_000
	microsOfDay    = 86_400 * microsOfSecond
)

func isTime(t term) bool { return t.kind == timeKind || t.kind == dateKind }

func timeFunctions() map[string]function {
	out := map[string]function{
		"date":  {1, 1, "date(a)", dateOf},
		"epoch": {1, 1, "epoch(a)", epoch},
	}
	for _, part := range []string{"year", "quarter", "month", "day", "day_of_year", "day_of_week", "is_weekend"} {
		out[part] = partOf(part, timeKind, dateKind)
	}
	for _, part := range []string{"hour", "minute", "second"} {
		out[part] = partOf(part, timeKind)
	}
	return out
}

func partOf(part string, kinds ...kind) function {
	return function{1, 1, part + "(a)", func(c *checker, _ *tree, args []term) term {
		a := c.want(part, args[0], kinds...)
		days := a.node
		if a.kind == timeKind {
			days = map1[int64, int64]{of: a.node, run: daysOf}
		}
		out := term{typ: typ{kind: intKind}, cost: 4}
		switch part {
		case "hour":
			out.node = map1[int64, int64]{of: a.node, run: hours}
		case "minute":
			out.node = map1[int64, int64]{of: a.node, run: minutes}
		case "second":
			out.node = map1[int64, int64]{of: a.node, run: seconds}
		case "day_of_week":
			out.node = map1[int64, int64]{of: days, run: weekdays}
		case "is_weekend":
			out.kind = truthKind
			out.node = map1[int64, uint8]{of: days, run: weekends}
		default:
			out.node = calendar{days, part}
		}
		return out
	}}
}

func floorDivide(a, b int64) int64 {
	q := a / b
	if q*b > a {
		q--
	}
	return q
}

func daysOf(dst, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = floorDivide(v, microsOfDay)
	}
	return true
}

// inDay returns the microseconds since midnight.
func inDay(v int64) uint64 {
	r := v % microsOfDay
	r += microsOfDay & (r >> 63)
	return uint64(r)
}

func hours(dst, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = int64(inDay(v) / (3600 * microsOfSecond))
	}
	return true
}

func minutes(dst, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = int64(inDay(v) / (60 * microsOfSecond) % 60)
	}
	return true
}

func seconds(dst, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = int64(inDay(v) / microsOfSecond % 60)
	}
	return true
}

// weekday is from 0, Monday; 1970-01-01 was a Thursday.
func weekday(day int64) int64 {
	w := (day + 3) % 7
	return w + 7&(w>>63)
}

func weekdays(dst, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = weekday(v)
	}
	return true
}

func weekends(dst []uint8, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = no - one(weekday(v) >= 5)
	}
	return true
}

// calendar takes a part of the date from days.
type calendar struct {
	of   node
	part string
}

func (c calendar) eval(f *frame) vec {
	a := c.of.eval(f)
	n := f.n
	all := make([]int32, 5*n)
	days, year, month, day, yearDay := all[:n:n], all[n:2*n:2*n], all[2*n:3*n:3*n], all[3*n:4*n:4*n], all[4*n:]
	for i, d := range a.ints {
		days[i] = int32(d)
	}
	vector.Civil(year, month, day, yearDay, days)
	out := take[int64](f)
	from := map[string][]int32{"year": year, "quarter": month, "month": month, "day": day, "day_of_year": yearDay}[c.part]
	for i, v := range from {
		out[i] = int64(v)
	}
	if c.part == "quarter" {
		for i, v := range out {
			out[i] = (v + 2) / 3
		}
	}
	valid := f.both(a)
	f.release(a)
	return made(f, out, valid)
}

// dateOf is date(a), of a timestamp or a text.
func dateOf(c *checker, _ *tree, args []term) term {
	a := c.want("date", args[0], timeKind, dateKind, textKind)
	out := term{typ: typ{kind: dateKind}, node: a.node, cost: 2}
	switch a.kind {
	case timeKind:
		out.node = map1[int64, int64]{of: a.node, run: daysOf}
	case textKind:
		out.node, out.cost = c.texts(dateKind, args, readDate), 4
	}
	return out
}

// epoch is the seconds since 1970.
func epoch(c *checker, _ *tree, args []term) term {
	a := c.want("epoch", args[0], timeKind, dateKind)
	if a.kind == dateKind {
		return floatOf(map1[int64, float64]{of: a.node, run: func(dst []float64, a []int64) bool {
			for i, v := range a[:len(dst)] {
				dst[i] = float64(v * 86_400)
			}
			return true
		}})
	}
	return floatOf(map1[int64, float64]{of: a.node, run: microsToSeconds})
}

func microsToSeconds(dst []float64, a []int64) bool {
	for i, v := range a[:len(dst)] {
		dst[i] = float64(v) / microsOfSecond
	}
	return true
}

// elapsed is the seconds from one timestamp to another, or the days from one
// date to another.
func (c *checker) elapsed(a, b term) term {
	both := c.alike("-", []term{a, b})
	difference := map2[int64, int64]{both[0].node, both[1].node, subtractInts, subtractBeyond}
	if both[0].kind == dateKind {
		return intOf(difference)
	}
	return floatOf(map1[int64, float64]{of: difference, run: microsToSeconds})
}

// shift moves a timestamp by seconds, or a date by whole days.
func (c *checker) shift(t, by term, op string) term {
	if t.kind == dateKind && by.kind == floatKind {
		fail(by.at, "a date moves by whole days, found a number that may have a fraction", "write int(...)")
	}
	s := shifted{t.node, c.float(op, by).node, microsOfSecond, math.MinInt64, math.MaxInt64}
	if t.kind == dateKind {
		s.unit, s.least, s.most = 1, math.MinInt32, math.MaxInt32
	}
	if op == "-" {
		s.unit = -s.unit
	}
	return term{typ: t.typ, node: s, cost: 3}
}

// shifted is a time and so many units more.
type shifted struct {
	of, by      node
	unit        float64
	least, most int64
}

func (s shifted) eval(f *frame) vec {
	a, b := s.of.eval(f), s.by.eval(f)
	out := take[int64](f)
	valid := f.both(a, b)
	for i, v := range a.ints {
		by, ok := toInt(math.Round(b.floats[i] * s.unit))
		out[i] = v + by
		if !ok || addBeyond(v, by) || out[i] < s.least || out[i] > s.most {
			valid = f.all(valid)
			valid.Clear(i)
		}
	}
	f.release(a, b)
	return made(f, out, valid)
}
