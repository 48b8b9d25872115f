package run

import (
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/features"
)

// counts returns what a job tells the values of apart, by pass: for each feature
// or input of a model the columns that it follows from.
func (w *work) counts(s *Survey) ([][]features.CountedInput, error) {
	switch k := w.spec; k.Kind {
	case spec.KindFeatures:
		p, err := compile(k.Features, s.Input)
		return pipelineCounts(p), err
	case spec.KindTrain:
		p, err := compileTrain(k.Train, s.Input)
		if p != nil || err != nil {
			return pipelineCounts(p), err
		}
		inputs, err := rawInputs(k.Train, s.Input)
		var texts []features.CountedInput
		for _, f := range inputs {
			if f.Type == data.String || slices.ContainsFunc(k.Train.Model.Embeddings, func(e spec.Embedding) bool { return e.Column == f.Name }) {
				texts = append(texts, features.CountedInput{Columns: []string{f.Name}})
			}
		}
		return [][]features.CountedInput{texts}, err
	}
	return nil, nil
}

func pipelineCounts(p *features.Pipeline) (out [][]features.CountedInput) {
	if p == nil {
		return nil
	}
	for pass := range p.NumPasses() {
		out = append(out, p.CountedInputs(pass))
	}
	return out
}

// countedBytes is the memory that telling values apart may take in a task that
// observes a shard, by what the files say of themselves.
func (d *Dataset) countedBytes(passes [][]features.CountedInput) (most int64) {
	for _, sets := range passes {
		if len(sets) == 0 {
			continue
		}
		for _, s := range d.Shards {
			bytes := int64(0)
			for _, in := range sets {
				all := features.Counted{Each: in.Each}
				for _, r := range s.Ranges {
					l := d.looks[r.File]
					v := &view{file: l.file, schema: d.Schema, folder: l.DataFile, filter: d.filter}
					for g := r.First; g < r.First+r.Count; g++ {
						one := v.mostDistinct(g, in.Columns)
						all.Values, all.Bytes = all.Values+one.Values, all.Bytes+one.Bytes
					}
				}
				bytes += plan.ObservedBytes(all)
			}
			most = max(most, bytes)
		}
	}
	return most
}

// mostDistinct bounds how many different combinations of values columns have in a
// row group, and the length of their texts.
func (v *view) mostDistinct(group int, columns []string) features.Counted {
	rg := v.file.RowGroup(group)
	all := features.Counted{Values: 1}
	for _, name := range columns {
		one := v.distinctOf(rg, group, name)
		all.Bytes += one.Bytes
		if all.Values > rg.Rows/max(one.Values, 1) {
			all.Values = rg.Rows
		} else {
			all.Values *= max(one.Values, 1)
		}
	}
	return all
}

func (v *view) distinctOf(rg parquet.RowGroup, group int, column string) features.Counted {
	k := v.file.Schema().Index(column)
	if v.schema.Index(column) < 0 { // a window, which any row may have another of
		return features.Counted{Values: rg.Rows, Bytes: 8 * rg.Rows}
	}
	if k < 0 { // a folder's name, or null
		return features.Counted{Values: 1}
	}
	const plainHeader = 4 // before each text, in a dictionary or without one
	switch t := v.file.Schema().Fields[k].Type; t {
	case data.Bool:
		return features.Counted{Values: 2}
	case data.String:
		bytes := max(rg.Columns[k].DecodedBytes-4*rg.Rows, 0)
		return features.Counted{Values: min(rg.Rows, bytes/plainHeader+1), Bytes: bytes}
	case data.Int32, data.Int64, data.Date:
		values := rg.Rows
		if r, ok := v.statistics(group, column); ok && r.Bounded && r.Min.Kind() == data.IntLiteral && r.Max.Kind() == data.IntLiteral {
			if span := uint64(r.Max.Int()) - uint64(r.Min.Int()); span < math.MaxInt64 {
				values = min(values, int64(span)+1)
			}
		}
		return features.Counted{Values: values, Bytes: 8 * values}
	}
	return features.Counted{Values: rg.Rows, Bytes: 8 * rg.Rows}
}
