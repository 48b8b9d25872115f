package parquet

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
)

// chunkWriter is one encoded column of a row group. Its buffer is used again.
type chunkWriter struct {
	buf    []byte
	meta   chunkMeta
	opaque bool // it holds strings that are not UTF-8
}

// chunkEncoder encodes one column after the other. Besides its memory nothing
// passes from one to the next.
type chunkEncoder struct {
	cfg    WriterConfig
	zstd   *zstd.Encoder
	header compactWriter
	body   []byte
	packed []byte
	levels []byte
	ends   []int // rows at which pages end

	int32s   []int32
	int64s   []int64
	float32s []float32
	float64s []float64
	codes    []uint32
	local    []uint32 // by code of the batch: code in the chunk, plus 1
	strings  []string
	marks    []uint32
	page     uint32
	table32  codeTable[uint32]
	table64  codeTable[uint64]
}

// values is what a chunk holds besides nulls, in order, ready to be encoded.
type values struct {
	encoding format.Encoding
	append   func(dst []byte, from, to int) []byte // what data pages hold
	bounds   func(from, to int) bounds
	all      func(pages []pageMeta) bounds // those of the chunk

	dict     []byte // PLAIN, when encoding is a dictionary's
	dictSize int    // values in it
}

// encode makes the chunk of column c, whose buffer is used again.
func (e *chunkEncoder) encode(o *chunkWriter, f data.Field, c *data.Column, rows int) {
	o.buf, o.opaque = o.buf[:0], false
	o.meta = chunkMeta{physical: physicalOf(f.Type), numValues: int64(rows)}
	nulls := 0
	if f.Nullable {
		nulls = c.NumNulls()
	}
	valid := c.Valid
	if nulls == 0 {
		valid = nil
	}
	e.ends = e.ends[:0]
	for end := e.cfg.PageRows; end < rows; end += e.cfg.PageRows {
		e.ends = append(e.ends, end)
	}
	e.ends = append(e.ends, rows)
	v := e.values(o, c, valid, rows-nulls)
	o.meta.encoding = v.encoding
	if v.encoding == format.RLEDictionary {
		o.meta.hasDict = true
		e.writePage(o, pageHead{kind: format.DictionaryPage, encoding: format.Plain, numValues: v.dictSize}, nil, v.dict)
	}
	o.meta.dataAt = int64(len(o.buf))
	row, at := 0, 0
	for _, end := range e.ends {
		here := end - row
		if valid != nil {
			here = countBits(valid, row, end)
		}
		e.levels = e.levels[:0]
		if f.Nullable {
			e.levels = appendLevels(e.levels, valid, row, end, here)
		}
		e.body = v.append(e.body[:0], at, at+here)
		p := pageMeta{at: int64(len(o.buf)), firstRow: int64(row), numRows: int64(end - row), numNulls: int64(end - row - here)}
		if here > 0 {
			p.bounds = v.bounds(at, at+here)
		}
		e.writePage(o, pageHead{kind: format.DataPageV2, encoding: v.encoding, numValues: end - row, numNulls: end - row - here}, e.levels, e.body)
		p.size = int32(int64(len(o.buf)) - p.at)
		o.meta.pages = append(o.meta.pages, p)
		row, at = end, at+here
	}
	o.meta.numNulls = int64(nulls)
	if rows > nulls {
		o.meta.bounds = v.all(o.meta.pages)
	}
	o.meta.packed = int64(len(o.buf))
}

// values chooses how to encode a column of which n rows are there.
func (e *chunkEncoder) values(o *chunkWriter, c *data.Column, valid data.Bitmap, n int) values {
	switch c.Type {
	case data.Bool:
		return boolValues(present(c.Bools, valid, n, new([]bool)))
	case data.Int32, data.Date:
		vs := present(c.Int32s, valid, n, &e.int32s)
		return numberValues(e, vs, data.Words32[uint32](vs), &e.table32)
	case data.Float32:
		vs := present(c.Float32s, valid, n, &e.float32s)
		return numberValues(e, vs, data.Words32[uint32](vs), &e.table32)
	case data.Int64, data.Timestamp:
		vs := present(c.Int64s, valid, n, &e.int64s)
		return numberValues(e, vs, data.Words64[uint64](vs), &e.table64)
	case data.Float64:
		vs := present(c.Float64s, valid, n, &e.float64s)
		return numberValues(e, vs, data.Words64[uint64](vs), &e.table64)
	default:
		return e.stringValues(o, c, valid, n)
	}
}

