package split

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// maxTimes is how many distinct times are counted each by itself.
const maxTimes = 1 << 18

// Times is how many rows of a table have which time. Up to 262,144 distinct times
// it is exact; beyond, times are counted in cells, each 2^k of the column's units
// long, with the least k for which there are no more cells than that. Which of
// the two it is, and all of its state, is a function of the multiset of times, so
// the shards' merged times, and every cut made of them, are the table's. A cut
// then lies between two cells: where times are spread evenly, within four
// millionths of the rows of where it was asked for.
//
// Space is 16 bytes a time or cell, at most 4 MiB, and thrice that while rows are
// added. The zero value has seen no rows; it is not safe for concurrent use.
type Times struct {
	values  []int64 // times, or first times of cells; ascending, distinct
	counts  []int64 // of the same length, each positive
	numRows int64   // the sum of counts
	shift   uint    // k
	pending []int64 // observed, and not yet in the above
	most    int     // of values; 0: maxTimes
}

func (t *Times) limit() int {
	if t.most > 0 {
		return t.most
	}
	return maxTimes
}

// cell returns the first time of the cell that holds a time.
func (t *Times) cell(v int64) int64 { return v >> t.shift << t.shift }

// coarsen makes cells longer until there are few enough of them, of a shift of
// least or more. Of some of the rows there are no more cells than of all, so the
// shift never overshoots that of all rows.
func (t *Times) coarsen(least uint) {
	if t.shift < least {
		t.lengthen(least)
	}
	for len(t.values) > t.limit() {
		t.lengthen(t.shift + 1)
	}
}

func (t *Times) lengthen(shift uint) {
	t.shift = shift
	t.values, t.counts = t.celled(t.values, t.counts)
}

// celled counts times, ascending, in cells; the result is new memory.
func (t *Times) celled(values, counts []int64) (cells, sums []int64) {
	for i, v := range values {
		v = t.cell(v)
		if n := len(cells); n > 0 && cells[n-1] == v {
			sums[n-1] += counts[i]
		} else {
			cells, sums = append(cells, v), append(sums, counts[i])
		}
	}
	return cells, sums
}

// NumRows returns how many rows have been seen.
func (t *Times) NumRows() int64 { return t.numRows + int64(len(t.pending)) }

// Observe adds the rows of c, a timestamp, date or integer column. A null is
// fault.Invalid, and leaves t as it was.
func (t *Times) Observe(c *data.Column) error {
	if err := checkTimes(c); err != nil {
		return err
	}
	eachInt(c, func(_ int, v int64) {
		if t.pending = append(t.pending, v); len(t.pending) >= max(1<<16, len(t.values)) {
			t.flush()
		}
	})
	return nil
}

// flush brings what was set aside into order.
func (t *Times) flush() {
	if len(t.pending) == 0 {
		return
	}
	if !slices.IsSorted(t.pending) {
		slices.Sort(t.pending)
	}
	var values, counts []int64
	for i := 0; i < len(t.pending); {
		end, cell := i+1, t.cell(t.pending[i])
		for end < len(t.pending) && t.cell(t.pending[end]) == cell {
			end++
		}
		values, counts = append(values, cell), append(counts, int64(end-i))
		i = end
	}
	t.insert(values, counts)
	t.pending = t.pending[:0]
}

// Merge adds the rows that o has seen.
func (t *Times) Merge(o *Times) {
	t.flush()
	o.flush()
	if o.shift >= t.shift {
		t.coarsen(o.shift)
	}
	values, counts := o.values, o.counts
	if o.shift < t.shift {
		values, counts = t.celled(values, counts)
	}
	t.insert(values, counts)
}

// insert merges values, ascending and distinct, into those there are.
func (t *Times) insert(values, counts []int64) {
	for _, n := range counts {
		t.numRows += n
	}
	if n := len(t.values); n == 0 || len(values) > 0 && values[0] > t.values[n-1] { // tables are often in order of time
		t.values, t.counts = append(t.values, values...), append(t.counts, counts...)
		t.coarsen(0)
		return
	}
	merged := make([]int64, 0, len(t.values)+len(values))
	sums := make([]int64, 0, cap(merged))
	for i, j := 0, 0; i < len(t.values) || j < len(values); {
		switch {
		case j == len(values) || i < len(t.values) && t.values[i] < values[j]:
			merged, sums = append(merged, t.values[i]), append(sums, t.counts[i])
			i++
		case i == len(t.values) || values[j] < t.values[i]:
			merged, sums = append(merged, values[j]), append(sums, counts[j])
			j++
		default:
			merged, sums = append(merged, values[j]), append(sums, t.counts[i]+counts[j])
			i, j = i+1, j+1
		}
	}
	t.values, t.counts = merged, sums
	t.coarsen(0)
}

