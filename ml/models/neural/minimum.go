package neural

import (
	"context"
	"errors"
	"math"

	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// minimum is a linear model on its way to the least loss. Its parameters are,
// for each output from first on, the weights of standardised features and the
// intercept.
type minimum struct {
	*fit
	ctx            context.Context //nolint:containedctx // that of the call of Fit
	by             scaling
	l1, l2         float64 // to one row
	weighs         float64 // what a row does in the mean
	first, outputs int
	rows           []uint32 // of a batch
	at             []float64
}

func (r *minimum) width() int { return len(r.by.mean) + 1 }

// mostIdle is how many steps in a row may gain nothing that is more than rounding:
// the next one is often better, and the weights are not as near as the value is.
const mostIdle = 3

// run goes from zero to the least loss.
func (r *minimum) run(c LinearConfig, o models.Options) error {
	r.at = make([]float64, (r.outputs-r.first)*r.width())
	d := descent{scale: r.diagonal(), corners: r.corners()}
	value, gradient, err := r.evaluate(r.at)
	if err != nil {
		return err
	}
	r.weighs = float64(r.weight) / weightScale / float64(r.train.NumRows)
	near := c.Tolerance
	if l := r.network.row; l.Kind == metrics.Huber {
		near *= min(1, l.Parameter/r.target.std) // no row's slope is steeper
	}
	for i, idle := 1, 0; ; i++ {
		done := i == c.Iterations || largest(d.downhill(r.at, gradient)) <= near
		if !done {
			at, v, g, moved, err := d.step(r.at, value, gradient, r.try)
			if err != nil {
				return err
			}
			if idle++; moved {
				idle = 0
			}
			if done = at == nil || idle == mostIdle; at != nil {
				r.at, value, gradient = at, v, g
			}
		}
		if err := r.tell(i, c.Iterations, value+d.sharp(r.at), done, o); err != nil || done {
			return err
		}
	}
}

// tell says how an iteration has ended, and at the end what the validation rows
// have to say.
func (r *minimum) tell(i, most int, value float64, done bool, o models.Options) error {
	e := models.Epoch{Number: i, Loss: value / r.weighs * r.target.std * r.target.std, Best: done}
	if done && r.validation.NumRows > 0 {
		r.write(r.weights, r.at, false)
		evaluator, err := r.fit.evaluate(r.ctx)
		if err != nil {
			return err
		}
		if e.Validation, err = evaluator.Report(); err != nil {
			return err
		}
	}
	if r.comm.Rank() != 0 {
		return nil
	}
	if o.Progress != nil {
		n := int64(r.train.NumRows)
		o.Progress(int64(i)*n, int64(most)*n, e.Loss)
	}
	if o.Epoch != nil {
		o.Epoch(e)
	}
	return nil
}

// squares reports whether rows have the squared error, without a half before it.
func (r *minimum) squares() bool {
	return r.network.problem.Task == metrics.Regression && r.network.row.Kind == metrics.SquaredError
}

// penalty is that of one weight, squared.
func (r *minimum) penalty() float64 {
	if r.squares() {
		return r.l2
	}
	return r.l2 / 2
}

// corners returns the penalty of each parameter's absolute value; nil where there is
// none. Intercepts have none.
func (r *minimum) corners() []float64 {
	if r.l1 == 0 {
		return nil
	}
	out := make([]float64, len(r.at))
	for i := range out {
		if j := i % r.width(); j < r.width()-1 {
			out[i] = r.l1 / r.by.std[j]
		}
	}
	return out
}

// diagonal returns a bound of the second derivatives.
func (r *minimum) diagonal() []float64 {
	bound := 0.25
	switch {
	case r.squares():
		bound = 2
	case r.network.problem.Task == metrics.Regression:
		bound = 1
	}
	out := make([]float64, len(r.at))
	for i := range out {
		out[i] = 1 / bound
		if j := i % r.width(); j < r.width()-1 {
			out[i] = 1 / (bound + 2*r.penalty()/r.by.std[j]/r.by.std[j])
		}
	}
	return out
}

// try is evaluate at a point that may be too far away for sums in fixed point, on
// all ranks alike: its value is infinite then, and the step to it is made shorter.
func (r *minimum) try(at []float64) (float64, []float64, error) {
	value, gradient, err := r.evaluate(at)
	if errors.Is(err, errDiverged) {
		clear(r.crew.members[0].sums)
		return math.Inf(1), nil, nil
	}
	return value, gradient, err
}

// evaluate returns the mean loss of the rows with the squared penalty, and its
// gradient.
func (r *minimum) evaluate(at []float64) (float64, []float64, error) {
	r.write(r.weights, at, false)
	sums, err := r.pass()
	if err != nil {
		return 0, nil, err
	}
	n := float64(r.train.NumRows)
	value := float64(r.loss) / lossScale / n
	gradient := make([]float64, len(at))
	for i, w := range at {
		gradient[i] = sums[r.place(i)] / n
		if j := i % r.width(); j < r.width()-1 {
			w /= r.by.std[j]
			value += float64(r.penalty() * float64(w*w))
			gradient[i] += float64(2 * r.penalty() * w / r.by.std[j])
		}
	}
	return value, gradient, nil
}

// place returns where parameter i is in the flat vector.
func (r *minimum) place(i int) int {
	layer := r.network.layers[0]
	o, j := r.first+i/r.width(), i%r.width()
	if j == r.width()-1 {
		return layer.first + layer.WeightLen() + o
	}
	return layer.first + layer.Index(j, o)
}

// write puts parameters into a flat vector: for standardised features, or for those
// of the table.
func (r *minimum) write(flat []float32, at []float64, original bool) {
	clear(flat)
	for i := range at {
		j := i % r.width()
		switch {
		case !original:
			flat[r.place(i)] = float32(at[i])
		case j < r.width()-1:
			flat[r.place(i)] = float32(at[i] / r.by.std[j])
		default:
			b := at[i]
			for k, mean := range r.by.mean {
				b -= float64(at[i-j+k] / r.by.std[k] * mean)
			}
			flat[r.place(i)] = float32(b)
		}
	}
}

// pass sums the gradient of all rows on all ranks; their loss is in the state.
func (r *minimum) pass() ([]float64, error) {
	sums := make([]float64, r.network.numParams)
	r.loss, r.weight = 0, 0
	for first := 0; first < r.train.NumRows; first += len(r.rows) {
		rows := r.rows[:min(len(r.rows), r.train.NumRows-first)]
		for i := range rows {
			rows[i] = uint32(first + i)
		}
		r.deal(r.ctx, rows)
		if err := r.sum(r.ctx, false); err != nil {
			return nil, err
		}
		fixed := r.crew.members[0].sums[:len(sums)]
		for i, v := range fixed {
			sums[i] += float64(v) / fine
		}
		clear(fixed)
	}
	return sums, nil
}
