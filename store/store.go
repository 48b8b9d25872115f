// Package store is durable bytes, three ways: Blobs named by their digest, Refs
// that change by compare-and-set, and Logs that grow at an expected place. It
// knows nothing of what the bytes mean.
//
// What a call that returned without error has written is durable. A call that
// failed with kind Unavailable or Canceled may have taken effect: read, and see.
// All implementations are safe for concurrent use, copy what they are given and
// return copies; package storetest holds them to these promises.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Errors that every implementation returns, wrapped, for errors.Is. Each carries
// its kind for fault.Of.
var (
	ErrNotFound = fault.New(fault.NotFound, "not found")
	ErrConflict = fault.New(fault.Conflict, "changed meanwhile")
	ErrCorrupt  = fault.New(fault.Corrupt, "digest mismatch")
)

// Limits that every implementation keeps; what exceeds them is of kind Invalid.
const (
	MaxNameBytes   = 240       // a name of a ref or log
	MaxRefBytes    = 512 << 10 // the value of a ref
	MaxRecordBytes = 64 << 20  // the records of one Append together
	MaxBlobBytes   = 4 << 30   // a blob, which also has to fit into memory
)

// Digest names bytes: "sha256:" and 64 hexadecimal digits.
type Digest string

const digestPrefix = "sha256:"

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

// Check returns an error of kind Invalid when d is not the digest of anything.
func (d Digest) Check() error {
	if len(d) == len(digestPrefix)+2*sha256.Size && d[:len(digestPrefix)] == digestPrefix {
		valid := true
		for _, c := range d[len(digestPrefix):] {
			valid = valid && ('0' <= c && c <= '9' || 'a' <= c && c <= 'f')
		}
		if valid {
			return nil
		}
	}
	return fault.New(fault.Invalid, "digest %q: want %q and 64 hexadecimal digits in lower case", clip(string(d)), digestPrefix)
}

// Hex returns the 64 digits of a digest that Check accepts.
func (d Digest) Hex() string { return string(d[len(digestPrefix):]) }

// Verify returns an error of ErrCorrupt when b is not what d names.
func (d Digest) Verify(b []byte) error {
	if got := DigestOf(b); got != d {
		return fault.New(fault.Corrupt, "blob %s: %w: its %d bytes have %s", d, ErrCorrupt, len(b), got)
	}
	return nil
}

// CheckName returns an error of kind Invalid unless name may name a ref or a
// log: words of [A-Za-z0-9_-] joined by dots, of at most MaxNameBytes.
func CheckName(name string) error {
	if len(name) > MaxNameBytes {
		return fault.New(fault.Invalid, "name %q: %d bytes, at most %d are allowed", clip(name), len(name), MaxNameBytes)
	}
	word := 0
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			word++
		case c == '.' && word > 0:
			word = 0
		default:
			return fault.New(fault.Invalid, "name %q: unexpected %q at byte %d: want words of [A-Za-z0-9_-] joined by dots", clip(name), c, i)
		}
	}
	if word == 0 {
		return fault.New(fault.Invalid, "name %q: is empty or ends with a dot: want words of [A-Za-z0-9_-] joined by dots", clip(name))
	}
	return nil
}

// CheckRef returns an error of kind Invalid unless value fits a ref of that name.
func CheckRef(name string, value []byte) error {
	if len(value) > MaxRefBytes {
		return fault.New(fault.Invalid, "ref %s: a value of %d bytes, at most %d are allowed: keep it as a blob", name, len(value), MaxRefBytes)
	}
	return CheckName(name)
}

// CheckRecords returns an error of kind Invalid unless the records may be
// appended together to the log of that name.
func CheckRecords(name string, records [][]byte) error {
	var n int
	for _, r := range records {
		n += len(r)
	}
	if n > MaxRecordBytes {
		return fault.New(fault.Invalid, "log %s: %d records of %d bytes together, at most %d are allowed: keep them as a blob", name, len(records), n, MaxRecordBytes)
	}
	return CheckName(name)
}

