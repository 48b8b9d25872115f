package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
)

// amazon is the endpoint when none is named.
const amazon = "https://s3.amazonaws.com"

// Client is a store.
type Client struct {
	cfg       Config
	core      *minio.Core
	creds     *credentials.Credentials
	transport *http.Transport
	ahead     atomic.Int64 // bytes fetched ahead by all open objects
	draws     atomic.Uint64
	seed      uint64
}

// New returns a client; nothing is sent before its first use.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	endpoint := cfg.Endpoint
	if endpoint == "" {
		endpoint = amazon
	} else if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	at, err := url.Parse(endpoint)
	if err != nil {
		return nil, fault.New(fault.Invalid, "s3: endpoint: %w", err)
	}
	c := &Client{cfg: cfg, seed: uint64(cfg.Clock.Now().UnixNano())}
	c.creds = credentials.New(&provider{keys: cfg.Keys, role: &credentials.IAM{Region: cfg.Region}})
	c.transport = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // bytes are stored as they are read
		ReadBufferSize:      64 << 10,
		WriteBufferSize:     64 << 10,
	}
	c.core, err = minio.NewCore(at.Host, &minio.Options{
		Creds: c.creds, Secure: at.Scheme == "https", Region: cfg.Region, Transport: c.transport, MaxRetries: 1, // try is in charge
	})
	if err != nil {
		return nil, fault.New(fault.Invalid, "s3: %w", err)
	}
	return c, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// provider gives minio-go the caller's keys.
type provider struct {
	keys func() (Keys, error)
	role *credentials.IAM
}

// noKeys marks that there is nothing to sign with.
type noKeys struct{ err error }

func (e *noKeys) Error() string { return e.err.Error() }
func (e *noKeys) Unwrap() error { return e.err }

// RetrieveWithCredContext returns the configured keys, or those of the role.
func (p *provider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	if p.keys == nil {
		v, err := p.role.RetrieveWithCredContext(cc)
		if err != nil {
			return v, &noKeys{err}
		}
		return v, nil
	}
	k, err := p.keys()
	if err != nil {
		return credentials.Value{}, &noKeys{err}
	}
	return credentials.Value{AccessKeyID: k.Access, SecretAccessKey: string(k.Secret), SessionToken: string(k.Session), SignerType: credentials.SignatureV4}, nil
}

// Retrieve is RetrieveWithCredContext without a context.
func (p *provider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

// IsExpired reports whether the keys of a role must be fetched anew; configured
// ones last until the store refuses them.
func (p *provider) IsExpired() bool { return p.keys == nil && p.role.IsExpired() }

// try calls fn until it succeeds, fails for good, or has had its attempts. It
// moves at most the given number of bytes each time.
func (c *Client) try(ctx context.Context, op string, u URL, bytes int64, fn func(ctx context.Context, attempt int) error) error {
	for attempt := 1; ; attempt++ {
		limit := c.cfg.Timeout + time.Duration(float64(bytes)/float64(c.cfg.MinBytesPerSecond)*float64(time.Second))
		one, cancel := context.WithTimeout(ctx, limit)
		err := fn(one, attempt)
		slow := errors.Is(one.Err(), context.DeadlineExceeded)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if slow {
			err = fault.New(fault.Unavailable, "no answer within %v", limit)
		}
		err = c.judge(err)
		if fault.Of(err) != fault.Unavailable {
			return fault.Wrap(fault.Of(err), &opError{op, u, err})
		}
		if attempt == c.cfg.Attempts {
			return fault.New(fault.Unavailable, "%s %s: %d attempts have failed, the last with: %w", op, u, attempt, err)
		}
		select {
		case <-c.cfg.Clock.After(c.pause(attempt)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// opError says what was done to which object.
type opError struct {
	op  string
	url URL
	err error
}

func (e *opError) Error() string { return e.op + " " + e.url.String() + ": " + e.err.Error() }
func (e *opError) Unwrap() error { return e.err }

// pause is how long to wait after an attempt: half to all of a time that
// doubles, so that many clients do not come back at once.
func (c *Client) pause(attempt int) time.Duration {
	full := c.cfg.MaxBackoff
	if attempt < 32 {
		full = min(full, c.cfg.Backoff<<(attempt-1))
	}
	if full <= 0 {
		full = c.cfg.MaxBackoff
	}
	draw := rng.Mix(c.seed, c.draws.Add(1)) >> 11
	return full/2 + time.Duration(float64(full)/2*float64(draw)/(1<<53))
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
