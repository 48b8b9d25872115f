// Package document keeps JSON documents in a store: a ref under the key of each
// holds its text, or the digest of a blob with it when it is long. A change is a
// compare-and-set of the ref, so that two writers never lose each other's work,
// and a reader sees the document before or after a change, never between.
package document

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// Unchanged is what a change returns to leave the document as it is.
var Unchanged = errors.New("unchanged")

// version is that of the envelope and of the documents in it.
const version = 1

// maxInline is how many bytes of text a ref holds by itself. A short document
// that changes often leaves no blobs behind.
const maxInline = 128 << 10

// maxAttempts bounds the races that a change may lose in a row.
const maxAttempts = 256

// Collection is the documents of one type, under refs that begin with Prefix
// and a dot. It is safe for concurrent use.
type Collection[T any] struct {
	Prefix string // words of [A-Za-z0-9_-] joined by dots
	Blobs  store.Blobs
	Refs   store.Refs
}

// envelope is what the blob holds.
type envelope[T any] struct {
	Version  int    `json:"version"`
	Key      string `json:"key"`
	Document T      `json:"document"`
}

// Load returns the document under key, or an error of kind NotFound.
func (c Collection[T]) Load(ctx context.Context, key string) (T, error) {
	doc, _, err := c.load(ctx, key)
	return doc, err
}

func (c Collection[T]) load(ctx context.Context, key string) (doc T, revision uint64, err error) {
	value, revision, err := c.Refs.Get(ctx, c.name(key))
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = fault.Wrap(fault.NotFound, err)
		}
		return doc, 0, fmt.Errorf("%s %q: %w", c.Prefix, key, err)
	}
	doc, err = c.read(ctx, key, value)
	return doc, revision, err
}

// Revision returns the revision of the document under key, which grows with every
// change, or an error of kind NotFound.
func (c Collection[T]) Revision(ctx context.Context, key string) (uint64, error) {
	_, revision, err := c.Refs.Get(ctx, c.name(key))
	if errors.Is(err, store.ErrNotFound) {
		err = fault.Wrap(fault.NotFound, err)
	}
	if err != nil {
		return 0, fmt.Errorf("%s %q: %w", c.Prefix, key, err)
	}
	return revision, nil
}

// read returns the document of a ref's value: its text, or the digest of it.
func (c Collection[T]) read(ctx context.Context, key string, value []byte) (doc T, err error) {
	text := value
	if !bytes.HasPrefix(value, []byte("{")) {
		text, err = c.Blobs.Get(ctx, store.Digest(value))
		if errors.Is(err, store.ErrNotFound) { // the ref is there: its blob must be
			err = fault.New(fault.Corrupt, "its text %s is gone", value)
		}
		if err != nil {
			return doc, fmt.Errorf("%s %q: %w", c.Prefix, key, err)
		}
	}
	return c.decode(key, text)
}

func (c Collection[T]) decode(key string, text []byte) (T, error) {
	var versionOnly struct{ Version int }
	var e envelope[T]
	err := json.Unmarshal(text, &versionOnly)
	if err == nil && versionOnly.Version != version {
		return e.Document, fault.New(fault.Invalid, "%s %q: is of version %d, and this program reads version %d", c.Prefix, key, versionOnly.Version, version)
	}
	if err == nil {
		strict := json.NewDecoder(bytes.NewReader(text))
		strict.DisallowUnknownFields()
		err = strict.Decode(&e)
	}
	if err != nil {
		return e.Document, fault.New(fault.Corrupt, "%s %q: %w", c.Prefix, key, err)
	}
	if e.Key != key {
		return e.Document, fault.New(fault.Corrupt, "%s %q: holds the document of %q", c.Prefix, key, e.Key)
	}
	return e.Document, nil
}

// Update changes the document under key, which is zero and exists false when
// there is none yet, and returns what then stands. The document is change's own,
// with its maps and slices. change may be called again when another writer was
// faster, so it must have no other effect; when it returns Unchanged or makes no
// difference, nothing is written.
//
// Durable when it returns. An error of change is returned as it is; Conflict
// after many lost races.
func (c Collection[T]) Update(ctx context.Context, key string, change func(doc *T, exists bool) error) (T, error) {
	doc, _, err := c.update(ctx, key, change)
	return doc, err
}

// update is Update, which also returns the revision of what then stands.
func (c Collection[T]) update(ctx context.Context, key string, change func(doc *T, exists bool) error) (T, uint64, error) {
	var zero T
	for range maxAttempts {
		doc, revision, err := c.load(ctx, key)
		if err != nil && fault.Of(err) != fault.NotFound {
			return zero, 0, err
		}
		before, err := c.encode(key, doc)
		if err != nil {
			return zero, 0, err
		}
		exists := revision > 0
		switch err := change(&doc, exists); {
		case errors.Is(err, Unchanged):
			doc, err = c.decode(key, before)
			return doc, revision, err
		case err != nil:
			return zero, 0, err
		}
		after, err := c.encode(key, doc)
		if err != nil {
			return zero, 0, err
		}
		if exists && bytes.Equal(before, after) {
			doc, err = c.decode(key, after)
			return doc, revision, err
		}
		next, err := c.save(ctx, key, after, revision)
		if err == nil {
			doc, err = c.decode(key, after)
			return doc, next, err
		}
		if !errors.Is(err, store.ErrConflict) {
			return zero, 0, fmt.Errorf("%s %q: %w", c.Prefix, key, err)
		}
	}
	return zero, 0, fault.New(fault.Conflict, "%s %q: %d writers in a row were faster", c.Prefix, key, maxAttempts)
}

func (c Collection[T]) encode(key string, doc T) ([]byte, error) {
	text, err := json.Marshal(envelope[T]{version, key, doc})
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s %q: %w", c.Prefix, key, err)
	}
	return text, nil
}

// save makes text the document, and returns its revision. The blob of a long
// one comes first, so that a ref never names bytes that are not there.
func (c Collection[T]) save(ctx context.Context, key string, text []byte, revision uint64) (uint64, error) {
	value := text
	if len(text) > maxInline {
		digest, err := c.Blobs.Put(ctx, text)
		if err != nil {
			return 0, err
		}
		value = []byte(digest)
	}
	return c.Refs.Set(ctx, c.name(key), value, revision)
}

// Keys returns the keys of all documents, in the order of their names in the
// store.
func (c Collection[T]) Keys(ctx context.Context) ([]string, error) {
	names, err := c.Refs.List(ctx, c.Prefix+".")
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", c.Prefix, err)
	}
	keys := make([]string, 0, len(names))
	for _, name := range names {
		key, err := c.key(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