// clip shortens what goes into messages.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// Blobs keeps immutable bytes under their digest. Put is durable when it
// returns and may be repeated; Get verifies what it returns. Empty bytes are a
// blob like any other. A malformed digest is of kind Invalid.
type Blobs interface {
	Put(ctx context.Context, b []byte) (Digest, error)
	// Get returns the bytes, ErrNotFound, or ErrCorrupt when they do not match.
	Get(ctx context.Context, d Digest) ([]byte, error)
	Has(ctx context.Context, d Digest) (bool, error)
	// Delete forgets the bytes; forgetting what is not there is no error. Where
	// several servers keep copies, Get may find them a moment longer: they are the
	// right ones whenever they are found.
	Delete(ctx context.Context, d Digest) error
}

// Inventory is Blobs that know what they keep, so that what nobody refers to can
// be found and forgotten. All implementations of this module's stores are.
type Inventory interface {
	Blobs
	// List calls fn with the digest of every blob, in no order, until fn returns an
	// error, which List then returns. What is put or deleted meanwhile may be missed.
	List(ctx context.Context, fn func(Digest) error) error
	// Stat returns what is known of a blob without its bytes, or ErrNotFound.
	Stat(ctx context.Context, d Digest) (Kept, error)
	// DeleteOld forgets a blob that was last put before an instant, and reports
	// whether it has. One that somebody puts again at the same time stays, or is
	// put after it has gone; either way Put has left the blob there.
	DeleteOld(ctx context.Context, d Digest, before time.Time) (bool, error)
}

// Kept is what a store knows of a blob.
type Kept struct {
	Bytes int64
	// Put is when it was last put, by the clock of the store: putting bytes that are
	// there makes them young again, if not to the minute.
	Put time.Time
}

// Refs keeps small values under names, each with a revision that grows with
// every change and is never used again, not even after a Delete. Names are
// words of [A-Za-z0-9_-] joined by dots; any other is of kind Invalid.
type Refs interface {
	// Get returns the value and its revision, or ErrNotFound.
	Get(ctx context.Context, name string) (value []byte, revision uint64, err error)
	// Set replaces the value if its revision is still the given one, and returns
	// the new revision; revision 0 means that the name must not exist. A lost
	// race is ErrConflict, and nothing has changed.
	Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error)
	// List returns the names that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Since calls fn with every ref whose name starts with prefix and that has
	// changed after a revision, in the order of their revisions, until fn returns
	// an error, which Since then returns. Revision 0 is before all. What was written
	// before the call is told; what has been deleted is not.
	Since(ctx context.Context, prefix string, revision uint64, fn func(name string, value []byte, revision uint64) error) error
	// Delete removes the name if its revision is still the given one, else it
	// is ErrConflict. A name that is not there is ErrNotFound.
	Delete(ctx context.Context, name string, revision uint64) error
}

// Logs keeps append-only sequences of records under names (as of Refs). Empty
// records are records like any other.
type Logs interface {
	// Append adds records after the first expected ones, all or none. ErrConflict
	// means that the log holds a different number: somebody else has written.
	// With no records it changes nothing, but still compares the number.
	Append(ctx context.Context, name string, expected uint64, records ...[]byte) error
	// Read returns the records from place from (0 is the first) to the end, none
	// when from is at or beyond it; an unknown name is an empty log.
	Read(ctx context.Context, name string, from uint64) ([][]byte, error)
	// Watch calls fn with every record from place from on, in order and each
	// once, until ctx ends or fn returns an error, which Watch then returns; for
	// ctx that is its error, of kind Canceled. While the store is away, it waits.
	Watch(ctx context.Context, name string, from uint64, fn func(seq uint64, record []byte) error) error
	// List returns the names of the logs that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Store is the three together.
type Store struct {
	Blobs Blobs
	Refs  Refs
	Logs  Logs
	// Spill is for blobs that nobody needs who has lost this process, and need not
	// be durable; nil when there is no better place than Blobs. See Passing.
	Spill Blobs
}

// Passing is where blobs are kept that live no longer than a job, and are needed
// as long as it can go on.
func (s Store) Passing() Blobs {
	if s.Spill != nil {
		return s.Spill
	}
	return s.Blobs
}
