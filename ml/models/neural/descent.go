package neural

import "math"

// descent goes towards the least value of a convex function by L-BFGS: of a smooth
// one, to which corners may be added, the absolute values of the parameters, each
// times a number, of which the function's gradient knows nothing (OWL-QN). All of it
// is one goroutine's, in one order, without fused multiply-adds: every rank walks the
// same way.
type descent struct {
	scale   []float64 // an inverse of the second derivatives to begin with
	corners []float64 // nil: none
	pairs   []pair    // the last moves, the newest last
}

// downhill returns the gradient with that of the corners, where there are some: at a
// corner what is left of the slope on the side that goes down, 0 if none does.
func (d *descent) downhill(at, gradient []float64) []float64 {
	if d.corners == nil {
		return gradient
	}
	out := make([]float64, len(at))
	for i, g := range gradient {
		c := d.corners[i]
		switch v := at[i]; {
		case v > 0 || v == 0 && g < -c:
			out[i] = g + c
		case v < 0 || v == 0 && g > c:
			out[i] = g - c
		}
	}
	return out
}

// sharp is what the corners add to a value.
func (d *descent) sharp(at []float64) (sum float64) {
	for i, c := range d.corners {
		sum += float64(c * math.Abs(at[i]))
	}
	return sum
}

// stay keeps a move from at to next on the sides of the corners that it begins on, or
// goes down to: what would cross one ends there.
func (d *descent) stay(at, next, slope []float64) {
	for i := range d.corners {
		side := at[i]
		if side == 0 {
			side = -slope[i]
		}
		if next[i]*side <= 0 && d.corners[i] > 0 {
			next[i] = 0
		}
	}
}

// pair is a move and how the gradient changed with it.
type pair struct {
	move, change []float64
	curvature    float64 // of their product
}

const (
	memory       = 10   // pairs
	mostHalves   = 30   // of a step that is too long
	sufficient   = 1e-4 // share of the slope that a step must gain
	rounding     = 1e-7 // of a value, relative: what is summed are float32s
	steeper      = 0.9  // what a step leaves of the gradient if it was worth while
	leastBending = 1e-12
)

// step returns the next point, its value and its gradient, nil when nothing is lower
// along the way; moved is false when it gains nothing but rounding.
func (d *descent) step(at []float64, value float64, gradient []float64, evaluate func([]float64) (float64, []float64, error)) (
	next []float64, v float64, g []float64, moved bool, err error,
) {
	down := d.downhill(at, gradient)
	way := d.direction(down)
	for i, c := range d.corners {
		if c > 0 && way[i]*down[i] >= 0 {
			way[i] = 0 // it would go up
		}
	}
	slope := dot(down, way)
	if !(slope < 0) {
		return nil, 0, nil, false, nil
	}
	value += d.sharp(at)
	length := 1.0
	for range mostHalves {
		next = make([]float64, len(at))
		for i := range at {
			next[i] = at[i] + float64(length*way[i])
		}
		gain := float64(length * slope)
		if d.corners != nil {
			d.stay(at, next, down)
			gain = dot(down, difference(next, at))
		}
		if v, g, err = evaluate(next); err != nil {
			return nil, 0, nil, false, err
		}
		all := v + d.sharp(next)
		// Close to the end values differ by rounding alone, and the gradient tells.
		flatter := largest(d.downhill(next, g)) < steeper*largest(down)
		if all <= value+float64(sufficient*gain) || flatter && all-value <= rounding*math.Abs(value) {
			d.learn(at, next, gradient, g)
			return next, v, g, flatter || value-all > rounding*math.Abs(value), nil
		}
		length /= 2
	}
	return nil, 0, nil, false, nil
}

// direction is against the gradient, bent by what the last moves have told.
func (d *descent) direction(gradient []float64) []float64 {
	q := make([]float64, len(gradient))
	for i, v := range gradient {
		q[i] = -v
	}
	share := make([]float64, len(d.pairs))
	for k := len(d.pairs) - 1; k >= 0; k-- {
		p := d.pairs[k]
		share[k] = dot(p.move, q) / p.curvature
		add(q, p.change, -share[k])
	}
	by := 1.0
	if n := len(d.pairs); n > 0 {
		p := d.pairs[n-1]
		var bent float64
		for i, c := range p.change {
			bent += float64(float64(c*c) * d.scale[i])
		}
		by = p.curvature / bent
	}
	for i := range q {
		q[i] *= by * d.scale[i]
	}
	for k, p := range d.pairs {
		add(q, p.move, share[k]-dot(p.change, q)/p.curvature)
	}
	return q
}

// learn keeps a move that was along a curve.
func (d *descent) learn(from, to, before, after []float64) {
	p := pair{move: difference(to, from), change: difference(after, before)}
	p.curvature = dot(p.move, p.change)
	if !(p.curvature > leastBending*math.Sqrt(dot(p.move, p.move)*dot(p.change, p.change))) {
		return
	}
	if d.pairs = append(d.pairs, p); len(d.pairs) > memory {
		d.pairs = d.pairs[1:]
	}
}

func dot(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v * b[i])
	}
	return sum
}

func difference(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i, v := range a {
		out[i] = v - b[i]
	}
	return out
}

func add(to, v []float64, times float64) {
	for i, x := range v {
		to[i] += float64(x * times)
	}
}

func largest(v []float64) float64 {
	var most float64
	for _, x := range v {
		most = max(most, math.Abs(x))
	}
	return most
}