// present returns the values that are there: src itself, or in *buf.
func present[T any](src []T, valid data.Bitmap, n int, buf *[]T) []T {
	if valid == nil {
		return src
	}
	dst := scratchOf(buf, n)
	k := 0
	for i := 0; i < len(src); i += 64 {
		part := src[i:min(i+64, len(src))]
		w := valid[i>>6]
		if len(part) < 64 {
			w &= 1<<uint(len(part)) - 1
		}
		if w == ^uint64(0) {
			k += copy(dst[k:], part)
			continue
		}
		for ; w != 0; w &= w - 1 {
			dst[k] = part[bits.TrailingZeros64(w)]
			k++
		}
	}
	return dst
}

// countBits counts the set bits of rows [from, to).
func countBits(b data.Bitmap, from, to int) int {
	n := 0
	for i := from; i < to; {
		s := uint(i) & 63
		k := min(to-i, 64-int(s))
		n += bits.OnesCount64(b[i>>6] >> s & (^uint64(0) >> (64 - uint(k))))
		i += k
	}
	return n
}

// numberValues encodes numbers by dictionary if few are distinct, whole numbers
// by their differences where these take less, others as they are or, byte by byte,
// in streams.
func numberValues[T number, W uint32 | uint64](e *chunkEncoder, vs []T, ws []W, table *codeTable[W]) values {
	v := values{encoding: format.Plain, bounds: func(from, to int) bounds { return numberBounds(vs[from:to]) }, all: boundsOfPages[T]}
	deltaBits, appendDelta := deltasOf(vs)
	codes := scratchOf(&e.codes, len(ws))
	if dict := table.encode(codes, ws, mostDistinct(ws, deltaBits)); dict != nil {
		v.encoding, v.dictSize = format.RLEDictionary, len(dict)
		v.dict = appendWords(nil, dict)
		width := indexWidth(len(dict))
		v.append = func(dst []byte, from, to int) []byte { return appendIndices(dst, codes[from:to], width) }
		return v
	}
	if deltaBits < 8*widthOf[T]()*3/4 {
		v.encoding, v.append = format.DeltaBinaryPacked, appendDelta
		return v
	}
	if appendDelta == nil && dense(e, ws) { // they are not whole
		v.encoding = format.ByteStreamSplit
		v.append = func(dst []byte, from, to int) []byte { return appendSplit(dst, ws[from:to]) }
		return v
	}
	v.append = func(dst []byte, from, to int) []byte { return appendWords(dst, ws[from:to]) }
	return v
}

// deltasOf returns about how many bits each value takes as a difference to the
// one before it, and what writes them so: more than the values themselves have,
// and nothing, for those that are not whole numbers.
func deltasOf[T number](vs []T) (bitsEach int, write func(dst []byte, from, to int) []byte) {
	switch vs := any(vs).(type) {
	case []int32:
		return deltaBits(vs), func(dst []byte, from, to int) []byte { return appendDeltas(dst, vs[from:to]) }
	case []int64:
		return deltaBits(vs), func(dst []byte, from, to int) []byte { return appendDeltas(dst, vs[from:to]) }
	}
	return math.MaxInt, nil
}

// boolValues encodes truths as bits, eight at a time: a bool is a byte of 0 or 1.
func boolValues(vs []bool) values {
	bytesOf := memoryOf(vs)
	of := func(from, to int) bounds {
		b := bounds{true, []byte{1}, []byte{0}}
		if bytes.IndexByte(bytesOf[from:to], 0) >= 0 {
			b.min[0] = 0
		}
		if bytes.IndexByte(bytesOf[from:to], 1) >= 0 {
			b.max[0] = 1
		}
		return b
	}
	return values{
		encoding: format.Plain,
		append: func(dst []byte, from, to int) []byte {
			return appendBits(dst, bytesOf[from:to])
		},
		bounds: of,
		all:    func([]pageMeta) bounds { return of(0, len(vs)) },
	}
}

// appendBits appends a bit for each byte of 0 or 1, least significant first.
func appendBits(dst, ones []byte) []byte {
	at := len(dst)
	dst = extend(dst, (len(ones)+7)/8)
	out := dst[at:]
	for i := range len(ones) / 8 {
		// Byte k, times two to the power 56 - 7 k, is bit 56 + k; nothing else gets there.
		out[i] = byte(binary.LittleEndian.Uint64(ones[8*i:]) * 0x0102040810204080 >> 56)
	}
	if rest := len(ones) &^ 7; rest < len(ones) {
		b := byte(0)
		for k, v := range ones[rest:] {
			b |= v << k
		}
		out[len(out)-1] = b
	}
	return dst
}

