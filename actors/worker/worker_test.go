package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
)

// heard is a Link that keeps what is said.
type heard struct {
	mu          sync.Mutex
	hellos      []jobs.Hello
	reports     []jobs.Report
	progress    []jobs.Progress
	checkpoints []jobs.Checkpoint
}

func (l *heard) Hello(h jobs.Hello) { l.mu.Lock(); l.hellos = append(l.hellos, h); l.mu.Unlock() }
func (l *heard) Report(r jobs.Report) {
	l.mu.Lock()
	l.reports = append(l.reports, r)
	l.mu.Unlock()
}

func (l *heard) Progress(p jobs.Progress) {
	l.mu.Lock()
	l.progress = append(l.progress, p)
	l.mu.Unlock()
}

func (l *heard) Checkpoint(k jobs.Checkpoint) {
	l.mu.Lock()
	l.checkpoints = append(l.checkpoints, k)
	l.mu.Unlock()
}

// taken returns the reports so far and forgets them.
func (l *heard) taken() []jobs.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.reports
	l.reports = nil
	return r
}

func (l *heard) running(c *Core) []jobs.Ref {
	c.Heartbeat()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hellos[len(l.hellos)-1].Running
}

func order(attempt int) jobs.Order {
	return jobs.Order{Epoch: 1, Job: "j", Task: "work/0", Attempt: attempt, Members: []jobs.MemberID{"m"}}
}

func refOf(o jobs.Order) jobs.Ref { return jobs.Ref{Job: o.Job, Task: o.Task, Attempt: o.Attempt} }

// newCore returns a worker whose attempts wait for a word: "" ends one well.
func newCore(t *testing.T) (c *Core, l *heard, words chan error, begun *[]jobs.Ref) {
	t.Helper()
	l, words, begun = &heard{}, make(chan error), new([]jobs.Ref)
	var mu sync.Mutex
	run := func(ctx context.Context, o jobs.Order, r Reporter) (jobs.Result, error) {
		mu.Lock()
		*begun = append(*begun, refOf(o))
		mu.Unlock()
		select {
		case <-ctx.Done():
			return jobs.Result{}, context.Cause(ctx)
		case err := <-words:
			return jobs.Result{Output: "o"}, err
		}
	}
	c = New(Self{Member: "m", Slots: 1}, run, l, slog.New(slog.DiscardHandler))
	return c, l, words, begun
}

func TestAnOrderThatComesAgainRunsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, l, words, begun := newCore(t)
		defer c.Close()
		c.Start(order(1))
		c.Start(order(1))
		synctest.Wait()
		require.Len(t, *begun, 1)
		require.Equal(t, []jobs.Ref{refOf(order(1))}, l.running(c))
		require.Empty(t, l.taken())

		words <- nil
		synctest.Wait()
		require.Equal(t, []jobs.Report{{Member: "m", Ref: refOf(order(1)), Result: jobs.Result{Output: "o"}}}, l.taken())
		c.Start(order(1))
		require.Len(t, l.taken(), 1, "what it has to say is said again")
		require.Len(t, l.running(c), 1)
		require.Len(t, l.taken(), 1, "and with every heartbeat")
		require.Equal(t, 1, c.Busy())

		c.Ack(jobs.Ref{Epoch: 1, Job: "j", Task: "work/0", Attempt: 1})
		require.Empty(t, l.running(c))
		require.Empty(t, l.taken())
		c.Start(order(1)) // a late copy
		synctest.Wait()
		require.Len(t, *begun, 1)
		require.True(t, l.taken()[0].Lost, "there is nothing to show any more")
		require.Zero(t, c.Busy())
	})
}

func TestANewerAttemptEndsTheOlder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, l, words, begun := newCore(t)
		defer c.Close()
		c.Start(order(1))
		c.Start(order(3))
		c.Start(order(2))
		synctest.Wait()
		require.Equal(t, []jobs.Ref{refOf(order(3))}, l.running(c))
		require.NotContains(t, *begun, refOf(order(2)))
		l.taken()
		words <- nil
		synctest.Wait()
		require.Equal(t, 3, l.taken()[0].Ref.Attempt)
		c.Start(order(4))
		require.Equal(t, []jobs.Ref{refOf(order(4))}, l.running(c), "the report of an older attempt is nobody's")
	})
}

