// Package joblog is where jobs are in the store: the log of each, the names of
// those that are open, and the cancellations that wait for the coordinator.
package joblog

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

// Name returns the name of a job's log.
func Name(id jobs.ID) string { return logPrefix + string(id) }

// List returns the ids of all jobs that the store remembers, sorted.
func List(ctx context.Context, st store.Store) ([]jobs.ID, error) {
	names, err := st.Logs.List(ctx, logPrefix)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	ids := make([]jobs.ID, len(names))
	for i, n := range names {
		ids[i] = jobs.ID(n[len(logPrefix):])
	}
	return ids, nil
}

// Submit writes a new job's first record and opens it for the coordinator. The
// id names the submission: submitting the same id again changes nothing.
func Submit(ctx context.Context, st store.Store, id jobs.ID, kind, name string, spec []byte, at int64) error {
	record, err := jobs.EncodeRecord(0, []jobs.Event{{Kind: jobs.Submitted, JobKind: kind, Name: name, Spec: spec, At: at}})
	if err != nil {
		return err
	}
	if err := st.Logs.Append(ctx, Name(id), 0, record); err != nil && !errors.Is(err, store.ErrConflict) {
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
	records, err := st.Logs.Read(ctx, Name(id), 0)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", id, err)
	}
	if len(records) == 0 {
		return nil, fault.New(fault.NotFound, "job %s: there is no such job; `troupe jobs list` shows those that are", id)
	}
	return jobs.Replay(id, records)
}
