package actors

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// A process may have one System, so every other one in these tests is a child:
// this program again, with its boot id in the environment.
const childVariable = "TROUPE_ACTORS_TEST_CHILD"

func TestMain(m *testing.M) {
	if boot := os.Getenv(childVariable); boot != "" {
		child(boot)
		return
	}
	os.Exit(m.Run())
}

const patience = time.Minute // only a failing test waits so long

func testConfig(boot string) Config {
	c := DefaultConfig()
	c.Boot, c.Messages = boot, []string{"google.protobuf"}
	return c
}

// child echoes until its standard input ends.
func child(boot string) {
	s, err := Start(testConfig(boot))
	if err == nil {
		_, err = s.Spawn("echo", func() actor.Actor { return actor.ReceiveFunc(echo(s)) })
	}
	if err != nil {
		fmt.Fprintln(os.Stdout, "failed:", err)
		return
	}
	fmt.Fprintln(os.Stdout, s.Address())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Close()
}

// echo answers what it is told; "panic" is not what it likes to hear, and
// "dropped" asks how much the guard has turned away.
func echo(s *System) func(actor.Context) {
	return func(c actor.Context) {
		m, ok := c.Message().(*wrapperspb.StringValue)
		if !ok {
			return
		}
		switch m.GetValue() {
		case "panic":
			panic("a bug")
		case "dropped":
			s.Send(c.Sender(), c.Self(), wrapperspb.UInt64(s.Dropped()))
		default:
			s.Send(c.Sender(), c.Self(), wrapperspb.String(m.GetValue()+" from "+s.Boot()))
		}
	}
}

type process struct {
	*exec.Cmd
	address string
	stdin   io.Closer
}

func startChild(t *testing.T, boot string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0])}
	p.Env = append(os.Environ(), childVariable+"="+boot)
	p.Stderr = os.Stderr
	var err error
	p.stdin, err = p.StdinPipe()
	require.NoError(t, err)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	p.address = strings.TrimSpace(line)
	return p
}

// asker is this process's System, with an actor that hears the answers.
type asker struct {
	*System
	self    *actor.PID
	answers chan proto.Message
	lost    chan string
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	s, err := Start(testConfig("parent"))
	require.NoError(t, err)
	t.Cleanup(s.Close)
	a := &asker{System: s, answers: make(chan proto.Message, 16), lost: make(chan string, 16)}
	a.self, err = s.Spawn("asker", func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			if m, ok := c.Message().(proto.Message); ok && !strings.HasPrefix(string(m.ProtoReflect().Descriptor().FullName()), "actor.") {
				a.answers <- m
			}
		})
	})
	require.NoError(t, err)
	s.OnLost(func(address string) { a.lost <- address })
	return a
}

func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-clock.Real{}.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (a *asker) ask(t *testing.T, to *actor.PID, text string) proto.Message {
	t.Helper()
	a.Send(to, a.self, wrapperspb.String(text))
	return within(t, a.answers)
}

// One test holds the only System of this process.
func TestAConversationBetweenProcesses(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	c := startChild(t, "boot1")
	echo := At(c.address, "echo", "boot1")
	require.Equal(t, "hello from boot1", a.ask(t, echo, "hello").(*wrapperspb.StringValue).GetValue())

	intrude(t, c.address)
	require.EqualValues(t, 6, a.ask(t, echo, "dropped").(*wrapperspb.UInt64Value).GetValue())

	a.Send(echo, a.self, wrapperspb.String("panic"))
	require.Equal(t, "again from boot1", a.ask(t, echo, "again").(*wrapperspb.StringValue).GetValue(), "a panic costs one message")

	a.Send(At(c.address, "echo", "boot0"), a.self, wrapperspb.String("for the process before"))
	require.Equal(t, "last from boot1", a.ask(t, echo, "last").(*wrapperspb.StringValue).GetValue(), "nothing for another process arrives")

	require.NoError(t, c.Process.Kill())
	require.Equal(t, c.address, within(t, a.lost))
}

// intrude sends what the library would stumble over, and a known message with
// it; then it waits until the door has looked at all of it.
func intrude(t *testing.T, address string) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	stream, err := remote.NewRemotingClient(conn).Receive(context.Background())
	require.NoError(t, err)
	target := []*actor.PID{At(address, "echo", "boot1")}
	require.NoError(t, stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: &remote.MessageBatch{
		TypeNames: []string{"my.app.NotLinkedHere", "google.protobuf.NotLinkedHere", "actor.Stop", "google.protobuf.StringValue"}, Targets: target,
		Envelopes: []*remote.MessageEnvelope{
			{TypeId: 0}, {TypeId: 1}, {TypeId: 2}, {TypeId: 9}, {TypeId: 3, Target: -1}, {TypeId: 3, SerializerId: 1},
		},
	}}}))
	require.NoError(t, stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{Address: address}},
	}}}))
	_, err = stream.Recv() // the answer to what came last
	require.NoError(t, err)
}

func TestAnAddressInUseIsAClearError(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = freePort("127.0.0.1", l.Addr().(*net.TCPAddr).Port)
	require.ErrorContains(t, err, "address already in use")
	require.Equal(t, fault.Unavailable, fault.Of(err))
}

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	err := Config{Port: -1}.Validate()
	require.Equal(t, fault.Invalid, fault.Of(err))
	for _, word := range []string{"host", "port", "boot", "messages", "queue_length", "batch_length", "max_batch_bytes", "keepalive_timeout", "log"} {
		require.ErrorContains(t, err, "actors: "+word)
	}
}

func TestPlacesOfActorsAreText(t *testing.T) {
	t.Parallel()
	pid := At("127.0.0.1:4000", "worker", "b1")
	back, err := Parse(Format(pid))
	require.NoError(t, err)
	require.True(t, proto.Equal(pid, back))
	for _, s := range []string{"", "x", "127.0.0.1:4000", "127.0.0.1:4000/", "nohost/name"} {
		_, err := Parse(s)
		require.Equal(t, fault.Invalid, fault.Of(err), s)
	}
}
