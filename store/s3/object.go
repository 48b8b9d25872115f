package s3

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
)

// tailBytes is how much of an object's end is read when it is opened: that is
// where a Parquet file says what it holds.
const tailBytes = 64 << 10

// Range is a run of an object's bytes.
type Range struct {
	Start, End int64 // End is the first byte after it
}

// Object is an open object of one version. It is an io.ReaderAt: any number of
// goroutines may read, but only one that reads what Plan has announced, in that
// order, profits from the announcement.
type Object struct {
	c    *Client
	ctx  context.Context // of all that is fetched, because ReadAt takes none
	stop context.CancelCauseFunc
	info Info
	tail []byte // the last bytes

	mu      sync.Mutex
	ahead   []*segment // announced and not yet read, in order
	started int        // of ahead, how many are being fetched or have been
	held    int64      // bytes of those
	working sync.WaitGroup
}

// segment is a range that is fetched with one request.
type segment struct {
	Range
	b       []byte
	err     error
	done    chan struct{} // closed when b or err stands; nil before it is fetched
	dropped bool
}

// Open reads an object's end and learns its size and version. A version that is
// not empty must be the object's, else the error is of kind Conflict. Everything
// that is read later is of the same version. ctx ends all reading; Close the
// object when done.
func (c *Client) Open(ctx context.Context, u URL, version string) (*Object, error) {
	tail, info, err := c.tail(ctx, u, version, tailBytes)
	if err != nil {
		return nil, err
	}
	o := &Object{c: c, info: info, tail: tail}
	o.ctx, o.stop = context.WithCancelCause(ctx)
	return o, nil
}

// Info returns what the store knew of the object when it was opened.
func (o *Object) Info() Info { return o.info }

var errClosed = fault.New(fault.Canceled, "the object has been closed")

// Close ends all requests and waits for them.
func (o *Object) Close() error {
	o.stop(errClosed)
	o.mu.Lock()
	o.drop(len(o.ahead))
	o.mu.Unlock()
	o.working.Wait()
	return nil
}

// Plan announces what will be read, in that order, and begins to fetch it as far
// ahead as the configuration allows. Ranges that are near each other are fetched
// together. It replaces an earlier plan.
func (o *Object) Plan(ranges []Range) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(len(o.ahead))
	for _, r := range o.c.coalesce(ranges, o.info.Bytes-int64(len(o.tail))) {
		o.ahead = append(o.ahead, &segment{Range: r})
	}
	o.start()
}

// coalesce joins neighbours and cuts what is longer than a segment. What lies at
// or beyond end need not be fetched.
func (c *Client) coalesce(ranges []Range, end int64) []Range {
	var joined []Range
	for _, r := range ranges {
		r.End = min(r.End, end)
		if r.Start >= r.End {
			continue
		}
		if n := len(joined); n > 0 {
			last := &joined[n-1]
			if r.Start >= last.Start && r.Start-last.End <= c.cfg.GapBytes {
				last.End = max(last.End, r.End)
				continue
			}
		}
		joined = append(joined, r)
	}
	var out []Range
	size := int64(c.cfg.SegmentBytes)
	for _, r := range joined {
		pieces := (r.End - r.Start + size - 1) / size
		each := (r.End - r.Start + pieces - 1) / pieces
		for at := r.Start; at < r.End; at += each {
			out = append(out, Range{at, min(at+each, r.End)})
		}
	}
	return out
}

// start fetches segments from the front on while there is room, and at least
// the first of them.
func (o *Object) start() {
	for o.started < len(o.ahead) {
		s := o.ahead[o.started]
		n := s.End - s.Start
		if o.started > 0 && (o.held+n > o.c.cfg.AheadBytes || o.c.ahead.Load()+n > o.c.cfg.MaxAheadBytes) {
			return
		}
		o.started++
		o.held += n
		o.c.ahead.Add(n)
		s.done = make(chan struct{})
		o.working.Add(1)
		go o.fetch(s)
	}
}

func (o *Object) fetch(s *segment) {
	defer o.working.Done()
	b := make([]byte, s.End-s.Start)
	err := o.c.fetch(o.ctx, o.info.URL, o.info.Version, b, s.Start)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !s.dropped {
		s.b, s.err = b, err
	}
	close(s.done)
}

// drop forgets the first n segments.
func (o *Object) drop(n int) {
	for _, s := range o.ahead[:n] {
		s.dropped, s.b = true, nil
		if s.done != nil {
			o.started--
			o.held -= s.End - s.Start
			o.c.ahead.Add(s.Start - s.End)
		}
	}
	o.ahead = slices.Delete(o.ahead, 0, n)
}

// ReadAt reads from what has been fetched ahead or, where nothing has, asks for
// the bytes.
func (o *Object) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fault.New(fault.Invalid, "read %s: offset %d", o.info.URL, off)
	}
	n := 0
	for n < len(p) && off+int64(n) < o.info.Bytes {
		got, err := o.some(p[n:], off+int64(n))
		n += got
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// some reads at least one byte.
func (o *Object) some(p []byte, at int64) (int, error) {
	if start := o.info.Bytes - int64(len(o.tail)); at >= start {
		return copy(p, o.tail[at-start:]), nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, s := range o.ahead {
		if at < s.Start || at >= s.End {
			continue
		}
		o.drop(i) // the reader has passed them by
		o.start()
		for s.done != nil && !isClosed(s.done) {
			done := s.done
			o.mu.Unlock()
			<-done
			o.mu.Lock()
		}
		if s.dropped {
			break // another reader has gone on
		}
		if s.err != nil {
			return 0, s.err
		}
		n := copy(p, s.b[at-s.Start:])
		if at+int64(n) == s.End && len(o.ahead) > 0 && o.ahead[0] == s {
			o.drop(1)
			o.start()
		}
		return n, nil
	}
	return o.direct(p, at)
}

// direct asks for bytes that nobody has announced; mu is held before and after.
func (o *Object) direct(p []byte, at int64) (int, error) {
	end := min(at+int64(len(p)), at+int64(o.c.cfg.SegmentBytes), o.info.Bytes-int64(len(o.tail)))
	for _, s := range o.ahead {
		if s.Start > at {
			end = min(end, s.Start)
		}
	}
	o.mu.Unlock()
	defer o.mu.Lock()
	err := o.c.fetch(o.ctx, o.info.URL, o.info.Version, p[:end-at], at)
	if err != nil {
		return 0, err
	}
	return int(end - at), nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
