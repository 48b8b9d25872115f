package ring

import (
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// errDisagree marks a bug: the ranks do not make the same calls.
var errDisagree = errors.New("the ranks do not agree on what to do")

// A frame is its kind and length, and that many bytes.
const (
	frameAlive     = 1 // nothing: a sign of life
	frameOperation = 2 // an operation
	frameData      = 3 // a segment
	frameWhole     = 4 // an operation and the whole vector
	framePacked    = 5 // a segment of numbers
	frameHalf      = 6 // a segment of numbers of 32 bits each
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
	opAllReduce     = 1
	opBroadcast     = 2
	opLength        = 3 // of the broadcast that follows
	opReduceScatter = 4
	opAllGather     = 5
	operationBytes  = 24
)

// expect reads what the left neighbour is about to do, which must be mine.
func (c *Comm) expect(mine operation) error {
	theirs, err := c.receiveOperation()
	if err != nil {
		return err
	}
	return c.same(mine, theirs)
}

func (c *Comm) same(mine, theirs operation) error {
	if theirs != mine {
		return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: rank %d wants %v, its neighbour %v", errDisagree, c.Rank(), mine, theirs)
	}
	return nil
}

func (o operation) append(b []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, o.code)
	b = binary.NativeEndian.AppendUint32(b, o.root)
	b = binary.NativeEndian.AppendUint64(b, o.seq)
	return binary.NativeEndian.AppendUint64(b, o.count)
}

func decodeOperation(b *[operationBytes]byte) operation {
	return operation{
		code: binary.NativeEndian.Uint32(b[0:]), root: binary.NativeEndian.Uint32(b[4:]),
		seq: binary.NativeEndian.Uint64(b[8:]), count: binary.NativeEndian.Uint64(b[16:]),
	}
}

func (c *Comm) sendOperation(o operation) error {
	return c.send(frameOperation, o.append(make([]byte, 0, operationBytes)))
}

func (c *Comm) receiveOperation() (operation, error) {
	if err := c.receive(frameOperation, c.said[:]); err != nil {
		return operation{}, err
	}
	return decodeOperation(&c.said), nil
}

// send writes one frame to the right neighbour. There is no deadline: one that
// computes does not read; one that is lost is noticed by its own right
// neighbour, and the news comes around.
func (c *Comm) send(kind uint32, payload []byte) error {
	var header [headerBytes]byte
	putHeader(header[:0], kind, len(payload))
	c.write.Lock()
	defer c.write.Unlock()
	if tcp, ok := c.out.(*net.TCPConn); ok {
		vector := net.Buffers{header[:], payload}
		_, err := vector.WriteTo(tcp)
		return err
	}
	c.frame = append(putHeader(c.frame[:0], kind, len(payload)), payload...)
	_, err := c.out.Write(c.frame)
	return err
}

func putHeader(b []byte, kind uint32, n int) []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(b, kind), uint32(n))
}

// sendSegment writes numbers to the right neighbour: packed if that is on another
// machine. Within a machine to copy bytes takes less time than to leave some out, but
// if all numbers have half of them.
func (c *Comm) sendSegment(v []int64) error {
	c.write.Lock()
	defer c.write.Unlock()
	if half := c.narrow[:headerBytes/4+len(v)]; !c.away && kernels.Narrow(half[headerBytes/4:], v) {
		frame := bytesOf(half)
		putHeader(frame[:0], frameHalf, 4*len(v))
		_, err := c.out.Write(frame)
		return err
	}
	if c.away {
		c.frame = pack(putHeader(c.frame[:0], framePacked, 0), v)
		putHeader(c.frame[:0], framePacked, len(c.frame)-headerBytes)
	} else {
		c.frame = append(putHeader(c.frame[:0], frameData, 8*len(v)), bytesOf(v)...)
	}
	_, err := c.out.Write(c.frame)
	return err
}

