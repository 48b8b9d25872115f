package drift

import (
	"bytes"
	_ "embed" // the template
	"fmt"
	"html/template"
	"strconv"

	"github.com/troupe-ml/troupe/internal/fault"
)

//go:embed report.html
var reportTemplate string

// page is what the template shows.
type page struct {
	*Report
	Title       string
	TargetMoved bool
	Charts      []chart
}

// chart is a column with the bars of its bins, in a picture 100 units high.
type chart struct {
	Column
	Width int
	Bars  []bar
}

type bar struct {
	X                       int
	Y, Height, Class, Label string
}

// HTML returns the report as one self-contained page that loads nothing else:
// the verdict, a table of the columns, and a bar chart of the shares for each.
// The same report and title give the same bytes.
func (r *Report) HTML(title string) ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"percent": func(v float64) string { return strconv.FormatFloat(100*v, 'f', 2, 64) + " %" },
		"short":   func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) },
	}).Parse(reportTemplate)
	if err != nil {
		return nil, fault.New(fault.Internal, "drift: html report: %w", err)
	}
	p := page{Report: r, Title: title, TargetMoved: r.TargetDrifted != nil && *r.TargetDrifted}
	for _, c := range r.Columns {
		p.Charts = append(p.Charts, chartOf(c))
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, fault.New(fault.Internal, "drift: html report: %w", err)
	}
	return b.Bytes(), nil
}

func chartOf(c Column) chart {
	const pitch = 16 // from bin to bin
	largest := 0.0
	for _, b := range c.Bins {
		largest = max(largest, b.Reference, b.Current)
	}
	if largest == 0 {
		largest = 1
	}
	out := chart{Column: c, Width: pitch * len(c.Bins)}
	for i, b := range c.Bins {
		for side, v := range [2]float64{b.Reference, b.Current} {
			height := 100 * v / largest
			out.Bars = append(out.Bars, bar{
				X: i*pitch + 1 + 7*side, Y: fmt.Sprintf("%.1f", 100-height), Height: fmt.Sprintf("%.1f", height),
				Class: [2]string{"r", "c"}[side],
				Label: fmt.Sprintf("%s: %.2f %% of the %s rows", b.Name, 100*v, [2]string{"reference", "current"}[side]),
			})
		}
	}
	return out
}