func TestACoordinatorThatHasBeenReplacedIsNotObeyed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, l, words, begun := newCore(t)
		defer c.Close()
		newer := order(1)
		newer.Epoch = 2
		c.Start(newer)
		synctest.Wait()
		c.Start(order(2))
		c.Stop(jobs.Ref{Epoch: 1, Job: "j", Task: "work/0", Attempt: 1})
		synctest.Wait()
		require.Len(t, *begun, 1)
		require.Equal(t, []jobs.Ref{refOf(newer)}, l.running(c))
		words <- nil
		synctest.Wait()
		c.Ack(jobs.Ref{Epoch: 1, Job: "j", Task: "work/0", Attempt: 1})
		require.Len(t, l.running(c), 1)
	})
}

func TestAStoppedAttemptSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, l, _, _ := newCore(t)
		defer c.Close()
		c.Start(order(1))
		c.Stop(jobs.Ref{Epoch: 1, Job: "j", Task: "work/0", Attempt: 1})
		synctest.Wait()
		require.Empty(t, l.running(c))
		require.Empty(t, l.taken())
	})
}

// Rank 0 speaks for a gang that ends well. The others stay where they are, or
// their orders would be sent again.
func TestARankThatIsDoneStaysUntilItsGangIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, l, words, begun := newCore(t)
		defer c.Close()
		o := order(1)
		o.Rank, o.Members = 1, []jobs.MemberID{"n", "m"}
		c.Start(o)
		words <- nil
		synctest.Wait()
		require.Equal(t, []jobs.Ref{refOf(o)}, l.running(c))
		c.Start(o)
		synctest.Wait()
		require.Len(t, *begun, 1)
		require.Empty(t, l.taken())
		c.Stop(jobs.Ref{Epoch: 1, Job: "j", Task: "work/0", Attempt: 1})
		require.Empty(t, l.running(c))
	})
}

func TestHowAnAttemptFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, l, words, _ := newCore(t)
		defer c.Close()
		for i, err := range []error{fault.New(fault.Corrupt, "bad bytes"), fault.New(fault.Unavailable, "sums: %w", ErrGangBroken), errors.New("unheard of")} {
			o := order(i + 1)
			o.Rank = i // ranks speak of failures, too
			c.Start(o)
			words <- err
			synctest.Wait()
			r := l.taken()
			require.Len(t, r, 1)
			require.Equal(t, &jobs.Failure{Kind: fault.Of(err), Message: err.Error()}, r[0].Failure)
			require.Equal(t, i == 1, r[0].Lost)
		}
	})
}

func TestAPanicIsABugAndNotTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &heard{}
		c := New(Self{Member: "m"}, func(context.Context, jobs.Order, Reporter) (jobs.Result, error) { panic("oh") }, l, slog.New(slog.DiscardHandler))
		defer c.Close()
		c.Start(order(1))
		synctest.Wait()
		r := l.taken()
		require.Len(t, r, 1)
		require.Equal(t, fault.Internal, r[0].Failure.Kind)
		require.Contains(t, r[0].Failure.Message, "this is a bug in Troupe: the task panicked: oh")
	})
}

func TestWhoDrainsSaysSoAndWhoClosesWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, l, _, begun := newCore(t)
		c.Start(order(1))
		synctest.Wait()
		require.Equal(t, 1, c.Drain())
		l.running(c)
		require.True(t, l.hellos[0].Draining)
		c.Close()
		require.Zero(t, c.Busy())
		require.Empty(t, l.taken(), "nobody is told: the connection's end says it")
		c.Start(order(2))
		synctest.Wait()
		require.Len(t, *begun, 1)
	})
}

