package ring

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// shared is one end of a link between two processes of one machine: what one
// writes, the other reads from memory that both have, and neither calls the system
// while both are at work. The connection that they found each other by stays: a byte
// on it wakes who sleeps, and its end says that the other has gone. What was written
// before can be read after that.
type shared struct {
	net.Conn // the bell
	mu       sync.Mutex
	memory   []byte // nil once it is closed; mu is held by who uses it
	state    *state
	data     []byte // behind it
	most     int    // bytes that are passed on at a time
	looks    int

	rung   chan struct{} // the other has rung; has room for one
	gone   chan struct{} // the other has gone
	over   chan struct{} // this end was closed
	once   sync.Once
	until  time.Time // to wait for the other at most; zero is for ever
	during sync.WaitGroup
}

// state is the beginning of the memory, each number in a line of the cache of its own.
type state struct {
	written      atomic.Uint64 // bytes, of all time
	_            [56]byte
	read         atomic.Uint64
	_            [56]byte
	readerSleeps atomic.Uint32
	_            [60]byte
	writerSleeps atomic.Uint32
}

// order tells Go that what a rank does after it was read comes after what another rank
// of the same process did before it was written: each has the memory at an address of
// its own, so the numbers in it do not say so.
var order atomic.Uint64

const (
	stateBytes  = 4096 // a page: what follows is mapped, too
	memoryBytes = stateBytes + 1<<20
	// passBytes are written before the reader may have them: large enough that it
	// seldom finds nothing, and small enough that both are at work at the same time.
	passBytes = 32 << 10
	// looks is how often one that waits looks before it sleeps, a quarter of a
	// millisecond: ranks that once slept came later, and so had each other sleep again,
	// at three quarters of the speed. fewLooks are some tens of microseconds, what it
	// takes to be woken, for ranks that do not have a core each.
	looks    = 4000
	fewLooks = 400
)

// newShared makes an end of a link of memory that both have mapped.
func newShared(bell net.Conn, memory []byte) *shared {
	s := &shared{
		Conn: bell, memory: memory, state: (*state)(unsafe.Pointer(unsafe.SliceData(memory))), data: memory[stateBytes:],
		rung: make(chan struct{}, 1), gone: make(chan struct{}), over: make(chan struct{}),
	}
	s.most, s.looks = min(passBytes, len(s.data)), fewLooks
	s.during.Go(s.listen)
	return s
}

// listen hears the bell.
func (s *shared) listen() {
	var b [64]byte
	for {
		if _, err := s.Conn.Read(b[:]); err != nil {
			close(s.gone)
			return
		}
		select {
		case s.rung <- struct{}{}:
		default:
		}
	}
}

// Close ends the link: the other end may read what it has not read, and no more.
func (s *shared) Close() (err error) {
	s.once.Do(func() {
		close(s.over)
		err = s.Conn.Close()
		s.during.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		unmap(s.memory)
		s.memory, s.state, s.data = nil, nil, nil
	})
	return err
}

// SetReadDeadline holds for what is read after it.
func (s *shared) SetReadDeadline(t time.Time) error {
	s.until = t
	return nil
}

// Read waits for the first byte.
func (s *shared) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.memory == nil {
			return 0, net.ErrClosed
		}
		gone := isClosed(s.gone) // before the look: what it wrote before is all there is
		n, err := s.take(b)
		switch {
		case n > 0 || err != nil:
			return n, err
		case gone:
			return 0, io.EOF
		}
		if err := s.sleep(&s.state.readerSleeps, func() bool { return s.state.written.Load() != s.state.read.Load() }); err != nil {
			return 0, err
		}
	}
}

// take reads what there is.
func (s *shared) take(b []byte) (int, error) {
	at := s.state.read.Load()
	there := s.state.written.Load() - at
	if there > uint64(len(s.data)) {
		return 0, s.broken()
	}
	n := min(len(b), int(there))
	if n == 0 {
		return 0, nil
	}
	order.Load()
	from := int(at % uint64(len(s.data)))
	copied := copy(b[:n], s.data[from:])
	copy(b[copied:n], s.data)
	s.state.read.Store(at + uint64(n))
	if s.state.writerSleeps.Load() == 1 && int(there)-n <= len(s.data)/2 { // a little room is not worth the call
		s.ring(&s.state.writerSleeps)
	}
	return n, nil
}

func (s *shared) broken() error {
	return fault.New(fault.Internal, "ring: this is a bug in Troupe: %w: the memory of a link says that more is in it than it holds", errDisagree)
}

// Write returns when all of b is in the memory.
func (s *shared) Write(b []byte) (int, error) { return s.writeAll(b) }

// writeAll is Write of several pieces.
func (s *shared) writeAll(pieces ...[]byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range pieces {
		for len(b) > 0 {
			n, err := s.give(b)
			written, b = written+n, b[n:]
			if err != nil {
				return written, err
			}
			if n > 0 {
				continue
			}
			s.ring(&s.state.readerSleeps)
			if err := s.sleep(&s.state.writerSleeps, s.room); err != nil {
				return written, err
			}
		}
	}
	s.ring(&s.state.readerSleeps)
	return written, nil
}

// writeSome writes what there is room for.
func (s *shared) writeSome(b []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(b) > 0 {
		n, err := s.give(b)
		if err != nil {
			return written, err
		}
		if n == 0 {
			break
		}
		written, b = written+n, b[n:]
	}
	s.ring(&s.state.readerSleeps)
	return written, nil
}

// holds reports whether there is room for so many bytes, as there will be until
// somebody writes.
func (s *shared) holds(bytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memory == nil || len(s.data)-int(s.state.written.Load()-s.state.read.Load()) >= bytes
}

func (s *shared) room() bool {
	return s.state.written.Load()-s.state.read.Load() < uint64(len(s.data))
}

// give writes what there is room for, but no more than is passed on at a time.
func (s *shared) give(b []byte) (int, error) {
	if s.memory == nil {
		return 0, net.ErrClosed
	}
	if isClosed(s.gone) {
		return 0, io.ErrClosedPipe
	}
	at := s.state.written.Load()
	there := at - s.state.read.Load()
	if there > uint64(len(s.data)) {
		return 0, s.broken()
	}
	n := min(len(b), len(s.data)-int(there), s.most)
	to := int(at % uint64(len(s.data)))
	copied := copy(s.data[to:], b[:n])
	copy(s.data, b[copied:n])
	order.Add(1)
	s.state.written.Store(at + uint64(n))
	return n, nil
}

// ring wakes the other end if it sleeps.
func (s *shared) ring(sleeps *atomic.Uint32) {
	if sleeps.Load() == 1 && sleeps.Swap(0) == 1 {
		_, _ = s.Conn.Write([]byte{1}) // if it has gone, listen hears of it
	}
}

// sleep waits until there may be something to do, which done reports.
func (s *shared) sleep(sleeps *atomic.Uint32, done func() bool) error {
	for range s.looks {
		if done() {
			return nil
		}
		runtime.Gosched()
	}
	sleeps.Store(1)
	defer sleeps.Store(0)
	if done() { // before the other could know that it must ring
		return nil
	}
	var late <-chan time.Time
	if !s.until.IsZero() {
		late = clock.Real{}.After(s.until.Sub(clock.Real{}.Now()))
	}
	select {
	case <-s.rung: // or a bell of long ago
		return nil
	case <-s.gone:
		return nil
	case <-s.over:
		return net.ErrClosed
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
