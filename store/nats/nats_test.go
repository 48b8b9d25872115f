package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/storetest"
)

const patience = 2 * time.Minute // only a failing test waits so long

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// start runs a server until the test ends or the returned function is called.
func start(t *testing.T, o *server.Options) (*server.Server, func()) {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog, o.JetStream = "127.0.0.1", true, true, true
	o.JetStreamMaxMemory, o.JetStreamMaxStore = 64<<20, 8<<30
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	stop := func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	t.Cleanup(stop)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	return s, stop
}

func alone(t *testing.T, dir string) (*server.Server, func()) {
	t.Helper()
	return start(t, &server.Options{Port: server.RANDOM_PORT, StoreDir: dir})
}

func dial(t *testing.T, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	c, err := nats.Connect(s.ClientURL(), append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectBufSize(-1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, c *nats.Conn, cfg Config) *Store {
	t.Helper()
	cfg.Log, cfg.Clock = slog.New(slog.DiscardHandler), clock.Real{}
	s, err := Open(soon(t), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// spoil changes the stored bytes of a blob.
func spoil(c *nats.Conn, prefix string) func(t *testing.T, d store.Digest) {
	return func(t *testing.T, d store.Digest) {
		t.Helper()
		blobs, ok := open(t, c, Config{Prefix: prefix}).Blobs.(*blobs)
		if !ok {
			t.Fatal("not our blobs")
		}
		m, err := blobs.last(soon(t), blobs.stream, blobs.subjectOf(d))
		if err != nil {
			t.Fatal(err)
		}
		m.data[len(m.data)/2] ^= 1
		if _, err := blobs.store(soon(t), &nats.Msg{Subject: m.subject, Data: m.data, Header: nats.Header{}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoreKeepsItsPromises(t *testing.T) {
	t.Parallel()
	s, _ := alone(t, t.TempDir())
	var n atomic.Int64
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		prefix := fmt.Sprintf("T%d", n.Add(1))
		c := dial(t, s)
		return storetest.Fixture{
			Store: open(t, c, Config{Prefix: prefix}).Store, Corrupt: spoil(c, prefix),
			Reopen: func(t *testing.T) store.Store {
				c.Close()
				return open(t, dial(t, s), Config{Prefix: prefix}).Store
			},
		}
	})
}

// three starts servers that replicate.
func three(t *testing.T) []*server.Server {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
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
		_ = l.Close()
		ports = append(ports, n)
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
	}
	var servers []*server.Server
	for i, p := range ports {
		o := &server.Options{ServerName: fmt.Sprintf("s%d", i), Port: server.RANDOM_PORT, StoreDir: t.TempDir(), Routes: routes}
		o.Cluster = server.ClusterOpts{Name: "three", Host: "127.0.0.1", Port: p}
		s, _ := start(t, o)
		servers = append(servers, s)
	}
	return servers
}

// forget deletes the streams of a store: each costs the servers some work.
func forget(t *testing.T, c *nats.Conn, prefix string) {
	t.Helper()
	js, err := jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"_BLOBS", "_REFS", "_LOGS"} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err := js.DeleteStream(ctx, prefix+stream); err != nil {
			t.Error(err)
		}
		cancel()
	}
}

// Two stores write through two servers, so that one of them is no leader.
type twoWays struct {
	store.Logs
	other store.Logs
	n     atomic.Int64
}

func (l *twoWays) Append(ctx context.Context, name string, expected uint64, records ...[]byte) error {
	if l.n.Add(1)%2 == 0 {
		return l.other.Append(ctx, name, expected, records...)
	}
	return l.Logs.Append(ctx, name, expected, records...)
}

type twoRefs struct {
	store.Refs
	other store.Refs
	n     atomic.Int64
}

func (r *twoRefs) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	if r.n.Add(1)%2 == 0 {
		return r.other.Set(ctx, name, value, revision)
	}
	return r.Refs.Set(ctx, name, value, revision)
}

func TestThreeServersKeepThePromisesToo(t *testing.T) {
	t.Parallel()
	servers := three(t)
	prefixes := make(chan string, 64)
	for i := range cap(prefixes) {
		prefixes <- fmt.Sprintf("T%d", i)
	}
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		prefix := <-prefixes
		c, d := dial(t, servers[0]), dial(t, servers[1])
		t.Cleanup(func() { forget(t, c, prefix) })
		a, b := open(t, c, Config{Prefix: prefix, Replicas: 3}), open(t, d, Config{Prefix: prefix, Replicas: 3})
		both := store.Store{Blobs: a.Blobs, Refs: &twoRefs{Refs: a.Refs, other: b.Refs}, Logs: &twoWays{Logs: a.Logs, other: b.Logs}}
		if late, ok := open(t, d, Config{Prefix: prefix}).Refs.(*refs); !ok || late.cfg.Replicas != 3 {
			t.Error("who comes later does not learn how many copies there are")
		}
		return storetest.Fixture{Store: both, Lags: true, Corrupt: spoil(c, prefix), Reopen: func(t *testing.T) store.Store {
			return open(t, dial(t, servers[2]), Config{Prefix: prefix, Replicas: 3}).Store
		}}
	})
}

