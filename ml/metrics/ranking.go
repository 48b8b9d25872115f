package metrics

import (
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// AveragePrecision returns the mean of the precision at the score of every
// positive row, those of equal scores taken together: the sum over the scores s,
// from the highest, of (R(s) - R(before s)) P(s), with precision P and recall R
// of calling all rows positive that score at least s. Nothing is interpolated.
// It is a function of the multiset of rows as Value is, each term rounded once
// and their sum once. The error is of kind Invalid when there are no positive
// rows.
//
// Source: Zhu, Recall, Precision and Average Precision, 2004, section 3; ties as
// scikit-learn's average_precision_score has them.
func (a *AUC) AveragePrecision() (float64, error) {
	a.compact()
	var sum sketch.Sum
	var pos, rows uint64
	for i := len(a.ties) - 1; i >= 0; i-- {
		t := a.ties[i]
		pos += t.pos
		rows += t.pos + t.neg
		if t.pos > 0 {
			sum.AddProduct(float64(t.pos), float64(pos)/float64(rows))
		}
	}
	if pos == 0 {
		return 0, fault.New(fault.Invalid, "average_precision: not defined: none of the %d rows is positive", rows)
	}
	return sum.Value() / float64(pos), nil
}

// median returns the median of the scores, whatever their class: the mean of the
// two in the middle when their number is even. ok is false when there are none.
func (a *AUC) median() (v float64, ok bool) {
	a.compact()
	n := a.numRows()
	if n == 0 {
		return 0, false
	}
	return (a.ranked((n-1)/2) + a.ranked(n/2)) / 2, true
}

// ranked returns the score of a rank, from 0 for the least.
func (a *AUC) ranked(rank uint64) float64 {
	var below uint64
	for _, t := range a.ties {
		if below += t.pos + t.neg; rank < below {
			return t.score
		}
	}
	return 0
}
