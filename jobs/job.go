package jobs

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// ID names a job; it is a word that may stand in file names and subjects.
type ID string

// TaskID names a task within its job: the stage's name and the task's place in
// it, as in "observe/3".
type TaskID string

// MemberID names one process of the cluster, from its start to its end.
type MemberID string

// Node returns the name of the node whose process this is: what stands before
// the last dot, or all of it when there is none. A node that is started again is
// another member of the same name.
func (m MemberID) Node() string {
	if i := strings.LastIndexByte(string(m), '.'); i >= 0 {
		return string(m[:i])
	}
	return string(m)
}

// Shape says how the tasks of a stage relate to its input.
type Shape uint8

// The shapes. Their values are part of the log's format: only append.
const (
	Map   Shape = iota // one task a shard, independent of each other
	Merge              // one task over the outputs of earlier stages, in shard order
	Gang               // one task, run by several members together, all or none
)

// Phase is where a job or a task stands.
//
//	Pending -> Running -> Done | Failed | Cancelled
//	   ^----------+  (lost, or failed in a way that may pass)
type Phase uint8

// The phases. Their values are part of the log's format: only append.
const (
	Pending Phase = iota
	Running
	Done
	Failed
	Cancelled
)

var phaseNames = [...]string{"pending", "running", "succeeded", "failed", "cancelled"}

// String returns the phase's name as users see it.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Ended reports whether the phase is final.
func (p Phase) Ended() bool { return p >= Done }

// Stage is a planned step of a job.
type Stage struct {
	Name     string            `json:"name"`
	Shape    Shape             `json:"shape"`
	NumTasks int               `json:"num_tasks"`
	MinRanks int               `json:"min_ranks,omitempty"` // Gang only: fewer members are not started
	MaxRanks int               `json:"max_ranks,omitempty"` // Gang only: more members are not used
	Inputs   map[string]string `json:"inputs,omitempty"`    // digests of blobs that every task needs, by role
	Params   map[string]string `json:"params,omitempty"`    // small settings that every task needs
	MaxBytes int64             `json:"max_bytes,omitempty"` // memory that one task may need, 0 when unknown
	Anew     bool              `json:"anew,omitempty"`      // Gang only: it keeps no state, so each new generation begins anew
}

// Result is what a task leaves behind. Output is the digest of its blob.
type Result struct {
	Output       string          `json:"output,omitempty"`
	RowsIn       int64           `json:"rows_in,omitempty"`
	RowsOut      int64           `json:"rows_out,omitempty"`
	RowsRejected int64           `json:"rows_rejected,omitempty"`
	Meta         json.RawMessage `json:"meta,omitempty"` // small facts for the planner and for people
	// PeakRSS is the most memory, in bytes, that the process which carried out the
	// task had in use while it did. It informs people, and no digest depends on it.
	PeakRSS int64 `json:"peak_rss_bytes,omitempty"`
}

// Failure is why a task or a job did not succeed.
type Failure struct {
	Kind    fault.Kind `json:"kind"`
	Message string     `json:"message"`
}

// Task is one unit of work of the current or of an earlier stage.
type Task struct {
	ID         TaskID
	Stage      int // place in Job.Stages
	Index      int // place in the stage
	Phase      Phase
	Attempt    int        // 1-based; 0 before the first assignment. A gang's attempt is its generation
	Members    []MemberID // who runs it: one, or a gang's ranks in order
	Former     []MemberID // Gang only, while Pending: those of the attempt before
	Failures   int        // attempts that ended in a retryable error
	Losses     int        // attempts that ended with their member
	Checkpoint string     // Gang only: digest of the newest checkpoint
	Result     Result
}

// Job is the state of one job: the fold of its events.
type Job struct {
	ID      ID
	Kind    string
	Name    string
	Spec    json.RawMessage // canonical
	Phase   Phase
	Stages  []Stage
	Tasks   []*Task // in order of stage and index
	Failure *Failure
	Result  Result // of the whole job, when Done
	// SubmittedAt and EndedAt are milliseconds since 1970, as the writer of the
	// event saw them. They inform people and decide nothing.
	SubmittedAt, EndedAt int64
	// Workers is the number of different members that finished tasks. It informs
	// people and is no part of any result.
	Workers int
	// PeakRSS is the most memory, in bytes, that each member had in use while it
	// carried out tasks that it reported; of a gang, rank 0 reports.
	PeakRSS map[MemberID]int64

	first   []int // place in Tasks of each stage's first task
	open    int   // tasks of the current stage that are not Done
	byID    map[TaskID]*Task
	workers map[MemberID]bool
}

// New returns a job that has not been submitted yet.
func New(id ID) *Job {
	return &Job{ID: id, byID: map[TaskID]*Task{}, workers: map[MemberID]bool{}, PeakRSS: map[MemberID]int64{}}
}

// StageTasks returns the tasks of the newest stage called name, in shard order,
// or nil.
func (j *Job) StageTasks(name string) []*Task {
	for s := len(j.Stages) - 1; s >= 0; s-- {
		if j.Stages[s].Name == name {
			return j.tasksOf(s)
		}
	}
	return nil
}

// Task returns the task called id, or nil.
func (j *Job) Task(id TaskID) *Task { return j.byID[id] }

// Current returns the stage that is being worked on and its tasks, or nil
// before the first one is planned.
func (j *Job) Current() (*Stage, []*Task) {
	if len(j.Stages) == 0 {
		return nil, nil
	}
	s := len(j.Stages) - 1
	return &j.Stages[s], j.tasksOf(s)
}

// StageDone reports whether every task of the current stage is done, so that
// the planner may be asked for the next one.
func (j *Job) StageDone() bool { return j.Phase == Running && j.open == 0 }

func (j *Job) tasksOf(stage int) []*Task {
	from := j.first[stage]
	return j.Tasks[from : from+j.Stages[stage].NumTasks]
}
