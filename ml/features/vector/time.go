package vector

import "math"

const (
	microsOfSecond = 1_000_000
	secondsOfDay   = 86_400
)

// Offsets is how far the clocks of a place are ahead of UTC, in seconds:
// Seconds[i] from Starts[i], an instant in seconds since 1970, until the next;
// the first also before it. Starts ascend.
type Offsets struct {
	Starts  []int64 `json:"starts"`
	Seconds []int32 `json:"seconds"`
}

// Split writes what the clocks of a place show at instants in microseconds:
// the days since 1970-01-01, and the seconds since midnight.
func (o Offsets) Split(days, seconds []int32, micros []int64) {
	days, seconds = days[:len(micros)], seconds[:len(micros)]
	from, until, offset := int64(0), int64(0), int64(0) // an empty span
	for i, t := range micros {
		s := floorDivide(t, microsOfSecond)
		if s < from || s >= until {
			from, until, offset = o.span(s)
		}
		s += offset
		day := floorDivide(s, secondsOfDay)
		days[i] = int32(day)
		seconds[i] = int32(s - day*secondsOfDay)
	}
}

// span returns the offset at an instant, and from when until when it holds.
func (o Offsets) span(second int64) (from, until, offset int64) {
	low, high := 0, len(o.Starts) // the first that starts after the instant
	for low < high {
		if mid := (low + high) / 2; o.Starts[mid] <= second {
			low = mid + 1
		} else {
			high = mid
		}
	}
	from, until = math.MinInt64, math.MaxInt64
	if low < len(o.Starts) {
		until = o.Starts[low]
	}
	if low > 0 {
		from = o.Starts[low-1]
	}
	return from, until, int64(o.Seconds[max(low-1, 0)])
}

// floorDivide rounds down, where Go's division rounds towards zero.
func floorDivide(a, b int64) int64 {
	q := a / b
	if q*b > a {
		q--
	}
	return q
}

// Civil writes the year, the month from 1, the day of the month from 1 and the
// day of the year from 1 of days since 1970-01-01, by the Gregorian calendar.
//
// Source: Neri and Schneider, Euclidean affine functions and their application
// to calendar algorithms, Software: Practice and Experience 53(4), 2023, and
// the older form of it by Hinnant, chrono-compatible low-level date algorithms.
func Civil(year, month, day, dayOfYear, days []int32) {
	year, month, day, dayOfYear = year[:len(days)], month[:len(days)], day[:len(days)], dayOfYear[:len(days)]
	var y, m, d, doy int32
	for i, n := range days {
		if i == 0 || n != days[i-1] {
			y, m, d, doy = civil(n)
		}
		year[i], month[i], day[i], dayOfYear[i] = y, m, d, doy
	}
}

func civil(days int32) (year, month, day, dayOfYear int32) {
	const ofEra, toEra = 146_097, 719_468 // days of 400 years; days from 0000-03-01 to 1970-01-01
	z := int64(days) + toEra
	era := floorDivide(z, ofEra)
	inEra := z - era*ofEra
	yearOfEra := (inEra - inEra/1460 + inEra/36_524 - inEra/146_096) / 365
	inYear := inEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100) // from 1 March
	m := (5*inYear + 2) / 153
	day = int32(inYear - (153*m+2)/5 + 1)
	year = int32(yearOfEra + era*400)
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	if m < 10 {
		month = int32(m + 3)
		dayOfYear = int32(inYear) + 60
		if leap {
			dayOfYear++
		}
		return year, month, day, dayOfYear
	}
	return year + 1, int32(m - 9), day, int32(inYear) - 305
}

// Weekday writes the day of the week, Monday being 0, of days since 1970-01-01.
func Weekday(dst, days []int32) {
	dst = dst[:len(days)]
	for i, n := range days {
		w := (n%7 + 3) % 7 // 1970-01-01 was a Thursday
		if w < 0 {
			w += 7
		}
		dst[i] = w
	}
}

// Turn returns the sine and the cosine of part/whole of a full turn, exact
// where they are 0, 1 or -1, and else with an error below 1 ulp. whole is
// positive, part not negative.
func Turn(part, whole int) (sin, cos float64) {
	part %= whole
	eighth := 8 * part / whole
	rest := 8*part - eighth*whole // of whole: how far into the eighth
	if eighth%2 == 1 {
		rest = whole - rest // from its other end
	}
	sin, cos = sinCos(math.Pi / 4 * float64(rest) / float64(whole))
	switch eighth {
	case 1, 2, 5, 6:
		sin, cos = cos, sin
	}
	if eighth >= 4 {
		sin = -sin
	}
	if eighth >= 2 && eighth <= 5 {
		cos = -cos
	}
	return sin + 0, cos + 0
}

// sinCos sums the power series for x in 0..pi/4, from the smallest term up. Each
// product is converted on its own, which forbids fusing it with an addition.
func sinCos(x float64) (sin, cos float64) {
	x2 := float64(x * x)
	for n := 18; n >= 2; n -= 2 {
		cos = float64(x2 / float64(n*(n-1)) * float64(1-cos))
		sin = float64(x2 / float64(n*(n+1)) * float64(1-sin))
	}
	return x - float64(x*sin), 1 - cos
}
