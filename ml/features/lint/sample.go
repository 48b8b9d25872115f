package lint

import (
	"maps"
	"math"
	"slices"
)

// Sizes of what is kept of the rows.
const (
	sampledValues = 2048 // distinct values of a column
	sampledKeys   = 8192 // entities, and rows by their content
	sampledRows   = 4096 // rows, for where bins begin
)

// sample keeps, of the things that have been seen, those with the least hashes,
// and whatever was counted of each: a random choice among the distinct things,
// however often each was seen, which is the same for any order and any split.
// What is kept was counted from its first time on, since the bound only falls.
//
// Source: bottom-k sketches, Cohen and Kaplan, PODC 2007.
type sample[T any] struct {
	most  int
	bound uint64 // hashes above it are of no interest
	all   bool   // nothing has been left out
	kept  map[uint64]*T
}

func newSample[T any](most int) *sample[T] {
	return &sample[T]{most: most, bound: math.MaxUint64, all: true, kept: map[uint64]*T{}}
}

// at returns what is counted of the thing with a hash; nil of one that is not
// kept.
func (s *sample[T]) at(hash uint64) *T {
	if hash > s.bound {
		return nil
	}
	v, ok := s.kept[hash]
	if !ok {
		if len(s.kept) >= 2*s.most {
			s.prune()
			if hash > s.bound {
				s.all = false
				return nil
			}
		}
		v = new(T)
		s.kept[hash] = v
	}
	return v
}

// prune leaves the least hashes, as many as are wanted.
func (s *sample[T]) prune() {
	if len(s.kept) <= s.most {
		return
	}
	hashes := slices.Sorted(maps.Keys(s.kept))
	for _, h := range hashes[s.most:] {
		delete(s.kept, h)
	}
	s.bound, s.all = hashes[s.most-1], false
}

// merge adds what o has seen; add adds what was counted of one thing. What one of
// them has left out falls out, since that one has kept enough of lesser hashes.
func (s *sample[T]) merge(o *sample[T], add func(into, from *T)) {
	for h, v := range o.kept {
		if into := s.at(h); into != nil {
			add(into, v)
		}
	}
	s.all = s.all && o.all
	s.prune()
}

// distinct returns about how many distinct things there were.
func (s *sample[T]) distinct() float64 {
	s.prune()
	if s.all || len(s.kept) < 2 {
		return float64(len(s.kept))
	}
	return float64(s.most-1) / (float64(s.bound) / math.MaxUint64)
}
