package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// The scripts of testdata are scenarios and the exact trace of what the
// coordinator says. With -rewrite they are written anew: read the diff.
//
//	submit JOB KIND            work: two tasks, then a merge; big: a task of 5 GiB; gang: a gang of 1 to 3;
//	                           anew: one that keeps no state, then a merge
//	hello MEMBER [slots=N] [gib=N] [running=REF,...] [draining]     REF is JOB:TASK@ATTEMPT
//	done MEMBER REF, failed MEMBER REF KIND, lost MEMBER REF, checkpoint MEMBER REF
//	gone MEMBER                its process has ended
//	after DURATION             time passes, then a tick
//	cancel JOB                 the next poll finds it
//	takeover                   another coordinator opens, in the next epoch
//	old ...                    the line is for the coordinator before
//	away, half, back           the store fails; has effect, but the answer is lost; answers
//	stuck                      the store removes no names
//	busy                       from now on the world hears of ends later: told JOB
//	open                       the names of open jobs
//	gangs JOB                  how many gangs of it the coordinator remembers
func TestScripts(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newScript(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(d.Cmd, d.Input) })
	})
}

type script struct {
	t     *testing.T
	st    store.Store
	store *moody
	clock *manual
	core  *Core
	old   *Core
	epoch uint64
	busy  bool
	trace strings.Builder
}

// manual is a clock that the script moves.
type manual struct {
	clock.Real
	now time.Time
}

func (m *manual) Now() time.Time { return m.now }

// moody is a store's refs and logs, which fail when they are told to.
type moody struct {
	store.Refs
	store.Logs
	mood string
}

func (m *moody) weather(do func() error) error {
	switch m.mood {
	case "away":
		return fault.New(fault.Unavailable, "the store is away")
	case "half":
		m.mood = ""
		if err := do(); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "the answer was lost")
	default:
		return do()
	}
}

type moodyRefs struct{ *moody }

func (m moodyRefs) List(ctx context.Context, prefix string) ([]string, error) {
	return m.Refs.List(ctx, prefix)
}

func (m moodyRefs) Delete(ctx context.Context, name string, revision uint64) error {
	if m.mood == "stuck" {
		return fault.New(fault.Unavailable, "the name stays")
	}
	return m.weather(func() error { return m.Refs.Delete(ctx, name, revision) })
}

type moodyLogs struct{ *moody }

func (m moodyLogs) List(ctx context.Context, prefix string) ([]string, error) {
	return m.Logs.List(ctx, prefix)
}

func (m moodyLogs) Append(ctx context.Context, name string, expected uint64, records ...[]byte) error {
	return m.weather(func() error { return m.Logs.Append(ctx, name, expected, records...) })
}

func newScript(t *testing.T) *script {
	st := memory.New()
	m := &moody{Refs: st.Refs, Logs: st.Logs}
	s := &script{t: t, st: st, store: m, clock: &manual{now: time.Unix(0, 0)}, epoch: 0}
	s.takeover()
	return s
}

// scriptPlan plans the jobs of the scripts.
func scriptPlan(j *jobs.Job) (*jobs.Stage, *jobs.Result, error) {
	stages := map[string][]jobs.Stage{
		"work": {{Name: "work", Shape: jobs.Map, NumTasks: 2}, {Name: "sum", Shape: jobs.Merge, NumTasks: 1}},
		"big":  {{Name: "work", Shape: jobs.Map, NumTasks: 1, MaxBytes: 5 << 30}},
		"gang": {{Name: "fit", Shape: jobs.Gang, NumTasks: 1, MinRanks: 1, MaxRanks: 3}},
		"anew": {{Name: "fit", Shape: jobs.Gang, NumTasks: 1, MinRanks: 1, MaxRanks: 3, Anew: true}, {Name: "sum", Shape: jobs.Merge, NumTasks: 1}},
	}[j.Kind]
	switch n := len(j.Stages); {
	case stages == nil:
		return nil, nil, fault.New(fault.Invalid, "no plan for %q", j.Kind)
	case n < len(stages):
		return &stages[n], nil, nil
	default:
		return nil, &jobs.Result{Output: "all"}, nil
	}
}

func (s *script) takeover() {
	s.old = s.core
	s.epoch++
	faulty := store.Store{Blobs: s.st.Blobs, Refs: moodyRefs{s.store}, Logs: moodyLogs{s.store}}
	s.core = New(DefaultConfig(), s.epoch, faulty, scriptPlan, (*says)(s), s.clock, slog.New(slog.DiscardHandler))
	s.check(s.core.Open(context.Background()))
}

func (s *script) check(err error) {
	if err != nil {
		fmt.Fprintf(&s.trace, "error: %v\n", err)
	}
}

// run carries out the lines of one block; the first word of each may be the
// block's command.
func (s *script) run(command, input string) string {
	s.trace.Reset()
	for line := range strings.Lines(input) {
		if line = strings.TrimSpace(line); line != "" {
			s.line(strings.Fields(line))
		}
	}
	if s.trace.Len() == 0 {
		return "(" + command + ": nothing is said)\n"
	}
	return s.trace.String()
}

