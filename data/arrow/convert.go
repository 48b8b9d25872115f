package arrow

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// column follows the path of a leaf through structs. A value is null when it or
// a struct around it is. Texts are copied while there is room for them: offsets
// and views may lie over each other, so that they are more than their bytes.
func (l leaf) column(rec arrow.RecordBatch, n int, room *int64) (*data.Column, error) {
	a := rec.Column(l.path[0])
	var valid data.Bitmap
	for i := 0; ; i++ {
		for {
			e, ok := a.(array.ExtensionArray)
			if !ok {
				break
			}
			a = e.Storage()
		}
		if a.Len() != n {
			return nil, fmt.Errorf("%d values for %d rows", a.Len(), n)
		}
		if err := borneOut(a); err != nil {
			return nil, err
		}
		valid = both(valid, marks(a, n))
		if i == len(l.path)-1 {
			break
		}
		a = a.(*array.Struct).Field(l.path[i+1])
	}
	c, err := values(a, valid, making{room, l.digits})
	if err != nil {
		return nil, err
	}
	c.Type = l.field.Type
	if valid == nil {
		return c, nil
	}
	c.Valid = valid
	clearNulls(c)
	return c, nil
}

// marks returns which values are there, nil when all are.
func marks(a arrow.Array, n int) data.Bitmap {
	if a.NullN() == 0 && a.DataType().ID() != arrow.NULL {
		return nil
	}
	valid := data.NewBitmap(n)
	for i := range n {
		if !a.IsNull(i) && a.DataType().ID() != arrow.NULL {
			valid.Set(i)
		}
	}
	return valid
}

func both(a, b data.Bitmap) data.Bitmap {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	for i := range a {
		a[i] &= b[i]
	}
	return a
}

// clearNulls gives nulls the zero value.
func clearNulls(c *data.Column) {
	for i := range c.Len() {
		if !c.Valid.Get(i) {
			c.Zero(i)
		}
	}
}

// as copies values of one type as another.
func as[To, From any](in []From, to func(From) To) []To {
	out := make([]To, len(in))
	for i, v := range in {
		out[i] = to(v)
	}
	return out
}

type whole interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func widen32[T whole](in []T) *data.Column {
	return &data.Column{Int32s: as(in, func(v T) int32 { return int32(v) })}
}

func widen64[T whole](in []T) *data.Column {
	return &data.Column{Int64s: as(in, func(v T) int64 { return int64(v) })}
}

// making is how values are converted, and the room that is left for texts.
type making struct {
	room   *int64
	digits bool // unsigned numbers of 64 bits are texts
}

// errBeyond is an unsigned number in a column that is read as int64.
var errBeyond = errors.New("an unsigned number does not fit int64, as which the column is read; from a file, not a pipe, it is read as text")

// values converts an array; where valid says null, anything may come out.
func values(a arrow.Array, valid data.Bitmap, m making) (*data.Column, error) {
	switch a := a.(type) {
	case *array.Boolean:
		c := &data.Column{Bools: make([]bool, a.Len())}
		for i := range c.Bools {
			c.Bools[i] = a.Value(i)
		}
		return c, nil
	case *array.Int8:
		return widen32(a.Int8Values()), nil
	case *array.Int16:
		return widen32(a.Int16Values()), nil
	case *array.Int32:
		return widen32(a.Int32Values()), nil
	case *array.Uint8:
		return widen32(a.Uint8Values()), nil
	case *array.Uint16:
		return widen32(a.Uint16Values()), nil
	case *array.Int64:
		return widen64(a.Int64Values()), nil
	case *array.Uint32:
		return widen64(a.Uint32Values()), nil
	case *array.Uint64:
		if m.digits {
			return texts(a.Len(), valid, false, m, func(i int) string { return strconv.FormatUint(a.Value(i), 10) })
		}
		for i, v := range a.Uint64Values() {
			if v > math.MaxInt64 && valid.Get(i) {
				return nil, fault.New(fault.Invalid, "%w: %d", errBeyond, v)
			}
		}
		return widen64(a.Uint64Values()), nil
	case *array.Float32:
		return &data.Column{Float32s: append([]float32{}, a.Float32Values()...)}, nil
	case *array.Float64:
		return &data.Column{Float64s: append([]float64{}, a.Float64Values()...)}, nil
	case *array.Dictionary:
		return decode(a, valid, m)
	}
	return moreValues(a, valid, m)
}

