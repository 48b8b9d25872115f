// Package clock is time as an argument: shells take a Clock, so that tests and
// the simulation decide what time it is.
package clock

import "time"

// Clock tells the time and wakes its callers.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// After returns a channel that receives the time once, d from now.
	After(d time.Duration) <-chan time.Time
	// NewTicker returns a ticker that fires every d until it is stopped.
	NewTicker(d time.Duration) Ticker
}

// Ticker fires repeatedly until stopped.
type Ticker interface {
	C() <-chan time.Time
	Stop()
}

// Real is the machine's clock.
type Real struct{}

// Now returns the current time.
func (Real) Now() time.Time { return time.Now() }

// After waits for d to pass and then sends the current time.
func (Real) After(d time.Duration) <-chan time.Time { return time.After(d) }

// NewTicker returns a ticker of package time.
func (Real) NewTicker(d time.Duration) Ticker { return realTicker{time.NewTicker(d)} }

type realTicker struct{ t *time.Ticker }

func (t realTicker) C() <-chan time.Time { return t.t.C }
func (t realTicker) Stop()               { t.t.Stop() }
