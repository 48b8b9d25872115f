package ring

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

// errOver is of a link of a rank whose part is over.
var errOver = errors.New("it was over before")

// links are a rank's two at one distance: in brings what the rank so many places
// to the left sends, out what this one sends as far to the right. Each is used in
// one direction alone: a rank that has all that it needs may then close both,
// whatever it has not read, and nothing is lost that it has sent.
type links struct {
	comm *Comm

	in      net.Conn
	reading sync.Mutex // of an operation, or of drain
	reader  *bufio.Reader
	patient time.Time // until when reading waits
	header  [headerBytes]byte
	said    [operationBytes]byte

	out   net.Conn
	write sync.Mutex // one frame at a time
	owed  []byte     // frames that go with the next one
	frame []byte     // that is being sent
	whole []int64    // or that, of a vector behind its operation
	eager eager      // nil on links that cannot be written without waiting
}

// readerBytes holds the whole of a small sum, which then takes one call of the
// system to read; most of a large one passes the reader by.
const readerBytes = 64 << 10

// shortBytes is up to how long a frame may wait for the next one, roomBytes how much
// room for all that wait is in front of it.
const (
	shortBytes = 4 << 10
	roomBytes  = 8 << 10
)

// drainEvery is after how many signs of life of its own a rank reads those that
// have come while no operation did: a link has room for some thousands.
const drainEvery = 32

// eager writes as much as can be written without waiting for the other end.
type eager interface {
	writeSome(b []byte) (int, error)
}

func newLinks(c *Comm, in, out net.Conn) *links {
	l := &links{comm: c, in: in, out: out}
	if _, ok := in.(*shared); ok {
		l.reader = bufio.NewReaderSize(in, shortBytes) // there are no calls to be saved
	} else {
		l.reader = bufio.NewReaderSize(in, readerBytes)
	}
	if s, ok := out.(*shared); ok {
		l.eager = s
	} else if r := newRaw(out); r != nil {
		l.eager = r
	}
	return l
}

// live says that this rank is alive, also while it computes. A neighbour that
// has gone is no reason to stop: it may have had all that it needed.
func (l *links) live() {
	t := l.comm.cfg.Clock.NewTicker(l.comm.cfg.Alive)
	defer t.Stop()
	for signs := 1; ; signs++ {
		select {
		case <-l.comm.stop:
			return
		case <-t.C():
			if l.write.TryLock() { // else there is something on its way, which says the same
				err := l.sign()
				l.write.Unlock()
				if err != nil {
					return
				}
			}
			if signs%drainEvery == 0 {
				l.drain()
			}
		}
	}
}

// sign puts a sign of life, unless memory is full of what says the same: who waited
// for room would keep those who have more to say waiting, and not drain meanwhile.
func (l *links) sign() error {
	if s, ok := l.out.(*shared); ok && !s.holds(len(l.owed)+headerBytes) {
		return nil
	}
	return l.put(frameAlive, nil)
}

// drain reads signs of life that have come, unless an operation is reading. Links
// may not be used for hours, and when one is full of signs, its sender waits.
func (l *links) drain() {
	if !l.reading.TryLock() {
		return
	}
	defer l.reading.Unlock()
	l.patient = time.Time{}
	if err := l.in.SetReadDeadline(l.comm.cfg.Clock.Now().Add(time.Millisecond)); err != nil {
		return
	}
	for {
		b, err := l.reader.Peek(headerBytes) // an error that stays comes again to whoever reads next
		if err != nil || !isAlive(b) {
			return
		}
		_, _ = l.reader.Discard(headerBytes) // they are there
	}
}

// expect reads what the left neighbour is about to do, which must be mine.
func (l *links) expect(mine operation) error {
	theirs, err := l.receiveOperation()
	if err != nil {
		return err
	}
	return l.same(mine, theirs)
}

func (l *links) same(mine, theirs operation) error {
	if theirs != mine {
		return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: rank %d wants %v, its neighbour %v", errDisagree, l.comm.Rank(), mine, theirs)
	}
	return nil
}

func (l *links) sendOperation(o operation) error {
	return l.send(frameOperation, o.append(make([]byte, 0, operationBytes)))
}

// owe is sendOperation, together with the frame that is sent next: whoever waits is
// not woken for either alone.
func (l *links) owe(o operation) {
	l.write.Lock()
	l.owed = o.append(putHeader(l.owed, frameOperation, operationBytes))
	l.write.Unlock()
}

func (l *links) receiveOperation() (operation, error) {
	if err := l.receive(frameOperation, l.said[:]); err != nil {
		return operation{}, err
	}
	return decodeOperation(&l.said), nil
}

