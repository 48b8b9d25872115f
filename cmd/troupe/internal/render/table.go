package render

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// writeSections writes sections below each other, an empty line between.
func writeSections(b *bytes.Buffer, sections []Section) {
	for i, s := range sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		if s.Title != "" {
			b.WriteString(Clean(s.Title) + "\n")
		}
		writeFacts(b, s.Facts)
		writeRows(b, s.Columns, s.Rows)
		if s.Text != "" {
			b.WriteString(strings.TrimSuffix(s.Text, "\n") + "\n")
		}
	}
}

// writeFacts writes names and values. Further lines of a value, such as those of an
// error that points at its place, are below the first.
func writeFacts(b *bytes.Buffer, facts []Fact) {
	width := 0
	for _, f := range facts {
		width = max(width, utf8.RuneCountInString(Clean(f.Name)))
	}
	for _, f := range facts {
		name := Clean(f.Name)
		head := name + ":" + strings.Repeat(" ", width-utf8.RuneCountInString(name))
		for line := range strings.SplitSeq(f.Value, "\n") {
			b.WriteString(head + "  " + Clean(line) + "\n")
			head = strings.Repeat(" ", width+1)
		}
	}
}

// writeRows writes rows under their headings, each column as wide as its widest
// cell. Rows that are too short are filled up.
func writeRows(b *bytes.Buffer, columns []Column, rows [][]string) {
	if len(columns) == 0 {
		return
	}
	cells := make([][]string, 0, len(rows)+1)
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = Clean(strings.ToUpper(c.Title))
	}
	cells = append(cells, head)
	widths := make([]int, len(columns))
	for _, row := range rows {
		line := make([]string, len(columns))
		for i := range min(len(row), len(columns)) {
			line[i] = Clean(row[i])
		}
		cells = append(cells, line)
	}
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range cells {
		b.WriteString(strings.TrimRight(align(line, columns, widths), " ") + "\n")
	}
}

func align(line []string, columns []Column, widths []int) string {
	var out strings.Builder
	for i, cell := range line {
		if i > 0 {
			out.WriteString("  ")
		}
		gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if columns[i].Right {
			out.WriteString(gap + cell)
		} else {
			out.WriteString(cell + gap)
		}
	}
	return out.String()
}

// Clean makes text safe for a terminal: what comes from data or from another
// machine may hold escape sequences, which could move the cursor or worse.
// Control characters and bytes that are no UTF-8 are written as escapes.
func Clean(s string) string {
	if strings.IndexFunc(s, unsafeRune) < 0 && utf8.ValidString(s) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case unsafeRune(r) && r < 0x100:
			fmt.Fprintf(&out, `\x%02x`, r)
		case unsafeRune(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
		i += size
	}
	return out.String()
}

// unsafeRune reports control characters, and those that turn the direction of
// what follows.
func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
