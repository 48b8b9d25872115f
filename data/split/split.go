// Package split divides tables: row groups into shards, the units of work, and
// rows into training, validation and test rows, and into folds. Everything here is arithmetic
// over the data and a seed; how many workers there are, and in what order they
// come, changes nothing.
package split

import (
	"fmt"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
)

// Part is what a row is used for.
type Part uint8

// The parts. Their values are part of on-disk documents.
const (
	Train Part = iota
	Validation
	Test
)

var partNames = [...]string{"train", "validation", "test"}

// String returns the part's name as specs and tables write it.
func (p Part) String() string {
	if int(p) < len(partNames) {
		return partNames[p]
	}
	return fmt.Sprintf("part(%d)", uint8(p))
}

// Draws of different kinds from one seed must not be the same.
const (
	byRow        = 1
	byValue      = 2
	foldsByRow   = 3
	foldsByValue = 4
)

// drawer deals out parts: test rows from the low end of the draws, validation
// rows from the high end, so that a changed share of the one leaves the other's
// rows where they are.
type drawer struct{ test, validation float64 }

func newDrawer(validation, test float64) drawer {
	if !(validation >= 0 && test >= 0 && validation+test <= 1) {
		panic(fmt.Sprintf("split: shares of %v validation and %v test rows", validation, test))
	}
	return drawer{test: test, validation: 1 - validation}
}

func (d drawer) part(draw uint64) Part {
	u := float64(draw>>11) / (1 << 53) // in [0, 1)
	switch {
	case u < d.test:
		return Test
	case u >= d.validation:
		return Validation
	}
	return Train
}

// ByRandom sets parts[i] from the seed and the row's number in the table,
// firstRow+i, alone: about the given shares become validation and test rows. It
// panics when the shares are negative or make more than 1.
func ByRandom(seed uint64, validation, test float64, firstRow int64, parts []Part) {
	d := newDrawer(validation, test)
	for i := range parts {
		parts[i] = d.part(rng.Mix(seed, byRow, uint64(firstRow)+uint64(i)))
	}
}

// ByHash sets the part of each row from the seed and the row's value in c, so
// that rows of one value, of one customer say, share a part; null is a value,
// all NaN are one, -0 is 0, and a whole number is the same whatever the width
// or type it comes in. About the given shares of the values become validation
// and test rows. It panics when the shares are negative or make more than 1.
func ByHash(seed uint64, validation, test float64, c *data.Column, parts []Part) error {
	d := newDrawer(validation, test)
	if err := checkRows(c, len(parts)); err != nil {
		return err
	}
	m := rng.NewMixer(seed, byValue)
	dealValues(c, parts, func(v uint64) Part { return d.part(m.Mix(v)) }, d.part(rng.Mix(seed, byValue, 0, 0)))
	return nil
}

// dealValues sets out[i] to what a row's value gives, or to null's. Equal values
// give the same, whatever the width or type they come in.
func dealValues[T any](c *data.Column, out []T, of func(v uint64) T, null T) {
	switch c.Type {
	case data.String:
		byCode := make([]T, len(c.Dict))
		for code, s := range c.Dict {
			byCode[code] = of(xxh3.HashString(s))
		}
		for i, code := range c.Codes {
			if c.Valid.Get(i) {
				out[i] = byCode[code]
			}
		}
	case data.Float32:
		for i, v := range c.Float32s {
			out[i] = of(floatKey(float64(v)))
		}
	case data.Float64:
		for i, v := range c.Float64s {
			out[i] = of(floatKey(v))
		}
	case data.Bool:
		two := [2]T{of(0), of(1)}
		for i, v := range c.Bools {
			out[i] = two[0]
			if v {
				out[i] = two[1]
			}
		}
	default:
		eachInt(c, func(i int, v int64) { out[i] = of(uint64(v)) })
	}
	if c.Valid != nil {
		for i := range out {
			if !c.Valid.Get(i) {
				out[i] = null
			}
		}
	}
}

