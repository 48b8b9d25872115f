package ring

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

var errSlow = errors.New("the neighbours did not join in time")

// Join forms a rank's place in a generation of its gang: it links up with the
// ranks at all distances, whichever come first, and returns when all are there. A
// gang of one has no links.
//
// It fails with ErrBroken when FormTimeout is over or one of them is beyond
// reach, with ErrStale when there is a newer generation, and with kind Canceled
// when ctx ends.
func (l *Listener) Join(ctx context.Context, g Gang) (*Comm, error) {
	if err := g.Validate(); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeoutCause(ctx, l.cfg.FormTimeout, errSlow)
	defer cancel()
	in, out, err := l.allLinks(within, g)
	if err == nil {
		return newComm(l.cfg, g, in, out), nil
	}
	for _, conns := range []map[int]net.Conn{in, out} {
		for _, c := range conns {
			c.Close()
		}
	}
	if ctx.Err() != nil {
		return nil, fault.New(fault.Canceled, "ring: join: %w", context.Cause(ctx))
	}
	return nil, fault.New(fault.Unavailable, "ring: rank %d of %d joins generation %d: %w: %w", g.Rank, len(g.Peers), g.Generation, ErrBroken, err)
}

// allLinks makes those of all distances at once. With an error some may be there,
// and it is that of the first which failed.
func (l *Listener) allLinks(ctx context.Context, g Gang) (in, out map[int]net.Conn, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in, out = map[int]net.Conn{}, map[int]net.Conn{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, d := range distances(len(g.Peers)) {
		all.Go(func() {
			i, o, e := l.links(ctx, g, d)
			mu.Lock()
			defer mu.Unlock()
			if i != nil {
				in[d] = i
			}
			if o != nil {
				out[d] = o
			}
			if err == nil && e != nil {
				err = e
				cancel(e)
			}
		})
	}
	all.Wait()
	return in, out, err
}

// links waits for the rank so far to the left and dials the one as far to the
// right. With an error either may be set.
func (l *Listener) links(ctx context.Context, g Gang, distance int) (in, out net.Conn, err error) {
	left := g.left(distance)
	arrived, err := l.expect(left)
	if err != nil {
		return nil, nil, err
	}
	defer l.forget(left, arrived)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dialled := make(chan error, 1)
	go func() {
		var err error
		if out, err = l.dial(ctx, g, distance); err != nil {
			cancel(err)
		}
		dialled <- err
	}()
	select {
	case in = <-arrived:
		err = welcome(in, l.cfg.Clock, l.cfg.Timeout)
		if err != nil {
			cancel(err)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if e := <-dialled; err == nil {
		err = e
	}
	return in, out, err
}

// dial links up with the rank so far to the right. While its process is there, it
// tries until ctx ends, since who is in the gang is not for a rank to decide.
func (l *Listener) dial(ctx context.Context, g Gang, distance int) (net.Conn, error) {
	address := g.Peers[(g.Rank+distance)%len(g.Peers)]
	reached := l.cfg.Clock.Now()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, l.cfg.ReachTimeout/20) {
		c, err := l.reach(ctx, address)
		if err == nil {
			reached = l.cfg.Clock.Now()
			if c, err = l.greeted(ctx, c, g.hello(distance)); err == nil || errors.Is(err, ErrStale) {
				return c, err
			}
		}
		if l.cfg.Clock.Now().Sub(reached) > l.cfg.ReachTimeout {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		case <-l.cfg.Clock.After(wait):
		}
	}
}

// reach connects to the process of another rank.
func (l *Listener) reach(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReachTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if l.cfg.TLS == nil {
		return c, nil
	}
	t := tls.Client(c, l.cfg.TLS)
	return t, closing(ctx, c, func() error { return t.HandshakeContext(ctx) })
}

// greeted says hello, and waits until that rank has joined, too. A process of this
// machine is offered memory for the link.
func (l *Listener) greeted(ctx context.Context, c net.Conn, h hello) (net.Conn, error) {
	var o offer
	var m *lent
	if !l.cfg.Apart && !away(c) {
		var err error
		if m, err = lend(); err == nil { // else there is the connection
			defer m.taken()
			o = m.offer
		}
	}
	var what [1]byte
	err := closing(ctx, c, func() error {
		if _, err := c.Write(h.bytes(o)); err != nil {
			return err
		}
		if _, err := c.Read(what[:]); err != nil {
			return err
		}
		switch {
		case what[0] == accepted, what[0] == nearby && m != nil:
			return nil
		case what[0] == stale:
			return fault.New(fault.Unavailable, "ring: %s: %w than %d", c.RemoteAddr(), ErrStale, h.key.generation)
		default:
			return fault.New(fault.Unavailable, "ring: %s: answers %d, expected %d", c.RemoteAddr(), what[0], accepted)
		}
	})
	switch {
	case m == nil:
	case err == nil && what[0] == nearby:
		return newShared(c, m.memory), nil
	default:
		unmap(m.memory)
	}
	return c, err
}

// closing does something with a link, which is closed when ctx ends and after an
// error.
func closing(ctx context.Context, c net.Conn, do func() error) error {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err := do()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.Close()
	}
	return err
}
