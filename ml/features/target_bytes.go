package features

import (
	"encoding/binary"

	"github.com/troupe-ml/troupe/data"
)

// maxRowCount is the most rows that a cell has, so that sums cannot overflow.
const maxRowCount = 1 << 56

// append writes the flags and the classes; the number of whole numbers, these
// ascending as differences, the number of texts, and these ascending; then for the
// nulls and each of these, in each fold, the number of rows and what they sum up to.
// There are no categories when they are too many, and no cells when some flag
// says that the summary has failed.
func (t *targetSums) append(b []byte) []byte {
	b = append(b, t.flags, byte(len(t.classes)))
	for _, text := range t.classes {
		b = appendNested(b, []byte(text))
	}
	if t.labels == nil {
		return b
	}
	keys, texts := t.labels.sorted()
	places := []uint32{0}
	b = binary.AppendUvarint(b, uint64(len(keys)))
	last := int64(0)
	for _, key := range keys {
		b = binary.AppendVarint(b, key.category-last) // wraps around, and back when decoded
		last = key.category
		places = append(places, key.place)
	}
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for _, text := range texts {
		b = appendNested(b, []byte(text.category))
		places = append(places, text.place)
	}
	if t.flags&failed != 0 {
		return b
	}
	t.grow()
	for _, place := range places {
		for fold := range t.like.numSlots() {
			b = t.appendCell(b, int(place)*t.like.numSlots()+fold)
		}
	}
	return b
}

func (t *targetSums) appendCell(b []byte, at int) []byte {
	c := t.cells[at]
	b = binary.AppendUvarint(b, uint64(c.n))
	switch {
	case c.n == 0:
	case t.flags&numbers == 0:
		b = binary.AppendUvarint(b, uint64(c.ones))
	default:
		b = appendWords(b, t.sums[at][:])
		if t.squares != nil {
			b = appendWords(b, t.squares[at][:])
		}
	}
	return b
}

func (t *targetSums) decode(b []byte) error {
	r := newReader("features: decode sums of targets", b)
	got := newTargetSums(t.like)
	got.flags = r.Byte()
	isText := t.like.target.Type == data.String
	if got.flags > allFlags || isText && got.flags&(numbers|targetTooLarge) != 0 || !isText && got.flags&tooManyClasses != 0 {
		r.Fail("flags %d", got.flags)
	}
	r.classes(got, isText)
	if got.flags&tooManyCategories != 0 {
		got.labels = nil
	} else {
		r.labels(got.labels)
		if got.checkSize(); got.labels == nil {
			r.Fail("more categories than there may be")
		}
	}
	if got.flags&failed == 0 && r.Err() == nil {
		r.cells(got)
	}
	if err := r.End(); err != nil {
		return err
	}
	*t = *got
	return nil
}

func (r *reader) classes(t *targetSums, isText bool) {
	n := r.Byte()
	if n > 2 || n > 0 && (!isText || t.flags&tooManyClasses != 0) {
		r.Fail("%d classes", n)
	}
	for range n {
		t.classes = append(t.classes, string(r.Nested()))
	}
	if len(t.classes) == 2 && t.classes[0] >= t.classes[1] {
		r.Fail("classes out of order")
	}
}

func (r *reader) labels(l *labels) {
	last := int64(0)
	for i := range r.Uvarint() {
		d := r.Varint()
		if i > 0 && last+d <= last {
			r.Fail("whole numbers are out of order")
		}
		if r.Err() != nil {
			return
		}
		last += d
		l.key(last)
	}
	before := ""
	for i := range r.Uvarint() {
		text := string(r.Nested())
		_, isKey := textKey(l.of, text)
		if i > 0 && text <= before || isKey && l.of != data.String {
			r.Fail("texts are out of order, or whole numbers")
		}
		if r.Err() != nil {
			return
		}
		l.text(text)
		before = text
	}
}

func (r *reader) cells(t *targetSums) {
	slots := t.like.numSlots()
	if uint64(t.labels.n)*uint64(slots) > uint64(r.Len()) { // each takes a byte or more
		r.Fail("%d categories end early", t.labels.n)
		return
	}
	if t.flags&numbers != 0 {
		t.flags &^= numbers
		t.upgrade()
	}
	t.grow()
	for at := range t.cells {
		c := &t.cells[at]
		n := r.Uvarint()
		if n > maxRowCount {
			r.Fail("%d rows", n)
		}
		c.n = int64(n)
		switch {
		case n == 0:
		case t.flags&numbers == 0:
			ones := r.Uvarint()
			if ones > n || len(t.classes) < 2 && t.like.target.Type == data.String && ones > 0 {
				r.Fail("%d rows of %d have a target of 1", ones, n)
			}
			c.ones = int64(ones)
		default:
			r.words(t.sums[at][:])
			if t.squares != nil {
				r.words(t.squares[at][:])
			}
		}
		if r.Err() != nil {
			return
		}
	}
}
