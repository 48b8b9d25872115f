package neural

import (
	"math"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// Loss is how the rows of a classification count while training. Validation
// metrics know nothing of it. The zero value is the plain cross entropy.
type Loss struct {
	Balanced       bool      // classes weigh in inverse proportion to their training rows
	ClassWeights   []float64 // of each class, by number, 0 to MaxClassWeight; nil: all alike
	LabelSmoothing float64   // the share of each row that is spread over all classes alike, 0 to below 1
}

// MaxClassWeight is the most that a class may weigh.
const MaxClassWeight = 1e6

func (l Loss) plain() bool {
	return !l.Balanced && l.ClassWeights == nil && l.LabelSmoothing == 0
}

func (l Loss) validate(p models.Problem, must func(bool, string, ...any)) {
	must(l.plain() || p.Task != metrics.Regression, "class weights or label smoothing in a regression, expected a task with classes")
	must(!l.Balanced || l.ClassWeights == nil, "balanced classes and class weights, expected one of them")
	must(l.ClassWeights == nil || len(l.ClassWeights) == p.NumClasses, "%d class weights, expected one for each of %d classes", len(l.ClassWeights), p.NumClasses)
	for i, w := range l.ClassWeights {
		must(w >= 0 && w <= MaxClassWeight, "class %d weighs %v, expected 0 to %v", i, w, float64(MaxClassWeight))
	}
	must(l.LabelSmoothing >= 0 && l.LabelSmoothing < 1, "label smoothing %v, expected 0 to below 1", l.LabelSmoothing)
}

// objective is a Loss that is not plain, with the weights that its training rows
// lead to.
//
// Source: PyTorch, torch.nn.CrossEntropyLoss(weight, label_smoothing); of balanced
// weights: scikit-learn, compute_class_weight.
type objective struct {
	weights []float64 // of each class
	keep    float64   // 1 - smoothing
	spread  float64   // smoothing / number of classes
	sum     float64   // of weights
}

// newObjective returns the objective over the training rows; nil of a plain loss.
// As the loss is divided by what the rows weigh, weights count in proportion to
// each other; here a power of two, which rounds nothing, brings the mean of what
// a row weighs between 1/2 and 1, as sums in fixed point want it.
func newObjective(l Loss, numClasses int, train models.Table) (*objective, error) {
	if l.plain() {
		return nil, nil //nolint:nilnil // no objective is the plain loss
	}
	counts, err := countClasses(numClasses, train)
	if err != nil {
		return nil, err
	}
	o := &objective{weights: slices.Clone(l.ClassWeights), keep: 1 - l.LabelSmoothing, spread: l.LabelSmoothing / float64(numClasses)}
	if o.weights == nil {
		o.weights = slices.Repeat([]float64{1}, numClasses)
	}
	mean := 0.0
	for i, n := range counts {
		if l.Balanced && n > 0 { // a class without rows keeps 1
			o.weights[i] = float64(train.NumRows) / (float64(numClasses) * float64(n))
		}
		mean += float64(o.weights[i] * (float64(n) / float64(train.NumRows)))
	}
	if mean == 0 {
		return nil, fault.New(fault.Invalid, "neural: every class of the training rows weighs 0: give one of them a weight")
	}
	_, exponent := math.Frexp(mean)
	for i, w := range o.weights {
		o.weights[i] = math.Ldexp(w, -exponent)
		o.sum += o.weights[i]
	}
	return o, nil
}

// countClasses returns how many rows there are of each class.
func countClasses(numClasses int, t models.Table) ([]int64, error) {
	counts := make([]int64, numClasses)
	err := eachTarget(t, func(class float64) { counts[int(class)]++ })
	return counts, err
}

// crossEntropy does to logits z what kernels.CrossEntropy with a scale of 1 does,
// of this objective, and returns what the rows weigh together. With weights w of
// classes, K of them, smoothing e and the row's own class y, a row's loss is
//
//	(1-e) w[y] (-log p[y]) + e/K sum over c of w[c] (-log p[c])
//
// and it weighs w[y]. Products are rounded on their own, so that no compiler fuses
// them into the sums.
func (o *objective) crossEntropy(z kernels.Matrix, labels []int32, losses []float32, behind []float64) (weight float64) {
	for i, label := range labels {
		behind[i] = o.behind(z.Row(i), label)
	}
	kernels.CrossEntropy(z, labels, 1, losses)
	shift := float64(o.spread * o.sum)
	for i, label := range labels {
		own := o.weights[label]
		weight += own
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
	return weight
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
