package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

const (
	kindChunks  = "chunks" // the message lists chunks, rather than being the blob
	headerIndex = "Troupe-Index"
	// chunkBytes is what goes into one message: a server's default limit is 1 MiB.
	chunkBytes = 900 << 10
	// window is how many chunks are under way in one upload.
	window = 8
)

// blobs keeps what fits into one message under its digest, and of what does not
// a list of chunks. The list is written last, so a blob is there whole or not
// at all; an upload that is cut short leaves chunks that nobody sees.
type blobs struct {
	*bus
	stream string
}

func (s *blobs) subjectOf(d store.Digest) string { return s.subject + ".blob." + d.Hex() }
func (s *blobs) chunksOf(id string) string       { return s.subject + ".chunk." + id }

// inline is the most bytes that go into one message.
func (s *blobs) inline() int { return min(chunkBytes, int(s.conn.MaxPayload())-4096) }

// Put implements store.Blobs.
func (s *blobs) Put(ctx context.Context, b []byte) (store.Digest, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("put blob: %w", err)
	}
	if int64(len(b)) > store.MaxBlobBytes {
		return "", fault.New(fault.Invalid, "put blob: %d bytes, at most %d are allowed", len(b), int64(store.MaxBlobBytes))
	}
	d := store.DigestOf(b)
	return d, named("put blob", string(d), s.put(ctx, d, b))
}

func (s *blobs) put(ctx context.Context, d store.Digest, b []byte) error {
	if len(b) <= s.inline() {
		return s.name(ctx, &nats.Msg{Subject: s.subjectOf(d), Data: b, Header: nats.Header{}})
	}
	if has, err := s.renew(ctx, d); err != nil || has {
		return err
	}
	l, err := s.upload(ctx, b)
	if err != nil {
		return err
	}
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := s.name(ctx, &nats.Msg{Subject: s.subjectOf(d), Data: body, Header: nats.Header{headerKind: {kindChunks}}}); err != nil {
		return err
	}
	m, err := s.lastPatiently(ctx, s.subjectOf(d)) // somebody else may have put the same bytes
	if err == nil && string(m.data) != string(body) {
		return s.drop(ctx, l.Upload)
	}
	if errors.Is(err, errNone) {
		return nil // deleted again meanwhile, with its chunks
	}
	return err
}

// name writes the message of a blob unless there is one, which is made young then.
func (s *blobs) name(ctx context.Context, msg *nats.Msg) error {
	return s.patiently(ctx, func() error {
		for {
			_, err := s.publish(ctx, s.stream, msg, 0)
			if !errors.Is(err, errSequence) {
				return err
			}
			if has, err := s.renewOnce(ctx, msg.Subject); err != nil || has {
				return err
			}
		}
	})
}

// renew makes a blob young again if it is there, and reports whether it is.
func (s *blobs) renew(ctx context.Context, d store.Digest) (has bool, err error) {
	err = s.patiently(ctx, func() error {
		has, err = s.renewOnce(ctx, s.subjectOf(d))
		return err
	})
	return has, err
}

// renewOnce writes the message of a blob again, in the place of the one that it
// has found: one that was deleted meanwhile is not there then.
func (s *blobs) renewOnce(ctx context.Context, subject string) (has bool, err error) {
	for {
		m, err := s.last(ctx, s.stream, subject)
		if errors.Is(err, errNone) {
			return false, nil
		}
		if err != nil || s.cfg.Clock.Now().Sub(m.at) < s.cfg.RenewAfter {
			return err == nil, err
		}
		again := &nats.Msg{Subject: subject, Data: m.data, Header: nats.Header{}}
		if kind := m.header.Get(headerKind); kind != "" {
			again.Header.Set(headerKind, kind)
		}
		switch _, err := s.publish(ctx, s.stream, again, m.seq); {
		case errors.Is(err, errSequence):
			continue
		case err != nil:
			return false, err
		}
		return true, s.purgeUpTo(ctx, s.stream, subject, m.seq)
	}
}

func (s *blobs) drop(ctx context.Context, upload string) error {
	return s.patiently(ctx, func() error { return s.purge(ctx, s.stream, s.chunksOf(upload)) })
}

func (s *blobs) lastPatiently(ctx context.Context, subject string) (m *stored, err error) {
	err = s.patiently(ctx, func() error {
		m, err = s.last(ctx, s.stream, subject)
		return err
	})
	return m, err
}

// upload writes bytes as chunks; each try is a new upload.
func (s *blobs) upload(ctx context.Context, b []byte) (l large, err error) {
	err = s.patiently(ctx, func() error {
		id := s.newID()
		if l, err = s.uploadAs(ctx, id, b); err != nil {
			_ = s.purge(context.WithoutCancel(ctx), s.stream, s.chunksOf(id)) // else they stay, and nobody sees them
		}
		return err
	})
	return l, err
}

