package neural

import "math"

// schedule is what is decided at the end of an epoch from its validation rows:
// the learning rate, which epoch was the best, and whether to stop. It is part
// of the checkpoint.
type schedule struct {
	learningRate float64

	// of ReduceOnPlateau
	plateauBest float64
	plateauBad  int

	// of the best epoch and early stopping
	best      float64 // of the watched metric
	bestEpoch int     // 0: none yet
	bad       int     // epochs in a row that did not improve on the best by MinDelta
}

func newSchedule(c Config) schedule {
	return schedule{learningRate: c.Optimizer.LearningRate, plateauBest: math.Inf(1)}
}

// plateauThreshold is the relative improvement that counts, and leastChange the
// smallest change of the learning rate that is made: PyTorch's defaults.
const (
	plateauThreshold = 1e-4
	leastChange      = 1e-8
)

// reduce lowers the learning rate when the validation loss has not improved by
// a ten-thousandth for more than Patience epochs.
//
// Source: PyTorch, torch.optim.lr_scheduler.ReduceLROnPlateau, mode min,
// threshold 1e-4 relative, cooldown 0, eps 1e-8.
func (s *schedule) reduce(c Scheduler, loss float64) {
	if c.Type != ReduceOnPlateau {
		return
	}
	if loss < s.plateauBest*(1-plateauThreshold) {
		s.plateauBest, s.plateauBad = loss, 0
		return
	}
	if s.plateauBad++; s.plateauBad <= c.Patience {
		return
	}
	s.plateauBad = 0
	next := max(s.learningRate*c.Factor, c.MinLearningRate)
	if s.learningRate-next > leastChange {
		s.learningRate = next
	}
}

// observe takes the watched metric of an epoch and reports whether it is the
// best so far, the first of equal ones.
func (s *schedule) observe(epoch int, value float64, maximize bool, e *EarlyStopping) (best bool) {
	if s.bestEpoch == 0 {
		s.best, s.bestEpoch = value, epoch
		return true
	}
	gain := s.best - value
	if maximize {
		gain = -gain
	}
	if e != nil {
		s.bad++
		if gain > e.MinDelta {
			s.bad = 0
		}
	}
	if gain > 0 {
		s.best, s.bestEpoch = value, epoch
		return true
	}
	return false
}

// stop reports whether patience has run out.
func (s *schedule) stop(e *EarlyStopping) bool { return e != nil && s.bad >= e.Patience }
