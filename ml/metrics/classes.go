package metrics

import (
	"encoding/binary"

	"github.com/troupe-ml/troupe/internal/fault"
)

// MaxClasses bounds the classes of a task: a confusion matrix has their square.
const MaxClasses = 1024

// Confusion counts rows by true and predicted class. It is not safe for
// concurrent use.
type Confusion struct {
	numClasses int
	counts     []int64 // (classes, classes), row-major: true class, predicted class
}

// NewConfusion returns the counts of no rows over classes 0..numClasses-1. The
// error is of kind Invalid when numClasses is not in 1..MaxClasses.
func NewConfusion(numClasses int) (*Confusion, error) {
	if numClasses < 1 || numClasses > MaxClasses {
		return nil, fault.New(fault.Invalid, "metrics: %d classes, expected 1 to %d", numClasses, MaxClasses)
	}
	return &Confusion{numClasses: numClasses, counts: make([]int64, numClasses*numClasses)}, nil
}

// Observe adds rows: the true and the predicted class of each. On an error
// (Invalid: lengths that differ, a class out of range) nothing is added.
func (c *Confusion) Observe(truth, predicted []int) error {
	if len(truth) != len(predicted) {
		return fault.New(fault.Invalid, "confusion: %d labels for %d predictions", len(truth), len(predicted))
	}
	for i := range truth {
		if err := c.check(i, truth[i]); err != nil {
			return err
		}
		if err := c.check(i, predicted[i]); err != nil {
			return err
		}
	}
	for i := range truth {
		c.add(truth[i], predicted[i], 1)
	}
	return nil
}

func (c *Confusion) check(row, class int) error {
	if class < 0 || class >= c.numClasses {
		return fault.New(fault.Invalid, "confusion: class %d in row %d, expected 0 to %d", class, row, c.numClasses-1)
	}
	return nil
}

func (c *Confusion) add(truth, predicted int, numRows int64) {
	c.counts[truth*c.numClasses+predicted] += numRows
}

// Merge adds the rows that o has seen. The error is of kind Invalid when o has
// another number of classes; c is left as it was.
func (c *Confusion) Merge(o *Confusion) error {
	if o.numClasses != c.numClasses {
		return fault.New(fault.Invalid, "confusion: merge of %d and %d classes", c.numClasses, o.numClasses)
	}
	for i, n := range o.counts {
		c.counts[i] += n
	}
	return nil
}

// Count returns the rows of class truth that were predicted as class predicted.
func (c *Confusion) Count(truth, predicted int) int64 { return c.counts[truth*c.numClasses+predicted] }

// NumRows returns the number of rows seen.
func (c *Confusion) NumRows() int64 {
	var n int64
	for _, k := range c.counts {
		n += k
	}
	return n
}

// Accuracy returns the share of rows predicted right. The error is of kind
// Invalid when there are no rows.
func (c *Confusion) Accuracy() (float64, error) {
	n := c.NumRows()
	if n == 0 {
		return 0, noRows("accuracy")
	}
	var right int64
	for k := range c.numClasses {
		right += c.Count(k, k)
	}
	return float64(right) / float64(n), nil
}

// append writes the cells that are not zero, in order, each by the number of
// zero cells before it and its count.
func (c *Confusion) append(b []byte) []byte {
	used := 0
	for _, n := range c.counts {
		if n != 0 {
			used++
		}
	}
	b = binary.AppendUvarint(b, uint64(used))
	last := -1
	for i, n := range c.counts {
		if n != 0 {
			b = binary.AppendUvarint(b, uint64(i-last-1))
			b = binary.AppendUvarint(b, uint64(n))
			last = i
		}
	}
	return b
}

func (r *reader) confusion(numClasses int) *Confusion {
	c, err := NewConfusion(numClasses)
	if err != nil {
		r.Fail("%w", err)
		return nil
	}
	last, numRows := int64(-1), int64(0)
	for n := r.count(); n > 0 && r.Err() == nil; n-- {
		skip, rows := r.count(), r.count()
		if skip >= int64(len(c.counts))-last-1 || rows < 1 || rows > maxRows-numRows {
			r.Fail("a cell of the confusion matrix is out of range")
			return c
		}
		last += skip + 1
		numRows += rows
		c.counts[last] = rows
	}
	return c
}

func noRows(op string) error {
	return fault.New(fault.Invalid, "%s: not defined: no rows", op)
}
