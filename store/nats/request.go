package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Headers of our messages.
const (
	headerID   = "Troupe-Id"   // of the write
	headerKind = "Troupe-Kind" // what the message is; absent for plain bytes
)

// Error codes of JetStream.
const (
	codeWrongSequence = 10071
	codeBusy          = 10164 // somebody's write to the subject has not been decided yet
	codeNoMessage     = 10037
	codeNoSequence    = 10043
	codeNoSpace       = 10047
	codeNoMemory      = 10028
	codeNoStorage     = 10023
	codeStreamFull    = 10077
	codeAccountFull   = 10002
)

// errSequence means that the subject's last message is not the expected one.
var errSequence = errors.New("wrong last sequence")

// errBusy means that several servers have not agreed yet on somebody else's
// write to the subject, which may still come to nothing: this one was not made.
var errBusy = fault.New(fault.Unavailable, "another write to the same name is under way")

// apiError is how JetStream says no.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// fault returns the error with its kind.
func (e *apiError) fault() error {
	switch {
	case e.ErrCode == codeWrongSequence:
		return errSequence
	case e.ErrCode == codeBusy:
		return errBusy
	case slices.Contains([]int{codeNoSpace, codeNoMemory, codeNoStorage, codeStreamFull, codeAccountFull}, e.ErrCode):
		return fault.New(fault.Exhausted, "the store is full: %s (%d)", e.Description, e.ErrCode)
	case e.Code == 503, e.Code == 408:
		return fault.New(fault.Unavailable, "the store is not ready: %s (%d)", e.Description, e.ErrCode)
	case e.Code == 400:
		return fault.New(fault.Invalid, "the store refuses: %s (%d)", e.Description, e.ErrCode)
	default:
		return fault.New(fault.Internal, "the store fails: %s (%d)", e.Description, e.ErrCode)
	}
}

// publish writes one message if the last on its subject has the expected
// sequence number, and returns the new one; else it is errSequence or errBusy.
// After another error of kind Unavailable it may have been written.
func (b *bus) publish(ctx context.Context, stream string, msg *nats.Msg, expected uint64) (uint64, error) {
	msg.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(expected, 10))
	msg.Header.Set("Nats-Expected-Stream", stream)
	return b.store(ctx, msg)
}

// store writes one message and returns its sequence number.
func (b *bus) store(ctx context.Context, msg *nats.Msg) (uint64, error) {
	answer, err := b.ask(ctx, msg)
	if err != nil {
		return 0, err
	}
	return readAck(answer.Data)
}

