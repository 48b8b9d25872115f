package predictor

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/bundle"
)

// errRetired means that the version is no longer deployed: look again.
var errRetired = errors.New("the version is not deployed any more")

// batcher predicts with one version of one model. Requests that come while it is
// at work are predicted together.
type batcher struct {
	shelf *shelf
	name  string // NAME/VERSION
	model *bundle.Bundle
	queue chan *request

	mu      sync.Mutex
	retired bool
	inside  sync.WaitGroup // callers of predict
}

// request is one caller's rows.
type request struct {
	ctx  context.Context
	rows []json.RawMessage
	done chan reply // has room for it
}

type reply struct {
	answers []Answer
	err     error
}

// start sets a version to work until it is retired.
func (s *shelf) start(name string, model *bundle.Bundle) *batcher {
	b := &batcher{shelf: s, name: name, model: model, queue: make(chan *request, s.parts.Config.MaxWaiting)}
	for range s.parts.Config.Loops {
		s.wg.Go(b.loop)
	}
	return b
}

// retire ends the batcher once everybody inside has been answered.
func (b *batcher) retire() {
	b.mu.Lock()
	b.retired = true
	b.mu.Unlock()
	b.shelf.wg.Go(func() {
		b.inside.Wait()
		close(b.queue)
	})
}

func (b *batcher) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retired {
		return false
	}
	b.inside.Add(1)
	return true
}

// predict waits for the answers to rows.
func (b *batcher) predict(ctx context.Context, rows []json.RawMessage) ([]Answer, error) {
	if !b.enter() {
		return nil, errRetired
	}
	defer b.inside.Done()
	r := &request{ctx, rows, make(chan reply, 1)}
	select {
	case b.queue <- r:
	default:
		return nil, fault.New(fault.Exhausted, "predict %s: %d requests wait already: try again later", b.name, cap(b.queue))
	}
	select {
	case got := <-r.done:
		return got.answers, got.err
	case <-ctx.Done():
		return nil, fault.New(fault.Canceled, "predict %s: %w", b.name, context.Cause(ctx))
	}
}

func (b *batcher) loop() {
	last := 1
	for first := range b.queue {
		batch := b.gather(first, last)
		last = len(batch)
		b.answer(batch)
	}
}

// gather takes what waits, up to a number of rows. Where there were several the
// last time, as many are likely to be on their way: it waits a little for them.
func (b *batcher) gather(first *request, last int) []*request {
	batch, rows := []*request{first}, len(first.rows)
	cfg := b.shelf.parts.Config
	take := func(r *request, ok bool) bool {
		if ok {
			batch, rows = append(batch, r), rows+len(r.rows)
		}
		return ok
	}
	for waits := true; waits && rows < cfg.MaxBatchRows; {
		select {
		case r, ok := <-b.queue:
			waits = take(r, ok)
		default:
			waits = false
		}
	}
	if len(batch) >= last || cfg.Window == 0 {
		return batch
	}
	over := b.shelf.parts.Clock.After(cfg.Window)
	for len(batch) < last && rows < cfg.MaxBatchRows {
		select {
		case r, ok := <-b.queue:
			if !take(r, ok) {
				return batch
			}
		case <-over:
			return batch
		}
	}
	return batch
}

// answer predicts a batch. When that fails, each request is tried alone, so that
// nobody suffers from the rows of others.
func (b *batcher) answer(batch []*request) {
	var rows []json.RawMessage
	asked := batch[:0]
	for _, r := range batch {
		if r.ctx.Err() == nil { // else nobody waits for it
			rows, asked = append(rows, r.rows...), append(asked, r)
		}
	}
	if len(asked) == 0 {
		return
	}
	b.shelf.batchRows.Observe(float64(len(rows)))
	answers, err := b.compute(rows)
	if err != nil && len(asked) > 1 {
		for _, r := range asked {
			alone, err := b.compute(r.rows)
			r.done <- reply{alone, err}
		}
		return
	}
	for _, r := range asked {
		if err != nil {
			r.done <- reply{nil, err}
			continue
		}
		r.done <- reply{answers[:len(r.rows):len(r.rows)], nil}
		answers = answers[len(r.rows):]
	}
}

// compute predicts rows.
func (b *batcher) compute(rows []json.RawMessage) ([]Answer, error) {
	in, faults := b.model.Rows(rows)
	if len(faults) > 0 {
		fields := make(FieldErrors, len(faults))
		for i, f := range faults {
			fields[i] = FieldError(f)
		}
		return nil, fault.Wrap(fault.Invalid, fields)
	}
	p, err := b.model.Predict(in)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, p.NumRows)
	for i := range answers {
		prediction, probability, all := p.Row(i)
		answers[i] = Answer{Prediction: prediction, ModelVersion: b.name}
		if all != nil {
			best := float64(probability)
			answers[i].Probability = &best
			answers[i].ClassProbabilities = make([]float64, len(all))
			for k, v := range all {
				answers[i].ClassProbabilities[k] = float64(v)
			}
		}
	}
	return answers, nil
}
