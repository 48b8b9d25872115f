package arrow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Codecs in their order in Message.fbs, and how many bytes they can make of one.
const (
	codecLZ4, codecZstd = 0, 1
	ratioLZ4, ratioZstd = 256, 40_000
)

const (
	sizeBytes  = 8 // before each packed buffer: how many it becomes, or
	notPacked  = -1
	alignment  = 64
	zstdSlack  = 128<<10 + 64 // which the quick decoder wants behind what it makes
	smallClaim = 64 << 10     // is believed without more
)

// unpacker undoes the packing of a batch's buffers before arrow-go sees it, which
// would take as much memory for each as a frame claims to need, and look at no
// size until it has.
type unpacker struct {
	zstd *zstd.Decoder
	lz4  *lz4.Reader
}

// claims holds what the buffers of a batch say that they become against their
// bytes and against the memory there may be, and returns how much it is together,
// each behind its mark and in its place.
func (m *messages) claims(v *verifier, body []byte) (total int64, err error) {
	ratio := int64(ratioLZ4)
	if v.batch.codec == codecZstd {
		ratio = ratioZstd
	}
	room := m.memory.room() - zstdSlack - alignment
	for i, at := range v.batch.buffers {
		start, n := v.long(at), v.long(at+8)
		if n == 0 {
			continue
		}
		if n < sizeBytes {
			return 0, m.faulty(v, i, fault.Corrupt, "a packed buffer of %d bytes lacks its size", n)
		}
		size := int64(binary.LittleEndian.Uint64(body[start:]))
		switch n -= sizeBytes; {
		case size == notPacked:
			size = n
		case size < 0, size > smallClaim && size/ratio > n:
			return 0, m.faulty(v, i, fault.Corrupt, "%d bytes cannot become %d", n, size)
		}
		if size > room-total {
			return 0, m.faulty(v, i, fault.Exhausted, "a buffer of %d bytes when it is unpacked is more than there is room for within %d bytes: write smaller batches", size, m.memory.most)
		}
		total = placeOf(total) + size
	}
	return total, nil
}

// placeOf is where the next buffer begins whose mark comes before it.
func placeOf(at int64) int64 { return (at + sizeBytes + alignment - 1) / alignment * alignment }

// unpack returns the body of a batch without packing, and makes the metadata say so.
func (m *messages) unpack(v *verifier, body []byte) (*memory.Buffer, error) {
	if v.batch.codec != codecLZ4 && v.batch.codec != codecZstd {
		return nil, fault.New(fault.Invalid, "packed with codec %d, which is not supported: write it with zstd or lz4", v.batch.codec)
	}
	total, err := m.claims(v, body)
	if err != nil {
		return nil, err
	}
	out := memory.NewResizableBuffer(m.memory)
	out.Resize(int(total + zstdSlack))
	plain, end := out.Bytes(), int64(0)
	for i, at := range v.batch.buffers {
		start, n := v.long(at), v.long(at+8)
		if n == 0 {
			continue
		}
		from := placeOf(end)
		size := int64(binary.LittleEndian.Uint64(body[start:]))
		packed := body[start+sizeBytes : start+n]
		if size == notPacked {
			size = int64(copy(plain[from:], packed))
		} else if err := m.unpackOne(v.batch.codec, packed, plain[from:from+size], plain[from:]); err != nil {
			out.Release()
			return nil, m.faulty(v, i, fault.Corrupt, "%w", err)
		}
		binary.LittleEndian.PutUint64(plain[from-sizeBytes:], 1<<64-1) // as if it never had been packed
		binary.LittleEndian.PutUint64(v.b[at:], uint64(from-sizeBytes))
		binary.LittleEndian.PutUint64(v.b[at+8:], uint64(size+sizeBytes))
		end = from + size
	}
	// Vectors may have lain over each other, so that there are other claims now.
	if err := (&verifier{b: v.b, body: int64(out.Len()), need: v.need}).message(); err != nil {
		out.Release()
		return nil, err
	}
	return out, nil
}

// unpackOne fills dst; room is dst and what follows it, which may be written, too.
func (m *messages) unpackOne(codec byte, src, dst, room []byte) error {
	if codec == codecLZ4 {
		if m.lz4 == nil {
			m.lz4 = lz4.NewReader(nil)
		}
		m.lz4.Reset(bytes.NewReader(src))
		if n, err := io.ReadFull(m.lz4, dst); err != nil {
			return fmt.Errorf("lz4: after %d of %d bytes: %w", n, len(dst), err)
		}
		return nil
	}
	if m.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return err
		}
		m.zstd = d
	}
	got, err := m.zstd.DecodeAll(src, room[:0:min(len(room), len(dst)+zstdSlack)])
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	if len(got) != len(dst) {
		return fmt.Errorf("zstd: %d bytes, not the %d that it claims", len(got), len(dst))
	}
	return nil
}

// faulty names the column and the batch of a fault.
func (m *messages) faulty(v *verifier, buffer int, kind fault.Kind, format string, args ...any) error {
	what := fmt.Sprintf("record batch %d", m.batches)
	if v.batch.ofValues {
		what = "dictionary"
	}
	return fault.New(kind, "column %q: %s: %w", m.need.columnOf(&v.batch, buffer), what, fmt.Errorf(format, args...))
}
