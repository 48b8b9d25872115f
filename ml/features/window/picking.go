package window

import (
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// picking is rolling_first, rolling_last and rolling_count_distinct: they take
// values of any type, and only look which are there and which are equal.
type picking struct {
	config    Config
	minValues int
	ahead     int // 1 when the current row is in the window, else 0
	of, out   data.Type
	past      []cell  // the rows of the entity in progress that the next one needs
	times     []int64 // theirs, when the window is one of time
}

func newPicking(c Config, of, out data.Type) *picking {
	k := &picking{config: c, minValues: int(c.minValues()), of: of, out: out}
	if c.IncludeCurrent {
		k.ahead = 1
	}
	return k
}

// rows are those of a run, after those of earlier runs that its first entity has.
type rows struct {
	numPast int
	there   []bool
	times   []int64  // nil when the window is one of rows
	ids     []uint32 // of each value, the same for equal ones; nil unless they are told apart
	counts  []int32  // by id, how often it is in the window; all 0 between entities
}

func (k *picking) run(in *data.Column, times []int64, starts data.Bitmap) *data.Column {
	numRows := in.Len()
	if numRows == 0 {
		return finish(data.NewColumn(k.out, 0))
	}
	if starts != nil && starts.Get(0) {
		k.past, k.times = k.past[:0], k.times[:0]
	}
	valid := values(in)
	all := k.rows(in, valid, times)
	picked := make([]int32, numRows) // the row that each gets, or a number of values; -1 for null
	begin := 0                       // of the entity
	for row := 0; row < numRows; {
		end := nextStart(starts, row+1, numRows)
		if row > 0 {
			begin = all.numPast + row
		}
		k.entity(picked[row:end], all, begin, all.numPast+row)
		row = end
	}
	out := k.column(in, picked, all.numPast)
	k.remember(in, valid, all, begin)
	return out
}

// values marks the rows that have a value: neither null nor NaN.
func values(c *data.Column) data.Bitmap {
	if c.Type != data.Float32 && c.Type != data.Float64 {
		return c.Valid
	}
	valid := vector.Clone(c.Valid, c.Len())
	for row, v := range c.Float32s {
		if math.IsNaN(float64(v)) {
			valid.Clear(row)
		}
	}
	for row, v := range c.Float64s {
		if math.IsNaN(v) {
			valid.Clear(row)
		}
	}
	return valid
}

// rows brings the rows of a run and those before it together.
func (k *picking) rows(in *data.Column, valid data.Bitmap, times []int64) *rows {
	numPast, numRows := len(k.past), in.Len()
	all := &rows{numPast: numPast, there: make([]bool, numPast+numRows)}
	for i, c := range k.past {
		all.there[i] = c.there
	}
	for i := range numRows {
		all.there[numPast+i] = valid.Get(i)
	}
	if all.times = times; k.config.Span > 0 && numPast > 0 {
		all.times = append(append(make([]int64, 0, numPast+numRows), k.times...), times...)
	}
	if k.config.Op == RollingCountDistinct {
		k.tellApart(all, in)
	}
	return all
}

// tellApart gives equal values the same id: of texts their codes, of others their
// places among those that there are.
func (k *picking) tellApart(all *rows, in *data.Column) {
	all.ids = make([]uint32, len(all.there))
	if k.of == data.String {
		codes, dict := codesOf(k.past, in.Dict)
		copy(all.ids, codes)
		copy(all.ids[all.numPast:], in.Codes)
		all.counts = make([]int32, len(dict))
		return
	}
	ids := map[uint64]uint32{}
	for i := range all.ids {
		if !all.there[i] {
			continue
		}
		var word uint64
		if i < all.numPast {
			word = k.past[i].word
		} else {
			word = wordOf(in, i-all.numPast)
		}
		if word == minusZero(k.of) {
			word = 0
		}
		id, ok := ids[word]
		if !ok {
			id = uint32(len(ids))
			ids[word] = id
		}
		all.ids[i] = id
	}
	all.counts = make([]int32, len(ids))
}

// minusZero is the word of a float that is equal to that of another; 0 for types
// that have none.
func minusZero(t data.Type) uint64 {
	switch t {
	case data.Float32:
		return 1 << 31
	case data.Float64:
		return 1 << 63
	}
	return 0
}

// entity picks for rows from one on of the entity that begins at a row.
func (k *picking) entity(picked []int32, all *rows, begin, from int) {
	lo, hi, first, last, num, distinct := begin, begin, begin, -1, 0, 0
	for at := range picked {
		i := from + at
		for ; hi < i+k.ahead; hi++ {
			if all.there[hi] {
				last = hi
				num++
				distinct += all.enter(hi)
			}
		}
		for ; k.isBefore(all, lo, i); lo++ {
			if all.there[lo] {
				num--
				distinct -= all.leave(lo)
			}
		}
		switch k.config.Op {
		case RollingCountDistinct:
			picked[at] = int32(distinct)
			continue
		case RollingFirst:
			for first = max(first, lo); first < hi && !all.there[first]; first++ {
			}
			picked[at] = int32(first)
		default:
			picked[at] = int32(last)
		}
		if num < k.minValues {
			picked[at] = -1
		}
	}
	for ; all.ids != nil && lo < hi; lo++ {
		if all.there[lo] {
			all.leave(lo)
		}
	}
}

// isBefore reports whether a row is before the window of row i.
func (k *picking) isBefore(all *rows, lo, i int) bool {
	if k.config.Span > 0 {
		return uint64(all.times[i]-all.times[lo]) >= uint64(k.config.Span)
	}
	return lo < i+k.ahead-k.config.Rows
}

// enter counts a value that comes into the window: 1 if it is a new one.
func (r *rows) enter(row int) int {
	if r.ids == nil {
		return 0
	}
	n := &r.counts[r.ids[row]]
	if *n++; *n == 1 {
		return 1
	}
	return 0
}

// leave counts a value that goes out of the window: 1 if it was the last of its
// kind.
func (r *rows) leave(row int) int {
	if r.ids == nil {
		return 0
	}
	n := &r.counts[r.ids[row]]
	if *n--; *n == 0 {
		return 1
	}
	return 0
}

// column makes the output of what was picked.
func (k *picking) column(in *data.Column, picked []int32, numPast int) *data.Column {
	out := data.NewColumn(k.out, len(picked))
	if k.config.Op == RollingCountDistinct {
		for i, n := range picked {
			out.Int64s[i] = int64(n)
		}
		return out
	}
	out.Valid = vector.Clone(nil, len(picked))
	dict, codes := in.Dict, []uint32(nil)
	if k.out == data.String {
		codes, dict = codesOf(k.past, in.Dict)
	}
	take(out, in, picked, numPast)
	for i, at := range picked {
		switch {
		case at < 0:
			out.Valid.Clear(i)
		case int(at) >= numPast:
		case k.out == data.String:
			out.Codes[i] = codes[at]
		default:
			setWord(out, i, k.past[at].word)
		}
	}
	if k.out == data.String {
		out.UseStrings(dict)
	}
	return finish(out)
}

// take copies what is picked of a column's own rows.
func take(out, in *data.Column, picked []int32, numPast int) {
	switch in.Type {
	case data.Bool:
		takeRows(out.Bools, in.Bools, picked, numPast)
	case data.Int32, data.Date:
		takeRows(out.Int32s, in.Int32s, picked, numPast)
	case data.Int64, data.Timestamp:
		takeRows(out.Int64s, in.Int64s, picked, numPast)
	case data.Float32:
		takeRows(out.Float32s, in.Float32s, picked, numPast)
	case data.Float64:
		takeRows(out.Float64s, in.Float64s, picked, numPast)
	case data.String:
		takeRows(out.Codes, in.Codes, picked, numPast)
	}
}

func takeRows[T any](dst, src []T, picked []int32, numPast int) {
	for i, at := range picked {
		if int(at) >= numPast {
			dst[i] = src[int(at)-numPast]
		}
	}
}

// remember keeps the rows that the next one may need, of the entity that begins
// at a row.
func (k *picking) remember(in *data.Column, valid data.Bitmap, all *rows, begin int) {
	last, first := len(all.there)-1, begin
	if k.config.Span > 0 {
		for uint64(all.times[last]-all.times[first]) >= uint64(k.config.Span) {
			first++
		}
		k.times = append([]int64(nil), all.times[first:]...)
	} else {
		first = max(begin, last+1-k.config.Rows+k.ahead)
	}
	kept := append([]cell(nil), k.past[min(first, len(k.past)):]...)
	k.past = appendCells(kept, in, valid, max(0, first-all.numPast))
}
