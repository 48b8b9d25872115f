package metrics

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/internal/fault"
)

// weighting is what an evaluator keeps of rows that have weights. Such a row
// counts as so many equal rows as its weight has units, so every metric is what
// scikit-learn makes of sample_weight; what is reported as a number of rows stays
// one.
type weighting struct {
	unit    float64
	numRows int64
	classes *Confusion     // of rows; nil for a regression
	bins    [numBins]int64 // of rows, of a full evaluator's calibration
}

// unitBits is how many units all rows together have at most: as many as a
// float64 can count.
const unitBits = 52

// WeightUnit returns what the weights of rows that weigh total together are
// counted in: the power of two that gives them at most 2^52 units, and at least
// half of that. total is finite and above 0.
func WeightUnit(total float64) float64 {
	_, exponent := math.Frexp(total)
	return math.Ldexp(1, exponent-unitBits)
}

// Weigh makes e one of rows that have weights, in so many units; it is called
// before anything is observed. The error, of kind Invalid, is for what is no
// unit.
func (e *Evaluator) Weigh(unit float64) error {
	if f, _ := math.Frexp(unit); f != 0.5 || math.IsInf(unit, 0) || e.NumRows() > 0 {
		return fault.New(fault.Invalid, "metrics: weights in units of %v of an evaluator of %d rows, expected a power of two, and none", unit, e.NumRows())
	}
	e.weights = &weighting{unit: unit}
	if e.classes == nil {
		return nil
	}
	var err error
	e.weights.classes, err = NewConfusion(e.classes.numClasses)
	return err
}

// checkWeights checks the weights of rows: none, or of a weighted evaluator one
// each.
func (e *Evaluator) checkWeights(weights []float64, numRows int) error {
	if e.weights == nil {
		if weights != nil {
			return fault.New(fault.Invalid, "metrics: weights of rows for an evaluator that has none")
		}
		return nil
	}
	if len(weights) != numRows {
		return fault.New(fault.Invalid, "metrics: %d weights for %d rows", len(weights), numRows)
	}
	for i, w := range weights {
		if !(w >= 0 && w <= e.weights.unit*(1<<unitBits)) { // also true of NaN
			return fault.New(fault.Invalid, "metrics: the weight of row %d is %v, expected 0 to %v, that of all rows", i, w, e.weights.unit*(1<<unitBits))
		}
	}
	return nil
}

// times returns as how many equal rows row i counts.
func (e *Evaluator) times(weights []float64, i int) int64 {
	if e.weights == nil {
		return 1
	}
	return int64(math.RoundToEven(weights[i] / e.weights.unit))
}

// countClass counts a row whose weight has been added.
func (e *Evaluator) countClass(label int, p []float64) {
	w := e.weights
	if w == nil {
		return
	}
	w.numRows++
	called := Argmax(p)
	w.classes.add(label, called, 1)
	if e.full != nil {
		w.bins[binOf(e.confidence(p))]++
	}
}

// confidence returns the probability that a row is calibrated by.
func (e *Evaluator) confidence(p []float64) float64 {
	if e.task == Binary {
		return p[1]
	}
	return p[Argmax(p)]
}

// measured is value, with a reason that does not speak of units as rows.
func (e *Evaluator) measured(name string) (float64, error) {
	v, err := e.value(name)
	if err != nil && e.weights != nil {
		return 0, fault.New(fault.Invalid, "%s: not defined by the rows that weigh more than 0", name)
	}
	return v, err
}

// counted returns the rows by true and predicted class, none of them weighed.
func (e *Evaluator) counted() *Confusion {
	if e.weights != nil {
		return e.weights.classes
	}
	return e.classes
}

func (w *weighting) merge(o *weighting) error {
	w.numRows += o.numRows
	for i, n := range o.bins {
		w.bins[i] += n
	}
	if w.classes == nil {
		return nil
	}
	return w.classes.Merge(o.classes)
}

func (w *weighting) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(w.unit))
	b = binary.AppendUvarint(b, uint64(w.numRows))
	for _, n := range w.bins {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if w.classes != nil {
		b = w.classes.append(b)
	}
	return b
}

// weighting reads what append has written, of so many classes, 0 for a
// regression.
func (r *reader) weighting(numClasses int) *weighting {
	w := &weighting{unit: r.Float(), numRows: r.rows()}
	if f, _ := math.Frexp(w.unit); f != 0.5 || math.IsInf(w.unit, 0) {
		r.Fail("weights in units of %v", w.unit)
	}
	for i := range w.bins {
		w.bins[i] = r.rows()
	}
	if numClasses > 0 && r.Err() == nil {
		if w.classes = r.confusion(numClasses); r.Err() == nil && w.classes.NumRows() != w.numRows {
			r.Fail("classes of %d rows of %d", w.classes.NumRows(), w.numRows)
		}
	}
	return w
}
