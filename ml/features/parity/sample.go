package parity

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
)

// Key is a hash of an entity: equal where the entities are.
type Key struct{ high, low uint64 }

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.high, o.high), cmp.Compare(k.low, o.low))
}

// Entities are of two kinds, whose hashes are others.
const (
	byValue  = 0x7061726974790000
	byNumber = 0x7061726974790001
)

// NumberKey is the key of a row that is an entity of its own.
func NumberKey(number int64) Key {
	return Key{rng.Mix(byNumber, uint64(number)), uint64(number)}
}

// Keys returns the key of each row of columns, at least one, that say together
// whose it is. NaN is a value like others, and the two zeros are one. Where one is
// null, the key has no meaning.
func Keys(columns ...*data.Column) []Key {
	out := keysOf(columns[0])
	for _, c := range columns[1:] {
		for i, k := range keysOf(c) {
			o := out[i]
			out[i] = Key{rng.Mix(o.high, o.low, k.high, k.low), rng.Mix(o.low, k.low, o.high, k.high)}
		}
	}
	return out
}

func keysOf(c *data.Column) []Key {
	out := make([]Key, c.Len())
	number := func(i int, bits uint64) { out[i] = Key{rng.Mix(byValue, bits), bits} }
	float := func(i int, v float64) {
		switch {
		case v == 0:
			v = 0
		case v != v:
			v = math.NaN()
		}
		number(i, math.Float64bits(v))
	}
	switch c.Type {
	case data.Bool:
		for i, v := range c.Bools {
			number(i, map[bool]uint64{true: 1}[v])
		}
	case data.Int32, data.Date:
		for i, v := range c.Int32s {
			number(i, uint64(int64(v)))
		}
	case data.Int64, data.Timestamp:
		for i, v := range c.Int64s {
			number(i, uint64(v))
		}
	case data.Float32:
		for i, v := range c.Float32s {
			float(i, float64(v))
		}
	case data.Float64:
		for i, v := range c.Float64s {
			float(i, v)
		}
	case data.String:
		known := make([]Key, len(c.Dict))
		for i, s := range c.Dict {
			sum := sha256.Sum256([]byte(s))
			known[i] = Key{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
		}
		for i, code := range c.Codes {
			if c.Valid.Get(i) {
				out[i] = known[code]
			}
		}
	}
	return out
}

// Row is a row of the table, and when it was.
type Row struct{ Time, Number int64 }

func (r Row) compare(o Row) int {
	return cmp.Or(cmp.Compare(r.Time, o.Time), cmp.Compare(r.Number, o.Number))
}

// Sample chooses entities in the order of a hash until there are so many rows,
// each with all of its rows, and the last with its first ones in time: whatever is
// chosen has all that came before it. What is chosen is a function of the multiset
// of rows, in whatever order they come, and memory is bounded by the number. It is
// not safe for concurrent use.
type Sample struct {
	most int
	rows int // kept, fewer than twice as many
	of   map[Key][]Row
	end  *Key // this one and those behind it are left out; nil: none
}

// NewSample returns a sample of at most so many rows, at least 1.
func NewSample(most int) *Sample { return &Sample{most: max(most, 1), of: map[Key][]Row{}} }

// Add takes a row of an entity.
func (s *Sample) Add(k Key, r Row) {
	if s.end != nil && k.compare(*s.end) >= 0 {
		return
	}
	s.of[k] = append(s.of[k], r)
	if s.rows++; s.rows >= 2*s.most {
		s.shorten()
	}
}

// shorten leaves out what is beyond the number: a row that is beyond it now will be
// whatever rows are still to come.
func (s *Sample) shorten() []Key {
	keys := slices.SortedFunc(maps.Keys(s.of), Key.compare)
	for s.rows > s.most {
		last := keys[len(keys)-1]
		rows, beyond := s.of[last], s.rows-s.most
		if len(rows) > beyond {
			slices.SortFunc(rows, Row.compare)
			s.of[last] = rows[:len(rows)-beyond]
			s.rows = s.most
			break
		}
		delete(s.of, last)
		s.rows, s.end, keys = s.rows-len(rows), &last, keys[:len(keys)-1]
	}
	return keys
}

// Entities returns the rows of each entity that was chosen, in order of time, ties
// in the order of the table.
func (s *Sample) Entities() [][]Row {
	keys := s.shorten()
	out := make([][]Row, len(keys))
	for i, k := range keys {
		out[i] = s.of[k]
		slices.SortFunc(out[i], Row.compare)
	}
	return out
}
