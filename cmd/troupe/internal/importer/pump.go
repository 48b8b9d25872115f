package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
)

// piece is what came of one chunk of a file.
type piece struct {
	file    string
	batch   *data.Batch
	rejects []text.Reject
	err     error
}

// pump reads the files one after the other, and lets as many chunks as there
// are threads be turned into rows at the same time. Pieces come out in the order
// of the chunks.
type pump struct {
	ctx    context.Context
	cancel context.CancelFunc
	queue  chan chan piece
	wg     sync.WaitGroup
}

func startPump(ctx context.Context, p plan, sources []*source, threads int) *pump {
	ctx, cancel := context.WithCancel(ctx)
	out := &pump{ctx: ctx, cancel: cancel, queue: make(chan chan piece, threads)}
	out.wg.Go(func() {
		defer close(out.queue)
		for _, s := range sources {
			if err := out.read(p, s); err != nil {
				if s.name != "" {
					err = fmt.Errorf("import: %s: %w", s.name, err)
				}
				failed := make(chan piece, 1)
				failed <- piece{err: err}
				out.push(failed)
				return
			}
		}
	})
	return out
}

// push queues a piece to come, and reports whether anybody still wants it.
func (p *pump) push(c chan piece) bool {
	select {
	case p.queue <- c:
		return true
	case <-p.ctx.Done():
		return false
	}
}

func (p *pump) read(pl plan, s *source) (err error) {
	r, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.expect()
	st, err := pl.open(r, s.name)
	if err != nil {
		return err
	}
	for {
		work, err := st.next()
		if errors.Is(err, io.EOF) {
			return s.finish(r)
		}
		if err != nil {
			return err
		}
		done := make(chan piece, 1)
		if !p.push(done) {
			return context.Cause(p.ctx)
		}
		p.wg.Go(func() {
			out := piece{file: s.name}
			if out.batch, out.rejects, out.err = work(); out.err != nil {
				out.err = fmt.Errorf("import: %s: %w", s.name, out.err)
			}
			done <- out
		})
	}
}

// next returns the next piece, io.EOF after the last.
func (p *pump) next() (piece, error) {
	if p.ctx.Err() != nil {
		return piece{}, context.Cause(p.ctx)
	}
	done, ok := <-p.queue
	if !ok {
		if p.ctx.Err() != nil {
			return piece{}, context.Cause(p.ctx)
		}
		return piece{}, io.EOF
	}
	out := <-done
	return out, out.err
}

// stop ends the reading and waits for what is under way.
func (p *pump) stop() {
	p.cancel()
	p.wg.Wait()
}
