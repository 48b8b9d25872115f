package node

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// BenchmarkTinyTasks is what a task costs that does nothing: one operation is
// one task, ordered, run, reported and made durable, in a job of 10,000.
func BenchmarkTinyTasks(b *testing.B) {
	const numTasks = 10_000
	st := benchStore(b)
	ac := actors.DefaultConfig()
	ac.Boot, ac.Messages = "bench", []string{wire.Package}
	system, err := actors.Start(ac)
	if err != nil {
		b.Fatal(err)
	}
	defer system.Close()
	leader, stop := bench(b, system, st.Store, numTasks)
	defer stop()
	b.ResetTimer()
	for done := 0; done < b.N; done += numTasks {
		id := jobs.ID(fmt.Sprintf("job%d", done))
		if err := joblog.Submit(b.Context(), st.Store, id, "bench", "bench", nil, 0); err != nil {
			b.Fatal(err)
		}
		leader.Nudge()
		await(b, st.Store, id)
	}
}

// bench starts a coordinator and a worker whose tasks do nothing.
func bench(b *testing.B, system *actors.System, st store.Store, numTasks int) (leader *coordinator.Candidate, stop func()) {
	b.Helper()
	quiet := slog.New(slog.DiscardHandler)
	leader, err := coordinator.Start(coordinator.Parts{
		Config: coordinator.DefaultConfig(), System: system, Member: "bench", Store: st, Clock: clock.Real{}, Log: quiet,
		Plan: func(j *jobs.Job) (*jobs.Stage, *jobs.Result, error) {
			if len(j.Stages) > 0 {
				return nil, &jobs.Result{}, nil
			}
			return &jobs.Stage{Name: "nothing", NumTasks: numTasks}, nil, nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	member, err := worker.Start(worker.Parts{
		System: system, Self: worker.Self{Member: "bench", Slots: 4, MaxBytes: 1 << 30}, Refs: st.Refs, Heartbeat: coordinator.DefaultConfig().Heartbeat,
		Run: func(context.Context, jobs.Order, worker.Reporter) (jobs.Result, error) {
			return jobs.Result{Output: "x"}, nil
		},
		Clock: clock.Real{}, Log: quiet,
	})
	if err != nil {
		b.Fatal(err)
	}
	return leader, func() {
		member.Close()
		leader.Close()
	}
}

// await follows a job to its end.
func await(b *testing.B, st store.Store, id jobs.ID) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	j := jobs.New(id)
	_ = st.Logs.Watch(ctx, joblog.Name(id), 0, func(_ uint64, record []byte) error {
		err := j.Apply(record)
		if err != nil || j.Phase.Ended() {
			cancel()
		}
		return err
	})
	if j.Phase != jobs.Done {
		b.Fatalf("the job is %v: %+v", j.Phase, j.Failure)
	}
}
