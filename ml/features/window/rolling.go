package window

import (
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// direct is the longest window of rows that is computed anew for each row.
const direct = 64

// rolling is a statistic over a window. Values are float64, with NaN for those
// that are none.
type rolling struct {
	config    Config
	minValues int32
	ahead     int       // 1 when the current row is in the window, else 0
	past      []float64 // the rows of the entity in progress that the next one needs
	times     []int64   // theirs, when the window is one of time
	place     int       // of past's first row in its entity, modulo Rows

	bench
}

// bench is what a run works with; nothing in it outlives the run.
type bench struct {
	lo      []int32   // of each row, the first row of its window
	num     []int32   // of each row, the number of values in its window
	blocks  []int     // where blocks begin; the first has the first row, or begins before it
	keys    []int64   // of each row, an integer that sorts as its value does
	sums    []float64 // of each end of a block, its sum,
	ends    []int64   // its smallest key,
	spreads []spread  // or its spread
}

func newRolling(c Config) *rolling {
	r := &rolling{config: c, minValues: c.minValues()}
	if c.IncludeCurrent {
		r.ahead = 1
	}
	return r
}

func (r *rolling) run(in *data.Column, times []int64, starts data.Bitmap) *data.Column {
	numRows := in.Len()
	values := floats(in)
	out := &data.Column{Type: data.Float64, Float64s: make([]float64, numRows), Valid: vector.Clone(nil, numRows)}
	if r.config.Op == RollingCount {
		out.Type, out.Int64s = data.Int64, make([]int64, numRows)
	}
	for row := 0; row < numRows; {
		begins := starts != nil && starts.Get(row)
		end := nextStart(starts, row+1, numRows)
		v, from := values[row:end], 0
		var t []int64
		if r.config.Span > 0 {
			t = times[row:end]
		}
		if begins {
			r.past, r.times, r.place = r.past[:0], r.times[:0], 0
		} else if len(r.past) > 0 {
			from = len(r.past)
			v, t = append(r.past, v...), append(r.times, t...)
		}
		r.entity(out, row, v, t, from)
		if end == numRows {
			r.remember(v, t)
		}
		row = end
	}
	r.bench = bench{}
	if out.Type == data.Int64 {
		out.Float64s = nil
	}
	return finish(out)
}

// floats returns the values of a column as float64, NaN for those that are
// none; of texts and times, those that are there as 0. It may be the column's
// own slice.
func floats(c *data.Column) []float64 {
	if c.Type == data.Float64 && c.Valid == nil {
		return c.Float64s
	}
	out := make([]float64, c.Len())
	switch c.Type {
	case data.Bool:
		for i, v := range c.Bools {
			if v {
				out[i] = 1
			}
		}
	case data.Int32:
		vector.Float64s(out, c.Int32s)
	case data.Int64:
		vector.Float64s(out, c.Int64s)
	case data.Float32:
		vector.Float64s(out, c.Float32s)
	case data.Float64:
		copy(out, c.Float64s)
	}
	eachNull(c.Valid, len(out), func(row int) { out[row] = math.NaN() })
	return out
}

// entity computes rows of one entity, v[from:], of which the first is row at of
// the output; those before are of earlier runs.
func (r *rolling) entity(out *data.Column, at int, v []float64, times []int64, from int) {
	dst := out.Float64s[at : at+len(v)-from]
	clean := !hasNaN(v)
	if clean && r.short() && r.config.Op != RollingCount {
		r.cleanRows(dst, v, from)
		for i := from; i < len(v) && i+r.ahead < int(r.minValues); i++ {
			out.Valid.Clear(at + i - from)
		}
		return
	}
	r.bounds(from, len(v), times)
	r.count(v, from, clean)
	if r.config.Op == RollingCount {
		for i, n := range r.num {
			out.Int64s[at+i] = int64(n)
		}
		return
	}
	r.windows(dst, v, from)
	for i, n := range r.num {
		if n < r.minValues {
			out.Valid.Clear(at + i)
		} else if r.config.Op == RollingMean {
			dst[i] /= float64(n)
		}
	}
}

// short reports whether each window is computed anew.
func (r *rolling) short() bool { return 0 < r.config.Rows && r.config.Rows <= direct }

// cleanRows computes short windows where there is no NaN: all have as many
// values as rows.
func (r *rolling) cleanRows(dst, v []float64, from int) {
	switch r.config.Op {
	case RollingSum, RollingMean:
		sumCleanRows(dst, v, from, r.config.Rows, r.ahead, r.config.Op == RollingMean)
	case RollingMin:
		r.least(dst, v, from, 0)
	case RollingMax:
		r.least(dst, v, from, -1)
	case RollingStd:
		deviateCleanRows(dst, v, from, r.config.Rows, r.ahead)
	}
}

// windows computes windows whose bounds are known; of means, the sums.
func (r *rolling) windows(dst, v []float64, from int) {
	switch r.config.Op {
	case RollingSum, RollingMean:
		if r.short() {
			r.sumRows(dst, v, from)
		} else {
			r.sumBlocks(dst, v, from)
		}
	case RollingMin:
		r.least(dst, v, from, 0)
	case RollingMax:
		r.least(dst, v, from, -1)
	case RollingStd:
		if r.short() {
			r.deviateRows(dst, v, from)
		} else {
			r.deviateBlocks(dst, v, from)
		}
	}
}

func hasNaN(v []float64) bool {
	for _, x := range v {
		if math.IsNaN(x) {
			return true
		}
	}
	return false
}

// bounds finds where windows and blocks begin.
func (r *rolling) bounds(from, numRows int, times []int64) {
	resize(&r.lo, numRows-from)
	r.blocks = r.blocks[:0]
	if r.config.Span > 0 {
		r.boundsOfTime(from, times)
		return
	}
	rows := r.config.Rows
	for i := range r.lo {
		r.lo[i] = int32(max(0, from+i-rows+r.ahead))
	}
	for block := from - (r.place+from)%rows; block < numRows; block += rows {
		r.blocks = append(r.blocks, block)
	}
}

func (r *rolling) boundsOfTime(from int, times []int64) {
	span := r.config.Span
	width := uint64(span) // differences are taken modulo 2^64: times may be anything
	begin := blockOf(times[from], span)
	block := from
	for block > 0 && uint64(times[block-1]-begin) < width {
		block--
	}
	r.blocks = append(r.blocks, block)
	lo := 0
	for i := from; i < len(times); i++ {
		t := times[i]
		if uint64(t-begin) >= width {
			begin = blockOf(t, span)
			r.blocks = append(r.blocks, i)
		}
		for lo < i && uint64(t-times[lo]) >= width {
			lo++
		}
		r.lo[i-from] = int32(lo)
	}
}

// blockOf returns the multiple of span at or before a time.
func blockOf(t, span int64) int64 {
	rest := t % span
	if rest < 0 {
		rest += span
	}
	return t - rest
}

// count counts the values of each window.
func (r *rolling) count(v []float64, from int, clean bool) {
	resize(&r.num, len(r.lo))
	if clean {
		for i, lo := range r.lo {
			r.num[i] = int32(from+i+r.ahead) - lo
		}
		return
	}
	n, lo, hi := int32(0), int(r.lo[0]), int(r.lo[0])
	for i := range r.lo {
		for ; hi < from+i+r.ahead; hi++ {
			n += one(v[hi])
		}
		for ; lo < int(r.lo[i]); lo++ {
			n -= one(v[lo])
		}
		r.num[i] = n
	}
}

func one(v float64) int32 {
	if math.IsNaN(v) {
		return 0
	}
	return 1
}

// remember keeps the rows that the next one may need: of v, an entity's rows up
// to the last.
func (r *rolling) remember(v []float64, times []int64) {
	first := 0
	if r.config.Span > 0 {
		t := times[len(times)-1]
		for uint64(t-times[first]) >= uint64(r.config.Span) {
			first++
		}
		r.times = append(r.times[:0], times[first:]...)
	} else {
		first = max(0, len(v)-r.config.Rows+r.ahead)
		r.place = (r.place + first) % r.config.Rows
	}
	r.past = append(r.past[:0], v[first:]...)
}

// resize gives a slice n items of any content.
func resize[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n+n/2)
	}
	*s = (*s)[:n]
	return *s
}
