package features

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// coded is a column as codes into a dictionary of the texts of its values.
type coded struct {
	codes []uint32
	dict  []string
	valid data.Bitmap // nil: no nulls
}

// codes returns a column of any type but timestamps as codes. Numbers are
// written as people write them (1, -2.5, 1e+21), truths as false and true, dates
// as 2006-01-02; NaN is null.
func codes(c *data.Column) coded {
	switch c.Type {
	case data.String:
		return coded{c.Codes, c.Dict, c.Valid}
	case data.Bool:
		out := make([]uint32, len(c.Bools))
		for i, v := range c.Bools {
			if v {
				out[i] = 1
			}
		}
		return coded{out, []string{"false", "true"}, c.Valid}
	case data.Int32, data.Date, data.Int64:
		var p vector.Places
		out := coded{codes: make([]uint32, c.Len()), valid: c.Valid}
		if c.Type == data.Int64 {
			vector.Codes(&p, out.codes, c.Int64s)
		} else {
			vector.Codes(&p, out.codes, c.Int32s)
		}
		for _, key := range p.Keys {
			out.dict = append(out.dict, keyText(c.Type, key))
		}
		return out
	case data.Float32:
		return floatCodes(floats(c), c.Valid, 32)
	case data.Float64:
		return floatCodes(c.Float64s, c.Valid, 64)
	default:
		panic("features: a column without categories: " + c.Type.String())
	}
}

func floatCodes(values []float64, valid data.Bitmap, size int) coded {
	for _, v := range values {
		if v == v {
			continue
		}
		valid = vector.Clear(valid, values, math.IsNaN)
		numbers := slices.Clone(values)
		for i, v := range numbers {
			if v != v {
				numbers[i] = 0
			}
		}
		values = numbers
		break
	}
	out := coded{codes: make([]uint32, len(values)), valid: valid}
	known := map[float64]uint32{}
	for i, v := range values {
		code, ok := known[v]
		if !ok {
			code = uint32(len(out.dict))
			known[v] = code
			out.dict = append(out.dict, FormatFloat(v, size))
		}
		out.codes[i] = code
	}
	return out
}

// FormatFloat writes a number of so many bits as people do, and as categories of
// numbers are called: in the fewest digits that make the same number again.
func FormatFloat(v float64, size int) string {
	if v == 0 {
		return "0" // not -0
	}
	if a := math.Abs(v); a >= 1e-6 && a < 1e21 {
		return strconv.FormatFloat(v, 'f', -1, size)
	}
	return strconv.FormatFloat(v, 'g', -1, size)
}

// countCodes returns how often each code occurs among the rows of mask that are
// not null, and how many of them are null.
func (c coded) countCodes(mask data.Bitmap) (counts []int64, numNulls int64) {
	counts = make([]int64, len(c.dict))
	rows := vector.And(c.valid, mask)
	if rows == nil {
		for _, code := range c.codes {
			counts[code]++
		}
		return counts, 0
	}
	used := 0
	for i, code := range c.codes {
		if rows.Get(i) {
			counts[code]++
			used++
		}
	}
	return counts, int64(numSet(mask, len(c.codes)) - used)
}

// sortNaturally sorts the texts of values of one column: numbers by size, all
// else, and numbers of one size, by their bytes.
func sortNaturally(t data.Type, texts []string) {
	if !t.Numeric() || t == data.Bool {
		slices.Sort(texts)
		return
	}
	type sized struct {
		size float64
		none bool // it is no number
		text string
	}
	all := make([]sized, len(texts))
	for i, text := range texts {
		size, err := strconv.ParseFloat(text, 64)
		all[i] = sized{size, err != nil, text}
	}
	slices.SortFunc(all, func(a, b sized) int {
		if !a.none && !b.none && a.size != b.size {
			return cmp.Compare(a.size, b.size)
		}
		return strings.Compare(a.text, b.text)
	})
	for i, one := range all {
		texts[i] = one.text
	}
}

// keyed reports whether a column's categories are whole numbers, which need not
// be written as texts to be told apart.
func keyed(t data.Type) bool { return t == data.Int32 || t == data.Int64 || t == data.Date }

