package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// ConnectConfig are the settings of a node's connection.
type ConnectConfig struct {
	// Name is the node's, for those who look at the server.
	Name string
	// Server is the one inside this process; nil connects to URLs.
	Server *Server
	// URLs returns those of the servers known at this moment, as they may change
	// while the node looks for one. An answer of none means: not yet.
	URLs func() []string
	// Trust are the cluster's credentials; nil connects without. An external
	// server is given its own, in its URL.
	Trust *trust.Trust
	Log   *slog.Logger
	Clock clock.Clock
}

// retryEvery is how often a node tries again to reach a first server.
const retryEvery = 100 * time.Millisecond

// Connect connects to a server, for which it waits until ctx ends: that is kind
// Unavailable and says why. A server that refuses the credentials is of kind
// Invalid, at once.
//
// Afterwards the connection comes back by itself, for ever. While it is away,
// requests fail rather than wait.
func Connect(ctx context.Context, cfg ConnectConfig) (*Conn, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	last := errors.New("no server is known yet")
	for {
		var urls []string
		if cfg.URLs != nil {
			urls = cfg.URLs()
		}
		if cfg.Server != nil || len(urls) > 0 {
			conn, err := nats.Connect(strings.Join(urls, ","), options...)
			if err == nil {
				return &Conn{NATS: conn, log: cfg.Log}, nil
			}
			if refused(err) {
				return nil, fault.New(fault.Invalid, "bus: connect to %s: refused: %w: do all nodes have the same secret?", place(cfg, urls), err)
			}
			last = fmt.Errorf("%s: %w", place(cfg, urls), err)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, fmt.Errorf("bus: connect: %w", ctx.Err())
			}
			return nil, fault.New(fault.Unavailable, "bus: connect: %w", last)
		case <-cfg.Clock.After(retryEvery):
		}
	}
}

func place(cfg ConnectConfig, urls []string) string {
	if cfg.Server != nil {
		return "the server in this process"
	}
	return strings.Join(urls, ", ")
}

func (cfg ConnectConfig) options() ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name(cfg.Name), nats.Timeout(5 * time.Second),
		nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), // a dead link is noticed after 4 to 6 s
		nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				cfg.Log.Warn("store is away", slog.Any("err", err))
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { cfg.Log.Info("store is back", slog.String("url", c.ConnectedUrlRedacted())) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			cfg.Log.Warn("store connection", slog.Any("err", err))
		}),
	}
	if cfg.Server != nil {
		options = append(options, nats.InProcessServer(cfg.Server))
	}
	if cfg.Trust != nil {
		tls, err := cfg.Trust.TLS(cfg.Name)
		if err != nil {
			return nil, err
		}
		login := cfg.Trust.NodeLogin()
		// Without Secure, a connection in process to a server with TLS never ends.
		options = append(options, nats.Secure(tls), nats.UserInfo(login.User, login.Password))
	}
	return options, nil
}

// refused reports whether the server does not want us, which trying again does
// not change.
func refused(err error) bool {
	text := strings.ToLower(err.Error())
	for _, sign := range []string{"authorization violation", "tls", "x509", "certificate", "secure connection"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}
