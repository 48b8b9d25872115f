package metrics

import (
	"encoding/binary"
	"math"
	"math/big"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Epsilon is how far log loss keeps probabilities from 0 and 1.
const Epsilon = 1e-15

// Mean is the mean of one number a row, from an exact sum. The zero value has
// seen no rows; it is not safe for concurrent use.
type Mean struct {
	sum     sketch.Sum
	numRows int64
}

// Add adds one row; false, and no change, when v is NaN or infinite.
func (m *Mean) Add(v float64) bool {
	if !m.sum.Add(v) {
		return false
	}
	m.numRows++
	return true
}

// addTimes adds so many rows of one finite number.
func (m *Mean) addTimes(v float64, numRows int64) {
	addTimes(&m.sum, v, numRows)
	m.numRows += numRows
}

// Merge adds the rows that o has seen.
func (m *Mean) Merge(o *Mean) {
	m.sum.Merge(&o.sum)
	m.numRows += o.numRows
}

// NumRows returns the number of rows seen.
func (m *Mean) NumRows() int64 { return m.numRows }

// Value returns the mean. The error is of kind Invalid when there are no rows.
func (m *Mean) Value() (float64, error) {
	if m.numRows == 0 {
		return 0, noRows("mean")
	}
	return m.sum.Value() / float64(m.numRows), nil
}

// LogLoss returns the loss of one row, in nats: minus the logarithm of the
// probability that was given to its true class, clipped to
// Epsilon..1-Epsilon. NaN stays NaN.
func LogLoss(probability float64) float64 {
	return -vector.Log(min(max(probability, Epsilon), 1-Epsilon))
}

// Brier returns the score of one row with two classes: the squared difference
// of the probability of the positive class and 1 or 0. Over its rows, Mean is
// the Brier score.
//
// Source: Brier, Monthly Weather Review 78(1), 1950, halved, as is usual for
// two classes.
func Brier(probability float64, positive bool) float64 {
	if positive {
		probability = 1 - probability
	}
	return float64(probability * probability)
}

// Errors is how far predicted numbers are from the true ones. The zero value
// has seen no rows and is ready to use; it is not safe for concurrent use.
type Errors struct {
	numRows  int64
	absolute sketch.Sum // |predicted - truth|
	squared  sketch.Sum // its square
	truth    sketch.Sum // for the variance of the truth, which R2 compares with
	truth2   sketch.Sum
}

// Observe adds rows, predictions and true values in one unit. On an error
// (Invalid: lengths that differ, NaN, infinities, a square beyond the range of
// float64) nothing is added.
func (e *Errors) Observe(truth, predicted []float64) error {
	if err := checkValues(truth, predicted); err != nil {
		return err
	}
	for i, y := range truth {
		e.add(y, predicted[i], 1)
	}
	return nil
}

// checkValues checks that values and predictions fit and are finite.
func checkValues(truth, predicted []float64) error {
	const op = "errors"
	if len(truth) != len(predicted) {
		return fault.New(fault.Invalid, "%s: %d true values for %d predictions", op, len(truth), len(predicted))
	}
	if err := finite(op, "true value", truth); err != nil {
		return err
	}
	if err := finite(op, "prediction", predicted); err != nil {
		return err
	}
	const limit = 1e140 // its square, and that of a difference, times 2^52, are finite
	for i := range truth {
		if math.Abs(truth[i]) > limit || math.Abs(predicted[i]) > limit {
			return fault.New(fault.Invalid, "%s: row %d: %v predicted as %v is beyond +-%v", op, i, truth[i], predicted[i], limit)
		}
	}
	return nil
}

// add adds so many equal rows of finite numbers.
func (e *Errors) add(truth, predicted float64, numRows int64) {
	d := predicted - truth
	e.numRows += numRows
	addTimes(&e.absolute, math.Abs(d), numRows)
	addSquares(&e.squared, d, numRows)
	addTimes(&e.truth, truth, numRows)
	addSquares(&e.truth2, truth, numRows)
}

// addTimes adds a number so many times.
func addTimes(s *sketch.Sum, v float64, times int64) {
	if times == 1 {
		s.Add(v)
	} else {
		s.AddProduct(v, float64(times))
	}
}

// addSquares adds the square of a number so many times, exactly: it is the sum of
// two numbers.
func addSquares(s *sketch.Sum, v float64, times int64) {
	if times == 1 {
		s.AddProduct(v, v)
		return
	}
	high := v * v
	s.AddProduct(high, float64(times))
	s.AddProduct(math.FMA(v, v, -high), float64(times))
}

// Merge adds the rows that o has seen.
func (e *Errors) Merge(o *Errors) {
	e.numRows += o.numRows
	e.absolute.Merge(&o.absolute)
	e.squared.Merge(&o.squared)
	e.truth.Merge(&o.truth)
	e.truth2.Merge(&o.truth2)
}

// NumRows returns the number of rows seen.
func (e *Errors) NumRows() int64 { return e.numRows }

// RMSE returns the root of the mean squared error, in the unit of the values.
// The error is of kind Invalid when there are no rows.
func (e *Errors) RMSE() (float64, error) {
	if e.numRows == 0 {
		return 0, noRows("rmse")
	}
	return math.Sqrt(e.squared.Value() / float64(e.numRows)), nil
}

// MAE returns the mean absolute error, in the unit of the values. The error is
// of kind Invalid when there are no rows.
func (e *Errors) MAE() (float64, error) {
	if e.numRows == 0 {
		return 0, noRows("mae")
	}
	return e.absolute.Value() / float64(e.numRows), nil
}

// R2 returns the share of the variance of the true values that the predictions
// explain: 1 minus the sum of squared errors over the sum of squared deviations
// of the true values from their mean; below 0 when the mean predicts better.
// It is the float64 nearest to the exact quotient. The error is of kind Invalid
// when there are no rows or all true values are equal: nothing to explain.
func (e *Errors) R2() (float64, error) {
	if e.numRows == 0 {
		return 0, noRows("r2")
	}
	// All in units of 2^-2148, and times numRows.
	n := big.NewInt(e.numRows)
	total := e.truth2.Integer()
	total.Lsh(total.Mul(total, n), 1074)
	s := e.truth.Integer()
	total.Sub(total, s.Mul(s, s))
	if total.Sign() <= 0 {
		return 0, fault.New(fault.Invalid, "r2: not defined: the true values of all %d rows are equal", e.numRows)
	}
	unexplained := e.squared.Integer()
	unexplained.Lsh(unexplained.Mul(unexplained, n), 1074)
	q := new(big.Rat).SetFrac(new(big.Int).Sub(total, unexplained), total)
	v, _ := q.Float64()
	return v, nil
}

func (m *Mean) append(b []byte) []byte {
	return m.sum.Append(binary.AppendUvarint(b, uint64(m.numRows)))
}

func (r *reader) mean() Mean { return Mean{numRows: r.rows(), sum: r.sum()} }

func (e *Errors) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(e.numRows))
	for _, s := range []*sketch.Sum{&e.absolute, &e.squared, &e.truth, &e.truth2} {
		b = s.Append(b)
	}
	return b
}

func (r *reader) errors() Errors {
	return Errors{numRows: r.rows(), absolute: r.sum(), squared: r.sum(), truth: r.sum(), truth2: r.sum()}
}

// rows reads a number of rows.
func (r *reader) rows() int64 {
	n := r.count()
	if n > maxRows {
		r.Fail("%d rows, expected at most %d", n, int64(maxRows))
		return 0
	}
	return n
}
