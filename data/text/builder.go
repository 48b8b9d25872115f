package text

import (
	"bytes"
	"math"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
)

// Nulls are the spellings of a value that is not there.
type Nulls struct {
	spellings [][]byte
	first     [256]bool // bytes that one of them begins with
}

// DefaultNulls are the spellings of null, beside the empty field, that are taken
// as such unless told otherwise.
func DefaultNulls() []string { return []string{`\N`, "NULL", "null"} }

// NewNulls returns a set of spellings. The empty text is always in it.
func NewNulls(spellings []string) *Nulls {
	n := &Nulls{}
	for _, s := range spellings {
		if s != "" {
			n.spellings = append(n.spellings, []byte(s))
			n.first[s[0]] = true
		}
	}
	return n
}

// Has reports whether the text is a spelling of null.
func (n *Nulls) Has(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if !n.first[b[0]] {
		return false
	}
	for _, s := range n.spellings {
		if bytes.Equal(s, b) {
			return true
		}
	}
	return false
}

// Builder makes one column, value by value, of at most as many rows as it was
// begun for. It may be begun again for the next chunk.
type Builder struct {
	format Format
	nulls  *Nulls
	column *data.Column
	rows   int
	limit  int

	// Of strings: the distinct ones lie one after the other in arena; slots is
	// an open table of code+1, by hash.
	arena  []byte
	ends   []int
	born   []int // the row that was the first to have it
	hashes []uint64
	slots  []uint32
}

// NewBuilder returns a builder of columns of the format.
func NewBuilder(f Format, nulls *Nulls) *Builder { return &Builder{format: f, nulls: nulls} }

// Format returns the column's format.
func (b *Builder) Format() Format { return b.format }

// Begin starts a column of at most so many rows.
func (b *Builder) Begin(most int) {
	b.column = data.NewColumn(b.format.Type, most)
	b.rows, b.limit = 0, most
	b.arena, b.ends, b.hashes, b.born = b.arena[:0], b.ends[:0], b.hashes[:0], b.born[:0]
	if b.format.Type == data.String {
		if len(b.slots) == 0 {
			b.slots = make([]uint32, 1<<10)
		}
		clear(b.slots)
	}
}

// Null adds a null.
func (b *Builder) Null() {
	c := b.column
	if c.Valid == nil {
		c.Valid = data.NewBitmap(b.limit)
		for i := range c.Valid {
			c.Valid[i] = math.MaxUint64
		}
	}
	c.Valid.Clear(b.rows)
	b.column.Zero(b.rows) // text that did not fit may have left something
	b.rows++
}

// Append adds the value of a field, and reports whether it is of the column's
// type; if not, nothing is added. Text that is a spelling of null is one, but
// not when it is quoted and the column is of strings.
func (b *Builder) Append(text []byte, quoted bool) bool {
	if b.format.Type == data.String {
		if !quoted && b.nulls.Has(text) {
			b.Null()
			return true
		}
		return b.AppendString(text)
	}
	if len(text) == 0 || b.nulls.first[text[0]] && b.nulls.Has(text) {
		b.Null()
		return true
	}
	if b.parse(text) {
		b.rows++
		return true
	}
	// Spaces around a number or time, or around nothing, do no harm.
	trimmed := bytes.Trim(text, " \t")
	if len(trimmed) == len(text) {
		return false
	}
	return b.Append(trimmed, quoted)
}

// parse sets the next row, if the text is of the column's type.
func (b *Builder) parse(text []byte) (ok bool) {
	c, row := b.column, b.rows
	switch b.format.Type {
	case data.Float64:
		c.Float64s[row], ok = parseFloat(text, 64)
	case data.Int64:
		c.Int64s[row], ok = parseInt(text)
	case data.Timestamp:
		c.Int64s[row], ok = b.timestamp(text)
	case data.Date:
		c.Int32s[row], ok = parseDate(text)
	case data.Bool:
		c.Bools[row], ok = parseBool(text)
	case data.Int32:
		var v int64
		v, ok = parseInt(text)
		ok = ok && v == int64(int32(v))
		c.Int32s[row] = int32(v)
	case data.Float32:
		var v float64
		v, ok = parseFloat(text, 32)
		c.Float32s[row] = float32(v)
	}
	return ok
}

