package parquet

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Codec is how pages are compressed.
type Codec uint8

// The codecs that are written; more are read.
const (
	Zstd Codec = iota
	Snappy
	None
)

var codecNames = [...]string{"zstd", "snappy", "none"}

// String returns the codec's name as specs write it.
func (c Codec) String() string {
	if int(c) < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec(%d)", uint8(c))
}

// WriterConfig says how files are written. All but Workers shape the bytes.
type WriterConfig struct {
	Codec Codec
	// Level of zstd, 1 (fast) to 4 (small); more than 1 seldom pays for numbers.
	Level int
	// MaxDictionaryBytes is the largest dictionary page of strings; a row group
	// whose distinct strings take more has them written out row by row.
	MaxDictionaryBytes int
	// PageRows is the most rows of a page, the unit of what is decompressed and
	// of min and max in the page index. A multiple of 64 packs best.
	PageRows int
	// Workers is how many columns are encoded at the same time. The bytes of the
	// file are the same for any number.
	Workers int
}

// DefaultWriterConfig returns zstd of level 1, dictionaries of up to 1 MiB,
// pages of up to 65,536 rows, encoded by the caller alone.
func DefaultWriterConfig() WriterConfig {
	return WriterConfig{Codec: Zstd, Level: 1, MaxDictionaryBytes: 1 << 20, PageRows: 1 << 16, Workers: 1}
}

// Validate reports what is wrong with the configuration.
func (c WriterConfig) Validate() error {
	switch {
	case int(c.Codec) >= len(codecNames):
		return fault.New(fault.Invalid, "parquet: %v is not known; use zstd, snappy or none", c.Codec)
	case c.Codec == Zstd && (c.Level < 1 || c.Level > 4):
		return fault.New(fault.Invalid, "parquet: level %d; zstd has 1 to 4", c.Level)
	case c.MaxDictionaryBytes < 0 || c.MaxDictionaryBytes > maxPage:
		return fault.New(fault.Invalid, "parquet: dictionaries of %d bytes; use 0 to %d", c.MaxDictionaryBytes, maxPage)
	case c.PageRows < 1 || c.PageRows > 1<<20:
		return fault.New(fault.Invalid, "parquet: pages of %d rows; use 1 to %d", c.PageRows, 1<<20)
	case c.Workers < 1:
		return fault.New(fault.Invalid, "parquet: %d workers; there must be one or more", c.Workers)
	}
	return nil
}

// Writer writes batches of one schema as a Parquet file. It is not safe for
// concurrent use. After an error it writes no more and returns that error.
type Writer struct {
	w        io.Writer
	schema   data.Schema
	cfg      WriterConfig
	at       int64 // bytes written
	numRows  int64
	groups   []groupMeta
	opaque   []bool // by column: it holds strings that are not UTF-8
	chunks   []chunkWriter
	encoders []*chunkEncoder // by worker
	err      error
	closed   bool
}

// NewWriter begins a file. The schema's names must be unique and its types
// known; w stays the caller's to close, and gets few, large writes, one after the
// other, from goroutines that have ended when Write returns.
func NewWriter(w io.Writer, schema data.Schema, cfg WriterConfig) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(schema.Fields) == 0 {
		return nil, fault.New(fault.Invalid, "parquet: write: the schema has no columns")
	}
	seen := make(map[string]bool, len(schema.Fields))
	for _, f := range schema.Fields {
		switch {
		case seen[f.Name]:
			return nil, fault.New(fault.Invalid, "parquet: write: column %q occurs twice", f.Name)
		case !utf8.ValidString(f.Name):
			return nil, fault.New(fault.Invalid, "parquet: write: the column name %q is not UTF-8", f.Name)
		case f.Type > data.Date:
			return nil, fault.New(fault.Invalid, "parquet: write: column %q: type %v is not known", f.Name, f.Type)
		}
		seen[f.Name] = true
	}
	wr := &Writer{w: w, schema: schema, cfg: cfg, opaque: make([]bool, len(schema.Fields)), chunks: make([]chunkWriter, len(schema.Fields))}
	for range min(cfg.Workers, len(schema.Fields)) {
		e := &chunkEncoder{cfg: cfg}
		if cfg.Codec == Zstd {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevel(cfg.Level)),
				zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true), zstd.WithWindowSize(1<<20))
			if err != nil {
				return nil, fault.New(fault.Internal, "parquet: write: %w", err)
			}
			e.zstd = z
		}
		wr.encoders = append(wr.encoders, e)
	}
	return wr, wr.put([]byte(magic))
}

// put writes bytes and counts them.
func (w *Writer) put(b []byte) error {
	n, err := w.w.Write(b)
	w.at += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("parquet: write: %w", err)
	}
	return w.err
}

// Write adds the batch as one row group, whose bytes depend on the batch alone;
// a batch without rows adds nothing. Nothing of b is kept. A batch of another
// schema, or with nulls in a column that may have none, is fault.Invalid and
// leaves the file as it was.
func (w *Writer) Write(b *data.Batch) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return fault.New(fault.Internal, "parquet: write: the file is closed")
	}
	if err := w.check(b); err != nil {
		return err
	}
	if b.NumRows == 0 {
		return nil
	}
	g, err := w.encode(b)
	if err != nil {
		return err
	}
	w.groups = append(w.groups, g)
	w.numRows += int64(b.NumRows)
	return nil
}

