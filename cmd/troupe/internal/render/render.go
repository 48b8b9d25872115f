// Package render writes the result of a command in the format that somebody
// asked for: tables for people, or one JSON or YAML document for programs.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Format is how results are written.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// ParseFormat reads the value of -o. The error is of kind Invalid.
func ParseFormat(s string) (Format, error) {
	switch f := Format(strings.ToLower(s)); f {
	case Table, JSON, YAML:
		return f, nil
	}
	return "", fault.New(fault.Invalid, "-o %s: expected table, json or yaml", s)
}

// Sections is a result that says itself how people should see it.
type Sections interface{ Sections() []Section }

// Section is a part of what people see: a heading, facts below each other, and
// rows. Each may be absent.
type Section struct {
	Title   string
	Facts   []Fact
	Columns []Column
	Rows    [][]string
	Text    string // lines that stand as they are
}

// Fact is one line: a name and its value.
type Fact struct{ Name, Value string }

// Column is the heading of a column of rows.
type Column struct {
	Title string
	Right bool // numbers are set to the right
}

// Left returns columns that are all set to the left.
func Left(titles ...string) []Column {
	columns := make([]Column, len(titles))
	for i, t := range titles {
		columns[i].Title = t
	}
	return columns
}

// Write writes a result. For programs it is v's JSON, as one document that ends
// with a line break; for people it is its Sections or, without that method, a
// table of its fields.
func Write(w io.Writer, f Format, v any) error {
	var text []byte
	var err error
	switch f {
	case JSON:
		text, err = document(v)
	case YAML:
		if text, err = document(v); err == nil {
			text, err = toYAML(text)
		}
	default:
		text, err = people(v)
	}
	if err != nil {
		return fmt.Errorf("render result: %w", err)
	}
	_, err = w.Write(text)
	return err
}

func document(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

func people(v any) ([]byte, error) {
	var b bytes.Buffer
	if s, ok := v.(Sections); ok {
		writeSections(&b, s.Sections())
		return b.Bytes(), nil
	}
	text, err := document(v)
	if err != nil {
		return nil, err
	}
	sections, err := fields(text)
	if err != nil {
		return nil, err
	}
	writeSections(&b, sections)
	return b.Bytes(), nil
}

// Number is a float64 whose JSON is a string when it is NaN or infinite, which
// JSON's numbers cannot be.
type Number float64

// MarshalJSON writes the number or "NaN", "Infinity" or "-Infinity".
func (n Number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

// String writes up to six significant digits, and whole numbers in full.
func (n Number) String() string {
	f := float64(n)
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.6g", f)
}
