package features

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the rules of zones, where the machine has none

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// parts are the parts of a time, in the order of messages. Those with a period
// can be put on a circle.
var parts = []struct {
	name   string
	period int
	clock  bool // it takes a time of day
}{
	{"year", 0, false}, {"quarter", 4, false}, {"month", 12, false}, {"day", 31, false},
	{"day_of_year", 366, false}, {"day_of_week", 7, false}, {"is_weekend", 0, false},
	{"hour", 24, true}, {"minute", 60, true}, {"second", 60, true},
}

// datetime takes times apart.
type datetime struct {
	of       data.Field
	name     string
	parts    []string
	cyclical []string
	circles  [][2][]float64 // of cyclical: the sine and the cosine of each value
	offsets  vector.Offsets
	zoned    bool // offsets are not those of UTC
}

func newDatetime(b *builder) operation {
	o := datetime{of: b.in[0], name: b.step.Name, parts: b.texts("parts"), cyclical: b.texts("cyclical")}
	if len(o.parts)+len(o.cyclical) == 0 {
		b.fault("parts: expected a list, such as [hour, day_of_week, month, is_weekend]")
	}
	for _, p := range o.parts {
		o.check(b, "parts", p, false)
	}
	for _, p := range o.cyclical {
		o.check(b, "cyclical", p, true)
		o.circles = append(o.circles, circle(p))
	}
	o.zone(b, b.text("time_zone", "UTC"))
	return o
}

func (o datetime) check(b *builder, param, part string, circle bool) {
	var names []string
	for _, p := range parts {
		if circle && p.period == 0 {
			continue
		}
		names = append(names, p.name)
		if p.name != part {
			continue
		}
		if p.clock && o.of.Type == data.Date {
			b.fault("%s: a date has no %s", param, part)
		}
		return
	}
	b.fault("%s: there is no %q%s", param, part, didYouMean(part, names))
}

var fixedOffset = regexp.MustCompile(`^[+-]\d\d:\d\d$`)

// zone finds the offsets of a time zone: UTC, +02:00, or a name such as
// Europe/Berlin.
func (o *datetime) zone(b *builder, name string) {
	o.offsets = vector.Offsets{Starts: []int64{math.MinInt64}, Seconds: []int32{0}}
	if strings.EqualFold(name, "UTC") || name == "Z" {
		return
	}
	o.zoned = true
	if !o.of.UTC {
		b.fault("time_zone: %q holds wall times, not instants, and cannot be moved to %s; leave time_zone out", o.of.Name, name)
		return
	}
	if fixedOffset.MatchString(name) {
		hours, _ := strconv.Atoi(name[1:3])
		minutes, _ := strconv.Atoi(name[4:6])
		seconds := int32(hours*3600 + minutes*60)
		if name[0] == '-' {
			seconds = -seconds
		}
		if hours > 18 || minutes > 59 {
			b.fault("time_zone: expected at most 18 hours and 59 minutes, found %s", name)
		}
		o.offsets.Seconds[0] = seconds
		return
	}
	if b.loading {
		return
	}
	place, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" {
		b.fault("time_zone: there is no %q; expected UTC, an offset such as +02:00, or a name such as Europe/Berlin", name)
		return
	}
	o.offsets = offsetsOf(place)
}

// offsetsOf writes down the offsets of a place from 1900 to 2100; what is before
// or after has the offset of the nearest end.
func offsetsOf(place *time.Location) vector.Offsets {
	var out vector.Offsets
	last := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for t := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC); t.Before(last); {
		local := t.In(place)
		_, seconds := local.Zone()
		if n := len(out.Seconds); n == 0 || out.Seconds[n-1] != int32(seconds) {
			out.Starts = append(out.Starts, t.Unix())
			out.Seconds = append(out.Seconds, int32(seconds))
		}
		_, end := local.ZoneBounds()
		if end.IsZero() {
			break
		}
		if !end.After(t) { // known to happen at the end of leap years to come
			end = t.Add(time.Hour)
		}
		t = end
	}
	return out
}

// learned returns the rules of the zone: a pipeline carries its own, so that it
// computes the same on machines that know other ones.
func (o datetime) learned() any {
	if !o.zoned {
		return nil
	}
	return o.offsets
}