func (s *script) line(w []string) {
	ctx := context.Background()
	switch w[0] {
	case "submit":
		s.check(joblog.Submit(ctx, s.st, jobs.ID(w[1]), w[2], w[1], []byte("{}"), 0))
		s.check(s.core.Poll(ctx))
	case "hello":
		s.check(s.core.Hello(ctx, s.hello(w[1:])))
	case "done", "failed", "lost":
		s.check(s.core.Report(ctx, s.report(w)))
	case "checkpoint":
		s.check(s.core.Checkpoint(ctx, jobs.Checkpoint{Member: jobs.MemberID(w[1]), Ref: s.ref(w[2]), Output: "k"}))
	case "gone":
		s.check(s.core.Gone(ctx, jobs.MemberID(w[1])))
	case "after":
		d, err := time.ParseDuration(w[1])
		s.check(err)
		s.clock.now = s.clock.now.Add(d)
		s.check(s.core.Tick(ctx))
	case "cancel":
		s.check(joblog.RequestCancel(ctx, s.st, jobs.ID(w[1]), "not wanted"))
		s.check(s.core.Poll(ctx))
	case "takeover":
		s.takeover()
	case "old":
		s.core, s.old = s.old, s.core
		s.line(w[1:])
		s.core, s.old = s.old, s.core
	case "open":
		names, err := s.st.Refs.List(ctx, joblog.OpenPrefix)
		s.check(err)
		fmt.Fprintf(&s.trace, "open: %v\n", names)
	case "records":
		records, err := s.st.Logs.Read(ctx, joblog.Name(jobs.ID(w[1])), 0)
		s.check(err)
		fmt.Fprintf(&s.trace, "records of %s: %d\n", w[1], len(records))
	case "gangs":
		fmt.Fprintf(&s.trace, "gangs of %s: %d\n", w[1], len(s.core.jobs[jobs.ID(w[1])].gangs))
	case "busy":
		s.busy = true
	case "told":
		s.check(s.core.Told(ctx, jobs.ID(w[1])))
	case "away", "half", "stuck":
		s.store.mood = w[0]
	case "back":
		s.store.mood = ""
	default:
		s.t.Fatalf("no such command: %q", w)
	}
}

func (s *script) ref(text string) jobs.Ref {
	job, rest, _ := strings.Cut(text, ":")
	task, attempt, _ := strings.Cut(rest, "@")
	n, err := strconv.Atoi(attempt)
	s.check(err)
	return jobs.Ref{Job: jobs.ID(job), Task: jobs.TaskID(task), Attempt: n}
}

func (s *script) hello(w []string) jobs.Hello {
	h := jobs.Hello{Member: jobs.MemberID(w[0]), Slots: 1, DataAddr: "data-of-" + w[0]}
	for _, o := range w[1:] {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "slots":
			_, err := fmt.Sscan(value, &h.Slots)
			s.check(err)
		case "gib":
			_, err := fmt.Sscan(value, &h.MaxBytes)
			s.check(err)
			h.MaxBytes <<= 30
		case "draining":
			h.Draining = true
		case "running":
			for r := range strings.SplitSeq(value, ",") {
				h.Running = append(h.Running, s.ref(r))
			}
		}
	}
	return h
}

func (s *script) report(w []string) jobs.Report {
	r := jobs.Report{Member: jobs.MemberID(w[1]), Ref: s.ref(w[2])}
	switch w[0] {
	case "done":
		r.Result = jobs.Result{Output: "of-" + string(r.Ref.Task)}
	case "lost":
		r.Lost, r.Failure = true, &jobs.Failure{Kind: fault.Unavailable, Message: "a link broke"}
	default:
		r.Failure = &jobs.Failure{Kind: map[string]fault.Kind{"invalid": fault.Invalid, "unavailable": fault.Unavailable}[w[3]], Message: w[3]}
	}
	return r
}

// says writes the trace.
type says script

func (s *says) Start(m jobs.MemberID, o jobs.Order) {
	fmt.Fprintf(&s.trace, "start %s: %s:%s@%d epoch %d", m, o.Job, o.Task, o.Attempt, o.Epoch)
	if o.Stage.Shape == jobs.Gang {
		fmt.Fprintf(&s.trace, " rank %d of %v at %v", o.Rank, o.Members, o.Peers)
	}
	if o.Checkpoint != "" {
		fmt.Fprintf(&s.trace, " from %s", o.Checkpoint)
	}
	s.trace.WriteByte('\n')
}

func (s *says) Stop(m jobs.MemberID, r jobs.Ref) {
	fmt.Fprintf(&s.trace, "stop %s: %s:%s@%d\n", m, r.Job, r.Task, r.Attempt)
}

func (s *says) Ack(m jobs.MemberID, r jobs.Ref) {
	fmt.Fprintf(&s.trace, "ack %s: %s:%s@%d\n", m, r.Job, r.Task, r.Attempt)
}

func (s *says) Ended(j *jobs.Job) (told bool) {
	fmt.Fprintf(&s.trace, "ended %s: %v", j.ID, j.Phase)
	if j.Failure != nil {
		fmt.Fprintf(&s.trace, ": %s", j.Failure.Message)
	}
	s.trace.WriteByte('\n')
	return !s.busy
}

func (s *says) Progress(jobs.Progress) {}
