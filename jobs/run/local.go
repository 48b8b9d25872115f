package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// Task is what a worker is ordered to do: one attempt at one task of a job, as
// one rank of a gang if there are several.
type Task struct {
	Job        jobs.ID
	Kind       string
	Spec       []byte // canonical
	ID         jobs.TaskID
	Index      int
	Attempt    int // of a gang: its generation
	Stage      jobs.Stage
	Rank       int
	WorldSize  int
	Peers      []string // addresses of the gang's ranks, in order
	Checkpoint string   // digest of the gang's newest checkpoint
}

// Reporter is how a running task speaks. Its calls return at once.
type Reporter interface {
	Progress(rows, total int64, text string)
	Checkpoint(digest string)
}

// Body carries out one task.
type Body func(ctx context.Context, t Task, r Reporter) (jobs.Result, error)

// Watcher hears how a local job goes on; nil hears nothing.
type Watcher struct {
	Event    func(j *jobs.Job, e jobs.Event)
	Progress func(t Task, rows, total int64, text string)
}

// Local runs one job in this process: Slots tasks at a time, in the order of
// their shards. The log is written as in a cluster, so that the job can be
// looked at later.
type Local struct {
	Store store.Store
	Body  Body
	Clock clock.Clock
	Slots int
	// MaxBytes is the memory that tasks may use in all: one waits while those that
	// run need the rest, and a job whose task alone may need more fails. 0 means no
	// bound.
	MaxBytes int64
	Watch    Watcher
	// Backoff is the wait before the first retry of a failed task, which doubles
	// with every failure. Default: that of a cluster.
	Backoff time.Duration
}

// localMember is what the log of a local job names as its only member.
const localMember jobs.MemberID = "local"

// outcome is how an attempt went.
type outcome struct {
	task    Task
	result  jobs.Result
	err     error
	saved   string // a checkpoint, when not empty: the attempt goes on
	rows    int64
	total   int64
	text    string
	partial bool // progress: the attempt goes on
}

// localRun is one job on its way.
type localRun struct {
	Local
	job     *jobs.Job
	records uint64
	queue   []jobs.Event
	folded  []jobs.Event              // into the job, and not in its log yet
	waiting []jobs.TaskID             // in order of shards
	later   map[jobs.TaskID]time.Time // those of them that have failed: not before
	active  int
	bytes   int64 // of memory that those may need
	news    chan outcome
	done    chan struct{} // closed when nobody listens to news any more
}

// Run runs the job to its end and returns it. The error is of the machinery: a
// job that failed or was cancelled is returned as such, without error. When ctx
// ends, the job is cancelled.
func (l Local) Run(ctx context.Context, id jobs.ID, kind, name string, spec []byte) (*jobs.Job, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	if l.Backoff == 0 {
		l.Backoff = jobs.DefaultBackoff
	}
	r := &localRun{Local: l, job: jobs.New(id), later: map[jobs.TaskID]time.Time{}, news: make(chan outcome, 256), done: make(chan struct{})}
	defer func() {
		cancel(nil)
		close(r.done)
	}()
	r.queue = []jobs.Event{{Kind: jobs.Submitted, JobKind: kind, Name: name, Spec: spec}}
	for {
		if err := r.drain(); err != nil {
			cancel(err)
			r.wait()
			return r.job, err
		}
		if r.job.Phase.Ended() {
			err := r.append(ctx)
			cancel(cmp.Or(err, errors.New("the job has ended")))
			r.wait()
			return r.job, err
		}
		if err := r.launch(ctx); err != nil {
			cancel(err)
			r.wait()
			return r.job, err
		}
		select {
		case o := <-r.news:
			r.heed(ctx) // first: what an attempt says of its end is no failure then
			r.hear(o)
		case <-r.wake():
		case <-ctx.Done():
			r.heed(ctx)
		}
	}
}

// heed cancels the job when ctx has ended.
func (r *localRun) heed(ctx context.Context) {
	if ctx.Err() != nil {
		why := &jobs.Failure{Kind: fault.Canceled, Message: context.Cause(ctx).Error()}
		r.queue = append(r.queue, jobs.Event{Kind: jobs.CancelRequested, Failure: why})
	}
}

// wait hears out the attempts that still run.
func (r *localRun) wait() {
	for r.active > 0 {
		if o := <-r.news; !o.partial {
			r.active--
		}
	}
}

// drain folds the queued events into the job and carries out their effects, until
// none is left.
func (r *localRun) drain() error {
	for len(r.queue) > 0 {
		batch := r.queue
		r.queue = nil
		var effects []jobs.Effect
		for _, e := range batch {
			if !r.job.Relevant(e) {
				continue
			}
			e.At = r.Clock.Now().UnixMilli()
			more, err := r.job.Step(e)
			if err != nil {
				return err
			}
			effects, r.folded = append(effects, more...), append(r.folded, e)
			if r.Watch.Event != nil {
				r.Watch.Event(r.job, e)
			}
		}
		for _, e := range effects {
			r.perform(e)
		}
	}
	return nil
}

// append writes what has been folded into the job to its log, as one record: a task
// that is done and the one that takes its slot are synced together.
func (r *localRun) append(ctx context.Context) error {
	if len(r.folded) == 0 {
		return nil
	}
	record, err := jobs.EncodeRecord(0, r.folded)
	if err != nil {
		return err
	}
	if err := r.Store.Logs.Append(context.WithoutCancel(ctx), joblog.Name(r.job.ID), r.records, record); err != nil {
		return fmt.Errorf("log of %s: %w", r.job.ID, err)
	}
	r.records++
	r.folded = nil
	return nil
}

