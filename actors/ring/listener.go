package ring

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
)

// maxRemembered is of how many gangs the newest generation is remembered.
const maxRemembered = 1024

// Listener accepts the links of a process's gangs. Its methods may be called
// from several goroutines.
type Listener struct {
	cfg  Config
	net  net.Listener
	ctx  context.Context // of links that say hello; ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	joining map[hello]chan net.Conn // links that a rank waits for
	waiting []arrival               // links that wait for their rank, the oldest first
	newest  map[[16]byte]uint64     // generation joined, by task
	order   [][16]byte              // of newest, the oldest first
	open    map[net.Conn]bool       // links that have not said hello
}

type arrival struct {
	hello hello
	conn  net.Conn
}

// Listen listens on HOST:PORT, with port 0 on a free one. An address that
// cannot be listened on is of kind Unavailable.
func Listen(address string, cfg Config) (*Listener, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "ring: %w: choose another address, or stop what listens there", err)
	}
	l := &Listener{
		cfg: cfg, net: n, joining: map[hello]chan net.Conn{}, newest: map[[16]byte]uint64{}, open: map[net.Conn]bool{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.wg.Go(l.accept)
	return l, nil
}

// Address is HOST:PORT, as listened on.
func (l *Listener) Address() string { return l.net.Addr().String() }

// Close stops listening and waits for its goroutines. Rings that have been
// formed live on.
func (l *Listener) Close() error {
	l.stop()
	err := l.net.Close()
	l.mu.Lock()
	for c := range l.open {
		c.Close()
	}
	for _, a := range l.waiting {
		a.conn.Close()
	}
	l.waiting = nil
	l.mu.Unlock()
	l.wg.Wait()
	return err
}

func (l *Listener) accept() {
	for l.ctx.Err() == nil {
		c, err := l.net.Accept()
		if err != nil {
			select {
			case <-l.ctx.Done():
			case <-l.cfg.Clock.After(l.cfg.Alive / 10): // out of descriptors: it passes
			}
			continue
		}
		if l.cfg.TLS != nil {
			c = tls.Server(c, l.cfg.TLS)
		}
		if !l.admit(c) {
			c.Close()
			continue
		}
		l.wg.Go(func() { l.greet(c) })
	}
}

// admit takes note of a link that has not said hello, unless there are too many.
func (l *Listener) admit(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil || len(l.open) >= l.cfg.MaxWaiting {
		return false
	}
	l.open[c] = true
	return true
}

// greet reads a link's hello and brings it to the rank that it is for.
func (l *Listener) greet(c net.Conn) {
	h, o, err := readHello(c, l.cfg.Clock, l.cfg.Timeout)
	link := c
	if err == nil {
		link = l.through(c, o)
	}
	l.mu.Lock()
	delete(l.open, c)
	if err != nil || l.ctx.Err() != nil {
		l.mu.Unlock()
		link.Close()
		return
	}
	if h.key.generation < l.newest[h.key.task] {
		l.mu.Unlock()
		_ = answer(c, l.cfg.Clock, l.cfg.Timeout, stale) // best effort: closing says enough
		link.Close()
		return
	}
	if rank, ok := l.joining[h]; ok {
		delete(l.joining, h)
		rank <- link // has room for one
	} else {
		l.park(arrival{h, link})
	}
	l.mu.Unlock()
}

// through returns a link through memory that the caller offers, or if that cannot be
// had the connection itself.
func (l *Listener) through(c net.Conn, o offer) net.Conn {
	if o == (offer{}) || l.cfg.Apart || away(c) {
		return c
	}
	memory, err := borrow(o)
	if err != nil {
		return c
	}
	return newShared(c, memory)
}

// park keeps a link for a rank that has not joined yet. A repeated one takes
// the place of the earlier, whose caller has given it up.
func (l *Listener) park(a arrival) {
	l.waiting = slices.DeleteFunc(l.waiting, func(b arrival) bool {
		if b.hello == a.hello {
			b.conn.Close()
		}
		return b.hello == a.hello
	})
	if len(l.waiting) >= l.cfg.MaxWaiting {
		l.waiting[0].conn.Close()
		l.waiting = slices.Delete(l.waiting, 0, 1)
	}
	l.waiting = append(l.waiting, a)
}

// expect registers a link from the left that a rank waits for. It closes what
// older generations of the gang have left behind, and returns ErrStale if this
// one is older itself, or has joined before.
func (l *Listener) expect(h hello) (<-chan net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, fault.New(fault.Unavailable, "ring: the listener is closed")
	}
	if newest := l.newest[h.key.task]; h.key.generation < newest {
		return nil, fault.New(fault.Unavailable, "ring: generation %d: %w: %d", h.key.generation, ErrStale, newest)
	}
	l.remember(h.key)
	rank := make(chan net.Conn, 1)
	l.waiting = slices.DeleteFunc(l.waiting, func(a arrival) bool {
		switch {
		case a.hello == h && len(rank) == 0:
			rank <- a.conn
			return true
		case a.hello.key.task == h.key.task && a.hello.key.generation < h.key.generation:
			a.conn.Close()
			return true
		default:
			return false
		}
	})
	if len(rank) == 0 {
		l.joining[h] = rank
	}
	return rank, nil
}

func (l *Listener) remember(k key) {
	if _, ok := l.newest[k.task]; !ok {
		l.order = append(l.order, k.task)
		if len(l.order) > maxRemembered {
			delete(l.newest, l.order[0])
			l.order = slices.Delete(l.order, 0, 1)
		}
	}
	l.newest[k.task] = k.generation
}

// forget ends what expect began.
func (l *Listener) forget(h hello, rank <-chan net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.joining, h)
	select {
	case c := <-rank:
		c.Close()
	default:
	}
}
