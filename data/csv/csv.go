// Package csv reads and writes tables as lines of fields, as RFC 4180 has them:
// fields between delimiters, quoted where they hold delimiters, quotes (doubled)
// or line ends. It takes more than the RFC: line ends with and without CR, a
// byte order mark, other delimiters, and quotes within a field that does not
// begin with one, which stand for themselves.
//
// Source: RFC 4180, section 2.
package csv

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Commas are the delimiters that Sniff looks for, the likeliest first.
const Commas = ",;\t|"

// maxColumns bounds the width of a table: what says more is no header.
const maxColumns = 10_000

// Sniff returns the delimiter that cuts the records of a sample, which begins a
// file, into the same number of fields, and into the most of these. It is a
// comma when nothing speaks for another one.
func Sniff(sample []byte) byte {
	best, score := byte(','), 0.0
	for _, comma := range []byte(Commas) {
		counts := map[int]int{}
		n := 0
		for record := range Records(sample, comma) {
			counts[len(record)]++
			if n++; n == 200 {
				break
			}
		}
		for fields, times := range counts {
			// Agreement counts for more than width: a comma in some texts is none.
			share := float64(times) / float64(n)
			if v := share * share * (1 + float64(min(fields, 100))/1000); fields > 1 && v > score+1e-9 {
				best, score = comma, v
			}
		}
	}
	return best
}

// Field is one field of a record.
type Field struct {
	Text   []byte
	Quoted bool
	Stray  bool // text follows the closing quote
}

// Records yields the records of text, which begins with one; an unfinished one
// at the end is left out. What is yielded is good until the next.
func Records(b []byte, comma byte) func(yield func([]Field) bool) {
	return func(yield func([]Field) bool) {
		var fields []Field
		end := bytes.LastIndexByte(b, '\n')
		if end < 0 {
			return
		}
		b = append(b[:end+1:end+1], make([]byte, text.Slack)...)
		c := cursor{buf: b[:end+1], comma: comma, wanted: newPatterns(comma)}
		for c.pos < len(c.buf) {
			fields = fields[:0]
			for more := true; more; {
				var f Field
				f, more = c.field()
				if f.Quoted { // the scratch is used again
					f.Text = bytes.Clone(f.Text)
				}
				fields = append(fields, f)
				if c.open || len(fields) > maxColumns {
					return
				}
			}
			if len(fields) == 1 && len(fields[0].Text) == 0 && !fields[0].Quoted {
				continue
			}
			if !yield(fields) {
				return
			}
		}
	}
}

// Header returns the names of the columns from the first record of a file; a
// column without one is called after its place. Two of one name are of kind
// Invalid.
func Header(sample []byte, comma byte) ([]string, error) {
	for record := range Records(sample, comma) {
		names := make([]string, len(record))
		at := map[string]int{}
		for i, f := range record {
			name := strings.TrimSpace(string(f.Text))
			if name == "" {
				name = ColumnName(i)
			}
			if !utf8.ValidString(name) {
				return nil, fault.New(fault.Invalid, "header: the name of column %d, %q, is not UTF-8", i+1, name)
			}
			if k, ok := at[name]; ok {
				return nil, fault.New(fault.Invalid, "header: columns %d and %d are both called %q: rename one, or pass --no-header and skip the line", k+1, i+1, name)
			}
			at[name] = i
			names[i] = name
		}
		return names, nil
	}
	return nil, fault.New(fault.Invalid, "header: there is no line of names at the beginning, or it does not end within %d bytes, or has more than %d names", len(sample), maxColumns)
}

// ColumnName is what column i, counted from 0, is called without a header.
func ColumnName(i int) string { return fmt.Sprintf("column_%d", i+1) }
