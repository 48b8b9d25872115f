package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models/neural"
	"github.com/troupe-ml/troupe/store"
)

// modelView is what a bundle is and needs.
type modelView struct {
	Model      string                    `json:"model"`
	Digest     store.Digest              `json:"digest"`
	Bytes      int                       `json:"bytes"`
	Task       metrics.Task              `json:"task"`
	Target     columnView                `json:"target"`
	Classes    []string                  `json:"classes,omitempty"`
	Columns    []columnView              `json:"columns"`  // the signature: what a prediction needs
	Outputs    []columnView              `json:"outputs"`  // what it adds
	Features   []string                  `json:"features"` // the numbers that the model reads
	Layers     []layerView               `json:"layers"`
	Parameters int                       `json:"parameters"`
	Metrics    map[string]metrics.Report `json:"metrics,omitempty"`
	// Coefficients are those of a linear model, of its features, and under "" the
	// intercepts; of two classes those of the second, which are those of the odds.
	Coefficients []coefficient `json:"coefficients,omitempty"`
}

type columnView struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable,omitempty"`
}

type layerView struct {
	Inputs     int    `json:"inputs"`
	Outputs    int    `json:"outputs"`
	Activation string `json:"activation,omitempty"`
	Norm       string `json:"norm,omitempty"`
	Residual   bool   `json:"residual,omitempty"`
}

type coefficient struct {
	Feature string             `json:"feature"`
	Weights map[string]float64 `json:"weights"` // by class, or of the target
}

// showBundle shows a model, if it could be read.
func (a *app) showBundle(name string, raw []byte, err error) error {
	if err != nil {
		return err
	}
	v, err := viewOf(name, raw)
	if err != nil {
		return err
	}
	return a.result(v)
}

// viewOf looks into a bundle.
func viewOf(name string, raw []byte) (*modelView, error) {
	b, err := bundle.Decode(raw)
	if err != nil {
		return nil, err
	}
	weights, err := b.Weights()
	if err != nil {
		return nil, err
	}
	net, err := neural.Describe(weights)
	if err != nil {
		return nil, err
	}
	outputs, err := b.OutputFields(nil)
	if err != nil {
		return nil, err
	}
	v := &modelView{
		Model: name, Digest: store.DigestOf(raw), Bytes: len(raw), Task: b.Target.Task(), Target: columnsOf(b.Target.Field())[0], Classes: b.Target.Classes(),
		Columns: columnsOf(b.Signature.Fields...), Outputs: columnsOf(outputs...), Features: b.Encoder.FeatureNames(), Metrics: b.Metrics,
	}
	for _, t := range net.Tables {
		v.Parameters += len(t.Rows)
	}
	for _, l := range net.Layers {
		shown := layerView{Inputs: len(l.Weight) / len(l.Bias), Outputs: len(l.Bias), Activation: string(l.Activation), Residual: l.Joins}
		v.Parameters += len(l.Weight) + len(l.Bias)
		if n := l.Norm; n != nil {
			shown.Norm = string(n.Kind)
			v.Parameters += len(n.Scale) + len(n.Shift)
		}
		v.Layers = append(v.Layers, shown)
	}
	if len(net.Layers) == 1 && len(net.Tables) == 0 {
		v.Coefficients = v.coefficients(net)
	}
	return v, nil
}

func columnsOf(fields ...data.Field) []columnView {
	out := make([]columnView, len(fields))
	for i, f := range fields {
		out[i] = columnView{f.Name, f.Type.String(), f.Nullable}
	}
	return out
}

// coefficients are those of the one layer of a network, in the unit of the target.
func (v *modelView) coefficients(net *neural.Description) []coefficient {
	l := net.Layers[0]
	of := func(name string, at func(output int) float64) coefficient {
		c := coefficient{name, map[string]float64{}}
		switch {
		case v.Classes == nil:
			c.Weights[v.Target.Name] = net.Std * at(0)
		case len(v.Classes) == 2:
			c.Weights[v.Classes[1]] = at(1) - at(0)
		default:
			for k, class := range v.Classes {
				c.Weights[class] = at(k)
			}
		}
		return c
	}
	out := make([]coefficient, 0, len(v.Features)+1)
	for j, name := range v.Features {
		out = append(out, of(name, func(k int) float64 { return float64(l.Weight[k*len(v.Features)+j]) }))
	}
	intercept := of("", func(k int) float64 { return float64(l.Bias[k]) })
	if v.Classes == nil {
		intercept.Weights[v.Target.Name] += net.Mean
	}
	return append(out, intercept)
}

