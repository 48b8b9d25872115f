package neural

import (
	"math"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// OptimizerType is a way for the weights to follow the gradient.
type OptimizerType string

// The optimizers.
const (
	AdamW OptimizerType = "adamw" // weights decay beside the gradient
	Adam  OptimizerType = "adam"  // weight decay is L2: a part of the gradient
	SGD   OptimizerType = "sgd"   // likewise; with momentum, Nesterov's or the usual one
)

// Optimizer is how the weights follow the gradient, as PyTorch's optimizers of
// the same names do it. Weights and biases decay alike.
//
// Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR
// 2019, algorithm 2, with the schedule multiplier and learning rate in one;
// Kingma and Ba, Adam, ICLR 2015, algorithm 1; of SGD see kernels.SGD.
type Optimizer struct {
	Type         OptimizerType
	LearningRate float64
	WeightDecay  float64 // of AdamW, times the learning rate: the share by which weights shrink at each step
	Beta1        float64 // the decay of the mean of gradients
	Beta2        float64 // the decay of the mean of squared gradients
	Epsilon      float64 // is added to the root of the second mean
	Momentum     float64 // of SGD: the decay of the sum of gradients
	Nesterov     bool    // of SGD with momentum

	// Of what moves the weights: the batch's mean gradient, before weight decay.
	ClipNorm  float64 // the most that its Euclidean norm over all layers may be; 0: as it is
	ClipValue float64 // the most that an element's magnitude may be; 0: as it is

	// Gradient is what the mean gradient is rounded to, before it is clipped; by default
	// it is float32.
	Gradient GradientFormat `json:",omitempty"` // checkpoints from before it stay valid
}

func (o Optimizer) validate(must func(bool, string, ...any)) {
	must(o.LearningRate > 0 && o.LearningRate <= 10, "learning rate %v, expected above 0 and at most 10", o.LearningRate)
	must(o.WeightDecay >= 0 && o.WeightDecay <= 10, "weight decay %v, expected 0 to 10", o.WeightDecay)
	switch o.Type {
	case AdamW, Adam:
		must(o.Beta1 >= 0 && o.Beta1 < 1, "beta1 %v, expected 0 to below 1", o.Beta1)
		must(o.Beta2 >= 0 && o.Beta2 < 1, "beta2 %v, expected 0 to below 1", o.Beta2)
		must(float32(o.Epsilon) > 0 && o.Epsilon <= 1, "epsilon %v, expected above 0 and at most 1", o.Epsilon)
	case SGD:
		must(o.Momentum >= 0 && o.Momentum < 1, "momentum %v, expected 0 to below 1", o.Momentum)
		must(!o.Nesterov || o.Momentum > 0, "nesterov without momentum")
	default:
		must(false, "unknown optimizer %q, expected adamw, adam or sgd", o.Type)
	}
	must(o.ClipNorm >= 0 && !math.IsInf(o.ClipNorm, 0), "clipping of norms above %v, expected at least 0", o.ClipNorm)
	must(o.ClipValue >= 0 && !math.IsInf(o.ClipValue, 0), "clipping of values above %v, expected at least 0", o.ClipValue)
	must(o.ClipNorm == 0 || o.ClipValue == 0, "clipping by norm and by value, expected one of them")
	must(o.Gradient == "" || o.Gradient == BF16, "unknown format %q of gradients, expected bf16 or none", o.Gradient)
}

// twoMoments reports whether it remembers squared gradients beside gradients.
func (o Optimizer) twoMoments() bool { return o.Type != SGD }

// mover is an optimizer at work.
type mover struct {
	Optimizer
	adam   kernels.AdamW
	sgd    kernels.SGD
	shrink float32 // what this iteration's gradient is multiplied by
}

func newMover(o Optimizer) mover {
	m := mover{
		Optimizer: o,
		adam:      kernels.AdamW{Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon},
		sgd:       kernels.SGD{Momentum: o.Momentum, Nesterov: o.Nesterov, WeightDecay: o.WeightDecay},
	}
	if o.Type == Adam {
		m.adam.L2 = o.WeightDecay
	} else {
		m.adam.WeightDecay = o.WeightDecay
	}
	return m
}

// begin prepares an iteration at a learning rate.
func (m *mover) begin(rate float64) {
	m.adam.LearningRate, m.sgd.LearningRate, m.shrink = rate, rate, 1
}

// clip decides by how much the gradient shrinks, whose sum of squares is known.
//
// Source: PyTorch, torch.nn.utils.clip_grad_norm_.
func (m *mover) clip(squares float64) {
	if c := m.ClipNorm / float64(math.Sqrt(squares)+1e-6); c < 1 {
		m.shrink = float32(c)
	}
}

// move takes the step of iteration t for a part of the weights; it may change
// the gradient.
func (m *mover) move(s *state, first, end int, grad []float32, t int64) {
	if m.shrink != 1 {
		kernels.Shrink(grad, m.shrink)
	}
	if m.ClipValue > 0 {
		kernels.Bound(grad, float32(m.ClipValue))
	}
	if m.Type == SGD {
		m.sgd.Update(s.weights[first:end], s.first[first:end], grad)
		return
	}
	m.adam.Update(s.weights[first:end], s.first[first:end], s.second[first:end], grad, t)
}

// clip looks at the norm of the batch's gradient: the root of the sum of its
// squares, added in float64 within pieces of the vector and then over the pieces
// in their order. So it is the same on every rank, whoever adds up what.
func (f *fit) clip() error {
	if err := f.overPieces(f.work.squares); err != nil {
		return err
	}
	sum := 0.0
	for _, s := range f.squaresOf {
		sum += s
	}
	f.mover.clip(sum)
	return nil
}

// squares adds up the squares of the gradient, piece by piece, and leaves the
// gradient in the first executor's trainer.
func (f *fit) squares(*executor) error {
	leader := f.crew.members[0]
	for {
		first, end, ok := f.pieces.take()
		if !ok {
			return nil
		}
		grad := leader.trainer.grad[first:end]
		if !f.current.mean {
			f.mean(grad, leader.sums[first:end])
		}
		f.squaresOf[first/piece] = kernels.SumSquares(grad)
	}
}

// mean makes the mean gradient of sums over the batch's rows, as much as they
// weigh, and zero of the sums.
func (f *fit) mean(grad []float32, sums []int64) {
	scale := 0.0
	if f.current.weight > 0 { // nothing is left of rows that weigh nothing
		scale = 1 / (f.network.gradScale() * f.current.weight)
	}
	kernels.FromFixed(grad, sums, scale)
	f.rounded(grad)
	clear(sums)
}
