package metrics

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// AUC is the area under the receiver operating characteristic: the probability
// that a positive row scores higher than a negative one, equal scores counting
// one half. Up to 1,048,576 distinct scores it is exact. Beyond, scores that
// differ only in their last k bits count as equal, with the least k for which no
// more than that many can be told apart, and Uncertainty says how far off the
// value may be. Which of the two it is, and all of the state, is a function of
// the multiset of rows, so it is the same for any split of them. Space is 24
// bytes a score, at most 24 MiB, and thrice that while rows are added. The zero
// value has seen no rows and is ready to use; it is not safe for concurrent use.
type AUC struct {
	ties   []tie // the first `sorted` of them ascending and distinct, the rest as they came
	sorted int
	shift  uint // k
	most   int  // of ties; 0: maxScores
}

// maxScores is how many scores are told apart. It is far more than the 4,096
// that are left of all float64 when k is maxScoreShift.
const (
	maxScores     = 1 << 20
	maxScoreShift = 51
	leftScores    = 4096
)

// tie is the rows of one score, which is never -0, or of those that count as
// equal to it, of which it is the least.
type tie struct {
	score    float64
	pos, neg uint64
}

func (a *AUC) limit() int {
	if a.most > 0 {
		return a.most
	}
	return maxScores
}

// least returns the least of the scores that count as equal to one. Finite
// scores stay finite, and the order stays.
func (a *AUC) least(score float64) float64 {
	b := math.Float64bits(score)
	mask := uint64(1)<<a.shift - 1
	if b>>63 != 0 { // the least of negative scores is the largest in size
		return math.Float64frombits(b | mask)
	}
	return math.Float64frombits(b &^ mask)
}

// coarsen lets more scores count as equal until there are few enough of them,
// and no fewer than a k of least asks for. Some of the rows have no more scores
// than all, so k never overshoots that of all rows. The ties must be sorted.
func (a *AUC) coarsen(least uint) {
	for a.shift < least || len(a.ties) > a.limit() && a.shift < maxScoreShift {
		a.shift = max(a.shift+1, least)
		a.ties = a.joined(a.ties, a.ties[:0])
	}
	a.sorted = len(a.ties)
}

// joined appends ties, ascending, to those of into, which may be of the same
// memory; those that count as equal become one.
func (a *AUC) joined(ties, into []tie) []tie {
	for _, t := range ties {
		t.score = a.least(t.score)
		if n := len(into); n > 0 && into[n-1].score == t.score {
			into[n-1].pos += t.pos
			into[n-1].neg += t.neg
		} else {
			into = append(into, t)
		}
	}
	return into
}

// Uncertainty returns how far Value may be from the exact area at most: half of
// the pairs of rows that could not be told apart although their scores may
// differ, as a share of all pairs. It is 0 up to 1,048,576 distinct scores, and
// when there are no pairs.
func (a *AUC) Uncertainty() float64 {
	a.compact()
	if a.shift == 0 {
		return 0
	}
	var unclear, pos, neg float64
	for _, t := range a.ties {
		unclear += float64(float64(t.pos) * float64(t.neg))
		pos += float64(t.pos)
		neg += float64(t.neg)
	}
	if pos == 0 || neg == 0 {
		return 0
	}
	return unclear / 2 / (pos * neg)
}

// Observe adds rows: scores of shape (rows,), any finite numbers of which more
// means more likely positive, and whether each row is positive. On an error
// nothing is added: Invalid for lengths that differ and for NaN or infinite
// scores.
func (a *AUC) Observe(scores []float64, positive []bool) error {
	const op = "auc"
	if len(scores) != len(positive) {
		return fault.New(fault.Invalid, "%s: %d scores for %d labels", op, len(scores), len(positive))
	}
	if err := finite(op, "score", scores); err != nil {
		return err
	}
	for i, s := range scores {
		a.add(s, positive[i], 1)
	}
	return nil
}

// add adds so many rows of one score and class.
func (a *AUC) add(score float64, positive bool, numRows uint64) {
	t := tie{score: a.least(score + 0), neg: numRows} // -0 equals 0 and must not encode differently
	if positive {
		t.pos, t.neg = numRows, 0
	}
	a.ties = append(a.ties, t)
	if len(a.ties) > 2*a.sorted+4096 {
		a.compact() // so that the space is a function of the distinct scores
	}
}

