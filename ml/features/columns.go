package features

import (
	"math/bits"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// floats returns the values of a column of numbers or truths as float64: the
// column's own where it has them, which must not be changed.
func floats(c *data.Column) []float64 {
	if c.Type == data.Float64 {
		return c.Float64s
	}
	out := make([]float64, c.Len())
	floatsAt(out, c, 0)
	return out
}

// floatsAt writes len(dst) values from a row on.
func floatsAt(dst []float64, c *data.Column, from int) {
	to := from + len(dst)
	switch c.Type {
	case data.Bool:
		for i, v := range c.Bools[from:to] {
			dst[i] = 0
			if v {
				dst[i] = 1
			}
		}
	case data.Int32:
		vector.Float64s(dst, c.Int32s[from:to])
	case data.Int64:
		vector.Float64s(dst, c.Int64s[from:to])
	case data.Float32:
		vector.Float64s(dst, c.Float32s[from:to])
	case data.Float64:
		copy(dst, c.Float64s[from:to])
	default:
		panic("features: a column without numbers: " + c.Type.String())
	}
}

// blockRows is how many rows are gathered at a time: a multiple of 64 that
// fits the nearest cache.
const blockRows = 4096

// eachFloats calls yield with the values of the rows of c that are in mask and
// not null, in blocks that are overwritten by the next. NaN is a value here.
func eachFloats(c *data.Column, mask data.Bitmap, yield func(values []float64)) {
	rows := vector.And(c.Valid, mask)
	numRows := c.Len()
	if rows == nil && c.Type == data.Float64 {
		yield(c.Float64s)
		return
	}
	block := make([]float64, min(blockRows, numRows))
	for from := 0; from < numRows; from += blockRows {
		n := min(blockRows, numRows-from)
		floatsAt(block[:n], c, from)
		yield(keepRows(block[:n], rows, from))
	}
}

// keepRows moves the values of the rows that are set to the front. The first
// value is that of row from, a multiple of 64.
func keepRows(values []float64, rows data.Bitmap, from int) []float64 {
	if rows == nil {
		return values
	}
	kept := 0
	for at := 0; at < len(values); at += 64 {
		word := rows[(from+at)>>6]
		n := min(64, len(values)-at)
		if n < 64 {
			word &= 1<<uint(n) - 1
		}
		if word == ^uint64(0) {
			copy(values[kept:], values[at:at+64])
			kept += 64
			continue
		}
		for ; word != 0; word &= word - 1 {
			values[kept] = values[at+bits.TrailingZeros64(word)]
			kept++
		}
	}
	return values[:kept]
}

// zeroNulls gives nulls the zero value, as columns have it.
func zeroNulls[T any](values []T, valid data.Bitmap) {
	var zero T
	for at, word := range valid {
		from := at * 64
		n := min(64, len(values)-from)
		if word == ^uint64(0) || n <= 0 {
			continue
		}
		for i := range n {
			if word>>uint(i)&1 == 0 {
				values[from+i] = zero
			}
		}
	}
}

// float64Column is a column of values and nulls.
func float64Column(values []float64, valid data.Bitmap) *data.Column {
	zeroNulls(values, valid)
	return &data.Column{Type: data.Float64, Float64s: values, Valid: valid}
}

// int32Column is a column of values and nulls.
func int32Column(values []int32, valid data.Bitmap) *data.Column {
	zeroNulls(values, valid)
	return &data.Column{Type: data.Int32, Int32s: values, Valid: valid}
}

// stringColumn is a column of codes and nulls.
func stringColumn(codes []uint32, dict []string, valid data.Bitmap) *data.Column {
	zeroNulls(codes, valid)
	return &data.Column{Type: data.String, Codes: codes, Dict: dict, Valid: valid}
}

// numSet counts the rows that are set.
func numSet(rows data.Bitmap, numRows int) int {
	if rows == nil {
		return numRows
	}
	n := 0
	for i, w := range rows {
		if rest := numRows - i*64; rest < 64 {
			w &= 1<<uint(max(rest, 0)) - 1
		}
		n += bits.OnesCount64(w)
	}
	return n
}
