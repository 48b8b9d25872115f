package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// newsLength is how many events may wait to be published, for example while the
// store is away. What comes while it is full is dropped, and logged; the end of
// a job is then published by the next coordinator.
const newsLength = 1 << 16

// publishTimeout bounds one try to publish an event, in wall time.
const publishTimeout = 5 * time.Second

// note is an event and its subject, and what is to be done before and after it
// has been published.
type note struct {
	subject string
	event   bus.Event
	before  func(ctx context.Context) error
	after   func()
}

// news publishes what has happened: see docs/formats/events.md. An event may be
// published by an old and by a new coordinator; its id makes it one.
type news struct {
	node *Node
	woke chan struct{} // has an item when there is something to publish

	mu      sync.Mutex
	waiting []note
}

func newNews(n *Node) *news { return &news{node: n, woke: make(chan struct{}, 1)} }

// ended takes note of the end of a job; it returns at once. told is called when
// the end is recorded and published.
func (s *news) ended(j *jobs.Job, told func()) {
	summary := run.Summarise(j, j.EndedAt)
	data, err := json.Marshal(summary)
	if err != nil {
		s.node.cfg.Log.Error("event not made", slog.String("job", string(j.ID)), slog.Any("err", err))
		return
	}
	at := time.UnixMilli(j.EndedAt).UTC()
	record := func(ctx context.Context) error {
		err := run.RecordEnd(ctx, s.node.registry.Runs, s.node.store, s.node.env.Files, s.node.cfg.Version, j)
		if errors.Is(err, run.ErrStaged) { // the folder may be gone for good, and other news wait
			s.node.cfg.Log.Error("a job's parts could not be removed", slog.String("job", string(j.ID)), slog.Any("err", err))
			return nil
		}
		return err
	}
	end := note{subject: "job." + word(j.Kind) + "." + summary.Status, before: record, after: told, event: bus.Event{
		ID: string(j.ID) + "." + summary.Status, Source: "troupe/jobs", Type: "troupe.job." + summary.Status, Subject: string(j.ID), Time: at, Data: data,
	}}
	if driftFound(j, summary) { // first, for the job is closed after its end
		s.say(note{subject: "drift." + word(j.Name), event: bus.Event{
			ID: string(j.ID) + ".drift", Source: "troupe/jobs", Type: "troupe.drift.found", Subject: string(j.ID), Time: at, Data: data,
		}})
	}
	s.say(end)
}

// word makes a text one word of a subject.
func word(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || strings.ContainsRune(".*>", r) {
			return '_'
		}
		return r
	}, text)
}

// driftFound reports whether a job has found drift and is to publish it.
func driftFound(j *jobs.Job, summary run.Summary) bool {
	if summary.Drift == nil || !*summary.Drift {
		return false
	}
	sp, err := spec.Decode(j.Spec)
	return err == nil && sp.Drift != nil && sp.Drift.Publish
}

// say queues an event.
func (s *news) say(e note) {
	s.mu.Lock()
	full := len(s.waiting) >= newsLength
	if !full {
		s.waiting = append(s.waiting, e)
	}
	s.mu.Unlock()
	if full {
		s.node.cfg.Log.Error("event dropped: too many wait", slog.String("event", e.event.ID))
		return
	}
	select {
	case s.woke <- struct{}{}:
	default:
	}
}

// next returns the event that has waited longest.
func (s *news) next(ctx context.Context) (note, bool) {
	for {
		s.mu.Lock()
		if len(s.waiting) > 0 {
			e := s.waiting[0]
			s.waiting[0] = note{}
			s.waiting = s.waiting[1:]
			s.mu.Unlock()
			return e, true
		}
		s.waiting = nil
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return note{}, false
		case <-s.woke:
		}
	}
}

// flush waits until what has been said is published, or ctx ends.
func (s *news) flush(ctx context.Context) {
	done := make(chan struct{})
	s.say(note{after: func() { close(done) }})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// run publishes until ctx ends.
func (s *news) run(ctx context.Context) {
	var events *bus.Events
	for {
		e, ok := s.next(ctx)
		if !ok {
			return
		}
		for {
			err := s.publish(ctx, &events, e)
			if err == nil {
				break
			}
			s.node.cfg.Log.Warn("event waits for the store", slog.String("event", e.event.ID), slog.Any("err", err))
			select {
			case <-ctx.Done():
				return
			case <-s.node.cfg.Clock.After(time.Second):
			}
		}
		if e.after != nil {
			e.after()
		}
	}
}

func (s *news) publish(ctx context.Context, events **bus.Events, e note) (err error) {
	if e.subject == "" {
		return nil
	}
	if e.before != nil {
		limit, cancel := context.WithTimeout(ctx, publishTimeout)
		err := e.before(limit)
		cancel()
		if err != nil {
			return err
		}
	}
	limit, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if *events == nil {
		if *events, err = bus.OpenEvents(limit, s.node.bus, s.node.cfg.Servers); err != nil {
			return err
		}
	}
	return (*events).Publish(limit, e.subject, e.event)
}