func TestALargeBlobComesBack(t *testing.T) {
	t.Parallel()
	s, _ := alone(t, t.TempDir())
	st := open(t, dial(t, s), Config{})
	b := make([]byte, 80<<20+1)
	for i := 0; i < len(b); i += 4096 {
		b[i] = byte(i >> 12)
	}
	d, err := st.Blobs.Put(soon(t), b)
	if err != nil {
		t.Fatal(err)
	}
	back, err := st.Blobs.Get(soon(t), d)
	if err != nil || string(back) != string(b) {
		t.Fatalf("%d bytes came back, %v", len(back), err)
	}
	if err := st.Blobs.Delete(soon(t), d); err != nil {
		t.Fatal(err)
	}
	blobs, ok := st.Blobs.(*blobs)
	if !ok {
		t.Fatal("not our blobs")
	}
	if left, err := blobs.subjects(soon(t), blobs.stream, ">"); err != nil || len(left) > 0 {
		t.Errorf("after the deletion there is %v, %v", left, err)
	}
}

// A chunk that is gone must not pass for a shorter blob.
func TestAMissingChunkIsNoticed(t *testing.T) {
	t.Parallel()
	s, _ := alone(t, t.TempDir())
	st := open(t, dial(t, s), Config{})
	d, err := st.Blobs.Put(soon(t), make([]byte, 3<<20))
	if err != nil {
		t.Fatal(err)
	}
	blobs, ok := st.Blobs.(*blobs)
	if !ok {
		t.Fatal("not our blobs")
	}
	m, err := blobs.find(soon(t), d)
	if err != nil {
		t.Fatal(err)
	}
	l, err := decodeLarge(m.data)
	if err != nil {
		t.Fatal(err)
	}
	if err := blobs.erase(soon(t), blobs.stream, l.First+1); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Blobs.Get(soon(t), d); fault.Of(err) != fault.Corrupt {
		t.Fatalf("got %v (%v)", err, fault.Of(err))
	}
}

// A replica that lags knows the message of a blob that was deleted and put again.
func TestWhatAReplicaRemembersIsNotTakenForDamage(t *testing.T) {
	t.Parallel()
	s, _ := alone(t, t.TempDir())
	b, ok := open(t, dial(t, s), Config{}).Blobs.(*blobs)
	if !ok {
		t.Fatal("not our blobs")
	}
	for _, want := range [][]byte{[]byte("small"), make([]byte, 3<<20)} {
		ctx := soon(t)
		d, err := b.Put(ctx, want)
		if err != nil {
			t.Fatal(err)
		}
		old, err := b.find(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		if len(want) < chunkBytes {
			old.data = []byte("spoilt")
		}
		if err := b.Delete(ctx, d); err != nil {
			t.Fatal(err)
		}
		if _, err := b.bytesOf(ctx, d, old); fault.Of(err) != fault.NotFound || !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%d bytes after they were deleted: %v (%v)", len(want), err, fault.Of(err))
		}
		if _, err := b.Put(ctx, want); err != nil {
			t.Fatal(err)
		}
		if back, err := b.bytesOf(ctx, d, old); err != nil || string(back) != string(want) {
			t.Errorf("of %d bytes that were put again %d came back: %v", len(want), len(back), err)
		}
	}
}

func TestAWatcherOutlivesTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, stop := alone(t, dir)
	c := dial(t, s)
	st := open(t, c, Config{Poll: 50 * time.Millisecond})
	if err := st.Logs.Append(soon(t), "job.a", 0, []byte("0")); err != nil {
		t.Fatal(err)
	}
	seen := make(chan uint64, 8)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(soon(t))
	go func() {
		done <- st.Logs.Watch(ctx, "job.a", 0, func(seq uint64, record []byte) error {
			if string(record) != strconv.FormatUint(seq, 10) {
				return fmt.Errorf("record %d is %q", seq, record)
			}
			seen <- seq
			return nil
		})
	}()
	if got := <-seen; got != 0 {
		t.Fatalf("saw %d", got)
	}
	u, err := url.Parse(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	start(t, &server.Options{Port: port, StoreDir: dir})
	if err := st.Logs.Append(soon(t), "job.a", 1, []byte("1")); err != nil { // waits until the connection is back
		t.Fatal(err)
	}
	select {
	case got := <-seen:
		if got != 1 {
			t.Fatalf("saw %d", got)
		}
	case <-ctx.Done():
		t.Fatal("the watcher did not come back")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestAStoreThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	s, stop := alone(t, t.TempDir())
	st := open(t, dial(t, s), Config{Patience: 50 * time.Millisecond, Why: func() string { return "somebody pulled the plug" }})
	stop()
	_, errPut := st.Blobs.Put(soon(t), []byte("x"))
	_, _, errGet := st.Refs.Get(soon(t), "a")
	_, errSet := st.Refs.Set(soon(t), "a", nil, 0)
	_, errRead := st.Logs.Read(soon(t), "a", 0)
	for what, err := range map[string]error{"put": errPut, "get": errGet, "set": errSet, "read": errRead, "append": st.Logs.Append(soon(t), "a", 0, nil)} {
		if fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), "somebody pulled the plug") {
			t.Errorf("%s: %v (%v)", what, err, fault.Of(err))
		}
	}
}

func TestAFullStoreIsExhausted(t *testing.T) {
	t.Parallel()
	s, _ := start(t, &server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir()})
	st := open(t, dial(t, s), Config{})
	account, err := s.LookupAccount("$G")
	if err != nil {
		t.Fatal(err)
	}
	if err := account.UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": {MaxMemory: 1 << 20, MaxStore: 2 << 20, MaxStreams: -1, MaxConsumers: -1}}); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		b := make([]byte, 800<<10)
		b[0] = byte(i)
		if _, err = st.Blobs.Put(soon(t), b); err != nil {
			break
		}
	}
	if fault.Of(err) != fault.Exhausted {
		t.Fatalf("got %v (%v)", err, fault.Of(err))
	}
}

func TestAnAppendWhoseAnswerIsLostIsWrittenOnce(t *testing.T) {
	t.Parallel()
	s, _ := alone(t, t.TempDir())
	st := open(t, dial(t, s), Config{})
	logs, ok := st.Logs.(*logs)
	if !ok {
		t.Fatal("not our logs")
	}
	if err := logs.Append(soon(t), "a", 0, []byte("0")); err != nil {
		t.Fatal(err)
	}
	at, _ := logs.known("a")
	msg, _, err := logs.message(soon(t), "a", 1, [][]byte{[]byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first got through, and nobody heard
		if err := logs.retried(soon(t), "a", msg, at); err != nil {
			t.Fatal(err)
		}
	}
	other, _, err := logs.message(soon(t), "a", 1, [][]byte{[]byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	if err := logs.retried(soon(t), "a", other, at); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("the same bytes of another writer: %v", err)
	}
	records, err := logs.Read(soon(t), "a", 0)
	if err != nil || len(records) != 2 {
		t.Fatalf("%q, %v", records, err)
	}
}

// retried is write as it goes on after an answer was lost.
func (s *logs) retried(ctx context.Context, name string, msg *nats.Msg, at position) error {
	return s.writeAgain(ctx, name, msg, at, 1, true)
}

func TestRecordsArePackedAndUnpacked(t *testing.T) {
	t.Parallel()
	for _, records := range [][][]byte{{{}}, {[]byte("a")}, {{}, {}}, {[]byte("a"), {}, make([]byte, 300)}} {
		back, err := unpackRecords(packRecords(records), uint64(len(records)))
		if err != nil || fmt.Sprint(back) != fmt.Sprint(records) {
			t.Errorf("%v came back as %v, %v", records, back, err)
		}
	}
	b := packRecords([][]byte{[]byte("abc"), []byte("d")})
	for n := range len(b) {
		if _, err := unpackRecords(b[:n], 2); fault.Of(err) != fault.Corrupt {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := unpackRecords(append(b, 0), 2); fault.Of(err) != fault.Corrupt {
		t.Errorf("a byte too many: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) {
		b.Fatal("not ready")
	}
	for name, options := range map[string][]nats.Option{"in process": {nats.InProcessServer(s)}, "over TCP": nil} {
		b.Run(name, func(b *testing.B) {
			c, err := nats.Connect(s.ClientURL(), options...)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			st, err := Open(b.Context(), c, Config{Log: slog.New(slog.DiscardHandler), Clock: clock.Real{}})
			if err != nil {
				b.Fatal(err)
			}
			record := make([]byte, 200)
			names, err := st.Logs.List(b.Context(), "")
			if err != nil {
				b.Fatal(err)
			}
			job := fmt.Sprintf("job%d", len(names))
			b.ResetTimer()
			for i := range b.N {
				if err := st.Logs.Append(b.Context(), job, uint64(i), record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
