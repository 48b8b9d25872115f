package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

// runView is a run as people see it, with curves of some metrics; for programs
// it is the run itself.
type runView struct {
	runs.Run
	curves []string
}

// MarshalJSON writes the run.
func (r runView) MarshalJSON() ([]byte, error) { return json.Marshal(r.Run) }

// Sections says what the run was, what it was measured by, and how that came.
func (r runView) Sections() []render.Section {
	sections := []render.Section{{Facts: runFacts(r.Run)}}
	add := func(title string, columns []render.Column, rows [][]string) {
		if len(rows) > 0 {
			sections = append(sections, render.Section{Title: title, Columns: columns, Rows: rows})
		}
	}
	add("params", render.Left("param", "value"), rowsOf(r.Params))
	add("tags", render.Left("tag", "value"), rowsOf(r.Tags))
	var rows [][]string
	for _, name := range r.MetricNames() {
		if p, ok := r.Metric(name); ok {
			rows = append(rows, []string{name, render.Number(p.Value).String(), strconv.FormatInt(p.Step, 10)})
		}
	}
	add("metrics", []render.Column{{Title: "metric"}, {Title: "newest", Right: true}, {Title: "step", Right: true}}, rows)
	rows = nil
	for _, d := range r.AllInputs() {
		rows = append(rows, []string{d.Tags[runs.ContextTag], d.Name, shortDigest(d.Digest), d.Source})
	}
	add("data", render.Left("role", "name", "digest", "from"), rows)
	rows = nil
	for _, o := range r.Outputs {
		rows = append(rows, []string{string(o.Model), strconv.FormatInt(o.Step, 10)})
	}
	add("logged models", []render.Column{{Title: "model"}, {Title: "step", Right: true}}, rows)
	rows = nil
	for _, path := range slices.Sorted(maps.Keys(r.Artifacts)) {
		rows = append(rows, []string{path, bytesText(r.Artifacts[path].Bytes), shortDigest(string(r.Artifacts[path].Digest))})
	}
	add("artifacts", []render.Column{{Title: "path"}, {Title: "size", Right: true}, {Title: "digest"}}, rows)
	for _, name := range r.curves {
		sections = append(sections, render.Section{Text: render.Chart(name, "step", []render.Series{seriesOf(r.Run, name)})})
	}
	return sections
}

func rowsOf(m map[string]string) (rows [][]string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, []string{key, clipped(m[key])})
	}
	return rows
}

func runFacts(r runs.Run) (facts []render.Fact) {
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, render.Fact{Name: name, Value: value})
		}
	}
	add("run", string(r.ID))
	add("kind", r.Kind)
	add("name", r.Name)
	add("experiment", r.Experiment)
	add("status", string(r.Status))
	add("error", r.Error)
	add("job", r.Job)
	add("owner", r.Owner)
	add("started", r.Started.Local().Format(time.DateTime))
	if !r.Ended.IsZero() {
		add("ended", r.Ended.Local().Format(time.DateTime))
		add("seconds", strconv.FormatFloat(r.Ended.Sub(r.Started).Seconds(), 'f', 1, 64))
	}
	if !r.Deleted.IsZero() {
		add("deleted", r.Deleted.Local().Format(time.DateTime))
	}
	add("digest", string(r.Digest))
	add("code", r.Code)
	for _, d := range r.Data {
		add("rows of "+d.Role, progress.Thousands(d.Rows))
	}
	return facts
}

// seriesOf is the curve of a metric. Of several values at a step the last counts.
func seriesOf(r runs.Run, name string) render.Series {
	points := slices.Clone(r.Metrics[name])
	slices.SortStableFunc(points, func(a, b runs.Point) int { return cmp.Compare(a.Step, b.Step) })
	s := render.Series{Name: string(r.ID[:min(len(r.ID), 12)]) + " " + r.Name}
	for i, p := range points {
		if i+1 < len(points) && points[i+1].Step == p.Step {
			continue
		}
		s.X, s.Y = append(s.X, float64(p.Step)), append(s.Y, float64(p.Value))
	}
	return s
}

// maxCurves is how many curves are drawn when nobody asks for some.
const maxCurves = 4

// curvesOf returns the metrics to draw: those that are asked for, which must be
// there, or else the first few of which a run has a curve; the learning rate is
// no news.
func curvesOf(all []runs.Run, asked []string) ([]string, error) {
	var names, chosen []string
	for _, r := range all {
		for name, points := range r.Metrics {
			names = append(names, name)
			if len(points) > 1 && name != "learning_rate" {
				chosen = append(chosen, name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range asked {
		if !slices.Contains(names, name) {
			return nil, fault.New(fault.Invalid, "--metric %s: there is no such metric; there is %s", name, orNone(names))
		}
	}
	if len(asked) > 0 {
		return asked, nil
	}
	slices.SortFunc(chosen, func(a, b string) int { // losses first
		la, lb := strings.Contains(a, "loss"), strings.Contains(b, "loss")
		if la != lb {
			if la {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	chosen = slices.Compact(chosen)
	return chosen[:min(maxCurves, len(chosen))], nil
}
