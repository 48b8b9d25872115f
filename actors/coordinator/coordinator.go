// Package coordinator is the one decider of a cluster: it turns what members
// report into events, makes the events durable in the jobs' logs, folds them
// with jobs.Step and carries out the effects, in that order. It runs on the
// holder of the lease; whoever takes over replays the logs and goes on.
//
// Durable: the events of every job. Soft, rebuilt from the members' next
// heartbeats: who is here and how much room they have. Messages may be lost,
// repeated or late: orders are sent again until a member says that it has them,
// and reports of an attempt that nobody waits for change nothing.
package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// ErrReplaced means that a newer coordinator has written to a log: this one
// must stop at once.
var ErrReplaced = errors.New("replaced by a newer coordinator")

// Config are the coordinator's settings.
type Config struct {
	// Heartbeat is the interval at which members report, in wall time. Shorter
	// notices a frozen member sooner and costs messages.
	Heartbeat time.Duration
	// SuspectAfter is the silence after which a member gets no new tasks: about
	// three heartbeats.
	SuspectAfter time.Duration
	// GoneAfter is the silence after which a member's tasks are given to others.
	// Below it a pause of the machine costs nothing, above it the job waits.
	GoneAfter time.Duration
	// ResendAfter is how long an order may go unmentioned in a member's
	// heartbeats before it is sent again.
	ResendAfter time.Duration
	// GangSettle is how long ranks must complain of broken links before their
	// attempt counts as lost, so that the news of who died, or the failure of the
	// rank that is to blame, arrives first. Members complain at every heartbeat.
	GangSettle time.Duration
	// UnfitAfter is how long a job waits for a member with memory enough for its
	// tasks, when those that are here could never take them, before it fails.
	UnfitAfter time.Duration
	// Backoff is the wait before the first retry of a failed task; it doubles
	// with every failure, give or take a fifth.
	Backoff time.Duration
	// LeaseTTL is the time without a coordinator after one has died or frozen. It
	// renews its lease six times as often.
	LeaseTTL time.Duration
}

// DefaultConfig suits machines on one network: a frozen member is avoided after
// 1.5 s and replaced after 5 s.
func DefaultConfig() Config {
	return Config{
		Heartbeat: 500 * time.Millisecond, SuspectAfter: 1500 * time.Millisecond, GoneAfter: 5 * time.Second,
		ResendAfter: 2 * time.Second, GangSettle: 150 * time.Millisecond, Backoff: jobs.DefaultBackoff, UnfitAfter: 30 * time.Second, LeaseTTL: 3 * time.Second,
	}
}

// Validate reports every setting that makes no sense.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, d time.Duration) {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("coordinator: %s is %v: it must be positive", name, d))
		}
	}
	positive("heartbeat", c.Heartbeat)
	positive("resend_after", c.ResendAfter)
	positive("backoff", c.Backoff)
	positive("unfit_after", c.UnfitAfter)
	positive("lease_ttl", c.LeaseTTL)
	if c.SuspectAfter < 2*c.Heartbeat {
		errs = append(errs, fmt.Errorf("coordinator: suspect_after is %v: it must be at least two heartbeats of %v", c.SuspectAfter, c.Heartbeat))
	}
	if c.GoneAfter < c.SuspectAfter {
		errs = append(errs, fmt.Errorf("coordinator: gone_after is %v: it must not be less than suspect_after, %v", c.GoneAfter, c.SuspectAfter))
	}
	return fault.Wrap(fault.Invalid, errors.Join(errs...))
}

// Planner says what comes after the stages that are done: a stage, or the end
// with the job's result. It is a pure function of the job; an error rejects it.
type Planner func(j *jobs.Job) (next *jobs.Stage, result *jobs.Result, err error)

// Outbox carries orders to members and news to watchers. It never blocks, and
// what it loses is sent again.
type Outbox interface {
	// Start orders a member to run a task, as one rank of a gang if there are
	// several.
	Start(m jobs.MemberID, o jobs.Order)
	// Stop orders a member to end an attempt.
	Stop(m jobs.MemberID, r jobs.Ref)
	// Ack tells a member that its report is durable, or that nobody wants it.
	Ack(m jobs.MemberID, r jobs.Ref)
	// Ended tells the world that a job has ended, perhaps twice. It reports
	// whether the world knows; if not yet, Core.Told follows when it does.
	Ended(j *jobs.Job) (told bool)
	// Progress passes on how far a task is; it may be lost.
	Progress(p jobs.Progress)
}

// Core is the coordinator without its shell: one goroutine calls its methods,
// one at a time.
type Core struct {
	cfg     Config
	store   store.Store
	plan    Planner
	out     Outbox
	clock   clock.Clock
	log     *slog.Logger
	epoch   uint64
	jobs    map[jobs.ID]*tracked
	order   []jobs.ID // of submission: who came first is placed first
	members map[jobs.MemberID]*member
	telling map[jobs.ID]bool // ended jobs that are still open, and whether the world knows of their end
}

