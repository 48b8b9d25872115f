package parquet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// scratch is the memory that decoding needs besides the columns themselves. It
// is used again for the next column.
type scratch struct {
	unpacker
	broken   bool // by a panic
	maxBytes int64
	expanded int64  // bytes of strings that share prefixes, of a chunk so far
	fetched  []byte // chunks as in the file
	pages    []page
	window   RowSpan        // rows of the row group that are read
	rows     data.Bitmap    // those of the window that are wanted, nil: all
	shift    int            // row of the window at which a column that is decoded begins
	columns  []*data.Column // of a filtered read, before the filter
	list     elements
	ofRows   []uint32           // the row that each element was of, when a list has become rows
	indexes  map[int]*pageIndex // by chunk, those that rows were ruled out by
	body     []byte             // a decompressed page
	dict     []byte             // a decompressed dictionary page, which the chunk's views point into
	joined   []byte
	index    []uint32
	test     *condition // of the column that is decoded, nil: none
	chosen   []uint32   // rows of a page, and
	places   []uint32   // their values' places
	lengths  []int32
	prefixes []int32
	int32s   []int32
	int64s   []int64
	views    [][]byte

	dictInt32   []int32
	dictInt64   []int64
	dictFloat32 []float32
	dictFloat64 []float64
	dictViews   [][]byte
	dictCodes   []uint32
	table       []uint32 // of an interner
}

// columnReader decodes the pages of one chunk into one column.
type columnReader struct {
	*scratch
	leaf        *leaf
	codec       format.CompressionCodec
	col         *data.Column
	row         int // rows done
	int32Dict   dictionary[int32]
	int64Dict   dictionary[int64]
	float32Dict dictionary[float32]
	float64Dict dictionary[float64]
	viewDict    dictionary[[]byte]
	dictEntries *data.Column // of whichever dictionary, as the column has them
	noEntries   bool
	verdicts    verdicts
	codes       []uint32 // of dictionary entries, noCode until used
	strings     interner
	numNulls    int
	marks       data.Bitmap // memory for the bitmap, if it is needed
}

// readColumn decodes a chunk of rows. That its pages claim to hold as many
// rows is known before. The memory of old, which may be nil, is used again.
func (s *scratch) readColumn(ctx context.Context, l *leaf, codec format.CompressionCodec, pages []page, rows int, old *data.Column) (*data.Column, error) {
	r := &columnReader{scratch: s, leaf: l, codec: codec, col: columnOf(old, l.field.Type, rows)}
	s.expanded = 0
	s.stop = func() error { return stopped(ctx) }
	defer func() { s.stop = nil }()
	r.strings = interner{dict: r.col.Dict, table: s.table[:0]}
	if old != nil {
		r.marks = old.Valid
	}
	for i := range pages {
		if err := r.stop(); err != nil {
			return nil, err
		}
		err := r.page(&pages[i])
		if err == nil && r.strings.size > s.maxBytes {
			err = errStrings(s.maxBytes)
		}
		if err != nil {
			return nil, atPage(i, err)
		}
	}
	if r.numNulls == 0 {
		r.col.Valid = nil
	}
	r.col.Dict, s.table = r.strings.dict, r.strings.table
	return r.col, nil
}

// page decodes one page. A panic is a bug here or in a decompressor, set off by
// what the page holds; scratch memory is then not used again.
func (r *columnReader) page(p *page) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			r.broken = true
			err = fault.New(fault.Corrupt, "cannot be decoded: %v", panicked)
		}
	}()
	switch p.kind {
	case format.DictionaryPage:
		return r.dictionaryPage(p)
	case format.DataPage, format.DataPageV2:
		return r.dataPage(p)
	}
	return nil
}

// windowRows is how many rows are read.
func (s *scratch) windowRows() int { return int(s.window.To - s.window.From) }

// wanted reports whether any of n rows of a column is.
func (s *scratch) wanted(row, n int) bool {
	from, to := max(row+s.shift, 0), min(row+s.shift+n, s.windowRows())
	return s.rows == nil || anySet(s.rows, from, to-from)
}

func errStrings(maxBytes int64) error {
	return fault.New(fault.Exhausted, "strings take more than the %d bytes of memory there may be", maxBytes)
}

