package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// newsLength is how many ended jobs may wait to be published. What comes while
// it is full is dropped, and logged: the jobs' logs have it all.
const newsLength = 1024

// publishTimeout bounds one try to publish an event, in wall time.
const publishTimeout = 5 * time.Second

// note is an event and its subject.
type note struct {
	subject string
	event   bus.Event
}

// news publishes what has happened. The end of a job may be published by an old
// and by a new coordinator; its id makes it one event.
type news struct {
	node  *Node
	queue chan note
}

func newNews(n *Node) *news { return &news{node: n, queue: make(chan note, newsLength)} }

// ended takes note of the end of a job; it returns at once.
func (s *news) ended(j *jobs.Job) {
	now := s.node.cfg.Clock.Now()
	summary := run.Summarise(j, now.UnixMilli())
	data, err := json.Marshal(summary)
	if err != nil {
		s.node.cfg.Log.Error("event not made", slog.String("job", string(j.ID)), slog.Any("err", err))
		return
	}
	e := bus.Event{
		ID: string(j.ID) + "." + summary.Status, Source: "troupe/node/" + s.node.cfg.Name, Type: "troupe.job." + summary.Status, Subject: string(j.ID),
		Time: now.UTC(), Data: data,
	}
	s.say("job."+j.Kind+"."+summary.Status, e)
	if driftFound(j, summary) {
		e.ID, e.Type = string(j.ID)+".drift", "troupe.drift.found"
		s.say("drift."+j.Name, e)
	}
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
func (s *news) say(subject string, e bus.Event) {
	select {
	case s.queue <- note{subject, e}:
	default:
		s.node.cfg.Log.Error("event dropped: too many wait", slog.String("job", e.Subject))
	}
}

// run publishes until ctx ends. It makes the stream for the first event, so that
// a node which does not coordinate needs none.
func (s *news) run(ctx context.Context) {
	var events *bus.Events
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-s.queue:
			for ctx.Err() == nil {
				err := s.publish(ctx, &events, e)
				if err == nil {
					break
				}
				s.node.cfg.Log.Warn("event waits for the store", slog.String("job", e.event.Subject), slog.Any("err", err))
				select {
				case <-ctx.Done():
				case <-s.node.cfg.Clock.After(time.Second):
				}
			}
		}
	}
}

func (s *news) publish(ctx context.Context, events **bus.Events, e note) (err error) {
	limit, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if *events == nil {
		if *events, err = bus.OpenEvents(limit, s.node.bus, s.node.cfg.Servers); err != nil {
			return err
		}
	}
	return (*events).Publish(limit, e.subject, e.event)
}
