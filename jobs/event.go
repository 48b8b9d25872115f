package jobs

import "encoding/json"

// EventKind says what happened.
type EventKind uint8

// The kinds of events. Their values are part of the log's format: only append.
const (
	Submitted       EventKind = iota // a job came in: JobKind, Name, Spec, At
	StagePlanned                     // the planner added Stage
	TaskAssigned                     // Task was given to Members as Attempt
	TaskDone                         // Task ended well, with Result
	TaskFailed                       // Task ended with Failure
	TaskLost                         // the member (or a gang's rank) that ran Task is gone
	TaskCheckpoint                   // a gang saved Result.Output as its checkpoint
	CancelRequested                  // somebody wants the job to stop
	Concluded                        // the planner said that the job is done, with Result
	Rejected                         // the planner said that the job cannot go on, with Failure
	TaskRegrouped                    // the gang that runs Task as Attempt goes on as Members, as the next attempt
)

// Event is one thing that happened to a job, as its log keeps it. Which fields
// are set depends on the kind.
type Event struct {
	Kind    EventKind       `json:"kind"`
	At      int64           `json:"at,omitempty"` // ms since 1970; informs people, decides nothing
	JobKind string          `json:"job_kind,omitempty"`
	Name    string          `json:"name,omitempty"`
	Spec    json.RawMessage `json:"spec,omitempty"`
	Stage   *Stage          `json:"stage,omitempty"`
	Task    TaskID          `json:"task,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	Members []MemberID      `json:"members,omitempty"`
	Result  *Result         `json:"result,omitempty"`
	Failure *Failure        `json:"failure,omitempty"`
}

// EffectKind says what is to be done.
type EffectKind uint8

// The kinds of effects.
const (
	Plan   EffectKind = iota // ask the planner for the next stage
	Place                    // some tasks are pending: find members for them
	Start                    // tell Members to run Task as Attempt
	Stop                     // tell Members to stop Task as Attempt
	Finish                   // the job has ended: make that known
)

// Effect is something the coordinator is to do after the events that caused it
// are durable. Carrying one out twice is harmless.
type Effect struct {
	Kind    EffectKind
	Task    TaskID
	Attempt int
	Members []MemberID
	// Backoff is how many times the pending task has failed before: whoever
	// places it waits longer each time.
	Backoff int
}
