package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/store"
)

// progressEvery is the least time between two progresses of one attempt: people
// read them.
const progressEvery = 200 * time.Millisecond

// line is the way to whoever coordinates now. It reads the lease when nothing
// has been heard for a while; what is said while nobody is known is lost, and
// said again with a later heartbeat. It is the Link of a Core.
type line struct {
	system  *actors.System
	refs    store.Refs
	clock   clock.Clock
	silence time.Duration // after which the lease is read again
	log     *slog.Logger
	changed func() // another coordinates; returns at once

	mu       sync.Mutex
	self     *actor.PID
	holder   coordinator.Holder
	pid      *actor.PID // of holder, nil while nobody coordinates
	epoch    uint64     // the newest heard of
	heard    time.Time
	progress map[jobs.Ref]said // last
}

// said is a progress that was sent.
type said struct {
	at   time.Time
	rows bool // it was of rows
}

// look reads the lease, unless the coordinator has been heard lately.
func (l *line) look(ctx context.Context) {
	l.mu.Lock()
	quiet := l.pid == nil || l.clock.Now().Sub(l.heard) > l.silence
	l.mu.Unlock()
	if !quiet {
		return
	}
	h, err := coordinator.ReadHolder(ctx, l.refs)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return // the store is away: the one known last is the best guess
	}
	var pid *actor.PID
	if h.Member != "" {
		if pid, err = actors.Parse(h.Addr); err != nil {
			l.log.Error("lease names no coordinator", slog.Any("err", err))
			return
		}
	}
	l.mu.Lock()
	news := h != l.holder
	l.holder, l.pid, l.epoch = h, pid, max(l.epoch, h.Epoch)
	l.mu.Unlock()
	if news {
		l.changed()
	}
}

// hear takes note of a sign of life of a coordinator.
func (l *line) hear(f wire.From) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.Epoch >= l.epoch {
		l.epoch, l.heard = f.Epoch, l.clock.Now()
	}
}

// lost takes note that the connection to an address broke: nothing has been
// heard of who was there.
func (l *line) lost(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pid != nil && l.pid.Address == address {
		l.heard = time.Time{}
	}
}

// leader returns who coordinates, as far as is known.
func (l *line) leader() coordinator.Holder {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder
}

func (l *line) say(word any) error {
	l.mu.Lock()
	pid, self, from := l.pid, l.self, wire.From{Boot: l.system.Boot(), Epoch: l.epoch}
	l.mu.Unlock()
	message, err := wire.Encode(from, word)
	if err == nil && pid != nil {
		l.system.Send(pid, self, message)
	}
	return err
}

func (l *line) mustSay(word any) {
	if err := l.say(word); err != nil {
		l.log.Error("message cannot be sent", slog.Any("err", err))
	}
}

// Hello sends a heartbeat, and forgets the progress of what has ended.
func (l *line) Hello(h jobs.Hello) {
	l.mu.Lock()
	for r := range l.progress {
		if l.clock.Now().Sub(l.progress[r].at) > time.Minute {
			delete(l.progress, r)
		}
	}
	l.mu.Unlock()
	l.mustSay(h)
}

// Report sends how an attempt went. A result that is too large to be sent is the
// task's fault.
func (l *line) Report(r jobs.Report) {
	if err := l.say(r); err != nil {
		r.Result, r.Lost, r.Failure = jobs.Result{}, false, &jobs.Failure{Kind: fault.Of(err), Message: "the result cannot be sent: " + err.Error()}
		l.mustSay(r)
	}
}

// Progress sends how far an attempt is, unless it has just said so.
func (l *line) Progress(p jobs.Progress) {
	if l.isNews(p) {
		l.mustSay(p)
	}
}

// isNews reports whether a progress is to be sent, and remembers it then. That an
// attempt has begun with its rows is news, after what it said before.
func (l *line) isNews(p jobs.Progress) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, rows := l.clock.Now(), p.Rows > 0
	last, ok := l.progress[p.Ref]
	if ok && now.Sub(last.at) < progressEvery && last.rows == rows {
		return false
	}
	l.progress[p.Ref] = said{now, rows}
	return true
}

// Checkpoint sends that a gang's state is saved.
func (l *line) Checkpoint(k jobs.Checkpoint) { l.mustSay(k) }
