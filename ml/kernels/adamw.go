package kernels

import "math"

// AdamW is Adam, with decoupled weight decay, or with L2, or with none. The
// fields are those of PyTorch's torch.optim.AdamW and torch.optim.Adam (whose
// weight_decay is L2); the defaults of the first are in brackets.
//
// Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR
// 2019, algorithm 2, in the form that PyTorch gives it; and Kingma and Ba, Adam,
// ICLR 2015, algorithm 1.
type AdamW struct {
	LearningRate float64 // of this iteration [1e-3]
	Beta1, Beta2 float64 // decay of the two moments [0.9, 0.999]
	Epsilon      float64 // added to the root of the second moment [1e-8]
	WeightDecay  float64 // times the learning rate and the weight, off the weight [1e-2]
	L2           float64 // times the weight, is added to the gradient before the moments see it [0]
}

// DefaultAdamW returns PyTorch's defaults.
func DefaultAdamW() AdamW {
	return AdamW{LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2}
}

// adam is an AdamW of one iteration as the loops need it. The assembly knows
// the order of the fields.
type adam struct {
	rest1       float32 // 1 - beta1
	beta2       float32
	rest2       float32 // 1 - beta2
	decay       float32 // 1 - learning rate * weight decay
	step        float32 // -learning rate / (1 - beta1^t)
	correction2 float32 // 1 / sqrt(1 - beta2^t)
	epsilon     float32
	l2          float32
}

// Update makes iteration t, from 1 on, of the optimizer: it moves weights w
// against their gradient g and updates both moments m and v, which start as
// zero. All have the same length. Padding that is zero stays zero.
func (o AdamW) Update(w, m, v, g []float32, t int64) { o.update(Active(), w, m, v, g, t) }

func (o AdamW) update(variant Variant, w, m, v, g []float32, t int64) {
	check(len(m) == len(w) && len(v) == len(w) && len(g) == len(w), "adamw: %d weights, %d and %d moments, %d gradients", len(w), len(m), len(v), len(g))
	check(t >= 1, "adamw: iteration %d, expected from 1 on", int(t))
	a := o.at(t)
	done := 0
	if variant != Portable {
		done = adamVector(variant, &a, w, m, v, g)
	}
	for i := done; i < len(w); i++ {
		x := fma(a.l2, w[i], g[i])
		m[i] = fma(a.rest1, x-m[i], m[i])
		v[i] = fma(v[i], a.beta2, float32(float32(x*x)*a.rest2))
		root := fma(sqrt32(v[i]), a.correction2, a.epsilon)
		w[i] = fma(a.step, m[i]/root, float32(w[i]*a.decay))
	}
}

// at computes the constants of iteration t. Products are rounded on their own,
// so that no compiler fuses them into the sums.
func (o AdamW) at(t int64) adam {
	return adam{
		rest1:       float32(1 - o.Beta1),
		beta2:       float32(o.Beta2),
		rest2:       float32(1 - o.Beta2),
		decay:       float32(1 - float64(o.LearningRate*o.WeightDecay)),
		step:        float32(-o.LearningRate / (1 - Power(o.Beta1, t))),
		correction2: float32(1 / math.Sqrt(1-Power(o.Beta2, t))),
		epsilon:     float32(o.Epsilon),
		l2:          float32(o.L2),
	}
}

// Power returns b^n by squaring: multiplications only, the same on any machine,
// which math.Pow does not promise.
func Power(b float64, n int64) float64 {
	p := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			p = float64(p * b)
		}
		b = float64(b * b)
	}
	return p
}
