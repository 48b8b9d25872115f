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
// goroutines may read, but only one that reads what Plan has announced, about in
// that order, profits from the announcement.
type Object struct {
	c    *Client
	ctx  context.Context // of all that is fetched, because ReadAt takes none
	stop context.CancelCauseFunc
	info Info
	tail []byte // the last bytes

	mu      sync.Mutex
	ahead   []*segment // announced and not yet read, in order
	held    int64      // bytes of those that are being fetched or have been
	working sync.WaitGroup
}

// segment is a range that is fetched with one request.
type segment struct {
	Range
	step    int // the last step of the plan that wants it
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
	o.drop(0, len(o.ahead))
	o.mu.Unlock()
	o.working.Wait()
	return nil
}

// Plan announces what will be read, step by step, such as the columns of one row
// group after the other, and begins to fetch it in that order as far ahead as
// the configuration allows. Ranges that are near each other are fetched
// together. The ranges of a step may be read in any order and in part; a read
// that belongs to a later step ends those before. It replaces an earlier plan.
func (o *Object) Plan(steps ...[]Range) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(0, len(o.ahead))
	o.ahead = o.c.coalesce(steps, o.info.Bytes-int64(len(o.tail)))
	o.start()
}

// coalesce joins neighbours and cuts what is longer than a segment. What lies at
// or beyond end need not be fetched.
func (c *Client) coalesce(steps [][]Range, end int64) []*segment {
	var joined []*segment
	for step, ranges := range steps {
		for _, r := range ranges {
			r.End = min(r.End, end)
			if r.Start < 0 || r.Start >= r.End {
				continue
			}
			if n := len(joined); n > 0 {
				last := joined[n-1]
				if r.Start >= last.Start && r.Start-last.End <= c.cfg.GapBytes {
					last.End, last.step = max(last.End, r.End), step
					continue
				}
			}
			joined = append(joined, &segment{Range: r, step: step})
		}
	}
	var out []*segment
	size := int64(c.cfg.SegmentBytes)
	for _, r := range joined {
		pieces := (r.End - r.Start + size - 1) / size
		each := (r.End - r.Start + pieces - 1) / pieces
		for at := r.Start; at < r.End; at += each {
			out = append(out, &segment{Range: Range{at, min(at+each, r.End)}, step: r.step})
		}
	}
	return out
}

// start fetches segments from the front on while there is room, and at least
// the first of them.
func (o *Object) start() {
	for _, s := range o.ahead {
		if s.done != nil {
			continue
		}
		n := s.End - s.Start
		if o.held > 0 && (o.held+n > o.c.cfg.AheadBytes || o.c.ahead.Load()+n > o.c.cfg.MaxAheadBytes) {
			return
		}
		o.launch(s)
	}
}

func (o *Object) launch(s *segment) {
	o.held += s.End - s.Start
	o.c.ahead.Add(s.End - s.Start)
	s.done = make(chan struct{})
	o.working.Add(1)
	go o.fetch(s)
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

// drop forgets the segments from i up to j.
func (o *Object) drop(i, j int) {
	for _, s := range o.ahead[i:j] {
		s.dropped, s.b = true, nil
		if s.done != nil {
			o.held -= s.End - s.Start
			o.c.ahead.Add(s.Start - s.End)
		}
	}
	o.ahead = slices.Delete(o.ahead, i, j)
}

// reach makes sure that segment i is being fetched: what earlier steps have left
// goes, and of its own step the first ones where there is no room else.
func (o *Object) reach(i int) {
	s := o.ahead[i]
	for i > 0 && o.ahead[0].step < s.step {
		o.drop(0, 1)
		i--
	}
	for i > 0 && s.done == nil && o.held+s.End-s.Start > o.c.cfg.AheadBytes {
		o.drop(0, 1)
		i--
	}
	if s.done == nil {
		o.launch(s)
	}
	o.start()
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
		o.reach(i)
		done := s.done
		o.mu.Unlock()
		<-done
		o.mu.Lock()
		if s.dropped {
			break // another reader has gone on
		}
		if s.err != nil {
			return 0, s.err
		}
		n := copy(p, s.b[at-s.Start:])
		if i := slices.Index(o.ahead, s); at+int64(n) == s.End && i >= 0 {
			o.drop(i, i+1)
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
