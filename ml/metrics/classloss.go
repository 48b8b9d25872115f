package metrics

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// TrainingLoss is the metric of the loss that training minimises, where it is not
// log_loss or a metric of numbers.
const TrainingLoss = "loss"

// ClassLoss is a cross entropy in which classes weigh differently, or labels are
// smoothed. With weights w of classes, K of them, smoothing e and a row's own class
// y, a row's loss is
//
//	(1-e) w[y] (-log p[y]) + e/K sum over c of w[c] (-log p[c])
//
// and the loss of rows the sum of theirs, divided by that of their w[y].
//
// Source: PyTorch, torch.nn.CrossEntropyLoss(weight, label_smoothing).
type ClassLoss struct {
	Weights   []float64 // of each class, finite and at least 0
	Smoothing float64   // e, at least 0 and below 1
}

// classLoss is what an evaluator keeps of a ClassLoss.
type classLoss struct {
	ClassLoss
	mean   Mean       // the losses of the rows
	weight sketch.Sum // of their classes' weights
}

func (l ClassLoss) valid(numClasses int) bool {
	for _, w := range l.Weights {
		if !(w >= 0 && w <= math.MaxFloat32) { // also true of NaN
			return false
		}
	}
	return len(l.Weights) == numClasses && l.Smoothing >= 0 && l.Smoothing < 1
}

// JudgeClasses makes e measure a loss, too, of classes, under the name TrainingLoss;
// it is called before anything is observed. The error, of kind Invalid, is for what
// is no loss, and for numbers.
func (e *Evaluator) JudgeClasses(l ClassLoss) error {
	if e.classes == nil || !l.valid(e.classes.numClasses) || e.NumRows() > 0 {
		return fault.New(fault.Invalid, "metrics: a loss of class weights %v and smoothing %v of a %s task with %d rows", l.Weights, l.Smoothing, e.task, e.NumRows())
	}
	l.Weights = slices.Clone(l.Weights)
	e.classLoss = &classLoss{ClassLoss: l}
	return nil
}

// of returns the loss of a row. Probabilities are kept within bounds as LogLoss has
// them; products are rounded on their own, so that no compiler fuses them into sums.
func (l ClassLoss) of(label int, p []float64) float64 {
	own := float64(l.Weights[label] * LogLoss(p[label]))
	if l.Smoothing == 0 {
		return own
	}
	all := 0.0
	for c, w := range l.Weights {
		all += float64(w * LogLoss(p[c]))
	}
	return float64((1-l.Smoothing)*own) + float64(l.Smoothing/float64(len(p))*all)
}

// add adds so many equal rows.
func (l *classLoss) add(label int, p []float64, numRows int64) {
	if l == nil {
		return
	}
	l.mean.addTimes(l.of(label, p), numRows)
	addTimes(&l.weight, l.Weights[label], numRows)
}

// same reports whether two losses are one.
func (l *classLoss) same(o *classLoss) bool {
	if l == nil || o == nil {
		return l == o
	}
	return l.Smoothing == o.Smoothing && slices.Equal(l.Weights, o.Weights)
}

// merge adds the rows of o, of the same loss.
func (l *classLoss) merge(o *classLoss) {
	if l != nil {
		l.mean.Merge(&o.mean)
		l.weight.Merge(&o.weight)
	}
}

func (l *classLoss) value() (float64, error) {
	weight := l.weight.Value()
	if weight == 0 {
		return 0, fault.New(fault.Invalid, "%s: every class of the rows weighs 0", TrainingLoss)
	}
	return l.mean.sum.Value() / weight, nil
}

func (l *classLoss) append(b []byte) []byte {
	for _, v := range append(slices.Clone(l.Weights), l.Smoothing) {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return l.weight.Append(l.mean.append(b))
}

// classLoss reads what append has written, of so many classes.
func (r *reader) classLoss(numClasses int) *classLoss {
	l := &classLoss{}
	for range numClasses {
		l.Weights = append(l.Weights, r.Float())
	}
	l.Smoothing = r.Float()
	l.mean, l.weight = r.mean(), r.sum()
	if r.Err() == nil && !l.valid(numClasses) {
		r.Fail("a loss of class weights %v and smoothing %v", l.Weights, l.Smoothing)
	}
	return l
}
