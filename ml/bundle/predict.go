package bundle

import (
	"slices"
	"strconv"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// blockRows is how many rows are encoded at a time, which bounds the memory of a
// prediction; a multiple of 64.
const blockRows = 16_384

// Prediction is what a model says of rows.
type Prediction struct {
	NumRows int
	// Classes is the predicted class of every row, the one of the highest
	// probability and of equals the first, of the target's own type; nil for a
	// regression.
	Classes *data.Column
	// Labels are the names of the classes, in the order of Probabilities.
	Labels []string
	// Probabilities is of shape (rows, classes), row-major; nil for a regression.
	Probabilities []float32
	// Values is the value of every row, of shape (rows,), in the unit of the
	// target; nil unless it is a regression.
	Values []float64

	best []int32 // the place of every row's class in Labels
}

// Predict predicts every row of a batch, which holds the columns of the
// signature, in any order and maybe among others; a narrower numeric type is
// fine. A row's prediction does not depend on the rows beside it: it has the
// same bits alone, in any batch, and through Rows.
//
// Errors are of kind Invalid: a column is missing, of another type, or has nulls
// where the signature allows none.
func (b *Bundle) Predict(in *data.Batch) (*Prediction, error) {
	rows, err := b.conform(in)
	if err != nil {
		return nil, err
	}
	if b.Pipeline != nil {
		if rows, err = b.Pipeline.Apply(rows); err != nil {
			return nil, err
		}
	}
	outputs, width := b.Model.Problem().NumOutputs(), b.Encoder.NumFeatures()
	out := make([]float32, rows.NumRows*outputs)
	x := make([]float32, min(blockRows, rows.NumRows)*width)
	for from := 0; from < rows.NumRows; from += blockRows {
		block := slice(rows, from, min(from+blockRows, rows.NumRows))
		x := x[:block.NumRows*width]
		if err := b.Encoder.Encode(block, x); err != nil {
			return nil, err
		}
		if err := b.Model.Predict(x, block.NumRows, out[from*outputs:(from+block.NumRows)*outputs]); err != nil {
			return nil, err
		}
	}
	return b.prediction(in.NumRows, out)
}

// slice returns rows from, a multiple of 64, to below end.
func slice(b *data.Batch, from, end int) *data.Batch {
	if from == 0 && end == b.NumRows {
		return b
	}
	s := &data.Batch{Schema: b.Schema, NumRows: end - from}
	for _, c := range b.Columns {
		d := &data.Column{Type: c.Type, Dict: c.Dict}
		if c.Valid != nil {
			d.Valid = slices.Clone(c.Valid[from/64 : (end+63)/64])
			if rest := end % 64; rest > 0 {
				d.Valid[len(d.Valid)-1] &= 1<<uint(rest) - 1
			}
		}
		switch c.Type {
		case data.Bool:
			d.Bools = c.Bools[from:end]
		case data.Int32, data.Date:
			d.Int32s = c.Int32s[from:end]
		case data.Int64, data.Timestamp:
			d.Int64s = c.Int64s[from:end]
		case data.Float32:
			d.Float32s = c.Float32s[from:end]
		case data.Float64:
			d.Float64s = c.Float64s[from:end]
		case data.String:
			d.Codes = c.Codes[from:end]
		}
		s.Columns = append(s.Columns, d)
	}
	return s
}

// prediction explains the outputs of the model.
func (b *Bundle) prediction(numRows int, out []float32) (*Prediction, error) {
	p := &Prediction{NumRows: numRows}
	if b.Model.Problem().Task == metrics.Regression {
		p.Values = make([]float64, numRows)
		for i, v := range out {
			p.Values[i] = float64(v)
		}
		return p, nil
	}
	p.Labels, p.Probabilities = b.Target.Classes(), out
	p.best = make([]int32, numRows)
	for i := range p.best {
		row := out[i*len(p.Labels) : (i+1)*len(p.Labels)]
		for k, v := range row {
			if v > row[p.best[i]] {
				p.best[i] = int32(k)
			}
		}
	}
	var err error
	p.Classes, err = classesOf(b.Target.Field().Type, p.Labels, p.best)
	return p, err
}

// classesOf returns the labels of rows as a column of a type.
func classesOf(t data.Type, labels []string, best []int32) (*data.Column, error) {
	values := data.NewColumn(t, len(labels)) // of the classes
	for k, label := range labels {
		var err error
		switch t {
		case data.Bool:
			values.Bools[k], err = strconv.ParseBool(label)
		case data.Int32:
			var v int64
			v, err = strconv.ParseInt(label, 10, 32)
			values.Int32s[k] = int32(v)
		case data.Int64:
			values.Int64s[k], err = strconv.ParseInt(label, 10, 64)
		case data.Float32:
			var v float64
			v, err = strconv.ParseFloat(label, 32)
			values.Float32s[k] = float32(v)
		case data.Float64:
			values.Float64s[k], err = strconv.ParseFloat(label, 64)
		case data.String:
			values.Codes[k] = uint32(k)
		default:
			return nil, fault.New(fault.Internal, "bundle: classes of type %v", t)
		}
		if err != nil {
			return nil, fault.New(fault.Corrupt, "bundle: class %q is no %v", label, t)
		}
	}
	c := data.NewColumn(t, len(best))
	for i, k := range best {
		switch t {
		case data.Bool:
			c.Bools[i] = values.Bools[k]
		case data.Int32:
			c.Int32s[i] = values.Int32s[k]
		case data.Int64:
			c.Int64s[i] = values.Int64s[k]
		case data.Float32:
			c.Float32s[i] = values.Float32s[k]
		case data.Float64:
			c.Float64s[i] = values.Float64s[k]
		default:
			c.Codes[i] = values.Codes[k]
		}
	}
	if t == data.String {
		c.Dict, c.Codes = byAppearance(labels, c.Codes)
	}
	return c, nil
}

// byAppearance returns the dictionary with the strings that occur, in order of
// first appearance, and the codes for it.
func byAppearance(dict []string, codes []uint32) ([]string, []uint32) {
	var used []string
	places := make([]int, len(dict)) // in used, from 1
	for i, code := range codes {
		if places[code] == 0 {
			used = append(used, dict[code])
			places[code] = len(used)
		}
		codes[i] = uint32(places[code] - 1)
	}
	return used, codes
}

// Row returns the prediction of row i as JSON has it: the class, its
// probability and those of all classes; or the value of a regression alone.
func (p *Prediction) Row(i int) (prediction any, probability float32, probabilities []float32) {
	if p.Classes == nil {
		return p.Values[i], 0, nil
	}
	probabilities = p.Probabilities[i*len(p.Labels) : (i+1)*len(p.Labels)]
	switch c := p.Classes; c.Type {
	case data.Bool:
		prediction = c.Bools[i]
	case data.Int32:
		prediction = int64(c.Int32s[i])
	case data.Int64:
		prediction = c.Int64s[i]
	case data.Float32:
		prediction = float64(c.Float32s[i])
	case data.Float64:
		prediction = c.Float64s[i]
	default:
		prediction = p.Labels[p.best[i]]
	}
	return prediction, probabilities[p.best[i]], probabilities
}

// OutputFields returns the columns that a prediction adds to those that are
// kept: prediction, of the type of the target, and for classes also probability,
// which is that of the predicted class, and probability_CLASS for each class;
// prediction alone, a float64, for a regression. A name that is taken already is
// an error of kind Invalid.
func (b *Bundle) OutputFields(kept []string) ([]data.Field, error) {
	fields := outputFields(b.Target.Field().Type, b.Target.Classes())
	for _, f := range fields {
		if slices.Contains(kept, f.Name) {
			return nil, fault.New(fault.Invalid, "bundle: the input has a column %q, which is also the name of one that is added: name the columns to keep, without it", f.Name)
		}
	}
	return fields, nil
}

// outputFields returns the fields for the labels, none of a regression.
func outputFields(t data.Type, labels []string) []data.Field {
	if len(labels) == 0 {
		return []data.Field{{Name: "prediction", Type: data.Float64}}
	}
	fields := []data.Field{{Name: "prediction", Type: t}, {Name: "probability", Type: data.Float32}}
	for _, label := range labels {
		fields = append(fields, data.Field{Name: "probability_" + label, Type: data.Float32})
	}
	return fields
}

// batch returns the columns of OutputFields under their names.
func (p *Prediction) batch() *data.Batch {
	columns := p.Columns()
	return &data.Batch{Schema: data.Schema{Fields: outputFields(columns[0].Type, p.Labels)}, Columns: columns, NumRows: p.NumRows}
}

// Columns returns the columns of OutputFields.
func (p *Prediction) Columns() []*data.Column {
	if p.Classes == nil {
		return []*data.Column{{Type: data.Float64, Float64s: p.Values}}
	}
	probability := data.NewColumn(data.Float32, p.NumRows)
	columns := []*data.Column{p.Classes, probability}
	for range p.Labels {
		columns = append(columns, data.NewColumn(data.Float32, p.NumRows))
	}
	for i := range p.NumRows {
		row := p.Probabilities[i*len(p.Labels) : (i+1)*len(p.Labels)]
		probability.Float32s[i] = row[p.best[i]]
		for k, v := range row {
			columns[2+k].Float32s[i] = v
		}
	}
	return columns
}