func (r *localRun) perform(e jobs.Effect) {
	switch e.Kind {
	case jobs.Plan:
		next, result, err := plan.Next(r.job)
		switch {
		case err != nil:
			r.queue = append(r.queue, jobs.Event{Kind: jobs.Rejected, Failure: &jobs.Failure{Kind: fault.Of(err), Message: err.Error()}})
		case result != nil:
			r.queue = append(r.queue, jobs.Event{Kind: jobs.Concluded, Result: result})
		case r.MaxBytes > 0 && next.MaxBytes > r.MaxBytes:
			r.queue = append(r.queue, jobs.Event{Kind: jobs.Rejected, Failure: plan.TooLarge(next, r.MaxBytes)})
		default:
			r.queue = append(r.queue, jobs.Event{Kind: jobs.StagePlanned, Stage: next})
		}
	case jobs.Place:
		if e.Backoff > 0 {
			r.later[e.Task] = r.Clock.Now().Add(jobs.Backoff(r.Backoff, e.Backoff, r.job.ID, e.Task))
		}
		r.waiting = nil
		_, tasks := r.job.Current()
		for _, t := range tasks {
			if t.Phase == jobs.Pending {
				r.waiting = append(r.waiting, t.ID)
			}
		}
	}
}

// room reports whether one more task of the current stage may run beside those
// that do.
func (r *localRun) room() bool {
	if r.active >= max(r.Slots, 1) {
		return false
	}
	stage, _ := r.job.Current()
	return r.active == 0 || r.MaxBytes <= 0 || stage == nil || r.bytes+stage.MaxBytes <= r.MaxBytes
}

// launch starts waiting tasks while there are slots and memory, once the log has all
// that has happened so far.
func (r *localRun) launch(ctx context.Context) error {
	var starting []Task
	for r.room() {
		next := r.ready()
		if next < 0 {
			break
		}
		t := r.job.Task(r.waiting[next])
		r.waiting = slices.Delete(r.waiting, next, next+1)
		r.queue = append(r.queue, jobs.Event{Kind: jobs.TaskAssigned, Task: t.ID, Attempt: t.Attempt + 1, Members: []jobs.MemberID{localMember}})
		if err := r.drain(); err != nil {
			r.active -= len(starting)
			return err
		}
		task := Task{
			Job: r.job.ID, Kind: r.job.Kind, Spec: r.job.Spec, ID: t.ID, Index: t.Index, Attempt: t.Attempt,
			Stage: r.job.Stages[t.Stage], WorldSize: 1, Checkpoint: t.Checkpoint,
		}
		r.active++
		r.bytes += task.Stage.MaxBytes
		starting = append(starting, task)
	}
	if err := r.append(ctx); err != nil {
		r.active -= len(starting)
		return err
	}
	for _, task := range starting {
		go func() {
			result, err := r.Body(ctx, task, localReporter{r, task})
			r.news <- outcome{task: task, result: result, err: err}
		}()
	}
	return nil
}

// ready returns the place of the first waiting task that may start now, or -1.
func (r *localRun) ready() int {
	return slices.IndexFunc(r.waiting, func(id jobs.TaskID) bool { return !r.Clock.Now().Before(r.later[id]) })
}

// wake fires when a task has waited long enough after its failure, if there is a
// slot for it; else it is nil, which never fires.
func (r *localRun) wake() <-chan time.Time {
	if len(r.waiting) == 0 || !r.room() {
		return nil
	}
	first := r.later[r.waiting[0]]
	for _, id := range r.waiting[1:] {
		if r.later[id].Before(first) {
			first = r.later[id]
		}
	}
	return r.Clock.After(first.Sub(r.Clock.Now()))
}

// hear turns what an attempt says into events.
func (r *localRun) hear(o outcome) {
	e := jobs.Event{Task: o.task.ID, Attempt: o.task.Attempt}
	switch {
	case o.partial && o.saved != "":
		e.Kind, e.Result = jobs.TaskCheckpoint, &jobs.Result{Output: o.saved}
	case o.partial:
		if r.Watch.Progress != nil {
			r.Watch.Progress(o.task, o.rows, o.total, o.text)
		}
		return
	case o.err != nil:
		r.ended(o)
		e.Kind, e.Failure = jobs.TaskFailed, &jobs.Failure{Kind: fault.Of(o.err), Message: o.err.Error()}
	default:
		r.ended(o)
		e.Kind, e.Result = jobs.TaskDone, &o.result
	}
	r.queue = append(r.queue, e)
}

// ended gives back what an attempt has used.
func (r *localRun) ended(o outcome) {
	r.active--
	r.bytes -= o.task.Stage.MaxBytes
}

// localReporter passes an attempt's words on.
type localReporter struct {
	r *localRun
	t Task
}

// Progress is dropped when the listener is behind.
func (p localReporter) Progress(rows, total int64, text string) {
	select {
	case p.r.news <- outcome{task: p.t, partial: true, rows: rows, total: total, text: text}:
	default:
	}
}

func (p localReporter) Checkpoint(digest string) {
	select {
	case p.r.news <- outcome{task: p.t, partial: true, saved: digest}:
	case <-p.r.done:
	}
}