func (s *blobs) uploadAs(ctx context.Context, id string, b []byte) (large, error) {
	l := large{Upload: id, Bytes: int64(len(b))}
	inbox := s.conn.NewRespInbox()
	sub, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		return l, fault.New(fault.Unavailable, "the store is away: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection is gone, then
	acked, size := 0, s.inline()
	acknowledge := func() error {
		seq, err := s.acknowledged(ctx, sub)
		if err == nil && (acked == 0 || seq < l.First) {
			l.First = seq
		}
		acked++
		return err
	}
	for ; len(b) > 0; l.Chunks++ {
		chunk := b[:min(size, len(b))]
		b = b[len(chunk):]
		msg := &nats.Msg{Subject: s.chunksOf(id), Reply: inbox, Data: chunk, Header: nats.Header{headerIndex: {strconv.Itoa(l.Chunks)}}}
		if err := s.conn.PublishMsg(msg); err != nil {
			return l, fault.New(fault.Unavailable, "the store is away: %w", err)
		}
		if l.Chunks+1-acked >= window {
			if err := acknowledge(); err != nil {
				return l, err
			}
		}
	}
	for acked < l.Chunks {
		if err := acknowledge(); err != nil {
			return l, err
		}
	}
	return l, nil
}

// acknowledged waits for the answer to one chunk.
func (s *blobs) acknowledged(ctx context.Context, sub *nats.Subscription) (uint64, error) {
	m, err := s.receive(ctx, sub)
	if err != nil {
		return 0, err
	}
	if m.Header.Get("Status") != "" {
		return 0, fault.New(fault.Unavailable, "nobody keeps the stream")
	}
	return readAck(m.Data)
}

// Get implements store.Blobs.
func (s *blobs) Get(ctx context.Context, d store.Digest) ([]byte, error) {
	if err := check(ctx, d.Check()); err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	m, err := s.find(ctx, d)
	if errors.Is(err, errNone) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, named("blob", string(d), err)
	}
	b, err := s.bytesOf(ctx, d, m)
	return b, named("blob", string(d), err)
}

// bytesOf returns the bytes of a blob of which a message was found. A replica that
// lags may have one that is no more: what is wrong with it is so only if it is the
// leader's, too.
func (s *blobs) bytesOf(ctx context.Context, d store.Digest, m *stored) ([]byte, error) {
	if m.header.Get(headerKind) == kindChunks {
		return s.assemble(ctx, d, m)
	}
	corrupt := d.Verify(m.data)
	if corrupt == nil {
		return m.data, nil
	}
	switch now, err := s.lastPatiently(ctx, s.subjectOf(d)); {
	case errors.Is(err, errNone):
		return nil, store.ErrNotFound
	case err != nil:
		return nil, err
	case now.seq != m.seq:
		return s.bytesOf(ctx, d, now)
	}
	return nil, corrupt
}

// find returns the message of a blob: from any replica that has it, as its
// bytes can be checked, or else from the leader.
func (s *blobs) find(ctx context.Context, d store.Digest) (m *stored, err error) {
	err = s.patiently(ctx, func() error {
		m, err = s.direct(ctx, s.stream, map[string]any{"last_by_subj": s.subjectOf(d)})
		if errors.Is(err, errNone) && s.cfg.Replicas > 1 {
			m, err = s.lead(ctx, s.stream, map[string]any{"last_by_subj": s.subjectOf(d)})
		}
		return err
	})
	return m, err
}

// assemble returns the bytes of the upload that a blob lists. Where chunks are
// missing, either the leader knows a later list, or a replica lags and is asked again.
func (s *blobs) assemble(ctx context.Context, d store.Digest, m *stored) (b []byte, err error) {
	l, err := decodeLarge(m.data)
	if err != nil {
		return nil, err
	}
	var later *stored
	b, err = s.download(ctx, l, func() (err error) { // while chunks are missing
		later, err = s.last(ctx, s.stream, s.subjectOf(d))
		if errors.Is(err, errNone) {
			return store.ErrNotFound
		}
		if err == nil && later.seq != m.seq {
			return errOld
		}
		return err
	})
	switch {
	case errors.Is(err, errOld):
		return s.bytesOf(ctx, d, later)
	case errors.Is(err, errShort):
		err = fault.New(fault.Corrupt, "%w: %w", store.ErrCorrupt, err)
	case err == nil:
		err = d.Verify(b)
	}
	return b, err
}

// errShort means that chunks of an upload are missing, errOld that they may be, as
// the blob has another one now.
var (
	errShort = errors.New("chunks are missing")
	errOld   = errors.New("the upload is not the last one")
)

