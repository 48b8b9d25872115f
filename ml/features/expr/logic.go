package expr

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/data"
)

// Eight truths in a word.
const (
	allYes = 0x0101010101010101
	allNo  = 0x0202020202020202
)

// logic is and, or, and with b absent not, of truths.
type logic struct {
	a, b node
	or   bool
}

func (l logic) eval(f *frame) vec {
	a := l.a.eval(f)
	out := take[uint8](f)
	if l.b == nil {
		notTruths(out, a.truths)
		f.release(a)
		return vec{truths: out, own: true}
	}
	b := l.b.eval(f)
	both, either := uint64(allYes), uint64(allNo)
	if l.or {
		both, either = either, both
	}
	combine(out, a.truths, b.truths, both, either)
	f.release(a, b)
	return vec{truths: out, own: true}
}

// combine writes the bits of both that a and b have, and the bits of either that
// one of them has: of and, yes is that of both, no that of either.
func combine(dst, a, b []uint8, both, either uint64) {
	n := len(dst)
	a, b = a[:n], b[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		x, y := binary.LittleEndian.Uint64(a[i:]), binary.LittleEndian.Uint64(b[i:])
		binary.LittleEndian.PutUint64(dst[i:], x&y&both|(x|y)&either)
	}
	for ; i < n; i++ {
		dst[i] = a[i]&b[i]&uint8(both) | (a[i]|b[i])&uint8(either)
	}
}

func notTruths(dst, a []uint8) {
	a = a[:len(dst)]
	for i, v := range a {
		dst[i] = v>>1 | v&yes<<1
	}
}

// isNull is whether a value is missing: null, or NaN.
type isNull struct{ of term }

func (n isNull) eval(f *frame) vec {
	v := n.of.node.eval(f)
	out := take[uint8](f)
	switch {
	case v.truths != nil:
		for i, t := range v.truths {
			out[i] = no - one(t == 0)
		}
	case v.floats != nil:
		for i, x := range v.floats {
			out[i] = no - one(x != x)
		}
	default:
		for i := range out {
			out[i] = no
		}
	}
	for at, word := range v.valid {
		for i := at * 64; i < min(at*64+64, len(out)) && word != ^uint64(0); i++ {
			if word>>(uint(i)&63)&1 == 0 {
				out[i] = yes
			}
		}
	}
	f.release(v)
	return vec{truths: out, own: true}
}

// choice is a where cond is true, and else b: also where cond is null.
type choice struct {
	cond node
	a, b term
	slot int
}

func (c choice) eval(f *frame) vec {
	cond := c.cond.eval(f)
	picks, numPicks := take[uint8](f), 0
	for i, t := range cond.truths {
		picks[i] = t & yes
		numPicks += int(t & yes)
	}
	f.release(cond)
	a := f.some(c.a, picks, yes, numPicks)
	b := f.some(c.b, picks, 0, f.n-numPicks)
	v := pick(f, c.slot, picks, a, b)
	f.truths.put(picks)
	f.release(a, b)
	return v
}

// costly is from where on it is better to gather the rows that are wanted.
const costly = 8

// some computes a term for the rows whose pick is wanted, count of them; what
// the others get is not looked at.
func (f *frame) some(t term, picks []uint8, wanted uint8, count int) vec {
	if t.cost < costly || count*4 > f.n*3 || f.n < 64 {
		return t.node.eval(f)
	}
	rows, at := f.index.take(count+1, f.size()), 0
	for i, p := range picks { // without a branch, which nobody could foresee
		rows[at] = int32(i)
		at += int(one(p == wanted))
	}
	rows = rows[:count]
	if f.rows != nil {
		for i, row := range rows {
			rows[i] = f.rows[row]
		}
	}
	few := *f
	few.rows, few.n = rows, count
	v := t.node.eval(&few)
	out := spread(f, v, picks, wanted)
	f.release(v)
	f.index.put(rows)
	return out
}

// spread is the values of some rows at their places among all.
func spread(f *frame, v vec, picks []uint8, wanted uint8) vec {
	var out vec
	switch {
	case v.truths != nil:
		out.truths = spreadValues(f, v.truths, picks, wanted)
	case v.floats != nil:
		out.floats = spreadValues(f, v.floats, picks, wanted)
	case v.codes != nil:
		out.codes, out.dict = spreadValues(f, v.codes, picks, wanted), v.dict
	default:
		out.ints = spreadValues(f, v.ints, picks, wanted)
	}
	out.own, out.ownNul = true, true
	if v.valid == nil {
		return out
	}
	out.valid = f.bits()
	clear(out.valid)
	at := 0
	for i, p := range picks {
		if p == wanted {
			out.valid[i>>6] |= v.valid[at>>6] >> (uint(at) & 63) & 1 << (uint(i) & 63)
			at++
		}
	}
	return out
}

