package neural

import (
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// check refuses tables that cannot be learned from.
func (e *Estimator) check(train, validation models.Table) error {
	switch {
	case train.NumRows == 0:
		return fault.New(fault.Invalid, "neural: no training rows")
	case uint64(train.NumRows) > 1<<32:
		return fault.New(fault.Invalid, "neural: %d training rows, expected at most 2^32", train.NumRows)
	case validation.NumRows > 0 && validation.NumFeatures != train.NumFeatures:
		return fault.New(fault.Invalid, "neural: %d features in the training rows, %d in the validation rows", train.NumFeatures, validation.NumFeatures)
	case validation.NumRows > 0 && validation.Weighted != train.Weighted:
		return fault.New(fault.Invalid, "neural: of training and validation rows, only some have weights")
	case validation.NumRows == 0 && e.config.EarlyStopping != nil:
		return fault.New(fault.Invalid, "neural: early stopping needs validation rows, and there are none: give some, or leave it out")
	case validation.NumRows == 0 && e.config.Scheduler.Type == ReduceOnPlateau:
		return fault.New(fault.Invalid, "neural: reduce_on_plateau needs validation rows, and there are none: give some, or use constant")
	}
	if err := e.checkTable("training", train); err != nil {
		return err
	}
	return e.checkTable("validation", validation)
}

func (e *Estimator) checkTable(name string, t models.Table) error {
	if t.Stored == nil && (len(t.X) != t.NumRows*t.NumFeatures || len(t.Y) != t.NumRows || t.Weighted && len(t.W) != t.NumRows) {
		return fault.New(fault.Invalid, "neural: %s table of %d rows and %d features has %d values, %d targets and %d weights",
			name, t.NumRows, t.NumFeatures, len(t.X), len(t.Y), len(t.W))
	}
	return eachBlock(t, func(first int, b models.Block) error {
		for i, v := range b.X {
			if !isNumber(v) {
				return fault.New(fault.Invalid, "neural: feature %d of %s row %d is %v, expected a finite number: impute or drop such rows",
					i%t.NumFeatures, name, first+i/t.NumFeatures, v)
			}
		}
		for i, v := range b.Y {
			if !isNumber(v) {
				return fault.New(fault.Invalid, "neural: the target of %s row %d is %v, expected a finite number: drop such rows", name, first+i, v)
			}
			if e.problem.Task != metrics.Regression && (v < 0 || int(v) >= e.problem.NumClasses || v != float32(int(v))) {
				return fault.New(fault.Invalid, "neural: the target of %s row %d is %v, expected a class from 0 to %d", name, first+i, v, e.problem.NumClasses-1)
			}
		}
		for i, v := range b.W {
			if !isNumber(v) || v < 0 {
				return fault.New(fault.Invalid, "neural: the weight of %s row %d is %v, expected a finite number of at least 0", name, first+i, v)
			}
		}
		return nil
	})
}

// blockRows is how many rows of a table are looked at together.
const blockRows = 4096

// eachBlock calls fn with all rows of a table in their order.
func eachBlock(t models.Table, fn func(first int, b models.Block) error) error {
	room := t.Room(blockRows)
	for first := 0; first < t.NumRows; first += blockRows {
		b, err := t.Block(first, min(blockRows, t.NumRows-first), room)
		if err == nil {
			err = fn(first, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// weightUnit returns the unit that the weights of a table's rows are counted in.
// The error is of kind Invalid when none of them weighs anything.
func weightUnit(t models.Table) (float64, error) {
	all, err := t.TotalWeight()
	if err == nil && all == 0 {
		err = fault.New(fault.Invalid, "neural: every validation row weighs 0: give some of them a weight")
	}
	return metrics.WeightUnit(all), err
}
