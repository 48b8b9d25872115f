package actors

import (
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/remote"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/troupe-ml/troupe/internal/fault"
)

// guard stands at the door of a System. The library trusts what it receives: an
// unknown type or a place outside a list ends the process, and messages of its
// own stop any actor by name. The guard lets in whole batches of known messages
// of ours, and drops and counts the rest.
type guard struct {
	packages []string // with a dot at the end
	log      *slog.Logger
	dropped  atomic.Uint64
	metric   *prometheus.CounterVec
}

func newGuard(packages []string, log *slog.Logger, reg prometheus.Registerer) *guard {
	g := &guard{log: log, metric: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "troupe_actors_dropped_messages_total", Help: "Messages turned away at the door, by why.",
	}, []string{"why"})}
	for _, p := range packages {
		g.packages = append(g.packages, p+".")
	}
	if reg != nil {
		reg.MustRegister(g.metric)
	}
	return g
}

func (g *guard) drop(why string, n int) {
	if n > 0 {
		g.dropped.Add(uint64(n))
		g.metric.WithLabelValues(why).Add(float64(n))
	}
}

// intercept serves one connection of a peer. A panic of the library ends the
// connection instead of the process.
func (g *guard) intercept(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.drop("panic", 1)
			g.log.Error("message ended its connection", slog.Any("err", p))
			err = fault.New(fault.Internal, "actors: receive: %v", p)
		}
	}()
	return handle(srv, guarded{stream, g})
}

type guarded struct {
	grpc.ServerStream
	guard *guard
}

// RecvMsg receives what comes next, without what is not let in.
func (s guarded) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if r, ok := m.(*remote.RemoteMessage); ok {
		if b := r.GetMessageBatch(); b != nil {
			s.guard.filter(b)
		}
	}
	return nil
}

// filter removes the envelopes that are not let in.
func (g *guard) filter(b *remote.MessageBatch) {
	known := make([]bool, len(b.TypeNames))
	for i, name := range b.TypeNames {
		known[i] = g.knows(name)
	}
	unknown, malformed := 0, 0
	keep := b.Envelopes[:0]
	for _, e := range b.Envelopes {
		switch {
		case e.SerializerId != 0, outside(e.TypeId, len(b.TypeNames)), outside(e.Target, len(b.Targets)), outside(e.Sender, len(b.Senders)+1):
			malformed++
		case !known[e.TypeId]:
			unknown++
		default:
			keep = append(keep, e)
		}
	}
	b.Envelopes = keep
	g.drop("unknown", unknown)
	g.drop("malformed", malformed)
}

func outside(i int32, n int) bool { return i < 0 || int(i) >= n }

// knows reports whether messages of a type are let in.
func (g *guard) knows(name string) bool {
	for _, p := range g.packages {
		if strings.HasPrefix(name, p) {
			_, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
			return err == nil
		}
	}
	return false
}
