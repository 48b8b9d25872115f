package expr

import (
	"github.com/troupe-ml/troupe/data"
)

// blockRows is how many rows are computed at a time: a multiple of 64, so few
// that what is between two operations stays in the nearest cache.
const blockRows = 1024

// Truths are bytes of two bits, yes and no; a value that is neither is null. So
// the logic of three values is that of the bits, eight rows at a time.
const (
	yes = 1
	no  = 2
)

// scalar are the types that values are computed in: truths as uint8; whole
// numbers, times in microseconds and dates in days as int64; codes of texts as
// uint32.
type scalar interface {
	uint8 | int64 | float64 | uint32
}

// vec is the values of a block. Exactly one of the slices is set, for texts also
// dict, which may grow with the blocks but never changes what is in it. What a
// null holds is not looked at.
type vec struct {
	truths []uint8
	ints   []int64
	floats []float64
	codes  []uint32
	dict   []string
	valid  data.Bitmap // nil: no nulls; not of truths
	own    bool        // the values may be overwritten by others
	ownNul bool        // valid may be
}

// node computes the values of a block.
type node interface {
	eval(f *frame) vec
}

// frame is one evaluation: the columns, the block, and memory that is used
// again. A program is many frames' at once; a frame is one goroutine's.
type frame struct {
	in    []*data.Column
	from  int     // first row of the block
	n     int     // rows to compute
	rows  []int32 // of the block, which are computed; nil: all
	total int     // rows of the columns
	state []any   // what nodes keep from block to block
	*pools
}

type pools struct {
	truths pool[uint8]
	ints   pool[int64]
	floats pool[float64]
	codes  pool[uint32]
	valids pool[uint64]
	index  pool[int32]
}

// pool is slices of blockRows values that nobody uses.
type pool[T any] struct{ free [][]T }

func (p *pool[T]) take(n, size int) []T {
	if k := len(p.free); k > 0 {
		s := p.free[k-1]
		p.free = p.free[:k-1]
		return s[:n]
	}
	return make([]T, size)[:n]
}

func (p *pool[T]) put(s []T) { p.free = append(p.free, s[:cap(s)]) }

// size is how many rows a slice has to hold.
func (f *frame) size() int { return min(blockRows, f.total) }

// take returns room for the values of the block.
func take[T scalar](f *frame) []T {
	var out []T
	switch out := any(&out).(type) {
	case *[]uint8:
		*out = f.truths.take(f.n, f.size())
	case *[]int64:
		*out = f.ints.take(f.n, f.size())
	case *[]float64:
		*out = f.floats.take(f.n, f.size())
	case *[]uint32:
		*out = f.codes.take(f.n, f.size())
	}
	return out
}

// bits returns room for the bits of the block, which may have any value.
func (f *frame) bits() data.Bitmap {
	return data.Bitmap(f.valids.take((f.n+63)/64, (f.size()+63)/64))
}

// release gives back the memory of vectors.
func (f *frame) release(vs ...vec) {
	for _, v := range vs {
		if v.ownNul && v.valid != nil {
			f.valids.put(v.valid)
		}
		if !v.own {
			continue
		}
		switch {
		case v.truths != nil:
			f.truths.put(v.truths)
		case v.ints != nil:
			f.ints.put(v.ints)
		case v.floats != nil:
			f.floats.put(v.floats)
		case v.codes != nil:
			f.codes.put(v.codes)
		}
	}
}

// values returns the slice of a type.
func values[T scalar](v *vec) []T {
	var out []T
	switch out := any(&out).(type) {
	case *[]uint8:
		*out = v.truths
	case *[]int64:
		*out = v.ints
	case *[]float64:
		*out = v.floats
	case *[]uint32:
		*out = v.codes
	}
	return out
}

// made is a vector of values that were taken.
func made[T scalar](f *frame, values []T, valid data.Bitmap) vec {
	v := vec{own: true, valid: valid, ownNul: true}
	switch s := any(values).(type) {
	case []uint8:
		v.truths = s
		if valid != nil {
			maskTruths(s, valid)
			f.valids.put(valid)
			v.valid = nil
		}
	case []int64:
		v.ints = s
	case []float64:
		v.floats = s
	case []uint32:
		v.codes = s
	}
	return v
}

// both returns the rows that are there in all of the vectors, as bits to keep.
func (f *frame) both(vs ...vec) data.Bitmap {
	var out data.Bitmap
	for _, v := range vs {
		switch {
		case v.valid == nil:
		case out == nil:
			out = f.bits()
			copy(out, v.valid)
		default:
			for i := range out {
				out[i] &= v.valid[i]
			}
		}
	}
	return out
}

// all returns bits to clear: valid itself unless it is nil.
func (f *frame) all(valid data.Bitmap) data.Bitmap {
	if valid != nil {
		return valid
	}
	valid = f.bits()
	for i := range valid {
		valid[i] = ^uint64(0)
	}
	return valid
}

// maskTruths makes the rows that are not valid neither true nor false.
func maskTruths(truths []uint8, valid data.Bitmap) {
	for at, word := range valid {
		from := at * 64
		if word == ^uint64(0) || from >= len(truths) {
			continue
		}
		part := truths[from:min(from+64, len(truths))]
		for i := range part {
			part[i] &= -uint8(word >> uint(i) & 1)
		}
	}
}

// map1 computes each value from one. run reports whether every row has a value;
// else bad says which have none.
type map1[A, B scalar] struct {
	of  node
	run func(dst []B, a []A) bool
	bad func(a A) bool
}

func (m map1[A, B]) eval(f *frame) vec {
	a := m.of.eval(f)
	out, in := take[B](f), values[A](&a)
	all := m.run(out, in)
	valid := f.both(a)
	if !all {
		valid = f.all(valid)
		for i, v := range in {
			if m.bad(v) {
				valid.Clear(i)
			}
		}
	}
	f.release(a)
	return made(f, out, valid)
}

// map2 computes each value from two.
type map2[A, B scalar] struct {
	a, b node
	run  func(dst []B, a, b []A) bool
	bad  func(a, b A) bool
}

func (m map2[A, B]) eval(f *frame) vec {
	a, b := m.a.eval(f), m.b.eval(f)
	out, x, y := take[B](f), values[A](&a), values[A](&b)
	all := m.run(out, x, y)
	valid := f.both(a, b)
	if !all {
		valid = f.all(valid)
		for i, v := range x {
			if m.bad(v, y[i]) {
				valid.Clear(i)
			}
		}
	}
	f.release(a, b)
	return made(f, out, valid)
}
