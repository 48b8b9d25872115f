package window

import (
	"math"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// back is lag and diff: a row and the one n rows before it.
type back struct {
	op      string
	n       int
	of, out data.Type
	past    []cell // the last rows of the entity in progress, at most n
}

// cell is one value of any type.
type cell struct {
	there bool   // not null
	word  uint64 // an integer or truth as int64, or the bits of a float; 0 for null and text
	text  string // in memory of its own
}

func (k *back) run(in *data.Column, _ []int64, starts data.Bitmap) *data.Column {
	numRows := in.Len()
	first := nextStart(starts, 0, numRows)
	out := data.NewColumn(k.out, numRows)
	out.Valid = shiftBits(in.Valid, k.n, numRows)
	if k.op == Diff {
		k.subtract(out, in, first)
		out.Valid = vector.And(out.Valid, in.Valid)
	} else {
		k.shift(out, in, first)
	}
	for row := range min(first, k.n) { // whose other row has come with an earlier run
		if at := len(k.past) + row - k.n; at < 0 || !k.past[at].there {
			out.Valid.Clear(row)
		}
	}
	last := -1
	for start := first; start < numRows; {
		last = start
		next := nextStart(starts, start+1, numRows)
		for row := start; row < min(start+k.n, next); row++ {
			out.Valid.Clear(row)
		}
		start = next
	}
	if k.out == data.String {
		out.UseStrings(k.dictionary(out, in, first))
	}
	k.remember(in, last)
	return finish(out)
}

// shiftBits moves the marks of rows n rows on; the first n rows are set.
func shiftBits(valid data.Bitmap, n, numRows int) data.Bitmap {
	out := vector.Clone(nil, numRows)
	if valid == nil || n >= numRows {
		return out
	}
	words, rest := n>>6, uint(n)&63
	for i := words; i < len(out); i++ {
		w := valid[i-words] << rest
		if i > words {
			w |= valid[i-words-1] >> (64 - rest)
		} else {
			w |= 1<<rest - 1
		}
		out[i] &= w
	}
	return out
}

// shift writes the values of n rows before; texts are left out where they have
// come with an earlier run.
func (k *back) shift(out, in *data.Column, first int) {
	switch in.Type {
	case data.Bool:
		shift(out.Bools, in.Bools, k.n)
	case data.Int32, data.Date:
		shift(out.Int32s, in.Int32s, k.n)
	case data.Int64, data.Timestamp:
		shift(out.Int64s, in.Int64s, k.n)
	case data.Float32:
		shift(out.Float32s, in.Float32s, k.n)
	case data.Float64:
		shift(out.Float64s, in.Float64s, k.n)
	case data.String:
		shift(out.Codes, in.Codes, k.n)
	}
	for row := range min(first, k.n) {
		if at := len(k.past) + row - k.n; at >= 0 {
			setWord(out, row, k.past[at].word)
		}
	}
}

func shift[T any](dst, src []T, n int) {
	if n < len(src) {
		copy(dst[n:], src)
	}
}

// subtract writes the differences to n rows before.
func (k *back) subtract(out, in *data.Column, first int) {
	dst := out.Float64s
	switch in.Type {
	case data.Int32, data.Date:
		integerDifferences(dst, in.Int32s, k.n)
	case data.Int64, data.Timestamp:
		integerDifferences(dst, in.Int64s, k.n)
	case data.Float32:
		differences(dst, in.Float32s, k.n)
	case data.Float64:
		differences(dst, in.Float64s, k.n)
	default:
		for row := k.n; row < len(dst); row++ {
			dst[row] = minus(in.Type, wordOf(in, row), wordOf(in, row-k.n))
		}
	}
	for row := range min(first, k.n) {
		if at := len(k.past) + row - k.n; at >= 0 {
			dst[row] = minus(in.Type, wordOf(in, row), k.past[at].word)
		}
	}
	switch in.Type {
	case data.Timestamp:
		for i := range dst {
			dst[i] /= 1e6
		}
	case data.Date:
		for i := range dst {
			dst[i] *= 86_400
		}
	}
}

func differences[T float32 | float64](dst []float64, src []T, n int) {
	for i := n; i < len(src); i++ {
		dst[i] = float64(src[i]) - float64(src[i-n])
	}
}

func integerDifferences[T int32 | int64](dst []float64, src []T, n int) {
	for i := n; i < len(src); i++ {
		dst[i] = integerDifference(int64(src[i]), int64(src[i-n]))
	}
}

// integerDifference is exact but for one rounding, unless it is beyond int64.
func integerDifference(a, b int64) float64 {
	d := a - b
	if (a^b)&(a^d) < 0 {
		return float64(a) - float64(b)
	}
	return float64(d)
}

func minus(t data.Type, a, b uint64) float64 {
	switch t {
	case data.Float32, data.Float64:
		return floatOf(t, a) - floatOf(t, b)
	}
	return integerDifference(int64(a), int64(b))
}

func floatOf(t data.Type, word uint64) float64 {
	if t == data.Float32 {
		return float64(math.Float32frombits(uint32(word)))
	}
	return math.Float64frombits(word)
}

// wordOf returns the word of a cell, 0 for texts.
func wordOf(c *data.Column, row int) uint64 {
	switch c.Type {
	case data.Bool:
		if c.Bools[row] {
			return 1
		}
	case data.Int32, data.Date:
		return uint64(int64(c.Int32s[row]))
	case data.Int64, data.Timestamp:
		return uint64(c.Int64s[row])
	case data.Float32:
		return uint64(math.Float32bits(c.Float32s[row]))
	case data.Float64:
		return math.Float64bits(c.Float64s[row])
	}
	return 0
}

func setWord(c *data.Column, row int, word uint64) {
	switch c.Type {
	case data.Bool:
		c.Bools[row] = word != 0
	case data.Int32, data.Date:
		c.Int32s[row] = int32(word)
	case data.Int64, data.Timestamp:
		c.Int64s[row] = int64(word)
	case data.Float32:
		c.Float32s[row] = math.Float32frombits(uint32(word))
	case data.Float64:
		c.Float64s[row] = math.Float64frombits(word)
	}
}

// dictionary gives codes to texts that have come with an earlier run, and
// returns what codes stand for: the dictionary of in, and those it lacks.
func (k *back) dictionary(out, in *data.Column, first int) []string {
	if len(k.past) == 0 || first == 0 {
		return in.Dict[:len(in.Dict):len(in.Dict)]
	}
	codes, dict := codesOf(k.past, in.Dict)
	for row := range min(first, k.n) {
		if at := len(k.past) + row - k.n; at >= 0 && k.past[at].there {
			out.Codes[row] = codes[at]
		}
	}
	return dict
}

// codesOf returns the codes of texts that have come with an earlier run, and what
// codes stand for: a dictionary, and the texts that it lacks.
func codesOf(past []cell, known []string) (codes []uint32, dict []string) {
	const absent = math.MaxUint32
	dict = known[:len(known):len(known)]
	of := map[string]uint32{}
	for _, c := range past {
		if c.there {
			of[c.text] = absent
		}
	}
	for code, text := range known {
		if _, ok := of[text]; ok {
			of[text] = uint32(code)
		}
	}
	codes = make([]uint32, len(past))
	for i, c := range past {
		if !c.there {
			continue
		}
		if of[c.text] == absent {
			of[c.text] = uint32(len(dict))
			dict = append(dict, c.text)
		}
		codes[i] = of[c.text]
	}
	return codes, dict
}

// remember keeps what the rows that follow will need. last is the last row that
// begins an entity, -1 when none does.
func (k *back) remember(in *data.Column, last int) {
	numRows := in.Len()
	from := max(0, last, numRows-k.n)
	drop := len(k.past)
	if last < 0 {
		drop = min(drop, max(0, drop+numRows-k.n))
	}
	if drop == len(k.past) {
		k.past = k.past[:0]
	} else {
		k.past = k.past[drop:]
	}
	k.past = appendCells(k.past, in, in.Valid, from)
}

// appendCells appends the rows of a column from one on, of which valid says those
// that are there.
func appendCells(cells []cell, in *data.Column, valid data.Bitmap, from int) []cell {
	var texts map[uint32]string
	if in.Type == data.String {
		texts = map[uint32]string{}
	}
	for row := from; row < in.Len(); row++ {
		c := cell{there: valid.Get(row)}
		switch {
		case !c.there:
		case in.Type == data.String:
			code := in.Codes[row]
			text, ok := texts[code]
			if !ok {
				text = strings.Clone(in.Dict[code])
				texts[code] = text
			}
			c.text = text
		default:
			c.word = wordOf(in, row)
		}
		cells = append(cells, c)
	}
	return cells
}