// tracked is a job with its place in its log.
type tracked struct {
	job       *jobs.Job
	tasks     index
	records   uint64 // in the log
	pending   []jobs.Event
	effects   []jobs.Effect
	notBefore map[jobs.TaskID]time.Time // pending tasks that wait before they are placed again
	sent      map[jobs.TaskID]time.Time // when the current attempt was ordered last
	unfit     time.Time                 // since when no member could ever take its tasks; zero when one could
	broken    map[jobs.TaskID]broken    // gangs whose ranks complain of their links
	gangs     map[jobs.TaskID]*gang     // of the current stage
}

// broken is an attempt whose links broke, and when that was heard of first.
type broken struct {
	attempt int
	since   time.Time
}

// New returns a coordinator for one term of the lease. It does nothing before
// Open.
func New(cfg Config, epoch uint64, st store.Store, plan Planner, out Outbox, c clock.Clock, log *slog.Logger) *Core {
	return &Core{
		cfg: cfg, store: st, plan: plan, out: out, clock: c, log: log, epoch: epoch,
		jobs: map[jobs.ID]*tracked{}, members: map[jobs.MemberID]*member{}, telling: map[jobs.ID]bool{},
	}
}

// Open takes over every job that has not ended: it writes its epoch into the
// job's log, which stops a predecessor that does not know of it, and goes on
// from there.
func (c *Core) Open(ctx context.Context) error { return c.Poll(ctx) }

// Poll takes up jobs that have been submitted and cancellations that have been
// asked for since the last call.
func (c *Core) Poll(ctx context.Context) error {
	if err := c.closeTold(ctx); err != nil { // first, or they would be taken up again
		return err
	}
	names, err := c.store.Refs.List(ctx, joblog.OpenPrefix)
	if err != nil {
		return fmt.Errorf("coordinator: list open jobs: %w", err)
	}
	for _, name := range names {
		id := jobs.ID(name[len(joblog.OpenPrefix):])
		_, known := c.jobs[id]
		if _, ended := c.telling[id]; !known && !ended {
			if err := c.adopt(ctx, id); err != nil {
				return err
			}
		}
	}
	if err := c.cancellations(ctx); err != nil {
		return err
	}
	return c.settle(ctx)
}

// adopt replays a job's log and fences its predecessor off.
func (c *Core) adopt(ctx context.Context, id jobs.ID) error {
	for {
		records, err := c.store.Logs.Read(ctx, joblog.Name(id), 0)
		if err != nil {
			return fmt.Errorf("coordinator: read the log of %s: %w", id, err)
		}
		if len(records) == 0 {
			return nil // the submitter is between its two writes
		}
		if err := c.checkEpoch(records); err != nil {
			return err
		}
		j, err := jobs.Replay(id, records)
		if err != nil {
			c.log.Error("job cannot be replayed", slog.String("job", string(id)), slog.Any("err", err))
			c.jobs[id] = &tracked{job: jobs.New(id)} // left alone until a person looks
			return nil
		}
		fence, err := jobs.EncodeRecord(c.epoch, nil)
		if err != nil {
			return err
		}
		n := uint64(len(records))
		err = c.store.Logs.Append(ctx, joblog.Name(id), n, fence)
		if errors.Is(err, store.ErrConflict) {
			continue // the predecessor got one more in: read again
		}
		if err != nil {
			return fmt.Errorf("coordinator: take over %s: %w", id, err)
		}
		t := &tracked{job: j, tasks: newIndex(j), records: n + 1, notBefore: map[jobs.TaskID]time.Time{}, sent: map[jobs.TaskID]time.Time{}, broken: map[jobs.TaskID]broken{}, gangs: map[jobs.TaskID]*gang{}}
		t.effects = j.Resume()
		c.jobs[id] = t
		c.order = append(c.order, id)
		return nil
	}
}

// checkEpoch returns ErrReplaced when a record was written in a later term.
func (c *Core) checkEpoch(records [][]byte) error {
	for _, b := range records {
		epoch, _, err := jobs.DecodeRecord(b)
		if err == nil && epoch > c.epoch {
			return fmt.Errorf("coordinator: epoch %d: %w (epoch %d)", c.epoch, ErrReplaced, epoch)
		}
	}
	return nil
}

func (c *Core) cancellations(ctx context.Context) error {
	names, err := c.store.Refs.List(ctx, joblog.CancelPrefix)
	if err != nil {
		return fmt.Errorf("coordinator: list cancellations: %w", err)
	}
	for _, name := range names {
		id := jobs.ID(name[len(joblog.CancelPrefix):])
		value, rev, err := c.store.Refs.Get(ctx, name)
		if err != nil {
			continue // somebody else has seen to it
		}
		if t := c.jobs[id]; t != nil && !t.job.Phase.Ended() {
			c.emit(t, jobs.Event{Kind: jobs.CancelRequested, Failure: &jobs.Failure{Kind: fault.Canceled, Message: string(value)}})
			if err := c.settle(ctx); err != nil {
				return err
			}
		}
		if err := c.store.Refs.Delete(ctx, name, rev); err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("coordinator: forget the cancellation of %s: %w", id, err)
		}
	}
	return nil
}
