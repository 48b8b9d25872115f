package neural

import (
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// lossName is what training minimises: log_loss, or with weights of classes or
// smoothed labels the metric of this name, or of a regression the mean squared
// error or another mean loss.
const lossName = metrics.TrainingLoss

// watchable returns the metrics of a task that early stopping may watch.
func watchable(task metrics.Task, of metrics.RowLoss) []string {
	names := slices.Concat([]string{lossName}, task.Names(), task.MoreNames())
	if of.Kind == metrics.Huber || of.Kind == metrics.Pinball {
		names = append(names, of.Metric())
	}
	return names
}

// measure returns a watchable metric of the rows that e has seen, and whether
// more of it is better. The error is of kind Invalid when the rows do not
// define it.
func measure(e *metrics.Evaluator, name string) (v float64, maximize bool, err error) {
	report, err := e.Report()
	if err != nil {
		return 0, false, err
	}
	switch name {
	case lossName:
		if v, err = loss(e.Task(), e.Loss(), report); err != nil {
			err = fault.New(fault.Invalid, "neural: the validation rows have no loss: %w: give them rows of classes that weigh more", err)
		}
		return v, false, err
	case "precision", "recall", "f1":
		v, err = positive(e.Confusion(), name)
		return v, true, err
	}
	if maximize, err = metrics.Maximize(name); err == nil {
		v, err = report.Value(name)
	}
	if err != nil {
		return 0, false, fault.New(fault.Invalid, "neural: early stopping watches %s, which the validation rows do not define: %w", name, err)
	}
	return v, maximize, nil
}

// loss returns the loss of classes, or the mean of a regression's loss: that of squared errors
// is the square of rmse.
func loss(task metrics.Task, of metrics.RowLoss, report metrics.Report) (float64, error) {
	if task != metrics.Regression {
		if slices.ContainsFunc(report, func(v metrics.Value) bool { return v.Name == lossName }) {
			return report.Value(lossName)
		}
		return report.Value("log_loss")
	}
	v, err := report.Value(of.Metric())
	if of.Kind == metrics.SquaredError {
		v *= v
	}
	return v, err
}

// positive returns a metric of class 1 of two. As scikit-learn has it, it is 0
// when its denominator is.
func positive(c *metrics.Confusion, name string) (float64, error) {
	hits, missed, alarms := c.Count(1, 1), c.Count(1, 0), c.Count(0, 1)
	var part, whole int64
	switch name {
	case "precision":
		part, whole = hits, hits+alarms
	case "recall":
		part, whole = hits, hits+missed
	default:
		part, whole = 2*hits, 2*hits+alarms+missed
	}
	if whole == 0 {
		return 0, nil
	}
	return float64(part) / float64(whole), nil
}
