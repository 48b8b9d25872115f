package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/actors/coordinator"
	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
	"github.com/troupe-ml/troupe/store/memory"
)

// The shells around the cores, with real actors in real processes: the members
// are this program again, with what they need in the environment.
const (
	bootVariable   = "TROUPE_SIM_TEST_BOOT"
	holderVariable = "TROUPE_SIM_TEST_HOLDER"
)

func TestMain(m *testing.M) {
	if boot := os.Getenv(bootVariable); boot != "" {
		if err := childMember(boot); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const patience = time.Minute // only a failing test waits so long

// lease is Refs that know the coordinator and nothing else.
type lease struct {
	store.Refs
	holder []byte
}

func (l lease) Get(context.Context, string) ([]byte, uint64, error) { return l.holder, 1, nil }

func startSystem(boot string) (*actors.System, error) {
	cfg := actors.DefaultConfig()
	cfg.Boot, cfg.Messages = boot, []string{wire.Package}
	return actors.Start(cfg)
}

// childMember works until its standard input ends. A task says on standard
// output that it runs, and ends with a line of standard input.
func childMember(boot string) error {
	system, err := startSystem(boot)
	if err != nil {
		return err
	}
	defer system.Close()
	lines := make(chan struct{})
	run := func(ctx context.Context, o jobs.Order, r worker.Reporter) (jobs.Result, error) {
		fmt.Fprintln(os.Stdout, "running", o.Task)
		r.Progress(1, 2, "half")
		select {
		case <-ctx.Done():
			return jobs.Result{}, ctx.Err()
		case <-lines:
			return jobs.Result{Output: "output of " + string(o.Task), RowsIn: 1}, nil
		}
	}
	m, err := worker.Start(worker.Parts{
		System: system, Self: worker.Self{Member: jobs.MemberID(boot), Slots: 1}, Run: run, Refs: lease{holder: []byte(os.Getenv(holderVariable))},
		Heartbeat: 100 * time.Millisecond, Drain: func(why string) { fmt.Fprintln(os.Stdout, "drain", why) }, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer m.Close()
	fmt.Fprintln(os.Stdout, "at", system.Address())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		lines <- struct{}{}
	}
	return nil
}

type childProcess struct {
	*exec.Cmd
	boot, address string
	in            io.WriteCloser
	said          chan string
}

func startMember(t *testing.T, boot string, holder []byte) *childProcess {
	t.Helper()
	p := &childProcess{Cmd: exec.Command(os.Args[0]), boot: boot, said: make(chan string, 64)}
	p.Env = append(os.Environ(), bootVariable+"="+boot, holderVariable+"="+string(holder))
	p.Stderr = os.Stderr
	var err error
	p.in, err = p.StdinPipe()
	require.NoError(t, err)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.said <- s.Text()
		}
	}()
	p.address = strings.TrimPrefix(hear(t, p.said), "at ")
	return p
}

func (p *childProcess) next(t *testing.T) {
	t.Helper()
	_, err := io.WriteString(p.in, "\n")
	require.NoError(t, err)
}

func hear[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-clock.Real{}.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// threeTasks plans one stage of three tasks; a job of kind "large" has orders
// that no message can carry.
func threeTasks(j *jobs.Job) (*jobs.Stage, *jobs.Result, error) {
	if len(j.Stages) > 0 {
		return nil, &jobs.Result{Output: "all"}, nil
	}
	s := &jobs.Stage{Name: "work", Shape: jobs.Map, NumTasks: 3}
	if j.Kind == "large" {
		s.Params = map[string]string{"p": strings.Repeat("x", wire.MaxBytes)}
	}
	return s, nil, nil
}

// head is the process that coordinates; it is a member without slots, too.
type head struct {
	st       store.Store
	lead     *coordinator.Candidate
	member   *worker.Member
	holder   []byte
	ended    chan *jobs.Job
	progress chan jobs.Progress
}

func startHead(t *testing.T) *head {
	t.Helper()
	system, err := startSystem("head")
	require.NoError(t, err)
	t.Cleanup(system.Close)
	h := &head{st: memory.New(), ended: make(chan *jobs.Job, 16), progress: make(chan jobs.Progress, 64)}
	cfg := coordinator.DefaultConfig()
	cfg.Heartbeat, cfg.SuspectAfter, cfg.GoneAfter = 100*time.Millisecond, time.Minute, time.Hour // silence tells nothing here
	h.lead, err = coordinator.Start(coordinator.Parts{
		Config: cfg, System: system, Member: "head", Store: h.st, Plan: threeTasks, Ended: func(j *jobs.Job, told func()) { h.ended <- j; told() },
		Progress: func(p jobs.Progress) { h.progress <- p }, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	h.member, err = worker.Start(worker.Parts{
		System: system, Self: worker.Self{Member: "head"}, Refs: h.st.Refs, Heartbeat: 100 * time.Millisecond, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(h.member.Close)
	h.holder, err = json.Marshal(coordinator.Holder{Member: "head", Addr: actors.Format(actors.At(system.Address(), coordinator.Role, "head")), Epoch: 1})
	require.NoError(t, err)
	return h
}

func (h *head) submit(t *testing.T, id jobs.ID, kind string) {
	t.Helper()
	require.NoError(t, joblog.Submit(context.Background(), h.st, id, kind, "n", []byte("{}"), 0))
	h.member.Nudge()
}

// One test holds the only System of this process. Silence is never a reason
// here: the end of the connection alone tells of a member's end.
func TestMembersInOtherProcessesWorkDieAndAreReplaced(t *testing.T) {
	t.Parallel()
	h := startHead(t)
	a, b := startMember(t, "a", h.holder), startMember(t, "b", h.holder)
	require.Eventually(t, func() bool { return len(h.lead.Members()) == 3 }, patience, 10*time.Millisecond)
	require.Equal(t, "head", h.member.Leader().Member)

	h.submit(t, "j1", "small")
	onA, onB := hear(t, a.said), hear(t, b.said)
	require.ElementsMatch(t, []string{"running work/0", "running work/1"}, []string{onA, onB})
	require.Equal(t, "half", hear(t, h.progress).Text)
	require.NoError(t, a.Process.Kill())
	for range 3 { // what ran on a, too
		b.next(t)
	}
	j := hear(t, h.ended)
	require.Equal(t, jobs.Done, j.Phase)
	require.Equal(t, 1, j.Workers)
	for _, task := range j.Tasks {
		require.Equal(t, "output of "+string(task.ID), task.Result.Output)
		require.Equal(t, "running "+string(task.ID) == onA, task.Losses == 1, "%s was lost %d times", task.ID, task.Losses)
	}
	require.Eventually(t, func() bool { return len(h.lead.Members()) == 2 }, patience, 10*time.Millisecond)

	h.submit(t, "j2", "large")
	j = hear(t, h.ended)
	require.Equal(t, jobs.Failed, j.Phase)
	require.Equal(t, fault.Invalid, j.Failure.Kind)
	require.Contains(t, j.Failure.Message, "the order cannot be sent")

	require.Equal(t, "running", strings.Fields(hear(t, b.said))[0]) // its second and third task of j1
	require.Equal(t, "running", strings.Fields(hear(t, b.said))[0])
	require.NoError(t, h.member.AskDrain(b.address, b.boot, "for a rest"))
	require.Equal(t, "drain for a rest", hear(t, b.said))

	h.lead.Close()
	holder, err := coordinator.ReadHolder(context.Background(), h.st.Refs)
	require.NoError(t, err)
	require.Empty(t, holder.Member, "the lease is given up")
	require.Empty(t, h.lead.Members())
}
