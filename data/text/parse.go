package text

import (
	"math"
	"strconv"
)

// parseInt reads a whole number with an optional sign.
func parseInt(b []byte) (int64, bool) {
	d := b
	negative := false
	if len(d) > 0 && (d[0] == '-' || d[0] == '+') {
		negative = d[0] == '-'
		d = d[1:]
	}
	if len(d) == 0 {
		return 0, false
	}
	if len(d) > 18 { // may not fit
		v, err := strconv.ParseInt(string(b), 10, 64)
		return v, err == nil
	}
	n := int64(0)
	for _, c := range d {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if negative {
		n = -n
	}
	return n, true
}

// powers of ten that float64 holds exactly.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// decimal is a number as it is written: mantissa · 10^exponent.
type decimal struct {
	mantissa uint64
	exponent int
	digits   int // of the mantissa, without zeros in front
	negative bool
}

// parseFloat reads a decimal number, NaN or an infinity; bits is 32 or 64. A
// number beyond the type's range is none. The result is the nearest float.
//
// Source of the fast way: Clinger, PLDI 1990.
func parseFloat(b []byte, bits int) (float64, bool) {
	d, ok := scanDecimal(b)
	if !ok {
		return namedFloat(b)
	}
	if d.digits <= 19 && d.mantissa <= 1<<53 && -22 <= d.exponent && d.exponent <= 22 && bits == 64 {
		v := float64(d.mantissa)
		if d.exponent < 0 {
			v /= powers[-d.exponent]
		} else {
			v *= powers[d.exponent]
		}
		if d.negative {
			v = -v
		}
		return v, true
	}
	v, err := strconv.ParseFloat(string(b), bits)
	return v, err == nil
}

// scanDecimal reads sign, digits with a point among them, and exponent. The
// mantissa is right for up to 19 digits.
func scanDecimal(b []byte) (d decimal, ok bool) {
	i := 0
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		d.negative = b[i] == '-'
		i++
	}
	seen, point := 0, -1
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c <= 9 {
			seen++
			d.mantissa = d.mantissa*10 + uint64(c)
			if d.mantissa > 0 {
				d.digits++
			}
			continue
		}
		if b[i] != '.' || point >= 0 {
			break
		}
		point = seen
	}
	if seen == 0 {
		return d, false
	}
	if point >= 0 {
		d.exponent = point - seen
	}
	if i == len(b) {
		return d, true
	}
	if b[i]|0x20 != 'e' || i+1 == len(b) {
		return d, false
	}
	e, ok := parseInt(b[i+1:])
	if !ok || e > 1<<20 || e < -1<<20 {
		return d, false
	}
	d.exponent += int(e)
	return d, true
}

// namedFloat reads NaN and infinities in the usual spellings.
func namedFloat(b []byte) (float64, bool) {
	sign := 1
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	switch string(b) {
	case "NaN", "nan", "NAN":
		return math.NaN(), true
	case "inf", "Inf", "INF", "Infinity", "infinity":
		return math.Inf(sign), true
	}
	return 0, false
}

// parseBool reads true and false, in small letters, capitals or with a capital
// in front.
func parseBool(b []byte) (value, ok bool) {
	switch string(b) {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// twoDigits reads two digits at b[i]; anything else is more than 99.
func twoDigits(b []byte, i int) int {
	t, u := b[i]-'0', b[i+1]-'0'
	if t > 9 || u > 9 {
		return 100
	}
	return int(t)*10 + int(u)
}

// parseDate reads a date such as 2024-01-31 as days since 1970.
func parseDate(b []byte) (int32, bool) {
	if len(b) != 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	century, year, month, day := twoDigits(b, 0), twoDigits(b, 2), twoDigits(b, 5), twoDigits(b, 8)
	if century > 99 || year > 99 || month < 1 || month > 12 || day < 1 {
		return 0, false
	}
	y := century*100 + year
	if y == 0 || day > daysOf(y, month) {
		return 0, false
	}
	return days(y, month, day), true
}

func daysOf(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// days counts from 1970-01-01 in the Gregorian calendar.
//
// Source: Hinnant, chrono-compatible low-level date algorithms, days_from_civil.
func days(y, m, d int) int32 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int32(era*146097 + doe - 719468)
}

const microsOfDay = 86_400_000_000

// parseTimestamp reads a date, or a date and a time with T or a space between
// them, up to nine places of a second, and a zone (Z, +02, +0200, +02:00). The
// result is microseconds since 1970, of UTC when there is a zone; what is
// smaller than a microsecond is cut off.
func parseTimestamp(b []byte) (micros int64, zoned, ok bool) {
	if len(b) < 10 {
		return 0, false, false
	}
	day, ok := parseDate(b[:10])
	if !ok {
		return 0, false, false
	}
	micros = int64(day) * microsOfDay
	if len(b) == 10 {
		return micros, false, true
	}
	if len(b) < 16 || b[10] != 'T' && b[10] != ' ' && b[10] != 't' || b[13] != ':' {
		return 0, false, false
	}
	hour, minute := twoDigits(b, 11), twoDigits(b, 14)
	if hour > 23 || minute > 59 {
		return 0, false, false
	}
	micros += int64(hour*60+minute) * 60_000_000
	rest := b[16:]
	if len(rest) >= 3 && rest[0] == ':' {
		second := twoDigits(rest, 1)
		if second > 59 {
			return 0, false, false
		}
		micros += int64(second) * 1_000_000
		if rest = rest[3:]; len(rest) > 0 && (rest[0] == '.' || rest[0] == ',') {
			part, n := fraction(rest[1:])
			if n == 0 {
				return 0, false, false
			}
			micros += part
			rest = rest[1+n:]
		}
	}
	if len(rest) == 0 {
		return micros, false, true
	}
	offset, ok := zone(rest)
	return micros - offset*60_000_000, true, ok
}

// fraction reads up to nine digits after the point as microseconds, and returns
// how many there were.
func fraction(b []byte) (micros int64, n int) {
	unit := int64(100_000)
	for n < len(b) && n < 9 && b[n]-'0' <= 9 {
		micros += int64(b[n]-'0') * unit
		unit /= 10
		n++
	}
	return micros, n
}

// zone reads an offset from UTC in minutes.
func zone(b []byte) (minutes int64, ok bool) {
	if b[0] == ' ' && len(b) > 1 {
		b = b[1:]
	}
	if len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') || string(b) == "UTC" {
		return 0, true
	}
	sign := int64(1)
	switch {
	case b[0] == '-':
		sign = -1
	case b[0] != '+':
		return 0, false
	}
	b = b[1:]
	var hour, minute int
	switch {
	case len(b) == 2:
		hour = twoDigits(b, 0)
	case len(b) == 4:
		hour, minute = twoDigits(b, 0), twoDigits(b, 2)
	case len(b) == 5 && b[2] == ':':
		hour, minute = twoDigits(b, 0), twoDigits(b, 3)
	default:
		return 0, false
	}
	if hour > 18 || minute > 59 {
		return 0, false
	}
	return sign * int64(hour*60+minute), true
}