func (o datetime) learn(raw []byte) (operation, error) {
	if !o.zoned {
		return o, nil
	}
	offsets, err := decodeLearned(raw, func(f vector.Offsets) bool {
		return len(f.Starts) > 0 && len(f.Starts) == len(f.Seconds) && slices.IsSorted(f.Starts) &&
			slices.Min(f.Seconds) >= -86_400 && slices.Max(f.Seconds) <= 86_400
	})
	if err != nil {
		return nil, err
	}
	o.offsets = *offsets
	return o, nil
}

func (o datetime) outputs() []data.Field {
	out := []data.Field{}
	for _, p := range o.parts {
		t := data.Int32
		if p == "is_weekend" {
			t = data.Bool
		}
		out = append(out, data.Field{Name: o.name + "_" + p, Type: t, Nullable: true})
	}
	for _, p := range o.cyclical {
		for _, f := range []string{"_sin", "_cos"} {
			out = append(out, data.Field{Name: o.name + "_" + p + f, Type: data.Float64, Nullable: true})
		}
	}
	return out
}

func (o datetime) apply(in []*data.Column, numRows int) []*data.Column {
	t := newTimes(o, in[0], numRows)
	valid := in[0].Valid
	var out []*data.Column
	for _, p := range o.parts {
		if p != "is_weekend" {
			out = append(out, int32Column(t.part(p), valid))
			continue
		}
		truths := make([]bool, numRows)
		for i, w := range t.part("day_of_week") {
			truths[i] = w >= 5 // Saturday is 5, Sunday 6
		}
		zeroNulls(truths, valid)
		out = append(out, &data.Column{Type: data.Bool, Bools: truths, Valid: valid})
	}
	for i, p := range o.cyclical {
		values := t.part(p)
		for _, table := range o.circles[i] {
			column := make([]float64, numRows)
			for i, v := range values {
				column[i] = table[v]
			}
			out = append(out, float64Column(column, valid))
		}
	}
	return out
}

// circle returns the sine and the cosine of each value of a part.
func circle(part string) [2][]float64 {
	var out [2][]float64
	for _, p := range parts {
		if p.name != part || p.period == 0 {
			continue
		}
		for v := range p.period + 1 {
			sin, cos := vector.Turn(v, p.period)
			out[0], out[1] = append(out[0], sin), append(out[1], cos)
		}
	}
	return out
}

// times is the times of one column, taken apart as far as asked for.
type times struct {
	days, seconds []int32
	parts         map[string][]int32
}

func newTimes(o datetime, c *data.Column, numRows int) *times {
	t := &times{parts: map[string][]int32{}}
	if c.Type == data.Date {
		t.days = c.Int32s
		return t
	}
	t.days, t.seconds = make([]int32, numRows), make([]int32, numRows)
	o.offsets.Split(t.days, t.seconds, c.Int64s)
	return t
}

// part returns the values of a part. They may be changed where they are null.
func (t *times) part(name string) []int32 {
	if t.parts[name] == nil {
		t.compute(name)
	}
	return t.parts[name]
}

func (t *times) compute(name string) {
	n := len(t.days)
	out := make([]int32, n)
	switch name {
	case "year", "month", "day", "day_of_year":
		all := make([]int32, 3*n)
		year, month, day, yearDay := out, all[:n:n], all[n:2*n:2*n], all[2*n:]
		vector.Civil(year, month, day, yearDay, t.days)
		t.parts["year"], t.parts["month"], t.parts["day"], t.parts["day_of_year"] = year, month, day, yearDay
		return
	case "quarter":
		for i, m := range t.part("month") {
			out[i] = (m + 2) / 3
		}
	case "day_of_week":
		vector.Weekday(out, t.days)
	case "hour":
		for i, s := range t.seconds {
			out[i] = int32(uint32(s) / 3600)
		}
	case "minute":
		for i, s := range t.seconds {
			out[i] = int32(uint32(s) / 60 % 60)
		}
	case "second":
		for i, s := range t.seconds {
			out[i] = int32(uint32(s) % 60)
		}
	}
	t.parts[name] = out
}
