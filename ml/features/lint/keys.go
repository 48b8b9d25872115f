package lint

import (
	"math"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
)

// Seeds of the hashes, one for each purpose.
const (
	valueSeed  = 0x6c696e7401
	rowSeed    = 0x6c696e7402
	otherSeed  = 0x6c696e7403
	foldSeed   = 0x6c696e7404
	recordSeed = 0x6c696e7405
)

// nullKey is the key of a value that is not there.
const nullKey = 0x9ae16a3b2f90404f

// cells is a column of a batch in one form: of each row whether it has a value, a
// key that equal values share whatever the width or type they come in, and of
// numbers the number.
type cells struct {
	missing []bool
	keys    []uint64
	numbers []float64 // empty of a text
}

// read fills the cells from a column, in their own memory. NaN is missing.
func (x *cells) read(c *data.Column) {
	n := c.Len()
	x.missing = resize(x.missing, n)
	x.keys = resize(x.keys, n)
	x.numbers = resize(x.numbers, n)
	switch c.Type {
	case data.String:
		x.texts(c)
	case data.Bool:
		for i, v := range c.Bools {
			x.numbers[i] = 0
			if v {
				x.numbers[i] = 1
			}
			x.keys[i] = uint64(x.numbers[i])
		}
	case data.Float32:
		for i, v := range c.Float32s {
			x.number(i, float64(v))
		}
	case data.Float64:
		for i, v := range c.Float64s {
			x.number(i, v)
		}
	case data.Int32, data.Date:
		for i, v := range c.Int32s {
			x.keys[i], x.numbers[i] = uint64(int64(v)), float64(v)
		}
	default:
		for i, v := range c.Int64s {
			x.keys[i], x.numbers[i] = uint64(v), float64(v)
		}
	}
	for i := range x.missing {
		x.missing[i] = !c.Valid.Get(i) || len(x.numbers) > 0 && x.numbers[i] != x.numbers[i]
		if x.missing[i] {
			x.keys[i] = nullKey
		}
	}
}

func (x *cells) texts(c *data.Column) {
	x.numbers = x.numbers[:0]
	byCode := make([]uint64, len(c.Dict))
	for code, s := range c.Dict {
		byCode[code] = xxh3.HashString(s)
	}
	for i, code := range c.Codes {
		if c.Valid.Get(i) {
			x.keys[i] = byCode[code]
		}
	}
}

func (x *cells) number(i int, v float64) {
	x.numbers[i] = v
	if v == math.Trunc(v) && v >= -1<<63 && v < 1<<63 {
		x.keys[i] = uint64(int64(v))
	} else {
		x.keys[i] = math.Float64bits(v)
	}
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// digest is a fingerprint of a column, or of what a column adds up to: sums of
// one number for each row, so that rows may come in any order.
type digest struct{ a, b uint64 }

func (d *digest) add(o digest)         { d.a, d.b = d.a+o.a, d.b+o.b }
func (d digest) minus(o digest) digest { return digest{d.a - o.a, d.b - o.b} }

// salts are two random numbers for each row, from its number in the table.
type salts struct{ a, b []uint64 }

func (s *salts) read(numbers []int64) {
	s.a, s.b = resize(s.a, len(numbers)), resize(s.b, len(numbers))
	first, second := rng.NewMixer(rowSeed, 0), rng.NewMixer(otherSeed, 0)
	for i, n := range numbers {
		s.a[i], s.b[i] = first.Mix(uint64(n)), second.Mix(uint64(n))
	}
}

// content returns the digest of which row has which value. Two columns that
// differ have the same one by chance only, of 2^-128 or so.
func (s *salts) content(keys []uint64) digest {
	var d digest
	for i, k := range keys {
		h := (s.a[i] ^ k) * 0x9e3779b97f4a7c15
		h ^= h >> 32
		d.a += h * (s.b[i] | 1)
		g := (s.b[i] + k) * 0xd6e8feb86659fd93
		g ^= g >> 32
		d.b += g * (s.a[i] | 1)
	}
	return d
}

// perUnit is how many parts of one numbers may have for linear.
const perUnit = 10_000

// linear returns the sum over the rows of a random number times the row's value,
// in 10,000ths: the digest of a sum of columns is the sum of their digests, and
// other columns have the same by chance only. It reports false when a value is
// missing or has more than four decimals, or is so large that they are lost.
func (s *salts) linear(x *cells) (digest, bool) {
	var d digest
	for i, v := range x.numbers {
		scaled := float64(v * perUnit)
		whole := math.RoundToEven(scaled)
		if x.missing[i] || math.Abs(scaled-whole) > 1e-4 || math.Abs(whole) > 1<<52 {
			return digest{}, false
		}
		d.a += s.a[i] * uint64(int64(whole))
		d.b += s.b[i] * uint64(int64(whole))
	}
	return d, len(x.numbers) == len(x.keys)
}
