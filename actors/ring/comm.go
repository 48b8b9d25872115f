package ring

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
)

// Comm is one rank's place in one generation. As every collective.Comm it is
// for one goroutine; Close may be called from any.
type Comm struct {
	cfg     Config
	gang    Gang
	links   map[int]*links // by distance; none in a gang of one
	near    *links         // those of the ring
	hops    []hop          // of a small sum
	ops     uint64         // operations begun
	scratch []int64        // one segment
	others  []int64        // of a small sum, what this rank has not brought
	wholes  []int64        // of what is added whole beside parts, what the others have brought
	half    []int32        // a segment that was received so
	narrow  []int32        // one that is being sent so, behind room for what goes before
	packed  []byte         // one that was received so
	away    bool           // the right neighbour is on another machine

	broken atomic.Bool
	stop   chan struct{} // ends signs of life
	once   sync.Once
	wg     sync.WaitGroup
}

var _ collective.Comm = (*Comm)(nil)

// newComm has the connections of a gang's links, in and out, by their distances.
func newComm(cfg Config, g Gang, in, out map[int]net.Conn) *Comm {
	c := &Comm{cfg: cfg, gang: g, links: map[int]*links{}, hops: hops(len(g.Peers)), stop: make(chan struct{})}
	alone := g.beside() <= runtime.NumCPU()
	for d := range in {
		for _, conn := range []net.Conn{in[d], out[d]} {
			if s, ok := conn.(*shared); ok && alone {
				s.looks = looks
			}
		}
		c.links[d] = newLinks(c, in[d], out[d])
	}
	if c.near = c.links[1]; c.near == nil {
		return c
	}
	c.scratch = make([]int64, cfg.SegmentBytes/8)
	c.others = make([]int64, len(c.scratch))
	c.half, c.narrow = make([]int32, len(c.scratch)), make([]int32, (roomBytes+headerBytes)/4+len(c.scratch))
	c.packed = make([]byte, packedLen(len(c.scratch))+slack)
	c.near.frame = make([]byte, 0, roomBytes+headerBytes+len(c.packed))
	c.away = away(c.near.out)
	for _, l := range c.links {
		c.wg.Go(l.live)
	}
	return c
}

// away reports whether the other end is on another machine.
func away(c net.Conn) bool { return hostOf(c.LocalAddr()) != hostOf(c.RemoteAddr()) }

func hostOf(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String())
	return host
}

// Rank is this member's place.
func (c *Comm) Rank() int { return c.gang.Rank }

// WorldSize is the number of ranks.
func (c *Comm) WorldSize() int { return len(c.gang.Peers) }

// Generation is which forming of the gang this is.
func (c *Comm) Generation() uint64 { return c.gang.Generation }

// Close ends this rank's part in the generation. Neighbours that still need it
// see a broken link; those that have what they need do not.
func (c *Comm) Close() error {
	c.cut()
	for _, l := range c.links {
		l.write.Lock()   // a frame on its way has been given up
		l.write.Unlock() //nolint:staticcheck // whoever comes later sees that it is over
	}
	c.wg.Wait()
	return nil
}

// cut closes all links, so that everybody learns of it at once.
func (c *Comm) cut() {
	c.once.Do(func() {
		c.broken.Store(true)
		close(c.stop)
		for _, l := range c.links {
			l.in.Close()
			l.out.Close()
		}
	})
}

// within runs an operation until it ends or ctx does. After an error the rank's
// part is over.
func (c *Comm) within(ctx context.Context, op func() error) error {
	if err := ctx.Err(); err != nil {
		c.cut()
		return fault.New(fault.Canceled, "ring: %w", context.Cause(ctx))
	}
	if c.broken.Load() {
		return c.failed(errOver)
	}
	if c.near == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, c.cut)
	err := c.reading(op)
	stop()
	if err == nil {
		return nil
	}
	c.cut()
	switch {
	case ctx.Err() != nil:
		return fault.New(fault.Canceled, "ring: %w", context.Cause(ctx))
	case errors.Is(err, errDisagree):
		return err
	default:
		return c.failed(err)
	}
}