func (b *Builder) timestamp(text []byte) (int64, bool) {
	if u := b.format.Unit; u != 0 {
		v, ok := parseInt(text)
		return v * u, ok && v <= math.MaxInt64/u && v >= math.MinInt64/u
	}
	micros, zoned, ok := parseTimestamp(text)
	return micros, ok && (zoned == b.format.UTC || !zoned && b.format.AssumeUTC)
}

// AppendString adds text as it stands to a column of strings, and reports
// whether it is UTF-8.
func (b *Builder) AppendString(text []byte) bool {
	h := xxh3.Hash(text)
	mask := uint64(len(b.slots) - 1)
	at := h & mask
	for b.slots[at] != 0 {
		code := b.slots[at] - 1
		if b.hashes[code] == h && bytes.Equal(b.distinct(code), text) {
			b.column.Codes[b.rows] = code
			b.rows++
			return true
		}
		at = (at + 1) & mask
	}
	if !utf8.Valid(text) {
		return false
	}
	code := uint32(len(b.ends))
	b.slots[at] = code + 1
	b.arena = append(b.arena, text...)
	b.ends = append(b.ends, len(b.arena))
	b.hashes = append(b.hashes, h)
	b.born = append(b.born, b.rows)
	if 2*len(b.ends) > len(b.slots) {
		b.rehash()
	}
	b.column.Codes[b.rows] = code
	b.rows++
	return true
}

func (b *Builder) distinct(code uint32) []byte {
	start := 0
	if code > 0 {
		start = b.ends[code-1]
	}
	return b.arena[start:b.ends[code]]
}

// rehash doubles the table. Codes are put back in their order, so that the
// newest can be taken out again first.
func (b *Builder) rehash() {
	b.slots = make([]uint32, 2*len(b.slots))
	mask := uint64(len(b.slots) - 1)
	for code, h := range b.hashes {
		at := h & mask
		for b.slots[at] != 0 {
			at = (at + 1) & mask
		}
		b.slots[at] = uint32(code) + 1
	}
}

// Rows returns how many values the column has.
func (b *Builder) Rows() int { return b.rows }

// Truncate takes the newest values away again, down to so many rows. Together
// with the rows go the strings that only they had.
func (b *Builder) Truncate(rows int) {
	if b.column.Valid != nil {
		for i := rows; i < b.rows; i++ {
			b.column.Valid.Set(i)
		}
	}
	b.rows = min(b.rows, rows)
	mask := uint64(len(b.slots) - 1)
	for n := len(b.born); n > 0 && b.born[n-1] >= b.rows; n = len(b.born) {
		// In an open table with linear steps the newest entry may just be cleared.
		code := uint32(n - 1)
		at := b.hashes[code] & mask
		for b.slots[at] != code+1 {
			at = (at + 1) & mask
		}
		b.slots[at] = 0
		b.arena = b.arena[:len(b.arena)-len(b.distinct(code))]
		b.ends, b.hashes, b.born = b.ends[:code], b.hashes[:code], b.born[:code]
	}
}

// End returns the column, which is the caller's.
func (b *Builder) End() *data.Column {
	c := b.column
	b.column = nil
	if c.Type == data.String {
		all := string(b.arena)
		c.Dict = make([]string, len(b.ends))
		start := 0
		for i, end := range b.ends {
			c.Dict[i] = all[start:end]
			start = end
		}
	}
	batch := &data.Batch{Schema: data.Schema{Fields: []data.Field{b.format.Field}}, Columns: []*data.Column{c}, NumRows: b.limit}
	return batch.Head(b.rows).Columns[0]
}
