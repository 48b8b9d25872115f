package metrics

import (
	"math"

	"github.com/troupe-ml/troupe/internal/fault"
)

// full is what a full evaluator keeps beyond what every epoch is measured by.
type full struct {
	brier       Mean
	calibration Calibration
	byClass     []AUC // of Multiclass: each class against all others
	absolute    AUC   // of Regression: the multiset of absolute errors
}

// NewFullEvaluator returns an evaluator of Task.AllNames, which has more to keep
// than one of NewEvaluator. Of c classes, scores of each against the others are
// told apart up to 1,048,576 / c (at least 1,024) distinct ones, and absolute
// errors up to 1,048,576; beyond, as AUC says. The error is as of NewEvaluator.
func NewFullEvaluator(task Task, numClasses int) (*Evaluator, error) {
	e, err := NewEvaluator(task, numClasses)
	if err != nil {
		return nil, err
	}
	e.full = newFull(task, numClasses)
	return e, nil
}

func newFull(task Task, numClasses int) *full {
	f := &full{}
	if task != Multiclass {
		return f
	}
	f.byClass = make([]AUC, numClasses)
	for k := range f.byClass {
		f.byClass[k].most = max(maxScores/numClasses, 1024)
	}
	return f
}

// addClass adds so many rows of one class and the probability of each. Binary is
// calibrated by the probability of the positive class, Multiclass by that of the
// class predicted.
func (f *full) addClass(task Task, label int, p []float64, numRows int64) {
	if task == Binary {
		f.brier.addTimes(Brier(p[1], label == 1), numRows)
		f.calibration.add(p[1], label == 1, numRows)
		return
	}
	off := 0.0
	for k, v := range p {
		f.byClass[k].add(v, k == label, uint64(numRows))
		off += Brier(v, k == label)
	}
	f.brier.addTimes(off, numRows)
	top := Argmax(p)
	f.calibration.add(p[top], top == label, numRows)
}

func (f *full) addValue(truth, predicted float64, numRows int64) {
	f.absolute.add(math.Abs(predicted-truth), true, uint64(numRows))
}

func (f *full) merge(o *full) {
	f.brier.Merge(&o.brier)
	f.calibration.Merge(&o.calibration)
	for k := range f.byClass {
		f.byClass[k].Merge(&o.byClass[k])
	}
	f.absolute.Merge(&o.absolute)
}

// fullValue returns a metric that only a full evaluator has.
func (e *Evaluator) fullValue(name string) (float64, error) {
	switch name {
	case "brier":
		return e.full.brier.Value()
	case "calibration_error":
		return e.full.calibration.Error()
	case "auc_ovr":
		return e.overClasses(func(tally) float64 { return 1 })
	case "auc_ovr_weighted":
		return e.overClasses(func(t tally) float64 { return float64(t.truly) })
	case "median_absolute_error":
		v, ok := e.full.absolute.median()
		if !ok {
			return 0, noRows(name)
		}
		return v, nil
	}
	return 0, fault.New(fault.Internal, "metrics: %q is not a metric of a %s task", name, e.task)
}

// overClasses returns the mean of the areas of each class against all others, by
// a weight of each; a class of weight 0 may have none.
//
// Source: Provost and Domingos, Machine Learning 52, 2003 (by prevalence); Fawcett,
// Pattern Recognition Letters 27, 2006, section 10.
func (e *Evaluator) overClasses(weight func(tally) float64) (float64, error) {
	sum, all := 0.0, 0.0
	for k, t := range e.classes.tallies() {
		w := weight(t)
		if w == 0 {
			continue
		}
		v, err := e.full.byClass[k].Value()
		if err != nil {
			return 0, fault.New(fault.Invalid, "auc_ovr: not defined: of %d rows, %d are of class %d", e.NumRows(), t.truly, k)
		}
		sum += float64(w * v) // two roundings: no fused multiply-add
		all += w
	}
	return sum / all, nil
}

func (f *full) append(b []byte, task Task) []byte {
	if task == Regression {
		return f.absolute.append(b)
	}
	b = f.calibration.append(f.brier.append(b))
	for k := range f.byClass {
		b = f.byClass[k].append(b)
	}
	return b
}

func (r *reader) full(task Task, numClasses int) *full {
	f := newFull(task, numClasses)
	if task == Regression {
		f.absolute = r.auc(0)
		return f
	}
	f.brier, f.calibration = r.mean(), r.calibration()
	for k := range f.byClass {
		if r.Err() == nil {
			f.byClass[k] = r.auc(f.byClass[k].most)
		}
	}
	return f
}

// agrees reports whether all parts have seen so many rows.
func (f *full) agrees(task Task, numRows int64) bool {
	if task == Regression {
		return f.absolute.numRows() == uint64(numRows)
	}
	for k := range f.byClass {
		if f.byClass[k].numRows() != uint64(numRows) {
			return false
		}
	}
	return f.brier.numRows == numRows && f.calibration.NumRows() == numRows
}