// moreValues converts what has to be looked at value by value.
func moreValues(a arrow.Array, valid data.Bitmap, m making) (*data.Column, error) {
	n := a.Len()
	switch a := a.(type) {
	case *array.Float16:
		return &data.Column{Float32s: each(n, func(i int) float32 { return a.Value(i).Float32() })}, nil
	case *array.Decimal32:
		return decimals(n, valid, a.ValueStr)
	case *array.Decimal64:
		return decimals(n, valid, a.ValueStr)
	case *array.Decimal128:
		return decimals(n, valid, a.ValueStr)
	case *array.Decimal256:
		return decimals(n, valid, a.ValueStr)
	case *array.Date32:
		return &data.Column{Int32s: each(n, func(i int) int32 { return int32(a.Value(i)) })}, nil
	case *array.Date64:
		return &data.Column{Int32s: each(n, func(i int) int32 { return int32(floor(int64(a.Value(i)), 86_400_000)) })}, nil
	case *array.Timestamp:
		return micros(n, a.DataType().(*arrow.TimestampType).Unit, valid, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Time32:
		return micros(n, a.DataType().(*arrow.Time32Type).Unit, valid, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Time64:
		return micros(n, a.DataType().(*arrow.Time64Type).Unit, valid, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Duration:
		return micros(n, a.DataType().(*arrow.DurationType).Unit, valid, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Null:
		return data.NewColumn(data.String, n), nil
	case interface{ Value(i int) string }:
		return texts(n, valid, true, m, a.Value)
	case interface{ Value(i int) []byte }:
		return texts(n, valid, false, m, func(i int) string { return string(a.Value(i)) })
	}
	return nil, fault.New(fault.Invalid, "%v is not supported", a.DataType())
}

// decimals rounds each to the nearest float.
func decimals(n int, valid data.Bitmap, text func(i int) string) (*data.Column, error) {
	c := &data.Column{Float64s: make([]float64, n)}
	for i := range n {
		if !valid.Get(i) {
			continue
		}
		v, err := strconv.ParseFloat(text(i), 64)
		if err != nil {
			return nil, fault.New(fault.Invalid, "the decimal %s: %w", text(i), err)
		}
		c.Float64s[i] = v
	}
	return c, nil
}

func each[T any](n int, value func(i int) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = value(i)
	}
	return out
}

func floor(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}

// micros converts times of any unit.
func micros(n int, unit arrow.TimeUnit, valid data.Bitmap, value func(i int) int64) (*data.Column, error) {
	c := &data.Column{Int64s: make([]int64, n)}
	by := map[arrow.TimeUnit]int64{arrow.Second: 1_000_000, arrow.Millisecond: 1000}[unit]
	for i := range n {
		v := value(i)
		switch {
		case unit == arrow.Nanosecond:
			c.Int64s[i] = floor(v, 1000)
		case by == 0:
			c.Int64s[i] = v
		case v > math.MaxInt64/by || v < math.MinInt64/by:
			if valid.Get(i) {
				return nil, fault.New(fault.Invalid, "%d %v do not fit 64 bits of microseconds", v, unit)
			}
		default:
			c.Int64s[i] = v * by
		}
	}
	return c, nil
}

// texts gives strings their codes, in order of first appearance.
func texts(n int, valid data.Bitmap, check bool, m making, value func(i int) string) (*data.Column, error) {
	c := &data.Column{Codes: make([]uint32, n)}
	codes := map[string]uint32{}
	for i := range n {
		if !valid.Get(i) {
			continue
		}
		s := value(i)
		code, ok := codes[s]
		if !ok {
			if check && !utf8.ValidString(s) {
				return nil, fault.New(fault.Corrupt, "row %d of them: the text is not UTF-8", i+1)
			}
			if *m.room -= int64(len(s)); *m.room < 0 {
				return nil, fault.New(fault.Exhausted, "row %d of them: there is no room for the batch's texts", i+1)
			}
			s = string(append([]byte(nil), s...)) // the record's memory is given back
			code = uint32(len(c.Dict))
			c.Dict = append(c.Dict, s)
			codes[s] = code
		}
		c.Codes[i] = code
	}
	return c, nil
}

// decode looks up the values of a dictionary.
func decode(a *array.Dictionary, valid data.Bitmap, m making) (*data.Column, error) {
	from := a.Dictionary()
	if err := borneOut(from); err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	inner, err := &data.Column{Codes: []uint32{}}, error(nil)
	if from.DataType().ID() != arrow.NULL { // of which any number takes no bytes
		inner, err = values(from, marks(from, from.Len()), m)
	}
	if err != nil {
		return nil, err
	}
	at := make([]int, a.Len())
	for i := range at {
		if !valid.Get(i) {
			continue
		}
		k := a.GetValueIndex(i)
		if k < 0 || k >= from.Len() {
			return nil, fault.New(fault.Corrupt, "row %d of them has value %d of a dictionary of %d", i+1, k, from.Len())
		}
		if from.IsNull(k) {
			return nil, fault.New(fault.Invalid, "row %d of them has a value of the dictionary that is null", i+1)
		}
		at[i] = k
	}
	return gather(inner, at, valid, m)
}

// gather returns the values at so many places.
func gather(c *data.Column, at []int, valid data.Bitmap, m making) (*data.Column, error) {
	n := len(at)
	if c.Len() == 0 && c.Codes == nil && c.Bools == nil && c.Int32s == nil && c.Int64s == nil && c.Float32s == nil && c.Float64s == nil {
		return nil, fault.New(fault.Invalid, "a dictionary without values")
	}
	out := &data.Column{}
	switch {
	case c.Codes != nil:
		return texts(n, valid, false, m, func(i int) string { return c.Dict[c.Codes[at[i]]] })
	case c.Bools != nil:
		out.Bools = pick(c.Bools, at, valid)
	case c.Int32s != nil:
		out.Int32s = pick(c.Int32s, at, valid)
	case c.Int64s != nil:
		out.Int64s = pick(c.Int64s, at, valid)
	case c.Float32s != nil:
		out.Float32s = pick(c.Float32s, at, valid)
	default:
		out.Float64s = pick(c.Float64s, at, valid)
	}
	return out, nil
}

func pick[T any](from []T, at []int, valid data.Bitmap) []T {
	out := make([]T, len(at))
	for i, k := range at {
		if valid.Get(i) {
			out[i] = from[k]
		}
	}
	return out
}
