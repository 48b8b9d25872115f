package window_test

import (
	"math"
	"math/big"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/window"
)

// dumb computes one row at a time from the definitions, for columns of numbers:
// NaN in and out for null, save that lag and diff are told which are there.
type dumb struct {
	config window.Config
	values []float64 // of one entity
	valid  []bool
	times  []int64
}

// window returns the first row of a row's window, and the row after its last.
func (d dumb) window(row int) (lo, hi int) {
	hi = row
	if d.config.IncludeCurrent {
		hi++
	}
	if d.config.Rows > 0 {
		return max(0, hi-d.config.Rows), hi
	}
	for lo = 0; lo < row && d.times[lo] <= d.times[row]-d.config.Span; lo++ {
	}
	return lo, hi
}

// border returns the row of a window before which it is added backwards.
func (d dumb) border(row, lo, hi int) int {
	switch {
	case d.config.Rows > 64:
		return max(lo, row/d.config.Rows*d.config.Rows)
	case d.config.Rows > 0:
		return lo
	}
	begin := math.Floor(float64(d.times[row])/float64(d.config.Span)) * float64(d.config.Span)
	for lo < hi && float64(d.times[lo]) < begin {
		lo++
	}
	return lo
}

// row returns the output of one row, and whether it is not null.
func (d dumb) row(row int) (float64, bool) {
	c := d.config
	if c.Op == window.Lag || c.Op == window.Diff {
		other := row - c.N
		if other < 0 || !d.valid[other] || c.Op == window.Diff && !d.valid[row] {
			return 0, false
		}
		if c.Op == window.Lag {
			return d.values[other], true
		}
		return d.values[row] - d.values[other], true
	}
	lo, hi := d.window(row)
	var there []float64
	for i := lo; i < hi; i++ {
		if d.valid[i] && !math.IsNaN(d.values[i]) {
			there = append(there, d.values[i])
		}
	}
	n := float64(len(there))
	least := max(1, c.MinPeriods)
	if c.Op == window.RollingStd {
		least = max(2, least)
	}
	switch c.Op {
	case window.RollingCount:
		return n, true
	case window.RollingCountDistinct:
		slices.Sort(there)
		return float64(len(slices.Compact(there))), true
	}
	if len(there) < least {
		return 0, false
	}
	switch c.Op {
	case window.RollingFirst:
		return there[0], true
	case window.RollingLast:
		return there[len(there)-1], true
	case window.RollingSum:
		return d.sum(row, lo, hi), true
	case window.RollingMean:
		return d.sum(row, lo, hi) / n, true
	case window.RollingMin, window.RollingMax:
		best := there[0]
		for _, v := range there {
			if v < best && c.Op == window.RollingMin || v > best && c.Op == window.RollingMax {
				best = v
			}
		}
		return best + 0, true
	}
	return exactDeviation(there), true
}

// sum adds as the documentation has it: the end of one block backwards, the
// beginning of the next forwards.
func (d dumb) sum(row, lo, hi int) float64 {
	border := d.border(row, lo, hi)
	before, after := 0.0, 0.0
	for i := border - 1; i >= lo; i-- {
		if d.valid[i] && !math.IsNaN(d.values[i]) {
			before += d.values[i]
		}
	}
	for i := border; i < hi; i++ {
		if d.valid[i] && !math.IsNaN(d.values[i]) {
			after += d.values[i]
		}
	}
	return before + after
}

// exactDeviation computes with 600 bits.
func exactDeviation(values []float64) float64 {
	for _, v := range values {
		if math.IsInf(v, 0) {
			return math.NaN()
		}
	}
	f := func(v float64) *big.Float { return new(big.Float).SetPrec(600).SetFloat64(v) }
	sum, squares, n := f(0), f(0), f(float64(len(values)))
	for _, v := range values {
		sum.Add(sum, f(v))
	}
	mean := f(0).Quo(sum, n)
	for _, v := range values {
		d := f(0).Sub(f(v), mean)
		squares.Add(squares, d.Mul(d, d))
	}
	out, _ := f(0).Sqrt(squares.Quo(squares, f(float64(len(values)-1)))).Float64()
	return out
}

// table is the rows of some entities, one after the other.
type table struct {
	column *data.Column
	times  []int64
	starts data.Bitmap
}

func (t table) numRows() int { return t.column.Len() }

// slice copies rows, of a column that shares nothing with the table's.
func (t table) slice(from, to int) table {
	keep := data.NewBitmap(t.numRows())
	starts := data.NewBitmap(to - from)
	for i := from; i < to; i++ {
		keep.Set(i)
		if t.starts.Get(i) {
			starts.Set(i - from)
		}
	}
	schema := data.Schema{Fields: []data.Field{{Name: "x", Type: t.column.Type, Nullable: true}}}
	b := &data.Batch{Schema: schema, Columns: []*data.Column{t.column}, NumRows: t.numRows()}
	return table{column: b.Keep(keep).Columns[0], times: slices.Clone(t.times[from:to]), starts: starts}
}

// spoil changes all that can be changed.
func (t table) spoil() {
	for i := range t.times {
		t.times[i] = -9
		t.starts.Set(i)
		setNumber(t.column, i, 77)
	}
	for i := range t.column.Dict {
		t.column.Dict[i] = "gone"
	}
	for i := range t.column.Valid {
		t.column.Valid[i] = 0x123456789
	}
}

// each calls visit with the rows of each entity.
func (t table) each(visit func(from, to int)) {
	for from := 0; from < t.numRows(); {
		to := from + 1
		for to < t.numRows() && !t.starts.Get(to) {
			to++
		}
		visit(from, to)
		from = to
	}
}

// number reads a row of a column of numbers, NaN for null.
func number(c *data.Column, row int) float64 {
	if !c.Valid.Get(row) {
		return math.NaN()
	}
	switch c.Type {
	case data.Bool:
		if c.Bools[row] {
			return 1
		}
		return 0
	case data.Int32, data.Date:
		return float64(c.Int32s[row])
	case data.Int64, data.Timestamp:
		return float64(c.Int64s[row])
	case data.Float32:
		return float64(c.Float32s[row])
	case data.Float64:
		return c.Float64s[row]
	}
	return 0
}