func spreadValues[T scalar](f *frame, values []T, picks []uint8, wanted uint8) []T {
	out := take[T](f)
	if len(values) == 0 {
		clear(out)
		return out
	}
	at, last := 0, len(values)-1
	for i, p := range picks {
		out[i] = values[min(at, last)] // of a row that is not wanted, whatever
		at += int(one(p == wanted))
	}
	return out
}

// pick is a where picks is 1, and else b. Of texts, it keeps a dictionary of its
// own in the state of slot.
func pick(f *frame, slot int, picks []uint8, a, b vec) vec {
	switch {
	case a.truths != nil:
		out := take[uint8](f)
		for i, p := range picks {
			out[i] = a.truths[i]&-p | b.truths[i]&^-p
		}
		return vec{truths: out, own: true}
	case a.floats != nil:
		out := take[float64](f)
		x, y := a.floats[:len(picks)], b.floats[:len(picks)]
		out = out[:len(picks)]
		for i, p := range picks {
			q := math.Float64bits(y[i])
			out[i] = math.Float64frombits(q ^ (q^math.Float64bits(x[i]))&-uint64(p))
		}
		return made(f, out, pickValid(f, picks, a.valid, b.valid))
	case a.codes != nil:
		return pickTexts(f, slot, picks, a, b)
	}
	out := take[int64](f)
	for i, p := range picks {
		out[i] = b.ints[i] ^ (b.ints[i]^a.ints[i])&-int64(p)
	}
	return made(f, out, pickValid(f, picks, a.valid, b.valid))
}

func pickValid(f *frame, picks []uint8, a, b data.Bitmap) data.Bitmap {
	if a == nil && b == nil {
		return nil
	}
	out := f.bits()
	for at := range out {
		word := uint64(0)
		for i, p := range picks[at*64 : min(at*64+64, len(picks))] {
			word |= uint64(p) << uint(i)
		}
		x, y := ^uint64(0), ^uint64(0)
		if a != nil {
			x = a[at]
		}
		if b != nil {
			y = b[at]
		}
		out[at] = x&word | y&^word
	}
	return out
}

// pickState is the dictionary of a choice of texts.
type pickState struct {
	texts texts
	a, b  translation
}

func pickTexts(f *frame, slot int, picks []uint8, a, b vec) vec {
	s, ok := f.state[slot].(*pickState)
	if !ok {
		s = &pickState{}
		f.state[slot] = s
	}
	valid := pickValid(f, picks, a.valid, b.valid)
	out := take[uint32](f)
	for i, p := range picks {
		switch {
		case !valid.Get(i):
			out[i] = 0
		case p == 1:
			out[i] = s.a.code(f, &s.texts, a.dict, a.codes[i])
		default:
			out[i] = s.b.code(f, &s.texts, b.dict, b.codes[i])
		}
	}
	v := made(f, out, valid)
	v.dict = s.texts.dict
	return v
}

// otherwise is a where it is not missing, and else b.
type otherwise struct {
	a, b term
	slot int
}

func (o otherwise) eval(f *frame) vec {
	a := o.a.node.eval(f)
	missing := isNull{term{typ: o.a.typ, node: given(a)}}.eval(f)
	picks, numPicks := missing.truths, 0
	for i, t := range picks {
		picks[i] = t >> 1 // 1 where it is not missing
		numPicks += int(t >> 1)
	}
	b := f.some(o.b, picks, 0, f.n-numPicks)
	v := pick(f, o.slot, picks, a, b)
	f.release(a, b, missing)
	return v
}

// given is a vector that has been computed; its memory stays another's.
type given vec

func (g given) eval(*frame) vec {
	v := vec(g)
	v.own, v.ownNul = false, false
	return v
}

// between is low and high of a value that is computed once: they find it in a
// hole of the same slot.
type between struct {
	of        node
	low, high node
	slot      int
}

func (b between) eval(f *frame) vec {
	v := b.of.eval(f)
	f.state[b.slot] = given(v)
	low, high := b.low.eval(f), b.high.eval(f)
	out := take[uint8](f)
	combine(out, low.truths, high.truths, allYes, allNo)
	f.release(v, low, high)
	return vec{truths: out, own: true}
}

// hole is where a value stands that another node has computed.
type hole int

func (h hole) eval(f *frame) vec { return f.state[h].(given).eval(f) }
