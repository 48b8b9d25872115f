package data

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ValueKind is the kind of a literal.
type ValueKind uint8

// The kinds of literals. Times and dates are written as strings; Bind reads
// them when the column asks for it.
const (
	BoolLiteral ValueKind = iota
	IntLiteral
	FloatLiteral
	StringLiteral
)

// Value is one literal of a predicate, or one bound of a Range. Values can be
// compared with ==, save for NaN, which no predicate may hold.
type Value struct {
	kind ValueKind
	i    int64 // Int, and Bool as 0 or 1
	f    float64
	s    string
}

// BoolValue returns a truth value.
func BoolValue(v bool) Value {
	if v {
		return Value{kind: BoolLiteral, i: 1}
	}
	return Value{kind: BoolLiteral}
}

// IntValue returns a whole number. In a Range it is also a timestamp in
// microseconds or a date in days, as columns hold them.
func IntValue(v int64) Value { return Value{kind: IntLiteral, i: v} }

// FloatValue returns a number.
func FloatValue(v float64) Value { return Value{kind: FloatLiteral, f: v} }

// StringValue returns a text, or a time or date written as one.
func StringValue(v string) Value { return Value{kind: StringLiteral, s: v} }

// Kind returns which of the four functions has made v.
func (v Value) Kind() ValueKind { return v.kind }

// Bool returns the value of BoolValue.
func (v Value) Bool() bool { return v.i != 0 }

// Int returns the value of IntValue.
func (v Value) Int() int64 { return v.i }

// Float returns the value of FloatValue, or of IntValue rounded to nearest.
func (v Value) Float() float64 {
	if v.kind == IntLiteral {
		return float64(v.i)
	}
	return v.f
}

// Text returns the value of StringValue.
func (v Value) Text() string { return v.s }

// String writes the literal as a where clause has it: true, 12, 1.5, 'it”s'.
func (v Value) String() string {
	switch v.kind {
	case BoolLiteral:
		return strconv.FormatBool(v.i != 0)
	case IntLiteral:
		return strconv.FormatInt(v.i, 10)
	case FloatLiteral:
		s := strconv.FormatFloat(v.f, 'g', -1, 64)
		if !strings.ContainsAny(s, ".eIN") {
			s += ".0" // else it would be read as a whole number
		}
		return s
	default:
		return "'" + strings.ReplaceAll(v.s, "'", "''") + "'"
	}
}

// timeLayouts are the ways to write a time in a predicate. Fractions of a
// second may follow the seconds of any of them.
var timeLayouts = []string{
	"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
	"2006-01-02 15:04Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02",
}

// ParseTimestamp reads a time such as 2024-05-01, 2024-05-01 12:30 or
// 2024-05-01T12:30:00.25+02:00 as microseconds since 1970. Without an offset it
// is taken as it stands, which for columns of instants means UTC; an offset is
// refused when utc is not set, since a wall time has none.
func ParseTimestamp(s string, utc bool) (int64, error) {
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if !utc && strings.HasSuffix(layout, "Z07:00") {
			return 0, fmt.Errorf("%q has an offset from UTC, the column's times have none: write it without", s)
		}
		if t.Nanosecond()%1000 != 0 {
			return 0, fmt.Errorf("%q is finer than a microsecond", s)
		}
		if y := t.Year(); y < -200_000 || y > 200_000 {
			return 0, fmt.Errorf("%q is out of range", s)
		}
		return t.UnixMicro(), nil
	}
	return 0, fmt.Errorf("%q is no time: write 2006-01-02, 2006-01-02 15:04:05 or 2006-01-02T15:04:05Z", s)
}

// ParseDate reads a date such as 2024-05-01 as days since 1970.
func ParseDate(s string) (int32, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("%q is no date: write 2006-01-02", s)
	}
	return int32(t.Unix() / 86400), nil // years 0 to 9999, at midnight: no remainder
}

// floorInt returns the greatest integer that is not above f, and whether f lies
// within int64 at all: below is -1 when it is less than every int64, +1 when it
// is greater.
func floorInt(f float64) (v int64, beyond int) {
	f = math.Floor(f)
	switch {
	case f < -1<<63:
		return math.MinInt64, -1
	case f >= 1<<63:
		return math.MaxInt64, 1
	}
	return int64(f), 0
}