// floatKey is the number itself if it is whole, else its bits.
func floatKey(v float64) uint64 {
	switch {
	case v == math.Trunc(v) && v >= -1<<63 && v < 1<<63:
		return uint64(int64(v))
	case math.IsNaN(v):
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(v)
}

// eachInt calls visit with the rows of a column that is integers underneath,
// nulls included.
func eachInt(c *data.Column, visit func(i int, v int64)) {
	for i, v := range c.Int32s {
		visit(i, int64(v))
	}
	for i, v := range c.Int64s {
		visit(i, v)
	}
}

// Cut is where time divides a table, in the unit of its column: rows before
// Validation are training rows, those before Test validation rows, all others
// test rows.
type Cut struct {
	Validation int64 `json:"validation"`
	Test       int64 `json:"test"`
}

// ByTime sets the part of each row from its time in c, which is a timestamp, a
// date or an integer. A null is fault.Invalid, since it is neither before nor
// after anything.
func ByTime(c *data.Column, cut Cut, parts []Part) error {
	if err := checkTimes(c); err != nil {
		return err
	}
	if err := checkRows(c, len(parts)); err != nil {
		return err
	}
	eachInt(c, func(i int, v int64) {
		switch {
		case v < cut.Validation:
			parts[i] = Train
		case v < cut.Test:
			parts[i] = Validation
		default:
			parts[i] = Test
		}
	})
	return nil
}

// checkTimes makes sure that every row of c has a time.
func checkTimes(c *data.Column) error {
	if err := checkTimeType(c); err != nil {
		return err
	}
	if row := firstNull(c); row >= 0 {
		return fault.New(fault.Invalid, "split by time: row %d has no time; drop such rows or split by another column", row)
	}
	return nil
}

func checkTimeType(c *data.Column) error {
	switch c.Type {
	case data.Timestamp, data.Date, data.Int32, data.Int64:
		return nil
	}
	return fault.New(fault.Invalid, "split by time: the column is a %v; it must be a timestamp, a date or an integer", c.Type)
}

// firstNull returns the first null's row in c, or -1.
func firstNull(c *data.Column) int {
	if c.Valid == nil {
		return -1
	}
	for i := range c.Len() {
		if !c.Valid.Get(i) {
			return i
		}
	}
	return -1
}

// ByName sets the part of each row from its name in c, a string column. Any
// value other than train, validation and test is fault.Invalid, as is a null;
// the error names the first such row of the batch.
func ByName(c *data.Column, parts []Part) error {
	if c.Type != data.String {
		return fault.New(fault.Invalid, "split by column: the column is a %v; it must be strings: train, validation or test", c.Type)
	}
	if err := checkRows(c, len(parts)); err != nil {
		return err
	}
	const unknown = Part(len(partNames))
	byCode := make([]Part, len(c.Dict))
	for code, s := range c.Dict {
		byCode[code] = unknown
		for p, name := range partNames {
			if s == name {
				byCode[code] = Part(p)
			}
		}
	}
	for i, code := range c.Codes {
		if !c.Valid.Get(i) {
			return fault.New(fault.Invalid, "split by column: row %d is missing; every row must say train, validation or test", i)
		}
		if byCode[code] == unknown {
			return fault.New(fault.Invalid, "split by column: row %d says %.40q; it must say train, validation or test", i, c.Dict[code])
		}
		parts[i] = byCode[code]
	}
	return nil
}

func checkRows(c *data.Column, numRows int) error {
	if c.Len() != numRows {
		return fault.New(fault.Internal, "split: %d rows for %d parts", c.Len(), numRows)
	}
	return nil
}

// Mask returns the rows that are of part p, one bit a row; it is never nil.
func Mask(parts []Part, p Part) data.Bitmap {
	mask := data.NewBitmap(len(parts))
	for i, q := range parts {
		if q == p {
			mask[i>>6] |= 1 << (uint(i) & 63)
		}
	}
	return mask
}
