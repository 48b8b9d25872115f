package node

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store/nats"
)

// BenchmarkListJobs is a list of 1,000 jobs of 20 tasks: cold, as a node does
// after its start, and warm.
func BenchmarkListJobs(b *testing.B) {
	st := benchStore(b)
	for i := range 1000 {
		id := jobs.ID(fmt.Sprintf("job%d", i))
		if err := joblog.Submit(b.Context(), st.Store, id, "drift", "d", []byte("{}"), int64(i)); err != nil {
			b.Fatal(err)
		}
		if err := st.Logs.Append(b.Context(), joblog.Name(id), 1, twentyTasks(b)...); err != nil {
			b.Fatal(err)
		}
	}
	list := func(b *testing.B, l *api.Lister) {
		b.Helper()
		if all, err := l.Jobs(b.Context(), st.Store, 0); err != nil || len(all) != 1000 {
			b.Fatal(len(all), err)
		}
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			list(b, &api.Lister{})
		}
	})
	b.Run("warm", func(b *testing.B) {
		var l api.Lister
		list(b, &l)
		for b.Loop() {
			list(b, &l)
		}
	})
}

// twentyTasks is the rest of a job's log, record by record.
func twentyTasks(b *testing.B) [][]byte {
	b.Helper()
	events := []jobs.Event{{Kind: jobs.StagePlanned, Stage: &jobs.Stage{Name: "s", NumTasks: 20}}}
	for i := range 20 {
		id := jobs.TaskID(fmt.Sprintf("s/%d", i))
		events = append(events, jobs.Event{Kind: jobs.TaskAssigned, Task: id, Attempt: 1, Members: []jobs.MemberID{"m"}}, jobs.Event{Kind: jobs.TaskDone, Task: id, Attempt: 1, Result: &jobs.Result{Output: "x"}})
	}
	events = append(events, jobs.Event{Kind: jobs.Concluded, Result: &jobs.Result{Output: "x"}})
	var records [][]byte
	for _, e := range events {
		r, err := jobs.EncodeRecord(1, []jobs.Event{e})
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// benchStore opens the store of one server, which ends with the benchmark.
func benchStore(b *testing.B) *nats.Store {
	b.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := bus.StartServer(b.Context(), bus.ServerConfig{Name: "b", Dir: b.TempDir(), Host: "127.0.0.1", Replicas: 1, MaxStoreBytes: 1 << 30, Log: quiet, Clock: clock.Real{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Shutdown)
	conn, err := bus.Connect(b.Context(), bus.ConnectConfig{Name: "b", Server: server, Log: quiet, Clock: clock.Real{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	st, err := nats.Open(b.Context(), conn.NATS, nats.Config{Log: quiet, Clock: clock.Real{}})
	if err != nil {
		b.Fatal(err)
	}
	return st
}
