package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/store"
)

// LogLine is one event of a job's log as people read it.
type LogLine struct {
	At      time.Time `json:"at"`
	Event   string    `json:"event"` // such as "task done"
	Task    string    `json:"task,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Members []string  `json:"members,omitempty"` // who was given the task
	Text    string    `json:"text,omitempty"`
}

type historyOutput struct {
	Body struct {
		Events []LogLine `json:"events"`
	}
}

func (s *Server) historyRoute() {
	huma.Register(s.api, huma.Operation{OperationID: "job-log", Method: http.MethodGet, Path: "/v1/jobs/{id}/log", Summary: "Show a job's log, event by event"}, func(ctx context.Context, in *jobInput) (*historyOutput, error) {
		lines, err := History(ctx, s.cfg.Store, jobs.ID(in.ID))
		if err != nil {
			return nil, problem(err)
		}
		out := &historyOutput{}
		out.Body.Events = lines
		return out, nil
	})
}

var eventNames = map[jobs.EventKind]string{
	jobs.Submitted: "submitted", jobs.StagePlanned: "stage planned", jobs.TaskAssigned: "task assigned", jobs.TaskDone: "task done",
	jobs.TaskFailed: "task failed", jobs.TaskLost: "task lost", jobs.TaskRegrouped: "gang regrouped", jobs.TaskCheckpoint: "checkpoint", jobs.CancelRequested: "cancelled",
	jobs.Concluded: "succeeded", jobs.Rejected: "failed",
}

// History reads a job's log. A job that nobody submitted is kind NotFound.
func History(ctx context.Context, st store.Store, id jobs.ID) ([]LogLine, error) {
	records, err := st.Logs.Read(ctx, joblog.Name(id), 0)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", id, err)
	}
	if len(records) == 0 {
		return nil, fault.New(fault.NotFound, "job %s: there is no such job; `troupe jobs list` shows those that are", id)
	}
	var lines []LogLine
	for _, record := range records {
		_, events, err := jobs.DecodeRecord(record)
		if err != nil {
			return nil, fmt.Errorf("log of %s: %w", id, err)
		}
		for _, e := range events {
			lines = append(lines, logLine(e))
		}
	}
	return lines, nil
}

func logLine(e jobs.Event) LogLine {
	line := LogLine{At: time.UnixMilli(e.At).UTC(), Event: eventNames[e.Kind], Task: string(e.Task), Attempt: e.Attempt}
	for _, m := range e.Members {
		line.Members = append(line.Members, string(m))
	}
	switch {
	case e.Failure != nil:
		line.Text = e.Failure.Message
	case e.Stage != nil:
		line.Text = fmt.Sprintf("%s: %d tasks", e.Stage.Name, e.Stage.NumTasks)
	case e.Kind == jobs.Submitted:
		line.Text = fmt.Sprintf("%s %q", e.JobKind, e.Name)
	case e.Kind == jobs.TaskCheckpoint && e.Result != nil:
		line.Text = e.Result.Output
	case e.Result != nil && e.Result.RowsIn > 0:
		line.Text = fmt.Sprintf("%d rows in, %d rows out", e.Result.RowsIn, e.Result.RowsOut)
	}
	return line
}
