package run

import (
	"fmt"
	"slices"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// rival is the linear model that a network is compared with. It reads the same
// prepared rows, but for codes of embeddings, which are no numbers; of many rows it
// learns from some, so that it takes a small part of the network's time.
type rival struct {
	model   models.Model
	keep    []int   // the features that it reads; nil: all
	numRows int     // that it has learned from
	shift   float32 // what is added to its predictions, where a quantile is wanted
	x       []float32
}

// Of a rival's fit: how far it goes, and how much it may cost.
const (
	rivalIterations = 30
	rivalTolerance  = 1e-4
	rivalL2         = 1
	rivalShare      = 20      // its part of the time of so many epochs, at most:
	rivalEpochs     = 5       // early stopping may come as soon
	leastRivalRows  = 1 << 11 // of fewer it learns from all
	mostRivalRows   = 1 << 16
	mostRivalFloats = 1 << 24
	blockOfRival    = 4096
	rowCost         = 250 // of a row by itself, in weights that it passes
)

// challenge fits the rival where a rank has none yet: a task that goes on from
// another's state may not have been there when it was fitted. All ranks of a
// generation call it.
func (w *work) challenge(comm collective.Comm, seat *seat) error {
	mine := []int64{0}
	if seat.challenged {
		mine[0] = 1
	}
	if err := comm.AllReduce(w.ctx, mine); err != nil || mine[0] == int64(comm.WorldSize()) {
		return err
	}
	var err error
	if seat.rival, err = w.fitRival(comm, seat); err != nil {
		return fmt.Errorf("linear baseline: %w", err)
	}
	seat.challenged = true
	return nil
}

// fitRival returns the linear model; nil when there is none to compare with: the
// model is linear itself, has only embeddings, is measured on no rows, or its rows
// are such that no linear model can be fitted.
func (w *work) fitRival(comm collective.Comm, seat *seat) (*rival, error) {
	t, p := w.spec.Train, &seat.prepared
	train := seat.tables.parts[split.Train]
	measured := 0
	for _, part := range measuredParts {
		measured += seat.tables.parts[part].NumRows
	}
	if t.Model.Type == spec.Linear || measured == 0 {
		return nil, nil //nolint:nilnil // nothing to compare with is no error
	}
	r := &rival{}
	if codes := p.Encoder.Codes(); len(codes) > 0 {
		r.keep = make([]int, 0, train.NumFeatures)
		for i := range train.NumFeatures {
			if !slices.ContainsFunc(codes, func(c features.Code) bool { return c.Feature == i }) {
				r.keep = append(r.keep, i)
			}
		}
		if len(r.keep) == 0 {
			return nil, nil //nolint:nilnil // likewise
		}
	}
	problem := problemOf(t, p)
	r.numRows = rivalRows(t, train, problem.NumOutputs())
	some, err := r.sample(train, t.Seed)
	if err != nil {
		return nil, err
	}
	l, err := neural.NewLinear(neural.LinearConfig{L2: rivalL2, Iterations: rivalIterations, Tolerance: rivalTolerance}, problem)
	if err != nil {
		return nil, err
	}
	r.model, err = l.Fit(w.ctx, comm, some, models.Table{NumFeatures: some.NumFeatures}, models.Options{
		Threads: w.threads(), Epoch: func(e models.Epoch) { w.report.Progress(0, 0, fmt.Sprintf("linear baseline, loss %.4g", e.Loss)) },
	})
	if fault.Of(err) == fault.Invalid { // on all ranks alike: extreme values, or weights of 0
		return nil, nil //nolint:nilnil // likewise
	}
	if q, ok := quantileOf(rowLossOf(t)); ok && err == nil {
		err = r.moveTo(q, some)
	}
	return r, err
}

// moveTo moves the predictions so that they are above so large a share of the rows
// that the rival has learned from.
func (r *rival) moveTo(q float64, some models.Table) error {
	out := make([]float32, some.NumRows)
	left := models.Table{NumRows: some.NumRows, Weighted: some.Weighted, Y: make([]float32, some.NumRows), W: make([]float32, some.NumRows)}
	room := some.Room(blockOfRival)
	for first := 0; first < some.NumRows; first += blockOfRival {
		n := min(blockOfRival, some.NumRows-first)
		b, err := some.Block(first, n, room)
		if err != nil {
			return err
		}
		if err := r.model.Predict(b.X, n, out[first:first+n]); err != nil {
			return err
		}
		for i, y := range b.Y {
			left.Y[first+i] = y - out[first+i]
		}
		copy(left.W[first:], b.W)
	}
	v, err := targetQuantile(left, q)
	r.shift = float32(v)
	return err
}

// rivalRows returns from how many rows a rival learns: as many as make its fit take
// a small part of the time of training, by the weights that a row passes.
func rivalRows(t *spec.Train, train models.Table, outputs int) int {
	width, network := train.NumFeatures, 0
	for _, next := range append(slices.Clone(t.Model.Hidden), outputs) {
		network += width * next
		width = next
	}
	linear := train.NumFeatures * outputs
	passes := float64(train.NumRows) * float64(min(t.Epochs, rivalEpochs)) / rivalShare * float64(network+rowCost) / float64(linear+rowCost)
	most := min(mostRivalRows, mostRivalFloats/train.NumFeatures)
	return min(train.NumRows, max(leastRivalRows, min(most, int(passes/rivalIterations))))
}

// sample returns the rows that the rival learns from: all, or one of each of as many
// runs of the same length.
func (r *rival) sample(train models.Table, seed uint64) (models.Table, error) {
	if r.keep == nil && r.numRows == train.NumRows {
		return train, nil
	}
	out := models.Table{NumRows: r.numRows, NumFeatures: train.NumFeatures, Weighted: train.Weighted, Y: make([]float32, r.numRows)}
	if train.Weighted {
		out.W = make([]float32, r.numRows)
	}
	if r.keep != nil {
		out.NumFeatures = len(r.keep)
	}
	out.X = make([]float32, 0, r.numRows*out.NumFeatures)
	row, random := make([]float32, train.NumFeatures), rng.New(seed, "rows of the linear baseline")
	for i := range r.numRows {
		first, end := i*train.NumRows/r.numRows, (i+1)*train.NumRows/r.numRows
		w := out.W
		if train.Weighted {
			w = w[i : i+1]
		}
		if err := train.Copy(first+random.IntN(end-first), row, out.Y[i:i+1], w); err != nil {
			return out, err
		}
		out.X = r.kept(out.X, row)
	}
	return out, nil
}

// kept appends those of a row's features that the rival reads.
func (r *rival) kept(to, row []float32) []float32 {
	if r.keep == nil {
		return append(to, row...)
	}
	for _, i := range r.keep {
		to = append(to, row[i])
	}
	return to
}

// predict predicts rows of all features.
func (r *rival) predict(x []float32, numRows int, out []float32) error {
	if r.keep != nil {
		r.x = r.x[:0]
		for width := len(x) / max(numRows, 1); len(x) > 0; x = x[width:] {
			r.x = r.kept(r.x, x[:width])
		}
		x = r.x
	}
	if err := r.model.Predict(x, numRows, out); err != nil || r.shift == 0 {
		return err
	}
	for i := range out {
		out[i] += r.shift
	}
	return nil
}
