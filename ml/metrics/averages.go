package metrics

import "github.com/troupe-ml/troupe/internal/fault"

// tally is what a class's precision, recall and F1 are made of.
type tally struct {
	hits   int64 // rows of the class that were predicted as it
	truly  int64 // rows of the class
	called int64 // rows that were predicted as it
}

// tallies returns the tally of every class.
func (c *Confusion) tallies() []tally {
	out := make([]tally, c.numClasses)
	for k := range c.numClasses {
		for j := range c.numClasses {
			n := c.Count(k, j)
			out[k].truly += n
			out[j].called += n
		}
		out[k].hits = c.Count(k, k)
	}
	return out
}

// precision returns hits / called; not defined when no row was called so.
func (t tally) precision() (float64, bool) { return ratio(t.hits, t.called) }

// recall returns hits / truly; not defined when there is no such row.
func (t tally) recall() (float64, bool) { return ratio(t.hits, t.truly) }

// f1 returns 2 hits / (truly + called), the harmonic mean of both.
func (t tally) f1() (float64, bool) { return ratio(2*t.hits, t.truly+t.called) }

func ratio(part, whole int64) (float64, bool) {
	if whole == 0 {
		return 0, false
	}
	return float64(part) / float64(whole), true
}

// Precision returns the share of the rows predicted as a class that are of it.
// The error is of kind Invalid when no row is predicted as it.
//
// Source, as of Recall and F1: van Rijsbergen, Information Retrieval, 1979,
// chapter 7; with two classes, the second is the positive one.
func (c *Confusion) Precision(class int) (float64, error) {
	v, ok := c.tallies()[class].precision()
	if !ok {
		return 0, fault.New(fault.Invalid, "precision: not defined: none of the %d rows is predicted as class %d", c.NumRows(), class)
	}
	return v, nil
}

// Recall returns the share of the rows of a class that are predicted as it. The
// error is of kind Invalid when there are no rows of it.
func (c *Confusion) Recall(class int) (float64, error) {
	v, ok := c.tallies()[class].recall()
	if !ok {
		return 0, fault.New(fault.Invalid, "recall: not defined: none of the %d rows is of class %d", c.NumRows(), class)
	}
	return v, nil
}

// F1 returns 2 tp / (2 tp + fp + fn) of a class. The error is of kind Invalid
// when no row is of it or predicted as it.
func (c *Confusion) F1(class int) (float64, error) {
	v, ok := c.tallies()[class].f1()
	if !ok {
		return 0, fault.New(fault.Invalid, "f1: not defined: none of the %d rows is of class %d or predicted as it", c.NumRows(), class)
	}
	return v, nil
}

// MacroPrecision returns the mean of the classes' precision, each class that
// occurs among the labels or the predictions counting the same; one that is
// never predicted counts as 0. Classes that occur in neither are left out, as
// scikit-learn has it. The error is of kind Invalid when there are no rows.
func (c *Confusion) MacroPrecision() (float64, error) {
	return c.macro("macro_precision", tally.precision)
}

// MacroRecall is MacroPrecision of recall.
func (c *Confusion) MacroRecall() (float64, error) { return c.macro("macro_recall", tally.recall) }

// MacroF1 is MacroPrecision of F1.
func (c *Confusion) MacroF1() (float64, error) { return c.macro("macro_f1", tally.f1) }

// WeightedPrecision returns the mean of the classes' precision, each class
// counting as often as it occurs among the labels; one that is never predicted
// counts as 0. The error is of kind Invalid when there are no rows.
func (c *Confusion) WeightedPrecision() (float64, error) {
	return c.weighted("weighted_precision", tally.precision)
}

// WeightedRecall is WeightedPrecision of recall, which is the accuracy.
func (c *Confusion) WeightedRecall() (float64, error) {
	return c.weighted("weighted_recall", tally.recall)
}

// WeightedF1 is WeightedPrecision of F1.
func (c *Confusion) WeightedF1() (float64, error) { return c.weighted("weighted_f1", tally.f1) }

// macro and weighted go over classes in order, from integers: the same for any
// split of the rows.
func (c *Confusion) macro(name string, of func(tally) (float64, bool)) (float64, error) {
	sum, occurring := 0.0, 0
	for _, t := range c.tallies() {
		if t.truly+t.called == 0 {
			continue
		}
		v, _ := of(t)
		sum += v
		occurring++
	}
	if occurring == 0 {
		return 0, noRows(name)
	}
	return sum / float64(occurring), nil
}

func (c *Confusion) weighted(name string, of func(tally) (float64, bool)) (float64, error) {
	sum, numRows := 0.0, int64(0)
	for _, t := range c.tallies() {
		v, _ := of(t)
		sum += float64(v * float64(t.truly)) // two roundings: no fused multiply-add
		numRows += t.truly
	}
	if numRows == 0 {
		return 0, noRows(name)
	}
	return sum / float64(numRows), nil
}
