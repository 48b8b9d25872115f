package parquet

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
)

// createdBy is the version of the encoder, not of the program: it changes when
// the same batches give other bytes.
const createdBy = "troupe version 1.0.0 (build 1)"

// groupMeta is what the footer says of a row group.
type groupMeta struct {
	numRows int64
	start   int64
	chunks  []chunkMeta
}

// chunkMeta is what the footer and the page index say of a chunk. Places of
// pages count from the chunk's start.
type chunkMeta struct {
	physical    format.Type
	encoding    format.Encoding // of the data pages
	hasDict     bool
	numValues   int64 // nulls included
	plain       int64
	packed      int64
	start       int64
	dataAt      int64
	numNulls    int64
	bounds      bounds
	pages       []pageMeta
	columnIndex location
	offsetIndex location
}

// location is a run of bytes of the file.
type location struct {
	at   int64
	size int32
}

type pageMeta struct {
	at       int64
	size     int32 // header included
	firstRow int64
	numNulls int64
	numRows  int64
	bounds   bounds
}

// bounds are the least and the greatest value as statistics store them.
type bounds struct {
	there    bool
	min, max []byte
}

// footer returns page index, footer and trailer.
func (w *Writer) footer() []byte {
	out := &compactWriter{}
	w.index(out)
	start := len(out.b)
	out.begin()
	out.i32(1, 2)
	out.list(2, thriftStruct, 1+len(w.schema.Fields))
	w.schemaElements(out)
	out.i64(3, w.numRows)
	out.list(4, thriftStruct, len(w.groups))
	for i := range w.groups {
		w.rowGroup(out, &w.groups[i], i)
	}
	out.string(6, createdBy)
	out.list(7, thriftStruct, len(w.schema.Fields))
	for range w.schema.Fields {
		out.begin()
		out.empty(1) // order by type
		out.end()
	}
	out.end()
	out.b = binary.LittleEndian.AppendUint32(out.b, uint32(len(out.b)-start))
	out.b = append(out.b, magic...)
	return out.b
}

func (w *Writer) schemaElements(out *compactWriter) {
	out.begin()
	out.string(4, "schema")
	out.i32(5, int32(len(w.schema.Fields)))
	out.end()
	for i, f := range w.schema.Fields {
		out.begin()
		out.i32(1, int32(physicalOf(f.Type)))
		repetition := format.Required
		if f.Nullable {
			repetition = format.Optional
		}
		out.i32(3, int32(repetition))
		out.string(4, f.Name)
		switch {
		case f.Type == data.String && !w.opaque[i]:
			out.i32(6, convertedUTF8)
			out.open(10)
			out.empty(logicalString)
			out.end()
		case f.Type == data.Date:
			out.i32(6, convertedDate)
			out.open(10)
			out.empty(logicalDate)
			out.end()
		case f.Type == data.Timestamp:
			if f.UTC { // the older type has no word for wall time
				out.i32(6, convertedTimestampMicros)
			}
			out.open(10)
			out.open(logicalTimestamp)
			out.bool(1, f.UTC)
			out.open(2)
			out.empty(2) // microseconds
			out.end()
			out.end()
			out.end()
		}
		out.end()
	}
}

func physicalOf(t data.Type) format.Type {
	switch t {
	case data.Bool:
		return format.Boolean
	case data.Int32, data.Date:
		return format.Int32
	case data.Int64, data.Timestamp:
		return format.Int64
	case data.Float32:
		return format.Float
	case data.Float64:
		return format.Double
	default:
		return format.ByteArray
	}
}

func (w *Writer) rowGroup(out *compactWriter, g *groupMeta, ordinal int) {
	plain, packed := int64(0), int64(0)
	for i := range g.chunks {
		plain += g.chunks[i].plain
		packed += g.chunks[i].packed
	}
	out.begin()
	out.list(1, thriftStruct, len(g.chunks))
	for i := range g.chunks {
		c := &g.chunks[i]
		out.begin()
		out.i64(2, 0) // of a copy of the metadata beside the chunk, which there is none
		out.open(3)
		c.metaData(out, w.schema.Fields[i].Name, w.cfg.Codec.format())
		out.end()
		out.i64(4, c.offsetIndex.at)
		out.i32(5, c.offsetIndex.size)
		if c.columnIndex.size > 0 {
			out.i64(6, c.columnIndex.at)
			out.i32(7, c.columnIndex.size)
		}
		out.end()
	}
	out.i64(2, plain)
	out.i64(3, g.numRows)
	out.i64(5, g.start)
	out.i64(6, packed)
	if ordinal < 1<<15 {
		out.field(7, thriftI16)
		out.b = binary.AppendVarint(out.b, int64(ordinal))
	}
	out.end()
}

func (c *chunkMeta) metaData(out *compactWriter, name string, codec format.CompressionCodec) {
	out.i32(1, int32(c.physical))
	encodings := []format.Encoding{c.encoding, format.RLE}
	if c.hasDict {
		encodings = append(encodings, format.Plain)
	}
	out.list(2, thriftI32, len(encodings))
	for _, e := range encodings {
		out.b = binary.AppendVarint(out.b, int64(e))
	}
	out.list(3, thriftBinary, 1)
	out.element([]byte(name))
	out.i32(4, int32(codec))
	out.i64(5, c.numValues)
	out.i64(6, c.plain)
	out.i64(7, c.packed)
	out.i64(9, c.start+c.dataAt)
	if c.hasDict {
		out.i64(11, c.start)
	}
	out.open(12)
	out.i64(3, c.numNulls)
	if c.bounds.there {
		out.bytes(5, c.bounds.max)
		out.bytes(6, c.bounds.min)
	}
	out.end()
}

// index writes the page index of all chunks and notes where.
func (w *Writer) index(out *compactWriter) {
	for g := range w.groups {
		for i := range w.groups[g].chunks {
			c := &w.groups[g].chunks[i]
			from := len(out.b)
			if c.writeColumnIndex(out) {
				c.columnIndex = location{w.at + int64(from), int32(len(out.b) - from)}
			}
		}
	}
	for g := range w.groups {
		for i := range w.groups[g].chunks {
			c := &w.groups[g].chunks[i]
			from := len(out.b)
			out.begin()
			out.list(1, thriftStruct, len(c.pages))
			for _, p := range c.pages {
				out.begin()
				out.i64(1, c.start+p.at)
				out.i32(2, p.size)
				out.i64(3, p.firstRow)
				out.end()
			}
			out.end()
			c.offsetIndex = location{w.at + int64(from), int32(len(out.b) - from)}
		}
	}
}

// writeColumnIndex writes min, max and nulls by page, unless a page with values
// has no bounds: the format has no way to say so.
func (c *chunkMeta) writeColumnIndex(out *compactWriter) bool {
	for _, p := range c.pages {
		if !p.bounds.there && p.numNulls < p.numRows {
			return false
		}
	}
	out.begin()
	out.list(1, thriftTrue, len(c.pages))
	for _, p := range c.pages {
		if p.bounds.there {
			out.b = append(out.b, thriftFalse)
		} else {
			out.b = append(out.b, thriftTrue) // nulls only
		}
	}
	out.list(2, thriftBinary, len(c.pages))
	for _, p := range c.pages {
		out.element(p.bounds.min)
	}
	out.list(3, thriftBinary, len(c.pages))
	for _, p := range c.pages {
		out.element(p.bounds.max)
	}
	out.i32(4, 0) // in no known order
	out.list(5, thriftI64, len(c.pages))
	for _, p := range c.pages {
		out.b = binary.AppendVarint(out.b, p.numNulls)
	}
	out.end()
	return true
}
