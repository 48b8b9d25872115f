package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/runs"
)

// jobView is a job as people see it; for programs it is the summary itself.
type jobView run.Summary

// MarshalJSON writes the summary.
func (j jobView) MarshalJSON() ([]byte, error) { return json.Marshal(run.Summary(j)) }

// Sections says what came out, then what it was measured by.
func (j jobView) Sections() []render.Section {
	var facts []render.Fact
	add := func(name, value string) {
		if value != "" && value != "0" {
			facts = append(facts, render.Fact{Name: name, Value: value})
		}
	}
	add("job", j.Job)
	add("kind", j.Kind)
	add("name", j.Name)
	add("status", j.Status)
	if j.Error != nil {
		add("error", j.Error.Message)
	}
	add("rows in", progress.Thousands(j.RowsIn))
	add("rows out", progress.Thousands(j.RowsOut))
	add("rows rejected", progress.Thousands(j.RowsRejected))
	add("shards", strconv.Itoa(j.Shards))
	add("workers", strconv.Itoa(j.Workers))
	add("seconds", fmt.Sprintf("%.2f", j.Seconds))
	if j.PeakRSS > 0 {
		add("peak memory", bytesText(j.PeakRSS)+" of a worker")
	}
	add("epochs", strconv.Itoa(j.Epochs))
	add("digest", j.Digest)
	add("output", j.Output)
	add("run", j.Run)
	add("model", j.ModelURI)
	if j.Drift != nil {
		add("drift", map[bool]string{true: "found in " + strings.Join(j.Drifted, ", "), false: "none"}[*j.Drift])
	}
	if b := j.Baseline; b != nil {
		add("baseline", baselineText(b))
		if !b.Beaten {
			what := map[bool]string{true: "a linear model of the same features", false: "one that looks at no feature"}[b.Model == "linear"]
			add("warning", "the model is not better than the baseline, "+what)
		}
	}
	sections := []render.Section{{Facts: facts}}
	if len(j.Metrics) > 0 {
		sections = append(sections, metricsSection(j.Metrics, j.Baseline))
	}
	if len(j.Slices) > 0 {
		sections = append(sections, slicesSection(j.Slices))
	}
	if len(j.Columns) > 0 {
		sections = append(sections, columnsSection(j.Columns))
	}
	return sections
}

// baselines are the simple models that a model was compared with; runs of earlier
// versions have one.
func baselines(b *run.Baseline) []run.BaselineModel {
	switch {
	case b == nil:
		return nil
	case len(b.Models) == 0:
		return []run.BaselineModel{{Model: b.Model, Value: &b.Value, Metrics: b.Metrics}}
	}
	return b.Models
}

// baselineText says how the best of them compares, and then the others.
func baselineText(b *run.Baseline) string {
	text := fmt.Sprintf("%s: %s %s %s, the model %s", b.Model, b.Part, b.Metric, render.Number(b.Value), render.Number(b.Trained))
	for _, m := range baselines(b) {
		if m.Model != b.Model && m.Value != nil {
			text += fmt.Sprintf("; %s %s", m.Model, render.Number(*m.Value))
		}
	}
	return text
}

