// Package client speaks to a cluster over HTTP. It knows several nodes at once:
// when one does not answer, it asks another, and it learns of others from those
// that do. Every request of it may be repeated without harm.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Config says whom to speak to.
type Config struct {
	Addresses []string // of nodes: HOST:PORT or http(s)://HOST:PORT
	Token     string   // "" sends none
	// Patience is how long a request is tried again while no node answers, once
	// one has answered before. A cluster needs a few seconds to replace a node.
	Patience time.Duration
	Quiet    time.Duration // a stream without a word for so long is broken
	Clock    clock.Clock
}

// DefaultConfig waits a minute for a cluster that has answered before.
func DefaultConfig() Config {
	return Config{Patience: time.Minute, Quiet: 35 * time.Second, Clock: clock.Real{}}
}

// retryPause is between two rounds over all nodes.
const retryPause = 250 * time.Millisecond

// maxAnswer bounds what a node may answer, other than a stream.
const maxAnswer = 256 << 20

// Client is a cluster. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client

	mu        sync.Mutex
	bases     []string // URLs of nodes, the one that answered last first
	reached   bool
	submitted map[string]bool // jobs, by this client
}

// New returns a client; it asks nobody yet. An address that is none is of kind
// Invalid.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg, submitted: map[string]bool{}}
	for _, a := range cfg.Addresses {
		base, err := baseOf(a)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(c.bases, base) {
			c.bases = append(c.bases, base)
		}
	}
	if len(c.bases) == 0 {
		return nil, fault.New(fault.Invalid, "the address is empty: expected HOST:PORT of a node, such as 127.0.0.1:8270")
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConnsPerHost:   2,
	}}
	return c, nil
}

// baseOf returns the URL of a node's door.
func baseOf(address string) (string, error) {
	text := strings.TrimSpace(address)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", fault.New(fault.Invalid, "the address %q is none: expected HOST:PORT of a node, such as 127.0.0.1:8270", address)
	}
	if u.Port() == "" && u.Scheme == "http" {
		u.Host = net.JoinHostPort(u.Hostname(), "8270")
	}
	return u.Scheme + "://" + u.Host, nil
}

// Embedded reports that jobs do not run in this process.
func (c *Client) Embedded() bool { return false }

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *Client) nodes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.bases)
}

// answered moves a node to the front.
func (c *Client) answered(base string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached = true
	if i := slices.Index(c.bases, base); i > 0 {
		c.bases = slices.Insert(slices.Delete(c.bases, i, i+1), 0, base)
	}
}

// learn adds nodes to those that are asked.
func (c *Client) learn(nodes []api.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range nodes {
		if base, err := baseOf(n.Address); err == nil && n.Address != "" && !slices.Contains(c.bases, base) {
			c.bases = append(c.bases, base)
		}
	}
}

func (c *Client) wasReached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reached
}

// raw is an answer that is taken as it is.
type raw []byte

// call asks node after node until one answers and decodes its answer.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return c.persist(ctx, func(base string) error {
		resp, err := c.send(ctx, base, method, path, body)
		if err != nil {
			return err
		}
		defer drain(resp.Body)
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return unreachable(base, err)
		}
		if bytes, ok := out.(*raw); ok {
			*bytes = b
			return nil
		}
		if err := json.Unmarshal(b, out); err != nil {
			return fault.New(fault.Unavailable, "%s does not answer as Troupe does: %w", base, err)
		}
		return nil
	})
}

// persist tries the nodes in turn: at once all of them, and for as long as
// patience lasts when the cluster has answered before. Only Unavailable is
// tried again.
func (c *Client) persist(ctx context.Context, try func(base string) error) error {
	patience := c.cfg.Clock.Now().Add(c.cfg.Patience)
	for {
		var errs []error
		for _, base := range c.nodes() {
			err := try(base)
			if err == nil {
				c.answered(base)
				return nil
			}
			if ctx.Err() != nil {
				return exit.Because(ctx, err)
			}
			if fault.Of(err) != fault.Unavailable {
				c.answered(base)
				return err
			}
			errs = append(errs, err)
		}
		if !c.wasReached() || c.cfg.Clock.Now().After(patience) {
			return exit.With(exit.Unreachable, errors.Join(errs...))
		}
		select {
		case <-c.cfg.Clock.After(retryPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func unreachable(base string, err error) error {
	var u *url.Error
	if errors.As(err, &u) { // says again which address
		err = u.Err
	}
	return fault.New(fault.Unavailable, "no answer from %s: %w", base, err)
}

// send makes one request; an answer that is no success is an error of its kind.
func (c *Client) send(ctx context.Context, base, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(base, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer drain(resp.Body)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		c.mu.Lock()
		c.reached = true // a node that cannot serve yet is worth waiting for
		c.mu.Unlock()
	}
	return nil, c.notYet(base, path, problem(base, resp))
}

// notYet makes of the error that there is no such job one that passes, if this client
// has submitted it: a server that was cut off from the others may for a moment take
// itself for the one that leads them, and knows what there was before.
func (c *Client) notYet(base, path string, err error) error {
	job, of := strings.CutPrefix(path, "/v1/jobs/")
	if fault.Of(err) != fault.NotFound || !of {
		return err
	}
	job, _, _ = strings.Cut(job, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.submitted[job] {
		return err
	}
	c.reached = true
	return fault.New(fault.Unavailable, "%s does not know yet what was submitted: %w", base, err)
}

func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 1<<20)) // lets the connection be used again
	_ = body.Close()                                        // nothing was written
}

var kinds = map[int]fault.Kind{
	http.StatusBadRequest: fault.Invalid, http.StatusUnprocessableEntity: fault.Invalid, http.StatusNotFound: fault.NotFound,
	http.StatusConflict: fault.Conflict, http.StatusTooManyRequests: fault.Exhausted, 499: fault.Canceled,
	http.StatusServiceUnavailable: fault.Unavailable, http.StatusBadGateway: fault.Unavailable, http.StatusGatewayTimeout: fault.Unavailable,
}

// problem reads an RFC 9457 document.
func problem(base string, resp *http.Response) error {
	var doc struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Errors []struct {
			Message  string `json:"message"`
			Location string `json:"location"`
		} `json:"errors"`
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what is missing is not said
	if json.Unmarshal(b, &doc) != nil || doc.Detail == "" && doc.Title == "" {
		doc.Detail = fmt.Sprintf("%s answered %s", base, resp.Status)
	}
	message := doc.Detail
	if message == "" {
		message = doc.Title
	}
	for _, e := range doc.Errors {
		message += "\n" + strings.TrimPrefix(e.Location+": "+e.Message, ": ")
	}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return exit.With(exit.Unreachable, fault.New(fault.Invalid, "%s: %s", base, message))
	}
	return fault.New(kinds[resp.StatusCode], "%s", message)
}
