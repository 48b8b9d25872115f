package arrow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	continuation = 0xffffffff
	maxMetadata  = 64 << 20
	messageBody  = 3        // the place of the body's length in its table
	firstBody    = 16 << 20 // of a longer body, so much must have come before there is room for more
)

// messages reads the messages of a stream for arrow-go, each checked before it
// sees it.
type messages struct {
	r       io.Reader
	memory  *budget
	maxBody int64
	need    needs
	last    *ipc.Message
	batches int // of rows, so far
	unpacker
}

// Retain and Release are those of arrow-go, which counts who uses what; nobody
// but one reader uses this.
func (m *messages) Retain() {}

// Release gives the last message back.
func (m *messages) Release() {
	if m.last != nil {
		m.last.Release()
		m.last = nil
	}
}

// Message returns the next message, which is good until the one after it, or
// io.EOF at the end of the stream.
func (m *messages) Message() (*ipc.Message, error) {
	m.Release()
	n, err := m.size()
	if err != nil {
		return nil, err
	}
	if n > maxMetadata || int64(n) > m.maxBody {
		return nil, fault.New(fault.Corrupt, "a message claims %d bytes of metadata, of at most %d: it is cut short, or no Arrow", n, min(maxMetadata, m.maxBody))
	}
	meta := make([]byte, n)
	if _, err := io.ReadFull(m.r, meta); err != nil {
		return nil, cutShort(err)
	}
	length, err := bodyLength(meta)
	if err != nil {
		return nil, err
	}
	v := &verifier{b: meta, body: length, need: &m.need}
	if err := v.message(); err != nil {
		return nil, err
	}
	if len(v.batch.buffers) > 0 && !v.batch.ofValues {
		m.batches++
	}
	if length < 0 || length > m.maxBody {
		return nil, fault.New(fault.Corrupt, "a message claims %d bytes; there are at most %d", length, m.maxBody)
	}
	body := memory.NewResizableBuffer(m.memory)
	defer func(b *memory.Buffer) { b.Release() }(body)
	for have := int64(0); have < length; {
		to := min(length, max(2*have, firstBody))
		body.Resize(int(to))
		if _, err := io.ReadFull(m.r, body.Bytes()[have:]); err != nil {
			return nil, cutShort(err)
		}
		have = to
	}
	if v.batch.packed {
		plain, err := m.unpack(v, body.Bytes())
		if err != nil {
			return nil, err
		}
		defer plain.Release()
		body = plain
	}
	m.last = ipc.NewMessage(memory.NewBufferBytes(meta), body)
	return m.last, nil
}

// size reads how many bytes the metadata takes; versions before 0.15 have no
// continuation mark before it.
func (m *messages) size() (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(m.r, b[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		return 0, cutShort(err)
	}
	n := binary.LittleEndian.Uint32(b[:])
	if n == continuation {
		if _, err := io.ReadFull(m.r, b[:]); err != nil {
			return 0, cutShort(err)
		}
		n = binary.LittleEndian.Uint32(b[:])
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// cutShort is what a stream is that ends within a message.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Corrupt, "cut short within a message")
	}
	return fmt.Errorf("read: %w", err)
}

// bodyLength reads how many bytes follow the metadata.
func bodyLength(meta []byte) (int64, error) {
	v := &verifier{b: meta}
	root, err := v.offset(0)
	if err != nil {
		return 0, err
	}
	at, ok, err := v.field(root, messageBody)
	if err != nil || !ok {
		return 0, err
	}
	if at+8 > len(meta) {
		return 0, errClaim
	}
	return int64(binary.LittleEndian.Uint64(meta[at:])), nil
}
