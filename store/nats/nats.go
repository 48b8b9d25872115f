// Package nats is a store in the JetStream of NATS, for all nodes of a cluster.
// It needs a NATS server of version 2.11 or later. With the prefix P there are
// three streams:
//
//	P_BLOBS  P.blob.HEX       a blob, or the list of its chunks, by the digits of its SHA-256
//	         P.chunk.ID       the chunks of one upload, in order
//	P_REFS   P.ref.NAME       the value; its sequence number is the revision
//	P_LOGS   P.log.NAME       one message for each batch of records; see frame.go
//
// A write expects the sequence number of the last message on its subject, which
// the server compares in one step with the write. It carries an id of its own,
// so that a write whose answer was lost can be told from that of somebody else.
//
// With several replicas, what decides is asked of the stream's leader; what can
// be checked, because its digest or its place is known, comes from any replica.
// While a stream has no leader, calls wait for up to Config.Patience, and are
// then of kind Unavailable.
package nats

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// Config are the settings of the store.
type Config struct {
	// Prefix begins the names of streams and subjects: a word of capital letters
	// and digits. Stores with different prefixes share nothing. Default TROUPE.
	Prefix string
	// Replicas is the number of copies of what is new: 1, 3 or 5. Streams that
	// exist keep theirs.
	Replicas int
	// Patience is how long a call waits, in wall time, for a store that is away.
	// Default 15 s: longer than the election of a new leader.
	Patience time.Duration
	// Poll is how often a watcher looks by itself, as the news that a log has
	// grown may be lost. Default 1 s.
	Poll time.Duration
	// RenewAfter is the age at which a blob that is put again is written again, to be
	// young for who sweeps. A longer one writes less; it must stay well below the
	// grace of a sweep. Default 20 min.
	RenewAfter time.Duration
	// Why returns what is known of why the store is away, for people, or "". It
	// is asked when a call gives up, and may be nil.
	Why   func() string
	Log   *slog.Logger
	Clock clock.Clock
}

// requestTimeout bounds one try of a request, streamTimeout the wait for the
// next of several messages, in wall time. A stream without a leader is silent,
// so a shorter one finds the new leader sooner; a longer one bears more load.
const (
	requestTimeout = 4 * time.Second
	streamTimeout  = 10 * time.Second
)

// Store is a store in NATS. It is safe for concurrent use, and has nothing to
// close: the connection is its user's.
type Store struct {
	store.Store
}

// Open opens the store over a connection, and makes its streams if they are
// missing. It waits for a server, and among several for their leader, until ctx
// ends; then it is of kind Unavailable.
func Open(ctx context.Context, conn *nats.Conn, cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "TROUPE"
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
	}
	if cfg.Patience == 0 {
		cfg.Patience = 15 * time.Second
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if cfg.RenewAfter == 0 {
		cfg.RenewAfter = 20 * time.Minute
	}
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	b := &bus{conn: conn, cfg: cfg, subject: strings.ToLower(cfg.Prefix), nonce: hex.EncodeToString(nonce[:])}
	for _, sc := range b.streams() {
		replicas, err := b.ensure(ctx, sc)
		if err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
		b.cfg.Replicas = max(b.cfg.Replicas, replicas) // who made the stream knew better
	}
	blobs := &blobs{bus: b, stream: cfg.Prefix + "_BLOBS"}
	return &Store{store.Store{
		Blobs: blobs,
		Refs:  &refs{bus: b, stream: cfg.Prefix + "_REFS"},
		Logs:  newLogs(b, cfg.Prefix+"_LOGS", blobs),
	}}, nil
}

// bus is what the three parts share.
type bus struct {
	conn    *nats.Conn
	cfg     Config
	subject string // that all subjects begin with
	nonce   string // of this store, at the start of all its ids
	ids     atomic.Uint64
}

func (b *bus) streams() []jetstream.StreamConfig {
	base := jetstream.StreamConfig{
		Replicas: b.cfg.Replicas, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		AllowDirect: true, MaxMsgsPerSubject: -1,
	}
	blobs, refs, logs := base, base, base
	blobs.Name, blobs.Subjects = b.cfg.Prefix+"_BLOBS", []string{b.subject + ".blob.*", b.subject + ".chunk.*"}
	refs.Name, refs.Subjects, refs.MaxMsgsPerSubject, refs.AllowMsgTTL = b.cfg.Prefix+"_REFS", []string{b.subject + ".ref.>"}, 1, true
	logs.Name, logs.Subjects = b.cfg.Prefix+"_LOGS", []string{b.subject + ".log.>"}
	logs.RePublish = &jetstream.RePublish{Source: b.subject + ".log.>", Destination: b.subject + ".grown.>", HeadersOnly: true}
	return []jetstream.StreamConfig{blobs, refs, logs}
}

// noPeers is the code of the server's error that not enough other servers are
// there for the copies of a stream: those of a cluster that begins come one after
// the other, and the one that answers may not know them all yet.
const noPeers jetstream.ErrorCode = 10005

// ensure makes a stream unless it is there, and returns how many copies it has.
func (b *bus) ensure(ctx context.Context, sc jetstream.StreamConfig) (replicas int, err error) {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return 0, err
	}
	for {
		try, cancel := context.WithTimeout(ctx, requestTimeout) // without a leader nobody answers
		stream, err := js.Stream(try, sc.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			stream, err = js.CreateStream(try, sc)
		}
		cancel()
		if err == nil {
			return stream.CachedInfo().Config.Replicas, nil
		}
		var api *jetstream.APIError
		if errors.As(err, &api) && api.Code == 400 && api.ErrorCode != noPeers && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return 0, fault.New(fault.Invalid, "stream %s: %w", sc.Name, err)
		}
		select {
		case <-ctx.Done():
			return 0, fault.New(fault.Unavailable, "stream %s: %w", sc.Name, err)
		case <-b.cfg.Clock.After(50 * time.Millisecond):
		}
	}
}

// newID returns an id that no other write has.
func (b *bus) newID() string { return b.nonce + strconv.FormatUint(b.ids.Add(1), 36) }

// check returns the context's error, or else that of the arguments.
func check(ctx context.Context, arguments error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return arguments
}

// away reports whether an error says that there is nobody who answers.
func away(err error) bool { return fault.Of(err) == fault.Unavailable }

// patiently repeats what may be repeated while nobody answers.
func (b *bus) patiently(ctx context.Context, do func() error) error {
	deadline := b.cfg.Clock.Now().Add(b.cfg.Patience)
	pause := 10 * time.Millisecond
	for {
		err := do()
		if err == nil || !away(err) {
			return err
		}
		if b.cfg.Clock.Now().After(deadline) {
			return b.explained(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.cfg.Clock.After(pause):
			pause = min(2*pause, 500*time.Millisecond)
		}
	}
}

// explained adds to an error what is known of its cause.
func (b *bus) explained(err error) error {
	if b.cfg.Why == nil {
		return err
	}
	if why := b.cfg.Why(); why != "" {
		return fault.New(fault.Of(err), "%s (%w)", why, err)
	}
	return err
}

// ask sends one request and returns the answer. An error is the context's, or
// of kind Unavailable.
func (b *bus) ask(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	try, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := b.conn.RequestMsgWithContext(try, msg)
	if err == nil {
		return answer, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, fault.New(fault.Unavailable, "the store does not answer: %w", err)
}