// Cut returns where to divide the rows by time so that the newest are test
// rows, those before them validation rows, in numbers as near to the given
// shares as equal times, which stay together, allow. It is fault.Invalid when
// there are no rows, or when a part would be left without any although its
// share is not 0. It panics when the shares are negative or make more than 1.
func (t *Times) Cut(validation, test float64) (Cut, error) {
	newDrawer(validation, test) // checks the shares
	t.flush()
	if t.numRows == 0 {
		return Cut{}, fault.New(fault.Invalid, "split by time: there are no rows")
	}
	cut := Cut{}
	var numTrain, numOlder int64
	cut.Test, numOlder = t.boundary(1 - test)
	if validation == 0 {
		cut.Validation, numTrain = cut.Test, numOlder
	} else {
		cut.Validation, numTrain = t.boundary(1 - test - validation)
	}
	for _, part := range []struct {
		part  Part
		rows  int64
		share float64
	}{{Train, numTrain, 1 - test - validation}, {Validation, numOlder - numTrain, validation}, {Test, t.numRows - numOlder, test}} {
		if part.rows == 0 && part.share > 1e-9 {
			return Cut{}, fault.New(fault.Invalid, "split by time: no %v rows: %d rows with %d distinct times cannot be divided so; use other shares or split by something else",
				part.part, t.numRows, len(t.values))
		}
	}
	return cut, nil
}

// boundary returns the time before which the number of rows is as near to the
// share as can be, the earlier of two that are equally near, and that number.
func (t *Times) boundary(share float64) (at, numBefore int64) {
	want := float64(float64(t.numRows) * share)
	at, best := t.values[0], int64(0)
	before := int64(0)
	for i, n := range t.counts {
		before += n
		if math.Abs(float64(before)-want) < math.Abs(float64(best)-want) {
			best = before
			at = t.after(i)
		}
	}
	return at, best
}

// after is the first time that is after values[i], or after its cell.
func (t *Times) after(i int) int64 {
	if i+1 < len(t.values) {
		return t.values[i+1]
	}
	if length := int64(1) << t.shift; t.values[i] <= math.MaxInt64-length {
		return t.values[i] + length
	}
	return math.MaxInt64
}

// maxShift is the most that k can be: there are four cells then.
const maxShift = 62

// timesVersion is the first byte of the encoding.
const timesVersion = 2

// MarshalBinary encodes t: a version, k, the number of distinct times or cells,
// then for each the difference to the one before and its count, as varints. Equal
// multisets have equal bytes.
func (t *Times) MarshalBinary() ([]byte, error) {
	t.flush()
	b := make([]byte, 0, 16+6*len(t.values))
	b = append(b, timesVersion, byte(t.shift))
	b = binary.AppendUvarint(b, uint64(len(t.values)))
	last := int64(0)
	for i, v := range t.values {
		b = binary.AppendVarint(b, v-last) // wraps around, and back when decoded
		b = binary.AppendUvarint(b, uint64(t.counts[i]))
		last = v
	}
	return b, nil
}

// UnmarshalBinary replaces t by what MarshalBinary has encoded. Anything else
// is fault.Corrupt.
func (t *Times) UnmarshalBinary(b []byte) error {
	if len(b) < 2 || b[0] != timesVersion {
		return fault.New(fault.Corrupt, "split: times: unknown version")
	}
	shift := uint(b[1])
	count, n := binary.Uvarint(b[2:])
	if n <= 0 || count > uint64(len(b)) || count > uint64(t.limit()) || shift > maxShift { // each takes two bytes or more
		return fault.New(fault.Corrupt, "split: times: malformed length")
	}
	b = b[2+n:]
	out := Times{shift: shift, most: t.most, values: make([]int64, count), counts: make([]int64, count)}
	last := int64(0)
	for i := range out.values {
		d, n := binary.Varint(b)
		if n <= 0 {
			return fault.New(fault.Corrupt, "split: times: cut short")
		}
		b = b[n:]
		rows, n := binary.Uvarint(b)
		if n <= 0 || rows == 0 || rows > uint64(math.MaxInt64-out.numRows) {
			return fault.New(fault.Corrupt, "split: times: malformed count")
		}
		b = b[n:]
		v := last + d
		if i > 0 && v <= last || out.cell(v) != v {
			return fault.New(fault.Corrupt, "split: times: out of order")
		}
		out.values[i], out.counts[i], last = v, int64(rows), v
		out.numRows += int64(rows)
	}
	if len(b) > 0 {
		return fault.New(fault.Corrupt, "split: times: %d bytes too many", len(b))
	}
	*t = out
	return nil
}
