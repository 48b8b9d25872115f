package neural

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// twin is the dumb version of a fit without dropout: one row after the other,
// in float64, from the formulas.
type twin struct {
	config  Config
	problem models.Problem
	widths  []int
	params  []float64 // weights (out, in), then bias, of each layer
	m, v    []float64
	t       int
}

func newTwin(c Config, p models.Problem, numFeatures int) *twin {
	w := &twin{config: c, problem: p, widths: append(append([]int{numFeatures}, c.Hidden...), p.NumOutputs())}
	s, err := newShape(numFeatures, c.Hidden, p.NumOutputs(), extras{})
	if err != nil {
		panic(err)
	}
	flat := s.initial(c.Seed)
	for i, l := range s.layers {
		plain := make([]float32, l.In*l.Out)
		l.Unpack(plain, s.weights(flat, i))
		for _, x := range append(plain, s.bias(flat, i)[:l.Out]...) {
			w.params = append(w.params, float64(x))
		}
	}
	w.m, w.v = make([]float64, len(w.params)), make([]float64, len(w.params))
	return w
}

// row adds the gradient of one row's loss to grad and returns the loss.
func (w *twin) row(x []float64, target float64, grad []float64) (loss float64) {
	layers := len(w.widths) - 1
	a := [][]float64{x}
	at := 0
	for i := range layers {
		in, out := w.widths[i], w.widths[i+1]
		y := make([]float64, out)
		for o := range y {
			y[o] = w.params[at+in*out+o]
			for k, v := range a[i] {
				y[o] += v * w.params[at+o*in+k]
			}
			if i < layers-1 {
				y[o] = w.activate(y[o])
			}
		}
		a = append(a, y)
		at += in*out + out
	}
	loss, dz := w.head(a[layers], target)
	for i := layers - 1; i >= 0; i-- {
		in, out := w.widths[i], w.widths[i+1]
		at -= in*out + out
		dx := make([]float64, in)
		for o, d := range dz {
			grad[at+in*out+o] += d
			for k, v := range a[i] {
				grad[at+o*in+k] += d * v
				dx[k] += d * w.params[at+o*in+k] * w.slope(v)
			}
		}
		dz = dx
	}
	return loss
}

func (w *twin) head(z []float64, target float64) (loss float64, dz []float64) {
	if w.problem.Task == metrics.Regression {
		d := z[0] - target
		return d * d, []float64{2 * d}
	}
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(v)
	}
	for k, v := range z {
		d := math.Exp(v) / sum
		if k == int(target) {
			loss = -math.Log(d)
			d--
		}
		dz = append(dz, d)
	}
	return loss, dz
}

func (w *twin) activate(x float64) float64 {
	switch w.config.Activation {
	case Tanh:
		return math.Tanh(x)
	case Sigmoid:
		return 1 / (1 + math.Exp(-x))
	}
	return max(x, 0)
}

// slope is that of the activation where it gave y.
func (w *twin) slope(y float64) float64 {
	switch {
	case w.config.Activation == Tanh:
		return 1 - y*y
	case w.config.Activation == Sigmoid:
		return y * (1 - y)
	case y > 0:
		return 1
	}
	return 0
}

// update makes a step of AdamW: the algorithm of PyTorch's documentation.
func (w *twin) update(grad []float64, rows int) {
	w.t++
	o := w.config.Optimizer
	for i := range grad {
		g := grad[i] / float64(rows)
		w.params[i] -= o.LearningRate * o.WeightDecay * w.params[i]
		w.m[i] = o.Beta1*w.m[i] + (1-o.Beta1)*g
		w.v[i] = o.Beta2*w.v[i] + (1-o.Beta2)*g*g
		m := w.m[i] / (1 - math.Pow(o.Beta1, float64(w.t)))
		v := w.v[i] / (1 - math.Pow(o.Beta2, float64(w.t)))
		w.params[i] -= o.LearningRate * m / (math.Sqrt(v) + o.Epsilon)
	}
}

// fit trains and returns the mean loss of each epoch.
func (w *twin) fit(t models.Table) (losses []float64) {
	targets, std := slices.Clone(t.Y), 1.0
	if w.problem.Task == metrics.Regression {
		s, err := standardise(t)
		if err != nil {
			panic(err)
		}
		s.scale(targets)
		std = s.std
	}
	order := make([]uint32, t.NumRows)
	for epoch := range w.config.Epochs {
		shuffle(order, w.config.Seed, epoch+1)
		total := 0.0
		for first := 0; first < t.NumRows; first += w.config.BatchSize {
			batch := order[first:min(first+w.config.BatchSize, t.NumRows)]
			grad := make([]float64, len(w.params))
			for _, i := range batch {
				x := make([]float64, t.NumFeatures)
				for k, v := range t.Row(int(i)) {
					x[k] = float64(v)
				}
				total += w.row(x, float64(targets[i]), grad)
			}
			w.update(grad, len(batch))
		}
		losses = append(losses, total/float64(t.NumRows)*std*std)
	}
	return losses
}

func TestFitIsThatOfItsTwin(t *testing.T) {
	t.Parallel()
	three := models.Problem{Task: metrics.Multiclass, NumClasses: 3}
	for _, c := range []struct {
		problem models.Problem
		table   models.Table
	}{
		{twoClasses, xor(1, 500)}, {three, blobs(1, 700, 6, 3)}, {regression, linear(1, 600)},
	} {
		for _, a := range []Activation{ReLU, Tanh, Sigmoid} {
			config := DefaultConfig()
			config.Hidden, config.Activation, config.Epochs, config.BatchSize = []int{9, 17}, a, 5, 90
			config.Optimizer.LearningRate, config.Optimizer.WeightDecay = 3e-3, 0.1
			w := newTwin(config, c.problem, c.table.NumFeatures)
			want := w.fit(c.table)
			var got []float64
			m := fitSolo(t, config, c.problem, c.table, models.Table{}, models.Options{
				Epoch: func(e models.Epoch) { got = append(got, e.Loss) },
			})
			require.Len(t, got, len(want))
			for i := range want {
				assert.InEpsilon(t, want[i], got[i], 2e-5, "%s %s: loss of epoch %d", c.problem.Task, a, i+1)
			}
			b, err := m.MarshalBinary()
			require.NoError(t, err)
			_, arrays, err := decodeTensors(b)
			require.NoError(t, err)
			var params []float64
			for i := range len(arrays) / 2 {
				for _, v := range append(arrays[weightName(i)].values, arrays[biasName(i)].values...) {
					params = append(params, float64(v))
				}
			}
			assert.InDeltaSlice(t, w.params, params, 1e-4, "%s %s: parameters", c.problem.Task, a)
		}
	}
}
