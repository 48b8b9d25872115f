package neural

import (
	"context"
	"math"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// LinearConfig is a linear model and when its fit is good enough.
type LinearConfig struct {
	// L2 is the strength of the penalty on the weights, not on the intercepts, next
	// to the sum of the rows' losses: scikit-learn's alpha of Ridge, and 1/C of
	// LogisticRegression.
	L2 float64
	// L1 is that of the penalty on the weights' absolute values, which makes weights 0
	// that say little: l1_ratio / C of LogisticRegression, 2 rows alpha of Lasso.
	L1 float64
	// Loss is how classes count, and of a regression SquaredError or Huber: what has a
	// slope everywhere.
	Loss Loss
	// Iterations bounds the passes over the training rows, but for those that a
	// step was too long in.
	Iterations int
	// Tolerance ends the fit: the largest derivative of the mean loss with respect
	// to one weight, of standardised features.
	Tolerance float64
}

// DefaultLinearConfig returns the settings of a spec that names none.
func DefaultLinearConfig() LinearConfig {
	return LinearConfig{L2: 1, Iterations: 1000, Tolerance: 1e-6}
}

// Linear fits linear models: logistic regression of two classes, multinomial
// logistic regression of more, least squares of a number. It minimises
//
//	sum of the rows' losses + penalty
//
// each as much as its row and its class weigh, where a row's loss is -log of its
// class's probability, the penalty l2/2 times the sum of squared weights (of two
// classes, of the one vector that tells them apart), and for a number
// (y - prediction)^2 and l2 times the sum of squared weights, or Huber's loss and half
// of that; and l1 times the sum of the weights' absolute values: the problems of
// scikit-learn's LogisticRegression, Ridge, Lasso and ElasticNet, and of HuberRegressor
// where its scale is known.
//
// Features are standardised on the way in, to make the problem easier, not another
// one. The gradient is a sum over all rows in fixed point, computed by the network
// without hidden layers, so the model has the same bytes for any number of ranks
// and threads.
//
// Source: L-BFGS: Liu and Nocedal, Mathematical Programming 45, 1989, with the
// diagonal of a bound of the Hessian as first guess, and backtracking by Armijo's
// rule; with l1, OWL-QN: Andrew and Gao, ICML 2007.
type Linear struct {
	config    LinearConfig
	estimator *Estimator
	problem   models.Problem
}

// NewLinear returns an estimator. The error, of kind Invalid, names what is wrong.
func NewLinear(c LinearConfig, p models.Problem) (*Linear, error) {
	if !(min(c.L1, c.L2) >= 0) || math.IsInf(c.L1+c.L2, 1) || c.Iterations < 1 || !(c.Tolerance > 0) {
		return nil, fault.New(fault.Invalid, "neural: linear: l1 %v, l2 %v, %d iterations, tolerance %v: expected at least 0, at least 0, at least 1, above 0",
			c.L1, c.L2, c.Iterations, c.Tolerance)
	}
	if k := c.Loss.Row.Kind; k != metrics.SquaredError && k != metrics.Huber {
		return nil, fault.New(fault.Invalid, "neural: linear: loss %q, which has a corner: expected the squared error or huber", k)
	}
	net := DefaultConfig()
	net.Loss = c.Loss
	net.Hidden, net.Epochs, net.BatchSize = nil, 1, linearBatch
	e, err := New(net, p)
	if err != nil {
		return nil, err
	}
	return &Linear{config: c, estimator: e, problem: e.problem}, nil
}

// linearBatch is how many rows are summed up in fixed point before they are added
// in floating point.
const linearBatch = 1 << 18

// Fit learns from the rows of train; the rows of validation are measured at the
// end. A checkpoint is never made: all is begun again, which leads to the same.
// See Estimator.Fit.
func (l *Linear) Fit(ctx context.Context, comm collective.Comm, train, validation models.Table, o models.Options) (_ models.Model, err error) {
	defer door(&err)
	if err := l.estimator.check(train, validation); err != nil {
		return nil, err
	}
	by, err := newScaling(train)
	if err != nil {
		return nil, err
	}
	o.Resume, o.Checkpoint = nil, nil
	f, err := l.estimator.newFit(comm, by.table(train), by.table(validation), o)
	if err != nil {
		return nil, err
	}
	defer f.crew.close()
	f.network.fine = true
	r := &minimum{
		fit: f, ctx: ctx, by: by, rows: make([]uint32, min(linearBatch, train.NumRows)),
		l1: l.config.L1 / float64(train.NumRows) / f.target.std, l2: l.config.L2 / float64(train.NumRows),
	}
	if o := f.network.objective; o != nil { // as the losses
		r.l1 *= o.scale
		r.l2 *= o.scale
	}
	r.outputs = f.network.problem.NumOutputs()
	if l.problem.Task == metrics.Binary {
		r.first = 1 // class 0 has no weights: the difference counts alone
	}
	if err := r.run(l.config, o); err != nil {
		return nil, err
	}
	weights := kernels.Aligned(f.network.numWeights())
	r.write(weights, r.at, true)
	return newModel(f.network, f.target, weights)
}

// scaling is how features are standardised.
type scaling struct{ mean, std []float64 }

// newScaling returns the means and standard deviations of a table's features, 1 for
// those of one value, from sums in the order of the rows.
func newScaling(t models.Table) (scaling, error) {
	s := scaling{make([]float64, t.NumFeatures), make([]float64, t.NumFeatures)}
	n := float64(t.NumRows)
	err := eachBlock(t, func(_ int, b models.Block) error {
		for x := b.X; len(x) > 0; x = x[t.NumFeatures:] {
			for j, v := range x[:t.NumFeatures] {
				s.mean[j] += float64(v)
			}
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	for j := range s.mean {
		s.mean[j] /= n
	}
	err = eachBlock(t, func(_ int, b models.Block) error {
		for x := b.X; len(x) > 0; x = x[t.NumFeatures:] {
			for j, v := range x[:t.NumFeatures] {
				d := float64(v) - s.mean[j]
				s.std[j] += float64(d * d)
			}
		}
		return nil
	})
	for j, v := range s.std {
		s.std[j] = math.Sqrt(v / n)
		if !(s.std[j] > 1e-12*math.Abs(s.mean[j])) {
			s.std[j] = 1 // but for rounding, it is one value
		}
	}
	return s, err
}

// mostScaled is up to how many numbers of a table in memory are standardised once,
// not at every pass.
const mostScaled = 1 << 24

// table returns a table with standardised features.
func (s scaling) table(t models.Table) models.Table {
	if t.Stored == nil && len(t.X) <= mostScaled {
		out := t
		out.X = make([]float32, len(t.X))
		copy(out.X, t.X)
		s.scale(out.X)
		return out
	}
	return models.Table{NumRows: t.NumRows, NumFeatures: t.NumFeatures, Weighted: t.Weighted, Stored: scaled{t, s}}
}

// scaled is a table whose features are standardised as they are read.
type scaled struct {
	models.Table
	by scaling
}

// Read fills x, y and w.
func (s scaled) Read(first int, x, y, w []float32) error {
	if err := s.Copy(first, x, y, w); err != nil {
		return err
	}
	s.by.scale(x)
	return nil
}

// scale standardises the features of rows.
func (s scaling) scale(x []float32) {
	for n := len(s.mean); len(x) > 0; x = x[n:] {
		for j, v := range x[:n] {
			x[j] = float32((float64(v) - s.mean[j]) / s.std[j])
		}
	}
}
