package text

import (
	"bytes"
	"fmt"

	"github.com/troupe-ml/troupe/data"
)

// kind is what one value looks like.
type kind uint8

const (
	isInt kind = iota
	isFloat
	isBool
	isDate
	isWall
	isInstant
	isText
	numKinds
)

// Guess is what a sample of one column's values says of its type.
type Guess struct {
	seen    [numKinds]int
	nulls   int
	odd     string // the only text that is neither number nor time
	numOdd  int
	several bool // there is more than one such text
	huge    bool // whole numbers beyond int64
}

// Observe takes the text of one value. A null is one when nulls has it and it
// is not quoted.
func (g *Guess) Observe(text []byte, quoted bool, nulls *Nulls) {
	if !quoted && nulls.Has(text) || len(text) == 0 {
		g.nulls++
		return
	}
	k := kindOf(bytes.Trim(text, " \t"))
	g.seen[k]++
	if k == isText {
		g.oddOne(text)
	}
}

// ObserveNumber takes a number of JSON, ObserveBool a truth value, ObserveText
// a string, in which no numbers are looked for.
func (g *Guess) ObserveNumber(text []byte) {
	if k := kindOf(text); k == isInt || k == isFloat {
		g.seen[k]++
		return
	}
	g.huge = true
	g.seen[isText]++
	g.several = true
}

// ObserveBool takes a truth value of JSON.
func (g *Guess) ObserveBool() { g.seen[isBool]++ }

// ObserveText takes a string of JSON, in which no numbers are looked for.
func (g *Guess) ObserveText(text []byte) {
	if k := kindOf(text); k == isDate || k == isWall || k == isInstant {
		g.seen[k]++
		return
	}
	g.seen[isText]++
	g.oddOne(text)
}

// ObserveNull takes a null.
func (g *Guess) ObserveNull() { g.nulls++ }

func (g *Guess) oddOne(text []byte) {
	switch {
	case g.several:
	case g.odd == "" || g.odd == string(text):
		g.odd = cut(text, maxValue)
		g.numOdd++
	default:
		g.several = true
	}
	if d, ok := scanDecimal(text); ok { // a code, or a number that is too large
		g.several = true
		g.huge = g.huge || d.exponent == 0 && d.digits > 18
	}
}

// kindOf says what the text looks like. What begins with a plus, or with a zero
// before other digits, is no number but a code, such as 00451.
func kindOf(b []byte) kind {
	if len(b) == 0 {
		return isText
	}
	switch c := b[0]; {
	case c-'0' <= 9 || c == '-' || c == '.':
		return kindOfDigits(b)
	case c == '+':
		return isText
	}
	if _, ok := parseBool(b); ok {
		return isBool
	}
	if _, ok := namedFloat(b); ok {
		return isFloat
	}
	return isText
}

func kindOfDigits(b []byte) kind {
	if len(b) >= 10 && b[4] == '-' {
		if _, ok := parseDate(b); ok {
			return isDate
		}
		if _, zoned, ok := parseTimestamp(b); ok {
			if zoned {
				return isInstant
			}
			return isWall
		}
		return isText
	}
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(digits) > 1 && digits[0] == '0' && digits[1]-'0' <= 9 {
		return isText
	}
	if _, ok := parseInt(b); ok {
		return isInt
	}
	if d, ok := scanDecimal(b); ok && d.exponent == 0 && !bytes.ContainsAny(b, ".eE") {
		return isText // beyond int64: a float would lose digits
	}
	if _, ok := parseFloat(b, 64); ok {
		return isFloat
	}
	return isText
}

// Format returns the type that all values of the sample have, text if there is
// none but text, and what a person may want to know about that.
func (g *Guess) Format(column string) (f Format, note string) {
	f.Name, f.Nullable = column, true
	n := 0
	for _, c := range g.seen {
		n += c
	}
	only := func(kinds ...kind) bool {
		sum := 0
		for _, k := range kinds {
			sum += g.seen[k]
		}
		return n > 0 && sum == n
	}
	f.Type = data.String
	switch {
	case n == 0:
		note = "the sample has no value: taken as text"
	case only(isInt):
		f.Type = data.Int64
	case only(isInt, isFloat):
		f.Type = data.Float64
	case only(isBool):
		f.Type = data.Bool
	case only(isDate):
		f.Type = data.Date
	case only(isDate, isWall):
		f.Type = data.Timestamp
	case only(isInstant):
		f.Type, f.UTC = data.Timestamp, true
	case g.seen[isInstant] > 0 && only(isDate, isWall, isInstant):
		note = fmt.Sprintf("some times have a zone and some have none: --type %s=timestamp_utc takes all as UTC", column)
	default:
		note = g.nearMiss(n)
	}
	return f, note
}

// nearMiss says why a column is text though much of it is not.
func (g *Guess) nearMiss(n int) string {
	text := g.seen[isText]
	switch {
	case g.huge:
		return "whole numbers beyond 64 bits: taken as text"
	case text > 0 && text < n && !g.several && g.numOdd == text:
		return fmt.Sprintf("text only because of %q: --null %q makes it a null", g.odd, g.odd)
	case text == 0:
		return "values of several types: taken as text"
	}
	return ""
}

// Empty reports whether there was no value but nulls.
func (g *Guess) Empty() bool { return g.seen == [numKinds]int{} }