// check holds a batch against the schema.
func (w *Writer) check(b *data.Batch) error {
	if len(b.Columns) != len(w.schema.Fields) {
		return fault.New(fault.Invalid, "parquet: write: %d columns, the file has %d", len(b.Columns), len(w.schema.Fields))
	}
	if b.NumRows > maxGroupRows {
		return fault.New(fault.Invalid, "parquet: write: a row group of %d rows; the most is %d", b.NumRows, maxGroupRows)
	}
	for i, c := range b.Columns {
		f := w.schema.Fields[i]
		switch {
		case c.Type != f.Type:
			return fault.New(fault.Invalid, "parquet: write: column %q is %v, the file has %v", f.Name, c.Type, f.Type)
		case c.Len() != b.NumRows:
			return fault.New(fault.Invalid, "parquet: write: column %q has %d rows of %d", f.Name, c.Len(), b.NumRows)
		case c.Valid != nil && len(c.Valid) < (b.NumRows+63)/64:
			return fault.New(fault.Invalid, "parquet: write: column %q has marks for %d rows of %d", f.Name, 64*len(c.Valid), b.NumRows)
		case !f.Nullable && c.NumNulls() > 0:
			return fault.New(fault.Invalid, "parquet: write: column %q has nulls, its field is not nullable", f.Name)
		}
		if c.Type == data.String && !checkCodes(c) {
			return fault.New(fault.Invalid, "parquet: write: column %q has codes beyond its %d strings", f.Name, len(c.Dict))
		}
	}
	return nil
}

// checkCodes reports whether every row that is not null has a string.
func checkCodes(c *data.Column) bool {
	if len(c.Dict) == 0 {
		return c.NumNulls() == len(c.Codes)
	}
	top := uint32(0)
	for _, code := range c.Codes {
		top = max(top, code)
	}
	return int64(top) < int64(len(c.Dict))
}

// encode turns the columns into chunks, each in its own buffer, and writes them in
// their order while others are being encoded.
func (w *Writer) encode(b *data.Batch) (groupMeta, error) {
	order := w.order()
	out := chunkQueue{w: w, done: make([]bool, len(w.chunks)), group: groupMeta{numRows: int64(b.NumRows), start: w.at, chunks: make([]chunkMeta, len(w.chunks))}}
	var next atomic.Int64
	work := func(e *chunkEncoder) {
		for {
			k := int(next.Add(1)) - 1
			if k >= len(order) {
				return
			}
			i := order[k]
			e.encode(&w.chunks[i], w.schema.Fields[i], b.Columns[i], b.NumRows)
			out.add(i)
		}
	}
	var wg sync.WaitGroup
	for _, e := range w.encoders[1:] {
		wg.Go(func() { work(e) })
	}
	work(w.encoders[0])
	wg.Wait()
	return out.group, w.err
}

// order is in which the columns are encoded: those that were large in the row
// group before come first, lest one of them be left to a single worker at the end.
func (w *Writer) order() []int {
	total := int64(0)
	for i := range w.chunks {
		total += w.chunks[i].meta.plain
	}
	var large, others []int
	for i := range w.chunks {
		if len(w.encoders) > 1 && w.chunks[i].meta.plain > total/int64(2*len(w.encoders)) {
			large = append(large, i)
		} else {
			others = append(others, i)
		}
	}
	return append(large, others...)
}

// chunkQueue writes the chunks of a row group, whoever has encoded them.
type chunkQueue struct {
	w       *Writer
	mu      sync.Mutex
	done    []bool // by column: it is encoded
	next    int    // column to be written
	writing bool   // by a worker, who also takes what is added meanwhile
	group   groupMeta
}

// add notes that column i is encoded, and writes what can be written.
func (q *chunkQueue) add(i int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done[i] = true
	if q.writing {
		return
	}
	q.writing = true
	for q.next < len(q.done) && q.done[q.next] {
		c := &q.w.chunks[q.next]
		q.group.chunks[q.next] = c.meta
		q.group.chunks[q.next].start = q.w.at
		q.w.opaque[q.next] = q.w.opaque[q.next] || c.opaque
		q.next++
		q.mu.Unlock()
		if q.w.err == nil {
			_ = q.w.put(c.buf) // the error stays in w
		}
		q.mu.Lock()
	}
	q.writing = false
}

// Close writes what the file ends with. A file without row groups is valid and
// has no rows. Closing twice does nothing.
func (w *Writer) Close() error {
	if w.err != nil || w.closed {
		return w.err
	}
	w.closed = true
	if err := w.put(w.footer()); err != nil {
		return err
	}
	w.encoders, w.chunks = nil, nil
	return nil
}

// format returns the codec's number in files.
func (c Codec) format() format.CompressionCodec {
	switch c {
	case Zstd:
		return format.Zstd
	case Snappy:
		return format.Snappy
	default:
		return format.Uncompressed
	}
}
