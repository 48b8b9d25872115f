package bus

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Subjects of what nodes say to each other beside their conversation as actors.
// None of it is kept: who is not listening has missed it.
const (
	// ProgressPrefix begins the subjects of progress; the job's id follows.
	ProgressPrefix = "troupe.progress."
	// StatusSubject asks every node how it is.
	StatusSubject = "troupe.node.status"
	// DeployedSubject says that an environment stands for another model.
	DeployedSubject = "troupe.node.deployed"
)

// Conn is a node's connection to the store's server, and through it to the
// other nodes. It is safe for concurrent use.
type Conn struct {
	NATS *nats.Conn
	log  *slog.Logger
}

// Say tells whoever listens to a subject now. It does not wait, and may be lost.
func (c *Conn) Say(subject string, data []byte) {
	if err := c.NATS.Publish(subject, data); err != nil {
		c.log.Debug("not said", slog.String("subject", subject), slog.Any("err", err))
	}
}

// Hear calls fn with what is said on a subject, one at a time, until the
// returned function is called.
func (c *Conn) Hear(subject string, fn func(data []byte)) (stop func(), err error) {
	sub, err := c.NATS.Subscribe(subject, func(m *nats.Msg) { fn(m.Data) })
	if err != nil {
		return nil, fault.New(fault.Unavailable, "bus: listen to %s: %w", subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // it fails only when the connection is gone
}

// Answer answers what is asked on a subject, one question at a time, until the
// returned function is called. fn must not block.
func (c *Conn) Answer(subject string, fn func(question []byte) []byte) (stop func(), err error) {
	sub, err := c.NATS.Subscribe(subject, func(m *nats.Msg) {
		if m.Reply != "" {
			c.Say(m.Reply, fn(m.Data))
		}
	})
	if err != nil {
		return nil, fault.New(fault.Unavailable, "bus: listen to %s: %w", subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // it fails only when the connection is gone
}

// Gather asks on a subject and returns the answers that arrive until there are
// as many as expected, or ctx ends; too few are no error.
func (c *Conn) Gather(ctx context.Context, subject string, question []byte, expected int) ([][]byte, error) {
	inbox := c.NATS.NewRespInbox()
	sub, err := c.NATS.SubscribeSync(inbox)
	if err == nil {
		defer func() { _ = sub.Unsubscribe() }() // it fails only when the connection is gone
		err = c.NATS.PublishRequest(subject, inbox, question)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "bus: ask %s: %w", subject, err)
	}
	var answers [][]byte
	for len(answers) < expected {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			break
		}
		if m.Header.Get("Status") == "" { // else it says that nobody listens
			answers = append(answers, m.Data)
			continue
		}
		break
	}
	return answers, nil
}

// UseServers tells the connection where the servers are now, for when it has to
// look for another.
func (c *Conn) UseServers(urls []string) {
	if len(urls) == 0 {
		return
	}
	if err := c.NATS.SetServerPool(urls); err != nil {
		c.log.Warn("addresses of the store's servers", slog.Any("err", err))
	}
}

// Check returns an error of kind Unavailable while the connection is away.
func (c *Conn) Check() error {
	if c.NATS.IsConnected() {
		return nil
	}
	return fault.New(fault.Unavailable, "bus: the store is away: %w", orAway(c.NATS.LastError()))
}

func orAway(err error) error {
	if err == nil {
		return fmt.Errorf("connection is %w", nats.ErrDisconnected)
	}
	return err
}

// Close ends the connection.
func (c *Conn) Close() { c.NATS.Close() }
