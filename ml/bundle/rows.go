package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// FieldFault is what is wrong with one field of one row.
type FieldFault struct {
	Row     int
	Field   string // "" when it is the row as a whole
	Message string
}

// maxFaults is how many faults Rows reports.
const maxFaults = 100

// Rows turns JSON rows into a batch of the signature. A row is an object of
// values by name, in any order, or a list of values in the order of the
// signature.
//
//	bool          true or false
//	int32, int64  a number that is whole, such as 3, 3.0 or 3e2, and fits
//	float32 (64)  a number, rounded to the nearest that fits
//	string        a string
//	timestamp     a string as of RFC 3339, or a number of microseconds since 1970; a
//	              zone may be left out, and for a column of wall times must be, or be Z
//	date          a string such as "2026-02-28", or a number of days since 1970
//
// Null, or a field that is left out, is null where the signature allows it.
// Everything else is a fault: all are reported at once, in order of rows, but no
// more than 100, and then there is no batch.
func (b *Bundle) Rows(rows []json.RawMessage) (*data.Batch, []FieldFault) {
	r := newRowReader(b.Signature, len(rows))
	for i, row := range rows {
		r.row = i
		r.read(row)
		if len(r.faults) >= maxFaults {
			return nil, r.faults[:maxFaults]
		}
	}
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	for k, c := range r.columns {
		if !r.anyNull[k] {
			c.Valid = nil
		}
	}
	return &data.Batch{Schema: b.Signature, Columns: r.columns, NumRows: len(rows)}, nil
}

// rowReader fills the columns of a signature, row by row.
type rowReader struct {
	signature data.Schema
	columns   []*data.Column
	codes     []map[string]uint32 // of the strings in Dict, by column
	anyNull   []bool
	row       int
	seen      []int // the last row, counted from 1, that had the field
	faults    []FieldFault
}

func newRowReader(s data.Schema, numRows int) *rowReader {
	r := &rowReader{
		signature: s, anyNull: make([]bool, len(s.Fields)), seen: make([]int, len(s.Fields)),
		codes: make([]map[string]uint32, len(s.Fields)),
	}
	for k, f := range s.Fields {
		c := data.NewColumn(f.Type, numRows)
		if f.Nullable {
			c.Valid = data.NewBitmap(numRows)
		}
		if f.Type == data.String {
			r.codes[k] = map[string]uint32{}
		}
		r.columns = append(r.columns, c)
	}
	return r
}

func (r *rowReader) fault(field, format string, args ...any) {
	r.faults = append(r.faults, FieldFault{Row: r.row, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (r *rowReader) read(row json.RawMessage) {
	switch row = bytes.TrimSpace(row); {
	case !json.Valid(row):
		r.fault("", "is not JSON")
	case row[0] == '{':
		r.object(row)
	case row[0] == '[':
		r.list(row)
	default:
		r.fault("", "expected an object of features by name, or a list of them, found %s", found(row))
	}
}

func (r *rowReader) object(row []byte) {
	d := json.NewDecoder(bytes.NewReader(row))
	_, _ = d.Token() //nolint:errcheck // the row is valid JSON
	for d.More() {
		t, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		name, _ := t.(string)
		if err != nil {
			r.fault(name, "%v", err)
			return
		}
		k := r.signature.Index(name)
		switch {
		case k < 0:
			r.fault(name, "is not known to the model%s", r.suggestion(name))
		case r.seen[k] == r.row+1:
			r.fault(name, "is given twice")
		default:
			r.seen[k] = r.row + 1
			r.value(k, value)
		}
	}
	for k, f := range r.signature.Fields {
		switch {
		case r.seen[k] == r.row+1:
		case f.Nullable:
			r.anyNull[k] = true
		default:
			r.fault(f.Name, "is missing, expected %s", expected(f))
		}
	}
}

func (r *rowReader) list(row []byte) {
	var values []json.RawMessage
	if err := json.Unmarshal(row, &values); err != nil {
		r.fault("", "%v", err)
		return
	}
	if len(values) != len(r.signature.Fields) {
		r.fault("", "expected %d values, in the order %s, found %d", len(r.signature.Fields), strings.Join(r.signature.Names(), ", "), len(values))
		return
	}
	for k, v := range values {
		r.value(k, v)
	}
}

// value sets one value of the current row.
func (r *rowReader) value(k int, v json.RawMessage) {
	f, c := r.signature.Fields[k], r.columns[k]
	if string(v) == "null" {
		if r.anyNull[k] = true; !f.Nullable {
			r.fault(f.Name, "is null, expected %s", expected(f))
		}
		return
	}
	var ok bool
	switch f.Type {
	case data.Bool:
		c.Bools[r.row], ok = string(v) == "true", v[0] == 't' || v[0] == 'f'
	case data.Int32:
		var n int64
		n, ok = whole(v, math.MinInt32, math.MaxInt32)
		c.Int32s[r.row] = int32(n)
	case data.Int64:
		c.Int64s[r.row], ok = whole(v, math.MinInt64, math.MaxInt64)
	case data.Float32:
		n, err := strconv.ParseFloat(string(v), 32)
		c.Float32s[r.row], ok = float32(n), err == nil && number(v)
	case data.Float64:
		n, err := strconv.ParseFloat(string(v), 64)
		c.Float64s[r.row], ok = n, err == nil && number(v)
	case data.String:
		ok = r.text(k, v)
	case data.Timestamp:
		c.Int64s[r.row], ok = instant(v, f.UTC)
	case data.Date:
		c.Int32s[r.row], ok = day(v)
	}
	if !ok {
		r.fault(f.Name, "expected %s, found %s", expected(f), found(v))
		return
	}
	if c.Valid != nil {
		c.Valid.Set(r.row)
	}
}

func (r *rowReader) text(k int, v []byte) bool {
	var s string
	if v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return false
	}
	c := r.columns[k]
	code, known := r.codes[k][s]
	if !known {
		code = uint32(len(c.Dict))
		c.Dict, r.codes[k][s] = append(c.Dict, s), code
	}
	c.Codes[r.row] = code
	return true
}

func number(v []byte) bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

// whole reads a number without a fraction.
func whole(v []byte, low, high int64) (int64, bool) {
	if !number(v) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		const exact = 1 << 53 // beyond, a float64 may stand for another number
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
			return 0, false
		}
		n = int64(f)
	}
	return n, n >= low && n <= high
}

