package arrow

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Magic is what an Arrow file begins and ends with; a stream has none.
const Magic = "ARROW1"

// ReaderConfig bounds what a reader takes on the word of a stream.
type ReaderConfig struct {
	// MaxBody is the most bytes of one record batch as it is stored. The size of
	// the file is a good bound.
	MaxBody int64
	// MaxMemory is the most that the batches under way take, unpacked.
	MaxMemory int64
	// Digits are columns of UINT64 to be read as texts, their digits, since values
	// go beyond int64; others are left as they are.
	Digits []string
}

// DefaultReaderConfig returns 1 GiB for a record batch and 4 GiB for all.
func DefaultReaderConfig() ReaderConfig { return ReaderConfig{MaxBody: 1 << 30, MaxMemory: 4 << 30} }

// maxRows is the most rows of a record batch: a column of nulls has no bytes that
// such a claim could be held against.
const maxRows = 1 << 24

// Reader reads a stream, or a file as the stream that it holds, batch by batch.
// It is not safe for concurrent use.
type Reader struct {
	in     *tail
	isFile bool
	r      *ipc.Reader
	leaves []leaf
	schema data.Schema
	rows   int64 // of the batches before
	memory *budget

	messages *messages
}

// NewReader reads the schema. Faults of the bytes are of kind Corrupt, types that
// are not supported of kind Invalid.
func NewReader(r io.Reader, cfg ReaderConfig) (out *Reader, err error) {
	defer func() { err = atDoor(recover(), err) }()
	in := &tail{r: bufio.NewReaderSize(r, 1<<20)}
	out = &Reader{in: in, memory: &budget{most: cfg.MaxMemory}}
	head, err := in.r.Peek(8)
	switch {
	case err != nil && len(head) == 0:
		return nil, fault.New(fault.Corrupt, "it is empty: %w", err)
	case bytes.HasPrefix(head, []byte("FEA1")):
		return nil, fault.New(fault.Invalid, "Feather version 1 is not supported: write version 2, which is Arrow IPC")
	case bytes.HasPrefix(head, []byte(Magic)):
		out.isFile = true
		if _, err := in.r.Discard(8); err != nil {
			return nil, fault.New(fault.Corrupt, "it ends after its first bytes")
		}
	}
	out.messages = &messages{r: in, memory: out.memory, maxBody: cfg.MaxBody, need: needs{dictionaries: map[int64]layout{}}}
	if out.r, err = ipc.NewReaderFromMessageReader(out.messages, ipc.WithAllocator(out.memory)); err != nil {
		return nil, out.memory.judge(err)
	}
	out.leaves, err = leavesOf(out.r.Schema())
	for i := range out.leaves {
		l := &out.leaves[i]
		if l.unsigned && slices.Contains(cfg.Digits, l.field.Name) {
			l.digits, l.field.Type = true, data.String
		}
		out.schema.Fields = append(out.schema.Fields, l.field)
	}
	return out, err
}

// Schema returns the columns that the batches have.
func (r *Reader) Schema() data.Schema { return r.schema }

// Record is one record batch as it came.
type Record struct {
	leaves   []leaf
	schema   data.Schema
	record   arrow.RecordBatch
	firstRow int64
	room     int64 // for texts
}

// Next returns the next record batch, or io.EOF after the last. A file that has
// no end is of kind Corrupt.
func (r *Reader) Next() (out *Record, err error) {
	defer func() { err = atDoor(recover(), err) }()
	rec, err := r.r.Read()
	switch {
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, r.end()
	case err != nil:
		return nil, fmt.Errorf("after %d rows: %w", r.rows, r.memory.judge(err))
	}
	if n := rec.NumRows(); n < 0 || n > maxRows || n*int64(len(r.leaves))*4 > r.memory.most {
		return nil, fault.New(fault.Exhausted, "after %d rows: a record batch of %d rows; the most is %d, and %d bytes", r.rows, n, maxRows, r.memory.most)
	}
	rec.Retain()
	out = &Record{r.leaves, r.schema, rec, r.rows, r.memory.most}
	r.rows += rec.NumRows()
	return out, nil
}

