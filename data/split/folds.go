package split

import (
	"math/bits"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
)

// MaxFolds is the most folds that rows are dealt out to.
const MaxFolds = 1000

// fold turns a draw into one of so many folds, each as likely.
func fold(draw uint64, numFolds int) uint16 {
	high, _ := bits.Mul64(draw, uint64(numFolds))
	return uint16(high)
}

// FoldsByRow sets the fold of each row, from 0 to numFolds-1, from the seed and
// the row's number in the table alone. The draws are others than those of
// ByRandom with the same seed, so that the folds of training rows are of one size.
func FoldsByRow(seed uint64, numFolds int, numbers []int64, folds []uint16) {
	m := rng.NewMixer(seed, foldsByRow)
	folds = folds[:len(numbers)]
	for i, n := range numbers {
		folds[i] = fold(m.Mix(uint64(n)), numFolds)
	}
}

// FoldsByValue sets the fold of each row, from 0 to numFolds-1, from the seed and
// the row's value in c, as ByHash does: rows of one value share a fold, and null
// is a value.
func FoldsByValue(seed uint64, numFolds int, c *data.Column, folds []uint16) error {
	if err := checkRows(c, len(folds)); err != nil {
		return err
	}
	m := rng.NewMixer(seed, foldsByValue)
	null := fold(rng.Mix(seed, foldsByValue, 0, 0), numFolds)
	dealValues(c, folds, func(v uint64) uint16 { return fold(m.Mix(v), numFolds) }, null)
	return nil
}

// FoldsByTime sets the fold of each row from its time in c, which is a timestamp,
// a date or an integer, and from the times at which all folds but the first
// begin, ascending: 0 for rows before the first of these. The fold of a null is
// none.
func FoldsByTime(c *data.Column, begins []int64, none uint16, folds []uint16) error {
	if err := checkTimeType(c); err != nil {
		return err
	}
	if err := checkRows(c, len(folds)); err != nil {
		return err
	}
	eachInt(c, func(i int, v int64) {
		at, found := slices.BinarySearch(begins, v)
		if found {
			at++
		}
		folds[i] = uint16(at)
	})
	if c.Valid != nil {
		for i := range folds {
			if !c.Valid.Get(i) {
				folds[i] = none
			}
		}
	}
	return nil
}

// Begins returns the times at which all but the first of numFolds parts begin,
// which have as nearly as can be the same number of rows: equal times stay
// together. There are fewer parts when there are not enough distinct times, and
// none begins where there are no rows.
func (t *Times) Begins(numFolds int) []int64 {
	t.flush()
	var begins []int64
	if t.numRows == 0 {
		return nil
	}
	for k := 1; k < numFolds; k++ {
		at, before := t.boundary(float64(k) / float64(numFolds))
		if before == 0 || before == t.numRows || len(begins) > 0 && begins[len(begins)-1] == at {
			continue
		}
		begins = append(begins, at)
	}
	return begins
}