// download returns the bytes of an upload. Where chunks are missing, a replica lags
// and is asked again, unless the upload is not wanted any more, which is an error.
func (s *blobs) download(ctx context.Context, l large, wanted func() error) (b []byte, err error) {
	if l.Bytes < 0 || l.Bytes > store.MaxBlobBytes {
		return nil, fault.New(fault.Corrupt, "the list of chunks names %d bytes", l.Bytes)
	}
	tries := 0
	err = s.patiently(ctx, func() error {
		b = make([]byte, 0, l.Bytes)
		next := 0
		err := s.scan(ctx, s.stream, s.chunksOf(l.Upload), l.First, last64, func(m *stored) error {
			if i := m.header.Get(headerIndex); i != strconv.Itoa(next) {
				return fault.New(fault.Corrupt, "chunk %s where chunk %d was expected", i, next)
			}
			next++
			b = append(b, m.data...)
			return nil
		})
		if err != nil || next == l.Chunks && int64(len(b)) == l.Bytes {
			return err
		}
		if err := wanted(); err != nil {
			return err
		}
		if tries++; s.cfg.Replicas == 1 || tries > 20 {
			return errShort
		}
		return fault.New(fault.Unavailable, "%d of %d chunks are here", next, l.Chunks)
	})
	return b, err
}

const last64 = ^uint64(0)

// Has implements store.Blobs.
func (s *blobs) Has(ctx context.Context, d store.Digest) (bool, error) {
	if err := check(ctx, d.Check()); err != nil {
		return false, fmt.Errorf("find blob: %w", err)
	}
	has, err := s.has(ctx, d)
	return has, named("find blob", string(d), err)
}

func (s *blobs) has(ctx context.Context, d store.Digest) (has bool, err error) {
	err = s.patiently(ctx, func() error {
		found, err := s.subjects(ctx, s.stream, s.subjectOf(d))
		has = len(found) > 0
		return err
	})
	return has, err
}

// Delete implements store.Blobs.
func (s *blobs) Delete(ctx context.Context, d store.Digest) error {
	if err := check(ctx, d.Check()); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	m, err := s.lastPatiently(ctx, s.subjectOf(d))
	if errors.Is(err, errNone) {
		return nil
	}
	if err == nil {
		_, err = s.forget(ctx, d, m)
	}
	return named("delete blob", string(d), err)
}

// forget deletes a blob whose message is the one that was found, and reports
// whether it has: somebody may have put it again meanwhile.
func (s *blobs) forget(ctx context.Context, d store.Digest, m *stored) (bool, error) {
	err := s.patiently(ctx, func() error { return s.purgeUpTo(ctx, s.stream, s.subjectOf(d), m.seq) })
	if err != nil {
		return false, err
	}
	switch now, err := s.lastPatiently(ctx, s.subjectOf(d)); {
	case err == nil && string(now.data) == string(m.data):
		return false, nil // and has its chunks
	case err != nil && !errors.Is(err, errNone):
		return false, err
	}
	if m.header.Get(headerKind) != kindChunks {
		return true, nil
	}
	l, err := decodeLarge(m.data)
	if err != nil {
		return true, err
	}
	return true, s.drop(ctx, l.Upload)
}

// List implements store.Inventory.
func (s *blobs) List(ctx context.Context, fn func(store.Digest) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	prefix := s.subject + ".blob."
	var found map[string]uint64
	err := s.patiently(ctx, func() (err error) {
		found, err = s.subjects(ctx, s.stream, prefix+"*")
		return err
	})
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for subject := range found {
		d := store.Digest("sha256:" + strings.TrimPrefix(subject, prefix))
		if d.Check() != nil {
			continue // nothing of ours
		}
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}

// Stat implements store.Inventory.
func (s *blobs) Stat(ctx context.Context, d store.Digest) (store.Kept, error) {
	if err := check(ctx, d.Check()); err != nil {
		return store.Kept{}, fmt.Errorf("find blob: %w", err)
	}
	m, err := s.lastPatiently(ctx, s.subjectOf(d))
	if errors.Is(err, errNone) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Kept{}, named("blob", string(d), err)
	}
	kept := store.Kept{Bytes: int64(len(m.data)), Put: m.at}
	if m.header.Get(headerKind) == kindChunks {
		l, err := decodeLarge(m.data)
		if err != nil {
			return store.Kept{}, named("blob", string(d), err)
		}
		kept.Bytes = l.Bytes
	}
	return kept, nil
}

// DeleteOld implements store.Inventory.
func (s *blobs) DeleteOld(ctx context.Context, d store.Digest, before time.Time) (bool, error) {
	if err := check(ctx, d.Check()); err != nil {
		return false, fmt.Errorf("delete blob: %w", err)
	}
	m, err := s.lastPatiently(ctx, s.subjectOf(d))
	if errors.Is(err, errNone) || err == nil && !m.at.Before(before) {
		return false, nil
	}
	deleted := false
	if err == nil {
		deleted, err = s.forget(ctx, d, m)
	}
	return deleted, named("delete blob", string(d), err)
}
