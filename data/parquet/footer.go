package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

const (
	magic         = "PAR1"
	magicSealed   = "PARE" // a file with an encrypted footer
	tailBytes     = 64 << 10
	maxFooter     = 1 << 30
	minFileBytes  = 12
	trailerBytes  = 8
	maxSchemaSize = 1 << 20
)

// element is one line of the footer's flattened schema tree.
type element struct {
	name       string
	physical   format.Type
	isLeaf     bool // a physical type was given
	width      int32
	repetition format.FieldRepetitionType
	children   int32
	converted  int32 // -1: none
	scale      int32
	precision  int32
	logical    logical
}

// logical is the part of a logical type that decides how values are read.
type logical struct {
	id    int16 // field of the union in parquet.thrift, 0: none
	utc   bool
	unit  int16 // 1 millis, 2 micros, 3 nanos
	bits  int8
	sign  bool
	scale int32
}

// chunk is where one column of one row group lies in the file.
type chunk struct {
	physical  format.Type
	codec     format.CompressionCodec
	numValues int64
	packed    int64 // compressed bytes, headers included
	plain     int64 // uncompressed bytes, headers included
	start     int64
	dictAt    int64
	sealed    bool // encrypted, or without metadata here
	elsewhere bool // in another file

	stats       statistics
	bloom       location // size 0: not said
	columnIndex location
	offsetIndex location
}

type rowGroup struct {
	numRows int64
	chunks  []chunk
}

type footer struct {
	elements  []element
	numRows   int64
	groups    []rowGroup
	encrypted bool
	end       int64  // of what lies before the footer
	bytes     int64  // of the footer in the file
	ordered   []bool // by chunk: min and max are in the order of the column's type
}

// readFooter fetches and decodes the footer. Nothing is allocated on the word
// of the file: the footer's length is held against the file's.
func readFooter(r io.ReaderAt, size int64) (*footer, error) {
	if size < minFileBytes {
		return nil, fmt.Errorf("%d bytes are too few for a Parquet file", size)
	}
	tail := make([]byte, min(size, tailBytes)) // one read is enough for most footers
	if err := readAt(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	switch string(tail[len(tail)-4:]) {
	case magic:
	case magicSealed:
		return nil, errors.New("the footer is encrypted, which is not supported")
	default:
		return nil, fmt.Errorf("not a Parquet file, or cut short: no PAR1 at its end%s", otherwise(tail))
	}
	n := int64(binary.LittleEndian.Uint32(tail[len(tail)-8:]))
	if n > size-minFileBytes || n > maxFooter {
		return nil, fmt.Errorf("footer of %d bytes claimed in a file of %d", n, size)
	}
	var b []byte
	if n+trailerBytes <= int64(len(tail)) {
		b = tail[int64(len(tail))-trailerBytes-n : len(tail)-trailerBytes]
	} else {
		b = make([]byte, n)
		if err := readAt(r, b, size-trailerBytes-n); err != nil {
			return nil, err
		}
	}
	f, err := decodeFooter(b)
	if err != nil {
		return nil, err
	}
	f.end, f.bytes = size-trailerBytes-n, n
	return f, f.validate(f.end)
}

// otherwise is what to do with a file that ends as those of other formats do.
func otherwise(tail []byte) string {
	const importIt = "; troupe data import makes Parquet of it"
	if bytes.HasSuffix(tail, []byte("ARROW1")) {
		return "; it is an Arrow file" + importIt
	}
	for _, c := range tail[max(0, len(tail)-64):] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c >= 0x7f {
			return ""
		}
	}
	return "; it looks like text" + importIt
}

// readAt fills b or says why not; a short file is a corrupt one.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%d of %d bytes at %d: %w", n, len(b), at, io.ErrUnexpectedEOF)
	}
	return &readError{err}
}

// readError marks a fault of the reader, which is not the file's.
type readError struct{ err error }

func (e *readError) Error() string { return "read: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func decodeFooter(b []byte) (*footer, error) {
	r := &compact{b: b}
	f := &footer{}
	r.fields(func(id int16, t byte) bool {
		switch id {
		case 2:
			r.structs(t, func() { f.elements = append(f.elements, r.element()) })
		case 3:
			f.numRows = r.i64(t)
		case 4:
			r.structs(t, func() { f.groups = append(f.groups, r.rowGroup()) })
		case 7:
			r.structs(t, func() { f.ordered = append(f.ordered, r.columnOrder()) })
		case 8:
			f.encrypted = true
			return false
		default:
			return false
		}
		return true
	})
	if r.err != nil {
		return nil, fmt.Errorf("footer: %w", r.err)
	}
	return f, nil
}

