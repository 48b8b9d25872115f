// Package store is durable bytes, three ways: Blobs named by their digest, Refs
// that change by compare-and-set, and Logs that grow at an expected place. It
// knows nothing of what the bytes mean.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Errors that every implementation returns, wrapped, for errors.Is.
var (
	ErrNotFound = errors.New("not found")         // kind fault.NotFound
	ErrConflict = errors.New("changed meanwhile") // kind fault.Conflict
	ErrCorrupt  = errors.New("digest mismatch")   // kind fault.Corrupt
)

// Digest names bytes: "sha256:" and 64 hexadecimal digits.
type Digest string

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Blobs keeps immutable bytes under their digest. Put is durable when it
// returns and may be repeated; Get verifies what it returns.
type Blobs interface {
	Put(ctx context.Context, b []byte) (Digest, error)
	// Get returns the bytes, ErrNotFound, or ErrCorrupt when they do not match.
	Get(ctx context.Context, d Digest) ([]byte, error)
	Has(ctx context.Context, d Digest) (bool, error)
	// Delete forgets the bytes; forgetting what is not there is no error.
	Delete(ctx context.Context, d Digest) error
}

// Refs keeps small values under names, each with a revision that grows with
// every change. Names are words of [A-Za-z0-9_-] joined by dots.
type Refs interface {
	// Get returns the value and its revision, or ErrNotFound.
	Get(ctx context.Context, name string) (value []byte, revision uint64, err error)
	// Set replaces the value if its revision is still the given one, and returns
	// the new revision; revision 0 means that the name must not exist. A lost
	// race is ErrConflict, and nothing has changed.
	Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error)
	// List returns the names that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes the name if its revision is still the given one.
	Delete(ctx context.Context, name string, revision uint64) error
}

// Logs keeps append-only sequences of records under names (as of Refs).
type Logs interface {
	// Append adds records after the first expected ones, all or none. ErrConflict
	// means that the log holds a different number: somebody else has written.
	Append(ctx context.Context, name string, expected uint64, records ...[]byte) error
	// Read returns the records from place from (0 is the first) to the end; an
	// unknown name is an empty log.
	Read(ctx context.Context, name string, from uint64) ([][]byte, error)
	// Watch calls fn with every record from place from on, in order, until ctx
	// ends or fn returns an error, which Watch then returns.
	Watch(ctx context.Context, name string, from uint64, fn func(seq uint64, record []byte) error) error
	// List returns the names of the logs that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Store is the three together.
type Store struct {
	Blobs Blobs
	Refs  Refs
	Logs  Logs
}