func TestWhatATaskSaysCarriesItsName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &heard{}
		c := New(Self{Member: "m"}, func(_ context.Context, _ jobs.Order, r Reporter) (jobs.Result, error) {
			r.Progress(1, 2, "half")
			r.Checkpoint("k")
			return jobs.Result{}, nil
		}, l, slog.New(slog.DiscardHandler))
		c.Start(order(1))
		synctest.Wait()
		c.Close()
		require.Equal(t, []jobs.Progress{{Member: "m", Ref: refOf(order(1)), Rows: 1, Total: 2, Text: "half"}}, l.progress)
		require.Equal(t, []jobs.Checkpoint{{Member: "m", Ref: refOf(order(1)), Output: "k"}}, l.checkpoints)
	})
}

// Whatever is ordered, stopped and acknowledged, in whatever order and however
// often: an attempt runs at most once, never after a newer one, and every order
// that is the newest is running, has something to say, or was called off.
func TestAnyHistoryOfOrders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := &heard{}
		var waiting []func()
		runs := map[jobs.Ref]int{}
		newest := map[jobs.TaskID]int{}
		c := NewWith(Self{Member: "m"}, func(ctx context.Context, o jobs.Order, _ Reporter) (jobs.Result, error) {
			if runs[refOf(o)]++; runs[refOf(o)] > 1 {
				t.Fatalf("%+v runs again", refOf(o))
			}
			return jobs.Result{}, ctx.Err()
		}, l, slog.New(slog.DiscardHandler), func(attempt func()) { waiting = append(waiting, attempt) })
		called := map[jobs.Ref]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			o := jobs.Order{Epoch: 1, Job: "j", Task: jobs.TaskID(fmt.Sprint("work/", rapid.IntRange(0, 1).Draw(t, "task"))), Attempt: rapid.IntRange(1, 3).Draw(t, "attempt"), Rank: rapid.IntRange(0, 1).Draw(t, "rank")}
			ref := refOf(o)
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				c.Start(o)
				newest[o.Task] = max(newest[o.Task], o.Attempt)
			case 2:
				c.Stop(jobs.Ref{Epoch: 1, Job: ref.Job, Task: ref.Task, Attempt: ref.Attempt})
				called[ref] = true
			case 3:
				c.Ack(jobs.Ref{Epoch: 1, Job: ref.Job, Task: ref.Task, Attempt: ref.Attempt})
				called[ref] = true
			default:
				for _, attempt := range waiting {
					attempt()
				}
				waiting = nil
			}
			mentioned := map[jobs.Ref]bool{}
			for _, r := range l.running(c) {
				mentioned[r] = true
			}
			for task, attempt := range newest {
				if r := (jobs.Ref{Job: "j", Task: task, Attempt: attempt}); !mentioned[r] && !called[r] {
					t.Fatalf("%+v is forgotten", r)
				}
			}
		}
	})
}

func TestOnlySoManyTasksAreRemembered(t *testing.T) {
	t.Parallel()
	a := attempts{newest: map[place]int{}}
	for i := range maxRemembered + 10 {
		require.True(t, a.begin(jobs.Ref{Job: "j", Task: jobs.TaskID(fmt.Sprint(i)), Attempt: 1}))
	}
	require.Len(t, a.newest, maxRemembered)
	require.Len(t, a.order, maxRemembered)
	require.False(t, a.begin(jobs.Ref{Job: "j", Task: jobs.TaskID(fmt.Sprint(maxRemembered)), Attempt: 1}))
}

func TestProgressIsToldNowAndThenAndWhenRowsBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{clock: clock.Real{}, progress: map[jobs.Ref]said{}}
		news := func(task int, rows int64) bool { return l.isNews(jobs.Progress{Ref: refOf(order(task)), Rows: rows}) }
		require.True(t, news(1, 0))
		require.False(t, news(1, 0))
		require.True(t, news(1, 5), "it has begun with its rows")
		require.False(t, news(1, 6))
		require.True(t, news(2, 6), "another task")
		<-l.clock.After(progressEvery)
		require.True(t, news(1, 7))
	})
}