// readAck returns the sequence number that a write was given.
func readAck(b []byte) (uint64, error) {
	var ack struct {
		Error *apiError `json:"error"`
		Seq   uint64    `json:"seq"`
	}
	if err := json.Unmarshal(b, &ack); err != nil {
		return 0, fault.New(fault.Internal, "the store's answer makes no sense: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error.fault()
	}
	return ack.Seq, nil
}

// stored is a message of a stream.
type stored struct {
	subject string
	seq     uint64
	header  nats.Header
	data    []byte
	at      time.Time // when the store took it
}

func (s *stored) id() string { return s.header.Get(headerID) }

// errNone means that there is no such message.
var errNone = errors.New("no message")

// last returns the last message on a subject, as the leader has it.
func (b *bus) last(ctx context.Context, stream, subject string) (*stored, error) {
	if b.cfg.Replicas == 1 {
		return b.direct(ctx, stream, map[string]any{"last_by_subj": subject})
	}
	return b.lead(ctx, stream, map[string]any{"last_by_subj": subject})
}

// lead asks the leader for one message.
func (b *bus) lead(ctx context.Context, stream string, query map[string]any) (*stored, error) {
	body, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	answer, err := b.ask(ctx, &nats.Msg{Subject: "$JS.API.STREAM.MSG.GET." + stream, Data: body})
	if err != nil {
		return nil, err
	}
	var r struct {
		Error   *apiError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return nil, fault.New(fault.Internal, "the store's answer makes no sense: %w", err)
	}
	if r.Error != nil {
		if r.Error.ErrCode == codeNoMessage {
			return nil, errNone
		}
		return nil, r.Error.fault()
	}
	if r.Message == nil {
		return nil, fault.New(fault.Internal, "the store's answer has no message")
	}
	s := &stored{subject: r.Message.Subject, seq: r.Message.Seq, data: r.Message.Data, at: r.Message.Time}
	if len(r.Message.Header) > 0 {
		if s.header, err = nats.DecodeHeadersMsg(r.Message.Header); err != nil {
			return nil, fault.New(fault.Corrupt, "the store's message %d: %w", s.seq, err)
		}
	}
	return s, nil
}

// direct asks any replica for one message.
func (b *bus) direct(ctx context.Context, stream string, query map[string]any) (*stored, error) {
	body, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	answer, err := b.ask(ctx, &nats.Msg{Subject: "$JS.API.DIRECT.GET." + stream, Data: body})
	if err != nil {
		return nil, err
	}
	return directMessage(answer)
}

func directMessage(m *nats.Msg) (*stored, error) {
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return nil, errNone
	case "503", "408":
		return nil, fault.New(fault.Unavailable, "the store is not ready: %s", m.Header.Get("Description"))
	default:
		return nil, fault.New(fault.Internal, "the store fails: %s %s", status, m.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return nil, fault.New(fault.Internal, "the store's answer has no sequence number: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return nil, fault.New(fault.Internal, "the store's answer has no time: %w", err)
	}
	return &stored{subject: m.Header.Get("Nats-Subject"), seq: seq, header: m.Header, data: m.Data, at: at}, nil
}

// scanBatch and scanBytes bound what one request of a scan brings: what it
// holds in memory, and what is lost when an answer is.
const (
	scanBatch = 1024
	scanBytes = 8 << 20
)

// scan calls fn with the messages on a subject from a sequence number up to
// another, in order, as any replica has them. A replica that lags behind ends
// early: fn has to know what it wants.
func (b *bus) scan(ctx context.Context, stream, subject string, from, to uint64, fn func(*stored) error) error {
	inbox := b.conn.NewRespInbox()
	sub, err := b.conn.SubscribeSync(inbox)
	if err != nil {
		return fault.New(fault.Unavailable, "the store is away: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection is gone, then
	for from <= to {
		next, err := b.scanSome(ctx, sub, stream, subject, from, to, fn)
		if err != nil {
			return err
		}
		if next == from {
			return nil
		}
		from = next
	}
	return nil
}

// scanSome is one request of a scan. It returns where the next one starts,
// which is from itself at the end.
func (b *bus) scanSome(ctx context.Context, sub *nats.Subscription, stream, subject string, from, to uint64, fn func(*stored) error) (uint64, error) {
	body, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": subject, "batch": scanBatch, "max_bytes": scanBytes})
	if err != nil {
		return 0, err
	}
	if err := b.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, sub.Subject, body); err != nil {
		return 0, fault.New(fault.Unavailable, "the store is away: %w", err)
	}
	next := from
	for {
		m, err := b.receive(ctx, sub)
		if err != nil {
			return 0, err
		}
		switch m.Header.Get("Status") {
		case "204", "404": // the end of the answer
			return next, nil
		}
		s, err := directMessage(m)
		if err != nil {
			return 0, err
		}
		if s.seq < next {
			return 0, fault.New(fault.Internal, "message %d came after %d", s.seq, next)
		}
		next = s.seq + 1
		if s.seq <= to {
			if err := fn(s); err != nil {
				return 0, err
			}
		}
	}
}

func (b *bus) receive(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	try, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	m, err := sub.NextMsgWithContext(try)
	if err == nil {
		return m, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, fault.New(fault.Unavailable, "the store does not answer: %w", err)
}

// erase deletes a message by its number; one that is gone already is no error.
func (b *bus) erase(ctx context.Context, stream string, seq uint64) error {
	return b.command(ctx, "$JS.API.STREAM.MSG.DELETE."+stream, map[string]any{"seq": seq, "no_erase": true})
}

// purgeUpTo deletes the messages on a subject up to a sequence number.
func (b *bus) purgeUpTo(ctx context.Context, stream, subject string, seq uint64) error {
	return b.command(ctx, "$JS.API.STREAM.PURGE."+stream, map[string]any{"filter": subject, "seq": seq + 1})
}

// purge deletes all messages on a subject.
func (b *bus) purge(ctx context.Context, stream, subject string) error {
	return b.command(ctx, "$JS.API.STREAM.PURGE."+stream, map[string]any{"filter": subject})
}

func (b *bus) command(ctx context.Context, subject string, query map[string]any) error {
	body, err := json.Marshal(query)
	if err != nil {
		return err
	}
	answer, err := b.ask(ctx, &nats.Msg{Subject: subject, Data: body})
	if err != nil {
		return err
	}
	var r struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return fault.New(fault.Internal, "the store's answer makes no sense: %w", err)
	}
	if r.Error != nil && r.Error.ErrCode != codeNoMessage && r.Error.ErrCode != codeNoSequence && r.Error.Code != 404 {
		return r.Error.fault()
	}
	return nil
}

// subjects returns the subjects of a stream that match a filter, as its leader
// knows them.
func (b *bus) subjects(ctx context.Context, stream, filter string) (map[string]uint64, error) {
	all := map[string]uint64{}
	for {
		body, err := json.Marshal(map[string]any{"subjects_filter": filter, "offset": len(all)})
		if err != nil {
			return nil, err
		}
		answer, err := b.ask(ctx, &nats.Msg{Subject: "$JS.API.STREAM.INFO." + stream, Data: body})
		if err != nil {
			return nil, err
		}
		var r struct {
			Error *apiError `json:"error"`
			Total int       `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		if err := json.Unmarshal(answer.Data, &r); err != nil {
			return nil, fault.New(fault.Internal, "the store's answer makes no sense: %w", err)
		}
		if r.Error != nil {
			return nil, r.Error.fault()
		}
		for s, n := range r.State.Subjects {
			all[s] = n
		}
		if len(r.State.Subjects) == 0 || len(all) >= r.Total {
			return all, nil
		}
	}
}

// tombstoneLife is how long the marker of a deletion that was cut short stays.
const tombstoneLife = time.Minute

// named gives an error the name of what was done.
func named(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}
