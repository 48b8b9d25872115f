package ring

import (
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/troupe-ml/troupe/internal/fault"
)

// errDisagree marks a bug: the ranks do not make the same calls.
var errDisagree = errors.New("the ranks do not agree on what to do")

// A frame is its kind and length, and that many bytes.
const (
	frameAlive     = 1 // nothing: a sign of life
	frameOperation = 2 // an operation
	frameData      = 3 // a segment
	headerBytes    = 8
)

// operation says what a rank is about to do.
type operation struct {
	code  uint32
	root  uint32
	seq   uint64 // operations before it
	count uint64 // numbers, or bytes
}

const (
	opAllReduce    = 1
	opBroadcast    = 2
	opLength       = 3 // of the broadcast that follows
	operationBytes = 24
)

// agree tells the right neighbour what this rank is about to do, and compares
// it with what the left one says.
func (c *Comm) agree(mine operation) error {
	mine.seq = c.ops
	c.ops++
	if err := c.sendOperation(mine); err != nil {
		return err
	}
	theirs, err := c.receiveOperation()
	if err != nil {
		return err
	}
	if theirs != mine {
		return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: rank %d wants %v, its neighbour %v", errDisagree, c.Rank(), mine, theirs)
	}
	return nil
}

func (c *Comm) sendOperation(o operation) error {
	b := make([]byte, 0, operationBytes)
	b = binary.NativeEndian.AppendUint32(b, o.code)
	b = binary.NativeEndian.AppendUint32(b, o.root)
	b = binary.NativeEndian.AppendUint64(b, o.seq)
	b = binary.NativeEndian.AppendUint64(b, o.count)
	return c.send(frameOperation, b)
}

func (c *Comm) receiveOperation() (operation, error) {
	var b [operationBytes]byte
	if err := c.receive(frameOperation, b[:]); err != nil {
		return operation{}, err
	}
	return operation{
		code: binary.NativeEndian.Uint32(b[0:]), root: binary.NativeEndian.Uint32(b[4:]),
		seq: binary.NativeEndian.Uint64(b[8:]), count: binary.NativeEndian.Uint64(b[16:]),
	}, nil
}

// send writes one frame to the right neighbour. There is no deadline: one that
// computes does not read; one that is lost is noticed by its own right
// neighbour, and the news comes around.
func (c *Comm) send(kind uint32, payload []byte) error {
	var header [headerBytes]byte
	binary.NativeEndian.PutUint32(header[0:], kind)
	binary.NativeEndian.PutUint32(header[4:], uint32(len(payload)))
	c.write.Lock()
	defer c.write.Unlock()
	if tcp, ok := c.out.(*net.TCPConn); ok {
		vector := net.Buffers{header[:], payload}
		_, err := vector.WriteTo(tcp)
		return err
	}
	c.frame = append(append(c.frame[:0], header[:]...), payload...)
	_, err := c.out.Write(c.frame)
	return err
}

// receive reads the next frame from the left neighbour into payload; signs of
// life before it are passed over. The neighbour may be silent for Timeout.
func (c *Comm) receive(kind uint32, payload []byte) error {
	for {
		var header [headerBytes]byte
		if err := c.read(header[:]); err != nil {
			return err
		}
		got, n := binary.NativeEndian.Uint32(header[0:]), binary.NativeEndian.Uint32(header[4:])
		if got == frameAlive && n == 0 {
			continue
		}
		if got != kind || int64(n) != int64(len(payload)) {
			return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: rank %d expects kind %d of %d bytes, its neighbour sends kind %d of %d", errDisagree, c.Rank(), kind, len(payload), got, n)
		}
		return c.read(payload)
	}
}

func (c *Comm) read(b []byte) error {
	if err := c.in.SetReadDeadline(c.cfg.Clock.Now().Add(c.cfg.Timeout)); err != nil {
		return err
	}
	_, err := io.ReadFull(c.reader, b)
	return err
}
