package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-ml/troupe/cluster/trust"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

const patience = 2 * time.Minute // only a failing test waits so long

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func secret(t *testing.T, s string) *trust.Trust {
	t.Helper()
	tr, err := trust.New([]byte(s), clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func alone(t *testing.T, dir string, tr *trust.Trust) *Server {
	t.Helper()
	s, err := StartServer(soon(t), ServerConfig{
		Name: "alone", Dir: dir, Host: "127.0.0.1", Replicas: 1, MaxStoreBytes: 1 << 30, Trust: tr,
		Log: slog.New(slog.DiscardHandler), Clock: clock.Real{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, inProcess *Server, url string, tr *trust.Trust) (*Conn, error) {
	t.Helper()
	c, err := Connect(soon(t), ConnectConfig{
		Name: t.Name(), Server: inProcess, URLs: func() []string { return []string{url} }, Trust: tr,
		Log: slog.New(slog.DiscardHandler), Clock: clock.Real{},
	})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func mustConnect(t *testing.T, inProcess *Server, url string, tr *trust.Trust) *Conn {
	t.Helper()
	c, err := connect(t, inProcess, url, tr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOneServerIsReadyAndWritable(t *testing.T) {
	t.Parallel()
	for _, tr := range []*trust.Trust{nil, secret(t, "0123456789abcdef")} {
		t.Run(fmt.Sprintf("with a secret %v", tr != nil), func(t *testing.T) {
			t.Parallel()
			s := alone(t, t.TempDir(), tr)
			if want := map[bool]string{true: "tls://127.0.0.1:", false: "nats://127.0.0.1:"}[tr != nil]; !strings.HasPrefix(s.URL(), want) {
				t.Errorf("url %s, want %s...", s.URL(), want)
			}
			for _, c := range []*Conn{mustConnect(t, s, "", tr), mustConnect(t, nil, s.URL(), tr)} {
				js, err := jetstream.New(c.NATS)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := js.AccountInfo(soon(t)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestTheWrongSecretIsRefused(t *testing.T) {
	t.Parallel()
	right, wrong := secret(t, "0123456789abcdef"), secret(t, "0123456789abcdeX")
	s := alone(t, t.TempDir(), right)
	if _, err := connect(t, nil, s.URL(), wrong); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "secret") {
		t.Errorf("another secret: %v (%v)", err, fault.Of(err))
	}
	if _, err := connect(t, nil, strings.Replace(s.URL(), "tls:", "nats:", 1), nil); fault.Of(err) != fault.Invalid {
		t.Errorf("no secret: %v (%v)", err, fault.Of(err))
	}
	tls, err := right.TLS("thief")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := nats.Connect(s.URL(), nats.Secure(tls), nats.UserInfo("node", wrong.NodeLogin().Password)); err == nil {
		c.Close()
		t.Error("a wrong password was accepted")
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	_, err = StartServer(soon(t), ServerConfig{Name: "second", Dir: t.TempDir(), Host: "127.0.0.1", Port: n, Replicas: 1, MaxStoreBytes: 1 << 30, Log: slog.New(slog.DiscardHandler), Clock: clock.Real{}})
	if fault.Of(err) != fault.Conflict || !strings.Contains(err.Error(), port) {
		t.Fatalf("got %v (%v)", err, fault.Of(err))
	}
}

func TestNoServerIsSaid(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, ConnectConfig{Name: "x", URLs: func() []string { return []string{"nats://127.0.0.1:1"} }, Log: slog.New(slog.DiscardHandler), Clock: clock.Real{}})
	if fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Fatalf("got %v (%v)", err, fault.Of(err))
	}
}

func TestAConnectionComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := alone(t, dir, nil)
	_, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	c := mustConnect(t, nil, s.URL(), nil)
	back := make(chan struct{}, 1)
	c.NATS.SetReconnectHandler(func(*nats.Conn) { back <- struct{}{} })
	s.Shutdown()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	again, err := StartServer(soon(t), ServerConfig{Name: "alone", Dir: dir, Host: "127.0.0.1", Port: n, Replicas: 1, MaxStoreBytes: 1 << 30, Log: slog.New(slog.DiscardHandler), Clock: clock.Real{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Shutdown)
	select {
	case <-back:
	case <-soon(t).Done():
		t.Fatal("the connection did not come back")
	}
}

// freePorts returns ports that were free a moment ago.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		tcp, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatal("no TCP address")
		}
		ports[i] = tcp.Port
	}
	return ports
}

func TestThreeServersKeepOneState(t *testing.T) {
	t.Parallel()
	tr := secret(t, "0123456789abcdef")
	routes := make([]string, 3)
	ports := freePorts(t, 3)
	for i, p := range ports {
		routes[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(p))
	}
	servers := make([]*Server, 3)
	for i := range servers {
		s, err := StartServer(soon(t), ServerConfig{
			Name: fmt.Sprintf("s%d", i), Dir: t.TempDir(), Host: "127.0.0.1", RoutePort: ports[i], Routes: routes, Replicas: 3,
			MaxStoreBytes: 1 << 30, Trust: tr, Log: slog.New(slog.DiscardHandler), Clock: clock.Real{},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Shutdown)
		servers[i] = s
	}
	c := mustConnect(t, servers[0], "", tr)
	events, err := OpenEvents(soon(t), c, 3) // waits for a leader
	if err != nil {
		t.Fatal(err)
	}
	event := Event{ID: "1", Source: "test", Type: "ml.troupe.test", Time: clock.Real{}.Now(), Data: json.RawMessage(`{"a":1}`)}
	for range 2 { // the second is the same event
		if err := events.Publish(soon(t), "job.train.succeeded", event); err != nil {
			t.Fatal(err)
		}
	}
	awaitOthers(t, servers[0], 2)
	servers[2].Shutdown()
	js, err := jetstream.New(mustConnect(t, nil, servers[1].URL(), tr).NATS)
	if err != nil {
		t.Fatal(err)
	}
	var msg *jetstream.RawStreamMsg
	for ctx := soon(t); ctx.Err() == nil; { // if it was the leader that ended, there is none for a while
		try, cancel := context.WithTimeout(ctx, time.Second)
		var stream jetstream.Stream
		if stream, err = js.Stream(try, eventStream); err == nil {
			msg, err = stream.GetLastMsgForSubject(try, EventPrefix+"job.train.succeeded")
		}
		cancel()
		if err == nil {
			break
		}
	}
	if err != nil || !bytes.Contains(msg.Data, []byte(`"specversion":"1.0"`)) || msg.Sequence != 1 {
		t.Fatalf("got %+v, %v", msg, err)
	}
	awaitOthers(t, servers[0], 1)
}

// awaitOthers waits until a server is connected to so many others.
func awaitOthers(t *testing.T, s *Server, want int) {
	t.Helper()
	for ctx := soon(t); s.Others() != want; {
		select {
		case <-ctx.Done():
			t.Fatalf("the server is connected to %d others, not %d", s.Others(), want)
		case <-clock.Real{}.After(10 * time.Millisecond):
		}
	}
}

func TestNodesHearEachOther(t *testing.T) {
	t.Parallel()
	s := alone(t, t.TempDir(), nil)
	a, b := mustConnect(t, s, "", nil), mustConnect(t, nil, s.URL(), nil)
	heard := make(chan string, 1)
	stop, err := a.Hear(ProgressPrefix+"j1", func(data []byte) { heard <- string(data) })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Conn{a, b} {
		if _, err := c.Answer(StatusSubject, func(q []byte) []byte { return append([]byte("well, "), q...) }); err != nil {
			t.Fatal(err)
		}
		if err := c.NATS.Flush(); err != nil { // the server knows who listens
			t.Fatal(err)
		}
	}
	b.Say(ProgressPrefix+"j1", []byte("half"))
	select {
	case got := <-heard:
		if got != "half" {
			t.Errorf("heard %q", got)
		}
	case <-soon(t).Done():
		t.Fatal("heard nothing")
	}
	stop()
	answers, err := b.Gather(soon(t), StatusSubject, []byte("and you?"), 2)
	if err != nil || len(answers) != 2 || string(answers[0]) != "well, and you?" {
		t.Errorf("answers %q, %v", answers, err)
	}
	if answers, err = b.Gather(soon(t), "troupe.nobody", nil, 2); err != nil || len(answers) != 0 {
		t.Errorf("nobody answers %q, %v", answers, err)
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	b.Close()
	if err := b.Check(); fault.Of(err) != fault.Unavailable {
		t.Errorf("closed: %v", err)
	}
}