// receiveSegment reads numbers from the left neighbour, and adds them to v or puts
// them in its place.
func (c *Comm) receiveSegment(v []int64, add bool) error {
	kind, n, err := c.next()
	switch {
	case err != nil:
		return err
	case kind == frameData && n == 8*len(v):
		return c.take(v, add)
	case kind == frameHalf && n == 4*len(v):
		return c.takeHalf(v, add)
	case kind != framePacked || n > packedLen(len(v)):
		return c.surprised(frameData, 8*len(v), kind, n)
	}
	if err := c.read(c.packed[:n]); err != nil {
		return err
	}
	return unpack(v, c.packed[:n], add)
}

// take reads a segment that is not packed.
func (c *Comm) take(v []int64, add bool) error {
	if !add {
		return c.read(bytesOf(v))
	}
	got := c.scratch[:len(v)]
	if err := c.read(bytesOf(got)); err != nil {
		return err
	}
	for i, x := range got {
		v[i] += x
	}
	return nil
}

// takeHalf reads a segment of numbers of half the bytes.
func (c *Comm) takeHalf(v []int64, add bool) error {
	got := c.half[:len(v)]
	if err := c.read(bytesOf(got)); err != nil {
		return err
	}
	if !add {
		clear(v)
	}
	kernels.AddNarrow(v, got)
	return nil
}

// sendWhole writes an operation and its vector as one frame. It does not wait
// for the neighbour, which may be about to send, too: what the system does not
// take at once is written beside the caller, and the next frame waits for it.
func (c *Comm) sendWhole(o operation, v []int64) error {
	c.write.Lock()
	if c.broken.Load() {
		c.write.Unlock()
		return net.ErrClosed
	}
	c.frame = append(o.append(putHeader(c.frame[:0], frameWhole, operationBytes+8*len(v))), bytesOf(v)...)
	n, err := c.raw.write(c.frame)
	if err != nil || n == len(c.frame) {
		c.write.Unlock()
		return err
	}
	go func() {
		defer c.write.Unlock()
		if _, err := c.out.Write(c.frame[n:]); err != nil {
			c.cut()
		}
	}()
	return nil
}

// receiveWhole reads what the left neighbour's sendWhole has written.
func (c *Comm) receiveWhole(mine operation, v []int64) error {
	if err := c.begin(frameWhole, operationBytes+8*len(v)); err != nil {
		return err
	}
	if err := c.read(c.said[:]); err != nil {
		return err
	}
	if err := c.same(mine, decodeOperation(&c.said)); err != nil {
		return err
	}
	return c.read(bytesOf(v))
}

// receive reads the next frame from the left neighbour into payload.
func (c *Comm) receive(kind uint32, payload []byte) error {
	if err := c.begin(kind, len(payload)); err != nil {
		return err
	}
	return c.read(payload)
}

// begin reads the header of the next frame, which must be of that kind and length.
func (c *Comm) begin(kind uint32, length int) error {
	got, n, err := c.next()
	if err == nil && (got != kind || n != length) {
		return c.surprised(kind, length, got, n)
	}
	return err
}

// next reads the header of the next frame, its kind and length; signs of life
// before it are passed over. The neighbour may be silent for Timeout.
func (c *Comm) next() (kind uint32, length int, err error) {
	for {
		if err := c.read(c.header[:]); err != nil {
			return 0, 0, err
		}
		kind, n := binary.NativeEndian.Uint32(c.header[0:]), binary.NativeEndian.Uint32(c.header[4:])
		if kind != frameAlive || n != 0 {
			return kind, int(n), nil
		}
	}
}

func (c *Comm) surprised(kind uint32, length int, got uint32, n int) error {
	return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: rank %d expects kind %d of %d bytes, its neighbour sends kind %d of %d", errDisagree, c.Rank(), kind, length, got, n)
}

// read waits for Timeout, or up to an eighth less: to move the deadline for
// every frame would take as long as to read it.
func (c *Comm) read(b []byte) error {
	if c.reader.Buffered() < len(b) {
		if until := c.cfg.Clock.Now().Add(c.cfg.Timeout); until.Sub(c.patient) > c.cfg.Timeout/8 {
			if err := c.in.SetReadDeadline(until); err != nil {
				return err
			}
			c.patient = until
		}
	}
	_, err := io.ReadFull(c.reader, b)
	return err
}
