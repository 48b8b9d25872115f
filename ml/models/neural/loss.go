package neural

import (
	"math"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Loss is how the classes of a classification count while training, and in the loss
// of validation rows that steers it, of which other metrics know nothing; and what a
// regression minimises. The zero value is the plain cross entropy, and the squared
// error.
type Loss struct {
	Balanced       bool      // classes weigh in inverse proportion to their training rows
	ClassWeights   []float64 // of each class, by number, 0 to MaxClassWeight; nil: all alike
	LabelSmoothing float64   // the share of each row that is spread over all classes alike, 0 to below 1

	Row metrics.RowLoss `json:",omitzero"` // of a regression
}

// MaxClassWeight is the most that a class may weigh.
const MaxClassWeight = 1e6

func (l Loss) plain() bool {
	return !l.Balanced && l.ClassWeights == nil && l.LabelSmoothing == 0
}

func (l Loss) validate(p models.Problem, must func(bool, string, ...any)) {
	must(l.plain() || p.Task != metrics.Regression, "class weights or label smoothing in a regression, expected a task with classes")
	must(l.Row.Valid(), "loss %q of %v, expected mae, huber with a delta above 0, or quantile above 0 and below 1", l.Row.Kind, l.Row.Parameter)
	must(l.Row == metrics.RowLoss{} || p.Task == metrics.Regression, "loss %q in a task of classes, expected a regression", l.Row.Kind)
	must(!l.Balanced || l.ClassWeights == nil, "balanced classes and class weights, expected one of them")
	must(l.ClassWeights == nil || len(l.ClassWeights) == p.NumClasses, "%d class weights, expected one for each of %d classes", len(l.ClassWeights), p.NumClasses)
	for i, w := range l.ClassWeights {
		must(w >= 0 && w <= MaxClassWeight, "class %d weighs %v, expected 0 to %v", i, w, float64(MaxClassWeight))
	}
	must(l.LabelSmoothing >= 0 && l.LabelSmoothing < 1, "label smoothing %v, expected 0 to below 1", l.LabelSmoothing)
}

// objective is a Loss that is not plain, with the weights that its training rows
// lead to, and how rows weigh that have weights of their own.
//
// Source: PyTorch, torch.nn.CrossEntropyLoss(weight, label_smoothing); of balanced
// weights: scikit-learn, compute_class_weight.
type objective struct {
	weights []float64 // of each class; nil: the plain loss
	keep    float64   // 1 - smoothing
	spread  float64   // smoothing / number of classes
	sum     float64   // of weights
	// scale is a power of two that losses are multiplied by, so that rows weigh about 1
	// in the mean; rows is it where it is a row's own weight that is multiplied, 0 where
	// rows have none.
	scale, rows float64
}

// newObjective returns the objective over the training rows; nil of a plain loss
// over rows without weights. As the loss is divided by what the rows weigh,
// weights count in proportion to each other; here a power of two, which rounds
// nothing, brings the mean of what a row weighs between 1/2 and 1, as sums in
// fixed point want it.
func newObjective(l Loss, numClasses int, train models.Table) (*objective, error) {
	if l.plain() && !train.Weighted {
		return nil, nil //nolint:nilnil // no objective is the plain loss
	}
	of, err := classWeights(max(numClasses, 1), train)
	if err != nil {
		return nil, err
	}
	o := &objective{weights: slices.Clone(l.ClassWeights), keep: 1 - l.LabelSmoothing, spread: l.LabelSmoothing / float64(numClasses)}
	if o.weights == nil && !l.plain() {
		o.weights = slices.Repeat([]float64{1}, numClasses)
	}
	all, mean := 0.0, 0.0
	for _, n := range of {
		all += n
	}
	for i, n := range of {
		own := 1.0
		if l.Balanced && n > 0 { // a class without rows keeps 1
			o.weights[i] = all / (float64(numClasses) * n)
		}
		if o.weights != nil {
			own = o.weights[i]
		}
		mean += float64(own * (n / float64(train.NumRows)))
	}
	if mean == 0 && all > 0 {
		return nil, fault.New(fault.Invalid, "neural: every class of the training rows weighs 0: give one of them a weight")
	}
	if mean == 0 {
		return nil, fault.New(fault.Invalid, "neural: every training row weighs 0: give some of them a weight")
	}
	_, exponent := math.Frexp(mean)
	o.scale = math.Ldexp(1, -exponent)
	if train.Weighted {
		o.rows, exponent = o.scale, 0
	}
	for i, w := range o.weights {
		o.weights[i] = math.Ldexp(w, -exponent)
		o.sum += o.weights[i]
	}
	return o, nil
}

// classWeights returns what the rows of each class weigh together: without
// weights, how many there are. Rows of a regression are of one class.
func classWeights(numClasses int, t models.Table) ([]float64, error) {
	sums, out := make([]sketch.Sum, numClasses), make([]float64, numClasses)
	err := t.EachTarget(func(class, w float64) {
		if numClasses == 1 {
			class = 0
		}
		if t.Weighted {
			sums[int(class)].Add(w)
		} else {
			out[int(class)]++
		}
	})
	for i := range sums {
		if t.Weighted {
			out[i] = sums[i].Value()
		}
	}
	return out, err
}

// weigh multiplies the losses of rows, and their slopes z, by the rows' own
// weights, and returns what the rows weigh together. A nil objective is the plain
// loss of rows without weights.
func (o *objective) weigh(z kernels.Matrix, labels []int32, own, losses []float32) (weight float64) {
	if o == nil {
		return float64(len(losses))
	}
	for i := range losses {
		weighs := 1.0
		if o.weights != nil {
			weighs = o.weights[labels[i]]
		}
		if o.rows > 0 {
			by := float64(float64(own[i]) * o.rows)
			weighs = float64(weighs * by)
			losses[i] = float32(float64(losses[i]) * by)
			row := z.Row(i)
			for j, v := range row {
				row[j] = float32(float64(v) * by)
			}
		}
		weight += weighs
	}
	return weight
}

// byClass reports whether classes weigh differently, or labels are smoothed.
func (o *objective) byClass() bool { return o != nil && o.weights != nil }

// crossEntropy does to logits z what kernels.CrossEntropy with a scale of 1 does,
// of this objective, of rows without weights of their own. With weights w of
// classes, K of them, smoothing e and the row's own class y, a row's loss is
//
//	(1-e) w[y] (-log p[y]) + e/K sum over c of w[c] (-log p[c])
//
// and it weighs w[y]. Products are rounded on their own, so that no compiler fuses
// them into the sums.
func (o *objective) crossEntropy(z kernels.Matrix, labels []int32, losses []float32, behind []float64) {
	for i, label := range labels {
		behind[i] = o.behind(z.Row(i), label)
	}
	kernels.CrossEntropy(z, labels, 1, losses)
	shift := float64(o.spread * o.sum)
	for i, label := range labels {
		own := o.weights[label]
		factor := float64(o.keep*own) + shift
		row := z.Row(i)
		row[label] += 1 // now the probabilities
		for j, p := range row {
			wanted := float64(o.spread * o.weights[j])
			if j == int(label) {
				wanted += float64(o.keep * own)
			}
			row[j] = float32(float64(factor*float64(p)) - wanted)
		}
		losses[i] = float32(float64(factor*float64(losses[i])) + float64(o.spread*behind[i]))
	}
}

// behind is by how much the logits of all classes, times their weights, are
// behind that of the row's own.
func (o *objective) behind(row []float32, label int32) (sum float64) {
	if o.spread == 0 {
		return 0
	}
	for j, v := range row {
		sum += float64(o.weights[j] * (float64(row[label]) - float64(v)))
	}
	return sum
}

// distances replaces the outputs y, of one column, by the slopes of the loss at
// standardised targets, and writes the loss of each row. Its unit is the target's
// standard deviation, of Huber and the squared error the square of that. Where a loss
// has a corner, its slope is 0.
func distances(l metrics.RowLoss, std float64, y kernels.Matrix, targets, losses []float32) {
	if l.Kind == metrics.SquaredError {
		kernels.SquaredError(y, kernels.Matrix{Data: targets, Rows: y.Rows, Cols: 1, Stride: 1}, 1, losses)
		return
	}
	above, below := float32(1), float32(-1) // the slopes of predictions that are
	if l.Kind == metrics.Pinball {
		above, below = float32(1-l.Parameter), float32(-l.Parameter)
	}
	delta := float32(l.Parameter / std)
	for i := range y.Rows {
		d, slope := y.Row(i)[0]-targets[i], float32(0)
		switch {
		case d > 0:
			slope = above
		case d < 0:
			slope = below
		}
		losses[i] = d * slope
		if l.Kind == metrics.Huber {
			size := float32(d * slope)
			losses[i], slope = float32(delta*(size-delta/2)), slope*delta
			if size <= delta {
				losses[i], slope = d*d/2, d
			}
		}
		if d != d { // of what is no number there is no slope
			losses[i], slope = d, d
		}
		y.Row(i)[0] = slope
	}
}