// metricsSection has a row for each metric, with those of the baselines beside.
func metricsSection(metrics map[string]map[string]float64, base *run.Baseline) render.Section {
	names := map[string]bool{}
	s := render.Section{Title: "metrics", Columns: []render.Column{{Title: "metric"}}}
	var columns []map[string]float64
	add := func(title string, of map[string]float64) {
		s.Columns = append(s.Columns, render.Column{Title: title, Right: true})
		columns = append(columns, of)
		for name := range of {
			names[name] = true
		}
	}
	for _, part := range slices.Sorted(maps.Keys(metrics)) {
		add(part, metrics[part])
		for _, m := range baselines(base) {
			if m.Metrics[part] != nil {
				add(part+" of "+m.Model, m.Metrics[part])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row := []string{name}
		for _, of := range columns {
			row = append(row, metricCell(of, name))
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// metricCell is a metric as a table has it: nothing where it was not measured.
func metricCell(metrics map[string]float64, name string) string {
	if v, ok := metrics[name]; ok {
		return render.Number(v).String()
	}
	return ""
}

// slicesSection has a row for each slice, with the metrics that every epoch has.
func slicesSection(all []run.Slice) render.Section {
	s := render.Section{Title: "slices", Columns: []render.Column{{Title: "part"}, {Title: "column"}, {Title: "value"}, {Title: "rows", Right: true}}}
	var names []string
	for _, name := range []string{"auc", "log_loss", "accuracy", "macro_f1", "rmse", "mae", "r2", "pinball_loss"} {
		if slices.ContainsFunc(all, func(one run.Slice) bool { _, ok := one.Metrics[name]; return ok }) {
			names = append(names, name)
			s.Columns = append(s.Columns, render.Column{Title: name, Right: true})
		}
	}
	for _, one := range all {
		row := []string{one.Part, one.Column, one.Value, progress.Thousands(one.Rows)}
		for _, name := range names {
			row = append(row, metricCell(one.Metrics, name))
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

func columnsSection(columns map[string]run.ColumnDrift) render.Section {
	s := render.Section{Title: "columns", Columns: []render.Column{{Title: "column"}, {Title: "method"}, {Title: "statistic", Right: true}, {Title: "threshold", Right: true}, {Title: "drifted"}}}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		c := columns[name]
		s.Rows = append(s.Rows, []string{name, c.Method, render.Number(c.Statistic).String(), render.Number(c.Threshold).String(), yesNo(c.Drifted)})
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type jobList []run.Summary

// Sections is a table of jobs.
func (l jobList) Sections() []render.Section {
	if len(l) == 0 {
		return []render.Section{{Text: "no jobs\n"}}
	}
	s := render.Section{Columns: []render.Column{{Title: "job"}, {Title: "kind"}, {Title: "name"}, {Title: "status"}, {Title: "stage"}, {Title: "tasks", Right: true}, {Title: "rows", Right: true}, {Title: "seconds", Right: true}}}
	for _, j := range l {
		s.Rows = append(s.Rows, []string{j.Job, j.Kind, j.Name, j.Status, j.Stage, fmt.Sprintf("%d/%d", j.TasksDone, j.Tasks), progress.Thousands(j.RowsOut), fmt.Sprintf("%.1f", j.Seconds)})
	}
	return []render.Section{s}
}

type nodeList []api.Node

// Sections is a table of nodes.
func (l nodeList) Sections() []render.Section {
	s := render.Section{Columns: []render.Column{{Title: "name"}, {Title: "state"}, {Title: "leader"}, {Title: "address"}, {Title: "roles"}, {Title: "slots", Right: true}, {Title: "running", Right: true}, {Title: "memory", Right: true}, {Title: "version"}, {Title: "id"}}}
	for _, n := range l {
		s.Rows = append(s.Rows, []string{n.Name, n.State, yesNo(n.Leader), n.Address, strings.Join(n.Roles, ","), strconv.Itoa(n.Slots), strconv.Itoa(n.Running), bytesText(n.Memory), n.Version, n.ID})
	}
	return []render.Section{s}
}

// bytesText writes a size in binary units.
func bytesText(n int64) string {
	f, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for len(units) > 1 && f >= 1024 {
		f, units = f/1024, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
}

type runList []runs.Run

// Sections is a table of runs.
func (l runList) Sections() []render.Section {
	if len(l) == 0 {
		return []render.Section{{Text: "no runs\n"}}
	}
	s := render.Section{Columns: render.Left("run", "kind", "name", "experiment", "status", "started", "result")}
	for _, r := range l {
		result := headline(r.Last())
		if r.Error != "" {
			result = clipped(r.Error)
		}
		s.Rows = append(s.Rows, []string{string(r.ID), r.Kind, r.Name, r.Experiment, string(r.Status), r.Started.Local().Format(time.DateTime), result})
	}
	return []render.Section{s}
}

// clipped is the first line of a reason, as far as it fits into a table.
func clipped(text string) string {
	const most = 80
	line, _, more := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > most {
		line, more = string(r[:most]), true
	}
	if more {
		line += "…"
	}
	return line
}

// headline names the metrics of the test rows, or else whatever there is.
func headline(metrics map[string]float64) string {
	var test, rest []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		text := name + " " + render.Number(metrics[name]).String()
		if strings.HasPrefix(name, "test") {
			test = append(test, text)
		} else {
			rest = append(rest, text)
		}
	}
	all := append(test, rest...)
	return strings.Join(all[:min(3, len(all))], ", ")
}

type modelList []models.Model

// Sections is a table of models.
func (l modelList) Sections() []render.Section {
	if len(l) == 0 {
		return []render.Section{{Text: "no models: `troupe deploy` gives one its name\n"}}
	}
	s := render.Section{Columns: []render.Column{{Title: "model"}, {Title: "versions", Right: true}, {Title: "aliases"}, {Title: "newest run"}}}
	for _, m := range l {
		var aliases []string
		for _, al := range m.Aliases {
			if al.Version > 0 {
				aliases = append(aliases, fmt.Sprintf("%s=%d", al.Name, al.Version))
			}
		}
		s.Rows = append(s.Rows, []string{m.Name, strconv.Itoa(len(m.Live())), strings.Join(aliases, ", "), string(m.Latest().Run)})
	}
	return []render.Section{s}
}

type history []api.LogLine

// Sections is a line for each event.
func (h history) Sections() []render.Section {
	s := render.Section{Columns: []render.Column{{Title: "at"}, {Title: "event"}, {Title: "task"}, {Title: "attempt", Right: true}, {Title: "members"}, {Title: "text"}}}
	for _, e := range h {
		attempt := ""
		if e.Attempt > 0 {
			attempt = strconv.Itoa(e.Attempt)
		}
		s.Rows = append(s.Rows, []string{e.At.Local().Format("15:04:05.000"), e.Event, e.Task, attempt, strings.Join(e.Members, ", "), e.Text})
	}
	return []render.Section{s}
}