func (r *columnReader) dictionaryPage(p *page) error {
	if r.row > 0 || r.int32Dict.there || r.int64Dict.there || r.float32Dict.there || r.float64Dict.there || r.viewDict.there {
		return errors.New("a second dictionary, or one after the data")
	}
	b, err := r.unpack(r.codec, p.body, p.plain, &r.dict)
	if err != nil {
		return err
	}
	if !isDictionary(p.encoding) && p.encoding != format.Plain {
		return unsupportedEncoding(p.encoding)
	}
	n := p.numValues
	if r.leaf.physical != format.Boolean && n > len(b)/r.leaf.leastBytes() {
		return fmt.Errorf("dictionary of %d values claimed in %d bytes", n, len(b))
	}
	if n > max(r.col.Len(), plausibleDict) {
		return fmt.Errorf("dictionary of %d values for %d", n, r.col.Len())
	}
	switch r.leaf.physical {
	case format.Int32:
		r.int32Dict = dictionary[int32]{scratchOf(&r.dictInt32, n), true}
		return plainNumbers(r.int32Dict.values, b)
	case format.Int64:
		r.int64Dict = dictionary[int64]{scratchOf(&r.dictInt64, n), true}
		return plainNumbers(r.int64Dict.values, b)
	case format.Float:
		r.float32Dict = dictionary[float32]{scratchOf(&r.dictFloat32, n), true}
		return plainNumbers(r.float32Dict.values, b)
	case format.Double:
		r.float64Dict = dictionary[float64]{scratchOf(&r.dictFloat64, n), true}
		return plainNumbers(r.float64Dict.values, b)
	case format.ByteArray, format.FixedLenByteArray, format.Int96:
		if int64(n)*viewBytes > r.maxBytes {
			return fault.New(fault.Exhausted, "a dictionary of %d values takes more than the %d bytes of memory there may be: write smaller ones", n, r.maxBytes)
		}
		r.viewDict = dictionary[[]byte]{scratchOf(&r.dictViews, n), true}
		r.codes = scratchOf(&r.dictCodes, n)
		for i := range r.codes {
			r.codes[i] = noCode
		}
		_, err := plainViews(r.viewDict.values, r.leaf, b)
		return err
	}
	return errors.New("a dictionary of booleans")
}

func (r *columnReader) dataPage(p *page) error {
	n := p.numValues
	if n > r.col.Len()-r.row {
		return fmt.Errorf("%d values, %d rows left", n, r.col.Len()-r.row)
	}
	skip := !r.wanted(r.row, n)
	if !skip && r.test != nil && isDictionary(p.encoding) {
		var err error
		if skip, err = r.ruledOut(n); err != nil {
			return err
		}
	}
	if skip {
		r.row += n
		return nil
	}
	values, numValid, err := r.unpackPage(p)
	if err != nil {
		return err
	}
	picked := false
	if r.rows != nil && isDictionary(p.encoding) {
		if picked, err = r.pick(values, n, numValid); err != nil {
			return err
		}
	}
	if !picked {
		if err := r.values(p.encoding, values, numValid); err != nil {
			return err
		}
	}
	if numValid < n {
		r.numNulls += n - numValid
		if !picked {
			r.spread(n, numValid)
		}
	}
	r.row += n
	return nil
}

// unpackPage decodes the levels of a page, and returns its values, decompressed,
// and how many there are.
func (r *columnReader) unpackPage(p *page) (values []byte, numValid int, err error) {
	n := p.numValues
	body := p.body
	numValid = n
	if p.kind == format.DataPage {
		if body, err = r.unpack(r.codec, p.body, p.plain, &r.body); err != nil {
			return nil, 0, err
		}
	}
	reps, defs, values, err := r.levelsOf(p, body)
	if err == nil && r.leaf.maxRep > 0 {
		err = r.repetition(reps, defs, n)
	}
	if err == nil && r.leaf.maxDef > 0 {
		numValid, err = r.definitionLevels(defs, n)
	}
	if err == nil && p.kind == format.DataPageV2 {
		codec := r.codec
		if !p.compressed {
			codec = format.Uncompressed
		}
		levels := p.reps + p.levels
		values, err = r.unpack(codec, p.body[levels:], p.plain-levels, &r.body)
	}
	return values, numValid, err
}

