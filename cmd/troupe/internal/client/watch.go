package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
)

// once sends one request to the node that answered last.
func (c *Client) once(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	base := c.nodes()[0]
	resp, err := c.send(ctx, base, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return unreachable(base, err)
	}
	return nil
}

// Watch follows a job to its end, through the death of the node that it
// listens to: it then listens to another, which tells the story from its
// beginning, so hear may be told old states again.
func (c *Client) Watch(ctx context.Context, id string, hear func(backend.Update)) (run.Summary, error) {
	last, err := c.Show(ctx, id)
	if err != nil {
		return last, err
	}
	_, _ = c.Nodes(ctx) // learns whom to ask when this one is gone; it may fail
	broken := ""
	for !backend.Ended(last) {
		err := c.persist(ctx, func(base string) error {
			if broken != "" && base != broken {
				hear(backend.Update{Notice: fmt.Sprintf("%s is gone; following the job on %s", broken, base)})
			}
			err := c.listen(ctx, base, id, func(u backend.Update) {
				c.answered(base)
				broken = ""
				if u.State != nil {
					last = *u.State
				}
				hear(u)
			})
			if err != nil {
				broken = base
			}
			return err
		})
		if err != nil {
			return last, err
		}
		if !backend.Ended(last) { // the stream was ended in good order, but not by the job's end
			if err := c.pause(ctx); err != nil {
				return last, err
			}
		}
	}
	return last, nil
}

func (c *Client) pause(ctx context.Context) error {
	select {
	case <-c.cfg.Clock.After(retryPause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// listen reads one stream of server-sent events until it ends.
func (c *Client) listen(ctx context.Context, base, id string, hear func(backend.Update)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := "/v1/jobs/" + url.PathEscape(id) + "/events"
	resp, err := c.send(ctx, base, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	silence := time.AfterFunc(c.cfg.Quiet, cancel)
	defer silence.Stop()
	r := bufio.NewReader(resp.Body)
	for {
		event, data, err := nextEvent(r)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unreachable(base, err)
		}
		silence.Reset(c.cfg.Quiet)
		if event == "error" {
			return c.notYet(base, path, refusal(base, data))
		}
		u, err := update(event, data)
		if err != nil {
			return fault.New(fault.Unavailable, "%s does not answer as Troupe does: %w", base, err)
		}
		hear(u)
		if u.State != nil && backend.Ended(*u.State) {
			return nil
		}
	}
}

// nextEvent reads one event of a stream: its name and its data.
func nextEvent(r *bufio.Reader) (event string, data []byte, err error) {
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return "", nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			if data != nil {
				return event, data, nil
			}
			continue
		}
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "data":
			data = append(append(data, value...), '\n')
		}
	}
}

// refusal reads why a node cannot go on with a stream.
func refusal(base string, data []byte) error {
	var e api.WatchError
	if err := json.Unmarshal(data, &e); err != nil {
		return fault.New(fault.Unavailable, "%s does not answer as Troupe does: %w", base, err)
	}
	return fault.New(kinds[e.Status], "%s", e.Detail)
}

func update(event string, data []byte) (backend.Update, error) {
	var u backend.Update
	var err error
	switch event {
	case "state":
		u.State = new(run.Summary)
		err = json.Unmarshal(data, u.State)
	case "progress":
		u.Progress = new(api.Progress)
		err = json.Unmarshal(data, u.Progress)
	}
	return u, err
}
