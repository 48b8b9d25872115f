package predictor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
)

// question is what this process has asked another.
type question struct {
	address string
	answer  chan wire.Predicted // has room for it
}

// chunkBytes is the most bytes of rows in one message; the rest of the message
// is for names.
const chunkBytes = wire.MaxBytes - 8<<10

// rounds is how often everybody is asked before giving up, with a wait between
// in which the news of who is here may arrive.
const (
	rounds     = 3
	roundPause = 100 * time.Millisecond
)

// silentFor is how long a member that has not answered is asked after all
// others: asking one that is gone costs PeerTimeout.
const silentFor = 10 * time.Second

// askAround asks the other members, one after the other, until one answers.
func (d *Predictor) askAround(ctx context.Context, key string, rows []json.RawMessage) ([]Answer, error) {
	var answers []Answer
	for len(answers) < len(rows) {
		rest := chunk(rows[len(answers):])
		if len(rest) == 0 {
			return nil, fault.Wrap(fault.Invalid, FieldErrors{{Row: len(answers), Message: fmt.Sprintf("is larger than %d bytes", chunkBytes)}})
		}
		got, err := d.askAny(ctx, key, rest)
		if err != nil {
			var fields FieldErrors
			if errors.As(err, &fields) {
				for i := range fields {
					fields[i].Row += len(answers)
				}
			}
			return nil, err
		}
		answers = append(answers, got...)
	}
	return answers, nil
}

// chunk returns the first rows that fit into one message.
func chunk(rows []json.RawMessage) []json.RawMessage {
	const perRow = 8 // bytes of the message's own
	n := 0
	for i, r := range rows {
		if n += len(r) + perRow; n > chunkBytes {
			return rows[:i]
		}
	}
	return rows
}

// askAny returns the answers of the first member that has some: maybe to the
// first rows only, when those to all do not fit into one message.
func (d *Predictor) askAny(ctx context.Context, key string, rows []json.RawMessage) ([]Answer, error) {
	last := fault.New(fault.Unavailable, "predict %s: no member that serves models is here", key)
	for round := range rounds {
		if round > 0 {
			select {
			case <-ctx.Done():
				return nil, fault.New(fault.Canceled, "predict %s: %w", key, context.Cause(ctx))
			case <-d.parts.Clock.After(roundPause):
			}
		}
		for _, peer := range d.peers() {
			answers, err := d.askOne(ctx, peer, key, rows)
			switch kind := fault.Of(err); {
			case err == nil:
				return answers, nil
			case ctx.Err() != nil:
				return nil, fault.New(fault.Canceled, "predict %s: %w", key, context.Cause(ctx))
			case !kind.Retryable() && kind != fault.NotFound:
				return nil, err
			case kind == fault.Unavailable:
				d.mu.Lock()
				d.silent[peer] = d.parts.Clock.Now()
				d.mu.Unlock()
			}
			last = err
		}
		if fault.Of(last) == fault.NotFound {
			return nil, last // somebody who has looked says so
		}
	}
	return nil, last
}

// peers returns the other members, another one first each time. Those that have
// not answered lately come last.
func (d *Predictor) peers() []Peer {
	if d.parts.Peers == nil {
		return nil
	}
	peers := slices.Clone(d.parts.Peers())
	if n := len(peers); n > 0 {
		first := int(d.asked.Load() % uint64(n))
		peers = append(peers[first:], peers[:first]...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now, before := d.parts.Clock.Now(), d.silent
	d.silent = map[Peer]time.Time{} // without those that are here no more
	var last []Peer
	peers = slices.DeleteFunc(peers, func(p Peer) bool {
		since, ok := before[p]
		if ok = ok && now.Sub(since) < silentFor; ok {
			d.silent[p] = since
			last = append(last, p)
		}
		return ok
	})
	return append(peers, last...)
}

// askOne asks one member and waits for what it says.
func (d *Predictor) askOne(ctx context.Context, peer Peer, key string, rows []json.RawMessage) ([]Answer, error) {
	q := question{peer.Address, make(chan wire.Predicted, 1)}
	id := d.asked.Add(1)
	m, err := wire.Encode(wire.From{Boot: d.parts.System.Boot()}, wire.Predict{ID: id, Model: key, Rows: rows})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.pending[id] = q
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.pending, id)
		d.mu.Unlock()
	}()
	d.parts.System.Send(actors.At(peer.Address, Role, peer.Boot), d.pid, m)
	select {
	case p := <-q.answer:
		return understand(p, len(rows))
	case <-ctx.Done():
		return nil, fault.New(fault.Canceled, "predict %s: %w", key, context.Cause(ctx))
	case <-d.parts.Clock.After(d.parts.Config.PeerTimeout):
		return nil, fault.New(fault.Unavailable, "predict %s: %s does not answer", key, peer.Address)
	}
}

