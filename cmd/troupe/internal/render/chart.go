package render

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Series is a curve of a chart: points by ascending X. One whose Y is not
// finite is left out.
type Series struct {
	Name string
	X, Y []float64
}

// marks draw the curves of a chart, one each.
var marks = []rune{'●', '○', '▲', '△', '■', '□', '◆', '◇'}

const (
	chartWidth  = 64 // characters of the drawing
	chartHeight = 11 // lines of it
)

// Chart draws curves over one pair of axes, as lines of text: the largest and
// smallest value stand at the left, the first and last X below, and what is what
// at the end. It is empty when there is nothing to draw.
func Chart(title, unit string, all []Series) string {
	box := emptyBox()
	for i := range all {
		all[i] = finite(all[i])
		box.hold(all[i])
	}
	if box.lowX > box.highX {
		return ""
	}
	grid := make([][]rune, chartHeight)
	for y := range grid {
		grid[y] = []rune(strings.Repeat(" ", chartWidth))
	}
	for i, s := range all {
		box.draw(grid, s, marks[i%len(marks)])
	}
	var b strings.Builder
	b.WriteString(Clean(title) + "\n")
	high, low := Number(box.highY).String(), Number(box.lowY).String()
	width := max(utf8.RuneCountInString(high), utf8.RuneCountInString(low))
	for y, row := range grid {
		label, axis := "", "│"
		switch y {
		case 0:
			label, axis = high, "┤"
		case chartHeight - 1:
			label, axis = low, "┤"
		}
		fmt.Fprintf(&b, "%*s %s%s\n", width, label, axis, strings.TrimRight(string(row), " "))
	}
	fmt.Fprintf(&b, "%*s └%s\n", width, "", strings.Repeat("─", chartWidth))
	first, last := Number(box.lowX).String(), Number(box.highX).String()
	fmt.Fprintf(&b, "%*s  %s%*s\n", width, "", first, chartWidth-len(first), unit+" "+last)
	for i, s := range all {
		if len(all) > 1 {
			fmt.Fprintf(&b, "%*s  %c %s\n", width, "", marks[i%len(marks)], Clean(s.Name))
		}
	}
	return b.String()
}

// finite returns the points of a curve that can be drawn.
func finite(s Series) Series {
	out := Series{Name: s.Name}
	for i, y := range s.Y {
		if !math.IsNaN(y) && !math.IsInf(y, 0) {
			out.X, out.Y = append(out.X, s.X[i]), append(out.Y, y)
		}
	}
	return out
}

// box is what a chart spans.
type box struct{ lowX, highX, lowY, highY float64 }

func emptyBox() box { return box{math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)} }

func (b *box) hold(s Series) {
	for i := range s.X {
		b.lowX, b.highX = min(b.lowX, s.X[i]), max(b.highX, s.X[i])
		b.lowY, b.highY = min(b.lowY, s.Y[i]), max(b.highY, s.Y[i])
	}
}

// draw marks a curve in every column that it spans, on a straight line between
// two points.
func (b *box) draw(grid [][]rune, s Series, mark rune) {
	for i := range s.X {
		x := b.column(s.X[i])
		grid[b.line(s.Y[i])][x] = mark
		if i == 0 {
			continue
		}
		from := b.column(s.X[i-1])
		for c := from + 1; c < x; c++ {
			part := float64(c-from) / float64(x-from)
			grid[b.line(s.Y[i-1]+part*(s.Y[i]-s.Y[i-1]))][c] = mark
		}
	}
}

func (b *box) column(x float64) int { return place(x, b.lowX, b.highX, chartWidth) }

func (b *box) line(y float64) int { return chartHeight - 1 - place(y, b.lowY, b.highY, chartHeight) }

// place returns which of n cells v falls into; the middle one when there is but
// one value.
func place(v, low, high float64, n int) int {
	span := high - low
	if !(span > 0) || math.IsInf(span, 0) {
		return n / 2
	}
	return min(n-1, max(0, int(math.Round((v-low)/span*float64(n-1)))))
}