// reading runs an operation, which alone reads all links meanwhile.
func (c *Comm) reading(op func() error) error {
	for _, l := range c.links {
		l.reading.Lock()
	}
	err := op()
	for _, l := range c.links {
		l.reading.Unlock()
	}
	return err
}

func (c *Comm) failed(err error) error {
	return fault.New(fault.Unavailable, "ring: rank %d of %d in generation %d: %w: %w", c.Rank(), c.WorldSize(), c.Generation(), ErrBroken, err)
}

// AllReduce adds v over all ranks in place. What is small is sent as a whole, in
// the fewest steps; of more, each rank sends and receives 2(n-1)/n of the bytes
// around the ring, in 2(n-1) steps.
//
// Source: Patarasuk and Yuan, Journal of Parallel and Distributed Computing
// 69(2), 2009 (ring reduce-scatter and all-gather), in segments.
func (c *Comm) AllReduce(ctx context.Context, v []int64) error {
	o := operation{code: opAllReduce, count: uint64(len(v))}
	if !c.small(len(v)) {
		return c.walking(ctx, o, func(o operation) error { return c.allReduce(o, v) })
	}
	return c.within(ctx, func() error {
		o.seq = c.ops
		c.ops++
		return c.addWhole(o, v)
	})
}

// allReduce is reduceScatter and a gathering of the sums, in one walk.
func (c *Comm) allReduce(o operation, v []int64) error {
	n := c.WorldSize()
	return walk(c, o, v, nil, len(c.scratch), c.Rank(), 2*(n-1), c.sendSegment, func(step int, part []int64) error {
		return c.receiveSegment(part, step < n-1)
	})
}

// ReduceScatter leaves the sums over all ranks in this rank's part of v: the first
// half of AllReduce. What every rank has of whole goes around ahead of the parts.
func (c *Comm) ReduceScatter(ctx context.Context, v, whole []int64) error {
	o := operation{code: opReduceScatter, root: uint32(len(whole)), count: uint64(len(v))}
	return c.walking(ctx, o, func(o operation) error {
		n := c.WorldSize()
		c.wholes = append(c.wholes[:0], make([]int64, (n-1)*len(whole))...)
		ahead := [][]int64{whole}
		for rank := range n - 1 {
			ahead = append(ahead, c.wholes[rank*len(whole):(rank+1)*len(whole)])
		}
		err := walk(c, o, v, ahead, len(c.scratch), c.Rank()-1, n-1, c.sendSegment, func(_ int, part []int64) error {
			return c.receiveSegment(part, true)
		})
		for _, theirs := range ahead[1:] {
			for i, x := range theirs {
				whole[i] += x
			}
		}
		return err
	})
}

// AllGather gives all ranks every rank's part of v.
func (c *Comm) AllGather(ctx context.Context, v []float32) error {
	return c.walking(ctx, operation{code: opAllGather, count: uint64(len(v))}, func(o operation) error {
		return walk(c, o, v, nil, c.cfg.SegmentBytes/4, c.Rank(), c.WorldSize()-1, c.sendFloats, func(_ int, part []float32) error {
			return c.receiveFloats(part)
		})
	})
}

// begun runs an operation after telling the neighbour of it.
func (c *Comm) begun(ctx context.Context, o operation, op func(operation) error) error {
	return c.within(ctx, func() error {
		o.seq = c.ops
		c.ops++
		if err := c.near.sendOperation(o); err != nil {
			return err
		}
		return op(o)
	})
}

// walking runs an operation that walks: the neighbour is told of it with the first
// segment.
func (c *Comm) walking(ctx context.Context, o operation, op func(operation) error) error {
	return c.within(ctx, func() error {
		o.seq = c.ops
		c.ops++
		c.near.owe(o)
		return op(o)
	})
}

