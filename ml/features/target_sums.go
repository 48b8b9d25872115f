package features

import (
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// maxEncodedCells is how many pairs of a category and a fold there may be.
const maxEncodedCells = 1 << 23

// targetSums is how many rows each category has in each fold, and what their
// targets and the squares of these sum up to. A null is a category. Only rows with
// a target count.
type targetSums struct {
	like    *targetEncode
	labels  *labels  // nil when there are too many
	flags   uint8    // why there are no cells; and numbers
	classes []string // of a target of texts: two at most, ascending

	// By place of the category, then fold. While all targets are 0 and 1, ones says
	// how many are 1, and there are no sums.
	cells   []cell
	sums    []sumWords
	squares []squareWords // nil where nobody asks for them

	places []uint32 // of the rows of a batch
	folds  []uint16
	y      []float64
}

// cell is the rows of one category in one fold.
type cell struct{ n, ones int64 }

// The flags. Each is a function of the set of rows seen.
const (
	tooManyCategories = 1 << iota // than can be told apart
	tooManyClasses                // more than two
	targetTooLarge                // beyond maxTarget
	numbers                       // some target is neither 0 nor 1
	allFlags          = 1<<iota - 1
	failed            = tooManyCategories | tooManyClasses | targetTooLarge
)

func newTargetSums(o *targetEncode) *targetSums {
	return &targetSums{like: o, labels: newLabels(o.of)}
}

func (t *targetSums) observe(in []*data.Column, mask data.Bitmap) {
	category, target, by := in[0], in[1], in[2]
	y, rows := t.targets(target, mask)
	if t.labels != nil {
		t.places = resized(t.places, category.Len())
		t.labels.number(category, rows, t.places)
		t.checkSize()
	}
	if t.flags&failed != 0 {
		t.drop()
		return
	}
	t.grow()
	t.folds = resized(t.folds, category.Len())
	t.like.deal(by, t.folds)
	t.add(y, rows)
}

func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// targets returns the targets as numbers, and the rows that have one and are in
// mask. It raises the flags that targets raise.
func (t *targetSums) targets(target *data.Column, mask data.Bitmap) ([]float64, data.Bitmap) {
	rows := targetRows(target, mask)
	if target.Type == data.String {
		return t.classify(target, rows), rows
	}
	t.y = resized(t.y, target.Len())
	y := t.y
	floatsAt(y, target, 0)
	if target.Type != data.Bool {
		large, other := false, false
		for i, v := range y {
			if v != 0 && v != 1 && rows.Get(i) {
				other = true
				large = large || math.Abs(v) >= maxTarget
			}
		}
		if large {
			t.flags |= targetTooLarge
		}
		if other {
			t.upgrade()
		}
	}
	return y, rows
}

// targetRows returns the rows of mask that have a target: it is not null, NaN or
// infinite.
func targetRows(target *data.Column, mask data.Bitmap) data.Bitmap {
	rows := vector.And(target.Valid, mask)
	if target.Type == data.Float64 || target.Type == data.Float32 {
		notFinite := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
		if y := floats(target); slices.ContainsFunc(y, notFinite) {
			rows = vector.Clear(rows, y, notFinite)
		}
	}
	return rows
}

// classify returns 1 for the rows whose text is the second class, else 0.
func (t *targetSums) classify(target *data.Column, rows data.Bitmap) []float64 {
	column := codes(target)
	counts, _ := column.countCodes(rows)
	for code, n := range counts {
		if n > 0 {
			t.addClass(column.dict[code])
		}
	}
	second := make([]float64, max(1, len(column.dict)))
	for code, text := range column.dict {
		if len(t.classes) == 2 && text == t.classes[1] {
			second[code] = 1
		}
	}
	y := make([]float64, len(column.codes))
	vector.Gather(y, column.codes, second)
	return y
}

// addClass makes room for a class: classes are ascending, and ones counts the
// second.
func (t *targetSums) addClass(text string) {
	switch {
	case t.flags&tooManyClasses != 0 || slices.Contains(t.classes, text):
	case len(t.classes) == 2:
		t.flags |= tooManyClasses
		t.classes = nil
	case len(t.classes) == 1 && text < t.classes[0]:
		t.classes = []string{string([]byte(text)), t.classes[0]}
		for i := range t.cells {
			t.cells[i].ones = t.cells[i].n
		}
	default:
		t.classes = append(t.classes, string([]byte(text)))
	}
}

// upgrade makes room for targets other than 0 and 1.
func (t *targetSums) upgrade() {
	if t.flags&numbers != 0 {
		return
	}
	t.flags |= numbers
	t.sums = make([]sumWords, len(t.cells))
	if t.like.auto {
		t.squares = make([]squareWords, len(t.cells))
	}
	for i, c := range t.cells {
		all := ofOnes(c)
		t.sums[i] = all.sum
		if t.squares != nil {
			t.squares[i] = all.square
		}
		t.cells[i].ones = 0
	}
}

// ofOnes returns what rows with targets of 0 and 1 sum up to.
func ofOnes(c cell) statistics {
	s, ones := statistics{n: c.n}, uint64(c.ones)
	s.sum[1], s.sum[2] = ones<<(unitBits-64), ones>>(128-unitBits)
	s.square[2], s.square[3] = ones<<(2*unitBits-128), ones>>(192-2*unitBits)
	return s
}

// at returns what is known of a cell.
func (t *targetSums) at(place uint32, fold int) statistics {
	at := int(place)*t.like.numSlots() + fold
	if t.flags&numbers == 0 {
		return ofOnes(t.cells[at])
	}
	s := statistics{n: t.cells[at].n, sum: t.sums[at]}
	if t.squares != nil {
		s.square = t.squares[at]
	}
	return s
}

// grow makes room for all categories.
func (t *targetSums) grow() {
	n := int(t.labels.n) * t.like.numSlots()
	if n <= len(t.cells) {
		return
	}
	t.cells = grown(t.cells, n)
	if t.flags&numbers != 0 {
		t.sums = grown(t.sums, n)
		if t.like.auto {
			t.squares = grown(t.squares, n)
		}
	}
}

func grown[T any](s []T, n int) []T {
	s = slices.Grow(s, n-len(s))
	clear(s[len(s):n])
	return s[:n]
}

// add adds the rows to their cells.
func (t *targetSums) add(y []float64, rows data.Bitmap) {
	slots, cells := uint32(t.like.numSlots()), t.cells
	places, folds := t.places[:len(y)], t.folds[:len(y)]
	switch {
	case t.flags&numbers != 0:
		for i, v := range y {
			if rows.Get(i) {
				t.addNumber(places[i]*slots+uint32(folds[i]), v)
			}
		}
	case rows == nil:
		for i, v := range y {
			c := &cells[places[i]*slots+uint32(folds[i])]
			c.n++
			c.ones += int64(v)
		}
	default:
		for i, v := range y {
			if rows.Get(i) {
				c := &cells[places[i]*slots+uint32(folds[i])]
				c.n++
				c.ones += int64(v)
			}
		}
	}
}

func (t *targetSums) addNumber(at uint32, v float64) {
	t.cells[at].n++
	mantissa, shift, negative := fixed(v)
	t.sums[at].add(mantissa, shift, negative)
	if t.squares != nil {
		t.squares[at].add(mantissa, shift)
	}
}

// counted returns the size of the summary.
func (t *targetSums) counted(column string) Counted {
	c := Counted{Column: column, Each: t.like.cellBytes(t.flags&numbers != 0)}
	if l := t.labels; l != nil {
		c.Values, c.Bytes = int64(l.n), int64(l.numBytes)+int64(len(l.ofKey))*keyBytes
	}
	return c
}

// cellBytes is about how many bytes a category takes: of its cells, which are
// twice as many for a while as they grow, and of what is made of them.
func (o *targetEncode) cellBytes(numbers bool) int64 {
	const fitted, truths, sums, squares = 100, 16, 24, 48
	cell := int64(truths)
	if numbers {
		cell += sums
		if o.auto {
			cell += squares
		}
	}
	return fitted + 2*cell*int64(o.numSlots())
}

// drop lets go of the cells, which a summary that has failed needs no more.
func (t *targetSums) drop() { t.cells, t.sums, t.squares = nil, nil, nil }

// checkSize raises the flag when there are too many categories.
func (t *targetSums) checkSize() {
	l := t.labels
	if int(l.n)-1 > sketch.DefaultMaxCounted || l.numBytes > sketch.MaxCountedBytes || int(l.n)*t.like.numSlots() > maxEncodedCells {
		t.flags |= tooManyCategories
		t.labels = nil
	}
}

func (t *targetSums) merge(other summary) {
	o := other.(*targetSums)
	t.mergeClasses(o)
	t.flags |= o.flags & failed
	if o.flags&numbers != 0 {
		t.upgrade()
	}
	var placeOf []uint32
	if t.labels == nil || o.labels == nil {
		t.labels = nil
	} else {
		placeOf = t.labels.merge(o.labels)
		t.checkSize()
	}
	if t.flags&failed != 0 {
		t.drop()
		return
	}
	t.grow()
	t.mergeCells(o, placeOf)
}

func (t *targetSums) mergeClasses(o *targetSums) {
	for _, text := range o.classes {
		t.addClass(text)
	}
	if o.flags&tooManyClasses != 0 {
		t.classes = nil
	}
	if len(o.classes) == 1 && len(t.classes) == 2 && o.classes[0] == t.classes[1] { // it had not counted its only class
		for i := range o.cells {
			o.cells[i].ones = o.cells[i].n
		}
		o.classes = t.classes
	}
}

func (t *targetSums) mergeCells(o *targetSums, placeOf []uint32) {
	slots := t.like.numSlots()
	for from := range o.cells {
		to := int(placeOf[from/slots])*slots + from%slots
		c, add := &t.cells[to], o.cells[from]
		c.n += add.n
		switch {
		case add.n == 0:
		case t.flags&numbers == 0:
			c.ones += add.ones
		default:
			s := o.at(uint32(from/slots), from%slots)
			t.sums[to].plus(&s.sum)
			if t.squares != nil {
				t.squares[to].plus(&s.square)
			}
		}
	}
}

// check makes sure that there is something to learn from.
func (t *targetSums) check() error {
	target := t.like.target.Name
	switch {
	case t.flags&tooManyClasses != 0:
		return fault.New(fault.Invalid, "the target %q has more than two classes; it must be a number, a truth, or a text of two classes: encode with a target of that kind, or use frequency_encode", target)
	case t.flags&targetTooLarge != 0:
		return fault.New(fault.Invalid, "the target %q is beyond 2^71 (2.4e21) in some rows; scale it, or leave such rows out with where", target)
	case t.flags&tooManyCategories != 0:
		most := min(sketch.DefaultMaxCounted, maxEncodedCells/t.like.numSlots()-1)
		return fault.New(fault.Invalid,
			"the column has more distinct values than can be told apart: %d with these folds, of %d MiB together; is it an identifier? leave it out, or make fewer of them with hash_encode",
			most, sketch.MaxCountedBytes>>20)
	case len(t.classes) == 1:
		return fault.New(fault.Invalid, "the target %q is %q in all rows to learn from: there is nothing to learn", target, t.classes[0])
	}
	for _, c := range t.cells {
		if c.n > 0 {
			return nil
		}
	}
	return fault.New(fault.Invalid, "none of the rows to learn from has a target; check the column %q", target)
}
