package main

import (
	"maps"
	"slices"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/registry/runs"
)

// comparison is where some runs differ.
type comparison struct {
	Runs    []comparedRun               `json:"runs"`
	Params  map[string][]string         `json:"params"`  // only those that differ, in the order of the runs; "" where a run has none
	Data    map[string][]string         `json:"data"`    // digests by role, likewise
	Metrics map[string][]*render.Number `json:"metrics"` // all; null where a run has none

	charts []string
}

type comparedRun struct {
	ID     runs.ID     `json:"id"`
	Kind   string      `json:"kind"`
	Name   string      `json:"name"`
	Status runs.Status `json:"status"`
	Digest string      `json:"digest"`
}

// newComparison compares runs, and draws the curves of some metrics.
func newComparison(all []runs.Run, curves []string) comparison {
	c := comparison{Params: map[string][]string{}, Data: map[string][]string{}, Metrics: map[string][]*render.Number{}}
	put := func(into map[string][]string, name string, at int, value string) {
		if into[name] == nil {
			into[name] = make([]string, len(all))
		}
		into[name][at] = value
	}
	for i, r := range all {
		c.Runs = append(c.Runs, comparedRun{r.ID, r.Kind, r.Name, r.Status, string(r.Digest)})
		for name, value := range r.Params {
			put(c.Params, name, i, value)
		}
		for _, d := range r.Data {
			put(c.Data, d.Role, i, string(d.Digest))
		}
		for name, value := range r.Last() {
			if c.Metrics[name] == nil {
				c.Metrics[name] = make([]*render.Number, len(all))
			}
			n := render.Number(value)
			c.Metrics[name][i] = &n
		}
	}
	for _, name := range curves {
		var series []render.Series
		for _, r := range all {
			series = append(series, seriesOf(r, name))
		}
		c.charts = append(c.charts, render.Chart(name, "step", series))
	}
	same := func(_ string, values []string) bool {
		return !slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
	}
	maps.DeleteFunc(c.Params, same)
	maps.DeleteFunc(c.Data, same)
	return c
}

// Sections is a column for each run.
func (c comparison) Sections() []render.Section {
	s := render.Section{Columns: []render.Column{{Title: ""}}}
	status, digest := []string{"status"}, []string{"digest"}
	for _, r := range c.Runs {
		s.Columns = append(s.Columns, render.Column{Title: string(r.ID[:min(len(r.ID), 12)]), Right: true})
		status, digest = append(status, string(r.Status)), append(digest, shortDigest(r.Digest))
	}
	s.Rows = append(s.Rows, status, digest)
	for _, name := range slices.Sorted(maps.Keys(c.Data)) {
		row := []string{"data." + name}
		for _, d := range c.Data[name] {
			row = append(row, shortDigest(d))
		}
		s.Rows = append(s.Rows, row)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		s.Rows = append(s.Rows, append([]string{"params." + name}, c.Params[name]...))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		row := []string{"metrics." + name}
		for _, v := range c.Metrics[name] {
			cell := ""
			if v != nil {
				cell = v.String()
			}
			row = append(row, cell)
		}
		s.Rows = append(s.Rows, row)
	}
	sections := []render.Section{s}
	for _, chart := range c.charts {
		sections = append(sections, render.Section{Text: chart})
	}
	return sections
}