// keyText writes a whole number, or the date that it stands for.
func keyText(t data.Type, key int64) string {
	if t == data.Date {
		return time.Unix(key*86_400, 0).UTC().Format(time.DateOnly)
	}
	return strconv.FormatInt(key, 10)
}

// textKey reads what keyText has written, and nothing else.
func textKey(t data.Type, text string) (int64, bool) {
	if t == data.Date {
		key, err := dateKey(text)
		return key, err == nil && keyText(t, key) == text
	}
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || digits[0] == '0' && text != "0" {
		return 0, false
	}
	key, err := strconv.ParseInt(text, 10, 64)
	return key, err == nil
}

// dateKey reads a date of any year, of which time.Parse takes only those of four
// digits.
func dateKey(text string) (int64, error) {
	last := strings.LastIndexByte(text, '-')
	middle := strings.LastIndexByte(text[:max(last, 0)], '-')
	if middle < 0 {
		return 0, strconv.ErrSyntax
	}
	year, errYear := strconv.Atoi(text[:middle])
	month, errMonth := strconv.Atoi(text[middle+1 : last])
	day, errDay := strconv.Atoi(text[last+1:])
	seconds := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix()
	return seconds / 86_400, errors.Join(errYear, errMonth, errDay)
}

// categories are texts, each of which has a place.
type categories struct {
	texts func() *sketch.Texts
	keys  vector.Places // those that are whole numbers
	byKey []uint32      // the places of keys
}

// newCategories returns the categories of a column of type t. The list has none
// twice; see distinct.
func newCategories(t data.Type, list []string) *categories {
	c := &categories{texts: sync.OnceValue(func() *sketch.Texts {
		var texts sketch.Texts
		for _, text := range list {
			texts.Number(text)
		}
		return &texts
	})}
	c.readKeys(t, slices.Values(list), len(list))
	return c
}

// categoriesOf is newCategories for texts that have numbers already.
func categoriesOf(t data.Type, texts *sketch.Texts) *categories {
	c := &categories{texts: func() *sketch.Texts { return texts }}
	c.readKeys(t, func(yield func(string) bool) {
		for i := range texts.Len() {
			if !yield(texts.At(i)) {
				return
			}
		}
	}, texts.Len())
	return c
}

// readKeys finds the whole numbers among texts. Numbers of another type may be
// looked up in them, too.
func (c *categories) readKeys(t data.Type, texts iter.Seq[string], num int) {
	if t == data.String || t == data.Bool {
		return
	}
	c.byKey = make([]uint32, 0, num)
	place := uint32(0)
	for text := range texts {
		if key, ok := textKey(t, text); ok {
			c.keys.Number(key)
			c.byKey = append(c.byKey, place)
		}
		place++
	}
}

func distinct(list []string) bool {
	var seen sketch.Texts
	for i, text := range list {
		if seen.Number(text) != i {
			return false
		}
	}
	return true
}

// table returns the place of each entry of a dictionary; unknown for one that is
// no category. There is one entry at least, so that the codes of nulls can be
// looked up, too.
func (c *categories) table(dict []string, unknown uint32) []uint32 {
	table := make([]uint32, max(1, len(dict)))
	table[0] = unknown
	texts := c.texts()
	for i, text := range dict {
		table[i] = unknown
		if place, ok := texts.Find(text); ok {
			table[i] = uint32(place)
		}
	}
	return table
}

// rows returns the place of each row's category, unknown for one that is none,
// and which rows have one; the places of nulls say nothing, but exist.
func (c *categories) rows(from *data.Column, unknown uint32) ([]uint32, data.Bitmap) {
	places := make([]uint32, from.Len())
	switch from.Type {
	case data.Int64:
		findKeys(c, places, from.Int64s, unknown)
	case data.Int32, data.Date:
		findKeys(c, places, from.Int32s, unknown)
	default:
		column := codes(from)
		vector.Gather(places, column.codes, c.table(column.dict, unknown))
		return places, column.valid
	}
	return places, from.Valid
}

func findKeys[T int32 | int64](c *categories, places []uint32, keys []T, unknown uint32) {
	for i, key := range keys {
		places[i] = unknown
		if at, ok := c.keys.Find(int64(key)); ok {
			places[i] = c.byKey[at]
		}
	}
}
