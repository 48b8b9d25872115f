package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-ml/troupe/internal/fault"
)

// EventPrefix begins the subjects of all events.
const EventPrefix = "troupe.events."

const (
	eventStream = "TROUPE_EVENTS"
	eventAge    = 30 * 24 * time.Hour
	eventBytes  = 256 << 20
)

// Event is a CloudEvents 1.0 event in its JSON format.
type Event struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// Events is where the cluster says what has happened, in a stream that can be
// replayed: 30 days of it, at most 256 MiB.
type Events struct {
	js jetstream.JetStream
}

// OpenEvents returns the events, whose stream it makes if it is missing. While
// several servers have no leader it waits for one until ctx ends.
func OpenEvents(ctx context.Context, conn *Conn, replicas int) (*Events, error) {
	js, err := jetstream.New(conn.NATS)
	if err != nil {
		return nil, fmt.Errorf("bus: events: %w", err)
	}
	config := jetstream.StreamConfig{
		Name: eventStream, Subjects: []string{EventPrefix + ">"}, Replicas: replicas, Storage: jetstream.FileStorage,
		MaxAge: eventAge, MaxBytes: eventBytes, Discard: jetstream.DiscardOld, Duplicates: time.Hour,
	}
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second) // without a leader nobody answers
		_, err := js.CreateStream(try, config)
		cancel()
		switch {
		case err == nil, errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
			return &Events{js}, nil
		case ctx.Err() != nil:
			return nil, fault.New(fault.Unavailable, "bus: events: %w", err)
		}
		pause, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		<-pause.Done()
		cancel()
	}
}

// Publish publishes an event on a subject below EventPrefix. Its id names what
// has happened: said again within an hour, it is in the stream once.
func (e *Events) Publish(ctx context.Context, subject string, event Event) error {
	event.SpecVersion, event.DataContentType = "1.0", "application/json"
	b, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("bus: event %s: %w", event.ID, err)
	}
	msg := &nats.Msg{Subject: EventPrefix + subject, Data: b, Header: nats.Header{"Content-Type": {"application/cloudevents+json"}}}
	if _, err := e.js.PublishMsg(ctx, msg, jetstream.WithMsgID(event.ID)); err != nil {
		return fault.New(fault.Unavailable, "bus: publish %s: %w", subject, err)
	}
	return nil
}
