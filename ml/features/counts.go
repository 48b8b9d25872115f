package features

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Counted is how many distinct values of a column were told apart, and the
// length of their texts. What is made of them takes memory in proportion.
type Counted struct {
	Column string `json:"column"`
	Values int64  `json:"values"`
	Bytes  int64  `json:"bytes"`
	// Rough tells how many there are in several summaries together; nil: unknown.
	Rough *sketch.Rough `json:"rough,omitempty"`
	Each  int64         `json:"each,omitempty"` // bytes that are kept of each value, beside what any that is told apart takes
}

// counted returns the sizes of summaries that tell values apart.
func (c *counts) counted(column string) Counted {
	keys := int64(len(c.keys.Keys))
	n := Counted{Column: column, Values: keys, Bytes: keys * keyBytes}
	if c.values.Exact() {
		n.Values += c.values.NumDistinct()
		n.Bytes += int64(c.values.NumBytes())
		n.Rough = &sketch.Rough{}
		c.values.Rough(n.Rough)
		for _, key := range c.keys.Keys {
			n.Rough.AddKey(key)
		}
	}
	return n
}

// keyBytes is about the length of a whole number's text.
const keyBytes = 8

// Counted returns the values that the steps of the pass tell apart, in the order
// of the steps; those that do not are left out.
func (s *State) Counted() []Counted {
	var out []Counted
	for i, sum := range s.summaries {
		column := s.pipeline.steps[s.steps[i]].Of[0]
		switch sum := sum.(type) {
		case *counts:
			out = append(out, sum.counted(column))
		case *targetSums:
			out = append(out, sum.counted(column))
		}
	}
	return out
}

// Counted returns the texts that are told apart, by column.
func (s *EncoderState) Counted() []Counted {
	var out []Counted
	for i, sum := range s.sums {
		if c, ok := sum.(*counts); ok {
			out = append(out, c.counted(s.columns[i].Name))
		}
	}
	return out
}

// CountedInput is the columns that the values follow from which a step tells
// apart: of the input, and windows.
type CountedInput struct {
	Columns []string
	Each    int64 // as Counted has it
}

// CountedInputs returns these for each step of a pass that tells values apart.
func (p *Pipeline) CountedInputs(pass int) []CountedInput {
	var out []CountedInput
	for i, s := range p.steps {
		if !p.learns(i, pass) {
			continue
		}
		switch sum := s.op.(learner).summary().(type) {
		case *counts:
			out = append(out, CountedInput{Columns: p.followsFrom(i)})
		case *targetSums:
			out = append(out, CountedInput{p.followsFrom(i), sum.like.cellBytes(sum.like.target.Type != data.Bool && sum.like.target.Type != data.String)})
		}
	}
	return out
}

// followsFrom returns the columns whose values decide what a step reads.
func (p *Pipeline) followsFrom(step int) []string {
	var names []string
	for _, from := range p.steps[step].of {
		if from.step < 0 {
			names = append(names, p.input.Fields[from.at].Name)
		} else if _, ok := p.window(from.step); ok {
			names = append(names, p.steps[from.step].Name)
		} else {
			names = append(names, p.followsFrom(from.step)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