// compact sorts the ties and joins those of equal score.
func (a *AUC) compact() {
	if a.sorted == len(a.ties) {
		return
	}
	slices.SortFunc(a.ties, func(x, y tie) int { return cmp.Compare(x.score, y.score) })
	kept := a.ties[:1]
	for _, t := range a.ties[1:] {
		if last := &kept[len(kept)-1]; last.score == t.score {
			last.pos += t.pos
			last.neg += t.neg
		} else {
			kept = append(kept, t)
		}
	}
	a.ties = kept
	a.coarsen(0)
}

// Merge adds the rows that o has seen to a. It takes time in proportion to the
// distinct scores of both, if o has been measured, encoded or decoded before.
func (a *AUC) Merge(o *AUC) {
	a.compact()
	a.coarsen(o.shift)
	if o.sorted < len(o.ties) {
		a.ties = append(a.ties, a.joined(o.ties, nil)...)
		a.compact()
		return
	}
	x, y := a.ties, o.ties
	if o.shift < a.shift {
		y = a.joined(y, nil)
	}
	merged := make([]tie, 0, len(x)+len(y))
	for len(x) > 0 && len(y) > 0 {
		switch {
		case x[0].score < y[0].score:
			merged, x = append(merged, x[0]), x[1:]
		case x[0].score > y[0].score:
			merged, y = append(merged, y[0]), y[1:]
		default:
			merged = append(merged, tie{x[0].score, x[0].pos + y[0].pos, x[0].neg + y[0].neg})
			x, y = x[1:], y[1:]
		}
	}
	a.ties = append(append(merged, x...), y...)
	a.coarsen(0)
}

// Value returns the area, the float64 nearest to the exact quotient. The error
// is of kind Invalid when there are no rows of one of the classes: the area is
// not defined then.
//
// Source: Hanley and McNeil, Radiology 143, 1982 (the area is the Mann-Whitney
// statistic over the number of pairs); ties by midranks.
func (a *AUC) Value() (float64, error) {
	a.compact()
	// high and low count half pairs, so that a tie is a whole number: at most
	// 2*maxRows*maxRows of them, below 2^113.
	var high, low, pos, neg uint64
	for _, t := range a.ties {
		h, l := bits.Mul64(t.pos, 2*neg+t.neg)
		var carry uint64
		low, carry = bits.Add64(low, l, 0)
		high, _ = bits.Add64(high, h, carry)
		pos += t.pos
		neg += t.neg
	}
	if pos == 0 || neg == 0 {
		return 0, fault.New(fault.Invalid,
			"auc: not defined: %d positive and %d negative rows, at least one of each is needed", pos, neg)
	}
	big64 := func(v uint64) *big.Int { return new(big.Int).SetUint64(v) }
	won := new(big.Int).Lsh(big64(high), 64)
	won.Add(won, big64(low))
	pairs := new(big.Int).Mul(big64(pos), big64(2*neg))
	v, _ := new(big.Rat).SetFrac(won, pairs).Float64()
	return v, nil
}

func (a *AUC) append(b []byte) []byte {
	a.compact()
	b = append(b, byte(a.shift))
	b = binary.AppendUvarint(b, uint64(len(a.ties)))
	for _, t := range a.ties {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(t.score))
		b = binary.AppendUvarint(b, t.pos)
		b = binary.AppendUvarint(b, t.neg)
	}
	return b
}

// leastTie is the fewest bytes that a tie is encoded in.
const leastTie = 8 + 1 + 1

// numRows returns how many rows the area has seen.
func (a *AUC) numRows() (n uint64) {
	for _, t := range a.ties {
		n += t.pos + t.neg
	}
	return n
}

// auc reads an area that tells so many scores apart, 0 for as many as usual.
func (r *reader) auc(most int) AUC {
	a := AUC{most: most}
	last, numRows := math.Inf(-1), int64(0)
	a.shift = uint(r.Byte())
	n := r.count()
	if a.shift > maxScoreShift || n > int64(max(a.limit(), leftScores)) {
		r.Fail("%d scores, the last %d bits left out", n, a.shift)
	}
	a.ties = make([]tie, 0, min(n, int64(r.Len()/leastTie)))
	for ; n > 0 && r.Err() == nil; n-- {
		s, pos, neg := r.Float(), r.count(), r.count()
		if r.Err() == nil && (!(s > last) || math.IsInf(s, 1) || a.least(s) != s || pos|neg == 0 || pos > maxRows || neg > maxRows) {
			r.Fail("scores are not ascending or their counts are out of range")
		}
		if numRows += pos + neg; numRows > maxRows {
			r.Fail("more than %d rows", int64(maxRows))
		}
		last = s
		a.ties = append(a.ties, tie{score: s, pos: uint64(pos), neg: uint64(neg)})
	}
	a.sorted = len(a.ties)
	return a
}