func (r *compact) element() element {
	e := element{converted: -1}
	named := false
	r.fields(func(id int16, t byte) bool {
		switch id {
		case 1:
			e.physical, e.isLeaf = format.Type(r.i32(t)), true
		case 2:
			e.width = r.i32(t)
		case 3:
			e.repetition = format.FieldRepetitionType(r.i32(t))
		case 4:
			e.name, named = string(r.bytes(t)), true
		case 5:
			e.children = r.i32(t)
		case 6:
			e.converted = r.i32(t)
		case 7:
			e.scale = r.i32(t)
		case 8:
			e.precision = r.i32(t)
		case 10:
			if t != thriftStruct {
				return false
			}
			e.logical = r.logical()
		default:
			return false
		}
		return true
	})
	if !named {
		r.fail("schema element without a name")
	}
	return e
}

func (r *compact) logical() logical {
	var l logical
	r.fields(func(id int16, t byte) bool {
		l.id = id
		if t != thriftStruct {
			return false
		}
		switch id {
		case logicalDecimal:
			r.fields(func(id int16, t byte) bool {
				if id == 1 {
					l.scale = r.i32(t)
				}
				return id == 1
			})
		case logicalTime, logicalTimestamp:
			r.fields(func(id int16, t byte) bool {
				switch {
				case id == 1:
					l.utc = r.bool(t)
				case id == 2 && t == thriftStruct:
					r.fields(func(id int16, _ byte) bool { l.unit = id; return false })
				default:
					return false
				}
				return true
			})
		case logicalInteger:
			r.fields(func(id int16, t byte) bool {
				switch id {
				case 1:
					l.bits = int8(r.int(t, -128, 127))
				case 2:
					l.sign = r.bool(t)
				default:
					return false
				}
				return true
			})
		default:
			return false
		}
		return true
	})
	return l
}

func (r *compact) rowGroup() rowGroup {
	g := rowGroup{numRows: -1}
	r.fields(func(id int16, t byte) bool {
		switch id {
		case 1:
			r.structs(t, func() { g.chunks = append(g.chunks, r.chunk()) })
		case 3:
			g.numRows = r.i64(t)
		default:
			return false
		}
		return true
	})
	if g.numRows < 0 {
		r.fail("row group without a count of rows")
	}
	return g
}

func (r *compact) chunk() chunk {
	c := chunk{sealed: true}
	r.fields(func(id int16, t byte) bool {
		switch {
		case id == 1:
			c.elsewhere = len(r.bytes(t)) > 0
		case id == 3 && t == thriftStruct:
			c.sealed = false
			r.chunkMeta(&c)
		case id == 4:
			c.offsetIndex.at = r.i64(t)
		case id == 5:
			c.offsetIndex.size = r.i32(t)
		case id == 6:
			c.columnIndex.at = r.i64(t)
		case id == 7:
			c.columnIndex.size = r.i32(t)
		default:
			return false
		}
		return true
	})
	return c
}

func (r *compact) chunkMeta(c *chunk) {
	seen := 0
	r.fields(func(id int16, t byte) bool {
		switch id {
		case 1:
			c.physical = format.Type(r.i32(t))
		case 4:
			c.codec = format.CompressionCodec(r.i32(t))
		case 5:
			c.numValues = r.i64(t)
		case 6:
			c.plain = r.i64(t)
		case 7:
			c.packed = r.i64(t)
		case 9:
			c.start = r.i64(t)
		case 11:
			c.dictAt = r.i64(t)
		case 12:
			if t != thriftStruct {
				return false
			}
			c.stats = r.statistics()
		case 14:
			c.bloom.at = r.i64(t)
		case 15:
			c.bloom.size = r.i32(t)
		default:
			return false
		}
		if id <= 9 {
			seen++
		}
		return true
	})
	if seen < 6 {
		r.fail("column chunk without its sizes")
	}
	if c.dictAt > 0 && c.dictAt < c.start {
		c.start = c.dictAt
	}
}
