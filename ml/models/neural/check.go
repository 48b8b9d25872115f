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
	if t.Stored == nil && (len(t.X) != t.NumRows*t.NumFeatures || len(t.Y) != t.NumRows) {
		return fault.New(fault.Invalid, "neural: %s table of %d rows and %d features has %d values and %d targets",
			name, t.NumRows, t.NumFeatures, len(t.X), len(t.Y))
	}
	return eachBlock(t, func(first int, x, y []float32) error {
		for i, v := range x {
			if !isNumber(v) {
				return fault.New(fault.Invalid, "neural: feature %d of %s row %d is %v, expected a finite number: impute or drop such rows",
					i%t.NumFeatures, name, first+i/t.NumFeatures, v)
			}
		}
		for i, v := range y {
			if !isNumber(v) {
				return fault.New(fault.Invalid, "neural: the target of %s row %d is %v, expected a finite number: drop such rows", name, first+i, v)
			}
			if e.problem.Task != metrics.Regression && (v < 0 || int(v) >= e.problem.NumClasses || v != float32(int(v))) {
				return fault.New(fault.Invalid, "neural: the target of %s row %d is %v, expected a class from 0 to %d", name, first+i, v, e.problem.NumClasses-1)
			}
		}
		return nil
	})
}

// blockRows is how many rows of a table are looked at together.
const blockRows = 4096

// eachBlock calls fn with all rows of a table in their order.
func eachBlock(t models.Table, fn func(first int, x, y []float32) error) error {
	roomX, roomY := t.Room(blockRows)
	for first := 0; first < t.NumRows; first += blockRows {
		x, y, err := t.Block(first, min(blockRows, t.NumRows-first), roomX, roomY)
		if err == nil {
			err = fn(first, x, y)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
