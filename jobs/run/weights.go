package run

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// lossOf returns how rows count while training, where the classes are known by
// number. A weight of a class that no training row has is of kind Invalid: its
// name is most likely wrong.
func lossOf(t *spec.Train, classes []string) (neural.Loss, error) {
	l := neural.Loss{LabelSmoothing: t.LabelSmoothing, Row: rowLossOf(t)}
	if t.ClassWeights == nil {
		return l, nil
	}
	if l.Balanced = t.ClassWeights.Balanced; l.Balanced {
		return l, nil
	}
	l.ClassWeights = slices.Repeat([]float64{1}, len(classes))
	for _, name := range slices.Sorted(maps.Keys(t.ClassWeights.Of)) {
		i := slices.Index(classes, name)
		if i < 0 {
			return l, fault.New(fault.Invalid, "class_weights: %q is no class of the target %q: there are %s", name, t.Target, listed(classes))
		}
		l.ClassWeights[i] = t.ClassWeights.Of[name]
	}
	return l, nil
}

// rowLossOf returns what a regression minimises.
func rowLossOf(t *spec.Train) metrics.RowLoss {
	if t.Loss == nil {
		return metrics.RowLoss{}
	}
	return metrics.RowLoss{Kind: metrics.LossKind(t.Loss.Kind), Parameter: t.Loss.Parameter}
}

// checkWeight judges the column of rows' weights against the input.
func checkWeight(name string, d *Dataset) error {
	if name == "" {
		return nil
	}
	if err := d.need("weight", name); err != nil {
		return err
	}
	if f := d.Schema.Fields[d.Schema.Index(name)]; f.Type == data.Bool || !f.Type.Numeric() {
		return fault.New(fault.Invalid, "weight: column %q is %v, expected numbers", name, f.Type)
	}
	return nil
}

// weights writes to out what the rows of a batch weigh, of those that have a
// target. The error, of kind Invalid, names the first row whose weight is none.
func (l *learner) weights(b *data.Batch, at rowNumbers, out []float32) error {
	c, target := b.Column(l.train.Weight), b.Column(l.train.Target)
	value := numbersOf(c)
	for i := range out {
		if !labelled(target, i) {
			out[i] = 0
			continue
		}
		v := value(i)
		if c.Valid.Get(i) && v >= 0 && v <= math.MaxFloat32 { // also false of NaN
			out[i] = float32(v)
			continue
		}
		what := "null"
		if c.Valid.Get(i) {
			what = fmt.Sprint(v)
		}
		return fault.New(fault.Invalid, "weight: column %q is %s in row %d, expected a finite number of at least 0: mend it, or leave such rows out with where",
			l.train.Weight, what, at.numbers()[i])
	}
	return nil
}

// numbersOf returns a function of a column's values.
func numbersOf(c *data.Column) func(int) float64 {
	switch c.Type {
	case data.Int32:
		return func(i int) float64 { return float64(c.Int32s[i]) }
	case data.Int64:
		return func(i int) float64 { return float64(c.Int64s[i]) }
	case data.Float32:
		return func(i int) float64 { return float64(c.Float32s[i]) }
	}
	return func(i int) float64 { return c.Float64s[i] }
}

// weigh checks the weights of a batch's rows, and counts those of each part that
// weigh more than nothing.
func (o *observation) weigh(l *learner, b *data.Batch, at rowNumbers, parts []split.Part) error {
	if l.train.Weight == "" {
		return nil
	}
	if o.Weighing == nil {
		o.Weighing = map[string]int64{}
	}
	weights := make([]float32, b.NumRows)
	if err := l.weights(b, at, weights); err != nil {
		return err
	}
	for i, w := range weights {
		if w > 0 {
			o.Weighing[parts[i].String()]++
		}
	}
	return nil
}

// weighing checks that some rows of every part that has any weigh more than
// nothing.
func (l *learner) weighing(rows, weighing map[string]int64) error {
	for _, part := range learned {
		if name := part.String(); l.train.Weight != "" && rows[name] > 0 && weighing[name] == 0 {
			return fault.New(fault.Invalid, "weight: column %q is 0 in all %d rows of %s: name another column, or give some of them a weight",
				l.train.Weight, rows[name], name)
		}
	}
	return nil
}