// values decodes the n values of a page that are there into the rows from
// r.row on, one after the other.
func (r *columnReader) values(enc format.Encoding, b []byte, n int) error {
	from, to := r.row, r.row+n
	c := r.col
	switch r.leaf.physical {
	case format.Boolean:
		return booleans(c.Bools[from:to], enc, b, r.scratch)
	case format.Float:
		return numbers(c.Float32s[from:to], enc, b, r.float32Dict, r.scratch)
	case format.Double:
		return numbers(c.Float64s[from:to], enc, b, r.float64Dict, r.scratch)
	case format.Int32:
		dst := c.Int32s
		if r.leaf.conv != asIs {
			dst, from, to = scratchOf(&r.int32s, n), 0, n
		}
		if err := numbers(dst[from:to], enc, b, r.int32Dict, r.scratch); err != nil {
			return err
		}
		r.convertInt32(dst[from:to])
		return nil
	case format.Int64:
		dst := c.Int64s
		if r.leaf.conv == fromDecimal64 || r.leaf.conv == fromUint64Text {
			dst, from, to = scratchOf(&r.int64s, n), 0, n
		}
		if err := numbers(dst[from:to], enc, b, r.int64Dict, r.scratch); err != nil {
			return err
		}
		return r.convertInt64(dst[from:to])
	}
	if r.leaf.field.Type == data.String && isDictionary(enc) {
		return r.dictionaryStrings(c.Codes[from:to], b)
	}
	if enc == format.Plain && n > len(b)/r.leaf.leastBytes() {
		return errShort
	}
	return r.byteValues(enc, b, n)
}

// dictionaryStrings turns indices of the chunk's dictionary into codes of the
// column's, which has only the strings that occur, each once.
func (r *columnReader) dictionaryStrings(dst []uint32, b []byte) error {
	if !r.viewDict.there {
		return errNoDictionary
	}
	if err := indices(dst, b, len(r.viewDict.values)); err != nil {
		return err
	}
	codes := r.codes
	for i, k := range dst {
		code := codes[k]
		if code == noCode {
			var err error
			if code, err = r.codeOf(k); err != nil {
				return err
			}
		}
		dst[i] = code
	}
	return nil
}

// codeOf returns the column's code of an entry of the chunk's dictionary.
func (r *columnReader) codeOf(k uint32) (uint32, error) {
	code := r.codes[k]
	if code == noCode {
		var err error
		if code, err = r.intern(r.viewDict.values[k]); err != nil {
			return 0, err
		}
		r.codes[k] = code
	}
	return code, nil
}

// intern returns the column's code of a string.
func (r *columnReader) intern(v []byte) (uint32, error) {
	if r.leaf.conv == fromUUID {
		v = formatUUID(v)
	}
	before := len(r.strings.dict)
	code := r.strings.code(v)
	if int(code) < before {
		return code, nil
	}
	if r.leaf.conv == fromText && !utf8.Valid(v) {
		return 0, fmt.Errorf("string %.40q is not UTF-8", v)
	}
	if before%stopRows == 0 {
		return code, r.stop()
	}
	return code, nil
}

func formatUUID(v []byte) []byte {
	var out [36]byte
	hex.Encode(out[:8], v[:4])
	hex.Encode(out[9:13], v[4:6])
	hex.Encode(out[14:18], v[6:8])
	hex.Encode(out[19:23], v[8:10])
	hex.Encode(out[24:], v[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return out[:]
}

// spread makes room for the nulls among n rows of which numValid are there.
func (r *columnReader) spread(n, numValid int) {
	c, from, to := r.col, r.row, r.row+n
	switch c.Type {
	case data.Bool:
		spread(c.Bools[from:to], numValid, c.Valid, from)
	case data.Int32, data.Date:
		spreadWords(data.Words32[uint32](c.Int32s[from:to]), numValid, c.Valid, from)
	case data.Int64, data.Timestamp:
		spreadWords(data.Words64[uint64](c.Int64s[from:to]), numValid, c.Valid, from)
	case data.Float32:
		spreadWords(data.Words32[uint32](c.Float32s[from:to]), numValid, c.Valid, from)
	case data.Float64:
		spreadWords(data.Words64[uint64](c.Float64s[from:to]), numValid, c.Valid, from)
	case data.String:
		spreadWords(c.Codes[from:to], numValid, c.Valid, from)
	}
}
