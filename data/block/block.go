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
	dst = appendHead(dst, label, b.NumRows, len(b.Columns))
	for i, c := range b.Columns {
		dst = appendColumn(dst, b.Schema.Fields[i], c, b.NumRows)
	}
	return dst
}

// AppendRows writes some rows of a batch behind dst, as Append does those of a batch
// that Gather has made of them.
func AppendRows(dst []byte, label string, b *data.Batch, rows []uint32) []byte {
	width := 0
	for _, f := range b.Schema.Fields {
		width += widthOf(f.Type) + 1
	}
	dst = slices.Grow(dst, 64+len(label)+width*len(rows))
	dst = appendHead(dst, label, len(rows), len(b.Columns))
	for i, c := range b.Columns {
		f := b.Schema.Fields[i]
		switch {
		case c.Valid != nil || c.Type == data.Bool || c.Type == data.String:
			dst = appendColumn(dst, f, c.Gather(rows), len(rows))
		case widthOf(c.Type) == 4:
			dst = appendRows32(appendName(dst, f, c), words32(c), rows)
		default:
			dst = appendRows64(appendName(dst, f, c), words64(c), rows)
		}
	}
	return dst
}

func appendHead(dst []byte, label string, numRows, numColumns int) []byte {
	dst = append(dst, version)
	dst = appendText(dst, label)
	dst = binary.AppendUvarint(dst, uint64(numRows))
	return binary.AppendUvarint(dst, uint64(numColumns))
}

// Size is about how many bytes a batch takes.
func Size(b *data.Batch) int {
	n := 64
	for i, c := range b.Columns {
		n += len(b.Schema.Fields[i].Name) + 16 + 8*len(c.Valid) + b.NumRows*widthOf(c.Type)
		for _, s := range c.Dict {
			n += len(s) + 2
		}
	}
	return n
}

// widthOf is what a value takes.
func widthOf(t data.Type) int {
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

// appendName appends what comes before a column's validity.
func appendName(dst []byte, f data.Field, c *data.Column) []byte {
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
	return append(dst, byte(c.Type), marks)
}

func appendColumn(dst []byte, f data.Field, c *data.Column, numRows int) []byte {
	dst = appendName(dst, f, c)
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
	case data.String:
		dst = binary.AppendUvarint(dst, uint64(len(c.Dict)))
		for _, s := range c.Dict {
			dst = appendText(dst, s)
		}
		dst = append32(dst, c.Codes)
	case data.Int32, data.Date, data.Float32:
		dst = append32(dst, words32(c))
	default:
		dst = append64(dst, words64(c))
	}
	return dst
}

// words32 are the values of a column of 4 bytes each, besides texts.
func words32(c *data.Column) []uint32 {
	if c.Type == data.Float32 {
		return data.Words32[uint32](c.Float32s)
	}
	return data.Words32[uint32](c.Int32s)
}

func words64(c *data.Column) []uint64 {
	if c.Type == data.Float64 {
		return data.Words64[uint64](c.Float64s)
	}
	return data.Words64[uint64](c.Int64s)
}

func append32(dst []byte, vs []uint32) []byte {
	dst, out := longer(dst, 4*len(vs))
	for i, v := range vs {
		binary.LittleEndian.PutUint32(out[4*i:], v)
	}
	return dst
}

func append64(dst []byte, vs []uint64) []byte {
	dst, out := longer(dst, 8*len(vs))
	for i, v := range vs {
		binary.LittleEndian.PutUint64(out[8*i:], v)
	}
	return dst
}

func appendRows32(dst []byte, vs []uint32, rows []uint32) []byte {
	dst, out := longer(dst, 4*len(rows))
	for i, r := range rows {
		binary.LittleEndian.PutUint32(out[4*i:], vs[r])
	}
	return dst
}

func appendRows64(dst []byte, vs []uint64, rows []uint32) []byte {
	dst, out := longer(dst, 8*len(rows))
	for i, r := range rows {
		binary.LittleEndian.PutUint64(out[8*i:], vs[r])
	}
	return dst
}

// longer returns dst with n more bytes, and these.
func longer(dst []byte, n int) (all, more []byte) {
	at := len(dst)
	all = slices.Grow(dst, n)[:at+n]
	return all, all[at:]
}
