package main

import (
	"fmt"
	"strconv"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// jobPlan is what a job would do, as people see it.
type jobPlan struct {
	Kind     spec.Kind   `json:"kind"`
	Name     string      `json:"name"`
	Digest   string      `json:"spec_digest"`
	Input    *inputPlan  `json:"input,omitempty"`
	Compared *inputPlan  `json:"reference,omitempty"`
	Model    string      `json:"model,omitempty"`
	Finished bool        `json:"finished"` // the same job has been done before
	Stages   []stagePlan `json:"stages"`
}

type inputPlan struct {
	Files  int    `json:"files"`
	Rows   int64  `json:"rows"`
	Shards int    `json:"shards"`
	Bytes  int64  `json:"bytes"` // decoded, of the columns that are read
	Digest string `json:"digest"`
}

type stagePlan struct {
	Name     string `json:"name"`
	Shape    string `json:"shape"`
	Tasks    int    `json:"tasks"`
	MaxBytes int64  `json:"memory_bytes"` // that one task may need; 0 when it is small
}

var shapeNames = map[jobs.Shape]string{jobs.Map: "map", jobs.Merge: "merge", jobs.Gang: "gang"}

func newJobPlan(s spec.Spec, p *run.Preview) jobPlan {
	out := jobPlan{Kind: s.Kind, Name: s.Name, Digest: s.Digest(), Finished: p.Facts.Finished != nil}
	out.Input, out.Compared = newInputPlan(p.Survey.Input), newInputPlan(p.Survey.Reference)
	if p.Survey.Model != nil {
		out.Model = p.Survey.Model.URI
	}
	for _, st := range p.Stages {
		out.Stages = append(out.Stages, stagePlan{st.Name, shapeNames[st.Shape], st.NumTasks, st.MaxBytes})
	}
	return out
}

// Sections says what is read, then what is done.
func (p jobPlan) Sections() []render.Section {
	facts := []render.Fact{{Name: "job", Value: fmt.Sprintf("%s %q", p.Kind, p.Name)}, {Name: "spec", Value: p.Digest}}
	for _, in := range []struct {
		name string
		plan *inputPlan
	}{{"input", p.Input}, {"reference", p.Compared}} {
		if in.plan != nil {
			facts = append(facts, render.Fact{Name: in.name, Value: fmt.Sprintf("%s rows in %d files and %d shards, %s decoded",
				progress.Thousands(in.plan.Rows), in.plan.Files, in.plan.Shards, bytesText(in.plan.Bytes))})
		}
	}
	if p.Model != "" {
		facts = append(facts, render.Fact{Name: "model", Value: p.Model})
	}
	if p.Finished {
		facts = append(facts, render.Fact{Name: "note", Value: "the same job has been done before: running it would do nothing"})
	}
	t := render.Section{Title: "stages", Columns: []render.Column{{Title: "stage"}, {Title: "shape"}, {Title: "tasks", Right: true}, {Title: "memory per task", Right: true}}}
	for _, st := range p.Stages {
		memory := "small"
		if st.MaxBytes > 0 {
			memory = bytesText(st.MaxBytes)
		}
		t.Rows = append(t.Rows, []string{st.Name, st.Shape, strconv.Itoa(st.Tasks), memory})
	}
	return []render.Section{{Facts: facts}, t}
}

func newInputPlan(d *run.Dataset) *inputPlan {
	if d == nil {
		return nil
	}
	return &inputPlan{Files: len(d.Files), Rows: d.Rows, Shards: len(d.Shards), Bytes: d.Bytes, Digest: d.Digest}
}

// planList is several of them, one below the other.
type planList []jobPlan

// Sections is those of each.
func (l planList) Sections() []render.Section {
	var all []render.Section
	for _, p := range l {
		all = append(all, p.Sections()...)
	}
	return all
}