// walk sends the part of v of rank first to the right, and in each step receives
// the one before it from the left and sends that on; ahead of the parts go ahead[0],
// which this rank has, and what is received in each step, into the next of them. It
// sends in a goroutine of its own, so that all ranks may send at once. A segment is
// never changed before it was sent: what comes to take its place is a sum that
// contains it.
func walk[T any](
	c *Comm, o operation, v []T, ahead [][]T, segment, first, steps int, send func(s []T, more bool) error, receive func(step int, part []T) error,
) error {
	n := c.WorldSize()
	segments := func(step int) (all [][]T) { // that are received in step, or for -1 are this rank's own
		if len(ahead) > 0 {
			all = slices.AppendSeq(all, slices.Chunk(ahead[step+1], segment))
		}
		from, to := collective.Part(len(v), ((first-step-1)%n+n)%n, n)
		return slices.AppendSeq(all, slices.Chunk(v[from:to], segment))
	}
	own := segments(-1)
	if len(own) == 0 { // there is nothing that the operation could be sent with
		if err := c.near.send(frameAlive, nil); err != nil {
			return err
		}
	}
	most := (len(v)/n+1)/segment + 1
	if len(ahead) > 0 {
		most += len(ahead[0])/segment + 1
	}
	queue := make(chan []T, max(steps*most, len(own))) // holds all there will be: putting never waits
	for _, s := range own {
		queue <- s
	}
	sent := make(chan error, 1)
	go func() {
		var err error
		for s := range queue {
			if err == nil {
				if err = send(s, len(queue) > 0); err != nil {
					c.cut()
				}
			}
		}
		sent <- err
	}()
	err := c.near.expect(o)
	for step := 0; step < steps && err == nil; step++ {
		for _, s := range segments(step) {
			if err = receive(step, s); err != nil {
				break
			}
			if step+1 < steps {
				queue <- s
			}
		}
	}
	if err != nil {
		c.cut() // or the sender would wait for a neighbour that has gone
	}
	close(queue)
	return errors.Join(err, <-sent)
}

// Broadcast sends root's bytes around the ring; each rank passes them on as they
// arrive.
func (c *Comm) Broadcast(ctx context.Context, root int, b []byte) (out []byte, err error) {
	if root < 0 || root >= c.WorldSize() {
		c.cut()
		return nil, fault.New(fault.Internal, "ring: broadcast from rank %d of %d: %w: there is no such rank", root, c.WorldSize(), errDisagree)
	}
	out = b
	err = c.begun(ctx, operation{code: opBroadcast, root: uint32(root)}, func(o operation) (err error) {
		if err := c.near.expect(o); err != nil {
			return err
		}
		if root == c.Rank() {
			return c.give(b)
		}
		out, err = c.passOn((root-1+c.WorldSize())%c.WorldSize() == c.Rank())
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// give sends all of b to the right.
func (c *Comm) give(b []byte) error {
	if err := c.near.sendOperation(operation{code: opLength, count: uint64(len(b))}); err != nil {
		return err
	}
	for len(b) > 0 {
		n := min(len(b), c.cfg.SegmentBytes)
		if err := c.near.send(frameData, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// passOn receives what give has sent and passes it on, unless this is the last.
func (c *Comm) passOn(last bool) ([]byte, error) {
	o, err := c.near.receiveOperation()
	if err != nil {
		return nil, err
	}
	if o.code != opLength || o.count > uint64(c.cfg.MaxBroadcastBytes) {
		return nil, fault.New(fault.Internal, "ring: broadcast of %d bytes: %w: at most %d are sent", o.count, errDisagree, c.cfg.MaxBroadcastBytes)
	}
	if !last {
		if err := c.near.sendOperation(o); err != nil {
			return nil, err
		}
	}
	b := make([]byte, o.count)
	for rest := b; len(rest) > 0; {
		n := min(len(rest), c.cfg.SegmentBytes)
		if err := c.near.receive(frameData, rest[:n]); err != nil {
			return nil, err
		}
		if !last {
			if err := c.near.send(frameData, rest[:n]); err != nil {
				return nil, err
			}
		}
		rest = rest[n:]
	}
	return b, nil
}

// bytesOf is v's memory as bytes. All ranks have the same byte order: their
// hellos have seen to that.
func bytesOf[T int64 | int32 | float32](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(v[0])))
}
