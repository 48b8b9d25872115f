package document

import (
	"context"
	"fmt"
	"sync"
)

// Mirror is a collection of which this process remembers all documents, so that
// a look at all of them asks the store only for those that have changed. It is
// safe for concurrent use.
//
// What was written before the call of All is in its answer, whoever wrote it.
type Mirror[T any] struct {
	Collection[T]
	// Trim drops what of a document need not be remembered; it may be nil.
	Trim func(*T)

	mu    sync.Mutex
	mark  uint64 // all changes up to this revision are known
	known map[string]held[T]
	list  []*T // all that is known; nil when it has to be made again
}

type held[T any] struct {
	doc      *T
	revision uint64
}

// Update is that of Collection.
func (m *Mirror[T]) Update(ctx context.Context, key string, change func(doc *T, exists bool) error) (T, error) {
	doc, revision, err := m.update(ctx, key, change)
	if err != nil || revision == 0 {
		return doc, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(key, doc, revision)
	return doc, nil
}

// keep remembers a document unless a newer one is known.
func (m *Mirror[T]) keep(key string, doc T, revision uint64) {
	if m.known[key].revision >= revision {
		return
	}
	if m.Trim != nil {
		m.Trim(&doc)
	}
	if m.known == nil {
		m.known = map[string]held[T]{}
	}
	m.known[key] = held[T]{&doc, revision}
	m.list = nil
}

// All returns every document, trimmed, in no order. Neither the slice nor what
// it points to may be changed.
func (m *Mirror[T]) All(ctx context.Context) ([]*T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.catchUp(ctx); err != nil {
		return nil, err
	}
	if m.list == nil {
		m.list = make([]*T, 0, len(m.known))
		for _, h := range m.known {
			m.list = append(m.list, h.doc)
		}
	}
	return m.list, nil
}

// catchUp learns what has changed. The documents are read after the changes have
// been told, since reading a long one asks the store again.
func (m *Mirror[T]) catchUp(ctx context.Context) error {
	type change struct {
		name     string
		value    []byte
		revision uint64
	}
	var changes []change
	err := m.Refs.Since(ctx, m.Prefix+".", m.mark, func(name string, value []byte, revision uint64) error {
		changes = append(changes, change{name, value, revision})
		return nil
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", m.Prefix, err)
	}
	for _, c := range changes {
		key, err := m.key(c.name)
		if err != nil {
			return err
		}
		if m.known[key].revision < c.revision { // else it is our own change
			doc, err := m.read(ctx, key, c.value)
			if err != nil {
				return err
			}
			m.keep(key, doc, c.revision)
		}
		m.mark = c.revision
	}
	return nil
}
