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
	l2             float64 // to one row
	weighs         float64 // what a row does in the mean
	first, outputs int
	rows           []uint32 // of a batch
	at             []float64
}

func (r *minimum) width() int { return len(r.by.mean) + 1 }

// run goes from zero to the least loss.
func (r *minimum) run(c LinearConfig, o models.Options) error {
	r.at = make([]float64, (r.outputs-r.first)*r.width())
	d := descent{scale: r.diagonal()}
	value, gradient, err := r.evaluate(r.at)
	if err != nil {
		return err
	}
	r.weighs = float64(r.weight) / weightScale / float64(r.train.NumRows)
	for i := 1; ; i++ {
		done := i == c.Iterations || largest(gradient) <= c.Tolerance
		if !done {
			at, v, g, moved, err := d.step(r.at, value, gradient, r.try)
			if err != nil {
				return err
			}
			if done = !moved; moved {
				r.at, value, gradient = at, v, g
			}
		}
		if err := r.tell(i, c.Iterations, value, done, o); err != nil || done {
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

// penalty is that of one weight, squared; its half for classes.
func (r *minimum) penalty() float64 {
	if r.network.problem.Task == metrics.Regression {
		return r.l2
	}
	return r.l2 / 2
}

// diagonal returns a bound of the second derivatives.
func (r *minimum) diagonal() []float64 {
	bound := 0.25
	if r.network.problem.Task == metrics.Regression {
		bound = 2
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

// evaluate returns the mean loss of the rows with the penalty, and its gradient.
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
