// Package text turns lines of text into columns: it cuts a stream into chunks of
// whole records, guesses the type of a column from a sample of its values, and
// reads values of known type. What a record is, data/csv and data/ndjson know.
//
// A line that cannot become a row is never dropped: it is a Reject, which says
// where it was, what it was and why.
package text

import (
	"fmt"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Bounds of what a Reject holds of a line and of a value.
const (
	maxRaw   = 1 << 10
	maxValue = 128
)

// Reject is a record that did not become a row.
type Reject struct {
	Line     int64  // the first of the record, counted from 1
	Column   string // empty when the record as a whole is at fault
	Expected string // the type of the column
	Value    string // what was there instead, cut short
	Reason   string
	Raw      string // the record, cut short
}

// Raw returns a record as a Reject holds it.
func Raw(record []byte) string { return cut(record, maxRaw) }

// cut shortens text to about so many bytes, at the border of a character.
func cut(b []byte, most int) string {
	if len(b) <= most {
		return string(b)
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + "…"
}

// Misfit is the Reject of a value that is not of its column's type.
func Misfit(f Format, line int64, value, record []byte) Reject {
	r := Reject{Line: line, Column: f.Name, Expected: f.String(), Value: cut(value, maxValue), Raw: Raw(record)}
	switch {
	case f.Type == data.String:
		r.Reason = fmt.Sprintf("column %q: the text is not UTF-8", f.Name)
	default:
		r.Reason = fmt.Sprintf("column %q: %q is no %s", f.Name, r.Value, r.Expected)
	}
	return r
}

// Format is how the text of one column is read: its field, and of timestamps
// what is said of their zone.
type Format struct {
	data.Field
	// AssumeUTC takes a timestamp without a zone as UTC. Without it a column
	// has zones everywhere (UTC is set) or nowhere.
	AssumeUTC bool
	// Unit is set when timestamps are whole numbers since 1970: how many
	// microseconds one is.
	Unit int64
}

// formats are the names that --type takes, beside those of data.Type.
var formats = map[string]Format{
	"timestamp_utc": {Field: data.Field{Type: data.Timestamp, UTC: true}, AssumeUTC: true},
	"timestamp_s":   {Field: data.Field{Type: data.Timestamp, UTC: true}, Unit: 1_000_000},
	"timestamp_ms":  {Field: data.Field{Type: data.Timestamp, UTC: true}, Unit: 1000},
	"timestamp_us":  {Field: data.Field{Type: data.Timestamp, UTC: true}, Unit: 1},
}

// FormatNames are the types that a column can be given, for messages.
const FormatNames = "bool, int32, int64, float32, float64, string, date, timestamp, timestamp_utc, timestamp_s, timestamp_ms, timestamp_us"

// ParseFormat reads the name of a type: that of a data.Type; timestamp_utc,
// which takes timestamps without a zone as UTC; or timestamp_s, timestamp_ms,
// timestamp_us for whole numbers since 1970. The error is of kind Invalid.
func ParseFormat(column, name string) (Format, error) {
	f, ok := formats[name]
	if !ok {
		if err := f.Type.UnmarshalText([]byte(name)); err != nil {
			return f, fault.New(fault.Invalid, "column %q: no type %q; there are %s", column, name, FormatNames)
		}
	}
	f.Name, f.Nullable = column, true
	return f, nil
}

// String is the name that ParseFormat reads.
func (f Format) String() string {
	switch {
	case f.Type != data.Timestamp:
		return f.Type.String()
	case f.Unit == 1_000_000:
		return "timestamp_s"
	case f.Unit == 1000:
		return "timestamp_ms"
	case f.Unit == 1:
		return "timestamp_us"
	case f.AssumeUTC:
		return "timestamp_utc"
	case f.UTC:
		return "timestamp with a zone"
	}
	return "timestamp"
}

// Schema returns the fields of the formats.
func Schema(formats []Format) data.Schema {
	var s data.Schema
	for _, f := range formats {
		s.Fields = append(s.Fields, f.Field)
	}
	return s
}

// Value returns a value as a Reject holds it.
func Value(value []byte) string { return cut(value, maxValue) }
