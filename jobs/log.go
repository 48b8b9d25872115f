package jobs

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/troupe-ml/troupe/internal/fault"
)

// logVersion is the version of the log's records.
const logVersion = 1

// record is the form of one record of a job's log: events that became durable
// together. Events that this version does not know are refused, not skipped.
type record struct {
	Version int     `json:"v"`
	Epoch   uint64  `json:"epoch,omitempty"` // of the lease under which it was written
	Events  []Event `json:"events"`
}

// EncodeRecord returns the log record of events written under a lease epoch.
func EncodeRecord(epoch uint64, events []Event) ([]byte, error) {
	b, err := json.Marshal(record{Version: logVersion, Epoch: epoch, Events: events})
	if err != nil {
		return nil, fmt.Errorf("encode log record: %w", err)
	}
	return b, nil
}

// DecodeRecord reads what EncodeRecord has written. An unknown version or field
// is an error of kind Invalid: a newer Troupe wrote it. What is no record at all
// is of kind Corrupt.
func DecodeRecord(b []byte) (epoch uint64, events []Event, err error) {
	var r record
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		kind := fault.Invalid
		if !json.Valid(b) {
			kind = fault.Corrupt
		}
		return 0, nil, fault.New(kind, "decode log record: %w", err)
	}
	if r.Version != logVersion {
		return 0, nil, fault.New(fault.Invalid, "decode log record: version %d, this program reads %d: upgrade it", r.Version, logVersion)
	}
	return r.Epoch, r.Events, nil
}

// Replay folds the records of a log into the job. Events that Step refuses mean
// that the log is damaged: the error says at which record.
func Replay(id ID, records [][]byte) (*Job, error) {
	j := New(id)
	for i, b := range records {
		if err := j.Apply(b); err != nil {
			return nil, fmt.Errorf("replay %s: record %d: %w", id, i, err)
		}
	}
	return j, nil
}

// Relevant reports whether e would change the job as it stands. The coordinator
// asks before it writes, so that old news does not lengthen the log.
func (j *Job) Relevant(e Event) bool {
	switch e.Kind {
	case TaskAssigned:
		t := j.byID[e.Task]
		return t != nil && j.Phase == Running && t.Phase == Pending && e.Attempt == t.Attempt+1
	case TaskDone, TaskFailed, TaskLost, TaskCheckpoint, TaskRegrouped:
		t := j.byID[e.Task]
		return t != nil && j.Phase == Running && t.Phase == Running && e.Attempt == t.Attempt
	case Submitted:
		return j.Phase == Pending
	case StagePlanned, Concluded:
		return j.StageDone()
	default:
		return j.Phase == Running
	}
}

// Apply folds one more record into the job.
func (j *Job) Apply(b []byte) error {
	_, events, err := DecodeRecord(b)
	if err != nil {
		return err
	}
	for _, e := range events {
		if _, err := j.Step(e); err != nil {
			return fault.Wrap(fault.Corrupt, err)
		}
	}
	return nil
}
