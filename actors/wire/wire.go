// Package wire turns the words of jobs into messages and back. It is the only
// importer of the generated code.
//
// Every message opens with the protocol's major version, the id of the sending
// process and the lease epoch that it knows; what belongs to an attempt carries
// a jobs.Ref as well. Messages of another major version and of unknown kinds
// are refused, never guessed at.
package wire

import (
	"encoding/json"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
)

// Protocol is the major version of the messages. Members of different majors
// do not talk to each other.
const Protocol = 1

// MaxBytes is the most that one message may be: what is larger would hold up
// everything behind it, and belongs in a blob.
const MaxBytes = 256 << 10

// Package is the protobuf package of all messages, for those who filter.
const Package = "troupe.v1"

// Errors of Decode and Encode, for errors.Is.
var (
	ErrUnknown  = errors.New("unknown kind of message")
	ErrProtocol = errors.New("another version of the protocol")
	ErrTooLarge = errors.New("message too large")
)

// From is who speaks: the id of the process, and the newest lease epoch it has
// heard of.
type From struct {
	Boot  string
	Epoch uint64
}

// Stop tells a member to end an attempt and to forget its report.
type Stop struct{ Ref jobs.Ref }

// Ack tells a member that its report is durable, or that nobody wants it.
type Ack struct{ Ref jobs.Ref }

// Welcome tells a member that its heartbeat was heard.
type Welcome struct{}

// Nudge tells the coordinator that there is something new in the store.
type Nudge struct{}

// Drain asks a member to hand its work over and leave.
type Drain struct{ Why string }

// Predict asks a member for the predictions of a model. ID is unique in the
// asking process.
type Predict struct {
	ID    uint64
	Model string
	Rows  []json.RawMessage
}

// Predicted answers the Predict of the same ID: an answer for each row, or why
// there is none.
type Predicted struct {
	ID      uint64
	Answers []json.RawMessage
	Failure *jobs.Failure
	Fields  []FieldError
}

// FieldError is what is wrong with one field of one row.
type FieldError struct {
	Row            int
	Field, Message string
}

// Encode returns the message for a word: a jobs.Order, Hello, Report,
// Checkpoint or Progress, or one of the words of this package. Any other is
// ErrUnknown, and one of more than MaxBytes ErrTooLarge; both are of kind
// Invalid. The message shares no memory that the caller may still change,
// except the bytes of specs, metas and rows.
func Encode(from From, word any) (proto.Message, error) {
	m := encode(from, word)
	if m == nil {
		return nil, fault.New(fault.Invalid, "encode %T: %w", word, ErrUnknown)
	}
	if n := proto.Size(m); n > MaxBytes {
		return nil, fault.New(fault.Invalid, "encode %T: %w: %d bytes, at most %d are sent: keep them as a blob", word, ErrTooLarge, n, MaxBytes)
	}
	return m, nil
}

// Decode returns the word of a message and who said it. A message that Encode
// does not make is ErrUnknown, one of another major version ErrProtocol; both
// are of kind Invalid.
func Decode(m any) (From, any, error) {
	h, ok := m.(headed)
	if !ok {
		return From{}, nil, fault.New(fault.Invalid, "decode %T: %w", m, ErrUnknown)
	}
	header := h.GetHeader()
	if v := header.GetProtocol(); v != Protocol {
		return From{}, nil, fault.New(fault.Invalid, "decode %T from %q: %w: theirs is %d, ours %d: run the same major version on every member", m, header.GetBoot(), ErrProtocol, v, Protocol)
	}
	word := decode(m)
	if word == nil {
		return From{}, nil, fault.New(fault.Invalid, "decode %T: %w", m, ErrUnknown)
	}
	return From{Boot: header.GetBoot(), Epoch: header.GetEpoch()}, word, nil
}
