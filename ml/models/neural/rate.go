package neural

import (
	"math"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// SchedulerType is a way to change the learning rate.
type SchedulerType string

// The schedulers.
const (
	Constant        SchedulerType = "constant"
	ReduceOnPlateau SchedulerType = "reduce_on_plateau"
	Cosine          SchedulerType = "cosine"
	Step            SchedulerType = "step"
	Exponential     SchedulerType = "exponential"
)

// Interval is what a scheduler counts.
type Interval string

// The intervals.
const (
	ByEpoch     Interval = "epoch"
	ByIteration Interval = "iteration"
)

// Scheduler is how the learning rate changes: by the validation loss, or as a
// function of how often the weights have been updated. A warm-up may come before
// any of them, and is then no part of their count.
type Scheduler struct {
	Type            SchedulerType
	Interval        Interval // of Cosine, Step and Exponential
	Factor          float64  // what ReduceOnPlateau, Step and Exponential multiply the learning rate by
	Every           int      // how many intervals apart Step does
	Patience        int      // epochs without improvement of the validation loss that ReduceOnPlateau lets pass
	MinLearningRate float64  // where ReduceOnPlateau stops, and what Cosine ends at

	WarmupIterations int     // the updates of the warm-up,
	WarmupEpochs     int     // or its epochs; it changes the rate at each update in them
	WarmupStart      float64 // the share of the learning rate that it starts from
}

func (s Scheduler) validate(must func(bool, string, ...any)) {
	counted := func() {
		must(s.Interval == ByEpoch || s.Interval == ByIteration, "scheduler interval %q, expected epoch or iteration", s.Interval)
	}
	switch s.Type {
	case Constant:
	case ReduceOnPlateau:
		must(s.Factor > 0 && s.Factor < 1, "scheduler factor %v, expected above 0 and below 1", s.Factor)
		must(s.Patience >= 0, "scheduler patience %d, expected at least 0", s.Patience)
		must(s.MinLearningRate >= 0, "least learning rate %v, expected at least 0", s.MinLearningRate)
	case Cosine:
		counted()
		must(s.MinLearningRate >= 0 && s.MinLearningRate <= 10, "least learning rate %v, expected 0 to 10", s.MinLearningRate)
	case Step, Exponential:
		counted()
		must(s.Factor > 0 && s.Factor < 1, "scheduler factor %v, expected above 0 and below 1", s.Factor)
		must(s.Type == Exponential || s.Every >= 1, "scheduler steps every %d, expected at least 1", s.Every)
	default:
		must(false, "unknown scheduler %q, expected constant, reduce_on_plateau, cosine, step or exponential", s.Type)
	}
	must(s.WarmupIterations >= 0 && s.WarmupEpochs >= 0, "a warm-up of %d iterations or %d epochs, expected at least 0", s.WarmupIterations, s.WarmupEpochs)
	must(s.WarmupIterations == 0 || s.WarmupEpochs == 0, "a warm-up by iterations and by epochs, expected one of them")
	must(s.WarmupStart >= 0 && s.WarmupStart <= 1, "a warm-up from %v, expected 0 to 1", s.WarmupStart)
}

// rates is a scheduler over a known number of updates. What it says depends on
// the number of the update alone, so a checkpoint holds nothing of it.
type rates struct {
	Scheduler
	batches int64 // of an epoch
	warmup  int64 // updates
	span    int64 // intervals from the end of the warm-up to that of the last epoch
}

func newRates(c Config, batches int) rates {
	r := rates{Scheduler: c.Scheduler, batches: int64(batches)}
	r.warmup = int64(c.Scheduler.WarmupIterations) + int64(c.Scheduler.WarmupEpochs)*r.batches
	r.span = int64(c.Epochs)*r.batches - r.warmup
	if r.Interval != ByIteration {
		r.span = (r.span + r.batches - 1) / r.batches
	}
	return r
}

// at returns the learning rate of the update before which there were so many,
// where base is that of the optimizer, or what ReduceOnPlateau has made of it.
// Each operation is rounded on its own, the same on any machine.
//
// Source: PyTorch, torch.optim.lr_scheduler: CosineAnnealingLR with T_max to the
// end of training, StepLR, ExponentialLR; and LinearLR with end_factor 1 before
// them, by SequentialLR.
func (r *rates) at(base float64, updates int64) float64 {
	if updates < r.warmup {
		share := float64((1 - r.WarmupStart) * (float64(updates) / float64(r.warmup)))
		return float64(base * (r.WarmupStart + share))
	}
	t := updates - r.warmup
	if r.Interval != ByIteration {
		t /= r.batches
	}
	switch r.Type {
	case Step:
		return float64(base * kernels.Power(r.Factor, t/int64(r.Every)))
	case Exponential:
		return float64(base * kernels.Power(r.Factor, t))
	case Cosine:
		half := float64((base - r.MinLearningRate) / 2)
		return r.MinLearningRate + float64(half*(1+cosPi(float64(min(t, r.span))/float64(r.span))))
	}
	return base
}

// cosPi returns cos(pi*x) of x from 0 to 1, by Taylor's series around the
// nearest of 0, 1/2 and 1: rounded operations only, which math.Cos does not
// promise. Its error is below 1e-15.
func cosPi(x float64) float64 {
	if x > 0.5 {
		return -cosPi(1 - x)
	}
	if x > 0.25 {
		return series(float64(math.Pi*(0.5-x)), 1)
	}
	return series(float64(math.Pi*x), 0)
}

// series is the sine of x when odd is 1, and the cosine when it is 0.
func series(x float64, odd int) float64 {
	term, square := 1.0, float64(x*x)
	if odd == 1 {
		term = x
	}
	sum := term
	for k := odd; k < 18; k += 2 {
		term = -float64(float64(term*square) / float64((k+1)*(k+2)))
		sum += term
	}
	return sum
}