// instant reads a point in time, in microseconds since 1970.
func instant(v []byte, utc bool) (int64, bool) {
	if number(v) {
		return whole(v, math.MinInt64, math.MaxInt64)
	}
	var s string
	if v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return 0, false
	}
	if t, err := time.Parse("2006-01-02T15:04:05.999999999", s); err == nil {
		return t.UnixMicro(), true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if _, offset := t.Zone(); err != nil || !utc && offset != 0 {
		return 0, false
	}
	return t.UnixMicro(), true
}

// day reads a date, in days since 1970.
func day(v []byte) (int32, bool) {
	if number(v) {
		n, ok := whole(v, math.MinInt32, math.MaxInt32)
		return int32(n), ok
	}
	var s string
	if v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return 0, false
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, false
	}
	return int32(t.Unix() / 86_400), true // midnight: no remainder, before 1970 neither
}

func expected(f data.Field) string {
	var what string
	switch f.Type {
	case data.Bool:
		what = "true or false"
	case data.Int32, data.Int64:
		what = "a whole number (" + f.Type.String() + ")"
	case data.Float32, data.Float64:
		what = "a number (" + f.Type.String() + ")"
	case data.String:
		what = "a string"
	case data.Date:
		what = `a date such as "2026-02-28"`
	case data.Timestamp:
		what = `a time such as "2026-02-28T12:00:00Z"`
	default:
		what = f.Type.String()
	}
	if f.Nullable {
		what += ", or null"
	}
	return what
}

// found describes a JSON value in a few words.
func found(v []byte) string {
	const most = 40
	short := string(v)
	if len(short) > most {
		short = strings.ToValidUTF8(short[:most], "") + "..."
	}
	switch {
	case len(v) == 0:
		return "nothing"
	case v[0] == '{':
		return "an object"
	case v[0] == '[':
		return "a list"
	case v[0] == '"':
		return "the string " + short
	case number(v):
		return "the number " + short
	default:
		return short
	}
}

// suggestion names the column that a name may have been meant to be.
func (r *rowReader) suggestion(name string) string {
	best, at := len(name)/3+1, ""
	for _, candidate := range r.signature.Names() {
		if d := distance(name, candidate); d <= best && (at == "" || d < best) {
			best, at = d, candidate
		}
	}
	if at != "" {
		return fmt.Sprintf(": did you mean %q?", at)
	}
	names := r.signature.Names()
	if len(names) > 20 {
		names = append(slices.Clone(names[:20]), "...")
	}
	return ": it knows " + strings.Join(names, ", ")
}

// distance is the number of letters to insert, drop or replace, capitals
// counting as small letters.
//
// Source: Levenshtein, Soviet Physics Doklady 10(8), 1966.
func distance(a, b string) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	line := make([]int, len(y)+1)
	for j := range line {
		line[j] = j
	}
	for i := range x {
		last := line[0]
		line[0] = i + 1
		for j := range y {
			replace := last
			if x[i] != y[j] {
				replace++
			}
			last = line[j+1]
			line[j+1] = min(replace, last+1, line[j]+1)
		}
	}
	return line[len(y)]
}

// conform returns the columns of the signature, in its order and of its types,
// of a batch that may have more.
func (b *Bundle) conform(in *data.Batch) (*data.Batch, error) {
	out := &data.Batch{Schema: b.Signature, NumRows: in.NumRows}
	for _, f := range b.Signature.Fields {
		c := in.Column(f.Name)
		if c == nil {
			return nil, fault.New(fault.Invalid, "bundle: predict: no column %q, which the model needs; there are %s", f.Name, strings.Join(in.Schema.Names(), ", "))
		}
		wide, ok := widened(c, f.Type)
		if !ok {
			return nil, fault.New(fault.Invalid, "bundle: predict: column %q is of type %v, and the model expects %v", f.Name, c.Type, f.Type)
		}
		if !f.Nullable && wide.Valid != nil {
			if n := wide.NumNulls(); n > 0 {
				return nil, fault.New(fault.Invalid, "bundle: predict: column %q has %d nulls, and the model was trained on a column without: fill them in first", f.Name, n)
			}
			plain := *wide
			plain.Valid = nil
			wide = &plain
		}
		out.Columns = append(out.Columns, wide)
	}
	return out, nil
}

// widened returns c as a column of the type, if no value can change by that.
func widened(c *data.Column, t data.Type) (*data.Column, bool) {
	if c.Type == t {
		return c, true
	}
	w := data.NewColumn(t, c.Len())
	w.Valid = c.Valid
	switch {
	case c.Type == data.Int32 && t == data.Int64:
		for i, v := range c.Int32s {
			w.Int64s[i] = int64(v)
		}
	case c.Type == data.Int32 && t == data.Float64:
		for i, v := range c.Int32s {
			w.Float64s[i] = float64(v)
		}
	case c.Type == data.Float32 && t == data.Float64:
		for i, v := range c.Float32s {
			w.Float64s[i] = float64(v)
		}
	default:
		return nil, false
	}
	return w, true
}
