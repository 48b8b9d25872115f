package expr

import (
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// texts is a dictionary that grows: distinct texts in order of first appearance.
type texts struct {
	dict  []string
	codes map[string]uint32
}

func (t *texts) code(s string) uint32 {
	code, ok := t.codes[s]
	if !ok {
		if t.codes == nil {
			t.codes = map[string]uint32{}
		}
		code = uint32(len(t.dict))
		t.codes[s] = code
		t.dict = append(t.dict, s)
	}
	return code
}

// translation turns codes of one dictionary into those of another, each looked
// up once.
type translation struct{ known []uint32 } // code + 1; 0: not yet

func (t *translation) code(f *frame, to *texts, dict []string, code uint32) uint32 {
	if int(code) >= len(t.known) {
		if !worthwhile(f, len(dict)) {
			return to.code(dict[code])
		}
		t.known = append(t.known, make([]uint32, len(dict)-len(t.known))...)
	}
	if t.known[code] == 0 {
		t.known[code] = to.code(dict[code]) + 1
	}
	return t.known[code] - 1
}

// worthwhile reports whether a table of a dictionary costs less than what it
// saves: a request of one row may come with the texts of many.
func worthwhile(f *frame, dict int) bool { return dict <= 4*f.total+64 }

// cell is one value: the field of its kind is set.
type cell struct {
	s string
	i int64
	f float64
	t uint8
}

// rowFunc computes one value; not ok is null. None of the arguments is null.
type rowFunc func(args []cell) (out cell, ok bool)

// textNode computes values one by one, for functions that take or make texts:
// once for each distinct text where it takes one, once for each distinct pair
// where it takes two.
type textNode struct {
	args []term
	out  kind
	run  rowFunc
	slot int
}

// textState is what a textNode keeps from block to block: the results by place,
// which is a code, the number of a pair of codes, or a row of the block.
type textState struct {
	args   []cell
	seen   []uint8 // 0 not yet, 1 there, 2 null
	nulls  bool    // some are null
	truths []uint8
	ints   []int64
	floats []float64
	codes  []uint32 // in texts
	texts  texts
	pairs  vector.Places
}

func (t textNode) eval(f *frame) vec {
	s, ok := f.state[t.slot].(*textState)
	if !ok {
		s = &textState{args: make([]cell, len(t.args))}
		f.state[t.slot] = s
	}
	in := make([]vec, len(t.args))
	for i, a := range t.args {
		in[i] = a.node.eval(f)
	}
	valid := f.both(in...)
	for i, a := range t.args {
		if a.kind == truthKind {
			valid = f.clearUnknown(valid, in[i].truths)
		}
	}
	places, own := t.places(f, s, in, valid)
	if s.nulls {
		for row, p := range places {
			if s.seen[p] == 2 {
				valid = f.all(valid)
				valid.Clear(row)
			}
		}
	}
	var v vec
	switch t.out {
	case truthKind:
		v = made(f, gathered(f, places, s.truths), valid)
	case floatKind:
		v = made(f, gathered(f, places, s.floats), valid)
	case textKind:
		v = made(f, gathered(f, places, s.codes), valid)
		v.dict = s.texts.dict
	default:
		v = made(f, gathered(f, places, s.ints), valid)
	}
	if own {
		f.codes.put(places)
	}
	f.release(in...)
	return v
}

// clearUnknown clears the rows that are neither true nor false.
func (f *frame) clearUnknown(valid data.Bitmap, truths []uint8) data.Bitmap {
	for row, truth := range truths {
		if truth&(yes|no) == 0 {
			valid = f.all(valid)
			valid.Clear(row)
		}
	}
	return valid
}

func gathered[T scalar](f *frame, places []uint32, table []T) []T {
	out := take[T](f)
	vector.Gather(out, places, table)
	return out
}

// places returns where the result of each row stands, and sees to it that it
// does. A row that is not valid has a place, of whatever result.
func (t textNode) places(f *frame, s *textState, in []vec, valid data.Bitmap) (places []uint32, own bool) {
	var vary []int
	for i, a := range t.args {
		if _, ok := a.literal(); !ok {
			vary = append(vary, i)
		}
	}
	onlyTexts, most := true, 0
	for _, i := range vary {
		onlyTexts = onlyTexts && t.args[i].kind == textKind
		most = max(most, len(in[i].dict))
	}
	switch {
	case onlyTexts && len(vary) == 1 && worthwhile(f, most):
		s.grow(t.out, most)
		codes := in[vary[0]].codes
		if valid == nil {
			for row, code := range codes {
				if s.seen[code] == 0 {
					t.compute(s, in, row, code)
				}
			}
			return codes, false
		}
		places = take[uint32](f)
		for row, code := range codes {
			places[row] = 0
			if !valid.Get(row) {
				continue
			}
			if places[row] = code; s.seen[code] == 0 {
				t.compute(s, in, row, code)
			}
		}
		return places, true
	case onlyTexts && len(vary) == 2:
		return t.pairs(f, s, in[vary[0]].codes, in[vary[1]].codes, in, valid), true
	}
	places = take[uint32](f)
	s.grow(t.out, f.n)
	s.nulls = false
	for row := range places {
		places[row] = uint32(row)
		if s.seen[row] = 1; valid.Get(row) {
			t.compute(s, in, row, uint32(row))
		}
	}
	return places, true
}

func (t textNode) pairs(f *frame, s *textState, a, b []uint32, in []vec, valid data.Bitmap) []uint32 {
	places := take[uint32](f)
	s.grow(t.out, 1)
	for row := range places {
		places[row] = 0
		if !valid.Get(row) {
			continue
		}
		place := s.pairs.Number(int64(a[row])<<32 | int64(b[row]))
		places[row] = place
		if int(place) >= len(s.seen) {
			s.grow(t.out, 2*len(s.seen)+64)
		}
		if s.seen[place] == 0 {
			t.compute(s, in, row, place)
		}
	}
	return places
}

// grow makes room for results; there is at least one.
func (s *textState) grow(out kind, size int) {
	more := max(size, 1) - len(s.seen)
	if more <= 0 {
		return
	}
	s.seen = append(s.seen, make([]uint8, more)...)
	switch out {
	case truthKind:
		s.truths = append(s.truths, make([]uint8, more)...)
	case floatKind:
		s.floats = append(s.floats, make([]float64, more)...)
	case textKind:
		s.codes = append(s.codes, make([]uint32, more)...)
	default:
		s.ints = append(s.ints, make([]int64, more)...)
	}
}

// compute calls the function for a row, and keeps its result.
func (t textNode) compute(s *textState, in []vec, row int, place uint32) {
	for i, v := range in {
		switch {
		case v.truths != nil:
			s.args[i] = cell{t: v.truths[row]}
		case v.floats != nil:
			s.args[i] = cell{f: v.floats[row]}
		case v.codes != nil:
			s.args[i] = cell{s: v.dict[v.codes[row]]}
		default:
			s.args[i] = cell{i: v.ints[row]}
		}
	}
	out, ok := t.run(s.args)
	if s.seen[place] = 1; !ok {
		s.seen[place], s.nulls = 2, true
	}
	switch t.out {
	case truthKind:
		s.truths[place] = out.t
	case floatKind:
		s.floats[place] = out.f
	case textKind:
		if ok {
			s.codes[place] = s.texts.code(out.s)
		}
	default:
		s.ints[place] = out.i
	}
}
