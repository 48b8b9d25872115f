// Package fault is the one vocabulary of error kinds. A kind crosses the wire
// and alone decides whether a task is tried again and which HTTP status or exit
// code a person sees.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind classifies an error. The values are part of the wire format: kinds are
// only ever appended, never reordered or removed.
type Kind uint8

// The kinds, in wire order.
const (
	Internal    Kind = iota // a bug, or an error nobody classified
	Invalid                 // the input or the spec is wrong; trying again cannot help
	NotFound                // what was named does not exist
	Conflict                // somebody else was first, or the writer has been replaced
	Unavailable             // a peer, a store or the network is away; trying again may help
	Exhausted               // memory, disk or a queue is full; trying again later may help
	Canceled                // the caller no longer wants the answer
	Corrupt                 // stored bytes are not what they claim to be
)

var names = [...]string{"internal", "invalid", "not found", "conflict", "unavailable", "exhausted", "canceled", "corrupt"}

// String returns the kind's name in words.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Retryable reports whether the same work may succeed when tried again.
func (k Kind) Retryable() bool { return k == Unavailable || k == Exhausted }

// Error is an error with a kind.
type Error struct {
	Kind Kind
	Err  error
}

// Error returns the message of the wrapped error; the kind is not part of it.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// New formats a message as fmt.Errorf does and gives it the kind.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Wrap gives err the kind; nil stays nil.
func Wrap(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Err: err}
}

// Of returns the kind of the outermost Error in err's chain. Errors of package
// context count as Canceled; everything else without a kind is Internal.
func Of(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Canceled
	default:
		return Internal
	}
}
