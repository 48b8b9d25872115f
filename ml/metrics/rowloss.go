package metrics

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/internal/fault"
)

// RowLoss is what a regression minimises, in the unit of the target. The zero value
// is the squared error.
type RowLoss struct {
	Kind      LossKind `json:",omitempty"`
	Parameter float64  `json:",omitempty"` // the quantile of Pinball, above 0 and below 1; the delta of Huber, above 0
}

// LossKind is a kind of loss.
type LossKind string

// The kinds of loss of a row with truth y and prediction p.
const (
	SquaredError  LossKind = ""         // (y-p)^2
	AbsoluteError LossKind = "mae"      // |y-p|
	Huber         LossKind = "huber"    // (y-p)^2/2 up to delta, beyond delta (|y-p| - delta/2)
	Pinball       LossKind = "quantile" // q (y-p) where y is above p, else (1-q) (p-y)
)

var lossKinds = []LossKind{SquaredError, AbsoluteError, Huber, Pinball}

// Valid reports whether l is a loss.
func (l RowLoss) Valid() bool {
	switch l.Kind {
	case SquaredError, AbsoluteError:
		return l.Parameter == 0
	case Huber:
		return l.Parameter > 0 && !math.IsInf(l.Parameter, 0)
	case Pinball:
		return l.Parameter > 0 && l.Parameter < 1
	}
	return false
}

// Metric names the metric that is the mean of the loss, of the squared error its
// root.
func (l RowLoss) Metric() string {
	switch l.Kind {
	case AbsoluteError:
		return "mae"
	case Huber:
		return "huber_loss"
	case Pinball:
		return "pinball_loss"
	}
	return "rmse"
}

// names are the metrics that an evaluator has for the loss, beside those of the
// task.
func (l RowLoss) names() []string {
	switch l.Kind {
	case Huber:
		return []string{"huber_loss"}
	case Pinball:
		return []string{"pinball_loss", "coverage"}
	}
	return nil
}

// of returns the loss of a row.
//
// Source: Koenker and Bassett, Econometrica 46(1), 1978; Huber, Annals of
// Mathematical Statistics 35(1), 1964.
func (l RowLoss) of(truth, predicted float64) float64 {
	d := truth - predicted
	if l.Kind == Pinball {
		return max(float64(l.Parameter*d), float64((l.Parameter-1)*d))
	}
	if d = math.Abs(d); d <= l.Parameter {
		return d * d / 2
	}
	return float64(l.Parameter * (d - l.Parameter/2))
}

// judged is what an evaluator keeps of a loss that has metrics of its own.
type judged struct {
	loss    RowLoss
	mean    Mean
	covered int64 // rows whose truth is not above the prediction
}

// Judge makes e measure a loss, too, of a regression; it is called before anything
// is observed. The error, of kind Invalid, is for what is no loss, and for classes.
func (e *Evaluator) Judge(l RowLoss) error {
	if !l.Valid() || e.task != Regression || e.NumRows() > 0 {
		return fault.New(fault.Invalid, "metrics: a loss %q of %v of a %s task with %d rows", l.Kind, l.Parameter, e.task, e.NumRows())
	}
	e.judged.loss = l
	return nil
}

// Loss returns the loss that e was told to measure.
func (e *Evaluator) Loss() RowLoss { return e.judged.loss }

// add adds so many equal rows.
func (j *judged) add(truth, predicted float64, numRows int64) {
	if len(j.loss.names()) == 0 {
		return
	}
	j.mean.addTimes(j.loss.of(truth, predicted), numRows)
	if truth <= predicted {
		j.covered += numRows
	}
}

// merge adds the rows of o, of the same loss.
func (j *judged) merge(o *judged) {
	j.mean.Merge(&o.mean)
	j.covered += o.covered
}

func (j *judged) value(name string) (float64, error) {
	v, err := j.mean.Value()
	if err != nil {
		return 0, noRows(name)
	}
	if name == "coverage" {
		return float64(j.covered) / float64(j.mean.numRows), nil
	}
	return v, nil
}

func (j *judged) append(b []byte) []byte {
	for i, k := range lossKinds {
		if k == j.loss.Kind {
			b = append(b, byte(i))
		}
	}
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(j.loss.Parameter))
	return j.mean.append(binary.AppendUvarint(b, uint64(j.covered)))
}

func (r *reader) judged() (j judged) {
	kind := r.Byte()
	if int(kind) >= len(lossKinds) {
		r.Fail("a loss of kind %d", kind)
		return j
	}
	j.loss = RowLoss{lossKinds[kind], r.Float()}
	j.covered = r.rows()
	if j.mean = r.mean(); r.Err() == nil && (!j.loss.Valid() || j.covered > j.mean.numRows) {
		r.Fail("a loss %q of %v, and %d rows of %d", j.loss.Kind, j.loss.Parameter, j.covered, j.mean.numRows)
	}
	return j
}
