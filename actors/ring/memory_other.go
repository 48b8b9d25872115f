//go:build !linux

package ring

import "errors"

// lent is the memory of a link whose other end has yet to open it.
type lent struct {
	offer  offer
	memory []byte
}

var errNoMemory = errors.New("only Linux has memory that two processes find by a name")

func lend() (*lent, error) { return nil, errNoMemory }

func (*lent) taken() {}

func borrow(offer) ([]byte, error) { return nil, errNoMemory }

func unmap([]byte) {}