// stringValues encodes strings by a dictionary of those that occur, in order of
// first appearance, or one by one when that would be too large.
func (e *chunkEncoder) stringValues(o *chunkWriter, c *data.Column, valid data.Bitmap, n int) values {
	codes := e.localCodes(o, present(c.Codes, valid, n, &e.codes), c.Dict)
	dict := e.strings
	v := values{encoding: format.RLEDictionary, dictSize: len(dict)}
	size := 0
	for _, s := range dict {
		size += 4 + len(s)
	}
	v.bounds = func(from, to int) bounds { return e.stringBounds(dict, codes[from:to]) }
	v.all = func([]pageMeta) bounds { return boundsOfStrings(dict) }
	if size <= e.cfg.MaxDictionaryBytes || len(dict) == 0 {
		for _, s := range dict {
			v.dict = appendString(v.dict, s)
		}
		width := indexWidth(len(dict))
		v.append = func(dst []byte, from, to int) []byte { return appendIndices(dst, codes[from:to], width) }
		return v
	}
	v.encoding = format.Plain
	v.append = func(dst []byte, from, to int) []byte {
		for _, code := range codes[from:to] {
			dst = appendString(dst, dict[code])
		}
		return dst
	}
	e.cutByBytes(c, valid)
	return v
}

// localCodes numbers the strings that occur, which become e.strings.
func (e *chunkEncoder) localCodes(o *chunkWriter, codes []uint32, dict []string) []uint32 {
	local := scratchOf(&e.local, len(dict))
	clear(local)
	e.strings = e.strings[:0]
	out := scratchOf(&e.codes, len(codes))
	for i, code := range codes {
		k := local[code]
		if k == 0 {
			s := dict[code]
			o.opaque = o.opaque || !utf8.ValidString(s)
			e.strings = append(e.strings, s)
			k = uint32(len(e.strings))
			local[code] = k
		}
		out[i] = k - 1
	}
	return out
}

// plainPageBytes is about how large a page of strings written out becomes.
const plainPageBytes = 1 << 20

// cutByBytes ends pages of strings sooner when they are long.
func (e *chunkEncoder) cutByBytes(c *data.Column, valid data.Bitmap) {
	e.ends = e.ends[:0]
	size, first := 0, 0
	for i, code := range c.Codes {
		if size >= plainPageBytes || i-first == e.cfg.PageRows {
			e.ends = append(e.ends, i)
			size, first = 0, i
		}
		if valid.Get(i) {
			size += 4 + len(c.Dict[code])
		}
	}
	e.ends = append(e.ends, len(c.Codes))
}

// pageHead is what the header of a page says besides sizes.
type pageHead struct {
	kind      format.PageType
	encoding  format.Encoding
	numValues int
	numNulls  int
}

// writePage appends a page to the chunk. Data pages that compression hardly
// helps are left as they are, which readers are quicker with.
func (e *chunkEncoder) writePage(o *chunkWriter, h pageHead, levels, body []byte) {
	packed := e.compress(body)
	dictionary := h.kind == format.DictionaryPage // has no word for being left as it is
	compressed := e.cfg.Codec != None && (dictionary || len(packed) <= len(body)-len(body)/16)
	if !compressed {
		packed = body
	}
	crc := crc32.Update(crc32.ChecksumIEEE(levels), crc32.IEEETable, packed)
	w := &e.header
	w.b = w.b[:0]
	w.begin()
	w.i32(1, int32(h.kind))
	w.i32(2, int32(len(levels)+len(body)))
	w.i32(3, int32(len(levels)+len(packed)))
	w.i32(4, int32(crc))
	if dictionary {
		w.open(7)
		w.i32(1, int32(h.numValues))
		w.i32(2, int32(h.encoding))
	} else {
		w.open(8)
		w.i32(1, int32(h.numValues))
		w.i32(2, int32(h.numNulls))
		w.i32(3, int32(h.numValues)) // rows
		w.i32(4, int32(h.encoding))
		w.i32(5, int32(len(levels)))
		w.i32(6, 0) // repetition levels
		w.bool(7, compressed)
	}
	w.end()
	w.end()
	o.buf = append(o.buf, w.b...)
	o.buf = append(o.buf, levels...)
	o.buf = append(o.buf, packed...)
	o.meta.plain += int64(len(w.b) + len(levels) + len(body))
}

func (e *chunkEncoder) compress(b []byte) []byte {
	switch e.cfg.Codec {
	case Zstd:
		e.packed = e.zstd.EncodeAll(b, e.packed[:0])
	case Snappy:
		e.packed = snappy.Encode(grow(&e.packed, snappy.MaxEncodedLen(len(b))), b)
	default:
		return b
	}
	return e.packed
}
