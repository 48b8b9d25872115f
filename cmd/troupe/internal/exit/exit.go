// Package exit is how troupe ends: the codes that scripts rely on, and which of
// them an error stands for.
package exit

import (
	"context"
	"errors"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Code is the exit code of the program.
type Code int

// The codes. They are a contract: none ever changes its meaning.
const (
	OK          Code = 0
	Failed      Code = 1   // the job, or whatever was asked for, failed
	Usage       Code = 2   // the command line or a spec is wrong
	Refused     Code = 3   // a check said no: drift, a gate, a digest
	Unreachable Code = 4   // no cluster answers, or it does not know the token
	TimedOut    Code = 124 // --timeout passed
	Interrupted Code = 130 // Ctrl-C, or SIGTERM
)

// Error is an error with a code. Err is nil when people have been told already.
type Error struct {
	Code Code
	Err  error
}

// Error returns the message of the wrapped error.
func (e *Error) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// With gives err the code.
func With(code Code, err error) error { return &Error{code, err} }

// Why a context has ended, as its cause.
var (
	ErrInterrupted = With(Interrupted, fault.New(fault.Canceled, "interrupted"))
	ErrTimeout     = With(TimedOut, fault.New(fault.Canceled, "the --timeout has passed"))
)

// Of returns the code that err stands for: that of the outermost Error in its
// chain, else what its kind says.
func Of(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	switch fault.Of(err) {
	case fault.Invalid:
		return Usage
	case fault.Unavailable:
		return Unreachable
	case fault.Canceled:
		return Interrupted
	default:
		return Failed
	}
}

// Because returns the cause of ctx's end if it has ended, else err: what people
// want to hear is that they pressed Ctrl-C, not which call noticed.
func Because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
