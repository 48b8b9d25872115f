package neural

import (
	"math"
	"sync/atomic"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// Gradients are added as multiples of 1/gradScale, in int64: an exact sum of
// what a shard contributes up to half of that, in whatever order. What a shard
// adds to one weight must be below maxGrad; then maxShards of them cannot
// overflow. With AdamW's usual epsilon of 1e-8, of the mean over a batch, the
// rounding is far below what can move a weight; and most sums fit in 32 bits, which
// halves what ranks send each other. A linear model is the minimum itself, and is
// looked for in finer steps.
const (
	coarse = 1 << 24
	fine   = 1 << 30

	maxShards = 4095 // of a batch

	lossScale = 1 << 24 // likewise for the sum of a shard's losses
	maxLoss   = 1 << 26

	weightScale = 1 << 24 // and for that of what its rows weigh
)

// What follows the gradient in the vector of sums.
const (
	lossAt    = iota // of the rows
	weightAt         // of the rows
	rowsAt           // as a check
	badLossAt        // shards whose loss is no number or too large
	badPartAt        // and for each layer and embedding, shards whose gradient is; then for each rank its pace
)

// numSums is the length of the vector of sums: the last are of running statistics,
// the rows that have some and then those of all layers.
func (n network) numSums() int {
	all := n.runningAt()
	if n.numRunning > 0 {
		all += 1 + n.numRunning
	}
	return all
}

func (n network) runningAt() int { return n.numParams + badPartAt + n.numParts() }

// executor computes shards, one after the other, and keeps the sums.
type executor struct {
	trainer   *trainer
	predictor *predictor
	sums      []int64   // the flat gradient, then as above
	scratch   []float32 // of one piece of the vector
	err       error
}

// shard adds the gradient of the rows that the trainer holds to the sums.
func (e *executor) shard(n *network) error {
	t := e.trainer
	if err := t.machine.RunAll(); err != nil {
		return err
	}
	rest := e.sums[n.numParams:]
	rest[weightAt] += fixedWeight(t.head.weight)
	rest[rowsAt] += int64(t.rows)
	if loss, ok := fixedLoss(t.head.loss); ok {
		rest[lossAt] += loss
	} else {
		rest[badLossAt]++
	}
	for i := range n.numParts() {
		if p := n.part(i); !kernels.AddFixed(e.sums[p.first:p.end], t.grad[p.first:p.end], n.gradScale()) {
			rest[badPartAt+i]++
		}
	}
	if n.numRunning > 0 {
		if bad, ok := e.addRunning(n, e.sums[n.runningAt():]); !ok {
			rest[badPartAt+bad]++
		}
	}
	return nil
}

// gradScale is into how many parts a gradient of 1 is divided.
func (n *network) gradScale() float64 {
	if n.fine {
		return fine
	}
	return coarse
}

// maxGrad bounds what a shard may add to a weight's gradient.
func (n *network) maxGrad() int64 { return int64(kernels.MaxFixed / n.gradScale()) }

// fixedLoss returns a shard's loss in lossScale; false when it is no number or
// too large.
func fixedLoss(loss float64) (int64, bool) {
	if !(math.Abs(loss) < maxLoss) { // also true of NaN
		return 0, false
	}
	return int64(math.RoundToEven(loss * lossScale)), true
}

// fixedWeight returns what rows weigh in weightScale.
func fixedWeight(w float64) int64 { return int64(math.RoundToEven(w * weightScale)) }

// inverse returns what a sum over rows of this weight is multiplied by to make
// their mean: nothing is left of rows that weigh nothing.
func inverse(weight float64) float32 {
	if weight == 0 {
		return 0
	}
	return 1 / float32(weight)
}

// piece is how many floats of the flat vector are updated at a time: few enough
// to stay in cache from the first to the last thing that is done to them.
const piece = 1 << 13

// pieces deals out the vector in pieces.
type pieces struct {
	next atomic.Int64
	size int
}

func (p *pieces) take() (first, end int, ok bool) {
	first = int(p.next.Add(1)-1) * piece
	return first, min(first+piece, p.size), first < p.size
}
