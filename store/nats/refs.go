package nats

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// kindDeleted marks the message that replaces a value when it is deleted. It is
// erased right after; if that is cut short, the server does it a minute later,
// and until then List may still name the ref.
const kindDeleted = "deleted"

type refs struct {
	*bus
	stream string
}

func (s *refs) subjectOf(name string) string { return s.subject + ".ref." + name }

// current returns the message of a ref, ErrNotFound when there is none. A
// deleted one is returned as such.
func (s *refs) current(ctx context.Context, name string) (m *stored, err error) {
	err = s.patiently(ctx, func() error {
		m, err = s.last(ctx, s.stream, s.subjectOf(name))
		return err
	})
	if errors.Is(err, errNone) {
		return nil, store.ErrNotFound
	}
	return m, err
}

func deleted(m *stored) bool { return m.header.Get(headerKind) == kindDeleted }

// Get implements store.Refs.
func (s *refs) Get(ctx context.Context, name string) ([]byte, uint64, error) {
	if err := check(ctx, store.CheckName(name)); err != nil {
		return nil, 0, fmt.Errorf("get ref: %w", err)
	}
	m, err := s.current(ctx, name)
	if err == nil && deleted(m) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, 0, named("ref", name, err)
	}
	return m.data, m.seq, nil
}

// Set implements store.Refs.
func (s *refs) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	if err := check(ctx, store.CheckRef(name, value)); err != nil {
		return 0, fmt.Errorf("set ref: %w", err)
	}
	next, err := s.write(ctx, name, value, nil, revision)
	return next, named("ref", name, err)
}

// write replaces what is at a revision by a value.
func (s *refs) write(ctx context.Context, name string, value []byte, header nats.Header, revision uint64) (next uint64, err error) {
	msg := &nats.Msg{Subject: s.subjectOf(name), Data: value, Header: nats.Header{headerID: {s.newID()}}}
	for k, v := range header {
		msg.Header[k] = v
	}
	expected, unsure := revision, false
	err = s.patiently(ctx, func() error {
		next, err = s.publish(ctx, s.stream, msg, expected)
		if !errors.Is(err, errSequence) {
			unsure = unsure || err != nil && !errors.Is(err, errBusy)
			return err
		}
		m, err := s.last(ctx, s.stream, msg.Subject)
		switch {
		case errors.Is(err, errNone) && expected != revision:
			expected = revision // the tombstone has been erased meanwhile
			return fault.New(fault.Unavailable, "it is being deleted")
		case errors.Is(err, errNone) && unsure:
			return errUnsure
		case errors.Is(err, errNone):
			return lost(0, revision)
		case err != nil:
			return err
		case unsure && m.id() == msg.Header.Get(headerID):
			next = m.seq // an earlier try got through
			return nil
		case revision == 0 && deleted(m):
			expected = m.seq
			return fault.New(fault.Unavailable, "it is being deleted")
		case unsure:
			return errUnsure
		default:
			return lost(m.seq, revision)
		}
	})
	if errors.Is(err, errUnsure) {
		err = fault.New(fault.Unavailable, "it is not known whether the value was set: no answer came, and it has changed since")
	}
	return next, err
}

var errUnsure = errors.New("unsure")

func lost(now, expected uint64) error {
	return fmt.Errorf("%w: it is at revision %d, expected %d", store.ErrConflict, now, expected)
}

// Delete implements store.Refs.
func (s *refs) Delete(ctx context.Context, name string, revision uint64) error {
	if err := check(ctx, store.CheckName(name)); err != nil {
		return fmt.Errorf("delete ref: %w", err)
	}
	m, err := s.current(ctx, name)
	switch {
	case err == nil && deleted(m):
		err = store.ErrNotFound
	case err == nil && m.seq != revision:
		err = lost(m.seq, revision)
	}
	if err != nil {
		return named("ref", name, err)
	}
	marker := nats.Header{headerKind: {kindDeleted}, "Nats-TTL": {tombstoneLife.String()}}
	seq, err := s.write(ctx, name, nil, marker, revision)
	if err != nil {
		return named("ref", name, err)
	}
	return named("ref", name, s.patiently(ctx, func() error { return s.erase(ctx, s.stream, seq) }))
}

// Since implements store.Refs. The changes come from any replica, which has them
// in their order; one that lags behind the leader is asked again.
func (s *refs) Since(ctx context.Context, prefix string, revision uint64, fn func(name string, value []byte, revision uint64) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("refs since %d: %w", revision, err)
	}
	under := s.subject + ".ref."
	filter, ok := filterOf(under, prefix)
	if !ok {
		return nil // no name starts like that
	}
	from := revision + 1
	var stop error // of fn, which is not tried again
	tell := func(m *stored) error {
		from = m.seq + 1
		name := strings.TrimPrefix(m.subject, under)
		if !deleted(m) && strings.HasPrefix(name, prefix) {
			stop = fn(name, m.data, m.seq)
		}
		if stop != nil {
			return errStopped
		}
		return nil
	}
	err := s.patiently(ctx, func() error {
		newest, err := s.newest(ctx, filter)
		if err != nil || newest < from && s.cfg.Replicas > 1 {
			return err
		}
		if err := s.scan(ctx, s.stream, filter, from, math.MaxUint64, tell); err != nil || newest < from {
			return err
		}
		return fault.New(fault.Unavailable, "a replica has not caught up")
	})
	switch {
	case stop != nil:
		return stop
	case err != nil:
		return fmt.Errorf("refs since %d: %w", revision, err)
	}
	return nil
}

// newest returns the number of the last change that the leader knows of what a
// filter matches; 0 when a single replica, which knows it by itself, is asked.
func (s *refs) newest(ctx context.Context, filter string) (uint64, error) {
	if s.cfg.Replicas == 1 {
		return 0, nil
	}
	m, err := s.lead(ctx, s.stream, map[string]any{"last_by_subj": filter})
	if errors.Is(err, errNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return m.seq, nil
}

var errStopped = errors.New("stopped")

// List implements store.Refs.
func (s *refs) List(ctx context.Context, prefix string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list refs: %w", err)
	}
	names, err := s.names(ctx, s.stream, s.subject+".ref.", prefix)
	if err != nil {
		return nil, fmt.Errorf("list refs: %w", err)
	}
	return names, nil
}

// names returns the names that start with prefix, from the subjects of a stream
// that all begin with under.
func (b *bus) names(ctx context.Context, stream, under, prefix string) ([]string, error) {
	filter, ok := filterOf(under, prefix)
	if !ok {
		return nil, nil // no name starts like that
	}
	var subjects map[string]uint64
	err := b.patiently(ctx, func() (err error) {
		subjects, err = b.subjects(ctx, stream, filter)
		return err
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for s := range subjects {
		if name := strings.TrimPrefix(s, under); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// filterOf returns a filter for the subjects of the names that start with
// prefix, which may match more; not ok when there can be none.
func filterOf(under, prefix string) (filter string, ok bool) {
	i := strings.LastIndexByte(prefix, '.')
	if i < 0 {
		return under + ">", true
	}
	return under + prefix[:i+1] + ">", store.CheckName(prefix[:i]) == nil
}