// Full reports whether records that nobody has converted yet take so much that
// they might leave too little room for the next one.
func (r *Reader) Full() bool { return r.memory.used.Load() > r.memory.most/4 }

// end reads what follows the stream: of a file, that is its footer.
func (r *Reader) end() error {
	if _, err := io.Copy(io.Discard, r.in); err != nil {
		return err
	}
	if r.isFile && !bytes.HasSuffix(r.in.last, []byte(Magic)) {
		return fault.New(fault.Corrupt, "after %d rows: cut short: no %s at the end", r.rows, Magic)
	}
	return io.EOF
}

// Close gives back what the reader holds.
func (r *Reader) Close() {
	r.r.Release()
	r.messages.Release()
}

// Batch converts the record and gives it back. It may be called once, from any
// goroutine.
func (r *Record) Batch() (b *data.Batch, err error) {
	defer r.record.Release()
	defer func() { err = atDoor(recover(), err) }()
	n := int(r.record.NumRows())
	b = &data.Batch{Schema: r.schema, NumRows: n}
	for _, l := range r.leaves {
		c, err := l.column(r.record, n, &r.room)
		if err != nil {
			return nil, fmt.Errorf("column %q: rows from %d on: %w", l.field.Name, r.firstRow+1, err)
		}
		b.Columns = append(b.Columns, c)
	}
	return data.NewBatch(b.Schema, b.Columns)
}

// atDoor gives an error a kind. A panic is a bug in arrow-go, set off by the
// bytes, and is reported as theirs.
func atDoor(panicked any, err error) error {
	switch p := panicked.(type) {
	case nil:
	case overBudget:
		return fault.New(fault.Exhausted, "arrow: %w", p)
	default:
		return fault.New(fault.Corrupt, "arrow: cannot be decoded: %v", p)
	}
	if err == nil || err == io.EOF { //nolint:errorlint // the end is returned as it is
		return err
	}
	kind := fault.Of(err)
	if kind == fault.Internal {
		kind = fault.Corrupt
	}
	if strings.HasPrefix(err.Error(), "arrow") { // as arrow-go says itself
		return fault.Wrap(kind, err)
	}
	return fault.Wrap(kind, fmt.Errorf("arrow: %w", err))
}

// tail keeps the last bytes that were read.
type tail struct {
	r    *bufio.Reader
	last []byte
}

func (t *tail) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	if n >= len(Magic) {
		t.last = append(t.last[:0], b[n-len(Magic):n]...)
	} else {
		t.last = append(t.last, b[:n]...)
		t.last = t.last[max(0, len(t.last)-len(Magic)):]
	}
	return n, err
}

// budget is an allocator that gives no more than so much at a time.
type budget struct {
	memory.GoAllocator
	most int64
	used atomic.Int64
	over atomic.Bool
}

type overBudget struct{ most int64 }

func (o overBudget) Error() string {
	return fmt.Sprintf("the record batches take more than %d bytes", o.most)
}

// room is how much more there may be.
func (b *budget) room() int64 { return b.most - b.used.Load() }

func (b *budget) take(n int) {
	if n < 0 || b.used.Add(int64(n)) > b.most {
		b.over.Store(true)
		panic(overBudget{b.most})
	}
}

// judge finds the panic behind an error that arrow-go has made of it.
func (b *budget) judge(err error) error {
	if b.over.Load() {
		return fault.New(fault.Exhausted, "%w", overBudget{b.most})
	}
	return err
}

// Allocate gives n bytes, or panics for NewReader and Next to recover.
func (b *budget) Allocate(n int) []byte {
	b.take(n)
	return b.GoAllocator.Allocate(n)
}

// Reallocate gives n bytes that begin with old.
func (b *budget) Reallocate(n int, old []byte) []byte {
	b.used.Add(-int64(len(old)))
	b.take(n)
	return b.GoAllocator.Reallocate(n, old)
}

// Free takes bytes back.
func (b *budget) Free(old []byte) {
	b.used.Add(-int64(len(old)))
	b.GoAllocator.Free(old)
}