// understand turns another member's answer into ours.
func understand(p wire.Predicted, numRows int) ([]Answer, error) {
	if len(p.Fields) > 0 {
		fields := make(FieldErrors, len(p.Fields))
		for i, f := range p.Fields {
			fields[i] = FieldError(f)
		}
		return nil, fault.Wrap(fault.Invalid, fields)
	}
	if p.Failure != nil {
		return nil, fault.New(p.Failure.Kind, "%s", p.Failure.Message)
	}
	if len(p.Answers) == 0 || len(p.Answers) > numRows {
		return nil, fault.New(fault.Internal, "predict: %d answers to %d rows", len(p.Answers), numRows)
	}
	answers := make([]Answer, len(p.Answers))
	for i, text := range p.Answers {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber() // a class keeps all its digits
		if err := dec.Decode(&answers[i]); err != nil {
			return nil, fault.New(fault.Internal, "predict: answer of another member: %w", err)
		}
	}
	return answers, nil
}

// lost ends the questions to a process whose connection broke.
func (d *Predictor) lost(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.pending {
		if q.address == address {
			q.say(wire.Predicted{Failure: &jobs.Failure{Kind: fault.Unavailable, Message: "predict: " + address + " is gone"}})
		}
	}
}

// say delivers an answer, unless there has been one.
func (q question) say(p wire.Predicted) {
	select {
	case q.answer <- p:
	default:
	}
}

// booth is the predictor's actor.
type booth Predictor

// Receive answers questions beside the mailbox, and hands answers to who asked.
func (b *booth) Receive(ctx actor.Context) {
	d := (*Predictor)(b)
	_, word, err := wire.Decode(ctx.Message())
	if err != nil {
		return
	}
	switch w := word.(type) {
	case wire.Predicted:
		d.mu.Lock()
		q, ok := d.pending[w.ID]
		d.mu.Unlock()
		if ok {
			q.say(w)
		}
	case wire.Predict:
		sender := ctx.Sender()
		select {
		case d.slots <- struct{}{}:
			d.wg.Go(func() {
				defer func() { <-d.slots }()
				d.reply(sender, d.serve(w))
			})
		default:
			d.reply(sender, wire.Predicted{ID: w.ID, Failure: &jobs.Failure{Kind: fault.Exhausted, Message: "predict: too many questions"}})
		}
	}
}

// serve answers another member's question with the models that are warm here.
func (d *Predictor) serve(w wire.Predict) wire.Predicted {
	ctx, cancel := context.WithTimeout(d.ctx, d.parts.Config.PeerTimeout)
	defer cancel()
	out := wire.Predicted{ID: w.ID}
	answers, err := d.local(ctx, w.Model, w.Rows)
	var fields FieldErrors
	switch {
	case errors.As(err, &fields):
		for _, f := range fields {
			out.Fields = append(out.Fields, wire.FieldError(f))
		}
	case err == nil:
		out.Answers, err = texts(answers)
	}
	if err != nil && len(out.Fields) == 0 {
		kind := fault.Of(err)
		if kind == fault.Canceled {
			kind = fault.Unavailable // the asker has not given up
		}
		out.Failure = &jobs.Failure{Kind: kind, Message: err.Error()}
	}
	return out
}

// texts returns the first answers that fit into one message as JSON.
func texts(answers []Answer) ([]json.RawMessage, error) {
	var all []json.RawMessage
	for _, a := range answers {
		text, err := json.Marshal(a)
		if err != nil {
			return nil, fault.New(fault.Internal, "predict: %w", err)
		}
		all = append(all, text)
	}
	if fit := chunk(all); len(fit) > 0 {
		return fit, nil
	}
	return nil, fault.New(fault.Invalid, "predict: the answer to one row is larger than %d bytes: ask a member that keeps the model warm", chunkBytes)
}

// reply sends an answer; one without a sender has nowhere to go.
func (d *Predictor) reply(to *actor.PID, p wire.Predicted) {
	m, err := wire.Encode(wire.From{Boot: d.parts.System.Boot()}, p)
	if err == nil && to != nil {
		d.parts.System.Send(to, d.pid, m)
	}
}
