package dataview

import (
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
)

// Sections is a line for each column.
func (v *View) Sections() []render.Section {
	head := render.Section{Facts: []render.Fact{
		{Name: "path", Value: v.Path},
		{Name: "rows", Value: progress.Thousands(v.Rows)},
		{Name: "files", Value: fmt.Sprintf("%d, with %d row groups", v.Files, v.RowGroups)},
		{Name: "bytes", Value: fmt.Sprintf("%s, %s decoded", progress.Thousands(v.FileBytes), progress.Thousands(v.DecodedBytes))},
	}}
	for _, u := range v.Unsupported {
		head.Facts = append(head.Facts, render.Fact{Name: "not read", Value: u})
	}
	if !v.Scanned {
		return []render.Section{head, v.footers(), {Text: "from the footers alone; --scan reads the values, too\n"}}
	}
	return []render.Section{head, v.scanned()}
}

// footers is what is known without reading a value.
func (v *View) footers() render.Section {
	t := render.Section{Columns: []render.Column{{Title: "column"}, {Title: "type"}, {Title: "nulls", Right: true}, {Title: "min"}, {Title: "max"}, {Title: "bytes", Right: true}}}
	for _, c := range v.Columns {
		row := []string{c.Name, c.Type, "?", "", "", progress.Thousands(c.Bytes)}
		if f := c.Footer; f != nil {
			if f.Nulls != nil {
				row[2] = progress.Thousands(*f.Nulls)
			}
			row[3], row[4] = clip(f.Min), clip(f.Max)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (v *View) scanned() render.Section {
	t := render.Section{Columns: []render.Column{{Title: "column"}, {Title: "type"}, {Title: "nulls", Right: true}, {Title: "distinct", Right: true},
		{Title: "min"}, {Title: "median"}, {Title: "max"}, {Title: "mean"}, {Title: "values"}}}
	for _, c := range v.Columns {
		x := c.Values
		row := []string{c.Name, c.Type, progress.Thousands(x.Nulls + x.NaNs), distinct(x), clip(x.Min), "", clip(x.Max), "", ""}
		if q, ok := x.Quantiles["p50"]; ok {
			row[5] = q.String()
		} else if q, ok := x.Times["p50"]; ok {
			row[5] = q
		}
		if x.Mean != nil {
			row[7] = x.Mean.String()
		}
		if row[8] = bars(x.Histogram); len(x.Top) > 0 {
			var top []string
			for _, y := range x.Top {
				top = append(top, fmt.Sprintf("%s %.1f%%", clip(y.Value), 100*float64(y.Count)/float64(v.Rows)))
			}
			row[8] = strings.Join(top, ", ")
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func distinct(v *Values) string {
	if v.Exact {
		return progress.Thousands(v.Distinct)
	}
	return "~" + progress.Thousands(v.Distinct)
}

func clip(s string) string {
	const most = 28
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// bars draws a histogram in one line.
func bars(counts []int64) string {
	if len(counts) == 0 {
		return ""
	}
	heights := []rune("▁▂▃▄▅▆▇█")
	most := max(1, slices.Max(counts))
	var out strings.Builder
	for _, n := range counts {
		if n == 0 {
			out.WriteByte(' ')
			continue
		}
		out.WriteRune(heights[int(n*int64(len(heights)-1)/most)])
	}
	return out.String()
}
