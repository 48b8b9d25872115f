package coordinator

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/store"
)

// Names in the store. A job is open from its submission to its end; a
// cancellation waits under its name until the coordinator has seen it.
const (
	OpenPrefix   = "open."
	CancelPrefix = "cancel."
	logPrefix    = "job."
)

// LogName returns the name of a job's log.
func LogName(id jobs.ID) string { return logPrefix + string(id) }

// Order is a task for one member. Members and Peers are the ranks of a gang, in
// order, with the addresses of their data plane; a single task has itself only.
type Order struct {
	Epoch      uint64
	Job        jobs.ID
	Task       jobs.TaskID
	Attempt    int // of a gang: its generation
	Stage      jobs.Stage
	Index      int
	Kind       string
	Spec       []byte
	Rank       int
	Members    []jobs.MemberID
	Peers      []string
	Checkpoint string
}

// Ref names one attempt of a task.
type Ref struct {
	Epoch   uint64
	Job     jobs.ID
	Task    jobs.TaskID
	Attempt int
}

// Hello is a member's heartbeat: who it is, its room, and what it is doing. A
// member sends it at every interval and at once when it has started.
type Hello struct {
	Member   jobs.MemberID
	Slots    int
	MaxBytes int64  // memory for tasks
	DataAddr string // of its collectives
	Draining bool   // takes no new tasks
	Running  []Ref  // ordered and not reported yet
}

// Report is how an attempt went: Result, or Failure when that is set. Lost says
// that a gang's links broke: the attempt is over, but nobody is to blame.
type Report struct {
	Member  jobs.MemberID
	Ref     Ref
	Result  jobs.Result
	Failure *jobs.Failure
	Lost    bool
}

// Checkpoint says that rank 0 of a gang has saved its state.
type Checkpoint struct {
	Member jobs.MemberID
	Ref    Ref
	Output string
}

// Progress is how far an attempt is. It informs people and decides nothing.
type Progress struct {
	Member jobs.MemberID
	Ref    Ref
	Rows   int64
	Total  int64
	Text   string // such as "epoch 3 loss 0.31"
}

// Submit writes a new job's first record and opens it for the coordinator. The
// id names the submission: submitting the same id again changes nothing.
func Submit(ctx context.Context, st store.Store, id jobs.ID, kind, name string, spec []byte, at int64) error {
	record, err := jobs.EncodeRecord(0, []jobs.Event{{Kind: jobs.Submitted, JobKind: kind, Name: name, Spec: spec, At: at}})
	if err != nil {
		return err
	}
	if err := st.Logs.Append(ctx, LogName(id), 0, record); err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("submit %s: %w", id, err)
	}
	if _, err := st.Refs.Set(ctx, OpenPrefix+string(id), []byte(kind), 0); err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("submit %s: %w", id, err)
	}
	return nil
}

// RequestCancel asks the coordinator, whoever that is, to cancel a job.
func RequestCancel(ctx context.Context, st store.Store, id jobs.ID, why string) error {
	j, err := Load(ctx, st, id)
	if err != nil {
		return err
	}
	if j.Phase.Ended() {
		return fault.New(fault.Conflict, "cancel %s: it has already %v", id, j.Phase)
	}
	if _, err := st.Refs.Set(ctx, CancelPrefix+string(id), []byte(why), 0); err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	return nil
}

// Load replays the job's log. A job that nobody submitted is kind NotFound.
func Load(ctx context.Context, st store.Store, id jobs.ID) (*jobs.Job, error) {
	records, err := st.Logs.Read(ctx, LogName(id), 0)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", id, err)
	}
	if len(records) == 0 {
		return nil, fault.New(fault.NotFound, "job %s: there is no such job; `troupe jobs list` shows those that are", id)
	}
	return jobs.Replay(id, records)
}
