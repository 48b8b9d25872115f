package stream

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

const patience = time.Minute // only a failing test waits so long

// connect returns a connection to a NATS server of the test's own.
func connect(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(patience))
	nc, err := nats.Connect("", nats.InProcessServer(s))
	require.NoError(t, err)
	t.Cleanup(func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
	})
	return nc
}

// echo answers with what it was asked, or that there is no such model.
type echo struct{ gate chan struct{} }

func (e echo) Answer(_ context.Context, model string, body []byte) (int, []byte) {
	if e.gate != nil {
		<-e.gate
	}
	if model == "nobody" {
		return http.StatusServiceUnavailable, problem(http.StatusServiceUnavailable, "no model is called nobody")
	}
	return http.StatusOK, []byte(model + ":" + string(body))
}

func serve(t *testing.T, nc *nats.Conn, a Answerer) *Service {
	t.Helper()
	s, err := Serve(nc, "dev", a, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

func TestAPredictionIsAskedForByTheModelsSubject(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	s := serve(t, nc, echo{})
	m, err := nc.Request("troupe.predict.fraud@staging", []byte("x"), patience)
	require.NoError(t, err)
	require.Equal(t, "fraud@staging:x", string(m.Data))
	m, err = nc.Request("troupe.predict.nobody", nil, patience)
	require.NoError(t, err)
	require.Equal(t, "503", m.Header.Get("Nats-Service-Error-Code"))
	require.Contains(t, string(m.Data), "no model is called nobody")
	require.NoError(t, s.Stop())
	_, err = nc.Request("troupe.predict.fraud", nil, patience)
	require.ErrorIs(t, err, nats.ErrNoResponders)
}

func TestTheServiceIsFoundByPing(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	s := serve(t, nc, echo{})
	m, err := nc.Request("$SRV.INFO.troupe-predict", nil, patience)
	require.NoError(t, err)
	require.Contains(t, string(m.Data), `"subject":"troupe.predict.*"`)
	require.NoError(t, s.Stop())
}

func TestStopWaitsForRequestsThatAreBeingWorkedOn(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	gate := make(chan struct{})
	s := serve(t, nc, echo{gate})
	replies, err := nc.SubscribeSync(nats.NewInbox())
	require.NoError(t, err)
	const n = 20
	for range n {
		require.NoError(t, nc.PublishRequest("troupe.predict.m", replies.Subject, []byte("x")))
	}
	require.NoError(t, nc.Flush())
	require.Eventually(t, func() bool { return len(s.slots) == n }, patience, time.Millisecond)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Stop() }) //nolint:errcheck // the answers are what is looked at
	close(gate)
	wg.Wait()
	for range n {
		m, err := replies.NextMsg(patience)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(m.Data), "m:"))
	}
}

func TestAVersionThatIsNoneIsZero(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"v1.2.3": "1.2.3", "1.2.3-4-gabc": "1.2.3-4-gabc", "dev": "0.0.0", "": "0.0.0"} {
		require.Equal(t, want, serviceVersion(in))
	}
}
