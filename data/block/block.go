// Package block writes batches as bytes and reads them again: rows on their way
// between the tasks of one job, spilled or sent. It is neither compressed nor
// meant to be kept; Parquet is.
//
// Layout, all numbers little-endian, counts as varints: version, a byte; label,
// length and bytes; number of rows; number of columns; then for each column its
// name, length and bytes; its type, a byte; marks, a byte; validity, if its mark
// is set, a word for 64 rows; the values. Truths take a byte. Strings are a
// dictionary, count, and each with its length, then codes of 4 bytes.
package block

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
)

const version = 1

// Marks of a column.
const (
	markNullable = 1 << iota
	markUTC
	markValid // it has a bitmap
)

// Append writes a batch behind dst. The label says whose it is: equal rows of
// different labels have different bytes.
func Append(dst []byte, label string, b *data.Batch) []byte {
	dst = slices.Grow(dst, Size(b)+len(label))
	dst = append(dst, version)
	dst = appendText(dst, label)
	dst = binary.AppendUvarint(dst, uint64(b.NumRows))
	dst = binary.AppendUvarint(dst, uint64(len(b.Columns)))
	for i, c := range b.Columns {
		dst = appendColumn(dst, b.Schema.Fields[i], c, b.NumRows)
	}
	return dst
}

// Size is about how many bytes a batch takes.
func Size(b *data.Batch) int {
	n := 64
	for i, c := range b.Columns {
		n += len(b.Schema.Fields[i].Name) + 16 + 8*len(c.Valid) + b.NumRows*width(c.Type)
		for _, s := range c.Dict {
			n += len(s) + 2
		}
	}
	return n
}

// width is what a value takes.
func width(t data.Type) int {
	switch t {
	case data.Bool:
		return 1
	case data.Int32, data.Date, data.Float32, data.String:
		return 4
	default:
		return 8
	}
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendColumn(dst []byte, f data.Field, c *data.Column, numRows int) []byte {
	dst = appendText(dst, f.Name)
	marks := byte(0)
	if f.Nullable {
		marks |= markNullable
	}
	if f.UTC {
		marks |= markUTC
	}
	if c.Valid != nil {
		marks |= markValid
	}
	dst = append(dst, byte(c.Type), marks)
	if c.Valid != nil {
		for _, w := range c.Valid[:(numRows+63)/64] {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
	}
	switch c.Type {
	case data.Bool:
		for _, v := range c.Bools {
			one := byte(0)
			if v {
				one = 1
			}
			dst = append(dst, one)
		}
	case data.Int32, data.Date:
		dst = append32(dst, c.Int32s, func(v int32) uint32 { return uint32(v) })
	case data.Int64, data.Timestamp:
		dst = append64(dst, c.Int64s, func(v int64) uint64 { return uint64(v) })
	case data.Float32:
		dst = append32(dst, c.Float32s, math.Float32bits)
	case data.Float64:
		dst = append64(dst, c.Float64s, math.Float64bits)
	case data.String:
		dst = binary.AppendUvarint(dst, uint64(len(c.Dict)))
		for _, s := range c.Dict {
			dst = appendText(dst, s)
		}
		dst = append32(dst, c.Codes, func(v uint32) uint32 { return v })
	}
	return dst
}

func append32[T any](dst []byte, vs []T, bits func(T) uint32) []byte {
	at := len(dst)
	dst = slices.Grow(dst, 4*len(vs))[:at+4*len(vs)]
	out := dst[at:]
	for i, v := range vs {
		binary.LittleEndian.PutUint32(out[4*i:], bits(v))
	}
	return dst
}

func append64[T any](dst []byte, vs []T, bits func(T) uint64) []byte {
	at := len(dst)
	dst = slices.Grow(dst, 8*len(vs))[:at+8*len(vs)]
	out := dst[at:]
	for i, v := range vs {
		binary.LittleEndian.PutUint64(out[8*i:], bits(v))
	}
	return dst
}
