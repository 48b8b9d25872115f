package features

import (
	"errors"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

var errNoFolds = errors.New("what it learned out of fold is not here: the pipeline is one for rows that it has not learned from")

// statistics are of the targets of some rows.
type statistics struct {
	n      int64
	sum    sumWords
	square squareWords
}

func (s *statistics) plus(o *statistics) {
	s.n += o.n
	s.sum.plus(&o.sum)
	s.square.plus(&o.square)
}

func (s statistics) minus(o *statistics) statistics {
	s.n -= o.n
	s.sum.sub(&o.sum)
	s.square.sub(&o.square)
	return s
}

// mean of one row or more.
func (s *statistics) mean() float64 {
	return exactOf(s.sum[:], unitBits).over(float64(s.n)).float()
}

// variance, divided by n, of one row or more.
func (s *statistics) variance() float64 {
	n, sum := float64(s.n), exactOf(s.sum[:], unitBits)
	squares := exactOf(s.square[:], 2*unitBits)
	return max(0, squares.minus(sum.square().over(n)).over(n).float())
}

// prior is what all rows of some folds say.
type prior struct{ mean, variance float64 }

func (o *targetEncode) prior(all *statistics) prior {
	p := prior{mean: all.mean()}
	if o.auto {
		p.variance = all.variance()
	}
	return p
}

// value is what a category becomes, of whose rows s are the statistics: the mean
// of the category and the prior, weighted by
//
//	n / (n + rows)                           where the smoothing is a number of rows,
//	variance n / (variance n + variance of the category)   where it is auto.
//
// Source: Micci-Barreca, A preprocessing scheme for high-cardinality categorical
// attributes, SIGKDD Explorations 3(1), 2001, equations 4 to 6; the variances are
// those of scikit-learn's TargetEncoder.
func (o *targetEncode) value(s *statistics, p prior) float64 {
	if s.n == 0 {
		return p.mean
	}
	n := float64(s.n)
	if !o.auto {
		sum := exactOf(s.sum[:], unitBits).float()
		return (sum + float64(o.rows*p.mean)) / (n + o.rows)
	}
	between := float64(p.variance * n)
	weight := between / (between + s.variance())
	if math.IsNaN(weight) { // all targets are equal
		return p.mean
	}
	return float64(weight*s.mean()) + float64((1-weight)*p.mean)
}

// encode computes what the categories become, and what they become in each fold.
func (o *targetEncode) encode(s *targetSums) *encodingFit {
	s.grow()
	slots := o.numSlots()
	numFolds := slots
	if o.by == foldByTime {
		numFolds = len(o.fitted.Begins) + 1
	}
	var all statistics
	folds := make([]statistics, slots)
	for at := range s.cells {
		one := s.at(uint32(at/slots), at%slots)
		folds[at%slots].plus(&one)
		all.plus(&one)
	}
	f := &encodingFit{Categories: map[string]float64{}, Folds: make([]foldFit, numFolds)}
	if o.fitted != nil {
		f.Begins = o.fitted.Begins
	}
	total := o.prior(&all)
	f.Prior = &total.mean
	priors := make([]prior, numFolds)
	cells, rest := make([]statistics, slots), make([]statistics, slots)
	o.others(rest, folds, &all)
	for k := range f.Folds {
		if rest[k].n > 0 {
			priors[k] = o.prior(&rest[k])
			f.Folds[k].Prior = &priors[k].mean
		}
	}
	learn := func(place uint32, to func(fold int, v float64)) (v float64, seen bool) {
		var sum statistics
		for k := range cells {
			cells[k] = s.at(place, k)
			sum.plus(&cells[k])
		}
		if sum.n == 0 {
			return 0, false
		}
		o.others(rest, cells, &sum)
		for k := range f.Folds {
			if f.Folds[k].Prior != nil {
				to(k, o.value(&rest[k], priors[k]))
			}
		}
		return o.value(&sum, total), true
	}
	if v, seen := learn(0, func(k int, v float64) { f.Folds[k].Null = &v }); seen {
		f.Null = &v
	}
	for _, c := range s.labels.all() {
		v, _ := learn(c.place, func(k int, v float64) { f.Folds[k].Values = append(f.Folds[k].Values, v) })
		f.Categories[c.category] = v
	}
	return f
}

// others writes, for each fold, the statistics of the folds that a row of it is
// encoded from: all others, or by time the earlier ones.
func (o *targetEncode) others(out, folds []statistics, all *statistics) {
	var earlier statistics
	for k := range folds {
		if o.by == foldByTime {
			out[k] = earlier
			earlier.plus(&folds[k])
		} else {
			out[k] = all.minus(&folds[k])
		}
	}
}

// foldTimes is how many rows with a target have which time.
type foldTimes struct{ split.Times }

func (t *foldTimes) observe(in []*data.Column, mask data.Bitmap) {
	rows, c := vector.And(targetRows(in[1], mask), in[2].Valid), in[2]
	kept := data.NewColumn(data.Int64, 0)
	for i := range c.Len() {
		switch {
		case !rows.Get(i):
		case c.Type == data.Int32 || c.Type == data.Date:
			kept.Int64s = append(kept.Int64s, int64(c.Int32s[i]))
		default:
			kept.Int64s = append(kept.Int64s, c.Int64s[i])
		}
	}
	if err := t.Observe(kept); err != nil {
		panic("features: times that were checked: " + err.Error())
	}
}

func (t *foldTimes) merge(other summary) { t.Merge(&other.(*foldTimes).Times) }

func (t *foldTimes) append(b []byte) []byte {
	text, err := t.MarshalBinary()
	if err != nil {
		panic("features: times that cannot be written: " + err.Error())
	}
	return append(b, text...)
}

func (t *foldTimes) decode(b []byte) error { return t.UnmarshalBinary(b) }

// begins returns the times at which folds begin, but the first.
func (t *foldTimes) begins(column string, numFolds int) ([]int64, error) {
	if t.NumRows() == 0 {
		return nil, noValues("target and a time in " + column)
	}
	begins := t.Begins(numFolds)
	if len(begins) == 0 {
		return nil, fault.New(fault.Invalid, "fold_column: all rows to learn from have the same time in %q: none is earlier than others; use fold_by: random", column)
	}
	return begins, nil
}