// send writes one frame to the right neighbour. There is no deadline: one that
// computes does not read; one that is lost is noticed by its own right
// neighbour, and the news comes around.
func (l *links) send(kind uint32, payload []byte) error {
	l.write.Lock()
	defer l.write.Unlock()
	return l.put(kind, payload)
}

// put is send for who holds write.
func (l *links) put(kind uint32, payload []byte) error {
	l.owed = putHeader(l.owed, kind, len(payload))
	if s, ok := l.out.(*shared); ok {
		_, err := s.writeAll(l.owed, payload)
		l.owed = l.owed[:0]
		return err
	}
	if tcp, ok := l.out.(*net.TCPConn); ok {
		vector := net.Buffers{l.owed, payload}
		_, err := vector.WriteTo(tcp)
		l.owed = l.owed[:0]
		return err
	}
	l.frame = append(append(l.frame[:0], l.owed...), payload...)
	l.owed = l.owed[:0]
	_, err := l.out.Write(l.frame)
	return err
}

// putFrame writes the frame that is in b behind roomBytes, or owes it if it is a short
// one and there are more. What is owed is written in front of it, in one call.
func (l *links) putFrame(b []byte, more bool) error {
	if frame := b[roomBytes:]; more && len(frame) <= shortBytes && len(l.owed)+len(frame) <= roomBytes {
		l.owed = append(l.owed, frame...)
		return nil
	}
	b = b[roomBytes-len(l.owed):]
	copy(b, l.owed)
	l.owed = l.owed[:0]
	_, err := l.out.Write(b)
	return err
}

// sendWhole writes an operation and its vector, the sum of v and others if there
// are some, as one frame. It does not wait for the neighbour, which may be about to
// send, too: what the system does not take at once is written beside the caller, and
// the next frame waits for it.
func (l *links) sendWhole(o operation, v, others []int64) error {
	l.write.Lock()
	if l.comm.broken.Load() {
		l.write.Unlock()
		return net.ErrClosed
	}
	const before = (headerBytes + operationBytes) / 8
	l.whole = append(append(l.whole[:0], make([]int64, before)...), v...)
	for i, x := range others {
		l.whole[before+i] += x
	}
	frame := bytesOf(l.whole)
	o.append(putHeader(frame[:0], frameWhole, len(frame)-headerBytes))
	n, err := 0, error(nil)
	if l.eager != nil {
		n, err = l.eager.writeSome(frame)
	}
	if err != nil || n == len(frame) {
		l.write.Unlock()
		return err
	}
	go func() {
		defer l.write.Unlock()
		if _, err := l.out.Write(frame[n:]); err != nil {
			l.comm.cut()
		}
	}()
	return nil
}

// receiveWhole reads what the left neighbour's sendWhole has written.
func (l *links) receiveWhole(mine operation, v []int64) error {
	if err := l.begin(frameWhole, operationBytes+8*len(v)); err != nil {
		return err
	}
	if err := l.read(l.said[:]); err != nil {
		return err
	}
	if err := l.same(mine, decodeOperation(&l.said)); err != nil {
		return err
	}
	return l.read(bytesOf(v))
}

// receive reads the next frame from the left neighbour into payload.
func (l *links) receive(kind uint32, payload []byte) error {
	if err := l.begin(kind, len(payload)); err != nil {
		return err
	}
	return l.read(payload)
}

// begin reads the header of the next frame, which must be of that kind and length.
func (l *links) begin(kind uint32, length int) error {
	got, n, err := l.next()
	if err == nil && (got != kind || n != length) {
		return l.surprised(kind, length, got, n)
	}
	return err
}

// next reads the header of the next frame, its kind and length; signs of life
// before it are passed over. The neighbour may be silent for Timeout.
func (l *links) next() (kind uint32, length int, err error) {
	for {
		if err := l.read(l.header[:]); err != nil {
			return 0, 0, err
		}
		if !isAlive(l.header[:]) {
			return binary.NativeEndian.Uint32(l.header[0:]), int(binary.NativeEndian.Uint32(l.header[4:])), nil
		}
	}
}

func (l *links) surprised(kind uint32, length int, got uint32, n int) error {
	return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: rank %d expects kind %d of %d bytes, its neighbour sends kind %d of %d", errDisagree, l.comm.Rank(), kind, length, got, n)
}

// read waits for Timeout, or up to an eighth less: to move the deadline for
// every frame would take as long as to read it.
func (l *links) read(b []byte) error {
	if l.reader.Buffered() < len(b) {
		wait := l.comm.cfg.Timeout
		if until := l.comm.cfg.Clock.Now().Add(wait); until.Sub(l.patient) > wait/8 {
			if err := l.in.SetReadDeadline(until); err != nil {
				return err
			}
			l.patient = until
		}
	}
	_, err := io.ReadFull(l.reader, b)
	return err
}
