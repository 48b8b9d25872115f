package kernels

// SGD is stochastic gradient descent, with momentum or without. The fields are
// those of PyTorch's torch.optim.SGD with dampening 0:
//
//	g = g + weight decay * w
//	buffer = momentum * buffer + g
//	w = w - learning rate * (buffer, or g + momentum * buffer with Nesterov)
//
// Source: Sutskever and others, On the importance of initialization and momentum
// in deep learning, ICML 2013, in the form that PyTorch gives it: the learning
// rate multiplies the momentum, too.
type SGD struct {
	LearningRate float64 // of this iteration
	Momentum     float64 // 0: none
	Nesterov     bool
	WeightDecay  float64
}

// sgd is an SGD as the loops need it. The assembly knows the order of the fields.
type sgd struct {
	l2       float32
	momentum float32
	own      float32 // what of the gradient goes into the step, beside
	ahead    float32 // what of the buffer does
	step     float32 // -learning rate
}

// Update makes an iteration: it moves weights w against their gradient g, and
// updates the momentum buffer, which starts as zero. All have the same length.
// Padding that is zero stays zero.
func (o SGD) Update(w, buffer, g []float32) { o.update(Active(), w, buffer, g) }

func (o SGD) update(variant Variant, w, buffer, g []float32) {
	check(len(buffer) == len(w) && len(g) == len(w), "sgd: %d weights, %d of momentum, %d gradients", len(w), len(buffer), len(g))
	s := sgd{l2: float32(o.WeightDecay), momentum: float32(o.Momentum), ahead: 1, step: float32(-o.LearningRate)}
	if o.Nesterov {
		s.own, s.ahead = 1, s.momentum
	}
	done := 0
	if variant != Portable {
		done = sgdVector(variant, &s, w, buffer, g)
	}
	for i := done; i < len(w); i++ {
		x := fma(s.l2, w[i], g[i])
		buffer[i] = fma(buffer[i], s.momentum, x)
		w[i] = fma(s.step, fma(s.ahead, buffer[i], float32(x*s.own)), w[i])
	}
}
