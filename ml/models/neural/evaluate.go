package neural

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// standard is how a regression's target is scaled: (y - mean) / std.
type standard struct{ mean, std float64 }

// standardise returns the mean and the standard deviation of a table's targets,
// each as much as its row weighs, 1 for a constant, from exact sums.
func standardise(t models.Table) (standard, error) {
	var sum, squares, weights sketch.Sum
	err := t.EachTarget(func(v, w float64) {
		sum.AddProduct(v, w)
		weights.Add(w)
	})
	if err != nil {
		return standard{}, err
	}
	all := weights.Value()
	s := standard{mean: sum.Value() / all, std: 1}
	err = t.EachTarget(func(v, w float64) {
		if d := v - s.mean; w == 1 {
			squares.AddProduct(d, d)
		} else {
			squares.AddProduct(float64(d*d), w)
		}
	})
	if std := math.Sqrt(squares.Value() / all); std > 0 {
		s.std = std
	}
	return s, err
}

// scale replaces values in the unit of the target by scaled ones.
func (s standard) scale(values []float32) {
	for i, v := range values {
		values[i] = float32((float64(v) - s.mean) / s.std)
	}
}

// unscale replaces scaled values by those in the unit of the target.
func (s standard) unscale(values []float32) {
	for i, v := range values {
		values[i] = float32(s.mean + float64(float64(v)*s.std)) // two roundings: no fused multiply-add
	}
}

// examiner measures this rank's share of the validation rows.
type examiner struct {
	fit        *fit
	ctx        context.Context //nolint:containedctx // that of the call which waits for the executors
	next       atomic.Int64
	evaluators map[*executor]*metrics.Evaluator
}

// evaluate measures the validation rows on all ranks; every rank returns the
// same.
func (f *fit) evaluate(ctx context.Context) (*metrics.Evaluator, error) {
	x := &examiner{fit: f, ctx: ctx, evaluators: map[*executor]*metrics.Evaluator{}}
	all, err := f.newEvaluator()
	if err != nil {
		return nil, err
	}
	for _, e := range f.crew.members {
		if x.evaluators[e], err = f.newEvaluator(); err != nil {
			return nil, err
		}
	}
	failed := f.crew.run(len(f.crew.members), x.blocks)
	if ctx.Err() != nil {
		return nil, canceled(ctx)
	}
	for _, e := range f.crew.members {
		if err := all.Merge(x.evaluators[e]); err != nil {
			return nil, err
		}
	}
	return f.exchange(ctx, all, failed)
}

func (f *fit) newEvaluator() (*metrics.Evaluator, error) {
	e, err := metrics.NewEvaluator(f.network.problem.Task, f.network.problem.NumClasses)
	if err == nil && f.validation.Weighted {
		err = e.Weigh(f.unit)
	}
	if err == nil && f.network.row != (metrics.RowLoss{}) {
		err = e.Judge(f.network.row)
	}
	if o := f.network.objective; err == nil && o.byClass() {
		err = e.JudgeClasses(metrics.ClassLoss{Weights: o.weights, Smoothing: f.config.Loss.LabelSmoothing})
	}
	if s := f.config.EarlyStopping; err == nil && s != nil {
		e.Also(s.Metric)
	}
	return e, err
}

// blocks measures blocks of rows until none of this rank's is left.
func (x *examiner) blocks(e *executor) error {
	f, table := x.fit, x.fit.validation
	outputs := f.network.problem.NumOutputs()
	out := make([]float32, f.network.rows*outputs)
	observe := newObserver(f.network.problem, f.network.rows)
	room := table.Room(f.network.rows)
	for {
		if x.ctx.Err() != nil {
			return canceled(x.ctx)
		}
		first := (int(x.next.Add(1)-1)*f.comm.WorldSize() + f.comm.Rank()) * f.network.rows
		if first >= table.NumRows {
			return nil
		}
		rows := min(f.network.rows, table.NumRows-first)
		b, err := table.Block(first, rows, room)
		if err != nil {
			return err
		}
		if err := e.predictor.predict(b.X, rows, out); err != nil {
			return err
		}
		if f.network.problem.Task == metrics.Regression {
			f.target.unscale(out[:rows])
		}
		if err := observe(x.evaluators[e], b, out[:rows*outputs]); err != nil {
			return fmt.Errorf("neural: validation rows from %d: %w", first, err)
		}
	}
}

// newObserver returns a function that has an evaluator observe up to so many
// rows and their predictions.
func newObserver(p models.Problem, numRows int) func(*metrics.Evaluator, models.Block, []float32) error {
	predicted := make([]float64, numRows*p.NumOutputs())
	values, classes := make([]float64, numRows), make([]int, numRows)
	room := make([]float64, numRows)
	return func(e *metrics.Evaluator, b models.Block, out []float32) error {
		for i, v := range out {
			predicted[i] = float64(v)
		}
		for i, v := range b.Y {
			values[i], classes[i] = float64(v), int(v)
		}
		var weights []float64
		if b.W != nil {
			weights = room[:len(b.W)]
			for i, v := range b.W {
				weights[i] = float64(v)
			}
		}
		if p.Task == metrics.Regression {
			return e.ObserveWeighedValues(values[:len(b.Y)], predicted[:len(out)], weights)
		}
		return e.ObserveWeighedClasses(classes[:len(b.Y)], predicted[:len(out)], weights)
	}
}

// exchange merges what the ranks have measured, in rank order. A rank that
// failed says so in place of its measures, so that all return an error.
func (f *fit) exchange(ctx context.Context, mine *metrics.Evaluator, failed error) (*metrics.Evaluator, error) {
	if f.comm.WorldSize() == 1 {
		return mine, failed
	}
	b, err := mine.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b = append([]byte{0}, b...)
	if failed != nil {
		b = append([]byte{1, byte(fault.Of(failed))}, failed.Error()...)
	}
	all, err := f.newEvaluator()
	if err != nil {
		return nil, err
	}
	for root := range f.comm.WorldSize() {
		got, err := f.comm.Broadcast(ctx, root, b)
		if err != nil {
			return nil, fmt.Errorf("neural: validation metrics: %w", err)
		}
		if len(got) > 1 && got[0] == 1 {
			return nil, fault.New(fault.Kind(got[1]), "%s", got[2:])
		}
		part, err := f.newEvaluator()
		if err != nil {
			return nil, err
		}
		if err := part.UnmarshalBinary(got[min(1, len(got)):]); err != nil {
			return nil, err
		}
		if err := all.Merge(part); err != nil {
			return nil, err
		}
	}
	return all, nil
}
