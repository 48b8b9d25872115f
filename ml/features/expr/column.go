package expr

import (
	"github.com/troupe-ml/troupe/data"
)

// columnNode is a column of the table.
type columnNode struct {
	at   int // among the program's columns
	kind kind
}

func (c columnNode) eval(f *frame) vec {
	col := f.in[c.at]
	v := vec{valid: f.validOf(col)}
	v.ownNul = f.rows != nil
	switch c.kind {
	case textKind:
		v.dict = col.Dict
		v.codes, v.own = numbers[uint32](f, col.Codes)
	case floatKind:
		v.floats, v.own = floatsOf(f, col)
	case truthKind:
		bytes, valid := truthsOf(f, col, v.valid)
		if v.ownNul && v.valid != nil {
			f.valids.put(v.valid)
		}
		maskTruths(bytes, valid)
		return vec{truths: bytes, own: true}
	default:
		v.ints, v.own = intsOf(f, col, &v)
	}
	return v
}

// validOf returns which rows of the block a column has.
func (f *frame) validOf(col *data.Column) data.Bitmap {
	if col.Valid == nil || f.rows == nil {
		if col.Valid == nil {
			return nil
		}
		return col.Valid[f.from/64 : (f.from+f.n+63)/64]
	}
	out := f.bits()
	clear(out)
	for i, r := range f.rows {
		at := uint(f.from) + uint(r)
		out[i>>6] |= col.Valid[at>>6] >> (at & 63) & 1 << (uint(i) & 63)
	}
	return out
}

// numbers returns the rows of the block: the column's own where it can.
func numbers[T scalar, S scalar | int32 | float32](f *frame, src []S) (values []T, own bool) {
	if own, ok := any(src).([]T); ok && f.rows == nil {
		return own[f.from : f.from+f.n : f.from+f.n], false
	}
	out := take[T](f)
	src = src[f.from:]
	if f.rows == nil {
		for i, v := range src[:len(out)] {
			out[i] = T(v)
		}
		return out, true
	}
	for i, r := range f.rows {
		out[i] = T(src[r])
	}
	return out, true
}

func floatsOf(f *frame, col *data.Column) ([]float64, bool) {
	switch col.Type {
	case data.Int32:
		return numbers[float64](f, col.Int32s)
	case data.Int64:
		return numbers[float64](f, col.Int64s)
	case data.Float32:
		return numbers[float64](f, col.Float32s)
	case data.Float64:
		return numbers[float64](f, col.Float64s)
	}
	out := take[float64](f)
	each(f, col.Bools, func(i int, v bool) { out[i] = float64(one(v)) })
	return out, true
}

// intsOf returns a column of whole numbers, times or dates. A table may have
// fractions where the program knows a column of whole numbers; what is no whole
// number is then null.
func intsOf(f *frame, col *data.Column, v *vec) ([]int64, bool) {
	switch col.Type {
	case data.Int32, data.Date:
		return numbers[int64](f, col.Int32s)
	case data.Int64, data.Timestamp:
		return numbers[int64](f, col.Int64s)
	}
	floats, own := floatsOf(f, col)
	out := take[int64](f)
	valid := f.both(*v)
	for i, x := range floats {
		whole, ok := toInt(x)
		if out[i] = whole; !ok || float64(whole) != x {
			valid = f.all(valid)
			valid.Clear(i)
		}
	}
	if own {
		f.floats.put(floats)
	}
	if v.ownNul && v.valid != nil {
		f.valids.put(v.valid)
	}
	v.valid, v.ownNul = valid, true
	return out, true
}

// truthsOf returns a column of truths; of numbers, 0 and 1 are the truths, and
// others null.
func truthsOf(f *frame, col *data.Column, valid data.Bitmap) ([]uint8, data.Bitmap) {
	out := take[uint8](f)
	if col.Type == data.Bool {
		if f.rows == nil {
			for i, v := range col.Bools[f.from : f.from+f.n] {
				out[i] = no - one(v)
			}
			return out, valid
		}
		each(f, col.Bools, func(i int, v bool) { out[i] = no - one(v) })
		return out, valid
	}
	floats, own := floatsOf(f, col)
	for i, v := range floats {
		out[i] = one(v == 1) | one(v == 0)<<1
	}
	if own {
		f.floats.put(floats)
	}
	return out, valid
}

func each[T any](f *frame, src []T, visit func(i int, v T)) {
	for i := range f.n {
		at := f.from + i
		if f.rows != nil {
			at = f.from + int(f.rows[i])
		}
		visit(i, src[at])
	}
}

// toInt cuts a number to a whole one, and reports whether there is one.
func toInt(v float64) (int64, bool) {
	if !(v >= -1<<63 && v < 1<<63) {
		return 0, false
	}
	return int64(v), true
}

// one is 1 for true.
func one(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// literal is one value for all rows.
type literal struct {
	typ
	slot  int
	null  bool
	truth uint8
	i     int64
	f     float64
	s     string
}

// eval fills a block once, and returns it for every block.
func (l literal) eval(f *frame) vec {
	v, ok := f.state[l.slot].(*vec)
	if !ok {
		v = l.fill(f.size())
		f.state[l.slot] = v
	}
	out := *v
	switch {
	case out.truths != nil:
		out.truths = out.truths[:f.n]
	case out.ints != nil:
		out.ints = out.ints[:f.n]
	case out.floats != nil:
		out.floats = out.floats[:f.n]
	default:
		out.codes = out.codes[:f.n]
	}
	return out
}

func (l literal) fill(n int) *vec {
	v := &vec{}
	switch l.kind {
	case truthKind:
		v.truths = filled(n, l.truth)
		return v
	case floatKind:
		v.floats = filled(n, l.f)
	case textKind:
		v.codes, v.dict = make([]uint32, n), []string{l.s}
	default:
		v.ints = filled(n, l.i)
	}
	if l.null {
		v.valid = data.NewBitmap(n)
	}
	return v
}

func filled[T any](n int, v T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// number returns the literal as a float; whole numbers are rounded to nearest.
func (l literal) number() float64 {
	if l.kind == intKind {
		return float64(l.i)
	}
	return l.f
}

// shared is a value that stands in several places, and is computed once for
// all rows of a block. For some of the rows, within a branch, it is computed
// anew: the one of the block may still be in use.
type shared struct {
	of   node
	slot int
}

// sharedState is the value, and the block that it is of: its first row, from 1.
type sharedState struct {
	vec
	block int
}

func (s shared) eval(f *frame) vec {
	if f.rows != nil {
		return s.of.eval(f)
	}
	state, ok := f.state[s.slot].(*sharedState)
	if !ok {
		state = &sharedState{}
		f.state[s.slot] = state
	}
	if state.block != f.from+1 {
		f.release(state.vec)
		state.vec, state.block = s.of.eval(f), f.from+1
	}
	return given(state.vec).eval(f)
}
