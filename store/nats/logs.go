package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// maxTails is how many logs' ends are remembered.
const maxTails = 4096

type logs struct {
	*bus
	stream string
	blobs  *blobs // for batches that do not fit into a message

	mu    sync.Mutex
	tails map[string]position // the last known ends, which may be old
}

func newLogs(b *bus, stream string, blobs *blobs) *logs {
	return &logs{bus: b, stream: stream, blobs: blobs, tails: map[string]position{}}
}

func (s *logs) subjectOf(name string) string { return s.subject + ".log." + name }

func (s *logs) known(name string) (position, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.tails[name]
	return p, ok
}

// remember keeps the end of a log; what is older than what is known does not.
func (s *logs) remember(name string, p position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tails) >= maxTails {
		clear(s.tails)
	}
	if old, ok := s.tails[name]; !ok || old.end < p.end {
		s.tails[name] = p
	}
}

// tail returns the last frame of a log as the leader has it, and where the log
// ends; the frame is nil when the log is empty.
func (s *logs) tail(ctx context.Context, name string) (*frame, position, error) {
	m, err := s.last(ctx, s.stream, s.subjectOf(name))
	if errors.Is(err, errNone) {
		return nil, position{}, nil
	}
	if err != nil {
		return nil, position{}, err
	}
	f, err := parseFrame(m)
	if err != nil {
		return nil, position{}, err
	}
	s.remember(name, f.end())
	return &f, f.end(), nil
}

// Append implements store.Logs.
func (s *logs) Append(ctx context.Context, name string, expected uint64, records ...[]byte) error {
	if err := check(ctx, store.CheckRecords(name, records)); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	return named("log", name, s.append(ctx, name, expected, records))
}

