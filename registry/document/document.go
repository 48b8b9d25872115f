// Package document keeps JSON documents in a store: the text of each is a blob,
// and a ref under its key names the current one. A change is a compare-and-set
// of the ref, so that two writers never lose each other's work, and a reader
// sees the document before or after a change, never between.
package document

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// Unchanged is what a change returns to leave the document as it is.
var Unchanged = errors.New("unchanged")

// version is that of the envelope and of the documents in it.
const version = 1

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
	text, err := c.Blobs.Get(ctx, store.Digest(value))
	if errors.Is(err, store.ErrNotFound) { // the ref is there: its blob must be
		err = fault.New(fault.Corrupt, "its text %s is gone", value)
	}
	if err != nil {
		return doc, 0, fmt.Errorf("%s %q: %w", c.Prefix, key, err)
	}
	doc, err = c.decode(key, text)
	return doc, revision, err
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
// there is none yet, and returns what then stands. change may be called again
// when another writer was faster, so it must have no other effect; when it
// returns Unchanged or makes no difference, nothing is written.
//
// Durable when it returns. An error of change is returned as it is; Conflict
// after many lost races.
func (c Collection[T]) Update(ctx context.Context, key string, change func(doc *T, exists bool) error) (T, error) {
	var zero T
	for range maxAttempts {
		doc, revision, err := c.load(ctx, key)
		if err != nil && fault.Of(err) != fault.NotFound {
			return zero, err
		}
		before, err := c.encode(key, doc)
		if err != nil {
			return zero, err
		}
		exists := revision > 0
		switch err := change(&doc, exists); {
		case errors.Is(err, Unchanged):
			return c.decode(key, before)
		case err != nil:
			return zero, err
		}
		after, err := c.encode(key, doc)
		if err != nil {
			return zero, err
		}
		if exists && bytes.Equal(before, after) {
			return c.decode(key, after)
		}
		err = c.save(ctx, key, after, revision)
		if err == nil {
			return c.decode(key, after)
		}
		if !errors.Is(err, store.ErrConflict) {
			return zero, fmt.Errorf("%s %q: %w", c.Prefix, key, err)
		}
	}
	return zero, fault.New(fault.Conflict, "%s %q: %d writers in a row were faster", c.Prefix, key, maxAttempts)
}

func (c Collection[T]) encode(key string, doc T) ([]byte, error) {
	text, err := json.Marshal(envelope[T]{version, key, doc})
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s %q: %w", c.Prefix, key, err)
	}
	return text, nil
}

// save makes text the document: the blob first, so that a ref never names
// bytes that are not there.
func (c Collection[T]) save(ctx context.Context, key string, text []byte, revision uint64) error {
	digest, err := c.Blobs.Put(ctx, text)
	if err != nil {
		return err
	}
	_, err = c.Refs.Set(ctx, c.name(key), []byte(digest), revision)
	return err
}

// Keys returns the keys of all documents, in the order of their names in the
// store.
func (c Collection[T]) Keys(ctx context.Context) ([]string, error) {
	prefix := c.Prefix + "."
	names, err := c.Refs.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", c.Prefix, err)
	}
	keys := make([]string, 0, len(names))
	for _, name := range names {
		key, err := unescape(strings.TrimPrefix(name, prefix))
		if err != nil {
			return nil, fault.New(fault.Corrupt, "list %s: %w", c.Prefix, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// All returns every document, in the order of Keys. One that vanishes while
// they are read is left out.
func (c Collection[T]) All(ctx context.Context) ([]T, error) {
	keys, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	docs := make([]T, 0, len(keys))
	for _, key := range keys {
		doc, err := c.Load(ctx, key)
		if fault.Of(err) == fault.NotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func (c Collection[T]) name(key string) string { return c.Prefix + "." + escape(key) }

// escape writes any key as one word of a ref's name: letters, digits and dashes
// stand for themselves, every other byte is an underscore and two hexadecimal
// digits. The empty key is a lone underscore.
func escape(key string) string {
	if key == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_%02x", c)
	}
	return b.String()
}

func unescape(word string) (string, error) {
	if word == "_" {
		return "", nil
	}
	var b strings.Builder
	for rest := word; rest != ""; {
		plain, escaped, found := strings.Cut(rest, "_")
		b.WriteString(plain)
		if !found {
			break
		}
		if len(escaped) < 2 {
			return "", fmt.Errorf("the name %q ends within an escape", word)
		}
		c, err := hex.DecodeString(escaped[:2])
		if err != nil {
			return "", fmt.Errorf("the name %q: %w", word, err)
		}
		b.Write(c)
		rest = escaped[2:]
	}
	return b.String(), nil
}
