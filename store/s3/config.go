package s3

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Secret is text that is never shown: it prints, logs and encodes as "[secret]".
// Convert it to a string to use it.
type Secret string

const hidden = "[secret]"

// String returns "[secret]", or nothing when the secret is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString returns what String returns.
func (s Secret) GoString() string { return s.String() }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Keys are what the store knows the caller by.
type Keys struct {
	Access  string
	Secret  Secret
	Session Secret // of temporary keys
}

// Config says which store is meant and how patient to be with it.
type Config struct {
	// Endpoint is the URL of the store, such as http://127.0.0.1:9000; empty
	// means Amazon's.
	Endpoint string
	// Region is the region that requests are signed for. Empty asks Amazon for
	// each bucket's, and is us-east-1 elsewhere.
	Region string
	// Keys returns the caller's keys. It is called before the first request and
	// again when the store says that they have expired. nil takes the role that
	// the platform gives to the machine, container or service account.
	Keys func() (Keys, error)

	// Attempts is how often a request is tried, default 8. With Backoff and
	// MaxBackoff it decides for how long a store may be away: 12 to 25 s.
	Attempts int
	// Backoff is the longest wait before the second attempt, default 200 ms. It
	// doubles with each attempt, and half to all of it is waited.
	Backoff time.Duration
	// MaxBackoff is the longest wait, default 15 s.
	MaxBackoff time.Duration
	// Timeout is how long one attempt may take, default 30 s, beside the time that
	// its bytes take at MinBytesPerSecond. What is read goes on where it ended.
	Timeout time.Duration
	// MinBytesPerSecond is how slow a connection may be, default 1 MiB/s.
	MinBytesPerSecond int64

	// SegmentBytes is the size of one ranged GET at most, and of the parts of an
	// upload, default 8 MiB; an upload buffers two of them.
	SegmentBytes int
	// GapBytes is how many bytes are fetched for nothing rather than asking
	// twice, default 1 MiB: about what a connection moves while a request waits.
	GapBytes int64
	// AheadBytes is how much is fetched ahead of a reader, default 32 MiB: a
	// connection for each segment, and memory for each open object.
	AheadBytes int64
	// MaxAheadBytes bounds that for all open objects together, default 256 MiB;
	// beyond it every reader has one segment.
	MaxAheadBytes int64

	Clock clock.Clock
}

// DefaultConfig returns the defaults; Keys or nothing is left to set.
func DefaultConfig() Config {
	return Config{
		Attempts: 8, Backoff: 200 * time.Millisecond, MaxBackoff: 15 * time.Second, Timeout: 30 * time.Second, MinBytesPerSecond: 1 << 20,
		SegmentBytes: 8 << 20, GapBytes: 1 << 20, AheadBytes: 32 << 20, MaxAheadBytes: 256 << 20, Clock: clock.Real{},
	}
}

// minPart is the smallest part that the API allows but for an upload's last.
const minPart = 5 << 20

// Validate reports every field that cannot be meant.
func (c Config) Validate() error {
	var faults []error
	want := func(ok bool, field, what string) {
		if !ok {
			faults = append(faults, fault.New(fault.Invalid, "s3: %s %s", field, what))
		}
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		want(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "",
			"endpoint", "must be a URL such as https://storage.example:9000, without a path or a login")
	}
	want(c.Attempts > 0, "attempts", "must be positive")
	want(c.Backoff > 0 && c.MaxBackoff >= c.Backoff, "backoff", "must be positive and not above the longest")
	want(c.Timeout > 0, "timeout", "must be positive")
	want(c.MinBytesPerSecond > 0, "min bytes per second", "must be positive")
	want(c.SegmentBytes >= minPart, "segment bytes", "must be at least 5 MiB: no smaller part can be uploaded")
	want(c.GapBytes >= 0, "gap bytes", "must not be negative")
	want(c.AheadBytes >= 0 && c.MaxAheadBytes >= 0, "ahead bytes", "must not be negative")
	want(c.Clock != nil, "clock", "is needed")
	return errors.Join(faults...)
}