// Sections are facts, the columns that a prediction needs, and how good it was.
func (v *modelView) Sections() []render.Section {
	target := fmt.Sprintf("%s, %s", v.Target.Name, v.Target.Type)
	if n := len(v.Classes); n > 0 {
		target += fmt.Sprintf(": %d classes, %s", n, cut(strings.Join(v.Classes, ", "), 80))
	}
	sections := []render.Section{
		{Facts: []render.Fact{
			{Name: "model", Value: v.Model},
			{Name: "digest", Value: string(v.Digest)},
			{Name: "bytes", Value: progress.Thousands(int64(v.Bytes))},
			{Name: "task", Value: string(v.Task)},
			{Name: "target", Value: target},
			{Name: "network", Value: v.network()},
			{Name: "parameters", Value: progress.Thousands(int64(v.Parameters))},
		}},
		signatureTable("columns it needs", v.Columns), signatureTable("columns it adds", v.Outputs),
	}
	if len(v.Metrics) > 0 {
		by := map[string]map[string]float64{}
		for part, report := range v.Metrics {
			by[part] = map[string]float64{}
			for _, m := range report {
				if m.Undefined == "" {
					by[part][m.Name] = m.Value
				}
			}
		}
		sections = append(sections, metricsSection(by, nil))
	}
	if len(v.Coefficients) > 0 {
		sections = append(sections, v.coefficientTable())
	}
	return sections
}

// network is the layers on one line.
func (v *modelView) network() string {
	parts := []string{fmt.Sprintf("%d numbers", len(v.Features))}
	for _, l := range v.Layers {
		parts = append(parts, strings.Join(slices.DeleteFunc([]string{strconv.Itoa(l.Outputs), l.Norm, l.Activation, map[bool]string{true: "residual"}[l.Residual]},
			func(s string) bool { return s == "" }), " "))
	}
	return strings.Join(parts, " > ")
}

func signatureTable(title string, columns []columnView) render.Section {
	s := render.Section{Title: title, Columns: render.Left("column", "type", "nulls")}
	for _, c := range columns {
		s.Rows = append(s.Rows, []string{c.Name, c.Type, map[bool]string{true: "yes"}[c.Nullable]})
	}
	return s
}

// coefficientTable has the largest ones first.
func (v *modelView) coefficientTable() render.Section {
	const most = 30
	titles := slices.Sorted(maps.Keys(v.Coefficients[0].Weights))
	s := render.Section{Title: "coefficients, of numbers that are standardised", Columns: []render.Column{{Title: "number"}}}
	for _, t := range titles {
		s.Columns = append(s.Columns, render.Column{Title: t, Right: true})
	}
	largest := func(c coefficient) (most float64) {
		for _, w := range c.Weights {
			most = max(most, math.Abs(w))
		}
		return most
	}
	last := len(v.Coefficients) - 1
	sorted := slices.Clone(v.Coefficients[:last])
	slices.SortStableFunc(sorted, func(a, b coefficient) int { return cmp.Compare(largest(b), largest(a)) })
	shown := append([]coefficient{{"(intercept)", v.Coefficients[last].Weights}}, sorted[:min(most, last)]...)
	for _, c := range shown {
		row := []string{c.Feature}
		for _, t := range titles {
			row = append(row, strconv.FormatFloat(c.Weights[t], 'g', 6, 64))
		}
		s.Rows = append(s.Rows, row)
	}
	if last > most {
		s.Text = fmt.Sprintf("and %d more, in -o json\n", last-most)
	}
	return s
}

// cut shortens a text to so many bytes, at the boundary of a word if there is one.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	if i := strings.LastIndex(text[:most], " "); i > 0 {
		most = i
	}
	return strings.ToValidUTF8(text[:most], "") + " ..."
}