func (s *logs) append(ctx context.Context, name string, expected uint64, records [][]byte) error {
	at, ok := s.known(name)
	if !ok || at.end != expected || len(records) == 0 {
		err := s.patiently(ctx, func() (err error) {
			_, at, err = s.tail(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	if at.end != expected {
		return misplaced(at.end, expected)
	}
	if len(records) == 0 {
		return nil
	}
	msg, upload, err := s.message(ctx, name, expected, records)
	if err != nil {
		return err
	}
	err = s.write(ctx, name, msg, at, uint64(len(records)))
	if upload != "" && errors.Is(err, store.ErrConflict) {
		return errors.Join(err, s.blobs.drop(ctx, upload))
	}
	return err
}

func misplaced(now, expected uint64) error {
	return fmt.Errorf("%w: it holds %d records, expected %d", store.ErrConflict, now, expected)
}

// message returns the frame of records; if they are too large for one message,
// they have been uploaded under the returned id.
func (s *logs) message(ctx context.Context, name string, place uint64, records [][]byte) (msg *nats.Msg, upload string, err error) {
	body := packRecords(records)
	if len(body) <= s.blobs.inline() {
		return frameMessage(s.subjectOf(name), s.newID(), place, len(records), body), "", nil
	}
	l, err := s.blobs.upload(ctx, body)
	if err != nil {
		return nil, "", err
	}
	if body, err = json.Marshal(l); err != nil {
		return nil, "", err
	}
	msg = frameMessage(s.subjectOf(name), s.newID(), place, len(records), body)
	msg.Header.Set(headerKind, kindLarge)
	return msg, l.Upload, nil
}

// write publishes a frame behind a position. A try whose answer was lost is
// repeated, and recognised by its id if it had got through.
func (s *logs) write(ctx context.Context, name string, msg *nats.Msg, at position, count uint64) error {
	return s.writeAgain(ctx, name, msg, at, count, false)
}

// writeAgain is write; unsure says that a try may have got through already.
func (s *logs) writeAgain(ctx context.Context, name string, msg *nats.Msg, at position, count uint64, unsure bool) error {
	return s.patiently(ctx, func() error {
		seq, err := s.publish(ctx, s.stream, msg, at.seq)
		if err == nil {
			s.remember(name, position{seq, at.end + count})
			return nil
		}
		if !errors.Is(err, errSequence) {
			unsure = unsure || !errors.Is(err, errBusy)
			return err
		}
		_, now, err := s.tail(ctx, name)
		if err != nil {
			return err
		}
		if now.end == at.end { // another write is under way, or has just failed
			at = now
			return fault.New(fault.Unavailable, "another write is under way")
		}
		if unsure {
			if mine, err := s.wrote(ctx, msg, at, now); err != nil || mine {
				return err
			}
		}
		return misplaced(now.end, at.end)
	})
}

// wrote reports whether the first frame behind a position is the given one.
func (s *logs) wrote(ctx context.Context, msg *nats.Msg, at, now position) (bool, error) {
	var first *stored
	err := s.scan(ctx, s.stream, msg.Subject, at.seq+1, now.seq, func(m *stored) error {
		if first == nil {
			first = m
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if first == nil {
		return false, fault.New(fault.Unavailable, "the replica lags behind")
	}
	return first.id() == msg.Header.Get(headerID), nil
}

// Read implements store.Logs.
func (s *logs) Read(ctx context.Context, name string, from uint64) ([][]byte, error) {
	if err := check(ctx, store.CheckName(name)); err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	start, ok := s.known(name)
	if !ok || start.end > from {
		start = position{}
	}
	records, _, err := s.read(ctx, name, start, from)
	return records, named("log", name, err)
}

// read returns the records from place from on and where they end. A position
// that is not behind from saves it the way there.
func (s *logs) read(ctx context.Context, name string, start position, from uint64) (records [][]byte, end position, err error) {
	var frames []frame
	err = s.patiently(ctx, func() error {
		var last *frame
		if last, end, err = s.tail(ctx, name); err != nil || end.end <= from {
			frames = nil
			return err
		}
		if last.first <= from {
			frames = []frame{*last}
			return nil
		}
		frames, err = s.frames(ctx, name, start, from, end)
		return err
	})
	for _, f := range frames {
		if err != nil {
			break
		}
		var some [][]byte
		some, err = s.records(ctx, f)
		records = append(records, some[min(max(from, f.first)-f.first, uint64(len(some))):]...)
	}
	if err != nil {
		return nil, end, err
	}
	return records, end, nil
}

// frames returns those between two positions that hold records from place from
// on, and makes sure that none is missing.
func (s *logs) frames(ctx context.Context, name string, start position, from uint64, end position) ([]frame, error) {
	var frames []frame
	next := start
	err := s.scan(ctx, s.stream, s.subjectOf(name), start.seq+1, end.seq, func(m *stored) error {
		f, err := parseFrame(m)
		if err != nil {
			return err
		}
		if f.first != next.end {
			return fault.New(fault.Corrupt, "record %d follows record %d", f.first, next.end)
		}
		next = f.end()
		if next.end > from {
			frames = append(frames, f)
		}
		return nil
	})
	if err == nil && next.end < end.end {
		err = fault.New(fault.Unavailable, "the replica lags behind: it has %d of %d records", next.end, end.end)
	}
	return frames, err
}

// records returns those of a frame.
func (s *logs) records(ctx context.Context, f frame) ([][]byte, error) {
	body := f.data
	if f.header.Get(headerKind) == kindLarge {
		l, err := decodeLarge(body)
		if err != nil {
			return nil, err
		}
		if body, err = s.blobs.download(ctx, l, func() error { return nil }); errors.Is(err, errShort) {
			return nil, fault.New(fault.Corrupt, "record %d: %w", f.first, err)
		} else if err != nil {
			return nil, err
		}
	}
	return unpackRecords(body, f.count)
}

// Watch implements store.Logs. It reads when it hears that the log has grown,
// and at every Config.Poll in case it did not hear.
func (s *logs) Watch(ctx context.Context, name string, from uint64, fn func(seq uint64, record []byte) error) error {
	if err := store.CheckName(name); err != nil {
		return fmt.Errorf("watch log: %w", err)
	}
	grown := make(chan struct{}, 1)
	sub, err := s.conn.Subscribe(s.subject+".grown."+name, func(*nats.Msg) {
		select {
		case grown <- struct{}{}:
		default: // it is about to look anyway
		}
	})
	if err != nil {
		return named("watch log", name, fault.Wrap(fault.Unavailable, err))
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection is gone, then
	poll := s.cfg.Clock.NewTicker(s.cfg.Poll)
	defer poll.Stop()
	at := position{}
	for {
		records, end, err := s.read(ctx, name, at, from)
		switch {
		case ctx.Err() != nil:
			return named("watch log", name, ctx.Err())
		case err != nil && (!away(err) || s.conn.IsClosed()):
			return named("watch log", name, err)
		case err != nil:
			s.cfg.Log.Warn("watcher waits for the store", slog.String("job", name), slog.Any("err", err))
		default:
			at = end
		}
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				return named("watch log", name, err)
			}
			if err := fn(from, r); err != nil {
				return err
			}
			from++
		}
		select {
		case <-ctx.Done():
			return named("watch log", name, ctx.Err())
		case <-grown:
		case <-poll.C():
		}
	}
}

// List implements store.Logs.
func (s *logs) List(ctx context.Context, prefix string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	names, err := s.names(ctx, s.stream, s.subject+".log.", prefix)
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	return names, nil
}
