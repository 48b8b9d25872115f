// Package metrics says how good predictions are: AUC, average precision, log
// loss, Brier score, accuracy, precision, recall, F1, confusion and calibration
// of classes, RMSE, MAE, median absolute error and R2 of numbers, as summaries
// that can be merged.
//
// Every summary holds counts, a multiset of scores, or a sum kept without any
// rounding (sketch.Sum), so its state is a function of the multiset of rows it has
// seen: rows in any order, split over any number of shards and merged in any
// order, give the same state, the same encoded bytes and the same value to the
// last bit. Rounding happens once, when a value is read.
package metrics

import (
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Task is what a model predicts; it decides which metrics are reported.
type Task string

// The tasks, as specs write them.
const (
	Binary     Task = "binary"     // one of two classes
	Multiclass Task = "multiclass" // one of two or more classes
	Regression Task = "regression" // a number
)

// Names returns the metrics that are reported for the task after every epoch,
// in report order; nil for an unknown task.
func (t Task) Names() []string {
	switch t {
	case Binary:
		return []string{"auc", "log_loss", "accuracy"}
	case Multiclass:
		return []string{"accuracy", "log_loss", "macro_f1"}
	case Regression:
		return []string{"rmse", "mae", "r2"}
	}
	return nil
}

// MoreNames returns the metrics that an evaluator which is not full can report after
// every epoch beside Names; see Evaluator.Also.
func (t Task) MoreNames() []string {
	switch t {
	case Binary:
		return []string{"average_precision", "precision", "recall", "f1"}
	case Multiclass:
		return []string{"macro_precision", "macro_recall", "weighted_precision", "weighted_recall", "weighted_f1"}
	case Regression:
	}
	return nil
}

// AllNames returns the metrics that a full evaluator reports for the task, in
// report order; nil for an unknown task.
func (t Task) AllNames() []string {
	switch t {
	case Binary:
		return []string{
			"auc", "average_precision", "log_loss", "brier", "calibration_error",
			"accuracy", "precision", "recall", "f1",
		}
	case Multiclass:
		return []string{
			"accuracy", "log_loss", "brier", "calibration_error", "auc_ovr", "auc_ovr_weighted",
			"macro_precision", "macro_recall", "macro_f1", "weighted_precision", "weighted_recall", "weighted_f1",
		}
	case Regression:
		return []string{"rmse", "mae", "median_absolute_error", "r2"}
	}
	return nil
}

// errorNames are the metrics of which less is better.
var errorNames = []string{"log_loss", "brier", "calibration_error", "rmse", "mae", "median_absolute_error", "pinball_loss", "huber_loss", TrainingLoss}

// Maximize reports whether a larger value of the metric called name is better.
// The error is of kind Invalid when no metric has that name.
func Maximize(name string) (bool, error) {
	if slices.Contains(errorNames, name) {
		return false, nil
	}
	var known []string
	for _, t := range []Task{Binary, Multiclass, Regression} {
		known = append(known, t.AllNames()...)
	}
	if slices.Contains(known, name) {
		return true, nil
	}
	slices.Sort(known)
	return false, fault.New(fault.Invalid, "metrics: no metric %q: known are %s", name, strings.Join(slices.Compact(known), ", "))
}

// Argmax returns the place of the largest value, the first of equal ones: the
// class a row of probabilities predicts. NaN is never the largest; the result
// is 0 when p holds nothing but NaN, and -1 when it is empty.
func Argmax(p []float64) int {
	if len(p) == 0 {
		return -1
	}
	best, at := math.Inf(-1), 0
	for i, v := range p {
		if v > best {
			best, at = v, i
		}
	}
	return at
}

// finite checks that every value is a number; what names them in the error.
func finite(op, what string, values []float64) error {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.New(fault.Invalid, "%s: %s of row %d is %v, expected a finite number", op, what, i, v)
		}
	}
	return nil
}

// probable checks that every value lies in 0..1.
func probable(op string, row int, values []float64) error {
	for class, v := range values {
		if !(v >= 0 && v <= 1) { // also true of NaN
			return fault.New(fault.Invalid,
				"%s: probability of class %d in row %d is %v, expected 0 to 1", op, class, row, v)
		}
	}
	return nil
}
