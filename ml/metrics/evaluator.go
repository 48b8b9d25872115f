package metrics

import (
	"encoding/binary"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Evaluator gathers the metrics of a task. Each shard is observed by one of its
// own; merged in any order they have the same bytes and the same report. It is
// not safe for concurrent use.
type Evaluator struct {
	task    Task
	classes *Confusion // nil for regression
	logLoss Mean
	auc     AUC
	errors  Errors
	full    *full      // nil: only what every epoch is measured by
	weights *weighting // nil: rows have none
	judged  judged     // of a loss with metrics of its own
	// classLoss is nil unless the loss of training is not the log loss.
	classLoss *classLoss
	also      string // one more metric of reports; "" for none
}

// NewEvaluator returns an evaluator that has seen no rows. numClasses is 2 for
// Binary, 2 or more for Multiclass and ignored for Regression; anything else,
// and an unknown task, is an error of kind Invalid.
func NewEvaluator(task Task, numClasses int) (*Evaluator, error) {
	e := &Evaluator{task: task}
	switch {
	case task.Names() == nil:
		return nil, fault.New(fault.Invalid, "metrics: unknown task %q: expected binary, multiclass or regression", task)
	case task == Regression:
		return e, nil
	case task == Binary && numClasses != 2, numClasses < 2:
		return nil, fault.New(fault.Invalid, "metrics: a %s task of %d classes", task, numClasses)
	}
	c, err := NewConfusion(numClasses)
	e.classes = c
	return e, err
}

// ObserveClasses adds rows of a classification: the true class of each, and the
// probability of every class, of shape (rows, classes), row-major; class 1 is
// the positive one of Binary. The class predicted is the most probable one
// (Argmax), so a tie goes to the lower class. On an error, of kind Invalid,
// nothing is added: shapes that do not fit, a label out of range (-1 for a
// missing label among them), a probability that is NaN or outside 0..1.
func (e *Evaluator) ObserveClasses(truth []int, probabilities []float64) error {
	return e.ObserveWeighedClasses(truth, probabilities, nil)
}

// ObserveWeighedClasses is ObserveClasses of rows with a weight each, finite and
// at least 0, if the evaluator is one of such rows; else weights is nil.
func (e *Evaluator) ObserveWeighedClasses(truth []int, probabilities, weights []float64) error {
	const op = "metrics"
	if e.classes == nil {
		return fault.New(fault.Invalid, "%s: classes observed for a regression", op)
	}
	k := e.classes.numClasses
	if len(probabilities) != k*len(truth) {
		return fault.New(fault.Invalid, "%s: %d probabilities for %d rows of %d classes", op, len(probabilities), len(truth), k)
	}
	if err := e.checkWeights(weights, len(truth)); err != nil {
		return err
	}
	for i, label := range truth {
		if err := e.classes.check(i, label); err != nil {
			return err
		}
		if err := probable(op, i, probabilities[i*k:(i+1)*k]); err != nil {
			return err
		}
	}
	for i, label := range truth {
		p := probabilities[i*k : (i+1)*k]
		if n := e.times(weights, i); n > 0 {
			e.addClass(label, p, n)
		}
		e.countClass(label, p)
	}
	return nil
}

// ObserveClassTimes adds a number of equal rows: all of one class, predicted
// with the same probabilities, of shape (classes,). The state is that of so many
// calls of ObserveClasses; of rows with weights, numRows is what they weigh, in
// units. The error is as of those, and Invalid for a number that is not in
// 0..2^53.
func (e *Evaluator) ObserveClassTimes(label int, probabilities []float64, numRows int64) error {
	if numRows < 0 || numRows > 1<<53 {
		return fault.New(fault.Invalid, "metrics: %d rows of one class, expected 0 to 2^53", numRows)
	}
	if e.classes == nil {
		return fault.New(fault.Invalid, "metrics: classes observed for a regression")
	}
	if len(probabilities) != e.classes.numClasses {
		return fault.New(fault.Invalid, "metrics: %d probabilities for %d classes", len(probabilities), e.classes.numClasses)
	}
	if err := e.classes.check(0, label); err != nil {
		return err
	}
	if err := probable("metrics", 0, probabilities); err != nil {
		return err
	}
	if numRows > 0 {
		e.addClass(label, probabilities, numRows)
		if e.weights != nil {
			e.weights.numRows++ // how many rows they are is not known
			e.weights.classes.add(label, Argmax(probabilities), 1)
		}
	}
	return nil
}

// addClass adds so many rows of one class, predicted alike.
func (e *Evaluator) addClass(label int, p []float64, numRows int64) {
	e.classes.add(label, Argmax(p), numRows)
	e.logLoss.addTimes(LogLoss(p[label]), numRows)
	e.classLoss.add(label, p, numRows)
	if e.task == Binary {
		e.auc.add(p[1], label == 1, uint64(numRows))
	}
	if e.full != nil {
		e.full.addClass(e.task, label, p, numRows)
	}
}

// ObserveValues adds rows of a regression: true and predicted values. On an
// error, of kind Invalid as of Errors.Observe, nothing is added.
func (e *Evaluator) ObserveValues(truth, predicted []float64) error {
	return e.ObserveWeighedValues(truth, predicted, nil)
}

// ObserveWeighedValues is ObserveValues of rows with a weight each, finite and at
// least 0, if the evaluator is one of such rows; else weights is nil.
func (e *Evaluator) ObserveWeighedValues(truth, predicted, weights []float64) error {
	if e.task != Regression {
		return fault.New(fault.Invalid, "metrics: values observed for a %s task", e.task)
	}
	if err := checkValues(truth, predicted); err != nil {
		return err
	}
	if err := e.checkWeights(weights, len(truth)); err != nil {
		return err
	}
	for i, y := range truth {
		n := e.times(weights, i)
		if e.weights != nil {
			e.weights.numRows++
		}
		if n == 0 {
			continue
		}
		e.errors.add(y, predicted[i], n)
		e.judged.add(y, predicted[i], n)
		if e.full != nil {
			e.full.addValue(y, predicted[i], n)
		}
	}
	return nil
}

// Merge adds the rows that o has seen. The error is of kind Invalid when o is
// of another task or number of classes; e is left as it was.
func (e *Evaluator) Merge(o *Evaluator) error {
	if e.task != o.task {
		return fault.New(fault.Invalid, "metrics: merge of a %s and a %s task", e.task, o.task)
	}
	if (e.full == nil) != (o.full == nil) {
		return fault.New(fault.Invalid, "metrics: merge of a full evaluator and one that is not")
	}
	if (e.weights == nil) != (o.weights == nil) || e.weights != nil && e.weights.unit != o.weights.unit {
		return fault.New(fault.Invalid, "metrics: merge of rows that are weighed and rows that are not, or in another unit")
	}
	if e.judged.loss != o.judged.loss {
		return fault.New(fault.Invalid, "metrics: merge of evaluators of a loss %q of %v and %q of %v", e.judged.loss.Kind, e.judged.loss.Parameter, o.judged.loss.Kind, o.judged.loss.Parameter)
	}
	if !e.classLoss.same(o.classLoss) {
		return fault.New(fault.Invalid, "metrics: merge of evaluators of losses with other weights of classes or another smoothing")
	}
	if e.classes != nil {
		if err := e.classes.Merge(o.classes); err != nil {
			return err
		}
	}
	if e.weights != nil {
		if err := e.weights.merge(o.weights); err != nil {
			return err
		}
	}
	e.logLoss.Merge(&o.logLoss)
	e.auc.Merge(&o.auc)
	e.errors.Merge(&o.errors)
	e.judged.merge(&o.judged)
	e.classLoss.merge(o.classLoss)
	if e.full != nil {
		e.full.merge(o.full)
	}
	return nil
}

// NumRows returns the number of rows seen.
func (e *Evaluator) NumRows() int64 {
	if e.weights != nil {
		return e.weights.numRows
	}
	return e.units()
}

// units returns how many units all rows weigh, which without weights are the rows.
func (e *Evaluator) units() int64 { return max(e.logLoss.numRows, e.errors.numRows) }

// Task returns the task.
func (e *Evaluator) Task() Task { return e.task }

// Confusion returns the counts by true and predicted class, in units of weights
// if the rows have some; nil for regression.
func (e *Evaluator) Confusion() *Confusion { return e.classes }

// Report returns the metrics of the task. A metric that these rows do not
// define (AUC of one class, R2 of a constant) is in the report with the reason.
// The error is of kind Invalid when there are no rows at all.
func (e *Evaluator) Report() (Report, error) {
	if e.NumRows() == 0 {
		return nil, noRows("metrics")
	}
	var report Report
	for _, name := range e.names() {
		v, err := e.measured(name)
		entry := Value{Name: name, Value: v}
		if err != nil {
			entry.Undefined = err.Error()
		}
		report = append(report, entry)
	}
	return report, nil
}

// Also has reports say one more metric of those that the task has (MoreNames); of
// another nothing changes. It is no part of the bytes.
func (e *Evaluator) Also(name string) {
	if slices.Contains(e.task.MoreNames(), name) {
		e.also = name
	}
}

func (e *Evaluator) names() []string {
	names := e.task.Names()
	switch {
	case e.full != nil:
		names = e.task.AllNames()
	case e.also != "":
		names = append(names, e.also)
	}
	if e.classLoss != nil {
		names = append(names, TrainingLoss)
	}
	return append(names, e.judged.loss.names()...)
}

func (e *Evaluator) value(name string) (float64, error) {
	switch name {
	case "auc":
		return e.auc.Value()
	case "average_precision":
		return e.auc.AveragePrecision()
	case "log_loss":
		return e.logLoss.Value()
	case "accuracy":
		return e.classes.Accuracy()
	case "precision":
		return e.classes.Precision(1)
	case "recall":
		return e.classes.Recall(1)
	case "f1":
		return e.classes.F1(1)
	case "macro_precision":
		return e.classes.MacroPrecision()
	case "macro_recall":
		return e.classes.MacroRecall()
	case "macro_f1":
		return e.classes.MacroF1()
	case "weighted_precision":
		return e.classes.WeightedPrecision()
	case "weighted_recall":
		return e.classes.WeightedRecall()
	case "weighted_f1":
		return e.classes.WeightedF1()
	case "rmse":
		return e.errors.RMSE()
	case "mae":
		return e.errors.MAE()
	case "r2":
		return e.errors.R2()
	case "pinball_loss", "coverage", "huber_loss":
		return e.judged.value(name)
	case TrainingLoss:
		return e.classLoss.value()
	}
	return e.fullValue(name)
}

// evaluatorVersion is the first byte of an encoded evaluator.
const evaluatorVersion = 3

// What an encoded evaluator has beyond the core, as bits.
const (
	hasFull    = 1
	hasWeights = 2
	hasLoss    = 4
	hasClasses = 8 // a loss of classes
)

// MarshalBinary writes the state: the same bytes for the same multiset of rows,
// whatever their order and however they were split and merged.
func (e *Evaluator) MarshalBinary() ([]byte, error) {
	b := []byte{evaluatorVersion, byte(len(e.task))}
	b = append(b, e.task...)
	has := byte(0)
	if e.full != nil {
		has |= hasFull
	}
	if e.weights != nil {
		has |= hasWeights
	}
	if e.judged.loss != (RowLoss{}) {
		has |= hasLoss
	}
	if e.classLoss != nil {
		has |= hasClasses
	}
	if b = e.appendCore(append(b, has)); e.full != nil {
		b = e.full.append(b, e.task)
	}
	if e.weights != nil {
		b = e.weights.append(b)
	}
	if has&hasLoss != 0 {
		b = e.judged.append(b)
	}
	if e.classLoss != nil {
		b = e.classLoss.append(b)
	}
	return b, nil
}

// appendCore writes what every evaluator has.
func (e *Evaluator) appendCore(b []byte) []byte {
	if e.classes == nil {
		return e.errors.append(b)
	}
	b = binary.AppendUvarint(b, uint64(e.classes.numClasses))
	b = e.classes.append(b)
	b = e.logLoss.append(b)
	if e.task == Binary {
		b = e.auc.append(b)
	}
	return b
}

// UnmarshalBinary replaces e by the state that MarshalBinary has written. The
// error is of kind Corrupt, and e is left as it was, when b is anything else.
func (e *Evaluator) UnmarshalBinary(b []byte) error {
	r := newReader(b)
	r.Version(evaluatorVersion)
	got := Evaluator{task: Task(r.Bytes(int(r.Byte())))}
	has, classes := r.Byte(), 0
	if has > hasFull|hasWeights|hasLoss|hasClasses {
		r.Fail("%d where bits say whether it is full, and has weights and a loss", has)
	}
	if got.task == Regression {
		got.errors = r.errors()
	} else if numClasses := r.count(); r.Err() == nil {
		if _, err := NewEvaluator(got.task, int(min(numClasses, MaxClasses+1))); err != nil {
			r.Fail("%w", err)
			return r.Err()
		}
		classes = int(numClasses)
		got.classes = r.confusion(classes)
		got.logLoss = r.mean()
		if got.task == Binary {
			got.auc = r.auc(0)
		}
	}
	if has&hasFull != 0 && r.Err() == nil {
		got.full = r.full(got.task, classes)
	}
	if has&hasWeights != 0 && r.Err() == nil {
		got.weights = r.weighting(classes)
	}
	if has&hasLoss != 0 && r.Err() == nil {
		got.judged = r.judged()
	}
	if has&hasClasses != 0 && r.Err() == nil {
		if got.classes == nil {
			r.Fail("a loss of classes of a regression")
			return r.Err()
		}
		got.classLoss = r.classLoss(classes)
	}
	if err := r.End(); err != nil {
		return err
	}
	if !got.agrees() {
		return fault.New(fault.Corrupt, "metrics: decode: the parts do not agree on the number of rows")
	}
	*e = got
	return nil
}

// agrees reports whether all parts have seen the same number of rows.
func (e *Evaluator) agrees() bool {
	if len(e.judged.loss.names()) > 0 && (e.classes != nil || e.judged.mean.numRows != e.units()) {
		return false
	}
	if e.full != nil && !e.full.agrees(e.task, e.units()) {
		return false
	}
	if e.classLoss != nil && e.classLoss.mean.numRows != e.units() {
		return false
	}
	if e.classes == nil {
		return true
	}
	n := e.classes.NumRows()
	return n == e.logLoss.numRows && (e.task != Binary || uint64(n) == e.auc.numRows())
}
